import asyncio
import threading

from appliance.daemon.locating import Located, Locator
from appliance.model.picks import Pick, pick_id
from appliance.pipeline.fusion import Fusion
from tests.mesh.sites import until


def pick(n):
    time_ns = 1_790_000_000_000_000_000 + n * 1_000_000
    return Pick(pick_id(time_ns, "n1"), "n1", time_ns, 1_000)


class SlowFusion(Fusion):
    """The real one, but a computation waits until the test lets it go on, and what it was given is noted."""

    def __init__(self):
        super().__init__()
        self.go_on = threading.Semaphore(0)
        self.n_picks_at_update = []
        self.breaks = False

    def update(self, now_ns):
        self.n_picks_at_update.append(self.n_picks)
        assert self.go_on.acquire(timeout=10)
        if self.breaks:
            raise ZeroDivisionError
        return super().update(now_ns)


def with_locator(scenario):
    async def run():
        fusion, located = SlowFusion(), []
        knowledge = iter(f"k{n}" for n in range(100))
        locator = Locator(
            fusion, knowledge=lambda: next(knowledge), utc_ns=lambda: pick(0).time_ns, on_located=located.append
        )
        task = asyncio.ensure_future(locator.run())
        try:
            await scenario(locator, fusion, located)
        finally:
            task.cancel()
            await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 2.0)  # whatever is being computed
            fusion.breaks = False
            fusion.go_on.release(100)

    asyncio.run(run())


def test_what_comes_during_a_computation_is_all_in_the_next_one():
    async def scenario(locator, fusion, _):
        locator.put([pick(0)])
        await until(lambda: fusion.n_picks_at_update == [1])
        for n in range(1, 8):
            locator.put([pick(n * 10)])
        fusion.go_on.release()
        await until(lambda: len(fusion.n_picks_at_update) == 2)
        assert fusion.n_picks_at_update == [1, 8]

    with_locator(scenario)


def test_a_stop_does_not_wait_for_a_computation():
    async def scenario(locator, fusion, _):
        locator.put([pick(0)])
        await until(lambda: fusion.n_picks_at_update == [1])

    with_locator(scenario)


def test_a_computation_that_fails_is_told_and_the_next_one_runs():
    async def scenario(locator, fusion, located):
        fusion.breaks = True
        locator.put([pick(0)])
        fusion.go_on.release()
        await until(lambda: locator.problem)
        assert "ZeroDivisionError" in locator.problem
        fusion.breaks = False
        locator.put([pick(5_000)])
        fusion.go_on.release()
        await until(lambda: locator.problem is None)
        assert all(isinstance(found, Located) for found in located)

    with_locator(scenario)
