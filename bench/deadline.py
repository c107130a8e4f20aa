"""A bound for the time of a whole measurement, so that it may be left alone."""
import contextlib
import signal
import time

from systems import Failure


@contextlib.contextmanager
def within(minutes):
    """In the main thread: what is inside ends with a Failure after so many minutes; servers are stopped on the way out."""
    def over(*_):
        raise Failure(f"it was not done after {minutes} minutes; allow it more with --minutes")
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, minutes * 60)
    began = time.monotonic()
    try:
        yield lambda: f"{(time.monotonic() - began) / 60:.0f} min"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
