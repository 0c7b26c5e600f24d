"""Boots the image and puts down what it showed. `image-build/test --help`."""

import argparse
import base64
import datetime
import itertools
import json
import os
import platform
import random
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from emulator.guest import PACKAGES
from emulator.machine import Boot, Machine, make_card, make_probe, read_firmware, write_firmware

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
CARD_MIB = 4096
PARTITION_TABLE = 446
CODE = "emulator-2026"
NAME = "front-gate"
NOT_MEASURED = [
    "a real Raspberry Pi: GPU firmware, config.txt, overlays, SD card, Wi-Fi, PPS, microphones, watchdog",
    "power cuts with a drive that loses or tears what it acknowledged: a killed emulator keeps it",
    "from power to listening on a Pi 4",
]


def main() -> int:
    """Run all steps; status 1 if one failed. What was seen until a step broke off is put down all the same."""
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="earshot-image-", dir=arguments.scratch) as folder:
        trial = Trial(arguments.image, Path(folder), arguments.timeout_s, is_busy=arguments.busy)
        try:
            trial.run(arguments.cuts)
        except (EOFError, OSError, KeyboardInterrupt) as error:
            trial.broke_off(error)
        finally:
            if arguments.logs:
                arguments.logs.mkdir(parents=True, exist_ok=True)
                for log in Path(folder).glob("*.log"):
                    shutil.copy(log, arguments.logs)
    results = trial.results()
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for name, passed in results["checks"].items():
        print(f"{'ok  ' if passed else 'FAIL'} {name}")
    return 0 if all(results["checks"].values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="image-build/test", description="Boots an image in an emulator and judges it."
    )
    parser.add_argument("image", type=Path, help="the image that image-build/build made, not compressed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result there, JSON")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the serial lines' logs there")
    parser.add_argument("--cuts", type=int, default=20, metavar="N", help="how often the plug is pulled (20)")
    parser.add_argument("--timeout-s", type=float, default=900.0, help="how long one start may take (900)")
    parser.add_argument(
        "--busy", action="store_true", help="this machine is busy: longer timeouts, no watchdogs in the guest"
    )
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where the cards lie meanwhile (5 GB, sparse)")
    return parser


