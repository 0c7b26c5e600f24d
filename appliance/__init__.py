"""Earshot: a field appliance that hears, times and locates gunfire as a mesh of nodes."""

__version__ = "0.1.0"
