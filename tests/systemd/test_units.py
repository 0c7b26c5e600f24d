"""The units that a node gets: valid, sandboxed, and with the walls between the three processes."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SERVICES = ("earshot-listen", "earshot-mesh", "earshot-web")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


class Unit:
    """One unit file; of a key that stands several times, all values."""

    def __init__(self, path: Path) -> None:
        self.values: dict[str, list[str]] = {}
        for line in path.read_text("utf-8").splitlines():
            if "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                self.values.setdefault(key, []).append(value)

    def words(self, key: str) -> set[str]:
        return {word for value in self.values.get(key, []) for word in value.split()}


@pytest.fixture
def units(repository: Path) -> dict[str, Unit]:
    return {name: Unit(repository / "systemd" / f"{name}.service") for name in SERVICES}


def check_units(repository: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [repository / "scripts" / "check-units", folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_systemd
def test_units_are_valid_and_their_sandboxes_strong(repository: Path) -> None:
    done = check_units(repository, repository / "systemd")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize(
    ("part", "changed", "complaint"),
    [
        ("WatchdogSec=", "WatchdogSecs=", "Unknown key 'WatchdogSecs'"),
        ("Type=notify", "Type=notifying", "Failed to parse"),
        ("bin/earshot ", "bin/earshoot ", "is not executable"),
        (r"(?s)NoNewPrivileges=.*SystemCallFilter=", "", "exposure level for earshot-listen.service"),
    ],
)
def test_a_unit_that_lost_something_is_refused(
    repository: Path, tmp_path: Path, part: str, changed: str, complaint: str
) -> None:
    shutil.copytree(repository / "systemd", tmp_path / "systemd")
    unit = tmp_path / "systemd" / "earshot-listen.service"
    text, n_changed = re.subn(part, changed, unit.read_text("utf-8"))
    assert n_changed
    unit.write_text(text, "utf-8")
    done = check_units(repository, tmp_path / "systemd")
    assert done.returncode != 0
    assert complaint in done.stdout


def test_the_process_that_hears_has_no_network(units: dict[str, Unit]) -> None:
    listen = units["earshot-listen"]
    assert listen.words("PrivateNetwork") == {"yes"}
    assert listen.words("RestrictAddressFamilies") == {"AF_UNIX"}


def test_what_the_process_that_hears_has_in_memory_never_gets_to_a_disk(units: dict[str, Unit]) -> None:
    listen = units["earshot-listen"]
    assert listen.words("LimitCORE") == {"0"}
    assert listen.words("MemorySwapMax") == {"0"}
    assert listen.words("ProtectSystem") == {"strict"}
    folders = {part.partition(":")[0] for part in listen.words("TemporaryFileSystem")}
    assert folders == {"/tmp", "/var/tmp"}
    assert not {"ReadWritePaths", "StateDirectory", "CacheDirectory", "LogsDirectory"} & set(listen.values)


def test_only_the_process_that_hears_can_reach_a_microphone(units: dict[str, Unit]) -> None:
    assert units["earshot-listen"].values["DeviceAllow"] == ["char-alsa rw"]
    for name in ("earshot-mesh", "earshot-web"):
        assert units[name].words("PrivateDevices") == {"yes"}
        assert units[name].words("DevicePolicy") == {"closed"}
        assert "DeviceAllow" not in units[name].values
        assert "audio" not in units[name].words("SupplementaryGroups")


def test_each_process_has_a_user_of_its_own_that_exists(repository: Path, units: dict[str, Unit]) -> None:
    users = [unit.values["User"][0] for unit in units.values()]
    made = (repository / "systemd/sysusers.d/earshot.conf").read_text("utf-8")
    declared = {line.split()[1] for line in made.splitlines() if line.startswith("u ")}
    assert len(set(users)) == len(SERVICES)
    assert set(users) == declared
    assert "root" not in users


def test_each_process_comes_back_after_any_failure(units: dict[str, Unit]) -> None:
    for unit in units.values():
        assert unit.values["Type"] == ["notify"]
        assert unit.values["Restart"] == ["always"]


def test_what_fails_too_often_waits_and_is_tried_again_and_the_page_always_is(
    repository: Path, units: dict[str, Unit]
) -> None:
    assert units["earshot-web"].values["StartLimitIntervalSec"] == ["0"]
    for name in ("earshot-mesh", "earshot-listen"):
        assert int(units[name].values["StartLimitBurst"][0]) - 1 <= 5, "restarts in ten minutes"
        assert units[name].values["StartLimitIntervalSec"] == ["600"]
        timer = Unit(repository / "systemd" / f"{name}.timer")
        assert timer.values["OnUnitInactiveSec"] == ["11min"], "after the limit has passed"


def test_what_is_written_every_second_lies_in_memory(repository: Path, units: dict[str, Unit]) -> None:
    lines = [line.split() for line in (repository / "systemd/tmpfiles.d/earshot.conf").read_text("utf-8").splitlines()]
    assert ["L+", "/var/lib/earshot/run", "-", "-", "-", "-", "/run/earshot"] in lines
    assert ["d", "/run/earshot", "0750", "earshot-mesh", "earshot", "-"] in lines
    assert units["earshot-mesh"].words("ReadWritePaths") == {"/run/earshot"}


def test_the_target_wants_every_process(repository: Path) -> None:
    target = configparser.ConfigParser(interpolation=None)
    target.read(repository / "systemd/earshot.target", "utf-8")
    timers = {"earshot-mesh.timer", "earshot-listen.timer"}
    assert set(target["Unit"]["Wants"].split()) == {f"{name}.service" for name in SERVICES} | timers


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_users_and_folders_can_be_made(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", repository / "systemd/sysusers.d/earshot.conf"]
    subprocess.run(command, check=True, capture_output=True)
    passwd = (tmp_path / "etc/passwd").read_text("utf-8")
    groups = (tmp_path / "etc/group").read_text("utf-8")
    assert all(f"{name}:x:" in passwd for name in SERVICES)
    assert "earshot-listen" in next(line for line in groups.splitlines() if line.startswith("audio:"))
