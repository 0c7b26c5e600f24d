"""Health rules: numbers in, a named check with words and remedy out. No data is "unknown", never "ok"."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import NS_PER_MS, NS_PER_S, UtcNs
from appliance.timing.discipline import ClockVerdict, Unknown

HEARTBEAT_S = 1.0
PEER_DEAD_AFTER_S = 4.0
"""Four heartbeats: one that is lost to a stall of the network is no death."""
EARS_LATE_AFTER_S = 2.0
"""Blocks come every 10 to 100 ms, and levels of them four times a second."""
DEAF_DBFS = -110.0
"""A 16-bit converter's own noise lies above -98 dBFS; a channel below this delivers zeros."""
MAX_CLOCK_SIGMA_NS = 5 * NS_PER_MS
"""Beyond it a node's picks stay out of fixes: 5 ms are 1.7 m of sound path, as much as the street's scatter."""
MAX_HEARTBEAT_OFF_NS = 2 * NS_PER_S
"""A heartbeat is read a stall of the network late at most; a clock set by hand or never is off by more."""
GOOD_CLOCK_SIGMA_NS = NS_PER_MS
LITTLE_SPACE_BYTES = 500_000_000
"""A busy week's log; below this a node soon can't keep it."""
NO_SPACE_BYTES = 50_000_000
WORN_CARD = 0.8
WORN_OUT_CARD = 1.0
"""Shares of the rated life, as the card tells them in steps of a tenth."""
HOT_C = 75.0
TOO_HOT_C = 82.0
"""A Raspberry Pi begins to throttle at 80 °C (4) or 85 °C (5)."""
FULL_SPEED = 0.99
RECENT_LOW_H = 24.0
"""A supply that dipped within the last day will again."""


def is_alive(last_heard_s: float | None, now_s: float) -> bool:
    """Whether a peer that was last heard at `last_heard_s` (monotonic; None: never) counts as alive."""
    return last_heard_s is not None and now_s - last_heard_s < PEER_DEAD_AFTER_S


def ears_check(
    last_block_age_s: float | None, rms_dbfs: Sequence[float], since_ns: UtcNs, clipped: Sequence[int] = ()
) -> HealthCheck:
    """Whether sound arrives, from the age of the newest block (None: none yet) and the level of each channel.

    `clipped` are the channels, from 0, that have been at the rail most of the time for a while.
    """
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
    if clipped:
        names = ", ".join(str(i + 1) for i in clipped)
        words = f"{'channel' if len(clipped) == 1 else 'channels'} {names} at the rail all the time"
        remedy = "lower the array's gain, or replace it: a microphone may be broken"
        return HealthCheck("ears", HealthState.DEGRADED, words, len(clipped), "channels", since_ns, remedy)
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


def peer_trouble(checks: Sequence[HealthCheck], ahead_ns: int | None) -> str:
    """What is wrong with a peer that is alive, so that it is no help in locating; empty: nothing that is known.

    checks:   what it says of itself
    ahead_ns: how far its time was ahead of this node's at its last heartbeat; None: not known
    """
    words = [f"{c.name}: {c.words}" for c in checks if c.name in ("ears", "clock") and c.state is HealthState.FAILED]
    if ahead_ns is not None and abs(ahead_ns) > MAX_HEARTBEAT_OFF_NS:
        words.append(f"time differs by {abs(ahead_ns) / NS_PER_S:.1f} s from this node's")
    return ", ".join(words)


def peers_check(
    n_alive: int, silent: Sequence[str], troubled: Mapping[str, str], refused: Mapping[str, int], since_ns: UtcNs
) -> HealthCheck:
    """Whether the mesh is whole.

    n_alive:  peers alive
    silent:   those enrolled but silent
    troubled: those alive that are no help in locating, with what is wrong with each
    refused:  counts of what was refused, by reason
    """
    state, remedy = HealthState.OK, ""
    words = [f"{n_alive} alive"]
    if n_alive == 0:
        state, words = HealthState.DEGRADED, ["alone"]
        remedy = "start a second node; three are needed for a place"
    if troubled:
        words += [f"{node} hears with trouble ({what})" for node, what in sorted(troubled.items())]
        state, remedy = HealthState.DEGRADED, "open the page of the node that is named, and do what its health says"
    if silent:
        words[0] = f"{n_alive} alive, silent: {', '.join(silent)}"
        state = HealthState.DEGRADED if n_alive else HealthState.FAILED
        remedy = "check power and network of the silent nodes"
    words += [f"{n} refused: {reason}" for reason, n in sorted(refused.items())]
    if refused and not remedy:
        remedy = "find the machine that sends it; good peers are not affected"
    return HealthCheck("peers", state, "; ".join(words), n_alive, "peers", since_ns, remedy)


def storage_check(problem: str | None, remedy: str, since_ns: UtcNs) -> HealthCheck:
    """Whether the database takes records; `problem` None: it does."""
    if problem is None:
        return HealthCheck("storage", HealthState.OK, "records are on disk", None, "", since_ns, "")
    return HealthCheck("storage", HealthState.FAILED, problem, None, "", since_ns, remedy)


