"""The parts of the initramfs's script that change or choose something, run here over a disk that is a file."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MIB = 2048
"""Sectors."""


@pytest.fixture
def disk(image_build: Path, tmp_path: Path) -> Path:
    """A card of 4 GiB with the image's four partitions, and what the kernel would say of it below `sys`."""
    card = tmp_path / "dev/card"
    card.parent.mkdir()
    with card.open("wb") as file:
        file.truncate(4 << 30)
    starts = {1: (4, 256), 2: (260, 512), 3: (772, 512), 4: (1284, 128)}
    folder = tmp_path / "sys/block/card"
    for number, (start, size) in starts.items():
        (folder / f"card{number}").mkdir(parents=True)
        (folder / f"card{number}/partition").write_text(f"{number}\n", "ascii")
        (folder / f"card{number}/start").write_text(f"{start * MIB}\n", "ascii")
        (folder / f"card{number}/size").write_text(f"{size * MIB}\n", "ascii")
        entry = bytes(8) + (start * MIB).to_bytes(4, "little") + (size * MIB).to_bytes(4, "little")
        with card.open("r+b") as file:
            file.seek(446 + 16 * (number - 1))
            file.write(entry)
    (folder / "size").write_text(f"{4096 * MIB}\n", "ascii")
    return card


def functions(image_build: Path, folder: Path, *names: str) -> str:
    """The named functions of the script, over `folder` instead of /."""
    text = (image_build / "initramfs/init").read_text("ascii")
    found = [re.search(rf"^{name}\(\) \{{.*?^\}}$", text, re.MULTILINE | re.DOTALL) for name in names]
    script = "\n".join(match[0] for match in found if match)
    return re.sub(r'(?<=[ "=(#])/(sys|dev|firmware)\b', rf"{folder}/\1", script)


def run(script: str) -> str:
    shell = ["busybox", "sh"] if shutil.which("busybox") else ["sh"]
    return subprocess.run([*shell, "-euc", script], check=True, capture_output=True, text=True).stdout


def head(card: Path) -> bytes:
    with card.open("rb") as file:
        return file.read(1024)


def last_partition(card: Path) -> tuple[int, int]:
    entry = head(card)[494:510]
    return int.from_bytes(entry[8:12], "little") // MIB, int.from_bytes(entry[12:16], "little") // MIB


def grow(image_build: Path, folder: Path) -> str:
    script = functions(image_build, folder, "partition", "grow_data")
    return run(f"blockdev() {{ echo reread; }}\n{script}\ngrow_data card")


def test_the_data_partition_takes_the_rest_of_the_card(image_build: Path, tmp_path: Path, disk: Path) -> None:
    before = head(disk)
    assert grow(image_build, tmp_path) == "reread\n"
    assert last_partition(disk) == (1284, 4096 - 1284)
    after = head(disk)
    assert before[:506] + before[510:] == after[:506] + after[510:]
    assert disk.stat().st_size == 4 << 30


def test_a_partition_that_fills_the_card_is_left_alone(image_build: Path, tmp_path: Path, disk: Path) -> None:
    (tmp_path / "sys/block/card/size").write_text(f"{(1284 + 128 + 4) * MIB}\n", "ascii")
    assert grow(image_build, tmp_path) == ""
    assert last_partition(disk) == (1284, 128)


def test_a_huge_card_gets_what_the_table_can_say(image_build: Path, tmp_path: Path, disk: Path) -> None:
    (tmp_path / "sys/block/card/size").write_text(f"{3 << 31}\n", "ascii")
    grow(image_build, tmp_path)
    assert head(disk)[506:510] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("text", "order"),
    [("slot=A\n", "A B"), ("slot=B\n", "B A"), ("slot=B\r\n", "B A"), ("slot=C\n", "A B"), ("", "A B"), (None, "A B")],
)
def test_the_card_names_the_slot_to_try_first(image_build: Path, tmp_path: Path, text: str | None, order: str) -> None:
    (tmp_path / "firmware").mkdir()
    if text is not None:
        (tmp_path / "firmware/slot.env").write_text(text, "ascii")
    script = functions(image_build, tmp_path, "slots")
    assert run(f"mount() {{ :; }}\numount() {{ :; }}\n{script}\nslots x") == f"{order}\n"
