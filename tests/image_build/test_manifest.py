"""The bill of materials lists what the lock names, in the form that CycloneDX 1.6 asks for."""

import importlib.util
import re
import zipfile
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def manifest(image_build: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("manifest", image_build / "steps/manifest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "some_thing-1.2-py3-none-any.whl", "w") as archive:
        archive.writestr(
            "some_thing-1.2.dist-info/METADATA",
            "Metadata-Version: 2.4\nName: Some.Thing\nVersion: 1.2\nLicense-Expression: MIT\n",
        )
    return folder


def test_every_package_in_the_image_is_listed_and_the_compiler_is_not(
    manifest: ModuleType, image_build: Path, tmp_path: Path
) -> None:
    lock = (image_build / "packages.lock").read_text("ascii")
    lines = [line.split() for line in lock.splitlines() if not line.startswith("#")]
    components = list(manifest.debian(lock, tmp_path))
    listed = {(c["name"], c["version"], c["hashes"][0]["content"]) for c in components}
    assert listed == {(name, version, digest) for part, name, version, _, digest in lines if part != "compiler"}


def test_licences_come_from_the_packages_own_files(manifest: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "usr/share/doc/chrony/copyright"
    file.parent.mkdir(parents=True)
    file.write_text("Format: x\n\nFiles: *\nLicense: GPL-2\n\nFiles: md5.c\nLicense: RSA-MD\n", "ascii")
    lock = f"root chrony 4.6 arm64 {'0' * 64}\n"
    (component,) = manifest.debian(lock, tmp_path)
    assert [item["license"]["name"] for item in component["licenses"]] == ["GPL-2", "RSA-MD"]
    assert component["purl"] == "pkg:deb/debian/chrony@4.6?arch=arm64&distro=debian-13"


def test_wheels_are_listed_with_hash_and_licence(manifest: ModuleType, wheel: Path) -> None:
    (component,) = manifest.wheels(wheel)
    assert component["purl"] == "pkg:pypi/some-thing@1.2"
    assert component["licenses"] == [{"license": {"name": "MIT"}}]
    assert re.fullmatch(r"[0-9a-f]{64}", component["hashes"][0]["content"])


def test_the_document_has_all_required_fields_and_is_reproducible(manifest: ModuleType, wheel: Path) -> None:
    components = list(manifest.wheels(wheel))
    document = manifest.bill("image", components, 1_790_000_000)
    assert document["bomFormat"] == "CycloneDX"
    assert document["specVersion"] == "1.6"
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", document["serialNumber"]
    )
    assert document["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"
    assert all({"type", "name"} <= component.keys() for component in document["components"])
    assert document == manifest.bill("image", components, 1_790_000_000)
