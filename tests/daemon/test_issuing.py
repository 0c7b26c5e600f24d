import asyncio
import contextlib
import hashlib
import hmac
import http.server
import json
import threading

import pytest

from appliance.alerts.webhook import Webhook
from appliance.errors import InputError, PeerError
from tests.daemon.meshes import fire, mesh_of, run
from tests.mesh.sites import until


class Receiver(http.server.ThreadingHTTPServer):
    """Somebody who takes alerts, and refuses the first few if told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Taker)
        self.taken = []
        self.n_refusals = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}/alerts?to=cad"


class _Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.n_refusals > 0:
            self.server.n_refusals -= 1
            self.send_error(503)
            return
        self.server.taken.append((self.path, dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def receiving():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_of_all_nodes_one_sends_each_alert_and_all_know_that_it_did(tmp_path):
    async def scenario():
        with receiving() as receiver:
            async with mesh_of(tmp_path, "n1", "n2", "n3", start=False) as nodes:
                for node in nodes:
                    await node.start(webhook=Webhook(receiver.url, "a secret of sixteen"))
                await until(lambda: all(n.alive() == {"n1", "n2", "n3"} for n in nodes))
                first = await fire(nodes)
                await until(lambda: receiver.taken)
                for node in nodes:
                    await until(lambda node=node: node.reader.remarks("issued", first))
                    (issued,) = node.reader.remarks("issued", first)
                    assert (issued["node"], issued["state"], issued["sink"]) == ("n1", "gunfire", "webhook")
                path, headers, body = receiver.taken[0]
                document = json.loads(body)
                assert (path, document["id"], document["alert"]) == ("/alerts?to=cad", first, "gunfire")
                assert headers["Idempotency-Key"] == f"{first}:gunfire"
                said = headers["X-Earshot-Time"].encode() + b"." + body
                digest = hmac.new(b"a secret of sixteen", said, hashlib.sha256).hexdigest()
                assert headers["X-Earshot-Signature"] == f"sha256={digest}"
                await nodes[0].stop()
                await nodes[0].start(webhook=Webhook(receiver.url))
                await until(lambda: nodes[0].alive() == {"n1", "n2", "n3"})
                await asyncio.sleep(0.5)
                assert len(receiver.taken) == 1, "nothing is sent again after a restart"

    run(scenario)


def test_when_the_first_node_can_not_send_the_next_one_does_and_health_says_so(tmp_path):
    async def scenario():
        with receiving() as receiver:
            async with mesh_of(tmp_path, "n1", "n2", "n3", start=False) as nodes:
                await nodes[0].start(webhook=Webhook("http://127.0.0.1:9/nobody"))
                await nodes[1].start(webhook=Webhook(receiver.url))
                await nodes[2].start()
                await until(lambda: all(n.alive() == {"n1", "n2", "n3"} for n in nodes))
                first = await fire(nodes)
                began_s = asyncio.get_running_loop().time()
                await until(lambda: receiver.taken)
                assert asyncio.get_running_loop().time() - began_s < 10.0
                assert json.loads(receiver.taken[0][2])["id"] == first
                await until(lambda: "can't be reached" in nodes[0].health().get("alerts", {}).get("words", ""))
                await until(lambda: [r["node"] for r in nodes[2].reader.remarks("issued", first)] == ["n2"])

    run(scenario)


def test_an_alert_that_is_refused_is_sent_again_until_it_is_taken(tmp_path):
    async def scenario():
        with receiving() as receiver:
            receiver.n_refusals = 1
            async with mesh_of(tmp_path, "n1", "n2", "n3", start=False) as nodes:
                await nodes[2].start(webhook=Webhook(receiver.url))
                for node in nodes[:2]:
                    await node.start()
                await until(lambda: all(n.alive() == {"n1", "n2", "n3"} for n in nodes))
                await fire(nodes)
                await until(lambda: receiver.taken)
                assert receiver.n_refusals == 0

    run(scenario)


@pytest.mark.parametrize("url", ["ftp://x/y", "https://", "nonsense", "http://user:pw@host/"])
def test_what_is_no_address_is_refused_with_the_remedy(url):
    with pytest.raises(InputError, match="write https://host/path"):
        Webhook(url)


def test_a_receiver_that_says_no_is_named(tmp_path):
    with receiving() as receiver:
        receiver.n_refusals = 1
        with pytest.raises(PeerError, match="status 503"):
            Webhook(receiver.url).send(b"{}", "x")
