"""Loads the fakes beside it (tests are no package), and serves the application to what needs a real socket."""

import importlib.util
import sys
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from web import WebSettings, create_app
from web.site import site_of


def _load(name):
    spec = importlib.util.spec_from_file_location(f"earshot_tests_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fakes():
    return _load("fakes")


@pytest.fixture
def store(fakes):
    store = fakes.FakeStore()
    store.put_nodes([fakes.node(name, own=name == "n1") for name in fakes.NODE_PLACES_M])
    return store


@pytest.fixture
def make_client(store):
    """Makes a test client of an application with the settings given."""
    apps = []

    def make(people=None, **settings):
        app = create_app(WebSettings(**{"open_loopback": True, **settings}), store, people)
        apps.append(app)
        return app.test_client()

    yield make
    for app in apps:
        site_of(app).close()


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def serve(store):
    """Serves an application with the settings given on a real port; returns its address and the application."""
    running = []

    def start(people=None, **settings):
        app = create_app(WebSettings(**{"open_loopback": True, **settings}), store, people)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        running.append((app, server, thread))
        return f"http://127.0.0.1:{server.server_port}", app

    yield start
    for app, server, thread in running:
        site_of(app).close()
        server.shutdown()
        server.server_close()
        thread.join()
