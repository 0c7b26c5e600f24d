import pytest

from appliance.daemon.nodes import GRACE_S, MAX_REJECTIONS, NodesBoard, View
from appliance.model.health import HealthCheck, HealthState
from appliance.model.picks import Rejection
from appliance.model.space import Geodetic, NodePose
from appliance.wire.messages import ChannelLevel, LevelsMessage
from appliance.wire.records import HealthBody, NodeBody, check_to_body

NOW_NS = 1_790_000_000_000_000_000


def view(now_s, *, peers=(), members=("n1",), refused=None, problem=None, checks=(), n_pages=0):
    return View(
        now_ns=NOW_NS + round(now_s * 1e9),
        now_s=now_s,
        peers=dict(peers),
        members=members,
        refused=refused or {},
        storage_problem=problem,
        storage_remedy="make room" if problem else "",
        checks=checks,
        n_pages=n_pages,
    )


@pytest.fixture
def board():
    return NodesBoard("n1", "http://n1", "1", 0.0)


def own(board):
    return {check["name"]: check for check in board.status(NOW_NS).nodes[0].health}


def peer(board, name):
    (node,) = (n for n in board.status(NOW_NS).nodes if n.id == name)
    return node


def test_a_node_that_knows_nothing_yet_says_unknown_and_not_ok(board):
    board.update(view(0.0))
    states = {name: check["state"] for name, check in own(board).items()}
    unknown = dict.fromkeys(("ears", "clock", "place", "alerts"), "unknown")
    assert states == {**unknown, "peers": "degraded", "storage": "ok"}


def test_ears_that_fall_silent_are_failed_within_seconds_and_say_since_when(board):
    board.heard(LevelsMessage(NOW_NS, 1_000, (ChannelLevel(-60.0, -50.0, 0),)), 5.0)
    board.update(view(5.5))
    assert own(board)["ears"]["state"] == "ok"
    assert own(board)["clock"]["state"] == "ok"
    board.update(view(8.0))
    board.update(view(9.0))
    assert own(board)["ears"]["state"] == "failed"
    assert own(board)["ears"]["since_ns"] == NOW_NS + 8_000_000_000


def test_a_channel_at_the_rail_for_ten_seconds_is_named_and_a_blast_is_not(board):
    loud, quiet = ChannelLevel(-3.0, 0.0, 900), ChannelLevel(-60.0, -50.0, 0)
    for n in range(60):
        board.heard(LevelsMessage(NOW_NS, 1_000, (quiet, loud if n % 20 < 8 else quiet)), 5.0)
    board.update(view(5.1))
    assert own(board)["ears"]["state"] == "ok"
    for _ in range(50):
        board.heard(LevelsMessage(NOW_NS, 1_000, (quiet, loud)), 6.0)
    board.update(view(6.1))
    assert own(board)["ears"]["words"] == "channel 2 at the rail all the time"
    assert own(board)["ears"]["state"] == "degraded"


def test_what_the_ears_say_of_themselves_counts_where_it_is_worse(board):
    board.heard(LevelsMessage(NOW_NS, 1_000, (ChannelLevel(-60.0, -50.0, 0),)), 5.0)
    board.ears_said([check_to_body(HealthCheck("ears", HealthState.DEGRADED, "overruns", 3.0, "", 1, "x"))], 20.0)
    board.ears_said([check_to_body(HealthCheck("ears", HealthState.OK, "all well", None, "", 1, ""))], 20.0)
    board.update(view(20.0))
    assert own(board)["ears"]["words"] == "no sound arrives"
    board.ears_said(
        [check_to_body(HealthCheck("ears", HealthState.FAILED, "array unplugged", None, "", 1, "plug it"))], 20.0
    )
    board.update(view(21.0))
    assert own(board)["ears"]["words"] == "array unplugged"
    board.ears_said([check_to_body(HealthCheck("classifier", HealthState.FAILED, "no model", None, "", 1, "x"))], 20.0)
    board.update(view(22.0))
    assert own(board)["classifier"]["words"] == "no model"


def test_what_a_silent_listening_process_said_of_itself_is_forgotten(board):
    board.ears_said([check_to_body(HealthCheck("microphones", HealthState.OK, "4 microphones", None, "", 1, ""))], 5.0)
    board.update(view(19.0))
    assert own(board)["microphones"]["state"] == "ok"
    assert board.update(view(21.0)), "its peers are told"
    assert "microphones" not in own(board)


