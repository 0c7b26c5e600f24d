"""What chrony says of the system clock, asked of chronyc; it has the only client of its protocol that is kept."""

import math
import subprocess
from collections.abc import Sequence

from appliance.timing.discipline import Tracking, Unknown

COMMAND = ("chronyc", "-n", "-c", "tracking")
"""Over loopback, port 323, which any user may ask (chronyc(1)); -c: one line of fields with commas between."""
TIMEOUT_S = 2.0
N_FIELDS = 14
MAX_LINE = 1_000


def read_tracking(command: Sequence[str] = COMMAND) -> Tracking | Unknown:
    """What chronyd on this machine says now. Waits `TIMEOUT_S` at most."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, text=True, check=False
        )
    except FileNotFoundError:
        return Unknown("chrony is not installed")
    except (OSError, UnicodeDecodeError) as error:
        return Unknown(f"chronyc can't be run ({error})")
    except subprocess.TimeoutExpired:
        return Unknown("chrony does not answer")
    if done.returncode != 0:
        return Unknown("chrony does not answer")
    return parse_tracking(done.stdout)


def parse_tracking(line: str) -> Tracking | Unknown:
    """The line that `chronyc -n -c tracking` prints.

    Fields: reference id, its name, stratum, reference time, offset of the system clock (positive: slow), last offset,
    its root mean square, frequency, residual frequency, skew, root delay, root dispersion, usual interval, leap status.
    """
    fields = line.strip()[:MAX_LINE].split(",")
    if len(fields) != N_FIELDS:
        return Unknown("chrony gave a strange answer")
    if fields[13] == "Not synchronised":
        return Unknown("chrony follows no source yet")
    try:
        reference_utc_s, offset_s, delay_s, dispersion_s, interval_s = (float(fields[i]) for i in (3, 4, 10, 11, 12))
    except ValueError:
        return Unknown("chrony gave a strange answer")
    bound_s = abs(dispersion_s) + abs(delay_s) / 2.0
    if not all(map(math.isfinite, (reference_utc_s, offset_s, bound_s, interval_s))):
        return Unknown("chrony gave a strange answer")
    return Tracking(offset_s, bound_s, _name(fields), reference_utc_s, max(0.0, interval_s))


def _name(fields: Sequence[str]) -> str:
    """A short plain name of the source: chrony's, or the address."""
    return "".join(c for c in fields[1] if c.isalnum() or c in ".:-")[:40] or "its source"
