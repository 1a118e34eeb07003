"""Send pictures into the workflow's inbox: `python -m operations.send_pictures FOLDER_OR_FILE ...`.

Each object created under `inbox/` of the stack's bucket starts one execution. Files are sent unchanged: a file that is
not a picture fails with a named error. With --rate or --burst the command sends a load and reports every outcome.
"""

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from common import settings
from common.account import check_region
from common.arguments import positive_integer, positive_number, seconds, share
from common.command import INTERRUPTED, run_command
from common.errors import ExpectedError
from common.progress import progress_bar
from common.reports import write_json
from common.stack import add_stack_argument, stack_outputs
from common.waiting import make_console
from operations.sending.arrivals import INBOX, Arrival
from operations.sending.odd_pictures import KINDS, make_odd_pictures
from operations.sending.plan import (
    NoPicturesError,
    TooManyPicturesError,
    choose_odd,
    pictures_of,
    plan_files,
    plan_load,
    poisson_arrivals,
    shuffled,
    staged_test_pictures,
)
from operations.sending.report import figures, picture_facts, progress, show
from operations.sending.tracking import Tracker
from operations.sending.uploading import TICK_S, UPLOADS_AT_ONCE, Sender

DEFAULT_WAIT_S = 120.0  # an execution that meets a busy endpoint retries for two minutes on average
DEFAULT_MOST = 10_000  # pictures; that many executions of 8 transitions are 2 dollars
LOAD_FACTS = ("rate", "duration", "count", "burst", "seed", "odd", "odd_kinds", "wait")  # as the report has them

# Errors that a person can fix; any other is a bug and gets a traceback.
PROBLEMS = (ExpectedError, ClientError, BotoCoreError)


class End(NamedTuple):
    """How a run ended: by Ctrl-C, or by a problem that concerns every picture."""

    interrupted: bool = False
    problem: Exception | None = None


