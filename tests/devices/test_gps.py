"""GpsdPlace on a real gpsd, which reads a receiver that the test plays."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.devices.gps import GpsdPlace, GpsdSettings

# gpsd-py3 logs by a deprecated name when gpsd has no receiver yet.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")

Wait = Callable[..., None]


def place_at(port: int) -> GpsdPlace:
    return GpsdPlace(GpsdSettings("n1", port=port, heading_deg=30.0, heading_sigma_deg=5.0, poll_s=0.1, max_age_s=1.0))


@pytest.fixture
def place(gpsd: Any) -> Iterator[GpsdPlace]:
    source = place_at(gpsd.port)
    yield source
    source.close()


def test_a_fix_becomes_the_pose_of_the_node(place: GpsdPlace, wait_until: Wait) -> None:
    wait_until(lambda: "8 satellites" in place.describe(), "a fix")
    pose = place.read()
    assert pose is not None
    assert (pose.node, pose.heading_deg, pose.heading_sigma_deg) == ("n1", 30.0, 5.0)
    assert pose.position.lat_deg == pytest.approx(35.0844, abs=1e-5)
    assert pose.position.lon_deg == pytest.approx(-106.6504, abs=1e-5)
    assert pose.position.alt_m == pytest.approx(1510.0, abs=0.1)
    assert 1.0 <= pose.sigma_m < 10.0


def test_a_receiver_that_moves_is_followed(place: GpsdPlace, receiver: Any, wait_until: Wait) -> None:
    wait_until(lambda: place.read() is not None, "a fix")
    receiver.lat_deg = 35.1

    def has_moved() -> bool:
        pose = place.read()
        return pose is not None and abs(pose.position.lat_deg - 35.1) < 1e-5

    wait_until(has_moved, "the new position")


def test_without_a_fix_there_is_no_pose(place: GpsdPlace, receiver: Any, wait_until: Wait) -> None:
    wait_until(lambda: place.read() is not None, "a fix")
    receiver.has_fix = False
    wait_until(lambda: place.read() is None, "the fix to go")
    wait_until(lambda: "no three-dimensional fix" in place.describe(), "the reason")
    receiver.has_fix = True
    wait_until(lambda: place.read() is not None, "the fix to come back")


def test_a_fix_that_gpsd_repeats_for_a_silent_receiver_is_not_taken(
    place: GpsdPlace, receiver: Any, gpsd: Any, wait_until: Wait
) -> None:
    wait_until(lambda: place.read() is not None, "a fix")
    receiver.is_silent = True
    wait_until(lambda: place.read() is None, "the fix to age")
    wait_until(lambda: "no fix newer than" in place.describe(), "the reason")
    # Nor by one that connects only now, and sees the old fix as its first.
    place.close()
    late = place_at(gpsd.port)

    def is_seen() -> bool:
        assert late.read() is None
        return "no fix newer than" in late.describe()

    wait_until(is_seen, "the old fix to be seen")
    late.close()


def test_gpsd_killed_is_said_and_healed(place: GpsdPlace, gpsd: Any, wait_until: Wait) -> None:
    wait_until(lambda: place.read() is not None, "a fix")
    gpsd.kill()
    wait_until(lambda: place.read() is None, "the fix to age")
    wait_until(lambda: f"no gpsd at 127.0.0.1:{gpsd.port}" in place.describe(), "the reason")
    gpsd.start()
    wait_until(lambda: place.read() is not None, "a fix again")


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"[]\n", b'{"class":"OTHER"}\n', b"\xff\xfe\n"])
def test_another_service_on_the_port_is_no_gpsd(greeting: bytes, wait_until: Wait) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = place_at(server.getsockname()[1])
        client, _ = server.accept()
        with client:
            client.sendall(greeting)
            wait_until(lambda: "strange greeting" in place.describe(), "the reason")
            assert place.read() is None
        place.close()


def test_close_does_not_wait_for_a_service_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = place_at(server.getsockname()[1])
        client, _ = server.accept()
        closing = threading.Thread(target=place.close)
        closing.start()
        closing.join(timeout=2.0)
        assert not closing.is_alive()
        client.close()
