import datetime
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from appliance.errors import InputError, PeerError
from appliance.mesh.trust import create_site, load_credentials, load_site

OLD = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
LATE = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def site():
    return create_site("harbour")


@pytest.fixture
def keys(site, tmp_path):
    site.enrol("n1", tmp_path / "keys")
    return tmp_path / "keys"


def test_an_enrolled_node_is_known_by_name_and_key(site, keys):
    credentials = load_credentials(keys)
    assert credentials.node == "n1"
    assert credentials.site.name == "harbour"
    assert credentials.site.key == site.site.key
    enrolled = site.site.check(credentials.enrolled.der)
    assert (enrolled.node, enrolled.key) == ("n1", credentials.private_key.public_key())


def test_secrets_are_for_their_owner_alone_and_the_sites_key_stays_with_the_site(site, keys, tmp_path):
    pages = ["pages-authority.pem", "pages-issuer.key", "pages-issuer.pem"]
    assert sorted(f.name for f in keys.iterdir()) == ["node.key", "node.pem", *pages, "site.pem"]
    assert keys.stat().st_mode & 0o777 == 0o700
    assert all(f.stat().st_mode & 0o777 == 0o600 for f in keys.iterdir())
    site.save(tmp_path / "safe")
    assert (tmp_path / "safe" / "site.key").stat().st_mode & 0o777 == 0o600


def test_a_site_that_was_saved_can_enrol_more_nodes(site, keys, tmp_path):
    site.save(tmp_path / "safe")
    load_site(tmp_path / "safe").enrol("n2", tmp_path / "n2")
    assert site.site.check(load_credentials(tmp_path / "n2").enrolled.der).node == "n2"


def test_enrolling_again_replaces_the_key(site, keys):
    before = load_credentials(keys).enrolled
    site.enrol("n1", keys)
    after = load_credentials(keys).enrolled
    assert before.fingerprint != after.fingerprint
    assert before.key != after.key


@pytest.mark.parametrize("name", ["", "a/b", "../n", "n1\n", "é", "n" * 65, "-n"])
def test_a_name_that_could_be_misread_somewhere_is_not_enrolled(site, tmp_path, name):
    with pytest.raises(InputError, match="use letters"):
        site.enrol(name, tmp_path / "keys")


def damage(keys, how):
    if how == "no key":
        (keys / "node.key").unlink()
    elif how == "no certificate":
        (keys / "node.pem").unlink()
    elif how == "no site":
        (keys / "site.pem").unlink()
    elif how == "garbage key":
        (keys / "node.key").write_text("garbage")
    elif how == "garbage certificate":
        (keys / "node.pem").write_text("garbage")
    elif how == "another key":
        create_site("x").enrol("n1", keys.parent / "other")
        (keys / "node.key").write_bytes((keys.parent / "other" / "node.key").read_bytes())
    elif how == "another site":
        create_site("x").enrol("n1", keys.parent / "other")
        (keys / "site.pem").write_bytes((keys.parent / "other" / "site.pem").read_bytes())
    elif how == "curve":
        key = ec.generate_private_key(ec.SECP256R1())
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        (keys / "node.key").write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))


@pytest.mark.parametrize(
    ("how", "file", "words"),
    [
        ("no key", "node.key", "No such file"),
        ("no certificate", "node.pem", "No such file"),
        ("no site", "site.pem", "No such file"),
        ("garbage key", "node.key", "no private key"),
        ("garbage certificate", "node.pem", "no certificate"),
        ("another key", "node.pem", "does not belong to the key"),
        ("another site", "node.pem", "was not signed by the site"),
        ("curve", "node.key", "no Ed25519 key"),
    ],
)
def test_keys_that_do_not_fit_are_refused_naming_the_file_and_the_remedy(keys, how, file, words):
    damage(keys, how)
    with pytest.raises(InputError) as caught:
        load_credentials(keys)
    assert caught.value.thing.endswith(file)
    assert words in caught.value.problem
    assert "enrol" in caught.value.remedy


def forged(signer, issuer, *, names=("urn:earshot:node:n1",), key=None, ca=False):
    """A certificate as an attacker would make it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n1")])
    key = key or Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(OLD).not_valid_after(LATE)
    if names:
        sans = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name) for name in names])
        builder = builder.add_extension(sans, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(signer, None).public_bytes(serialization.Encoding.DER)


def test_certificates_that_the_site_did_not_make_for_one_node_are_refused(site, tmp_path):
    own, other = site.site.certificate.subject, create_site("harbour")
    other.enrol("n1", tmp_path / "other")
    site.enrol("n2", tmp_path / "n2")
    member = load_credentials(tmp_path / "n2")
    genuine = member.enrolled.der
    bad = {
        "nothing": b"",
        "garbage": b"\x30\x82" + bytes(500),
        "of a site of the same name": load_credentials(tmp_path / "other").enrolled.der,
        "the site's own": site.site.certificate.public_bytes(serialization.Encoding.DER),
        "signed by itself": forged(k := Ed25519PrivateKey.generate(), own, key=k),
        "signed by a member in the site's name": forged(member.private_key, own),
        "signed by a member": forged(member.private_key, x509.load_der_x509_certificate(genuine).subject),
        "without a node": forged(site.private_key, own, names=()),
        "for another purpose": forged(site.private_key, own, names=("urn:other:n1",)),
        "for two nodes": forged(site.private_key, own, names=("urn:earshot:node:a", "urn:earshot:node:b")),
        "for a strange name": forged(site.private_key, own, names=("urn:earshot:node:a/b",)),
        "of another kind of key": forged(site.private_key, own, key=ec.generate_private_key(ec.SECP256R1())),
        "cut": genuine[:-1],
        "changed": genuine[:-1] + bytes((genuine[-1] ^ 1,)),
    }
    assert site.site.check(genuine).node == "n2"
    for name, der in bad.items():
        with pytest.raises(PeerError, match="was not signed for a node by the site"):
            pytest.fail(f"{name}: taken for {site.site.check(der)}")


def test_a_certificate_with_any_bit_changed_is_refused_and_never_crashes_a_node(site):
    for n in range(4):  # a signature that ends in zeros has more than one encoding that a reader may take
        key = Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32).public_key()
        der = site.certify("n1", key)
        for bit in range(n, 8 * len(der), 4 if n else 1):
            changed = bytearray(der)
            changed[bit // 8] ^= 1 << bit % 8
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a serial number that is negative
                with pytest.raises(PeerError, match="was not signed for a node"):
                    site.site.check(bytes(changed))
