"""What sources share: node and air errors make both wrong together, and their difference right."""

import numpy as np

from appliance.locate.joint import JointNodes, JointSource, joint_covariance
from tests.locate.nets import AIR, SIX_M

NET = JointNodes(SIX_M, np.full(6, 1.0), np.full(6, 1e-6))
HERE = np.array([40.0, -30.0, 0.0])


def source(place_m, round_s=0.0003, path_s=0.0):
    nodes = np.arange(6)
    return JointSource(place_m, np.array([340.0, 0.0, 0.0]), nodes, np.full(6, path_s), np.full(6, round_s))


def apart(covariance):
    turn = np.hstack([np.eye(2), np.zeros((2, 2)), -np.eye(2), np.zeros((2, 2))])
    return np.sqrt(np.trace(turn @ covariance @ turn.T))


def test_near_sources_are_known_better_against_each_other_than_on_the_map():
    covariance = joint_covariance([source(HERE), source(HERE + np.array([5.0, 0.0, 0.0]))], NET, AIR)
    on_the_map = np.sqrt(np.trace(covariance[:2, :2]))
    assert on_the_map > 0.8
    assert apart(covariance) < 0.4 * on_the_map


def test_the_place_does_not_get_better_with_rounds_when_nodes_are_wrong():
    one = joint_covariance([source(HERE, 0.001)], NET, AIR)
    ten = joint_covariance([source(HERE, 0.001 / np.sqrt(10.0))], NET, AIR)
    assert np.trace(ten[:2, :2]) > 0.8 * np.trace(one[:2, :2])


def test_paths_are_shared_by_near_sources_and_not_by_far_ones():
    near = joint_covariance([source(HERE, path_s=0.007), source(HERE + 3.0, path_s=0.007)], NET, AIR)
    far = joint_covariance([source(HERE, path_s=0.007), source(HERE - 90.0, path_s=0.007)], NET, AIR)
    assert apart(near) < 0.6 * apart(far)
