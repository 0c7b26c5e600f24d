"""Who belongs to the site: node to the keys that its certificates name. Filled by `mesh.trust`, which checks those."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_NODES = 64
"""One LAN mesh is up to 25 nodes; the rest is room for nodes that were replaced."""
MAX_KEYS_PER_NODE = 4
"""A node that is enrolled again gets a new key, and its old records must still be checked."""


class Roster:
    """The site's public key and the nodes with their public keys."""

    def __init__(self, site_key: bytes) -> None:
        """Begin with nobody; `site_key` is the raw Ed25519 public key of the site."""
        self.site_key = site_key
        self._keys: dict[str, tuple[Ed25519PublicKey, ...]] = {}

    def add(self, node: str, key: Ed25519PublicKey) -> bool:
        """Trust `key` to sign for `node`; False where there is no room for another node or key."""
        keys = self._keys.get(node, ())
        if key in keys:
            return True
        if len(keys) >= MAX_KEYS_PER_NODE or (not keys and len(self._keys) >= MAX_NODES):
            return False
        self._keys[node] = (*keys, key)
        return True

    def keys_of(self, node: str) -> tuple[Ed25519PublicKey, ...]:
        """The keys that may sign for `node`; empty where it is a stranger."""
        return self._keys.get(node, ())

    def nodes(self) -> tuple[str, ...]:
        """All who belong, sorted."""
        return tuple(sorted(self._keys))
