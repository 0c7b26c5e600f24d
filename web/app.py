"""Makes the Flask application out of settings and a reader of the node's database."""

from flask import Flask

from web import access, api, clips, live, login, members, owner, pages, present, problems, remarks, trust
from web.geography import Geography
from web.hub import Hub
from web.mapfile import MapFile
from web.mesh import Mesh
from web.passes import Passes
from web.people import People
from web.reader import Reader
from web.settings import WebSettings
from web.site import EXTENSION, Site
from web.texts import load_texts
from web.views import presenter
from web.watch import Watch

MAX_REQUEST_BYTES = 64 * 1024


def create_app(settings: WebSettings, reader: Reader, people: People | None = None) -> Flask:
    """The pages and the API of one node. No thread starts before somebody listens; `site_of(app).close()` ends all.

    Without `people` nobody can log in: the token and, where it is open, loopback are the only ways in.
    """
    texts = load_texts(settings.language)
    app = Flask("web", static_folder="static", template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["utc"] = present.iso_time
    geography = Geography(settings.geography, settings.map_file)
    hub = Hub(
        reader,
        presenter(reader, texts, geography),
        max_clients=settings.max_event_clients,
        queue_limit=settings.event_queue,
    )
    watch = Watch(hub, settings.control_socket)
    app.extensions[EXTENSION] = Site(
        settings=settings,
        reader=reader,
        texts=texts,
        hub=hub,
        watch=watch,
        map=MapFile(settings.map_file),
        people=people,
        passes=Passes(settings.page_keys),
        mesh=Mesh(settings.control_socket),
        geography=geography,
    )
    access.install(app)
    problems.install(app, texts)
    for part in (pages, api, clips, live, login, members, owner, remarks, trust):
        app.register_blueprint(part.blueprint)
    return app