def alerts_check(n_pages: int | None, since_ns: UtcNs) -> HealthCheck:
    """Whether alerts reach people: how many page processes listen to mesh; None: too early to say."""
    remedy = "start earshot web and look at its messages; cars read the pages of other nodes meanwhile"
    if n_pages is None:
        return HealthCheck("alerts", HealthState.UNKNOWN, "not known yet", None, "pages", since_ns, "wait some seconds")
    if n_pages == 0:
        words = "no page takes this node's alerts"
        return HealthCheck("alerts", HealthState.FAILED, words, 0.0, "pages", since_ns, remedy)
    return HealthCheck("alerts", HealthState.OK, "the page takes alerts", float(n_pages), "pages", since_ns, "")


def disk_check(free_bytes: int, total_bytes: int, card_used: float | Unknown, since_ns: UtcNs) -> HealthCheck:
    """Whether the disk has room, and whether its card wears out."""
    share = free_bytes / max(1, total_bytes)
    words = f"{free_bytes / 1e9:.1f} GB free ({share:.0%})"
    remedy, state = "", HealthState.OK
    if not isinstance(card_used, Unknown):
        words += f", {card_used:.0%} of the card's life used"
        if card_used >= WORN_CARD:
            remedy = "replace the card: export the records first"
            state = HealthState.FAILED if card_used > WORN_OUT_CARD else HealthState.DEGRADED
    if free_bytes < LITTLE_SPACE_BYTES:
        remedy = "delete files that are not Earshot's, or use a larger card"
        state = HealthState.FAILED if free_bytes < NO_SPACE_BYTES else max(state, HealthState.DEGRADED, key=_severity)
    return HealthCheck("disk", state, words, free_bytes / 1e9, "GB", since_ns, remedy)


def power_check(hours_since_low: float | Unknown | None, since_ns: UtcNs) -> HealthCheck:
    """Whether the supply holds: hours since it was too low, 0 while it is, None where it never was since the start."""
    remedy = "use a supply of 5.1 V and 3 A (5 A for a Pi 5) with a short thick cable, and fewer USB devices"
    if isinstance(hours_since_low, Unknown):
        return HealthCheck("power", HealthState.UNKNOWN, hours_since_low.reason, None, "h", since_ns, "")
    if hours_since_low is None or hours_since_low >= RECENT_LOW_H:
        return HealthCheck("power", HealthState.OK, "the supply holds", hours_since_low, "h", since_ns, "")
    if hours_since_low == 0.0:
        return HealthCheck("power", HealthState.FAILED, "the supply is too low", 0.0, "h", since_ns, remedy)
    words = f"the supply was too low {hours_since_low:.1f} h ago"
    return HealthCheck("power", HealthState.DEGRADED, words, hours_since_low, "h", since_ns, remedy)


def temperature_check(temperature_c: float | Unknown, throttled_to: float | Unknown, since_ns: UtcNs) -> HealthCheck:
    """Whether the processor is cool enough to run at full speed."""
    remedy = "shade the enclosure, clear its vents, add a heat sink"
    if isinstance(temperature_c, Unknown):
        return HealthCheck("temperature", HealthState.UNKNOWN, temperature_c.reason, None, "°C", since_ns, "")
    words = f"{temperature_c:.0f} °C"
    state = HealthState.DEGRADED if temperature_c >= HOT_C else HealthState.OK
    if temperature_c >= TOO_HOT_C:
        state = HealthState.FAILED
    if not isinstance(throttled_to, Unknown) and throttled_to < FULL_SPEED:
        words += f", held to {throttled_to:.0%} of its speed"
        state = max(state, HealthState.DEGRADED, key=_severity)
    return HealthCheck(
        "temperature", state, words, temperature_c, "°C", since_ns, "" if state is HealthState.OK else remedy
    )


def _severity(state: HealthState) -> int:
    return (HealthState.OK, HealthState.UNKNOWN, HealthState.DEGRADED, HealthState.FAILED).index(state)


class HealthBoard:
    """The checks of one node, each with the time since when its state and words are what they are."""

    def __init__(self) -> None:
        """Begin without checks."""
        self._checks: dict[str, HealthCheck] = {}

    def put(self, checks: Sequence[HealthCheck]) -> bool:
        """Take in all checks of this moment; those not among them are forgotten. Whether a state is another one.

        The `since_ns` of a check counts only where its state changed.
        """
        before, self._checks = self._checks, {}
        for check in checks:
            old = before.get(check.name)
            is_same = old is not None and old.state == check.state
            self._checks[check.name] = replace(check, since_ns=old.since_ns) if old is not None and is_same else check
        return {n: c.state for n, c in before.items()} != {n: c.state for n, c in self._checks.items()}

    def checks(self) -> tuple[HealthCheck, ...]:
        """All checks, in the order in which they came."""
        return tuple(self._checks.values())
