"""A scene or a picks file through the same objects that a node runs, in one process and as fast as it goes."""

from collections.abc import Callable, Sequence

from appliance.model.air import UNKNOWN_AIR, Air
from appliance.model.classes import Classifier
from appliance.model.incidents import Incident
from appliance.model.instants import UtcNs
from appliance.model.picks import Pick
from appliance.model.space import NodePose
from appliance.pipeline.detector import Detector
from appliance.pipeline.fusion import Fusion
from appliance.scene.reader import RecordedScene


def hear_scene(
    recorded: RecordedScene, classifier: Classifier | None, heard: Callable[[str], None]
) -> tuple[Pick, ...]:
    """All picks of all nodes of a scene, in the order of their ids; `heard` is told each node that is done."""
    picks: list[Pick] = []
    for node in recorded.scene.nodes:
        source = recorded.source(node.id)
        detector = Detector(
            node.id,
            node.geometry,
            heading_deg=node.pose.heading_deg,
            heading_sigma_deg=node.pose.heading_sigma_deg,
            classifier=classifier,
        )
        try:
            while True:
                block = source.read(timeout_s=1.0)
                if block is not None:
                    picks.extend(detector.feed(block).picks)
        except EOFError:
            picks.extend(detector.flush().picks)
        finally:
            source.close()
        heard(node.id)
    return tuple(sorted(picks, key=lambda pick: pick.id))


def locate_picks(picks: Sequence[Pick], poses: Sequence[NodePose], air: Air | None) -> tuple[Incident, ...]:
    """The incidents that a mesh would report which knows all of `picks`, in the order of their ids."""
    fusion = Fusion()
    fusion.set_air(air or UNKNOWN_AIR)
    for pose in poses:
        fusion.set_pose(pose)
    for pick in picks:
        fusion.add_pick(pick)
    fusion.update(UtcNs(max((pick.time_ns for pick in picks), default=0)))
    return tuple(sorted(fusion.incidents(), key=lambda incident: incident.id))
