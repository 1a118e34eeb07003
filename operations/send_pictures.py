"""Put pictures into the workflow's inbox: `python -m operations.send_pictures FOLDER_OR_FILE ...`.

Each object created under `inbox/` of the stack's bucket starts one execution. Files are sent as
they are, whatever they hold: what is no picture ends as a failure with a name. With --rate or
--burst they are a load, and every picture is followed to where it ends.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from threading import Event
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from common import settings
from common.account import check_region
from common.arguments import positive_integer, positive_number, seconds, share
from common.errors import ExpectedError
from common.progress import progress_bar
from common.reports import write_json
from common.stack import stack_outputs
from common.waiting import make_console
from operations.sending.arrivals import INBOX, Arrival, SourcePicture
from operations.sending.display import progress, show
from operations.sending.figures import figures, picture_facts
from operations.sending.odd_pictures import KINDS, make_odd_pictures
from operations.sending.pictures import NoPicturesError, pictures_of, staged_test_pictures
from operations.sending.plan import new_run_id, plan_files, plan_load, shuffled
from operations.sending.running import End, carry_out
from operations.sending.schedule import burst_arrivals, choose_odd, poisson_arrivals
from operations.sending.tracking import Tracker
from operations.sending.uploading import UPLOADS_AT_ONCE, Sender

DEFAULT_WAIT_S = 120.0  # an execution that meets a busy endpoint retries for two minutes on average
DEFAULT_MOST = 10_000  # pictures; that many executions of 8 transitions are 2 dollars


def main(argv: list[str] | None = None) -> int:
    """Send the pictures; return 0, 1 where one was not sent or not answered, or 130."""
    arguments = parse_arguments(argv)
    console = make_console()
    try:
        return run(arguments, console)
    except (ExpectedError, ClientError, BotoCoreError, OSError) as error:
        print(f"send_pictures: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("send_pictures: interrupted", file=sys.stderr)
        return 130


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Do what the command line says; return the exit status. Raises ExpectedError, ClientError."""
    import boto3

    run_id = new_run_id()
    arrivals = plan(arguments, run_id, console)
    session: Any = boto3.Session()
    check_region(session)
    outputs = stack_outputs(client(session, "cloudformation"), arguments.stack_name)
    stop = Event()
    sender = Sender(client(session, "s3"), outputs["PicturesBucketName"], stop)
    tracker = None
    if arguments.wait is not None:
        tables, machines = client(session, "dynamodb"), client(session, "stepfunctions")
        tracker = Tracker(machines, tables, outputs, arrivals=arrivals, clock=sender)
    with progress(console, arrivals, tracker is not None) as tick:
        end = carry_out(sender, tracker, arrivals, wait_s=arguments.wait or 0, stop=stop, tick=tick)
    found = {
        "run": run_id,
        "stack": arguments.stack_name,
        "load": load_facts(arguments),
        "began": sender.began,
        "followed": tracker is not None,
        "interrupted": end.interrupted,
        "problem": str(end.problem) if end.problem else None,
        "trouble": tracker.trouble if tracker else "",
        **figures(arrivals, sender.began, sender.offset_s),
    }
    if arguments.out:
        pictures = [picture_facts(a, sender.began, sender.offset_s) for a in arrivals]
        write_json(arguments.out, found | {"pictures_sent": pictures})
    return report(console, outputs, arrivals, found, end=end, out=arguments.out)


def plan(arguments: argparse.Namespace, run_id: str, console: Console) -> list[Arrival]:
    """Return what will be sent when. Raises ExpectedError."""
    pictures: list[SourcePicture] = (
        staged_test_pictures(arguments.staged) if arguments.staged else pictures_of(arguments.paths)
    )
    if arguments.rate is None and arguments.burst is None:
        return plan_files(pictures, arguments.max)
    seed, most = arguments.seed, arguments.max
    if arguments.burst is not None:
        times = burst_arrivals(arguments.burst, most=most)
    else:
        times = poisson_arrivals(
            arguments.rate,
            duration=arguments.duration,
            count=arguments.count,
            seed=seed,
            most=most,
        )
    if not times:
        raise NoPicturesError(
            f"No picture comes within {arguments.duration:g} s at this rate: give a longer --duration, or --count."
        )
    pictures = shuffled(pictures, seed)
    odd = choose_odd(len(times), arguments.odd, arguments.odd_kinds, seed)
    with progress_bar(console, "Making odd pictures") as made:
        odd_pictures = make_odd_pictures(Counter(odd.values()), pictures, seed, made)
    return plan_load(times, pictures, odd, odd_pictures, run_id)


def client(session: Any, service: str) -> Any:
    """Return a client with a connection for each upload, whose calls do not hang for minutes."""
    from botocore.config import Config

    return session.client(
        service,
        config=Config(
            max_pool_connections=UPLOADS_AT_ONCE,
            connect_timeout=5,  # seconds; times the tries, what a Ctrl-C may have to wait for
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
        ),
    )


