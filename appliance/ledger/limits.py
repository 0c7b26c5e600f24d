"""Bounds on what one peer may send, each with its reason."""

from dataclasses import dataclass

MAX_PUSHED_PER_S = 100.0
"""A node under rapid fire makes 20 picks a second; five times that is no node of ours."""
MAX_PUSHED_BURST = 1_000.0
"""After a stall of the network ten seconds of the above come at once."""
MAX_MESSAGES_PER_S = 200.0
"""Every push is a message of its own at most, and then there are heartbeats, heads and requests."""
MAX_MESSAGES_BURST = 2_000.0
MAX_AUTHOR_BYTES_PER_S = 10_000.0
"""What all nodes keep of one node's records, on average: rapid fire makes 5 KB a second, an ordinary day 10 MB."""
MAX_AUTHOR_BYTES_BURST = 200_000_000.0
"""A node that comes back brings weeks at once; more than this from one node is no gunfire, and cards are small."""
MAX_AHEAD_NS = 60 * 10**9
"""A record from further in the future comes of a wrong clock; it is kept, but its content is not used."""
MAX_PICK_AGE_NS = 600 * 10**9
"""A listening process keeps picks this long while the mesh process is down; older ones are not signed any more."""


@dataclass(slots=True)
class TokenBucket:
    """Lets `rate_per_s` through on average and `burst` at once. Times are monotonic seconds, given by the caller."""

    rate_per_s: float
    burst: float
    _tokens: float = -1.0
    _filled_s: float = 0.0

    def take(self, count: float, now_s: float) -> bool:
        """Whether `count` more may pass now; if not, nothing is taken."""
        if self._tokens < 0.0:
            self._tokens = self.burst
        else:
            self._tokens = min(self.burst, self._tokens + max(0.0, now_s - self._filled_s) * self.rate_per_s)
        self._filled_s = now_s
        if count > self._tokens:
            return False
        self._tokens -= count
        return True
