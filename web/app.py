"""Makes the Flask application out of settings and a reader of the node's database."""

from flask import Flask

from web import access, api, live, pages, problems
from web.hub import Hub
from web.mapfile import MapFile
from web.reader import Reader
from web.settings import WebSettings
from web.site import EXTENSION, Site
from web.texts import load_texts
from web.views import presenter
from web.watch import Watch

MAX_REQUEST_BYTES = 64 * 1024


def create_app(settings: WebSettings, reader: Reader) -> Flask:
    """The pages and the API of one node. No thread starts before somebody listens; `site_of(app).close()` ends all."""
    texts = load_texts(settings.language)
    app = Flask("web", static_folder="static", template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    hub = Hub(
        reader,
        presenter(reader, texts),
        max_clients=settings.max_event_clients,
        queue_limit=settings.event_queue,
    )
    watch = Watch(hub, settings.control_socket)
    app.extensions[EXTENSION] = Site(settings, reader, texts, hub, watch, MapFile(settings.map_file))
    access.install(app, settings, texts)
    problems.install(app, texts)
    for part in (pages, api, live):
        app.register_blueprint(part.blueprint)
    return app
