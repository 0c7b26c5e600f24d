"""The command `earshot`: one module per command, each imported only when it is the one asked for."""

from appliance.cli.main import main

__all__ = ["main"]
