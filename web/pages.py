"""The pages that people look at; what they show comes over the API."""

from typing import Any

from flask import Blueprint, current_app, render_template

from web.access import current_person
from web.api import own_node
from web.openapi import document
from web.site import current_site

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def board() -> str:
    """Map, incidents and nodes as they are now."""
    return _page("live.html")


@blueprint.get("/patrol")
def patrol() -> str:
    """A patrol car's page: the alert, and what the unit does about it."""
    return _page("patrol.html")


@blueprint.get("/status")
def status() -> str:
    """How this node is: six tiles."""
    return _page("status.html")


@blueprint.get("/install")
def install() -> str:
    """The technician's steps until the node is ready."""
    return _page("install.html")


@blueprint.get("/incidents/<incident_id>")
def incident(incident_id: str) -> str:
    """Everything about one incident, and what people made of it."""
    return _page("incident.html", incident=incident_id)


@blueprint.get("/interface")
def interface() -> str:
    """The interface for programs, to read."""
    return _page("interface.html", document=document(current_app))


def _page(template: str, **more: Any) -> str:  # noqa: ANN401  # whatever the template needs
    site, person = current_site(), current_person()
    own = own_node(site.reader.nodes())
    boot = {
        "texts": dict(site.texts),
        "language": site.texts.language,
        "heartbeat_s": site.settings.heartbeat_s,
        "own_node": None if own is None else own["id"],
        "person": person.name,
        "role": person.role,
        "proof": person.proof,
        "csrf": person.csrf,
        **({"incident": more["incident"]} if "incident" in more else {}),
    }
    return render_template(
        template,
        t=site.texts,
        title=site.settings.title,
        node=boot["own_node"],
        boot=boot,
        lang=site.texts.language,
        person=person,
        **more,
    )
