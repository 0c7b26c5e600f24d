"""Who belongs to the site: node to the keys that its certificates name. Filled by `mesh.trust`, which checks those."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.ledger.records import Record, is_signed_by
from appliance.ledger.revocation import Cut, Statement, key_hash

MAX_NODES = 64
"""One LAN mesh is up to 25 nodes; the rest is room for nodes that were replaced."""
MAX_KEYS_PER_NODE = 4
"""A node that is enrolled again gets a new key, and its old records must still be checked."""


class Roster:
    """The site's public key and the nodes with their public keys, some of them revoked."""

    def __init__(self, site_key: bytes) -> None:
        """Begin with nobody; `site_key` is the raw Ed25519 public key of the site."""
        self.site_key = site_key
        self._keys: dict[str, tuple[Ed25519PublicKey, ...]] = {}
        self._cuts: dict[tuple[str, bytes], Cut] = {}

    def add(self, node: str, key: Ed25519PublicKey) -> bool:
        """Trust `key` to sign for `node`; False where there is no room for another node or key."""
        keys = self._keys.get(node, ())
        if key in keys:
            return True
        if len(keys) >= MAX_KEYS_PER_NODE or (not keys and len(self._keys) >= MAX_NODES):
            return False
        self._keys[node] = (*keys, key)
        return True

    def revoke(self, statement: Statement) -> bool:
        """Trust the keys that the site revoked no further than it says; whether that is new. The first word counts."""
        cut = Cut({kept.epoch: kept for kept in statement.kept})
        new = [key for key in statement.keys if (statement.node, key) not in self._cuts]
        self._cuts.update({(statement.node, key): cut for key in new})
        return bool(new)

    def keys_of(self, node: str) -> tuple[Ed25519PublicKey, ...]:
        """The keys that sign or once signed for `node`; empty where it is a stranger."""
        return self._keys.get(node, ())

    def is_revoked(self, node: str, key: Ed25519PublicKey) -> bool:
        """Whether `key` speaks for `node` no longer."""
        return (node, key_hash(key)) in self._cuts

    def signer_of(self, record: Record) -> Ed25519PublicKey | None:
        """The key that signed a record; None: none of its node's did."""
        keys = self._keys.get(record.node, ())
        return next((key for key in keys if is_signed_by(record, key, self.site_key)), None)

    def counts(self, record: Record, signer: Ed25519PublicKey) -> bool:
        """Whether a record by `signer` was written while that key spoke for its node."""
        cut = self._cuts.get((record.node, key_hash(signer)))
        return cut is None or cut.allows(record, self.site_key)

    def nodes(self) -> tuple[str, ...]:
        """All who belong now, sorted."""
        return tuple(sorted(n for n, keys in self._keys.items() if not all(self.is_revoked(n, key) for key in keys)))
