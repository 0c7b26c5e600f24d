"""Picks in, incidents out: which sounds are one shot, where it was, and how sure that is."""

from appliance.locate.locating import locate_incidents

__all__ = ["locate_incidents"]
