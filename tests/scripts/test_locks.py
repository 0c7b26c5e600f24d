"""The lock files hold what pyproject.toml asks for, exactly, with hashes, and name no place to get it from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYTHONS = ("3.11", "3.13")
MACHINES = ("x86_64", "aarch64")
LOCKS = [(kind, python, machine) for kind in ("runtime", "test") for python in PYTHONS for machine in MACHINES]


def lock_file(repository: Path, kind: str, python: str, machine: str) -> Path:
    return repository / "scripts/locks" / f"{kind}-py{python.replace('.', '')}-{machine}.txt"


def locked(path: Path) -> dict[str, Version]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+) \\$", path.read_text("ascii"), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


def wanted(repository: Path, kind: str, python: str) -> list[Requirement]:
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["dependencies"] + (project["optional-dependencies"]["test"] if kind == "test" else [])
    requirements = [Requirement(line) for line in lines]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    return [r for r in requirements if r.marker is None or r.marker.evaluate(environment)]


@pytest.mark.parametrize(("kind", "python", "machine"), LOCKS)
def test_everything_asked_for_is_locked_at_a_version_that_fits(
    repository: Path, kind: str, python: str, machine: str
) -> None:
    pins = locked(lock_file(repository, kind, python, machine))
    for requirement in wanted(repository, kind, python):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not locked: run scripts/setup --lock"
        assert requirement.specifier.contains(pins[name]), f"{name} {pins[name]} does not fit {requirement}"


@pytest.mark.parametrize(("python", "machine"), [(p, m) for p in PYTHONS for m in MACHINES])
def test_tests_run_on_the_versions_that_nodes_have(repository: Path, python: str, machine: str) -> None:
    runtime = locked(lock_file(repository, "runtime", python, machine))
    test = locked(lock_file(repository, "test", python, machine))
    assert runtime.items() <= test.items()


def test_every_line_is_a_pin_or_a_hash(repository: Path) -> None:
    allowed = re.compile(r"|#.*|[A-Za-z0-9._-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    for path in (repository / "scripts/locks").glob("*.txt"):
        if path.name == "constraints.txt":
            continue
        strange = [line for line in path.read_text("ascii").splitlines() if not allowed.fullmatch(line)]
        assert strange == [], path.name
        assert "://" not in path.read_text("ascii")
