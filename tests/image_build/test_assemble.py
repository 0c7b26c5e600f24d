"""The image is put together without mounting anything, and the same trees give the same bytes."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = ("mkfs.vfat", "mmd", "mcopy", "mksquashfs", "unsquashfs", "mkfs.ext4", "sfdisk")
SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
missing = [tool for tool in TOOLS if shutil.which(tool, path=SYSTEM_PATH) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def images(image_build: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two images from trees of the same content, made at different times in different places."""
    return [assemble(image_build, tmp_path_factory.mktemp(f"image{n}")) for n in range(2)]


def assemble(image_build: Path, folder: Path) -> Path:
    firmware, root = folder / "firmware", folder / "root"
    (firmware / "slot-a").mkdir(parents=True)
    (firmware / "slot-a/cmdline.txt").write_text("root=x\n", "ascii")
    (firmware / "earshot.toml").write_text('name = ""\r\n', "ascii")
    (root / "etc").mkdir(parents=True)
    (root / "etc/hostname").write_text("earshot\n", "ascii")
    for path in (firmware, *firmware.rglob("*"), root, *root.rglob("*")):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    environment = {**os.environ, "PATH": SYSTEM_PATH, "SOURCE_DATE_EPOCH": "1790000000"}
    command = [image_build / "steps/assemble", firmware, root, folder / "card.img"]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return folder / "card.img"


def test_the_same_trees_give_the_same_bytes(images: list[Path]) -> None:
    first, second = images
    assert first.stat().st_mtime_ns != second.stat().st_mtime_ns
    assert first.stat().st_size == second.stat().st_size
    assert written_blocks(first) == written_blocks(second)


def written_blocks(image: Path) -> dict[int, bytes]:
    """The blocks of a sparse file that hold anything, by offset: most of a card is a hole."""
    found, at, block = {}, 0, 64 * 1024
    with image.open("rb") as file:
        while at < image.stat().st_size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // block * block
            except OSError:
                break
            data = os.pread(file.fileno(), block, at)
            if any(data):
                found[at] = hashlib.sha256(data).digest()
            at += block
    return found


def test_the_card_has_four_partitions_as_the_layout_says(images: list[Path]) -> None:
    environment = {**os.environ, "PATH": SYSTEM_PATH}
    said = subprocess.run(["sfdisk", "--dump", images[0]], check=True, capture_output=True, text=True, env=environment)
    assert "label-id: 0xea550001" in said.stdout
    table = [line.split(":", 1)[1].replace(" ", "") for line in said.stdout.splitlines() if "start=" in line]
    mib = 2048
    assert table == [
        f"start={4 * mib},size={256 * mib},type=c,bootable",
        f"start={260 * mib},size={512 * mib},type=83",
        f"start={772 * mib},size={512 * mib},type=83",
        f"start={1284 * mib},size={128 * mib},type=83",
    ]


def test_each_partition_holds_what_it_is_for(images: list[Path], tmp_path: Path) -> None:
    said = subprocess.run(
        ["mtype", "-i", f"{images[0]}@@4M", "::slot-a/cmdline.txt"], check=True, capture_output=True, text=True
    )
    assert said.stdout == "root=x\n"
    with images[0].open("rb") as image:
        image.seek(260 << 20)
        assert image.read(4) == b"hsqs"
        image.seek(772 << 20)
        assert not any(image.read(4096))  # slot B is room for updates
        image.seek((1284 << 20) + 1024 + 0x38)
        assert image.read(2) == b"\x53\xef"
