"""Where the files of one node lie inside its state folder."""

from dataclasses import dataclass
from pathlib import Path

from appliance.errors import InputError

MAX_SOCKET_PATH_BYTES = 107
"""Linux keeps a Unix socket's path in 108 bytes, one of them for the end (unix(7))."""


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """The state folder of one node; every path below follows from it."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """The node's settings."""
        return self.root / "earshot.toml"

    @property
    def database(self) -> Path:
        """The node's log and incidents; mesh writes it, web reads it."""
        return self.root / "node.db"

    @property
    def keys(self) -> Path:
        """The node's private key and its site's certificates."""
        return self.root / "keys"

    @property
    def joined_keys(self) -> Path:
        """Keys for a site that let this node in; mesh takes them into use when it starts."""
        return self.root / "keys.joined"

    @property
    def clips(self) -> Path:
        """Sound that was kept of gunfire; mesh writes it, web reads it."""
        return self.root / "clips"

    @property
    def survey_file(self) -> Path:
        """What mesh remembers of the survey of the node's place."""
        return self.root / "survey.json"

    @property
    def map_file(self) -> Path:
        """Streets for the page's map, GeoJSON, optional."""
        return self.root / "map.geojson"

    @property
    def page_keys(self) -> Path:
        """What the pages prove themselves with: mesh writes it at each start, web reads it."""
        return self.root / "run" / "pages"

    @property
    def people(self) -> Path:
        """The people of the pages: web's own database, where systemd gives web no folder for it."""
        return self.root / "web" / "people.db"

    @property
    def listen_socket(self) -> Path:
        """Mesh serves it, listen connects."""
        return self.root / "run" / "listen.sock"

    @property
    def control_socket(self) -> Path:
        """Mesh serves it, web connects."""
        return self.root / "run" / "control.sock"

    @property
    def ears_socket(self) -> Path:
        """A simulated world serves it, listen connects."""
        return self.root / "run" / "ears.sock"

    def make(self) -> None:
        """Make the folders that are missing, closed to others than the owner and its group.

        Raises InputError when a socket's path would be too long or a folder can't be made.
        """
        length = len(str(self.control_socket.absolute()).encode())
        if length > MAX_SOCKET_PATH_BYTES:
            raise InputError(str(self.root), f"makes a socket path of {length} bytes", "name a shorter state folder")
        try:
            # The mode of a folder that is there already is its owner's business: systemd's, on a node.
            self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
            self.control_socket.parent.mkdir(mode=0o750, exist_ok=True)
        except OSError as error:
            problem = error.strerror or "can't be made"
            raise InputError(str(self.root), problem, "name a state folder that can be written") from error
