"""The certificate that browsers see: it leads to the site, names only local hosts, and can't pose as anybody else."""

import datetime
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from appliance.errors import InputError
from appliance.mesh import pages
from appliance.mesh.trust import create_site

NOW = datetime.datetime.now(tz=datetime.UTC)


@pytest.fixture(scope="module")
def site():
    return create_site("city")


@pytest.fixture
def keys(site, tmp_path):
    site.enrol("n1", tmp_path / "keys")
    return tmp_path / "keys"


def handshake(folder, made, host):
    """The error of a client that trusts the site and looks for `host`; None: it is content."""
    (folder / "key").write_bytes(made.key)
    (folder / "chain").write_bytes(made.chain)
    (folder / "authority").write_bytes(made.authority)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "chain", folder / "key")
    client = ssl.create_default_context(cafile=folder / "authority")
    near, far = socket.socketpair()

    def serve():
        try:
            server.wrap_socket(far, server_side=True).close()
        except OSError:
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=host):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        near.close()
        thread.join()


@pytest.mark.parametrize("host", ["n1.local", "localhost", "10.1.2.3", "127.0.0.1"])
def test_a_car_that_trusts_the_site_trusts_every_name_and_address_of_a_node(keys, tmp_path, host):
    made = pages.make_server_certificate(keys, "n1", ["n1.local"], ["10.1.2.3"], NOW)
    assert handshake(tmp_path, made, host) is None


def test_public_names_and_addresses_are_left_out(keys):
    made = pages.make_server_certificate(keys, "n1", ["n1.local", "bank.example"], ["8.8.8.8", "fe80::1"], NOW)
    leaf = x509.load_pem_x509_certificate(made.chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "n1.local"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "fe80::1"]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= datetime.timedelta(days=398)


def test_who_steals_a_node_can_not_pose_as_a_site_of_the_internet(keys, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "is_local_name", lambda _name: True)  # the thief's software has no scruples
    made = pages.make_server_certificate(keys, "n1", ["bank.example"], [], NOW)
    assert "subtree" in handshake(tmp_path, made, "bank.example")


def test_a_node_can_not_make_issuers(keys, tmp_path):
    issuer = x509.load_pem_x509_certificate((keys / pages.ISSUER_FILE).read_bytes())
    assert issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert issuer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "Earshot node n1"


def test_whoever_holds_the_sites_key_makes_the_same_authority(site, tmp_path):
    first = pages.make_issuer(site.private_key, "city", "n1")
    second = pages.make_issuer(site.private_key, "city", "n2")
    assert first.authority == second.authority
    authority = x509.load_pem_x509_certificate(first.authority)
    x509.load_pem_x509_certificate(second.certificate).verify_directly_issued_by(authority)
    other = pages.make_issuer(create_site("city").private_key, "city", "n1")
    assert other.authority != first.authority


def test_the_authoritys_key_is_not_the_sites(site):
    authority = x509.load_pem_x509_certificate(pages.make_issuer(site.private_key, "city", "n1").authority)
    assert isinstance(authority.signature_hash_algorithm, hashes.SHA256)
    raw = authority.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    assert site.site.key not in raw


def test_a_node_without_an_issuer_is_told_what_to_do(tmp_path):
    with pytest.raises(InputError, match="enrol the node"):
        pages.make_server_certificate(tmp_path, "n1", [], [], NOW)
