"""The three processes of one node as children of a supervisor."""

from collections.abc import Mapping
from types import MappingProxyType

from appliance.config.folder import NodeFolder
from appliance.daemon.supervisor import Child

PROCESSES = ("mesh", "listen", "web")
"""In order of start: mesh serves the sockets that the others connect to."""


ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Our matrices are small: threads of the linear algebra library would only get in the way of other processes."""


def node_children(
    node: str, folder: NodeFolder, python: str, environment: Mapping[str, str] = MappingProxyType({})
) -> list[Child]:
    """The processes of `node`; what they print goes to files in the state folder."""
    return [
        Child(
            name=f"{node} {process}",
            command=[python, "-m", "appliance", process, "--state", str(folder.root)],
            log_file=folder.root / "log" / f"{process}.log",
            environment={**ONE_THREAD, **environment},
        )
        for process in PROCESSES
    ]
