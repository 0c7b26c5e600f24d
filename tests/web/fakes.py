"""A node's database in memory, and a small town around it: what the pages show while nothing else is there."""

import math
import socketserver
import threading
from dataclasses import dataclass, field

import msgspec
import numpy as np

from appliance.errors import InputError
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import AnswerMessage, CommandMessage, local_decoder
from appliance.wire.records import Unread, read_body

START_NS = 1_783_134_720_000_000_000
ORIGIN_LAT, ORIGIN_LON = 35.0844, -106.6504
M_PER_DEG_LAT = 110_940.0
M_PER_DEG_LON = 111_320.0 * math.cos(math.radians(ORIGIN_LAT))

STREETS = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Grove", "Hazel", "Ivy", "Juniper")
AVENUES = ("1st", "2nd", "3rd", "4th", "Central", "5th", "6th", "7th", "8th", "9th")
NODE_PLACES_M = {"n1": (-310, 215), "n2": (285, 265), "n3": (330, -190), "n4": (-255, -265), "n5": (20, 30)}


@dataclass(frozen=True, slots=True)
class FakeEvent:
    cursor: str
    kind: str
    body: dict


@dataclass
class FakeStore:
    """Implements `web.reader.Reader`; a cursor is "fake:1:<number of events>"."""

    own: str = "n1"
    events: list = field(default_factory=list)
    current: dict = field(default_factory=dict)
    node_list: list = field(default_factory=list)
    rejected: list = field(default_factory=list)
    failure: Exception | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put_incident(self, body):
        """Add an incident, or a revision of one; returns the cursor of its event."""
        with self.lock:
            self.current[body["id"]] = body
            return self._event("incident", body)

    def put_nodes(self, nodes, *, event=True):
        with self.lock:
            self.node_list = nodes
            if event:
                self._event("nodes", {})

    def _event(self, kind, body):
        cursor = f"fake:1:{len(self.events) + 1}"
        self.events.append(FakeEvent(cursor, kind, body))
        return cursor

    def _position(self, cursor):
        parts = cursor.split(":")
        if len(parts) != 3 or parts[:2] != ["fake", "1"] or not parts[2].isdigit():
            raise InputError("cursor", f"{cursor!r} was never given out", "read /api/incidents and start from there")
        return int(parts[2])

    def _check(self):
        if self.failure is not None:
            raise self.failure

    def incidents(self, *, limit=200, since=None):
        self._check()
        with self.lock:
            bodies = list(self.current.values())
            if since is not None:
                changed = {e.body["id"] for e in self.events[self._position(since) :] if e.kind == "incident"}
                bodies = [b for b in bodies if b["id"] in changed]
        return sorted(bodies, key=lambda b: -b["time_ns"])[:limit]

    def incident(self, incident_id):
        self._check()
        with self.lock:
            bodies = list(self.current.values())
        return next((b for b in bodies if incident_id in (b["id"], *b.get("aliases", ()))), None)

    def events_after(self, cursor, limit=500):
        self._check()
        with self.lock:
            start = 0 if cursor is None else self._position(cursor)
            return self.events[start : start + limit]

    def latest_cursor(self):
        self._check()
        return f"fake:1:{len(self.events)}"

    def _remarks(self, kind, incident):
        return [e.body for e in self.events if e.kind == kind and e.body["incident"] == incident]

    def acknowledgements(self, incident_ids):
        self._check()
        return {i: list({r["unit"]: r for r in self._remarks("acknowledgement", i)}.values()) for i in incident_ids}

    def reviews(self, incident_ids):
        return {i: list({r["by"]: r for r in self._remarks("review", i)}.values()) for i in incident_ids}

    def clips(self, incident_ids):
        return {i: self._remarks("clip", i) for i in incident_ids}

    def remarks(self, kind, incident_id):
        return self._remarks(kind, incident_id)

    def put_remark(self, kind, body):
        with self.lock:
            return self._event(kind, {"record": f"n1:1:{len(self.events) + 1}", **body})

    def nodes(self):
        self._check()
        return [dict(node) for node in self.node_list]

    def rejections(self, limit=100):
        self._check()
        return self.rejected[:limit]


def place(east_m, north_m):
    """Latitude and longitude of a point of the town."""
    return round(ORIGIN_LAT + north_m / M_PER_DEG_LAT, 7), round(ORIGIN_LON + east_m / M_PER_DEG_LON, 7)