def main(argv: list[str] | None = None) -> int:
    """Send the pictures; return 0, 1 if one was not uploaded or not answered, or 130."""
    return run_command("send_pictures", lambda: run(parse_arguments(argv), make_console()))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Send, track and report; return the exit status. Raises ExpectedError, ClientError."""
    import boto3

    run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
    arrivals = plan(arguments, run_id, console)
    session: Any = boto3.Session()
    check_region(session)
    outputs = stack_outputs(client(session, "cloudformation"), arguments.stack_name)
    sender = Sender(client(session, "s3"), outputs["PicturesBucketName"])
    tracker = None
    if arguments.wait is not None:
        dynamodb, stepfunctions = client(session, "dynamodb"), client(session, "stepfunctions")
        tracker = Tracker(stepfunctions, dynamodb, outputs, arrivals=arrivals, sender=sender)
    with progress(console, arrivals, tracker is not None) as tick:
        end = carry_out(sender, tracker, arrivals, wait_s=arguments.wait or 0, tick=tick)
    report = {
        "run": run_id,
        "stack": arguments.stack_name,
        "load": {name: getattr(arguments, name) for name in LOAD_FACTS},
        "began": sender.began,
        "followed": tracker is not None,
        "interrupted": end.interrupted,
        "problem": str(end.problem) if end.problem else None,
        "tracking_error": tracker.last_error if tracker else "",
        **figures(arrivals, sender.began, sender.clock_offset.seconds),
    }
    if arguments.out:
        pictures = [picture_facts(a, sender.began, sender.clock_offset.seconds) for a in arrivals]
        write_json(arguments.out, report | {"pictures_sent": pictures})
    uploaded = sum(arrival.version_id is not None for arrival in arrivals)
    console.print(
        f"Sent {uploaded} files to s3://{sender.bucket}/{INBOX}/: each starts an execution of"
        f" {outputs['StateMachineArn'].rpartition(':')[2]}.",
        markup=False,
        soft_wrap=True,
    )
    if report["followed"] or uploaded < len(arrivals):
        show(console, report, arrivals)
    if arguments.out:
        console.print(f"Wrote {arguments.out}", markup=False, soft_wrap=True)
    if end.interrupted:
        note = "the workflow goes on with what was sent" if uploaded else "nothing was sent"
        print(f"send_pictures: interrupted; {note}", file=sys.stderr)
        return INTERRUPTED
    if end.problem:
        raise end.problem
    missing = report["upload_failed"] + report["not_sent"]
    missing += report["no_answer"] if report["followed"] else 0
    return 1 if missing else 0


def carry_out(
    sender: Sender,
    tracker: Tracker | None,
    arrivals: Sequence[Arrival],
    *,
    wait_s: float,
    tick: Callable[[], None],
) -> End:
    """Send all arrivals, and wait up to `wait_s` seconds after the last upload for their outcomes.

    Without a tracker it ends with the last upload. When it returns or raises, no thread runs any more and the arrivals
    hold what is known, also after Ctrl-C. Raises what `tick` raises, such as SystemExit where stdout is closed, and
    every exception that is not one of PROBLEMS.
    """
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(_follow, tracker, sender.stop)
        interrupted = False
        try:
            sender.send(arrivals, tick)
            deadline = time.monotonic() + wait_s
            while tracker and tracker.waiting() and time.monotonic() < deadline:
                if sender.stop.wait(TICK_S):
                    break
                tick()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sender.stop.set()  # the pool waits for the tracker
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


def plan(arguments: argparse.Namespace, run_id: str, console: Console) -> list[Arrival]:
    """Return the pictures to send, with their times. Raises ExpectedError."""
    pictures = staged_test_pictures(arguments.staged) if arguments.staged else pictures_of(arguments.paths)
    if arguments.rate is None and arguments.burst is None:
        return plan_files(pictures, arguments.max)
    seed, most = arguments.seed, arguments.max
    if arguments.burst is not None:
        if arguments.burst > most:
            raise TooManyPicturesError(most)
        times = [0.0] * arguments.burst
    else:
        duration, count = arguments.duration, arguments.count
        times = poisson_arrivals(arguments.rate, duration=duration, count=count, seed=seed, most=most)
    if not times:
        raise NoPicturesError(
            f"No picture arrives within {arguments.duration:g} s at this rate: give a longer --duration, or --count."
        )
    pictures = shuffled(pictures, seed)
    odd = choose_odd(len(times), arguments.odd, arguments.odd_kinds, seed)
    with progress_bar(console, "Making odd pictures") as report:
        odd_pictures = make_odd_pictures(Counter(odd.values()), pictures, seed, report)
    return plan_load(times, pictures, odd, odd_pictures, run_id)


def client(session: Any, service: str) -> Any:
    """Return a client with a connection for each upload and short timeouts."""
    from botocore.config import Config

    return session.client(
        service,
        config=Config(
            max_pool_connections=UPLOADS_AT_ONCE,
            connect_timeout=5,  # seconds; times the tries, the longest that Ctrl-C waits
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
        ),
    )


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line. Exits with status 2 for contradictions."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.send_pictures",
        description="Upload pictures to the inbox of the deployed workflow. Each starts one execution. Alone, all files"
        " are sent once, and the command does not wait. --rate makes them a steady stream and --burst a burst, under"
        " keys of their own; both report the outcome of every picture.",
    )
    add = parser.add_argument_group("pictures").add_argument
    add("paths", metavar="PATH", nargs="*", type=Path, help="a file, or a folder whose files keep their path below it")
    add(
        "--staged",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        const=settings.STAGED_FOLDER,
        help=f"instead of PATH: the test pictures of a staged folder ({settings.STAGED_FOLDER}), whose class is known",
    )
    odd_help = "share of a stream or burst that is made odd, 0 to 1 (default: 0)"
    add("--odd", metavar="SHARE", type=share, default=0.0, help=odd_help)
    kinds_help = f"kinds of odd pictures: any of {', '.join(KINDS)} (default: all)"
    add("--odd-kinds", metavar="KIND", nargs="+", choices=KINDS, help=kinds_help)

    add = parser.add_argument_group("load").add_argument
    rate_help = "pictures per second on average, at random times (Poisson) that do not wait for earlier pictures"
    add("--rate", metavar="R", type=positive_number, help=rate_help)
    add("--duration", metavar="S", type=positive_number, help="length of the stream in seconds")
    add("--count", metavar="N", type=positive_integer, help="pictures of the stream, instead of --duration")
    add("--burst", metavar="N", type=positive_integer, help="send N pictures at once, each as often as needed")
    add("--seed", type=int, default=0, help="number that decides times, order and odd pictures (default: 0)")
    max_help = f"refuse to send more than N pictures (default: {DEFAULT_MOST})"
    add("--max", metavar="N", type=positive_integer, default=DEFAULT_MOST, help=max_help)

    group = parser.add_argument_group("outcomes")
    wait = group.add_mutually_exclusive_group()
    wait_help = (
        f"seconds to wait for outcomes after the last upload (default: {DEFAULT_WAIT_S:g} for a stream or burst)"
    )
    wait.add_argument("--wait", metavar="S", type=seconds, help=wait_help)
    wait.add_argument("--no-wait", action="store_true", help="end with the last upload; do not track outcomes")
    group.add_argument("--out", metavar="FILE", type=Path, help="write all figures and pictures to this file, as JSON")
    add_stack_argument(parser)
    arguments = parser.parse_args(argv)
    if problem := contradiction(arguments):
        parser.error(problem)
    arguments.odd_kinds = arguments.odd_kinds or [*KINDS]
    if arguments.wait is None and not arguments.no_wait and (arguments.rate or arguments.burst):
        arguments.wait = DEFAULT_WAIT_S
    return arguments


def contradiction(arguments: argparse.Namespace) -> str | None:
    """Return the first contradiction on the command line, None if there is none."""
    rate, times = arguments.rate is not None, (arguments.duration, arguments.count)
    load = rate or arguments.burst is not None
    problems = {
        "give either PATH or --staged": bool(arguments.paths) == bool(arguments.staged),
        "give either --rate or --burst": rate and arguments.burst is not None,
        "--rate needs either --duration or --count": rate and times.count(None) != 1,
        "--duration and --count belong to --rate": not rate and times.count(None) != len(times),
        "--odd belongs to --rate or --burst": arguments.odd and not load,
        "--odd-kinds needs --odd, a share above 0": arguments.odd_kinds and not arguments.odd,
    }
    return next((problem for problem, present in problems.items() if present), None)


if __name__ == "__main__":
    sys.exit(main())
