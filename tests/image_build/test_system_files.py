"""Files that land in the root: what may come in, what is kept, and what a shared image must not hold."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.config import Settings


def rules(image_build: Path) -> str:
    return (image_build / "files/etc/nftables.conf").read_text("ascii")


def test_only_what_earshot_serves_may_come_in(image_build: Path) -> None:
    settings = Settings()
    inputs = rules(image_build).partition("chain input")[2].partition("chain")[0]
    assert "policy drop" in inputs
    ports = set(re.findall(r"(tcp|udp) dport (\d+)", inputs))
    assert ports == {
        ("udp", "68"),
        ("udp", "546"),
        ("udp", "5353"),
        ("tcp", str(settings.mesh.port)),
        ("tcp", str(settings.web.port)),
    }


@pytest.mark.skipif(
    shutil.which("nft") is None or os.geteuid() != 0, reason="nft is not installed, or may not be asked"
)
def test_the_packet_filter_is_understood(image_build: Path) -> None:
    done = subprocess.run(
        ["nft", "--check", "--file", image_build / "files/etc/nftables.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_is_forwarded(image_build: Path) -> None:
    assert "policy drop" in rules(image_build).partition("chain forward")[2]


def test_the_journal_and_memory_stay_off_the_card(image_build: Path) -> None:
    etc = image_build / "files/etc"
    assert "Storage=volatile" in (etc / "systemd/journald.conf.d/earshot.conf").read_text("ascii")
    assert "kernel.core_pattern = |/bin/false" in (etc / "sysctl.d/90-earshot.conf").read_text("ascii")
    assert "swap" not in (etc / "fstab").read_text("ascii")


def test_the_watchdog_is_within_what_the_board_can_count(image_build: Path) -> None:
    text = (image_build / "files/etc/systemd/system.conf.d/earshot.conf").read_text("ascii")
    seconds = re.search(r"^RuntimeWatchdogSec=(\d+)$", text, re.MULTILINE)
    assert seconds is not None
    assert 5 <= int(seconds[1]) <= 15
    assert "bcm2835_wdt" in (image_build / "initramfs/modules.list").read_text("ascii").split()


def test_no_server_on_a_network_is_asked_for_the_time(image_build: Path) -> None:
    text = (image_build / "files/etc/chrony/chrony.conf").read_text("ascii")
    assert not re.search(r"^(pool|server|sourcedir)\b", text, re.MULTILINE)
    assert re.search(r"^port 0$", text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", ["earshot-data", "earshot-card"])
def test_units_hold_no_line_that_systemd_does_not_know(image_build: Path, tmp_path: Path, unit: str) -> None:
    text = (image_build / f"files/etc/systemd/system/{unit}.service").read_text("ascii")
    file = tmp_path / f"{unit}.service"
    # Programs and mounts are those of the node, not of this machine.
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
    file.write_text(text, "ascii")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{unit}.service" not in done.stdout + done.stderr


@pytest.fixture
def clean_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in ("etc/ssh", "opt", "root", "home", "var/lib/earshot", "var/lib/earshot-web", "usr/sbin", "data"):
        (root / folder).mkdir(parents=True)
    (root / "etc/shadow").write_text("root:!*:1:0:99999:7:::\nearshot-mesh:!*:1::::::\n", "ascii")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n", "ascii")
    (root / "etc/machine-id").touch()
    return root


def check_root(image_build: Path, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([image_build / "steps/check-root", root], capture_output=True, text=True, check=False)


def test_a_clean_root_passes(image_build: Path, clean_root: Path) -> None:
    done = check_root(image_build, clean_root)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("etc/shadow", "root:$y$j9T$abc$def:1::::::\n", "password"),
        ("etc/shadow", "root::1::::::\n", "password"),
        ("etc/passwd", "root::0:0:root:/root:/bin/bash\n", "password"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n", "machine-id"),
        ("etc/ssh/ssh_host_ed25519_key", "x", "host keys"),
        ("root/.ssh/authorized_keys", "x", "log in"),
        ("var/lib/earshot/keys/node.key", "x", "node's own"),
        ("var/lib/earshot-web/setup-code", "x", "node's own"),
        ("etc/apt/sources.list", "deb http://mirror.example trixie main\n", "package sources"),
        ("var/lib/systemd/random-seed", "x", "seed"),
        ("usr/sbin/sshd", "x", "logging in"),
        ("opt/earshot/pyvenv.cfg", "home = {root}/usr/bin\n", "folder of the build"),
    ],
)
def test_what_no_image_may_hold_is_refused(
    image_build: Path, clean_root: Path, file: str, text: str, complaint: str
) -> None:
    path = clean_root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(root=clean_root), "ascii")
    done = check_root(image_build, clean_root)
    assert done.returncode != 0
    assert complaint in done.stderr
