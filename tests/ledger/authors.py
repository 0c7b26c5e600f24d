"""Nodes that write records, for tests of everything that reads them."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.ledger.records import NO_RECORD, Record, RecordWriter, Tip, record_hash
from appliance.ledger.roster import Roster
from appliance.wire.records import EpochBody, PickBody, encode_body

SITE_KEY = bytes(range(32))
START_NS = 1_790_000_000_000_000_000


class Author:
    """A node with its key, which can write one epoch after the other."""

    def __init__(self, node: str, site_key: bytes = SITE_KEY) -> None:
        self.node = node
        self.site_key = site_key
        self.key = Ed25519PrivateKey.from_private_bytes(node.encode().ljust(32, b"\0")[:32])
        self.tip = Tip(0, NO_RECORD)
        self.epoch = 0
        self._writer = None

    def begin(
        self, epoch: int | None = None, remembered: Tip | None = None, previous_epoch: int | None = None
    ) -> Record:
        """Begin an epoch after what the node remembers (by default everything)."""
        tip = self.tip if remembered is None else remembered
        before = self.epoch if previous_epoch is None else previous_epoch
        self.epoch = self.epoch + 1 if epoch is None else epoch
        self._writer = RecordWriter(self.key, self.site_key, self.node, self.epoch, tip.hash)
        return self._note(self._writer.write(*encode_body(EpochBody(before, tip.seq, "test")), START_NS))

    def write(self, kind: str = "note", body: bytes = b"\x81\xa1v\x01", time_ns: int = START_NS) -> Record:
        return self._note(self._writer.write(kind, body, time_ns))

    def pick(self, time_ns: int = START_NS) -> Record:
        return self.write(*encode_body(PickBody(time_ns, 100_000)), time_ns)

    def stream(self, n_records: int) -> list[Record]:
        """A whole epoch of `n_records`."""
        return [self.begin(), *(self.pick(START_NS + i * 1_000_000) for i in range(1, n_records))]

    def _note(self, record: Record) -> Record:
        self.tip = Tip(record.seq, record_hash(record, self.site_key))
        return record


def roster_of(*authors: Author, site_key: bytes = SITE_KEY) -> Roster:
    """A roster of these nodes."""
    roster = Roster(site_key)
    for author in authors:
        roster.add(author.node, author.key.public_key())
    return roster
