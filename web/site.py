"""What every request needs, kept in one place on the Flask application."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from web.geography import Geography
from web.hub import Hub
from web.mapfile import MapFile
from web.mesh import Mesh
from web.passes import Passes
from web.people import People
from web.reader import Reader
from web.settings import WebSettings
from web.texts import Texts
from web.watch import Watch

EXTENSION = "earshot"


@dataclass(frozen=True, slots=True)
class Site:
    """The parts of one web process."""

    settings: WebSettings
    reader: Reader
    texts: Texts
    hub: Hub
    watch: Watch
    map: MapFile
    people: People | None
    passes: Passes
    mesh: Mesh
    geography: Geography

    def close(self) -> None:
        """End all streams and the thread that feeds them."""
        self.hub.close()
        self.watch.stop()


def site_of(app: Flask) -> Site:
    """The site that `app` serves."""
    return cast("Site", app.extensions[EXTENSION])


def current_site() -> Site:
    """The site of the request that is being answered."""
    return site_of(current_app)
