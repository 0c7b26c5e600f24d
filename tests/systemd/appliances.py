"""Whole appliances in containers: a Debian tree, the units as installed, a real gpsd and chronyd, on one bridge."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from appliance.config.folder import NodeFolder
from appliance.mesh.trust import SiteAuthority
from appliance.scene.reader import read_scene
from tests.devices.paced import build_plugin
from tests.systemd.names import PPS_FOLDER, RECEIVER_PORT, TOKEN

PACKAGES = "systemd,systemd-sysv,dbus,python3,iproute2,procps,udev,gpsd,chrony,libasound2"
NETWORK = "10.78.0"
WATCHER = f"{NETWORK}.254"
"""Where the test itself is on the bridge."""
PORT = 8080
UNITS = ("earshot-mesh", "earshot-listen", "earshot-web")


def missing() -> str | None:
    """Why appliances can't be booted here; None where they can."""
    if os.geteuid() != 0:
        return "booting containers needs root"
    tools = [
        tool for tool in ("systemd-nspawn", "mmdebstrap", "ip", "nsenter", "gcc", "curl") if shutil.which(tool) is None
    ]
    return f"{', '.join(tools)} not installed" if tools else None


def run(*command: str | Path, check: bool = True) -> str:
    """What a command prints."""
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout


def base_tree() -> Path:
    """A Debian tree of this machine's release, made once and kept in the cache."""
    release = next(
        line.partition("=")[2].strip('"')
        for line in Path("/etc/os-release").read_text("utf-8").splitlines()
        if line.startswith("VERSION_CODENAME=")
    )
    digest = hashlib.sha256(f"{release} {PACKAGES}".encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earshot"
    tree = cache / f"appliance-{release}-{digest}"
    if not tree.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = tree.with_suffix(f".{os.getpid()}")
        sources = [str(p) for p in Path("/etc/apt/sources.list.d").glob("debian.sources")] or ["/etc/apt/sources.list"]
        run("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", release, fresh, *sources)
        fresh.rename(tree)
    return tree


@dataclass
class Appliance:
    """One container."""

    name: str
    number: int
    root: Path
    process: "subprocess.Popen[bytes] | None" = None
    console: Path = field(default_factory=Path)

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def state(self) -> NodeFolder:
        return NodeFolder(self.root / "var/lib/earshot")

    def boot(self) -> None:
        """Start it in its network namespace."""
        options = [
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--quiet",
            "--system-call-filter=bpf",
            f"--machine={self.name}",
        ]
        network = f"--network-namespace-path=/run/netns/{namespace(self.number)}"
        command = ["systemd-nspawn", *options, network, "--directory", str(self.root), "--boot"]
        # With cgroup 2 alone and bpf(), systemd in the container can refuse devices, as DeviceAllow= asks for.
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with self.console.open("wb") as sink:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment
            )

    def inside(self, *command: str, check: bool = True) -> str:
        """What a command prints that runs in the container as root, outside any sandbox; nothing before it is up."""
        leader = self._leader()
        if leader is None:
            return ""
        return run("nsenter", "-t", str(leader), "-m", "-p", "-n", "-i", "-u", *command, check=check)

    def _leader(self) -> int | None:
        """The container's first process, as this machine numbers it; None before there is one."""
        assert self.process is not None
        assert self.process.poll() is None, self.console.read_text("utf-8", "replace")[-2_000:]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii").split()
        return int(children[0]) if children else None

    def unit(self, name: str, *properties: str) -> dict[str, str]:
        """Properties of a unit as systemd shows them."""
        shown = self.inside("systemctl", "show", name, *(f"--property={p}" for p in properties), check=False)
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def journal(self, unit: str) -> str:
        return self.inside("journalctl", "--unit", unit, "--no-pager", "--output=cat", check=False)

    def checks(self) -> dict[str, dict[str, Any]]:
        """This node's health checks by name; empty before there are any."""
        text = self.inside("cat", "/var/lib/earshot/run/status.json", check=False)
        own = [node for node in json.loads(text)["nodes"] if node["self"]] if text else []
        return {check["name"]: check for check in own[0]["health"]} if own else {}

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            leader = self._leader()
            if leader is not None:
                os.kill(leader, signal.SIGRTMIN + 14)  # systemd: power off now
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10.0)
            self.process.kill()
            self.process.wait()


def namespace(number: int) -> str:
    return f"earshot-test-{number}"


