"""The page that people look at."""

from flask import Blueprint, render_template

from web.site import current_site

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def live() -> str:
    """Map, incidents and nodes as they are now; everything else comes over the API."""
    site = current_site()
    own = next((node for node in site.reader.nodes() if node.get("self")), None)
    boot = {
        "texts": dict(site.texts),
        "language": site.texts.language,
        "heartbeat_s": site.settings.heartbeat_s,
        "own_node": None if own is None else own["id"],
    }
    return render_template(
        "live.html", t=site.texts, title=site.settings.title, node=boot["own_node"], boot=boot, lang=site.texts.language
    )
