"""The patrol page in a real browser: two cars, one mesh; what a driver sees, presses and misses."""

import contextlib
import datetime
import shutil
import threading
import time

import pytest
from argon2 import PasswordHasher
from werkzeug.serving import make_server

from appliance.mesh.pages import make_server_certificate
from appliance.mesh.trust import create_site
from web import WebSettings, create_app
from web.passes import AUTHORITY_FILE, CHAIN_FILE, KEY_FILE
from web.people import People
from web.roles import Role
from web.site import site_of

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not tested")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page is not tested")

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update"]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def control(now_store, fakes, tmp_path):
    server = fakes.ControlServer(tmp_path / "control.sock", now_store)
    yield server
    server.close()


@pytest.fixture
def now_store(store, fakes):
    now_ns = time.time_ns()
    store.put_nodes([fakes.node(name, now_ns, own=name == "n1") for name in fakes.NODE_PLACES_M])
    return store


@pytest.fixture
def open_car(browser, fakes):
    """A car with its unit's name, past the start of shift; `at_m` is where its receiver says it is."""
    contexts, complaints = [], []

    def begin(url, unit, *, at_m=(-300, -400), width=1024, height=600, hears_errors=True):
        lat, lon = fakes.place(*at_m)
        context = browser.new_context(
            viewport={"width": width, "height": height},
            geolocation={"latitude": lat, "longitude": lon, "accuracy": 8},
            permissions=["geolocation"],
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        if hears_errors:
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{url}/patrol")
        page.wait_for_selector("#link[data-link=live]", state="attached")
        start_shift(page, unit)
        return page

    yield begin
    for context in contexts:
        context.close()
    assert complaints == []


def start_shift(page, unit):
    page.get_by_label("Unit", exact=True).fill(unit)
    page.get_by_role("button", name="Arm the sound").click()
    page.get_by_role("button", name="Yes").click()
    page.locator("[data-check=sound]").get_by_text("heard").wait_for()
    page.get_by_role("button", name="Start shift").click()


def wait_until(page, expression, timeout_s=15.0):
    """Until a JavaScript expression holds; Playwright's own way needs eval, which the pages' policy forbids."""
    deadline_s = time.monotonic() + timeout_s
    while not page.evaluate(expression):
        assert time.monotonic() < deadline_s, f"{expression}: not within {timeout_s} s"
        page.wait_for_timeout(50)


@contextlib.contextmanager
def served(store, port=0, people=None, **settings):
    """A node's pages on a real port, over HTTPS where it needs a login; gone at the end, as if its power was cut."""
    options = WebSettings(**{"open_loopback": True, **settings})
    app = create_app(options, store, people)
    keys = None if options.open_loopback else options.page_keys
    tls = None if keys is None else (str(keys / CHAIN_FILE), str(keys / KEY_FILE))
    server = make_server("127.0.0.1", port, app, threaded=True, ssl_context=tls)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http{'' if tls is None else 's'}://127.0.0.1:{server.server_port}"
    finally:
        site_of(app).close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_alert_is_acknowledged_with_one_thumb_and_the_other_car_sees_it(serve, open_car, now_store, control, fakes):
    url, _ = serve(control_socket=control.path)
    first, second = open_car(url, "12"), open_car(url, "7", width=360, height=640)
    assert first.get_by_role("heading", name="No alert").is_visible()

    body = fakes.incident(time_ns=time.time_ns(), rounds=7, shooters=2, at_m=(-300, 140))
    now_store.put_incident(body)
    for page in (first, second):
        card = page.locator(f".alert-card[data-incident='{body['id']}']")
        card.wait_for()
        words = card.inner_text()
        for expected in ("GUNFIRE", "7 rounds", "2 shooters", "Probable, by machine", "within 7 m (95 %)"):
            assert expected in words
        assert "540 m north" in words
        assert "No unit has acknowledged yet" in words
        for name in ("Acknowledge", "En route", "On scene"):
            box = page.get_by_role("button", name=name, exact=True).bounding_box()
            assert box["width"] >= 96
            assert box["height"] >= 72

    pressed_s = time.monotonic()
    first.get_by_role("button", name="Acknowledge", exact=True).click()
    second.locator(".unit").get_by_text("12").wait_for()
    assert time.monotonic() - pressed_s < 2.0
    first.get_by_text("Saved: acknowledged").wait_for()
    first.get_by_role("button", name="En route", exact=True).click()
    second.locator(".unit.is-en-route").wait_for()
    assert [(body.unit, body.state) for _, body, _ in control.commands] == [("12", "acknowledged"), ("12", "en-route")]
    first.get_by_role("button", name="Undo").click()
    second.locator(".unit.is-acknowledged").wait_for()


def test_moves_downgrades_and_cancellations_are_announced(serve, open_car, now_store, fakes):
    url, _ = serve()
    page = open_car(url, "12")
    body = fakes.incident(time_ns=time.time_ns(), at_m=(0, 0))
    now_store.put_incident(body)
    page.locator(".alert-card").wait_for()
    lat, lon = fakes.place(-40, 0)
    now_store.put_incident({**body, "revision": 2, "lat": lat, "lon": lon})
    page.get_by_text("Location updated 40 m west").wait_for()
    now_store.put_incident({**body, "revision": 3, "lat": lat, "lon": lon, "category": "firework"})
    page.get_by_text("Now: Fireworks").wait_for()
    again = fakes.incident(time_ns=time.time_ns())
    now_store.put_incident(again)
    page.locator(f".alert-card[data-incident='{again['id']}']").wait_for()
    now_store.put_incident({**again, "revision": 2, "status": "cancelled"})
    page.locator("#news").get_by_text("Cancelled: Gunfire").wait_for()


def test_the_call_sounds_until_somebody_in_this_car_acknowledges(serve, open_car, now_store, control, fakes):
    url, _ = serve(control_socket=control.path)
    page = open_car(url, "12")
    page.evaluate("""() => {
        window.tones = 0;
        const start = OscillatorNode.prototype.start;
        OscillatorNode.prototype.start = function (...at) { window.tones += 1; return start.apply(this, at); };
    }""")
    now_store.put_incident(fakes.incident(time_ns=time.time_ns()))
    wait_until(page, "window.tones >= 12")  # six tones, and five seconds later six more
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    page.get_by_text("Saved: acknowledged").wait_for()
    before = page.evaluate("window.tones")
    page.wait_for_timeout(6_000)
    assert page.evaluate("window.tones") == before


def test_when_its_node_dies_the_page_goes_on_at_another_and_presses_go_there(open_car, now_store, control, fakes):
    with contextlib.ExitStack() as second_node, contextlib.ExitStack() as first_node:
        other = second_node.enter_context(served(now_store, control_socket=control.path))
        nodes = now_store.nodes()
        nodes[1] = {**nodes[1], "url": other}
        now_store.put_nodes(nodes)
        url = first_node.enter_context(served(now_store))
        now_store.put_nodes([{**nodes[0], "url": url}, nodes[1]])
        page = open_car(url, "12", hears_errors=False)
        first_node.close()
        page.get_by_text("Live from n2").wait_for()
        assert not page.locator("#no-link").is_visible()
        body = fakes.incident(time_ns=time.time_ns())
        now_store.put_incident(body)
        page.locator(f".alert-card[data-incident='{body['id']}']").wait_for()
        page.get_by_role("button", name="Acknowledge", exact=True).click()
        page.get_by_text("Saved: acknowledged").wait_for()
        assert control.commands[0][1].unit == "12"
        page.close()


def test_over_https_a_login_at_one_node_is_good_at_the_next(browser, now_store, control, fakes, tmp_path):
    site = create_site("city")
    people = People(tmp_path / "people.db", hasher=PasswordHasher(1, 8, 1))
    people.add("ann", Role.PATROL, "correct horse battery", time.time_ns())
    keys = {name: page_keys(site, name, tmp_path / name) for name in ("n1", "n2")}
    with contextlib.ExitStack() as second_node, contextlib.ExitStack() as first_node:
        other = second_node.enter_context(
            served(now_store, control_socket=control.path, page_keys=keys["n2"], open_loopback=False)
        )
        nodes = now_store.nodes()
        now_store.put_nodes([nodes[0], {**nodes[1], "url": other}])
        url = first_node.enter_context(served(now_store, people=people, page_keys=keys["n1"], open_loopback=False))
        now_store.put_nodes([{**nodes[0], "url": url}, {**nodes[1], "url": other}])
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"{url}/patrol")
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_selector("#link[data-link=live]", state="attached")
        start_shift(page, "12")
        first_node.close()
        page.get_by_text("Live from n2").wait_for()
        body = fakes.incident(time_ns=time.time_ns())
        now_store.put_incident(body)
        page.locator(f".alert-card[data-incident='{body['id']}']").wait_for()
        page.get_by_role("button", name="Acknowledge", exact=True).click()
        page.get_by_text("Saved: acknowledged").wait_for()
        assert [(body.unit, by) for _, body, by in control.commands] == [("12", "ann")]
        context.close()
    people.close()