class Trial:
    """One image on one card, from first start to last cut."""

    def __init__(self, image: Path, folder: Path, timeout_s: float, *, is_busy: bool) -> None:
        """Put the image on a card of its own in `folder`, and edit the file on it as a person would."""
        self._image = image
        self._folder = folder
        self._timeout_s = timeout_s
        self._is_busy = is_busy
        self._card = folder / "card.img"
        self._checks: dict[str, bool] = {}
        self._figures: dict[str, Any] = {}
        make_card(image, self._card, CARD_MIB)
        read_firmware(self._card, "earshot.toml", folder / "earshot.toml")
        text = (folder / "earshot.toml").read_bytes()
        text = text.replace(b'name = ""', f'name = "{NAME}"'.encode())
        text = text.replace(b'setup_code = ""', f'setup_code = "{CODE}"'.encode())
        text = text.replace(b'site = ""', b'sight = "x"\r\nsite = "harbour"')
        write_firmware(self._card, "earshot.toml", text)
        for name in ("vmlinuz", "initrd.img", "cmdline.txt"):
            read_firmware(self._card, f"slot-a/{name}", folder / name)

    def run(self, cuts: int) -> None:
        """Everything, in order. Raises TimeoutError and EOFError where the emulator does not go on."""
        sound = self._folder / "sound.flac"
        picks = self._folder / "picks.json"
        _simulate(sound)
        shutil.copy(HERE / "picks.json", picks)
        self._probe = self._folder / "probe.img"
        make_probe([HERE / "guest.py", sound, picks], self._probe)
        first = self._first_start()
        self._judge(first, sound, picks)
        second = self._second_start()
        self._compare(first, second)
        self._pull_plugs(cuts)

    def broke_off(self, error: BaseException) -> None:
        """A step did not come to its end."""
        self._checks[f"broke off: {str(error) or type(error).__name__}"] = False

    def results(self) -> dict[str, Any]:
        """What was seen so far, as it is committed."""
        return {
            "what": "the image in an emulator (qemu -M virt, no KVM)",
            "image": self._image.name,
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "command": "image-build/test" + (" --busy" if self._is_busy else "") + " IMAGE",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
            "checks": self._checks,
            "figures": self._figures,
            "not measured": NOT_MEASURED,
        }

    def _boot(self, mode: str) -> Boot:
        """A start with a probe: a unit that the command line hands to systemd; the image needs no door for it."""
        after = "local-fs.target" if mode == "write" else "multi-user.target"
        unit = (
            # Before the ears, which never rest.
            f"[Unit]\nDefaultDependencies=no\nAfter={after}\n[Service]\nNice=-15\nStandardError=tty\n"
            "TTYPath=/dev/ttyAMA0\nExecStart=/bin/sh -c 'mkdir -p /run/probe; mount -o ro LABEL=PROBE /run/probe; "
            f"exec /opt/earshot/bin/python3 /run/probe/guest.py {mode}'\n"
        )
        encoded = base64.b64encode(unit.encode()).decode()
        parameters = [
            f"systemd.set_credential_binary=systemd.extra-unit.probe.service:{encoded}",
            "systemd.wants=probe.service",
            "systemd.show_status=1",
            "systemd.log_color=0",
            # A sound card that hears nothing.
            "modules_load=snd-aloop",
        ]
        if self._is_busy:
            parameters += [f"systemd.default_{what}_sec=900" for what in ("device_timeout", "timeout_start")]
            parameters.append("systemd.service_watchdogs=0")
        line = (self._folder / "cmdline.txt").read_text("ascii").strip()
        return Boot(self._card, self._folder / "vmlinuz", self._folder / "initrd.img", line, parameters, self._probe)

    def _first_start(self) -> dict[str, Any]:
        with Machine(self._boot("prove"), self._folder / "first.log") as machine:
            started = self._times(machine, "first start")
            self._page(machine)
            at_s, match = machine.wait_for(r"@looked (\{.*)", self._timeout_s)
            started["all looked at, s"] = round(at_s, 1)
            return _parsed(match[1])

    def _times(self, machine: Machine, name: str) -> dict[str, Any]:
        times: dict[str, Any] = {}
        self._figures[name] = times
        machine.wait_for(r"systemd\[1\]: .*(Welcome|systemd \d+)|Welcome to", self._timeout_s)
        times["systemd starts, s"] = round(machine.now_s(), 1)
        for unit in ("earshot-mesh", "earshot-listen", "earshot-web"):
            times[unit] = None
        deadline_s = machine.now_s() + self._timeout_s
        seen = itertools.count()
        while machine.now_s() < deadline_s and next(seen) < 4:
            at_s, match = machine.wait_for(
                r"Started .*earshot-(mesh|listen|web)\.service|Reached target .*(multi-user)\.target", self._timeout_s
            )
            times[f"earshot-{match[1]}" if match[1] else "multi-user"] = round(at_s, 1)
            if match[2]:
                break
        return times

    def _page(self, machine: Machine) -> None:
        status, text = _get(f"https://127.0.0.1:{machine.plain}/", self._timeout_s)
        self._figures["page"] = {"answers after, s": round(machine.now_s(), 1), "status": status}
        self._checks["the page answers from outside"] = status == 200
        self._checks["without an owner the page is the setup page"] = "setup" in text.lower()
        status, _ = _get(f"https://127.0.0.1:{machine.pages}/api/incidents", 30.0)
        self._checks["without an owner incidents are refused"] = status in {401, 403}

    def _judge(self, seen: dict[str, Any], sound: Path, picks: Path) -> None:
        checks = self._checks
        self._figures["seen"] = {
            key: seen[key] for key in ("boot", "blame", "memory", "listening", "journal", "restarts")
        }
        checks["services are ready"] = all(state == "active" for state in seen["units"].values())
        self._figures["units"] = seen["units"]
        checks["no unit failed"] = seen["failed"] == [""]
        checks["the edited name took effect"] = seen["hostname"] == NAME and f'id = "{NAME}"' in seen["settings"]
        checks["the edited site took effect"] = 'site = "harbour"' in seen["settings"]
        checks["a mistake in the file is reported"] = any("sight" in text for text in seen["problems"]["earshot.toml"])
        checks["the mistake stands in a file beside it"] = "sight" in self._on_card("earshot-problems.txt")
        checks["the setup code left the card's file"] = CODE not in self._on_card("earshot.toml")
        checks["the root is a read-only image under memory"] = seen["root"].startswith("overlay")
        checks["the data partition grew to the card"] = seen["data_bytes"] > (CARD_MIB - 1400 - 256) << 20
        checks["no account has a password"] = seen["passwords"] == []
        checks["only listed ports are open"] = _open_ports(seen["listening"]) <= _listed_ports()
        self._figures["ports"] = sorted(_open_ports(seen["listening"]))
        locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+) ", _lock(), re.MULTILINE))
        checks["all eight packages import, at the locked versions"] = all(
            seen["packages"].get(name) == locked[name] for name in PACKAGES
        )
        self._figures["packages"] = seen["packages"]
        checks["sound has the same classes as here"] = _classes(seen["classified"]) == _classes(_classified(sound))
        here, there = _located(picks), [_rounded(incident) for incident in seen["located"]]
        checks["picks give the same incidents as here (0.1 m, 1 ms)"] = here == there
        self._figures["incidents"] = len(there)

    def _on_card(self, name: str) -> str:
        try:
            read_firmware(self._card, name, self._folder / "read")
        except subprocess.CalledProcessError:
            return ""
        return (self._folder / "read").read_text("utf-8")

    def _second_start(self) -> dict[str, Any]:
        with Machine(self._boot("look"), self._folder / "second.log") as machine:
            self._times(machine, "second start")
            return _parsed(machine.wait_for(r"@looked (\{.*)", self._timeout_s)[1][1])

    def _compare(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        same = ("hostname", "keys", "settings", "data_bytes", "setup_code")
        self._checks["a second start keeps identity and data"] = all(first[key] == second[key] for key in same)
        self._checks["a second start has all services ready"] = first["units"] == second["units"]

    def _pull_plugs(self, cuts: int) -> None:
        """Cut the power while everything starts and the data partition is written to, and look at what is left."""
        moments = random.Random(8)  # noqa: S311  # moments, no secrets
        acknowledged = 0
        outcomes = []
        for cut in range(cuts + 1):
            with Machine(self._boot("write"), self._folder / f"cut-{cut:02}.log") as machine:
                at_s, match = machine.wait_for(r"@found (\{.*\})", self._timeout_s)
                found = _parsed(match[1])
                whole = (
                    found["check"] == "ok" and found["node"] in {"ok", "absent"} and "rw" in found["data"].split(",")
                )
                outcomes.append(whole and found["last"] >= acknowledged)
                print(f"cut {cut}: found after {at_s:.0f} s, {found}, {acknowledged} acknowledged", file=sys.stderr)
                self._figures["cuts"] = {
                    "plugs pulled": cut,
                    "whole afterwards": sum(outcomes[1:]),
                    "rows": acknowledged,
                }
                if cut < cuts:
                    acknowledged = max(acknowledged, _write_for(machine, moments.uniform(1, 12)))
        self._checks[f"{cuts} cuts during writes: it starts, nothing acknowledged is lost"] = all(outcomes)
        self._checks["the data partition is clean afterwards"] = self._data_is_clean()

    def _data_is_clean(self) -> bool:
        """Replay the journal of a copy, as the next start would, then ask for a full check that changes nothing."""
        with self._card.open("rb") as card:
            entry = card.read(512)[PARTITION_TABLE + 48 : PARTITION_TABLE + 64]
        start, size = (int.from_bytes(entry[at : at + 4], "little") for at in (8, 12))
        copy = self._folder / "data.img"
        command = ["dd", f"if={self._card}", f"of={copy}", "bs=1M", f"skip={start // 2048}", f"count={size // 2048}"]
        subprocess.run([*command, "conv=sparse"], check=True, capture_output=True)
        subprocess.run(["/usr/sbin/e2fsck", "-E", "journal_only", "-y", copy], check=False, capture_output=True)
        done = subprocess.run(["/usr/sbin/e2fsck", "-f", "-n", copy], check=False, capture_output=True, text=True)
        self._figures["fsck"] = done.stdout.strip().split("\n")[-3:]
        return done.returncode == 0


def _write_for(machine: Machine, seconds: float) -> int:
    """Let it write that long; the last number that it acknowledged."""
    last = 0
    end_s = machine.now_s() + seconds
    while (left_s := end_s - machine.now_s()) > 0:
        try:
            last = int(machine.wait_for(r"@wrote (\d+)", left_s)[1][1])
        except TimeoutError:
            break
    return last


def _parsed(text: str) -> dict[str, Any]:
    """The JSON object at the start of a line; the kernel may have spoken after it."""
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    return answer


def _get(url: str, timeout_s: float) -> tuple[int, str]:
    """Status and text, tried until somebody answers."""
    anybody = ssl.create_default_context()
    # The certificate is the site's own, which nobody outside knows yet.
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    headers = {"Accept": "text/html"} if url.endswith("/") else {}
    question = urllib.request.Request(url, headers=headers)  # noqa: S310  # https, written above
    for _ in range(max(1, round(timeout_s))):
        try:
            with urllib.request.urlopen(question, timeout=20, context=anybody) as answer:  # noqa: S310  # the same
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")
        except OSError:
            time.sleep(1.0)  # the port forwarder accepts before the guest listens: there is nothing else to wait for
    return 0, ""


def _open_ports(listening: list[str]) -> set[str]:
    """Such as "tcp 8080": all that `ss` shows listening on an address that is not the machine's own."""
    found = set()
    for line in listening:
        kind, _, _, _, address = line.split()[:5]
        host, _, port = address.rpartition(":")
        if not re.match(r"127\.|\[::1\]", host):
            found.add(f"{kind} {port}")
    return found


def _listed_ports() -> set[str]:
    """What the packet filter lets in. A DHCP client listens on its address, and is in the list."""
    rules = (HERE.parent / "files/etc/nftables.conf").read_text("utf-8")
    return {f"{kind} {port}" for kind, port in re.findall(r"(tcp|udp) dport (\d+)", rules)}


def _lock() -> str:
    return (REPOSITORY / "scripts/locks/runtime-py313-aarch64.txt").read_text("ascii")


def _earshot(*arguments: str | Path) -> str:
    command = [REPOSITORY / ".venv/bin/earshot", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _simulate(sound: Path) -> None:
    """Some seconds of gunfire at one node."""
    scene = sound.with_name("scene")
    _earshot("simulate", "--seed", "8", "--nodes", "3", "--rounds", "3", "--duration", "8", scene)
    shutil.copy(scene / "n1.flac", sound)


def _classified(sound: Path) -> str:
    return _earshot("classify", sound)


def _classes(said: str) -> list[tuple[float, str]]:
    """Each onset's time, to the millisecond, and its most probable class."""
    if said.startswith("FAILED"):
        return [(0.0, said)]
    onsets = json.loads(said)["onsets"]
    return [(round(onset["time_s"], 3), max(onset["classes"], key=onset["classes"].get)) for onset in onsets]


def _located(picks: Path) -> list[Any]:
    folder = picks.with_name("located")
    _earshot("locate", picks, "--out", folder)
    return [_rounded(json.loads(line)) for file in folder.iterdir() for line in file.read_text().splitlines()]


METRES_PER_DEGREE = 111_000


def _rounded(incident: Any) -> Any:  # noqa: ANN401  # what a failed run said is a text
    """What two machines must agree on: places to 0.1 m, times to 1 ms, and all that is counted or named."""
    if not isinstance(incident, dict):
        return incident
    return {
        "id": incident["id"],
        "category": incident["category"],
        "rounds": incident["rounds"],
        "shooters": incident["shooters"],
        "heard_by": incident["heard_by"],
        "shots": [_place(shot) for shot in incident["shots"]],
        **dict(zip(("time_ms", "north", "east"), _place(incident), strict=True)),
    }


def _place(shot: dict[str, Any]) -> tuple[int, int | None, int | None]:
    place = [None if shot[key] is None else round(shot[key] * METRES_PER_DEGREE * 10) for key in ("lat", "lon")]
    return round(shot["time_ns"] / 1e6), place[0], place[1]


if __name__ == "__main__":
    sys.exit(main())
