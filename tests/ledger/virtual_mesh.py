"""A whole mesh on a virtual clock in one process: links that break, partitions, crashes that lose what was not synced.

Links are as TLS over TCP makes them: in order, until they break and lose what was under way. Messages come late and
some twice, two partitions may hold at once, and a disk may take nothing for a while. Every choice comes from one seed,
so that a failing run can be repeated exactly.
"""

import heapq
import itertools
import math
import random

from appliance.ledger.records import NO_RECORD, Tip, record_hash
from appliance.ledger.replication import Replica
from appliance.model.instants import UtcNs
from appliance.model.space import Geodetic, NodePose
from appliance.physics.geodesy import LocalFrame
from appliance.pipeline.fusion import Fusion
from appliance.wire.records import PickBody, decode_body, encode_body, pick_from_body
from tests.ledger.authors import SITE_KEY, START_NS, Author, roster_of

PLACES_M = ((0.0, 0.0), (200.0, 10.0), (20.0, 190.0), (210.0, 205.0), (100.0, 300.0))
FRAME = LocalFrame(Geodetic(35.0, -106.0, 1500.0))
SOUND_MPS = 340.3

STEP_S = 0.05
TICK_S = 1.0


class VirtualNode:
    """One node: its log on disk, what is not synced yet, and its replica."""

    def __init__(self, mesh, name):
        self.mesh = mesh
        self.author = Author(name)
        self.name = name
        self.disk = {}
        self.unsynced = []
        self.acknowledged = set()
        self.heard_in_order = []
        self.disk_is_full = False
        self.up = False
        self.start()

    def start(self):
        own = [r for r in self.disk.values() if r.node == self.name]
        last = max(own, key=lambda r: (r.epoch, r.seq), default=None)
        tip = Tip(last.seq, record_hash(last, SITE_KEY)) if last else Tip(0, NO_RECORD)
        tips = {}
        for record in sorted(self.disk.values(), key=lambda r: (r.epoch, r.seq)):
            tips[record.stream] = Tip(record.seq, record_hash(record, SITE_KEY))
        epoch = max(int(self.mesh.now_s) + 1, last.epoch + 1 if last else 1)
        first = self.author.begin(epoch=epoch, remembered=tip, previous_epoch=last.epoch if last else 0)
        self.replica = Replica(first.stream, self.mesh.roster, tips)
        self.heard_in_order = list(self.disk.values())
        self.disk_is_full = False
        self.up = True
        self.take_own(first)
        self.sync()

    def crash(self):
        """Lose what was not synced; peers may have it."""
        self.up = False
        self.unsynced = []
        for other in self.mesh.nodes:
            self.mesh.cut(self.name, other)

    def take_own(self, record):
        self.replica.add_own(record)
        self.unsynced.append(record)
        self.heard_in_order.append(record)
        self.mesh.pushed(self.name, record)

    def sync(self):
        if self.disk_is_full:
            return
        for record in self.unsynced:
            self.disk[(*record.stream, record.seq)] = record
            if record.node == self.name:
                self.acknowledged.add((*record.stream, record.seq))
        self.replica.committed(self.unsynced)
        self.unsynced = []

    def tick(self):
        for peer in self.mesh.linked(self.name):
            news = self.replica.news_for(peer, 100)
            if news:
                self.mesh.send(self.name, peer, ("heads", news))
        self.ask()

    def ask(self):
        for peer, ranges in self.replica.requests(self.mesh.now_s).items():
            self.mesh.send(self.name, peer, ("want", ranges))

    def heard(self, peer, message):
        kind, content = message
        if kind == "heads":
            self.replica.offer(peer, content)
            self.ask()
        elif kind == "want":
            held = [self.disk.get((r.node, r.epoch, n)) for r in content for n in range(r.first, r.last + 1)]
            self.mesh.send(self.name, peer, ("answer", [r for r in held if r is not None]))
        else:
            received = self.replica.receive(peer, content, asked=kind == "answer", bodies_after_ns=0)
            assert not received.offences, received.offences
            self.unsynced += received.accepted
            self.heard_in_order += received.accepted
            if kind == "answer" or received.others:
                self.ask()


