"""One TOML file per node, declared once: type, unit, bounds, default and help of every key."""

from appliance.config.settings import Settings, describe, load_settings, parse_settings

__all__ = ["Settings", "describe", "load_settings", "parse_settings"]
