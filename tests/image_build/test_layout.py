"""The card's layout stands in several files that different programs read: they must agree."""

import re
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def layout(image_build: Path) -> dict[str, str]:
    lines = (image_build / "layout").read_text("ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def partitions(text: str) -> set[str]:
    return set(re.findall(r"(?:PARTUUID=|by-partuuid/|by\\x2dpartuuid-)([0-9a-f]{8}(?:-|\\x2d)0\d)", text))


def test_the_kernel_finds_slot_a(image_build: Path, layout: dict[str, str]) -> None:
    line = (image_build / "boot/cmdline.txt").read_text("ascii")
    assert line.count("\n") == 1
    assert partitions(line) == {f"{layout['DISK_ID']}-02"}


def test_no_console_is_on_the_receivers_line(image_build: Path) -> None:
    line = (image_build / "boot/cmdline.txt").read_text("ascii")
    assert re.findall(r"console=(\S+)", line) == ["tty0"]


def test_mounts_name_the_partitions_of_the_layout(image_build: Path, layout: dict[str, str]) -> None:
    disk = layout["DISK_ID"]
    mounts = (image_build / "files/etc/fstab").read_text("ascii")
    assert partitions(mounts) == {f"{disk}-01", f"{disk}-04"}


def test_everything_fits_on_a_card_of_2_gb(layout: dict[str, str]) -> None:
    size = (
        int(layout["ALIGN_MIB"]) + int(layout["FIRMWARE_MIB"]) + 2 * int(layout["SLOT_MIB"]) + int(layout["DATA_MIB"])
    )
    assert size << 20 < 2_000_000_000


def test_all_that_lasts_is_on_the_data_partition(image_build: Path) -> None:
    mounts = [line.split() for line in (image_build / "files/etc/fstab").read_text("ascii").splitlines()]
    writable = {fields[1]: fields for fields in mounts if fields[0] != "#" and "ro" not in fields[3].split(",")}
    assert set(writable) == {"/data", "/var/lib/earshot", "/var/lib/earshot-web", "/var/lib/chrony"}
    assert all(fields[0].startswith("/data/") for place, fields in writable.items() if place != "/data")
    assert "noatime" in writable["/data"][3]