class VirtualMesh:
    """Nodes, the links between them, and the messages under way; each link keeps their order, as TCP does."""

    def __init__(self, names, seed):
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.links = {}
        self.queue = []
        self.counter = itertools.count()
        self.partition = {}
        authors = [Author(name) for name in names]
        self.roster = roster_of(*authors)
        self.nodes = {}
        for name in names:
            self.nodes[name] = VirtualNode(self, name)

    def linked(self, name):
        return [b for a, b in self.links if a == name]

    def cut(self, a, b):
        """Break the link of a pair; what is under way on it is lost."""
        for pair in ((a, b), (b, a)):
            if self.links.pop(pair, None) is not None and self.nodes[pair[0]].up:
                self.nodes[pair[0]].replica.disconnect(pair[1])

    def connect_all(self):
        for a, b in itertools.combinations(self.nodes, 2):
            together = self.partition.get(a, 0) == self.partition.get(b, 0)
            if together and (a, b) not in self.links and self.nodes[a].up and self.nodes[b].up:
                for x, y in ((a, b), (b, a)):
                    self.links[(x, y)] = (next(self.counter), self.now_s)
                    self.nodes[x].replica.connect(y)
            elif not together:
                self.cut(a, b)

    def send(self, a, b, message):
        if (a, b) not in self.links:
            return
        link, last_s = self.links[(a, b)]
        arrival_s = max(last_s, self.now_s + self.rng.expovariate(1 / 0.02))
        self.links[(a, b)] = (link, arrival_s)
        heapq.heappush(self.queue, (arrival_s, next(self.counter), link, a, b, message))

    def pushed(self, name, record):
        for peer in self.linked(name):
            self.send(name, peer, ("push", [record]))

    def run(self, duration_s, chaos=None):
        """Let time pass; `chaos` is called at every step and may do anything."""
        end_s = self.now_s + duration_s
        next_tick_s = self.now_s
        while self.now_s < end_s:
            self.now_s += STEP_S
            if chaos is not None:
                chaos(self)
            self.connect_all()
            self.deliver()
            for node in self.nodes.values():
                if node.up and self.rng.random() < 0.5:
                    node.sync()
            if self.now_s >= next_tick_s:
                next_tick_s += TICK_S
                for node in self.nodes.values():
                    if node.up:
                        node.tick()

    def deliver(self):
        """Hand over what has arrived; what is no request now and then twice."""
        while self.queue and self.queue[0][0] <= self.now_s:
            _, _, link, a, b, message = heapq.heappop(self.queue)
            n_times = 2 if message[0] != "want" and self.rng.random() < 0.02 else 1
            for _ in range(n_times):
                if self.links.get((a, b), (None,))[0] == link:
                    self.nodes[b].heard(a, message)

    def chaos(self, _mesh):
        """Shots, broken links, two partitions, full disks, crashes and restarts, at random."""
        rng = self.rng
        if rng.random() < 0.012:
            self.fire()
        for node in self.nodes.values():
            if rng.random() < 0.01:
                node.disk_is_full = not node.disk_is_full
            if node.up and rng.random() < 0.08:
                node.take_own(node.author.pick(rng.randrange(10**18)))
            if node.up and rng.random() < 0.004:
                node.crash()
            elif not node.up and rng.random() < 0.05:
                node.start()
        if self.links and rng.random() < 0.05:
            self.cut(*rng.choice(sorted(self.links)))
        if rng.random() < 0.02:
            self.partition = {name: rng.randrange(3) for name in self.nodes}

    def fire(self):
        """A shot that all nodes hear that are up."""
        place = (self.rng.uniform(20.0, 180.0), self.rng.uniform(20.0, 180.0))
        fired_ns = START_NS + int(self.now_s * 1e9)
        for i, node in enumerate(self.nodes.values()):
            if node.up:
                distance_m = math.hypot(PLACES_M[i][0] - place[0], PLACES_M[i][1] - place[1])
                heard_ns = fired_ns + int(distance_m / SOUND_MPS * 1e9) + self.rng.randrange(-200_000, 200_000)
                body = PickBody(heard_ns, 300_000, snr_db=25.0, level_db_spl=120.0, gunshot_probability=0.95)
                node.take_own(node.author.write(*encode_body(body), heard_ns))

    def heal(self):
        """End all trouble."""
        self.partition = {}
        for node in self.nodes.values():
            node.disk_is_full = False
            if not node.up:
                node.start()


def incidents_of(node, rng):
    """What a node's localiser makes of the picks in the order in which they came, looking now and then."""
    fusion = Fusion()
    for name, (east_m, north_m) in zip(sorted(node.mesh.nodes), PLACES_M, strict=False):
        fusion.set_pose(NodePose(name, FRAME.to_geodetic(east_m, north_m, 0.0), 0.5))
    now_ns = UtcNs(START_NS + 60 * 10**9)
    looks = set(rng.sample(range(len(node.heard_in_order)), min(2, len(node.heard_in_order))))
    for i, record in enumerate(node.heard_in_order):
        body = decode_body(record)
        if isinstance(body, PickBody) and body.gunshot_probability is not None:
            fusion.add_pick(pick_from_body(body, record.node))
        if i in looks:
            fusion.update(now_ns)
    fusion.update(now_ns)
    return [(i.id, i.aliases, i.category, i.position, i.ellipse, i.shots) for i in fusion.incidents()]


def trouble(seed, *, locating=False):
    """Let a mesh of four go through trouble and heal; what is wrong with it afterwards (empty: nothing).

    locating: also locate on each node, which takes most of the time
    """
    mesh = VirtualMesh(["n1", "n2", "n3", "n4"], seed)
    mesh.run(12.0, chaos=mesh.chaos)
    mesh.heal()
    mesh.run(8.0)
    nodes = list(mesh.nodes.values())
    logs = [set(node.disk) for node in nodes]
    faults = []
    if any(log != logs[0] for log in logs):
        faults.append(f"seed {seed}: logs of {[len(log) for log in logs]} records")
    faults += [f"seed {seed}: {node.name} lost records" for node in nodes if not node.acknowledged <= logs[0]]
    if len(logs[0]) <= 20:
        faults.append(f"seed {seed}: nothing happened")
    found = [incidents_of(node, random.Random(seed)) for node in nodes] if locating else []
    if any(incidents != found[0] for incidents in found):
        faults.append(f"seed {seed}: incidents differ")
    return faults
