"""The pages of a node: a process of its own that reads the database and never touches detection."""

from web.app import create_app
from web.settings import WebSettings

__all__ = ["WebSettings", "create_app"]
