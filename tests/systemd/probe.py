"""Runs inside a unit's sandbox before its process: tries what the sandbox is there to refuse, and prints what came.

probe.py NAME
"""

import errno
import json
import os
import socket
import sys

ADDRESSES = {
    "inet": (socket.AF_INET, ("127.0.0.1", 2947)),
    "inet of a peer": (socket.AF_INET, ("10.78.0.254", 9)),
    "inet6": (socket.AF_INET6, ("::1", 2947)),
    "netlink": (socket.AF_NETLINK, (0, 0)),
    "packet": (socket.AF_PACKET, ("lo", 0)),
}
DEVICES = ("/dev/snd/pcmC9D0c", "/opt/test/pcmC9D0c")
WRITES = ("/var/lib/earshot/probe", "/etc/probe", "/home/probe", "/opt/test/probe")
TEMPORARY = ("/tmp", "/var/tmp")
READS = ("/var/lib/earshot/keys/node.key", "/var/lib/earshot/node.db", "/root")


def name_of(error: OSError) -> str:
    """EPERM and the like."""
    return errno.errorcode.get(error.errno or 0, str(error))


def connect(family: int, address: object) -> str:
    """What connect() says; datagrams and streams."""
    try:
        kind = socket.SOCK_RAW if family in (socket.AF_NETLINK, socket.AF_PACKET) else socket.SOCK_STREAM
        with socket.socket(family, kind) as probe:
            probe.settimeout(2.0)
            if family in (socket.AF_NETLINK, socket.AF_PACKET):
                probe.bind(address)  # type: ignore[arg-type]  # each family has its own
            else:
                probe.connect(address)  # type: ignore[arg-type]  # each family has its own
    except TimeoutError:
        return "ETIMEDOUT"
    except OSError as error:
        return name_of(error)
    return "ok"


def opened(path: str, flags: int) -> str:
    """What open() says."""
    try:
        os.close(os.open(path, flags, 0o600))
    except OSError as error:
        return name_of(error)
    return "ok"


def file_system(path: str) -> str:
    """The kind of file system that is mounted at a path, by the last line about it."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:  # noqa: PTH123 - the least code in a sandbox
        kinds = [line.split()[2] for line in mounts if line.split()[1] == path]
    return kinds[-1] if kinds else "none of its own"


def main() -> None:
    """Print one line of JSON."""
    found = {
        "uid": os.getuid(),
        "connect": {name: connect(*where) for name, where in ADDRESSES.items()},
        "device": {path: opened(path, os.O_RDONLY) for path in DEVICES},
        "write": {path: opened(path, os.O_WRONLY | os.O_CREAT) for path in WRITES},
        "temporary": {path: file_system(path) for path in TEMPORARY},
        "read": {path: opened(path, os.O_RDONLY) for path in READS},
    }
    print(f"PROBE {sys.argv[1]} {json.dumps(found)}")


if __name__ == "__main__":
    main()