@contextlib.contextmanager
def bridge(numbers: Sequence[int]) -> Iterator[None]:
    """A network namespace for each number and one for the test itself (254), all on one bridge."""
    switch = "earshot-test-bridge"
    everyone = [*numbers, 254]
    _remove_namespaces([switch, *(namespace(n) for n in everyone)])
    try:
        run("ip", "netns", "add", switch)
        run("ip", "-n", switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", switch, "link", "set", "br0", "up")
        for n in everyone:
            own = namespace(n)
            run("ip", "netns", "add", own)
            run("ip", "-n", own, "link", "add", "eth0", "type", "veth", "peer", "name", f"p{n}", "netns", switch)
            run("ip", "-n", switch, "link", "set", f"p{n}", "master", "br0", "up")
            run("ip", "-n", own, "link", "set", "lo", "up")
            run("ip", "-n", own, "addr", "add", f"{NETWORK}.{n}/24", "dev", "eth0")
            run("ip", "-n", own, "link", "set", "eth0", "up")
            run("ip", "-n", own, "route", "add", "224.0.0.0/4", "dev", "eth0")
        yield
    finally:
        _remove_namespaces([switch, *(namespace(n) for n in everyone)])


def _remove_namespaces(names: Sequence[str]) -> None:
    for name in names:
        run("ip", "netns", "del", name, check=False)


@contextlib.contextmanager
def overlay(layers: Sequence[Path], folder: Path) -> Iterator[Path]:
    """A tree that shows `layers`, the first on top, and keeps what is written in `folder`."""
    parts = {name: folder / name for name in ("upper", "work", "root")}
    for part in parts.values():
        part.mkdir(parents=True)
    lower = ":".join(str(layer) for layer in layers)
    options = f"lowerdir={lower},upperdir={parts['upper']},workdir={parts['work']}"
    run("mount", "-t", "overlay", "overlay", "-o", options, parts["root"])
    try:
        yield parts["root"]
    finally:
        run("umount", "--recursive", "--lazy", parts["root"], check=False)


def install(appliance: Appliance, repository: Path, scene: Path, authority: SiteAuthority) -> None:
    """Lay everything out as on a node, with this scene's sound as what its microphones hear."""
    root = appliance.root
    _install_units(root, repository / "systemd")
    position = _install_sound(root, scene, appliance.number - 1)
    _install_receiver(root, position)
    (root / "etc/hostname").write_text(f"{appliance.name}\n")
    run("systemd-sysusers", f"--root={root}")
    run("systemd-tmpfiles", f"--root={root}", "--create", "earshot.conf", check=False)
    state = appliance.state
    state.root.mkdir(parents=True, exist_ok=True)
    authority.enrol(appliance.name, state.keys)
    authority.enrol_pages(appliance.name, state.keys)
    _own(root, state.root)
    run("systemctl", f"--root={root}", "enable", "earshot.target", *(f"{unit}.service" for unit in UNITS))
    run("systemctl", f"--root={root}", "enable", "gpsd.service", "gpsd.socket", "chrony.service", "receiver.service")


def software_layer(layer: Path, base: Path, repository: Path) -> None:
    """The interpreter of the tree with the packages of the one that runs the tests: the same minor version."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert (base / "usr/bin" / version).exists(), f"the tree has no {version}"
    home = layer / "opt/earshot"
    packages = home / "lib" / version / "site-packages"
    (home / "bin").mkdir(parents=True)
    packages.mkdir(parents=True)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (home / "bin/python").symlink_to("/usr/bin/python3")
    script = "#!/opt/earshot/bin/python\nimport sys\nfrom appliance.__main__ import main\nsys.exit(main())\n"
    (home / "bin/earshot").write_text(script)
    (home / "bin/earshot").chmod(0o755)
    (packages / "earshot.pth").write_text("/opt/source\n/opt/packages\n")
    shutil.copytree(sysconfig.get_path("purelib"), layer / "opt/packages", ignore=_unneeded, symlinks=True)
    for part in ("appliance", "web", "tests"):
        shutil.copytree(repository / part, layer / "opt/source" / part, ignore=_unneeded)


def _unneeded(_folder: str, names: list[str]) -> list[str]:
    big = ("mypy", "ruff", "playwright", "scipy-stubs", "pip-", "benchmarks", "__editable__", "__pycache__")
    return [name for name in names if name.startswith(big)]


def _install_units(root: Path, units: Path) -> None:
    for unit in (*units.glob("*.service"), *units.glob("*.target"), *units.glob("*.timer")):
        shutil.copy(unit, root / "etc/systemd/system")
    shutil.copytree(units / "gpsd.service.d", root / "etc/systemd/system/gpsd.service.d")
    shutil.copy(units / "sysusers.d/earshot.conf", root / "usr/lib/sysusers.d/earshot.conf")
    shutil.copy(units / "tmpfiles.d/earshot.conf", root / "usr/lib/tmpfiles.d/earshot.conf")
    settings = (units / "chrony/earshot.conf").read_text("utf-8")
    # There is no /dev/pps0 here: the same pulse comes through a socket.
    settings = settings.replace("refclock PPS /dev/pps0 lock NMEA", "refclock SOCK /run/chrony/pps.sock")
    assert "SOCK" in settings
    (root / "etc/chrony/conf.d/earshot.conf").write_text(settings)
    add_drop_in(
        root, "chrony", "[Unit]\nConditionCapability=\n[Service]\nExecStart=\nExecStart=!/usr/sbin/chronyd -x\n"
    )
    add_drop_in(root, "earshot-mesh", f"[Service]\nBindReadOnlyPaths={PPS_FOLDER}:/sys/class/pps\n")
    add_drop_in(root, "earshot-web", f"[Service]\nEnvironment=EARSHOT_WEB_TOKEN={TOKEN}\n")
    # "char-alsa" names nothing where the kernel has no sound: its number does.
    add_drop_in(root, "earshot-listen", "[Unit]\nStartLimitIntervalSec=60\n[Service]\nDeviceAllow=char-116 rw\n")
    again = root / "etc/systemd/system/earshot-listen.timer.d"
    again.mkdir()
    (again / "test.conf").write_text("[Timer]\nOnUnitInactiveSec=\nOnUnitInactiveSec=70s\n")
    for unit in UNITS:
        # `-`: a probe that fails must not keep the process from starting.
        command = f"-/opt/earshot/bin/python -m tests.systemd.probe {unit.removeprefix('earshot-')}"
        add_drop_in(root, unit, f"[Service]\nExecStartPre={command}\n", "probe")


def add_drop_in(root: Path, unit: str, text: str, name: str = "test") -> None:
    folder = root / f"etc/systemd/system/{unit}.service.d"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.conf").write_text(text)


def _install_sound(root: Path, scene: Path, index: int) -> tuple[float, float, float]:
    """The ALSA device and the settings; gives the node's latitude, longitude and height."""
    recorded = read_scene(scene)
    node = recorded.scene.nodes[index]
    source = recorded.source(node.id)
    blocks = []
    with contextlib.suppress(EOFError):
        while (block := source.read(0.0)) is not None:
            blocks.append(block.samples)
    samples = np.clip(np.rint(np.concatenate(blocks, axis=1) * 32_768), -32_768, 32_767).astype("<i2")
    test = root / "opt/test"
    test.mkdir()
    (test / "sound.raw").write_bytes(samples.T.tobytes())
    plugin = build_plugin(test)
    epoch = (scene / "epoch").read_text()
    rate_hz = round(source.sample_rate_hz)
    (root / "etc/asound.conf").write_text(
        f'pcm_type.paced {{ lib "/opt/test/{plugin.name}" }}\n'
        f"pcm.array {{ type paced channels {len(samples)} rate {rate_hz} epoch_ns {epoch}"
        f' file "/opt/test/sound.raw" fault "/opt/test/fault" }}\n'
    )
    state = root / "var/lib/earshot"
    state.mkdir(parents=True, exist_ok=True)
    (state / "earshot.toml").write_text(
        f'[node]\nid = "n{index + 1}"\nsite = "test"\n'
        f'[ears]\narray = "generic"\ndevice = "array"\nsample_rate_hz = {rate_hz}\n'
        f"microphones_m = {json.dumps([list(m) for m in source.geometry.microphones_m])}\n"
        f"sensitivity_dbspl = 140.0\n"
        f"[place]\nheading_deg = {node.pose.heading_deg}\n"
        f'[web]\nhost = "0.0.0.0"\nport = {PORT}\n'
    )
    position = node.pose.position
    return position.lat_deg, position.lon_deg, position.alt_m


def _install_receiver(root: Path, position: tuple[float, float, float]) -> None:
    (root / "etc/default/gpsd").write_text(f'DEVICES="tcp://127.0.0.1:{RECEIVER_PORT}"\nGPSD_OPTIONS=""\n')
    place = " ".join(str(number) for number in position)
    (root / "etc/systemd/system/receiver.service").write_text(
        f"[Unit]\nBefore=gpsd.service earshot-mesh.service\n[Service]\nType=notify\n"
        f"ExecStartPre=/bin/mkdir -p {PPS_FOLDER}\n"
        f"ExecStart=/opt/earshot/bin/python -m tests.systemd.receiver_service {place}\n"
        f"[Install]\nWantedBy=multi-user.target\n"
    )


def _own(root: Path, folder: Path) -> None:
    """Give the state folder to the users that systemd-sysusers made in the tree."""
    users = dict(line.split(":")[:3:2] for line in (root / "etc/passwd").read_text().splitlines())
    groups = dict(line.split(":")[:3:2] for line in (root / "etc/group").read_text().splitlines())
    for path in (folder, *folder.rglob("*")):
        os.chown(path, int(users["earshot-mesh"]), int(groups["earshot"]), follow_symlinks=False)
    folder.chmod(0o750)


def wait_until(condition: Callable[[], bool], what: Callable[[], str], within_s: float) -> None:
    """Return as soon as `condition` holds; else fail with what `what` says."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {within_s:g} s for {what()}")
        time.sleep(0.25)