def page_keys(site, node, folder):
    """What mesh puts into a node's run folder."""
    site.enrol(node, folder / "keys")
    made = make_server_certificate(folder / "keys", node, [], [], datetime.datetime.now(tz=datetime.UTC))
    (folder / KEY_FILE).write_bytes(made.key)
    (folder / CHAIN_FILE).write_bytes(made.chain)
    (folder / AUTHORITY_FILE).write_bytes(made.authority)
    return folder


def test_a_car_without_a_link_says_so_within_12_seconds_and_learns_what_it_missed(open_car, now_store, control, fakes):
    with contextlib.ExitStack() as node:
        url = node.enter_context(served(now_store, control_socket=control.path))
        now_store.put_nodes([{**now_store.nodes()[0], "url": url}])
        body = fakes.incident(1, time_ns=time.time_ns())
        now_store.put_incident(body)
        page = open_car(url, "12", hears_errors=False)
        page.locator(".alert-card").wait_for()
        node.close()
        gone_s = time.monotonic()
        strip = page.locator("#no-link")
        strip.wait_for(state="visible")
        assert time.monotonic() - gone_s < 12.0
        assert strip.bounding_box()["width"] == 1024
        assert strip.inner_text().startswith("NO LINK 0:")
        page.get_by_role("button", name="Acknowledge", exact=True).click()
        page.get_by_text("Sending").wait_for()
    missed = fakes.incident(2, time_ns=time.time_ns() - 90 * 10**9)
    now_store.put_incident(missed)
    with served(now_store, int(url.rsplit(":", 1)[1]), control_socket=control.path):
        strip.wait_for(state="hidden")
        page.locator(".unit.is-own").or_(page.locator(".alert-late")).first.wait_for()
        page.get_by_role("button", name="Gunfire · 4 rounds").first.wait_for()
        assert [body.unit for _, body, _ in control.commands] == ["12"]
        page.evaluate("() => document.querySelectorAll('.other')[0].click()")
        page.close()


