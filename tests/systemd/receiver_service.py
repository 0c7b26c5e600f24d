"""Runs inside an appliance of the tests, as its receiver: sentences for gpsd, pulses for chrony and the kernel's file.

receiver_service.py LAT LON ALT
"""

import contextlib
import socket
import struct
import sys
import time
from pathlib import Path

from systemd.daemon import notify

from tests.devices.receivers import Receiver
from tests.systemd.names import PPS_FOLDER, RECEIVER_PORT

CHRONY_SOCKET = "/run/chrony/pps.sock"


def main() -> None:
    """Serve until killed."""
    receiver = Receiver(port=RECEIVER_PORT)
    receiver.lat_deg, receiver.lon_deg, receiver.alt_m = (float(text) for text in sys.argv[1:4])
    edge = Path(PPS_FOLDER) / "pps0" / "assert"
    edge.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as chrony:
        while True:
            time.sleep(1.0)
            number += 1
            now = time.time()
            sample = struct.pack("@qqdiiii", int(now), int(now % 1 * 1e6), 0.0, 0, 0, 0, 0x534F434B)
            with contextlib.suppress(OSError):  # chronyd is not up yet
                chrony.sendto(sample, CHRONY_SOCKET)
            edge.write_text(f"{int(now)}.000000500#{number}\n", "ascii")


if __name__ == "__main__":
    main()
