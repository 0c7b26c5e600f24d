"""What the tests of the image share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "image-build"))


@pytest.fixture(scope="session")
def image_build(repository: Path) -> Path:
    """The folder that the image is built from."""
    return repository / "image-build"
