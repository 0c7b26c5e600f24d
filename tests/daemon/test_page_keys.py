"""Mesh makes the pages' keys at its start, for the group of web and nobody else, also on nodes that had none."""

import datetime
import stat

from cryptography import x509

from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.config.settings import NodeSettings, WebSettings
from appliance.daemon.mesh_setup import ensure_keys
from appliance.daemon.page_keys import page_url, write_page_keys
from appliance.mesh.pages import AUTHORITY_FILE, ISSUER_FILE, ISSUER_KEY_FILE
from appliance.mesh.trust import SITE_KEY_FILE

NOW = datetime.datetime(2026, 7, 4, tzinfo=datetime.UTC)
SETTINGS = Settings(node=NodeSettings(id="n1", site="city"))


def made_folder(tmp_path):
    folder = NodeFolder(tmp_path)
    folder.make()
    ensure_keys(SETTINGS, folder)
    return folder


def test_web_reads_them_by_its_group_and_others_do_not(tmp_path):
    folder = made_folder(tmp_path)
    write_page_keys(SETTINGS, folder, NOW)
    write_page_keys(SETTINGS, folder, NOW)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.page_keys.iterdir()}
    assert modes == {"server.key": 0o640, "server.pem": 0o640, "authority.pem": 0o640}
    assert stat.S_IMODE(folder.page_keys.stat().st_mode) == 0o750
    leaf = x509.load_pem_x509_certificate((folder.page_keys / "server.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "n1.local" in names.get_values_for_type(x509.DNSName)


def test_a_site_that_had_no_authority_for_pages_gets_one_where_its_key_is(tmp_path):
    folder = made_folder(tmp_path)
    for name in (ISSUER_FILE, ISSUER_KEY_FILE, AUTHORITY_FILE):
        (folder.keys / name).unlink()
    write_page_keys(SETTINGS, folder, NOW)
    assert (folder.page_keys / "server.pem").exists()


def test_elsewhere_the_node_goes_on_without(tmp_path, caplog):
    folder = made_folder(tmp_path)
    for name in (ISSUER_FILE, ISSUER_KEY_FILE, AUTHORITY_FILE, SITE_KEY_FILE):
        (folder.keys / name).unlink()
    write_page_keys(SETTINGS, folder, NOW)
    assert not folder.page_keys.exists()
    assert "enrol the node again" in caplog.text


def test_pages_of_the_lan_are_announced_with_https():
    assert page_url(Settings(web=WebSettings(host="127.0.0.1", port=8080))) == "http://127.0.0.1:8080"
    assert page_url(Settings(web=WebSettings(host="10.1.2.3", port=8443))) == "https://10.1.2.3:8443"
    assert page_url(Settings(web=WebSettings(host="0.0.0.0", port=8443))).startswith("https://")
