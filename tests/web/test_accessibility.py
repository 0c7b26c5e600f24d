"""Every page, day and night, wide and narrow, before axe-core: no serious or critical fault (WCAG 2.2 AA)."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import time

import pytest
from argon2 import PasswordHasher

from web.people import People

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not tested")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page is not tested")

AXE = "axe-core@4.14.1"
AXE_SHA512 = (
    "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b73"
    "4f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5"
)
LOOKS = [
    ("day", 1024, 600),
    ("night", 360, 640),
    pytest.param("night", 1024, 600, marks=pytest.mark.slow),
    pytest.param("day", 360, 640, marks=pytest.mark.slow),
]
"""Colours depend on the theme and layout on the size, so that two of the four find nearly everything."""
RUN = """async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}))
    .violations.filter((v) => ["serious", "critical"].includes(v.impact))
    .map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(" | ")}`)"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe-core, fetched by npm and checked against its hash; nothing of it is part of Earshot."""
    folder = tmp_path_factory.mktemp("axe")
    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine: accessibility is not tested")
    packed = subprocess.run(["npm", "pack", AXE], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    archives = list(folder.glob("*.tgz"))
    if packed.returncode != 0 or not archives:
        pytest.skip(f"{AXE} can't be fetched: accessibility is not tested")
    assert hashlib.sha512(archives[0].read_bytes()).hexdigest() == AXE_SHA512
    with tarfile.open(archives[0]) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def people(tmp_path):
    people = People(tmp_path / "people.db", hasher=PasswordHasher(1, 8, 1))
    yield people
    people.close()


@pytest.mark.parametrize(("theme", "width", "height"), LOOKS)
def test_no_page_has_a_serious_fault(serve, browser, axe, people, store, fakes, tmp_path, theme, width, height):
    now_ns = time.time_ns()
    (tmp_path / "map.geojson").write_text(json.dumps(fakes.town()))
    nodes = [fakes.node(name, now_ns, own=name == "n1") for name in fakes.NODE_PLACES_M]
    nodes[2]["health"] = [fakes.check("clock", "degraded", "PPS lost", 340.0, "µs", "Check the antenna", now_ns)]
    nodes[3]["alive"] = False
    store.put_nodes(nodes)
    body = fakes.incident(1, time_ns=now_ns, rounds=7, shooters=2)
    store.put_incident(body)
    store.put_incident(fakes.incident(2, time_ns=now_ns - 10**9, category="possible-gunfire"))
    said = {"incident": body["id"], "by": "ann", "time_ns": now_ns, "time": "2026-07-04T03:12:00.000000Z", "node": "n1"}
    store.put_remark("acknowledgement", {**said, "unit": "12", "state": "en-route"})
    store.put_remark("review", {**said, "verdict": "gunfire", "note": "casings"})
    url, _ = serve(people=people, map_file=tmp_path / "map.geojson", geography=tmp_path / "geography")
    paths = (
        "/setup",
        "/",
        "/patrol",
        "/status",
        f"/incidents/{body['id']}",
        "/people",
        "/geography",
        "/interface",
        "/install",
        "/nodes",
    )
    faults = {}
    # The policy forbids foreign scripts, and so it must; for the test alone it is set aside.
    context = browser.new_context(viewport={"width": width, "height": height}, bypass_csp=True)
    context.add_init_script(f"localStorage.setItem('earshot-theme', '{theme}')")
    page = context.new_page()
    page.set_default_timeout(15_000)
    for path in paths:
        page.goto(url + path)
        if page.locator("#link").count():
            page.wait_for_selector("#link[data-link=live]", state="attached")
        page.evaluate(axe)
        found = page.evaluate(RUN)
        if path == "/patrol":
            page.get_by_label("Unit", exact=True).fill("7")
            page.get_by_role("button", name="Start shift").click()
            page.locator(".alert-card").wait_for()
            found += page.evaluate(RUN)
        if found:
            faults[path] = found
    context.close()
    assert faults == {}
