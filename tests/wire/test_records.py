import math

import msgspec
import pytest

from appliance.ledger.records import MAX_BODY_BYTES
from appliance.locate.calibration import PoseChange
from appliance.model.air import Air
from appliance.model.health import HealthCheck, HealthState
from appliance.model.remarks import ReviewVerdict, UnitState
from appliance.model.space import Geodetic, NodePose
from appliance.physics.geodesy import LocalFrame
from appliance.wire.records import (
    KINDS,
    MAX_CHECKS,
    AcknowledgementBody,
    AirBody,
    CalibrationBody,
    ClipBody,
    EpochBody,
    ExerciseBody,
    HealthBody,
    IssuedBody,
    NodeBody,
    PickBody,
    PoseBody,
    ReviewBody,
    RevocationBody,
    Unread,
    WitnessBody,
    air_from_body,
    air_to_body,
    calibrated_pose,
    calibration_to_body,
    check_from_body,
    check_to_body,
    decode_body,
    encode_body,
    pick_from_body,
    pick_to_body,
    pose_from_body,
    pose_to_body,
    record_schemas,
)
from tests.ledger.authors import Author
from tests.wire.test_messages import PICK

POSE = NodePose("n1", Geodetic(35.5, -106.25, 1500.0), 1.5, 30.0, 2.0)
CHANGE = PoseChange("n1", 0.6, -1.1, 4.0, 0.3, 0.8, 57)
CHECK = HealthCheck("ears", HealthState.DEGRADED, "channel 2 silent", 1.0, "channels", 99, "check the cable")
BODIES = [
    EpochBody(3, 4, "earshot 1"),
    pick_to_body(PICK),
    pose_to_body(POSE),
    calibration_to_body(CHANGE, POSE),
    air_to_body(Air(20.0, 1.0, -2.0, 0.5, 0.3)),
    NodeBody("https://n1.local:8443", "earshot 1"),
    HealthBody((check_to_body(CHECK),)),
    AcknowledgementBody(PICK.id, "12", UnitState.EN_ROUTE, PICK.time_ns, "ana"),
    ReviewBody(PICK.id, ReviewVerdict.UNSURE, PICK.time_ns, "a note\nof two lines", "ana"),
    ExerciseBody("a test of the cars", PICK.time_ns, 35.0, -106.0, "ana"),
    RevocationBody(b"what the site says", bytes(64), "ana"),
    ClipBody(PICK.id, PICK.id, bytes(32), 99, PICK.time_ns, 1_000, 16_000.1, 4, 32_000, pose_to_body(POSE)),
    IssuedBody(PICK.id, "webhook", "gunfire", 3, PICK.time_ns),
    WitnessBody((("n2", 5, 7, bytes(16)),)),
]


def record_with(kind, body):
    author = Author("n1")
    author.begin()
    return author.write(kind, body)


@pytest.mark.parametrize("body", BODIES, ids=lambda b: type(b).__name__)
def test_a_body_comes_back_from_its_bytes(body):
    kind, data = encode_body(body)
    assert decode_body(record_with(kind, data)) == body
    assert KINDS[kind].body is type(body)


def test_every_kind_has_a_body_a_version_and_a_schema():
    assert {KINDS[encode_body(body)[0]].body for body in BODIES} == {row.body for row in KINDS.values()}
    schemas = record_schemas()
    assert schemas.keys() == KINDS.keys()
    assert "time_ns" in str(schemas["pick"])


def test_the_model_comes_back_from_bodies():
    assert pick_from_body(pick_to_body(PICK), "n1") == PICK
    assert pose_from_body(pose_to_body(POSE), "n1") == POSE
    assert air_from_body(air_to_body(Air(3.0, 1.0, 2.0, 0.1, 0.2))) == Air(3.0, 1.0, 2.0, 0.1, 0.2)
    assert check_from_body(check_to_body(CHECK)) == CHECK


