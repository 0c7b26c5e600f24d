"""What the image is made of is pinned, and nothing names the place that it came from."""

import re
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def lock(image_build: Path) -> list[list[str]]:
    lines = (image_build / "packages.lock").read_text("ascii").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


def wanted(image_build: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    part = ""
    for line in (image_build / "packages.list").read_text("ascii").splitlines():
        if match := re.match(r"\[(\w+):", line):
            part = match[1]
        elif line and not line.startswith("#"):
            found.setdefault(part, []).append(line.partition("/")[0])
    return found


def test_every_package_is_pinned_to_one_file(lock: list[list[str]]) -> None:
    for part, name, version, architecture, digest in lock:
        assert part in {"root", "boot", "compiler"}, name
        assert re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name)
        assert re.fullmatch(r"[0-9][A-Za-z0-9.+:~-]*", version)
        assert architecture in {"arm64", "all"}
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
    assert len({name for _, name, *_ in lock}) == len(lock)


def test_every_package_asked_for_is_locked(image_build: Path, lock: list[list[str]]) -> None:
    for part, names in wanted(image_build).items():
        locked = {name for where, name, *_ in lock if where == part or (part == "compiler" and where == "root")}
        # The kernel's package is a name for another whose own name holds the version.
        missing = [name for name in names if name not in locked and name != "linux-image-arm64"]
        assert missing == [], f"{part}: run image-build/build --relock"
    assert any(re.match(r"linux-binary-7\.", name) for _, name, *_ in lock)


def test_nothing_lets_anybody_log_in_from_afar(lock: list[list[str]]) -> None:
    installed = {name for part, name, *_ in lock if part == "root"}
    assert not installed & {"openssh-server", "telnetd", "dropbear", "cockpit"}
    assert not any(re.match(r"gcc$|.*-dev$", name) for name in installed)


def test_what_is_built_is_what_the_lock_has_as_sources_only(image_build: Path, repository: Path) -> None:
    text = (image_build / "steps/make-wheels").read_text("utf-8")
    match = re.search(r"^built=\((.*)\)$", text, re.MULTILINE)
    assert match is not None
    locked = (repository / "scripts/locks/runtime-py313-aarch64.txt").read_text("ascii")
    for name in match[1].split():
        assert re.search(rf"^{name}==", locked, re.MULTILINE), f"{name} is not locked"


def test_no_committed_file_names_a_mirror_but_debians_own(image_build: Path) -> None:
    allowed = ("deb.debian.org", "cyclonedx.org", "NAME.local", "127.0.0.1", "{name}.local", "http(s)")
    for file in image_build.rglob("*"):
        if not file.is_file() or any("cache" in part for part in file.relative_to(image_build).parts):
            continue
        for address in re.findall(r"https?://([^\s/\"'`)]+)", file.read_text("utf-8")):
            assert address.startswith(allowed), f"{file.name}: {address}"
