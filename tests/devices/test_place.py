"""KeptPlace with a real gpsd, which reads a receiver that the test plays; the survey's hours were remembered."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.devices.gps import GpsdPlace, GpsdSettings
from appliance.devices.place import KeptPlace
from appliance.model.health import HealthState
from appliance.model.space import Geodetic, NodePose

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")

Wait = Callable[..., None]
HERE = Geodetic(35.0844, -106.6504, 1510.0)
"""Where the receiver of the tests is."""


def remember(folder: Path, minutes: int, **changed: Any) -> Path:
    """A survey of so long at `HERE`, 2 m per axis."""
    saved = {"lat_deg": HERE.lat_deg, "lon_deg": HERE.lon_deg, "alt_m": HERE.alt_m, "minutes": minutes}
    squares = 4.0 * (minutes - 1)
    file = folder / "survey.json"
    file.write_text(json.dumps({**saved, "mean_m": [0.5, 0.0, 0.0], "squares_m2": [squares, squares], **changed}))
    return file


@pytest.fixture
def source(gpsd: Any) -> Iterator[GpsdPlace]:
    settings = GpsdSettings("n1", port=gpsd.port, heading_deg=30.0, heading_sigma_deg=5.0, poll_s=0.1, max_age_s=1.0)
    place = GpsdPlace(settings)
    yield place
    place.close()


def entered(lat_deg: float) -> NodePose:
    return NodePose("n1", Geodetic(lat_deg, HERE.lon_deg, HERE.alt_m), 1.0, 30.0, 5.0)


def test_before_a_survey_the_fix_counts_and_an_old_one_does_not(
    source: GpsdPlace, receiver: Any, wait_until: Wait, tmp_path: Path
) -> None:
    place = KeptPlace(source, tmp_path / "survey.json")
    wait_until(lambda: place.read() is not None, "a fix")
    assert "not surveyed yet" in place.check(1).words
    receiver.is_silent = True
    wait_until(lambda: place.read() is None, "the fix to be old")
    assert place.check(1).state is HealthState.UNKNOWN


def test_a_surveyed_place_stands_when_the_receiver_loses_its_sky(
    source: GpsdPlace, receiver: Any, wait_until: Wait, tmp_path: Path
) -> None:
    receiver.has_fix = False
    place = KeptPlace(source, remember(tmp_path, 120))
    pose = place.read()
    assert pose is not None
    assert pose.position.lat_deg == pytest.approx(HERE.lat_deg, abs=1e-6)
    assert (pose.node, pose.heading_deg, pose.heading_sigma_deg) == ("n1", 30.0, 5.0)
    assert 1.0 <= pose.sigma_m < 2.0
    assert place.check(1).state is HealthState.OK
    assert place.check(1).words == "surveyed over 2.0 h, CEP 2.4 m, ± 1.0 m"


def test_an_entered_place_counts_while_the_receiver_agrees(source: GpsdPlace, tmp_path: Path) -> None:
    given = entered(HERE.lat_deg + 5e-5)
    place = KeptPlace(source, remember(tmp_path, 120), given)
    assert place.read() == given
    assert place.check(1).state is HealthState.OK


def test_a_receiver_far_from_the_entered_place_is_an_alarm_and_spoils_the_place(
    source: GpsdPlace, tmp_path: Path
) -> None:
    place = KeptPlace(source, remember(tmp_path, 120), entered(HERE.lat_deg + 0.001))
    check = place.check(1)
    assert check.state is HealthState.FAILED
    assert "111 m from the place that was entered" in check.words
    assert check.remedy
    pose = place.read()
    assert pose is not None
    assert pose.sigma_m == pytest.approx(111.0, abs=1.0)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"lat_deg": 91}'])
def test_a_damaged_memory_begins_the_survey_anew(
    source: GpsdPlace, wait_until: Wait, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "survey.json"
    file.write_text(text)
    place = KeptPlace(source, file)
    wait_until(lambda: place.read() is not None, "a fix")
    assert "not surveyed yet" in place.check(1).words


def test_numbers_that_can_not_be_are_no_memory(source: GpsdPlace, tmp_path: Path) -> None:
    place = KeptPlace(source, remember(tmp_path, 120, squares_m2=[-1.0, 4.0]))
    assert "surveyed over" not in place.check(1).words
