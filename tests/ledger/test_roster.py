from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.ledger.roster import MAX_KEYS_PER_NODE, MAX_NODES, Roster


def key():
    return Ed25519PrivateKey.generate().public_key()


def test_a_stranger_has_no_key():
    assert Roster(bytes(32)).keys_of("n1") == ()


def test_the_roster_takes_no_more_nodes_and_keys_than_a_site_has():
    roster = Roster(bytes(32))
    known = key()
    assert roster.add("n0", known)
    assert all(roster.add("n0", key()) for _ in range(MAX_KEYS_PER_NODE - 1))
    assert not roster.add("n0", key())
    assert all(roster.add(f"n{i}", key()) for i in range(1, MAX_NODES))
    assert not roster.add("one more", key())
    assert roster.add("n0", known), "a key that is known stays known"
    assert len(roster.nodes()) == MAX_NODES
