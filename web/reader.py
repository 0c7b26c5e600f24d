"""What the pages need of the node's database; `appliance.storage.StoreReader` offers it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Body = dict[str, Any]
"""A JSON object as the store hands it out."""


class Event(Protocol):
    """Something that changed: a cursor to read on from, what kind of thing it is, and what it is now."""

    @property
    def cursor(self) -> str:
        """Text that every node of the mesh understands."""

    @property
    def kind(self) -> str:
        """`incident`, `nodes`, or what people said: `acknowledgement`, `review`, `exercise`."""

    @property
    def body(self) -> Body:
        """The incident or what was said; for `nodes` nothing that the pages use."""


class Reader(Protocol):
    """The node's database, read only, safe to use from several threads."""

    def incidents(self, *, limit: int = 200, since: str | None = None) -> Sequence[Body]:
        """Incidents, newest first; with `since` only those that changed after that cursor."""

    def incident(self, incident_id: str) -> Body | None:
        """One incident by its id or by the id of any of its picks; None: there is none."""

    def events_after(self, cursor: str | None, limit: int = 500) -> Sequence[Event]:
        """What changed after `cursor`, oldest first. Raises InputError for what is no cursor."""

    def latest_cursor(self) -> str:
        """The cursor of the newest event."""

    def acknowledgements(self, incident_ids: Sequence[str]) -> Mapping[str, Sequence[Body]]:
        """How far each unit is with each of the incidents now, the newest last."""

    def reviews(self, incident_ids: Sequence[str]) -> Mapping[str, Sequence[Body]]:
        """What each person makes of each of the incidents now, the newest last."""

    def clips(self, incident_ids: Sequence[str]) -> Mapping[str, Sequence[Body]]:
        """The sound that nodes kept of each of the incidents."""

    def remarks(self, kind: str, incident_id: str) -> Sequence[Body]:
        """All that was ever said of an incident in remarks of a kind, oldest first."""

    def nodes(self) -> Sequence[Body]:
        """Every node that this one knows, itself included, with health and levels."""

    def rejections(self, limit: int = 100) -> Sequence[Body]:
        """Onsets that became no pick, newest first."""