def test_what_was_missed_while_the_page_was_closed_is_marked_late(serve, open_car, now_store, fakes):
    url, _ = serve()
    page = open_car(url, "12")
    wait_until(page, "localStorage.getItem('earshot-patrol-cursor') !== null")
    page.goto("about:blank")
    now_store.put_incident(fakes.incident(time_ns=time.time_ns() - 120 * 10**9))
    page.goto(f"{url}/patrol")
    page.wait_for_selector("#link[data-link=live]", state="attached")
    assert page.get_by_label("Unit", exact=True).input_value() == "12"
    start_shift(page, "12")
    page.locator(".alert-late").get_by_text("LATE").wait_for()


def test_in_motion_there_are_only_the_buttons(serve, open_car, now_store, fakes):
    url, _ = serve()
    page = open_car(url, "12")
    now_ns = time.time_ns()
    for number in (1, 2):
        now_store.put_incident(fakes.incident(number, time_ns=now_ns - number * 10**9))
    page.locator(".others").wait_for()
    page.evaluate("document.body.dataset.motion = 'moving'")
    assert not page.locator(".others").is_visible()
    assert not page.locator("#unit").is_visible()
    assert page.get_by_role("button", name="Acknowledge", exact=True).is_visible()


def test_the_sun_at_the_car_chooses_the_colours_until_the_driver_does(serve, open_car):
    url, _ = serve()
    page = open_car(url, "12")
    page.get_by_role("button", name="Colours: Auto. Change.").wait_for()
    # Midsummer noon and midnight at the car, 106.65 degrees west: 19:07 and 07:07 UTC.
    for moment, colours in ((1_782_068_820_000, "day"), (1_782_025_620_000, "night")):
        sun = "async ([ms, lat, lon]) => (await import('/static/js/patrol/sun.js')).isNight(ms, lat, lon)"
        assert page.evaluate(sun, [moment, 35.0844, -106.6504]) is (colours == "night")
    wait_until(page, "['day', 'night'].includes(document.documentElement.dataset.theme)")
    page.locator("#theme").click()
    page.get_by_role("button", name="Colours: Day. Change.").wait_for()
    assert page.locator("html").get_attribute("data-theme") == "day"


def test_night_is_black_before_the_first_paint(serve, open_car):
    url, _ = serve()
    page = open_car(url, "12")
    for _ in range(2):
        page.locator("#theme").click()
    page.get_by_role("button", name="Colours: Night. Change.").wait_for()
    page.reload(wait_until="commit")
    page.wait_for_selector("#link[data-link=live]", state="attached")
    wait_until(page, "getComputedStyle(document.documentElement).backgroundColor === 'rgb(0, 0, 0)'")
