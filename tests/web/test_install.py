"""The technician's page in a real browser: a node whose faults are found one by one, until it is READY."""

import json
import shutil
import time

import pytest

from web.site import site_of

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not tested")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page is not tested")


@pytest.fixture
def page():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(viewport={"width": 360, "height": 640}).new_page()
        page.set_default_timeout(20_000)
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        browser.close()
        assert complaints == []


@pytest.fixture
def control(store, fakes, tmp_path):
    server = fakes.ControlServer(tmp_path / "control.sock", store)
    yield server
    server.close()


class Node:
    """A simulated node: its levels wander like ambient sound, and the test changes what it wants."""

    def __init__(self, store, fakes):
        self.store, self.fakes, self.n = store, fakes, 0
        self.rms, self.clock_ms, self.clipped = [-55.0, -55.4, -54.8, -61.0], 0.4, 0

    def hear(self, peaks=(-48.0, -48.0, -48.0, -48.0)):
        """One more reading of the levels, which the page gets as its next one."""
        self.n += 1
        now_ns = time.time_ns()
        check = self.fakes.check
        nodes = [self.fakes.node(name, now_ns, own=name == "n1") for name in self.fakes.NODE_PLACES_M]
        clock = check("clock", "ok", "READY: PPS leads", self.clock_ms, "ms")
        place = check("place", "ok", "surveyed in", 0.8, "m")
        well = [check(name, "ok", f"{name} is well", 1.0) for name in ("power", "temperature", "microphones", "ears")]
        nodes[0]["health"] = [clock, place, *well]
        levels = zip(self.rms, peaks, strict=True)
        nodes[0]["levels"] = [
            {"rms_dbfs": rms + 0.01 * (self.n % 7), "peak_dbfs": peak, "n_clipped_samples": self.clipped}
            for rms, peak in levels
        ]
        self.clipped = 0
        self.store.put_nodes(nodes, event=False)


def hear_until(node, page, selector, **reading):
    """Let the node hear until the page shows `selector`."""
    deadline_s = time.monotonic() + 20.0
    while not page.locator(selector).count():
        assert time.monotonic() < deadline_s, f"{selector} did not come"
        node.hear(**reading)
        page.wait_for_timeout(120)


def test_each_fault_is_named_with_its_number_until_the_node_is_ready(
    serve, page, store, fakes, control, monkeypatch, tmp_path
):
    monkeypatch.setattr("web.hub.NODES_INTERVAL_S", 0.02)
    url, app = serve(control_socket=control.path)
    site_of(app).watch._look_interval_s = 0.05
    node = Node(store, fakes)
    node.hear()
    page.goto(f"{url}/install")
    page.wait_for_selector("#link[data-link=live]")

    # One channel is 6 dB below the others, and the clock is a millisecond off.
    hear_until(node, page, "[data-step=levels][data-state=fail]")
    assert "(limit 3 dB)" in page.locator("[data-step=levels]").inner_text()
    assert page.locator("[data-step=clock][data-state=fail]").get_by_text("0.4 ms (limit 0.1 ms)").is_visible()
    assert "NOT READY because of:" in page.locator("#verdict").inner_text()
    node.rms, node.clock_ms = [-55.0, -55.4, -54.8, -55.1], 0.02
    hear_until(node, page, "[data-step=levels][data-state=pass]")
    assert page.locator("[data-step=clock][data-state=pass]").count() == 1

    # A full-scale sample counts until it is counted anew.
    node.clipped = 3
    hear_until(node, page, "[data-step=clipping][data-state=fail]")
    page.get_by_role("button", name="Count anew").click()
    assert page.locator("[data-step=clipping][data-state=pass]").count() == 1

    # Channels 2 and 3 are swapped; then they are put right.
    for order, state in (((0, 2, 1, 3), "fail"), ((0, 1, 2, 3), "pass")):
        page.get_by_role("button", name="Tap the microphones in order").click()
        for i, channel in enumerate(order):
            peaks = [-10.0 if c == channel else -46.0 for c in range(4)]
            heard = ", ".join(str(c + 1) for c in order[: i + 1])
            hear_until(node, page, f"[data-step=order]:has-text(': {heard}')", peaks=peaks)
        page.locator(f"[data-step=order][data-state={state}]").wait_for()

    page.get_by_role("button", name="Send a test alert").click()
    page.locator("[data-step=alert]").get_by_text("(limit 5 s)").wait_for()
    page.get_by_role("button", name="It was heard in the car").click()
    page.locator("#verdict").get_by_text("READY", exact=True).wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the report").click()
    report = json.loads(download.value.path().read_text())
    assert report["ready"] is True
    assert report["taps"] == [1, 2, 3, 4]
    assert {step["name"]: step["limit"] for step in report["steps"]}["clock"] == 0.1
    assert [(kind, body.words) for kind, body, _ in control.commands] == [("exercise", "Test alert of n1")]
