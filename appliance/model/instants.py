"""Absolute time: whole nanoseconds of UTC since 1970-01-01T00:00:00Z, as a Python int."""

from typing import NewType

UtcNs = NewType("UtcNs", int)
"""UTC, integer nanoseconds since the epoch."""

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000
