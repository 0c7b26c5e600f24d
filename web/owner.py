"""The page on which the owner gives the node streets, zones and named places."""

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from appliance.errors import InputError
from web.access import current_person, note
from web.geography import MAX_BYTES
from web.problems import Refusal
from web.site import current_site

blueprint = Blueprint("geography", __name__)


@blueprint.get("/geography")
def page() -> str:
    """What the node knows of streets, zones and places, and the forms to give it more."""
    return _page()


@blueprint.post("/geography")
def give() -> AnyResponse | tuple[str, int]:
    """Take a file of streets, zones or places into use."""
    site = current_site()
    kind, upload = request.form.get("kind", "")[:40], request.files.get("file")
    if upload is None:
        raise Refusal(400, site.texts["geography.no-file"], site.texts["geography.no-file.remedy"])
    data = upload.stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Refusal(413, site.texts["error.413"], site.texts["error.413.remedy"])
    try:
        site.geography.store(kind, data)
    except InputError as error:
        return _page(f"{error.thing} {error.problem}: {error.remedy}"), 400
    note("geography given", kind)
    return redirect(url_for("geography.page"))


def _page(problem: str = "") -> str:
    site = current_site()
    known = site.geography.gazetteer()
    return render_template(
        "geography.html",
        t=site.texts,
        title=site.settings.title,
        person=current_person(),
        counts={"streets": len(known.streets.names), "zones": len(known.zones), "places": len(known.places)},
        problems=site.geography.problems,
        problem=problem,
    )