def test_a_calibration_moves_the_pose_that_it_was_learnt_against_and_no_other():
    stated, change = pose_to_body(POSE), calibration_to_body(CHANGE, POSE)
    pose = calibrated_pose(stated, change, "n1")
    east_m, north_m, up_m = LocalFrame(POSE.position).to_enu(pose.position)
    assert (east_m, north_m, up_m) == pytest.approx((0.6, -1.1, 0.0), abs=0.02)
    assert (pose.heading_deg, pose.sigma_m, pose.heading_sigma_deg) == (34.0, 0.3, 0.8)
    elsewhere = pose_to_body(NodePose("n1", Geodetic(35.5, -106.2501, 1500.0), 1.5, 30.0, 2.0))
    assert calibrated_pose(elsewhere, change, "n1") == pose_from_body(elsewhere, "n1")
    assert calibrated_pose(stated, None, "n1") == POSE


def test_the_largest_bodies_fit_a_record():
    check = HealthCheck("n" * 32, HealthState.FAILED, "ü" * 300, 1e15, "u" * 16, 2**60, "r" * 300)
    _, data = encode_body(HealthBody((check_to_body(check),) * MAX_CHECKS))
    assert len(data) <= MAX_BODY_BYTES
    assert isinstance(decode_body(record_with("health", data)), HealthBody)


@pytest.mark.parametrize(
    ("kind", "body"),
    [("drone", b"\x80"), ("pick", msgspec.msgpack.encode({"v": 2, "shape": "new"}))],
    ids=["kind", "version"],
)
def test_what_a_newer_version_wrote_is_not_used_and_says_so(kind, body):
    unread = decode_body(record_with(kind, body))
    assert isinstance(unread, Unread)
    assert unread.newer
    assert "newer than this software" in unread.reason


def test_a_deleted_body_is_not_used_and_is_no_fault_of_versions():
    record = msgspec.structs.replace(record_with(*encode_body(BODIES[1])), body=None)
    assert decode_body(record) == Unread("body was deleted by retention", newer=False)


GOOD_PICK = msgspec.to_builtins(pick_to_body(PICK))


@pytest.mark.parametrize(
    "change",
    [
        {"time_ns": -1},
        {"time_ns": 10**19},
        {"sigma_ns": -1},
        {"clock_sigma_ns": 10**15},
        {"snr_db": math.nan},
        {"level_db_spl": math.inf},
        {"peak_dbfs": "loud"},
        {"bearing_deg": 361.0},
        {"phase": "crack"},
        {"classes": [1.0]},
        {"classes": [2.0] + [0.0] * 6},
        {"gunshot_probability": 1.01},
        {"clipped": 1},
        {"v": 0},
        {"v": "1"},
    ],
    ids=str,
)
def test_a_pick_with_a_field_out_of_bounds_is_not_used(change):
    unread = decode_body(record_with("pick", msgspec.msgpack.encode({**GOOD_PICK, **change})))
    assert isinstance(unread, Unread)
    assert not unread.newer


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("pose", PoseBody(91.0, 0.0, 0.0, 1.0, 0.0, 0.0)),
        ("pose", PoseBody(0.0, 0.0, math.nan, 1.0, 0.0, 0.0)),
        ("calibration", CalibrationBody(pose_to_body(POSE), 1e4, 0.0, 0.0, 1.0, 1.0, 20)),
        ("air", AirBody(99.0, 0.0, 0.0, 1.0, 1.0)),
        ("air", AirBody(9.0, 0.0, math.inf, 1.0, 1.0)),
        ("node", NodeBody("javascript:alert(1)", "x")),
        ("node", NodeBody("http://a/?x=<script>", "x")),
        ("node", NodeBody("http://user:pw@a", "x")),
        ("health", HealthBody((check_to_body(CHECK),) * (MAX_CHECKS + 1))),
        ("pick", PickBody(-1, 0)),
    ],
)
def test_bodies_of_other_kinds_are_bounded_as_well(kind, body):
    assert isinstance(decode_body(record_with(kind, msgspec.msgpack.encode(body))), Unread)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91" * 10_000, b"\x81\xa1v\x01", b"\x81\xa1\xff\x01"])
def test_a_malformed_body_is_a_value_and_no_exception(body):
    unread = decode_body(record_with("pick", body))
    assert isinstance(unread, Unread)
    assert unread.reason.isprintable()
