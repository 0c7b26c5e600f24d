"""A whole mesh on a virtual clock in one process: links that break, partitions, crashes that lose what was not synced.

Every choice comes from one seed, so that a failing run can be repeated exactly.
"""

import heapq
import itertools
import random

from appliance.ledger.records import NO_RECORD, Tip, record_hash
from appliance.ledger.replication import Replica
from tests.ledger.authors import SITE_KEY, Author, roster_of

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
        self.mesh.pushed(self.name, record)

    def sync(self):
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
            while self.queue and self.queue[0][0] <= self.now_s:
                _, _, link, a, b, message = heapq.heappop(self.queue)
                if self.links.get((a, b), (None,))[0] == link:
                    self.nodes[b].heard(a, message)
            for node in self.nodes.values():
                if node.up and self.rng.random() < 0.5:
                    node.sync()
            if self.now_s >= next_tick_s:
                next_tick_s += TICK_S
                for node in self.nodes.values():
                    if node.up:
                        node.tick()

    def chaos(self, _mesh):
        """Shots, broken links, partitions, crashes and restarts, at random."""
        rng = self.rng
        for node in self.nodes.values():
            if node.up and rng.random() < 0.08:
                node.take_own(node.author.pick(rng.randrange(10**18)))
            if node.up and rng.random() < 0.004:
                node.crash()
            elif not node.up and rng.random() < 0.05:
                node.start()
        if self.links and rng.random() < 0.05:
            self.cut(*rng.choice(sorted(self.links)))
        if rng.random() < 0.02:
            self.partition = {name: rng.randrange(2) for name in self.nodes}

    def heal(self):
        """End all trouble."""
        self.partition = {}
        for node in self.nodes.values():
            if not node.up:
                node.start()
