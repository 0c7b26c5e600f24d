"""Logging in and out, the owner's first login, and who may log in at all."""

import time

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from appliance.errors import InputError
from web.access import cookie_name, current_person, drop_cookie, note, set_cookie
from web.api import json_response
from web.people import MIN_PASSWORD_CHARS, People, Refused
from web.problems import Refusal
from web.roles import Role
from web.site import current_site

MAX_FIELD_CHARS = 300
AUDIT_SHOWN = 200

blueprint = Blueprint("login", __name__)


@blueprint.get("/login")
def log_in() -> AnyResponse | str:
    """The form; the first person of a node is sent to make themselves its owner."""
    people = _people()
    if not people.has_owner():
        return redirect(url_for("login.set_up"))
    return _form("login.html")


@blueprint.post("/login")
def take_log_in() -> AnyResponse | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Begin a session, or say that name and password don't fit, or how long to wait."""
    texts = current_site().texts
    result = _people().log_in(_field("name"), _field("password"), request.remote_addr or "", time.time_ns())
    if not isinstance(result, Refused):
        response = redirect(_next())
        set_cookie(response, result.cookie)
        return response
    if result.wait_s:
        words = texts.say("login.wait", seconds=result.wait_s)
        return _form("login.html", problem=words), 429, {"Retry-After": str(result.wait_s)}
    return _form("login.html", problem=texts["login.wrong"]), 403


@blueprint.get("/setup")
def set_up() -> AnyResponse | str:
    """The form that makes the first person the owner; once there is one it leads to the login."""
    if _people().has_owner():
        return redirect(url_for("login.log_in"))
    return _form("setup.html")


@blueprint.post("/setup")
def take_set_up() -> AnyResponse | tuple[str, int]:
    """Make the owner and log them in, where the code is that of the node."""
    people, texts, now_ns = _people(), current_site().texts, time.time_ns()
    address = request.remote_addr or ""
    wait_s = people.wait_s(address, now_ns)
    if wait_s:
        return _form("setup.html", problem=texts.say("login.wait", seconds=wait_s)), 429
    name, password = _field("name"), _field("password")
    try:
        if not people.set_owner(_field("code"), name, password, now_ns):
            people.note_guess(address, now_ns)
            return _form("setup.html", problem=texts["setup.wrong"]), 403
    except InputError as error:
        return _form("setup.html", problem=f"{error.thing} {error.problem}: {error.remedy}"), 400
    people.note(name, address, "owner made", "", now_ns)
    login = people.log_in(name, password, address, now_ns)
    response = redirect(url_for("pages.board"))
    if not isinstance(login, Refused):
        set_cookie(response, login.cookie)
    return response


@blueprint.post("/logout")
def log_out() -> AnyResponse:
    """End the session of this browser."""
    people, cookie = current_site().people, request.cookies.get(cookie_name())
    if people is not None and cookie:
        people.log_out(cookie)
    response = redirect("/")
    drop_cookie(response)
    return response


@blueprint.get("/api/pass")
def own_pass() -> Response:
    """A pass for the other nodes, and who the person is; `pass` null where this node can make none."""
    person = current_person()
    made = current_site().passes.issue(person, time.time_ns())
    return json_response({"name": person.name, "role": person.role, "pass": made})


@blueprint.get("/people")
def people() -> str:
    """Who may log in, and what was done lately."""
    return _people_page()


@blueprint.post("/people")
def add() -> AnyResponse | tuple[str, int]:
    """Let one more person log in."""
    try:
        role = _role(_field("role"))
        _people().add(_field("name"), role, _field("password"), time.time_ns())
    except InputError as error:
        return _people_page(f"{error.thing} {error.problem}: {error.remedy}"), 400
    note("person added", f"{_field('name')} as {role}")
    return redirect(url_for("login.people"))


@blueprint.post("/people/remove")
def remove() -> AnyResponse | tuple[str, int]:
    """End a person's access and sessions."""
    try:
        _people().remove(_field("name"))
    except InputError as error:
        return _people_page(f"{error.thing} {error.problem}: {error.remedy}"), 400
    note("person removed", _field("name"))
    return redirect(url_for("login.people"))


def _role(text: str) -> Role:
    if text not in list(Role):
        raise InputError("role", f"{text[:40]!a} is none", f"choose one of {', '.join(Role)}")
    return Role(text)


def _people_page(problem: str = "") -> str:
    site, people = current_site(), _people()
    return render_template(
        "people.html",
        t=site.texts,
        title=site.settings.title,
        person=current_person(),
        users=people.users(),
        audit=people.audit(AUDIT_SHOWN),
        roles=list(Role),
        problem=problem,
        least=MIN_PASSWORD_CHARS,
    )


def _people() -> People:
    """The people's database. Raises Refusal where this process was started without one."""
    site = current_site()
    if site.people is None:
        raise Refusal(404, site.texts["error.no-people"], site.texts["error.no-people.remedy"])
    return site.people


def _field(name: str) -> str:
    return request.form.get(name, "")[:MAX_FIELD_CHARS]


def _form(template: str, problem: str = "") -> str:
    site = current_site()
    return render_template(
        template,
        t=site.texts,
        title=site.settings.title,
        problem=problem,
        next=_next(),
        name=_field("name"),
        least=MIN_PASSWORD_CHARS,
    )


def _next() -> str:
    """Where to go after the login: a page of this node, never another address."""
    wanted = request.form.get("next") or request.args.get("next") or "/"
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted[:MAX_FIELD_CHARS] if is_ours else "/"
