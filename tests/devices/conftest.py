"""Real ALSA and a real gpsd, without a sound card or a receiver."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.devices.paced import build_plugin
from tests.devices.receivers import GPSD, Gpsd, Receiver, wait_until


@pytest.fixture(scope="session")
def paced_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ALSA plugin that captures at a real device's pace."""
    return build_plugin(tmp_path_factory.mktemp("alsa"))


@pytest.fixture
def alsa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let ALSA know the devices of a configuration text, and no others than its own."""

    def configure(text: str) -> None:
        file = tmp_path / "asound.conf"
        file.write_text(f"<confdir:alsa.conf>\n{text}\n", "ascii")
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(file))

    return configure


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    device = Receiver()
    yield device
    device.close()


@pytest.fixture
def gpsd(receiver: Receiver, tmp_path: Path) -> Iterator[Gpsd]:
    if GPSD is None:
        pytest.skip("gpsd is not installed")
    daemon = Gpsd(receiver, tmp_path)
    yield daemon
    daemon.kill()
