"""The figures of a node for monitoring, in the text format of Prometheus. No I/O."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from web.reader import Body

STATES = ("ok", "degraded", "failed", "unknown")


def exposition(nodes: Sequence[Body], *, event_clients: int) -> bytes:
    """Health checks, levels and peers of the node whose pages these are, as they stand now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(nodes, event_clients))
    return generate_latest(registry)


class _Figures:
    """What `CollectorRegistry` asks for families."""

    def __init__(self, nodes: Sequence[Body], event_clients: int) -> None:
        self._nodes = nodes
        self._event_clients = event_clients

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("earshot_event_clients", "Open streams of events.", value=self._event_clients)
        alive = GaugeMetricFamily("earshot_node_alive", "Whether a node of the mesh is heard.", labels=["node"])
        for node in self._nodes:
            alive.add_metric([str(node["id"])], float(bool(node["alive"])))
        yield alive
        for node in self._nodes:
            if node.get("self"):
                yield from _own(node)


def _own(node: Body) -> Iterator[GaugeMetricFamily]:
    state = GaugeMetricFamily("earshot_check_state", "1 for the state that a check is in.", labels=["check", "state"])
    value = GaugeMetricFamily("earshot_check_value", "The number of a check.", labels=["check", "unit"])
    for check in node["health"]:
        for name in STATES:
            state.add_metric([check["name"], name], float(check["state"] == name))
        if check["number"] is not None:
            value.add_metric([check["name"], check["unit"]], float(check["number"]))
    yield state
    yield value
    names = {"rms_dbfs": "RMS level", "peak_dbfs": "Peak level", "n_clipped_samples": "Full-scale samples"}
    for field, words in names.items():
        family = GaugeMetricFamily(
            f"earshot_channel_{field.removeprefix('n_')}", f"{words}, newest.", labels=["channel"]
        )
        for channel, level in enumerate(node.get("levels", ()), start=1):
            family.add_metric([str(channel)], float(level[field]))
        yield family
