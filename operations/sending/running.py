"""Carry out a run: send, track, wait for the last outcomes, and end at any time."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from common.errors import ExpectedError
from operations.sending.arrivals import Arrival
from operations.sending.tracking import Tracker
from operations.sending.uploading import TICK_S, Sender

# Errors that a person can fix; any other is a bug and gets a traceback.
PROBLEMS = (ExpectedError, ClientError, BotoCoreError)


class End(NamedTuple):
    """How a run ended: by Ctrl-C, or by a problem that concerns every picture."""

    interrupted: bool = False
    problem: Exception | None = None


def carry_out(
    sender: Sender,
    tracker: Tracker | None,
    arrivals: Sequence[Arrival],
    *,
    wait_s: float,
    stop: Event,
    tick: Callable[[], None],
) -> End:
    """Send all arrivals, and wait up to `wait_s` seconds after the last upload for their outcomes.

    Without a tracker it ends with the last upload. When it returns or raises, no thread runs any more and the arrivals
    hold what is known, also after Ctrl-C. Raises what `tick` raises, such as SystemExit where stdout is closed, and
    every exception that is not one of PROBLEMS.
    """
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(_follow, tracker, stop)
        interrupted = False
        try:
            sender.send(arrivals, tick)
            deadline = time.monotonic() + wait_s
            while tracker and tracker.waiting() and time.monotonic() < deadline:
                if stop.wait(TICK_S):
                    break
                tick()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            stop.set()  # the pool waits for the tracker
        tracking_error = following.exception()
        if tracking_error is not None and not isinstance(tracking_error, PROBLEMS):
            raise tracking_error
        problem: Exception | None = sender.refused or tracking_error
        if tracker and not interrupted and not problem:
            try:
                tracker.last_poll()
            except PROBLEMS as error:
                problem = error
        tick()
    return End(interrupted, problem)


def _follow(tracker: Tracker | None, stop: Event) -> None:
    """Follow until `stop` is set; an error stops the sending as well."""
    try:
        if tracker:
            tracker.follow(stop)
    except BaseException:
        stop.set()
        raise
