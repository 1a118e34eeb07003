"""Carry a run out: send, follow, wait for the last answers, and end at any time."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from common.errors import ExpectedError
from operations.sending.arrivals import Arrival
from operations.sending.tracking import Tracker, passes
from operations.sending.uploading import TICK_S, Sender

# What a person can put right; anything else is a mistake of the program, and shown in full.
PROBLEMS = (ExpectedError, ClientError, BotoCoreError)


class End(NamedTuple):
    """How a run ended: by the user's interrupt, or by a problem that no picture could pass."""

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
    """Send all arrivals, and wait up to `wait_s` seconds after the last upload for their answers.

    Without a tracker it ends with the last upload. Nothing runs any more when this returns or
    raises, and the arrivals tell how far it came, also where it was interrupted. Raises what
    `tick` raises, such as SystemExit where nobody reads its lines any more, and what is wrong with
    the program itself.
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
            stop.set()  # the pool waits for the tracker, whatever ended the sending
        broke = following.exception()
        if broke is not None and not isinstance(broke, PROBLEMS):
            raise broke
        problem: Exception | None = sender.refused or broke
        if tracker and not interrupted and not problem:
            problem = _last_look(tracker)
        tick()
    return End(interrupted, problem)


def _follow(tracker: Tracker | None, stop: Event) -> None:
    """Follow until told to stop; a problem stops the sending as well."""
    try:
        if tracker:
            tracker.follow(stop)
    except BaseException:
        stop.set()
        raise


def _last_look(tracker: Tracker) -> Exception | None:
    """Look a last time; return what kept it from telling anything, unless that passes."""
    try:
        tracker.last_look()
    except PROBLEMS as error:
        return None if passes(error) else error
    return None
