"""Health rules: numbers in, a named check with words and remedy out. No data is "unknown", never "ok"."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import NS_PER_MS, UtcNs
from appliance.timing.discipline import ClockVerdict

HEARTBEAT_S = 1.0
PEER_DEAD_AFTER_S = 4.0
"""Four heartbeats: one that is lost to a stall of the network is no death."""
EARS_LATE_AFTER_S = 2.0
"""Blocks come every 10 to 100 ms, and levels of them four times a second."""
DEAF_DBFS = -110.0
"""A 16-bit converter's own noise lies above -98 dBFS; a channel below this delivers zeros."""
MAX_CLOCK_SIGMA_NS = 5 * NS_PER_MS
"""Beyond it a node's picks stay out of fixes: 5 ms are 1.7 m of sound path, as much as the street's scatter."""
GOOD_CLOCK_SIGMA_NS = NS_PER_MS


def is_alive(last_heard_s: float | None, now_s: float) -> bool:
    """Whether a peer that was last heard at `last_heard_s` (monotonic; None: never) counts as alive."""
    return last_heard_s is not None and now_s - last_heard_s < PEER_DEAD_AFTER_S


def ears_check(last_block_age_s: float | None, rms_dbfs: Sequence[float], since_ns: UtcNs) -> HealthCheck:
    """Whether sound arrives, from the age of the newest block (None: none yet) and the level of each channel."""
    if last_block_age_s is None:
        remedy = "wait a moment; if it stays, start earshot listen and look at its messages"
        return HealthCheck("ears", HealthState.UNKNOWN, "no sound yet", None, "s", since_ns, remedy)
    if last_block_age_s > EARS_LATE_AFTER_S:
        remedy = "plug the microphone array in again and look at the messages of earshot listen"
        return HealthCheck("ears", HealthState.FAILED, "no sound arrives", None, "s", since_ns, remedy)
    deaf = [str(i + 1) for i, level in enumerate(rms_dbfs) if level < DEAF_DBFS]
    if deaf:
        words = f"{'channel' if len(deaf) == 1 else 'channels'} {', '.join(deaf)} silent"
        return HealthCheck(
            "ears", HealthState.DEGRADED, words, len(deaf), "channels", since_ns, "check the array's cable"
        )
    return HealthCheck("ears", HealthState.OK, "hearing", max(rms_dbfs, default=None), "dBFS", since_ns, "")


def clock_check(sigma_ns: int | None, since_ns: UtcNs) -> HealthCheck:
    """Whether the time of sound is good enough for fixes; `sigma_ns` None: not known."""
    remedy = "give the GPS receiver a view of the sky and check that its pulse reaches the node"
    if sigma_ns is None:
        return HealthCheck("clock", HealthState.UNKNOWN, "time of sound not known yet", None, "ms", since_ns, remedy)
    sigma_ms = sigma_ns / NS_PER_MS
    if sigma_ns > MAX_CLOCK_SIGMA_NS:
        words = "too uncertain for fixes"
        return HealthCheck("clock", HealthState.FAILED, words, sigma_ms, "ms", since_ns, remedy)
    if sigma_ns > GOOD_CLOCK_SIGMA_NS:
        return HealthCheck("clock", HealthState.DEGRADED, "coasting", sigma_ms, "ms", since_ns, remedy)
    return HealthCheck("clock", HealthState.OK, "in step with UTC", sigma_ms, "ms", since_ns, "")


def discipline_check(verdict: ClockVerdict | None, since_ns: UtcNs) -> HealthCheck:
    """Whether the node's own clock is READY, by the verdict on it; None: there is none yet."""
    if verdict is None:
        return HealthCheck("clock", HealthState.UNKNOWN, "not judged yet", None, "ms", since_ns, "wait some seconds")
    sigma_ns = verdict.mapping.sigma_ns
    remedy = "; ".join(dict.fromkeys(doubt.remedy for doubt in verdict.doubts))
    state = HealthState.OK if verdict.is_ready else HealthState.DEGRADED
    if sigma_ns > MAX_CLOCK_SIGMA_NS:
        state = HealthState.FAILED
    return HealthCheck("clock", state, verdict.words, sigma_ns / NS_PER_MS, "ms", since_ns, remedy)


def place_check(sigma_m: float | None, since_ns: UtcNs) -> HealthCheck:
    """Whether the node knows where it stands; `sigma_m` None: it doesn't."""
    if sigma_m is None:
        remedy = "give the GPS receiver a view of the sky, or enter the surveyed position in the settings"
        return HealthCheck("place", HealthState.UNKNOWN, "position not known yet", None, "m", since_ns, remedy)
    return HealthCheck("place", HealthState.OK, "position known", sigma_m, "m", since_ns, "")


def peers_check(n_alive: int, silent: Sequence[str], refused: Mapping[str, int], since_ns: UtcNs) -> HealthCheck:
    """Whether the mesh is whole: peers alive, those enrolled but silent, and counts of what was refused, by reason."""
    refusals = "; ".join(f"{n} refused: {reason}" for reason, n in sorted(refused.items()))
    if silent:
        words = f"{n_alive} alive, silent: {', '.join(silent)}"
        remedy = "check power and network of the silent nodes"
        state = HealthState.DEGRADED if n_alive else HealthState.FAILED
    elif n_alive == 0:
        words, state = "alone", HealthState.DEGRADED
        remedy = "start a second node; three are needed for a place"
    else:
        words, remedy, state = f"{n_alive} alive", "", HealthState.OK
    words = f"{words}; {refusals}" if refusals else words
    if refusals and not remedy:
        remedy = "find the machine that sends it; good peers are not affected"
    return HealthCheck("peers", state, words, n_alive, "peers", since_ns, remedy)


def storage_check(problem: str | None, remedy: str, since_ns: UtcNs) -> HealthCheck:
    """Whether the database takes records; `problem` None: it does."""
    if problem is None:
        return HealthCheck("storage", HealthState.OK, "records are on disk", None, "", since_ns, "")
    return HealthCheck("storage", HealthState.FAILED, problem, None, "", since_ns, remedy)


class HealthBoard:
    """The checks of one node, each with the time since when its state and words are what they are."""

    def __init__(self) -> None:
        """Begin without checks."""
        self._checks: dict[str, HealthCheck] = {}

    def put(self, check: HealthCheck) -> bool:
        """Take a check in; its `since_ns` counts only where the state changed. Whether it did."""
        old = self._checks.get(check.name)
        if old is not None and old.state == check.state:
            check = replace(check, since_ns=old.since_ns)
        self._checks[check.name] = check
        return old is None or old.state != check.state

    def checks(self) -> tuple[HealthCheck, ...]:
        """All checks, in the order in which they first came."""
        return tuple(self._checks.values())