def incident(number=1, **changes):
    """A located incident of four rounds; `changes` replace its fields."""
    time_ns = changes.pop("time_ns", START_NS + number * 1_000_000_000)
    east_m, north_m = changes.pop("at_m", (40.0 * number, 25.0))
    lat, lon = place(east_m, north_m)
    rounds = changes.get("rounds", 4)
    heard_by = changes.get("heard_by", ["n1", "n2", "n5"])
    ellipse = changes.pop("ellipse", {"major_m": 6.1, "minor_m": 2.9, "bearing_deg": 37.0})
    shots = []
    for k in range(rounds):
        shooter = 1 + (k % changes.get("shooters", 1))
        shot_lat, shot_lon = place(east_m + 1.5 * math.sin(2.3 * k) + 9 * (shooter - 1), north_m + 1.5 * math.cos(k))
        shots.append(
            {
                "time_ns": time_ns + int(k * 213e6 + 17e6 * math.sin(5 * k)),
                "lat": shot_lat,
                "lon": shot_lon,
                "ellipse": ellipse,
                "shooter": shooter,
                "heard_by": heard_by if k % 3 != 2 else heard_by[:-1],
            }
        )
    body = {
        "id": f"{time_ns // 1000:016d}-{heard_by[0]}",
        "revision": 1,
        "time_ns": time_ns,
        "lat": lat,
        "lon": lon,
        "ellipse": ellipse,
        "category": "gunfire",
        "confidence": 0.97,
        "rounds": rounds,
        "shooters": 1,
        "heard_by": heard_by,
        "shots": shots,
    }
    body.update(changes)
    return body


def unplaced(body, **changes):
    """The same incident, heard by too few for a place."""
    shots = [{**shot, "lat": None, "lon": None, "ellipse": None} for shot in body["shots"]]
    return {**body, "lat": None, "lon": None, "ellipse": None, "shots": shots, **changes}


def check(name, state="ok", words="", number=None, unit="", remedy="", since_ns=START_NS):
    return {
        "name": name,
        "state": state,
        "words": words or f"{name} fine",
        "number": number,
        "unit": unit,
        "since_ns": since_ns,
        "remedy": remedy,
    }


def healthy(now_ns):
    return [
        check("ears", "ok", "Hearing on 4 channels", -52.4, "dBFS", since_ns=now_ns - 4_000 * 10**9),
        check("clock", "ok", "PPS disciplined", 1.2, "µs", since_ns=now_ns - 3_900 * 10**9),
        check("place", "ok", "Surveyed in", 0.8, "m", since_ns=now_ns - 3_950 * 10**9),
        check("peers", "ok", "All peers answer", 4, "peers", since_ns=now_ns - 3_000 * 10**9),
        check("alerts", "ok", "Delivered within a second", 0.4, "s", since_ns=now_ns - 3_000 * 10**9),
        check("storage", "ok", "Space for 400 days", 27.3, "GiB", since_ns=now_ns - 4_000 * 10**9),
    ]


def node(name, now_ns=START_NS, *, own=False, alive=True, health=None, at_m=None):
    lat, lon = place(*(NODE_PLACES_M.get(name, (0, 0)) if at_m is None else at_m))
    body = {
        "id": name,
        "self": own,
        "url": f"http://127.0.0.1:81{name[1:]:0>2}",
        "lat": lat,
        "lon": lon,
        "alt_m": 1510.0,
        "position_sigma_m": 0.8,
        "heading_deg": 0.0,
        "alive": alive,
        "last_heard_ns": now_ns,
        "health": healthy(now_ns) if health is None else health,
        "levels": [],
    }
    if own:
        body["levels"] = [{"rms_dbfs": -52.4 - c, "peak_dbfs": -38.0 - 2 * c, "n_clipped_samples": 0} for c in range(4)]
    return body


