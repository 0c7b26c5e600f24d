"""The site's nodes as an installer changes them: letting one in by a code, entering another site, taking one out."""

from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from web import present
from web.access import current_person, note
from web.site import current_site

MAX_FIELD_CHARS = 255
JOIN_TIMEOUT_S = 30.0
"""The other node may be slow to answer, and mesh gives up before that."""

blueprint = Blueprint("members", __name__)


class Opened(msgspec.Struct, frozen=True):
    """What mesh gives back when it opened the site: the code, the port that it is for, and until when (UTC)."""

    code: str
    port: int
    until_ns: int


@blueprint.get("/nodes")
def page() -> str:
    """The nodes of the site, and the forms that change which there are."""
    return _page()


@blueprint.post("/nodes/open")
def open_site() -> str | tuple[str, int]:
    """Let one new node in: shows the code that it needs."""
    answer = current_site().mesh.command("open-joining", {}, current_person().name)
    if not answer.ok:
        return _page(problem=answer.reason), 409
    note("site opened for a node")
    return _page(opened=msgspec.msgpack.decode(answer.body, type=Opened))


@blueprint.post("/nodes/join")
def join() -> AnyResponse | tuple[str, int]:
    """Enter the site of a node that shows a code; mesh starts again as one of its nodes."""
    host, _, port = _field("address").rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        return _page(problem=current_site().texts["members.address.wrong"]), 400
    body = {"code": _field("code")[:100], "address": host.strip("[]"), "port": int(port)}
    answer = current_site().mesh.command("join", body, current_person().name, timeout_s=JOIN_TIMEOUT_S)
    if not answer.ok:
        return _page(problem=answer.reason), 409
    note("site entered", _field("address"))
    return redirect(url_for("members.page"))


@blueprint.post("/nodes/revoke")
def revoke() -> AnyResponse | tuple[str, int]:
    """Take a node out of the site for good."""
    if request.form.get("sure") != "yes":
        return _page(problem=current_site().texts["members.sure.wrong"]), 400
    body = {"node": _field("node")[:64], "reason": _field("reason")[:200]}
    answer = current_site().mesh.command("revoke", body, current_person().name)
    if not answer.ok:
        return _page(problem=answer.reason), 409
    note("node taken out", f"{body['node']}: {body['reason']}")
    return redirect(url_for("members.page"))


def _page(problem: str = "", opened: Opened | None = None) -> str:
    site = current_site()
    return render_template(
        "nodes.html",
        t=site.texts,
        title=site.settings.title,
        person=current_person(),
        nodes=present.nodes(site.reader.nodes(), site.texts),
        problem=problem,
        opened=opened,
        address=None if opened is None else f"{urlsplit(request.host_url).hostname}:{opened.port}",
    )


def _field(name: str) -> str:
    return request.form.get(name, "").strip()[:MAX_FIELD_CHARS]
