"""The node's database (SQLite) and its status file: mesh writes them, web reads them."""

from appliance.storage.reader import Event, StoreReader

__all__ = ["Event", "StoreReader"]
