"""What keeps the processes of a node running where no systemd does."""

import os
import signal
import sys
import threading

from appliance.daemon.supervisor import RESTART_LIMIT, Child, Supervisor, stop_signals

WAIT_FOR_EVER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
END_AT_ONCE = [sys.executable, "-c", "raise SystemExit(3)"]


def test_a_child_that_dies_is_started_again(tmp_path):
    child = Child("ears", WAIT_FOR_EVER, tmp_path / "ears.log")
    supervisor = Supervisor([child])
    supervisor.start()
    try:
        first = child.process
        first.kill()
        first.wait()
        supervisor.check(now_s=1.0)
        assert child.process.pid != first.pid
        assert child.process.poll() is None
    finally:
        supervisor.stop()
    assert child.process.poll() is not None


def test_a_child_that_keeps_dying_stays_down_and_is_named(tmp_path):
    child = Child("web", END_AT_ONCE, tmp_path / "web.log")
    supervisor = Supervisor([child])
    supervisor.start()
    for second in range(RESTART_LIMIT + 1):
        child.process.wait()
        supervisor.check(now_s=float(second))
    assert supervisor.failed() == [child]
    assert len(child.restarts_s) == RESTART_LIMIT


def test_old_restarts_are_forgiven(tmp_path):
    child = Child("web", END_AT_ONCE, tmp_path / "web.log")
    supervisor = Supervisor([child])
    supervisor.start()
    for second in range(RESTART_LIMIT + 1):
        child.process.wait()
        supervisor.check(now_s=second * 1_000.0)
    assert supervisor.failed() == []
    supervisor.stop()


def test_stop_signals_set_the_event_and_restore_the_handlers():
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as stopped:
        assert isinstance(stopped, threading.Event)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(timeout=5.0)
    assert signal.getsignal(signal.SIGTERM) is before
