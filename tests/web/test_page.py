"""The page in a real browser: what a person sees when something happens."""

import shutil
import threading
import time

import pytest
from werkzeug.serving import make_server

from web import WebSettings, create_app
from web.site import site_of

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not tested")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page is not tested")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens the page, and fails the test when the browser complained about anything that the test did not cause."""
    contexts, complaints = [], []

    def begin(url, *, width=1024, height=600, hears_errors=True, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        if hears_errors:
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        page.wait_for_selector("#link[data-link=live]")
        return page

    yield begin
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def now_store(store, fakes):
    now_ns = time.time_ns()
    store.put_nodes([fakes.node(name, now_ns, own=name == "n1") for name in fakes.NODE_PLACES_M])
    return store


def test_an_incident_appears_by_itself_in_list_map_and_details(serve, open_page, now_store, fakes, tmp_path):
    (tmp_path / "map.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    url, _ = serve(map_file=tmp_path / "map.geojson")
    page = open_page(url)
    assert page.get_by_text("Nothing heard yet").is_visible()
    assert page.locator("#nodes-chip").inner_text() == "5 nodes OK"

    body = fakes.incident(time_ns=time.time_ns(), rounds=7, shooters=2, at_m=(-95, 95))
    now_store.put_incident(body)
    card = page.locator(f"#cards [data-incident='{body['id']}']")
    card.wait_for()
    words = card.inner_text()
    for expected in ("Gunfire", "7 rounds", "2 shooters", "very likely, 97 %", "within 7 m (95 %)", "n1", "n2", "n5"):
        assert expected in words
    assert page.locator("#announcer").text_content().startswith("Gunfire, 7 rounds, within 7 m")
    assert page.locator(".m-arrival").count() == 3
    assert page.locator(".m-shot").count() == 7
    assert page.locator("#details .shots tbody tr").count() == 7
    assert not page.get_by_text("Nothing heard yet").is_visible()

    now_store.put_incident({**body, "revision": 2, "rounds": 8, "words": {}})
    card.get_by_text("8 rounds").wait_for()
    assert card.locator(".card-updated").get_attribute("title") == "updated"

    now_store.put_incident({**body, "revision": 3, "status": "cancelled"})
    card.get_by_text("Cancelled: Gunfire").wait_for()
    assert page.locator("#announcer").text_content().startswith("Changed: Cancelled: Gunfire")


def test_an_incident_that_another_swallows_leaves_the_list(serve, open_page, now_store, fakes):
    url, _ = serve()
    later = fakes.incident(2, time_ns=time.time_ns())
    now_store.put_incident(later)
    page = open_page(url)
    page.locator("#cards li").wait_for()
    earlier = fakes.incident(1, time_ns=later["time_ns"] - 10**9, aliases=[later["id"]], rounds=5)
    now_store.put_incident(earlier)
    page.locator(f"#cards [data-incident='{earlier['id']}']").wait_for()
    assert page.locator("#cards li").count() == 1
    assert page.locator("#cards li[aria-current=true]").count() == 1


def test_choosing_an_incident_shows_its_direction_and_why_it_has_no_place(serve, open_page, now_store, fakes):
    url, _ = serve()
    now_ns = time.time_ns()
    body = fakes.incident(time_ns=now_ns, heard_by=["n3"], category="possible-gunfire")
    bearing = {"from": "n3", "deg": 212.0, "sigma_deg": 4.0}
    now_store.put_incident(fakes.unplaced(body, bearing=bearing, reason="heard by one node"))
    now_store.put_incident(fakes.incident(time_ns=now_ns + 10**6))
    page = open_page(url)
    page.locator("#cards li").nth(1).get_by_role("button").click()
    details = page.locator("#details")
    details.get_by_text("heard by one node").wait_for()
    assert "212° ± 8° (south-west) from n3" in details.inner_text()
    assert page.locator(".m-bearing-line").count() == 1
    assert page.locator("#follow").get_attribute("aria-pressed") == "false"
    assert f"incident={now_ns // 1000:016d}-n3" in page.url


def test_a_node_tells_what_it_does_and_what_to_do_about_it(serve, open_page, now_store, fakes):
    url, _ = serve()
    page = open_page(url)
    nodes = now_store.nodes()
    check = fakes.check("clock", "degraded", "PPS lost, coasting", 340.0, "µs", "Check the antenna", time.time_ns())
    nodes[2] = {**nodes[2], "health": [check]}
    now_store.put_nodes(nodes)
    page.get_by_role("button", name="4 of 5 nodes OK").click()
    row = page.locator(".node[data-node=n3]")
    row.locator("summary").click()
    for words in ("Degraded", "PPS lost, coasting", "340 µs", "Check the antenna"):
        row.get_by_text(words).first.wait_for()
    assert page.locator(".m-node[data-node=n3] .m-word").text_content() == "Degraded"
    assert page.locator(".node[data-node=n1] summary .meter").get_by_text("-52 dBFS").is_visible()


def test_everything_on_the_map_is_in_the_table(serve, open_page, now_store, fakes):
    url, _ = serve()
    now_store.put_incident(fakes.incident(1, time_ns=time.time_ns()))
    page = open_page(url)
    page.get_by_role("button", name="Table", exact=True).click()
    rows = page.locator("#table tbody tr")
    assert rows.count() == 6
    latitude = float(rows.nth(0).locator("td").nth(5).inner_text())
    assert latitude == pytest.approx(fakes.place(40, 25)[0], abs=1e-6)


def test_the_map_moves_by_keys_buttons_and_wheel(serve, open_page, now_store):
    url, _ = serve()
    page = open_page(url, reduced_motion="reduce")
    world = page.locator(".world")
    seen = [world.get_attribute("transform")]

    def moved():
        seen.append(world.get_attribute("transform"))
        return seen[-1] != seen[-2]

    page.locator("#map").focus()
    for key in ("ArrowLeft", "ArrowUp", "+", "-", "0"):
        page.keyboard.press(key)
        assert moved(), key
    for name in ("Zoom in", "Zoom out", "Move north", "Move east"):
        page.get_by_role("button", name=name).click()
        assert moved(), name
    page.mouse.move(500, 300)
    page.mouse.wheel(0, -200)
    assert moved()
    page.mouse.down()
    page.mouse.move(540, 330, steps=4)
    page.mouse.up()
    assert moved()


def test_a_lost_link_is_a_wide_strip_within_12_seconds_and_heals(open_page, now_store, fakes):
    app = create_app(WebSettings(open_loopback=True), now_store)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = True
    port = server.server_port
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    page = open_page(f"http://127.0.0.1:{port}", hears_errors=False)
    site_of(app).close()
    server.shutdown()
    server.server_close()
    serving.join()
    gone_s = time.monotonic()
    strip = page.locator("#no-link")
    strip.wait_for(state="visible")
    assert time.monotonic() - gone_s < 12.0
    assert strip.inner_text().startswith("NO LINK 0:")
    assert strip.bounding_box()["width"] == 1024
    assert page.locator("#link").inner_text() == "No link"

    missed = fakes.incident(1, time_ns=time.time_ns())
    now_store.put_incident(missed)
    again_app = create_app(WebSettings(open_loopback=True), now_store)
    again = make_server("127.0.0.1", port, again_app, threaded=True)
    again.daemon_threads = True
    serving = threading.Thread(target=again.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        page.locator(f"#cards [data-incident='{missed['id']}']").wait_for()
        strip.wait_for(state="hidden")
    finally:
        page.close()
        site_of(again_app).close()
        again.shutdown()
        again.server_close()
        serving.join()


def test_the_page_fits_every_screen_without_scrolling_sideways(serve, open_page, now_store, fakes):
    url, _ = serve()
    now_store.put_incident(fakes.incident(1, time_ns=time.time_ns(), rounds=17, shooters=2, rounds_range=[15, 19]))
    page = open_page(url)
    page.locator("#cards li").wait_for()
    for width, height in ((1440, 900), (1024, 600), (360, 640), (320, 480)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.locator("html").evaluate("element => element.scrollWidth") <= width
        for panel in page.locator(".panel .scroll").all():
            if panel.is_visible() and panel.get_attribute("id") != "table":
                assert panel.evaluate("element => element.scrollWidth - element.clientWidth") <= 0, width


def test_the_chosen_theme_is_there_before_the_first_paint(serve, open_page):
    url, _ = serve()
    page = open_page(url, color_scheme="light")
    page.get_by_role("button", name="Colours: Auto. Change.").click()
    page.get_by_role("button", name="Colours: Day. Change.").click()
    assert page.locator("html").get_attribute("data-theme") == "night"
    night = page.locator("body").evaluate("element => getComputedStyle(element).backgroundColor")
    assert night == "rgb(7, 9, 12)"
    page.reload(wait_until="commit")
    page.wait_for_selector("#link[data-link=live]")
    assert page.locator("html").get_attribute("data-theme") == "night"
    head = page.locator("head > *").evaluate_all("elements => elements.map(e => e.tagName + (e.src || e.href || ''))")
    first_script = next(i for i, name in enumerate(head) if "theme.js" in name)
    first_sheet = next(i for i, name in enumerate(head) if name.endswith(".css"))
    assert first_script < first_sheet


def test_a_page_reads_and_keeps_going_with_the_keyboard_alone(serve, open_page, now_store, fakes):
    url, _ = serve()
    for number in (1, 2):
        now_store.put_incident(fakes.incident(number, time_ns=time.time_ns() - number * 10**9))
    page = open_page(url)
    page.locator("#cards li").nth(1).wait_for()
    focused = []
    for _ in range(40):
        page.keyboard.press("Tab")
        focused.append(
            page.evaluate("() => document.activeElement.id || document.activeElement.textContent.trim().slice(0, 30)")
        )
        if focused[-1] == "map":
            break
    assert focused[0] == "Skip to the incidents"
    assert focused[-1] == "map"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.locator("#cards li").nth(1).and_(page.locator("[aria-current=true]")).wait_for()
