"""What records come to: poses with their calibrations, whichever of the two a node hears first."""

import itertools

import pytest

from appliance.daemon.intake import Intake
from appliance.daemon.nodes import NodesBoard
from appliance.locate.calibration import PoseChange
from appliance.model.space import Geodetic, NodePose
from appliance.wire.records import calibration_to_body, encode_body, pose_to_body
from tests.ledger.authors import Author

POSE = NodePose("n2", Geodetic(35.5, -106.25, 1500.0), 1.5, 30.0, 2.0)
MOVED = NodePose("n2", Geodetic(35.6, -106.25, 1500.0), 1.5, 30.0, 2.0)
CHANGE = PoseChange("n2", 0.6, -1.1, 4.0, 0.3, 0.8, 57)


def records(*bodies):
    author = Author("n2")
    author.begin()
    return [author.write(*encode_body(body)) for body in bodies]


def newest_pose(some):
    inputs = []
    intake = Intake(NodesBoard("n1", None, "", 0.0), inputs.extend)
    for record in some:
        intake.read([record], record.time_ns)
    return inputs[-1]


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_a_calibrated_node_stands_where_its_calibration_says(order):
    some = records(pose_to_body(POSE), calibration_to_body(CHANGE, POSE))
    pose = newest_pose([some[i] for i in order])
    assert (pose.sigma_m, pose.heading_deg) == (0.3, 34.0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_node_that_was_surveyed_anew_forgets_its_calibration_in_any_order(order):
    some = records(pose_to_body(POSE), calibration_to_body(CHANGE, POSE), pose_to_body(MOVED))
    assert newest_pose([some[i] for i in order]) == MOVED