def town():
    """Streets, blocks, buildings, a park and a river as GeoJSON: about a kilometre across, always the same."""
    rng = np.random.default_rng(7)
    columns = np.array([-520, -420, -300, -200, -90, 20, 130, 255, 360, 470, 560], dtype=float)
    rows = np.array([-420, -330, -235, -130, -30, 80, 185, 280, 390, 470], dtype=float)

    def warp(x, y):
        return (
            x + 14 * math.sin(y / 170) + 9 * math.sin(x / 90 + y / 230),
            y + 18 * math.sin(x / 260) + 6 * math.sin(y / 110),
        )

    features = []

    def add(kind, geometry, points, **properties):
        coordinates = [list(place(x, y)[::-1]) for x, y in points]
        if geometry == "Polygon":
            coordinates = [[*coordinates, coordinates[0]]]
        features.append(
            {
                "type": "Feature",
                "properties": {"kind": kind, **properties},
                "geometry": {"type": geometry, "coordinates": coordinates},
            }
        )

    river = [(x, -330 + 0.22 * x + 40 * math.sin(x / 180)) for x in range(-700, 760, 40)]
    add("water", "Polygon", [*((x, y + 22) for x, y in river), *((x, y - 22) for x, y in reversed(river))])
    for i in range(len(columns) - 1):
        for j in range(len(rows) - 1):
            quad = (columns[i], rows[j], columns[i + 1], rows[j + 1])
            middle = ((quad[0] + quad[2]) / 2, (quad[1] + quad[3]) / 2)
            near_river = abs(middle[1] - (-330 + 0.22 * middle[0])) < 75
            if near_river or (i, j) in {(5, 6), (6, 6), (5, 7)}:
                if not near_river:
                    add("park", "Polygon", _inset(quad, 9, warp))
                continue
            add("block", "Polygon", _inset(quad, 9, warp))
            _buildings(quad, warp, rng, add)
    for i, x in enumerate(columns[:-1]):
        points = [warp(x, y) for y in np.arange(rows[0] - 60, rows[-1] + 60, 15)]
        name = "Central Avenue" if i == 4 else f"{AVENUES[i]} Street"
        add("street", "LineString", points, name=name, **{"class": "major" if i in (4, 8) else "minor"})
    for j, y in enumerate(rows):
        points = [warp(x, y) for x in np.arange(columns[0] - 60, columns[-1] + 60, 15)]
        add("street", "LineString", points, name=f"{STREETS[j]} Road", **{"class": "major" if j == 4 else "minor"})
    return {"type": "FeatureCollection", "features": features}


def _inset(quad, margin_m, warp):
    x0, y0, x1, y1 = quad
    x0, y0, x1, y1 = x0 + margin_m, y0 + margin_m, x1 - margin_m, y1 - margin_m
    return [warp(x, y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]


def _buildings(quad, warp, rng, add):
    x0, y0, x1, y1 = quad
    n_x = max(2, round((x1 - x0) / 30))
    for i in range(n_x):
        for j in range(2):
            if rng.random() < 0.18:
                continue
            left = x0 + 14 + (x1 - x0 - 28) * i / n_x
            width = (x1 - x0 - 28) / n_x - rng.uniform(4, 9)
            depth = rng.uniform(14, 0.36 * (y1 - y0))
            bottom = y0 + 14 if j == 0 else y1 - 14 - depth
            box = (left, bottom, left + width, bottom + depth)
            add("building", "Polygon", _inset(box, 0, warp))


class ControlServer:
    """Mesh's control socket in memory: checks what the pages send by the real messages, and makes events of it."""

    def __init__(self, path, store):
        self.path, self.store, self.commands = path, store, []
        self.refusal = ""
        opened = {"code": "ABCD-EFGH-JKMN-PQRS", "port": 7117, "until_ns": START_NS}
        self.actions = {"open-joining": msgspec.msgpack.encode(opened), "join": b"", "revoke": b""}
        self._server = socketserver.ThreadingUnixStreamServer(str(path), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self):
        answer = self._answer

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                decoder = FrameDecoder(local_decoder(), "control")
                while data := self.request.recv(65_536):
                    for message in decoder.feed(data):
                        if isinstance(message, CommandMessage):
                            self.request.sendall(encode_frame(answer(message)))

        return Handler

    def _answer(self, message):
        if message.kind in self.actions:
            self.commands.append((message.kind, msgspec.msgpack.decode(message.body), message.by))
            body = self.actions[message.kind]
            return AnswerMessage(message.request, ok=not self.refusal, reason=self.refusal, body=body)
        body = read_body(message.kind, message.body)
        assert not isinstance(body, Unread), body
        self.commands.append((message.kind, body, message.by))
        if self.refusal:
            return AnswerMessage(message.request, ok=False, reason=self.refusal)
        document = {**msgspec.to_builtins(body), "by": message.by, "time": "2026-07-04T03:12:00.000000Z"}
        self.store.put_remark(message.kind, document)
        return AnswerMessage(message.request, ok=True, record=f"n1:1:{len(self.store.events)}")
