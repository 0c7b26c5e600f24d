"""What a web process is told at its start."""

from dataclasses import dataclass
from pathlib import Path

MAX_TOKEN_CHARS = 256


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Settings of one web process.

    title:             name of the site or node, shown in the page's heading
    token:             accepted as `Authorization: Bearer …` with every right; None: no token is accepted
    max_event_clients: streams of events open at one time; one more gets 503
    event_queue:       frames that may wait for one slow client before its stream is cut
    heartbeat_s:       longest silence on a stream of events
    map_file:          GeoJSON of streets; None or missing: the map has no streets
    control_socket:    the mesh process's socket that says when the store changed; None: only the store is watched
    page_keys:         folder with the key and certificates of these pages, which mesh fills; None: none
    clips:             folder with the sound that mesh kept; None: none
    geography:         folder for the owner's streets, zones and places; None: none can be given
    open_loopback:     whoever asks from this machine itself needs no login and may do everything: the demo's way
    open_metrics:      whether monitoring may read /metrics without a login
    language:          which catalogue of texts the page uses
    """

    title: str = "Earshot"
    token: str | None = None
    max_event_clients: int = 200
    event_queue: int = 256
    heartbeat_s: float = 5.0
    map_file: Path | None = None
    control_socket: Path | None = None
    page_keys: Path | None = None
    clips: Path | None = None
    geography: Path | None = None
    open_loopback: bool = False
    open_metrics: bool = False
    language: str = "en"

    def __post_init__(self) -> None:
        """Refuse limits that can't work and a token that can't be sent in a header."""
        if self.max_event_clients < 1:
            raise ValueError(f"max_event_clients {self.max_event_clients} is below 1")
        if self.event_queue < 1:
            raise ValueError(f"event_queue {self.event_queue} is below 1")
        if not 0.0 < self.heartbeat_s <= 60.0:
            raise ValueError(f"heartbeat_s {self.heartbeat_s} is outside 0..60 s")
        if self.token is not None and not _is_token(self.token):
            raise ValueError(f"a token is 1 to {MAX_TOKEN_CHARS} printable ASCII characters without spaces")


def _is_token(text: str) -> bool:
    return 1 <= len(text) <= MAX_TOKEN_CHARS and text.isascii() and text.isprintable() and " " not in text