def test_a_trouble_that_is_over_is_not_shown_any_longer(board):
    trouble = HealthCheck("discovery", HealthState.DEGRADED, "mDNS: no socket", None, "", 1, "x")
    board.update(view(1.0, checks=[trouble]))
    assert own(board)["discovery"]["state"] == "degraded"
    assert board.update(view(2.0))
    assert "discovery" not in own(board)


def test_a_peer_is_alive_while_it_is_heard_and_silent_ones_are_named_after_a_grace(board):
    members = ("n1", "n2", "n3")
    board.update(view(1.0, peers={"n2": 0.5}, members=members))
    assert peer(board, "n2").alive
    assert not peer(board, "n3").alive
    assert "n3" not in own(board)["peers"]["words"]
    board.update(view(GRACE_S + 1.0, peers={"n2": GRACE_S + 0.9}, members=members))
    assert own(board)["peers"]["words"] == "1 alive, silent: n3"
    board.update(view(GRACE_S + 6.0, peers={"n2": GRACE_S + 0.9}, members=members))
    assert not peer(board, "n2").alive
    assert peer(board, "n2").last_heard_ns == NOW_NS + round((GRACE_S + 0.9) * 1e9)


def test_what_peers_say_is_shown_as_theirs(board):
    board.node_said("n2", NodeBody("http://n2", "2"))
    board.node_said("n2", HealthBody((check_to_body(HealthCheck("ears", HealthState.OK, "w", 1.0, "dBFS", 1, "")),)))
    board.pose_of("n2", NodePose("n2", Geodetic(1.0, 2.0, 3.0), 4.0, 5.0))
    board.node_said("n1", NodeBody("http://forged", "2"))
    shown = peer(board, "n2")
    assert (shown.url, shown.software, shown.lat, shown.heading_deg) == ("http://n2", "2", 1.0, 5.0)
    assert shown.health[0]["words"] == "w"
    assert [n.id for n in board.status(NOW_NS).nodes] == ["n1", "n2"]


def test_alerts_that_no_page_takes_are_a_failure_after_a_grace(board):
    board.update(view(GRACE_S + 1.0))
    assert own(board)["alerts"]["state"] == "failed"
    board.update(view(GRACE_S + 2.0, n_pages=1))
    assert own(board)["alerts"]["state"] == "ok"


def test_a_full_disk_is_shown_with_its_remedy(board):
    board.update(view(1.0, problem="database or disk is full"))
    assert own(board)["storage"]["state"] == "failed"
    assert own(board)["storage"]["remedy"] == "make room"


def test_health_goes_to_the_peers_when_a_state_changes_and_not_when_a_number_does(board):
    assert board.update(view(1.0))
    board.heard(LevelsMessage(NOW_NS, 1_000, (ChannelLevel(-60.0, -50.0, 0),)), 1.5)
    assert board.update(view(2.0))
    board.heard(LevelsMessage(NOW_NS, 2_000, (ChannelLevel(-40.0, -30.0, 0),)), 2.5)
    assert not board.update(view(3.0))
    assert {c.name for c in board.health_body().checks} >= {"ears", "clock"}


def test_nodes_that_changed_are_told_once(board):
    board.update(view(1.0, members=("n1", "n2")))
    assert board.changed_nodes(board.status(NOW_NS)) == ["n1", "n2"]
    board.update(view(2.0, members=("n1", "n2")))
    assert board.changed_nodes(board.status(NOW_NS)) == []
    board.update(view(2.0, peers={"n2": 2.0}, members=("n1", "n2")))
    assert "n2" in board.changed_nodes(board.status(NOW_NS))


def test_the_newest_rejections_are_kept_newest_first(board):
    for n in range(MAX_REJECTIONS + 5):
        board.rejected(Rejection("n1", n, "onset", "x"))
    rejections = board.status(NOW_NS).rejections
    assert len(rejections) == MAX_REJECTIONS
    assert rejections[0]["time_ns"] == MAX_REJECTIONS + 4


def test_a_tap_between_two_looks_of_a_page_is_shown_and_its_clipped_samples_count_once(board):
    for peak, clipped in ((-50.0, 0), (-3.0, 7), (-48.0, 2)):
        board.heard(LevelsMessage(NOW_NS, 1_000, (ChannelLevel(-60.0, peak, clipped),)), 5.0)
    first, second = board.status(NOW_NS), board.status(NOW_NS)
    assert first.nodes[0].levels == [{"rms_dbfs": -60.0, "peak_dbfs": -3.0, "n_clipped_samples": 9}]
    assert second.nodes[0].levels == [{"rms_dbfs": -60.0, "peak_dbfs": -48.0, "n_clipped_samples": 0}]
