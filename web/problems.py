"""Errors as the API tells them: JSON with what is wrong and what to do."""

import logging

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from appliance.errors import EarshotError, InputError
from web.texts import Texts

log = logging.getLogger(__name__)

RETRY_STORE_S = 2


class Refusal(Exception):  # noqa: N818  # it is no fault of the program: the answer to the client
    """The answer to a request that can't be served: a status, what is wrong, what to do, when to try again."""

    def __init__(self, status: int, error: str, remedy: str, *, retry_after_s: int | None = None) -> None:
        """Give status, one line of `error`, one of `remedy`, and the seconds after which to try again."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.remedy = remedy
        self.retry_after_s = retry_after_s


def install(app: Flask, texts: Texts) -> None:
    """Answer every error of `app` with a status, a line of what is wrong and a line of what to do."""

    def refused(refusal: Refusal) -> Response:
        return _answer(refusal, texts)

    def earshot_error(error: EarshotError) -> Response:
        if isinstance(error, InputError):
            return _answer(Refusal(400, f"{error.thing}: {error.problem}", error.remedy), texts)
        log.error("%s", error)
        refusal = Refusal(503, f"{error.thing}: {error.problem}", error.remedy, retry_after_s=RETRY_STORE_S)
        return _answer(refusal, texts)

    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        key = f"error.{status}"
        words = texts.get(key, error.name)
        remedy = texts.get(f"{key}.remedy", texts["error.remedy"])
        return _answer(Refusal(status, words, remedy), texts)

    def crash(error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.path, exc_info=error)
        return _answer(Refusal(500, texts["error.500"], texts["error.500.remedy"]), texts)

    app.register_error_handler(Refusal, refused)
    app.register_error_handler(EarshotError, earshot_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, crash)


def _answer(refusal: Refusal, texts: Texts) -> Response:
    """JSON for programs; a small page for a browser that asked for one."""
    if request.path.startswith("/api") or not request.accept_mimetypes.accept_html:
        response = jsonify(error=refusal.error, remedy=refusal.remedy)
    else:
        response = Response(render_template("error.html", refusal=refusal, t=texts), mimetype="text/html")
    response.status_code = refusal.status
    if refusal.retry_after_s is not None:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