def load_facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for, as the report holds it; rates are per second, times seconds."""
    names = ("rate", "duration", "count", "burst", "seed", "odd", "odd_kinds", "wait")
    return {name: getattr(arguments, name) for name in names}


def report(
    console: Console,
    outputs: dict[str, str],
    arrivals: list[Arrival],
    found: dict[str, Any],
    *,
    end: End,
    out: Path | None,
) -> int:
    """Print what the run came to; return the exit status."""
    uploaded = sum(arrival.version_id is not None for arrival in arrivals)
    console.print(
        f"Sent {uploaded} files to s3://{outputs['PicturesBucketName']}/{INBOX}/: each starts"
        f" an execution of {outputs['StateMachineArn'].rpartition(':')[2]}.",
        markup=False,
        soft_wrap=True,
    )
    if found["followed"] or uploaded < len(arrivals):
        show(console, found, arrivals)
    if out:
        console.print(f"Wrote {out}", markup=False, soft_wrap=True)
    if end.interrupted:
        what = "what was sent is being worked on" if uploaded else "nothing was sent"
        print(f"send_pictures: interrupted; {what}", file=sys.stderr)
        return 130
    if end.problem:
        print(f"send_pictures: {end.problem}", file=sys.stderr)
        return 1
    lost = found["upload_failed"] + found["not_sent"]
    lost += found["no_answer"] if found["followed"] else 0
    return 1 if lost else 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line. Exits with status 2 where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.send_pictures",
        description="Upload pictures to the inbox of the deployed workflow. Each starts one"
        " execution. Alone, all files are sent once and not waited for; --rate makes them a steady"
        " stream and --burst a burst, under keys of their own, and both tell where each one ended.",
    )
    what = parser.add_argument_group("what is sent")
    what.add_argument(
        "paths", metavar="PATH", nargs="*", type=Path, help="a file, or a folder whose files keep their path below it"
    )
    what.add_argument(
        "--staged",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        const=settings.STAGED_FOLDER,
        help=f"instead of PATH: the test pictures of a staged folder ({settings.STAGED_FOLDER}), whose class is known",
    )
    what.add_argument(
        "--odd",
        metavar="SHARE",
        type=share,
        default=0.0,
        help="share of a stream or burst that is made odd, 0 to 1 (default: 0)",
    )
    what.add_argument(
        "--odd-kinds",
        metavar="KIND",
        nargs="+",
        choices=KINDS,
        help=f"what odd means: any of {', '.join(KINDS)} (default: all)",
    )
    when = parser.add_argument_group("when it is sent")
    when.add_argument(
        "--rate",
        metavar="R",
        type=positive_number,
        help="pictures per second on average, at random moments (Poisson) that do not wait for earlier pictures",
    )
    when.add_argument("--duration", metavar="S", type=positive_number, help="seconds that the stream lasts")
    when.add_argument(
        "--count", metavar="N", type=positive_integer, help="pictures that the stream has, instead of --duration"
    )
    when.add_argument(
        "--burst",
        metavar="N",
        type=positive_integer,
        help="send N pictures at once, those that there are again and again",
    )
    when.add_argument(
        "--seed", type=int, default=0, help="number that decides moments, order and odd pictures (default: 0)"
    )
    when.add_argument(
        "--max",
        metavar="N",
        type=positive_integer,
        default=DEFAULT_MOST,
        help=f"refuse to send more than N pictures (default: {DEFAULT_MOST})",
    )
    after = parser.add_argument_group("what is told")
    wait = after.add_mutually_exclusive_group()
    wait.add_argument(
        "--wait",
        metavar="S",
        type=seconds,
        help="seconds to wait for answers after the last upload"
        f" (default: {DEFAULT_WAIT_S:g} for a stream or burst, else not at all)",
    )
    wait.add_argument("--no-wait", action="store_true", help="end with the last upload; answers are not looked for")
    after.add_argument("--out", metavar="FILE", type=Path, help="write all figures and pictures to this file, as JSON")
    parser.add_argument(
        "--stack-name",
        metavar="NAME",
        default=settings.project().stack_name,
        help=f"the workflow's stack ({settings.project().stack_name}, from samconfig.toml)",
    )
    arguments = parser.parse_args(argv)
    if problem := contradiction(arguments):
        parser.error(problem)
    arguments.odd_kinds = arguments.odd_kinds or [*KINDS]
    if arguments.wait is None and not arguments.no_wait and (arguments.rate or arguments.burst):
        arguments.wait = DEFAULT_WAIT_S
    return arguments


def contradiction(arguments: argparse.Namespace) -> str | None:
    """Return what does not go together on the command line, None where all does."""
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
    return next((problem for problem, there in problems.items() if there), None)


if __name__ == "__main__":
    sys.exit(main())
