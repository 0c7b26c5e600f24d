"""Sites with enrolled nodes, and what waits for conditions in an event loop."""

import asyncio
import time

from appliance.mesh.trust import create_site, load_credentials

TIMEOUT_S = 15.0
"""Generous, because the machine may be busy; nothing waits for as long unless it fails."""


def enrolled(folder, *nodes, site=None):
    """Credentials of `nodes`, all of one site."""
    authority = site or create_site("test")
    for node in nodes:
        authority.enrol(node, folder / node / "keys")
    return [load_credentials(folder / node / "keys") for node in nodes]


async def until(condition, timeout_s=TIMEOUT_S):
    """Wait for a condition to hold; an AssertionError names it otherwise."""
    deadline_s = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline_s, "this never came true"
        await asyncio.sleep(0.005)
    return result
