"""Runs inside the emulated node, as root, from the probe's disk: looks at the system and says what it sees, in JSON.

guest.py look      once, when everything has started
guest.py prove     the same, and what the node's program makes of things whose answer is known
guest.py write     looks at what earlier runs of it wrote, then writes until the plug is pulled
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = {
    "pyalsaaudio": "alsaaudio",
    "gpsd-py3": "gpsd",
    "numpy": "numpy",
    "scipy": "scipy",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "flask": "flask",
    "zeroconf": "zeroconf",
    "systemd-python": "systemd.daemon",
}
UNITS = (
    "earshot-mesh",
    "earshot-listen",
    "earshot-web",
    "chrony",
    "gpsd",
    "nftables",
    "earshot-card",
    "systemd-networkd",
)
HERE = Path(__file__).parent
WRITTEN = Path("/data/earshot/emulator.db")


def main() -> None:
    """Write answers to the serial line, one line each."""
    if sys.argv[1] == "write":
        write()
    say("looked", look() | (prove() if sys.argv[1] == "prove" else {}))


def say(what: str, answer: object) -> None:
    """One line on the serial line, whole even where the kernel speaks as well."""
    with Path("/dev/ttyAMA0").open("w", encoding="ascii") as line:
        line.write(f"\n@{what} {json.dumps(answer)}\n")


def run(*command: str) -> str:
    """What a command says; nothing when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def look() -> dict[str, object]:
    """Everything that the test judges."""
    return {
        "units": {unit: run("systemctl", "is-active", unit) for unit in UNITS},
        "failed": run("systemctl", "--failed", "--plain", "--no-legend").split("\n"),
        "restarts": {unit: run("systemctl", "show", "-P", "NRestarts", unit) for unit in UNITS[:3]},
        "boot": run("systemd-analyze", "time"),
        "blame": run("systemd-analyze", "blame").split("\n")[:12],
        "hostname": run("hostname"),
        "root": run("findmnt", "-no", "FSTYPE,OPTIONS", "/"),
        "data_bytes": os.statvfs("/data").f_blocks * os.statvfs("/data").f_frsize,
        "slot": Path("/run/earshot-slot").read_text("ascii").strip(),
        "listening": sorted(set(run("ss", "-Hltnu").split("\n"))),
        "keys": keys(),
        "passwords": [line for line in Path("/etc/shadow").read_text("ascii").split("\n") if "$" in line],
        "settings": Path("/var/lib/earshot/earshot.toml").read_text("utf-8"),
        "setup_code": Path("/var/lib/earshot-web/setup-code").exists(),
        "problems": json.loads(Path("/data/image/problems.json").read_text("utf-8")),
        "watchdog": run("systemctl", "show", "-P", "RuntimeWatchdogUSec"),
        "memory": run("free", "-m").split("\n"),
        "journal": run("journalctl", "-b", "-p", "warning", "--no-pager", "-o", "cat").split("\n")[-40:],
    }


def prove() -> dict[str, object]:
    """What must be the same as on the machine that built the image."""
    return {
        "packages": packages(),
        "classified": earshot("classify", str(HERE / "sound.flac")),
        "located": located(),
    }


def keys() -> dict[str, str]:
    """The node's public identity: a digest of each file in its folder of keys."""
    folder = Path("/var/lib/earshot/keys")
    return {file.name: run("sha256sum", str(file))[:16] for file in sorted(folder.iterdir()) if file.is_file()}


def packages() -> dict[str, str]:
    """The versions of the eight packages; each is imported in the node's own Python."""
    script = (
        "import importlib, importlib.metadata, json, sys\n"
        "for name, module in json.loads(sys.argv[1]).items():\n"
        "    try:\n"
        "        importlib.import_module(module)\n"
        "        print(name, importlib.metadata.version(name))\n"
        "    except Exception as error:\n"
        "        print(name, type(error).__name__)\n"
    )
    said = run("/opt/earshot/bin/python3", "-c", script, json.dumps(PACKAGES))
    return dict(line.split(" ", 1) for line in said.split("\n") if line)


def earshot(*arguments: str) -> str:
    """What the node's own program says."""
    done = subprocess.run(["/opt/earshot/bin/earshot", *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else f"FAILED {done.stderr[-600:]}"


def located() -> list[object]:
    """The incidents of the committed picks."""
    said = earshot("locate", str(HERE / "picks.json"), "--out", "/run/located")
    if said.startswith("FAILED"):
        return [said]
    return [json.loads(line) for file in Path("/run/located").iterdir() for line in file.read_text().splitlines()]


def write() -> None:
    """Check what was acknowledged before the last cut, then write and acknowledge until the next."""
    db = sqlite3.connect(WRITTEN)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE IF NOT EXISTS written (n INTEGER PRIMARY KEY, body BLOB)")
    check = db.execute("PRAGMA quick_check").fetchone()[0]
    last = db.execute("SELECT coalesce(max(n), 0) FROM written").fetchone()[0]
    node = quick_check(Path("/var/lib/earshot/node.db"))
    say("found", {"check": check, "last": last, "node": node, "data": run("findmnt", "-no", "OPTIONS", "/data")})
    while True:
        last += 1
        db.execute("DELETE FROM written WHERE n < ?", (last - 500,))
        db.execute("INSERT INTO written VALUES (?, ?)", (last, os.urandom(20_000)))
        db.commit()
        file = WRITTEN.with_name("emulator.new")
        file.write_bytes(os.urandom(50_000))
        file.replace(WRITTEN.with_name("emulator.bin"))
        if last % 10 == 0:
            say("wrote", last)
        time.sleep(0.02)


def quick_check(database: Path) -> str:
    """Whether the node's own database is whole; it may not be there yet."""
    if not database.exists():
        return "absent"
    return str(sqlite3.connect(f"file:{database}?mode=ro", uri=True).execute("PRAGMA quick_check").fetchone()[0])


if __name__ == "__main__":
    main()
