"""The ALSA device of the tests, which captures at a real one's pace (paced_capture.c)."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("paced_capture.c")


def build_plugin(folder: Path) -> Path:
    """Compile it into `folder`; the test is skipped where that can't be done."""
    if shutil.which("gcc") is None or not Path("/usr/include/alsa/asoundlib.h").exists():
        pytest.skip("gcc and libasound2-dev are needed to build a capture device")
    library = folder / "libpaced_capture.so"
    command = ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-DPIC", "-o", library, SOURCE]
    subprocess.run([*command, "-lasound", "-lm"], check=True)
    return library
