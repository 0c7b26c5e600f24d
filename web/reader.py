"""What the pages need of the node's database; `appliance.storage.StoreReader` offers it."""

from collections.abc import Sequence
from typing import Any, Protocol

Body = dict[str, Any]
"""A JSON object as the store hands it out."""


class Event(Protocol):
    """Something that changed: a cursor to read on from, `incident` or `nodes`, and what it is now."""

    @property
    def cursor(self) -> str:
        """Text that every node of the mesh understands."""

    @property
    def kind(self) -> str:
        """`incident` or `nodes`."""

    @property
    def body(self) -> Body:
        """The incident; for `nodes` nothing that the pages use."""


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

    def nodes(self) -> Sequence[Body]:
        """Every node that this one knows, itself included, with health and levels."""

    def rejections(self, limit: int = 100) -> Sequence[Body]:
        """Onsets that became no pick, newest first."""
