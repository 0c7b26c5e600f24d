"""What the boards' firmware reads: no emulator runs it, so the files are compared with each other."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

BOARDS = {"pi3": "earshot-pps", "pi02": "earshot-pps", "pi4": "earshot-pps", "pi5": "earshot-pps-pi5"}
needs_dtc = pytest.mark.skipif(
    shutil.which("dtc") is None or shutil.which("fdtoverlay") is None, reason="device-tree-compiler is not installed"
)

BOARD = """/dts-v1/;
/ {
    compatible = "test,board";
    #address-cells = <1>;
    #size-cells = <1>;
    %s: gpio@10 { reg = <0x10 0x10>; gpio-controller; #gpio-cells = <2>; };
};
"""


def sections(image_build: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    section = "all"
    for line in (image_build / "boot/config.txt").read_text("ascii").splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif line and not line.startswith("#"):
            found.setdefault(section, []).append(line)
    return found


def test_each_board_gets_the_overlay_of_its_header_and_no_other(image_build: Path) -> None:
    found = sections(image_build)
    assert {name: lines for name, lines in found.items() if name != "all"} == {
        board: [f"dtoverlay={overlay}"] for board, overlay in BOARDS.items()
    }
    assert not any("dtoverlay" in line for line in found["all"])


def test_every_overlay_named_has_a_source_and_is_tried_on_its_boards(image_build: Path) -> None:
    sources = {file.stem for file in (image_build / "overlays").glob("*.dts")}
    assert set(BOARDS.values()) == sources
    tried = (image_build / "steps/make-overlays").read_text("utf-8")
    assert set(re.findall(r"^    \[([a-z0-9-]+)\]=", tried, re.MULTILINE)) == sources


def test_files_that_config_names_are_put_on_the_card(image_build: Path) -> None:
    lines = sections(image_build)["all"]
    made = (image_build / "steps/make-firmware").read_text("utf-8")
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    slot = settings["os_prefix"]
    assert f'"$out/{slot}{settings["kernel"]}"' in made
    initramfs = next(line.split()[1] for line in lines if line.startswith("initramfs"))
    assert f'"$out/{slot}{initramfs}"' in made
    included = next(line.split()[1] for line in lines if line.startswith("include"))
    assert (image_build / "boot" / included).exists()
    assert included in made
    # Without this file the firmware looks for a slot's overlays elsewhere.
    assert f'"$out/{slot}overlays/README"' in made


def test_the_firmware_looks_for_boards_by_the_kernels_names(image_build: Path) -> None:
    assert "upstream_kernel=1" in sections(image_build)["all"]
    assert "arm_64bit=1" in sections(image_build)["all"]


@needs_dtc
@pytest.mark.parametrize(("overlay", "label"), [("earshot-pps", "gpio"), ("earshot-pps-pi5", "rp1_gpio")])
def test_an_overlay_puts_the_pulse_on_pin_12(image_build: Path, tmp_path: Path, overlay: str, label: str) -> None:
    tree = laid_over(image_build, tmp_path, overlay, label)
    assert tree is not None
    assert 'compatible = "pps-gpio";' in tree
    gpios = re.search(r"gpios = <0x\w+ (0x\w+) 0x00>;", tree)
    assert gpios is not None
    assert int(gpios[1], 16) == 18  # GPIO 18 is pin 12 of the header


@needs_dtc
@pytest.mark.parametrize(("overlay", "label"), [("earshot-pps", "rp1_gpio"), ("earshot-pps-pi5", "gpio")])
def test_an_overlay_of_another_board_is_refused(image_build: Path, tmp_path: Path, overlay: str, label: str) -> None:
    assert laid_over(image_build, tmp_path, overlay, label) is None


def laid_over(image_build: Path, folder: Path, overlay: str, label: str) -> str | None:
    """The device tree of a board whose header hangs on the controller `label`, with the overlay; None: refused."""
    board, source, result = folder / "board.dts", image_build / "overlays" / f"{overlay}.dts", folder / "result.dtb"
    board.write_text(BOARD % label, "ascii")
    for file, name in ((board, "board.dtb"), (source, "overlay.dtbo")):
        subprocess.run(["dtc", "-@", "-q", "-O", "dtb", "-o", folder / name, file], check=True)
    command = ["fdtoverlay", "-i", folder / "board.dtb", "-o", result, folder / "overlay.dtbo"]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        return None
    said = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", result], check=True, capture_output=True, text=True)
    return said.stdout
