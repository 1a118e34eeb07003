"""Run a command of the project: errors, Ctrl-C and exit status."""

import signal
import sys
from collections.abc import Callable

from common.errors import ExpectedError
from common.settings import ROOT

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def run_command(name: str, work: Callable[[], int | None], interrupted: str | Callable[[], str] = "") -> int:
    """Run a command and return its exit status.

    ExpectedError and errors of AWS and of files end it with their message and status 1, without a traceback.

    Args:
        name: the command's name, with which each message on stderr begins.
        work: parses the command line and does the work; returns the exit status, None for 0.
        interrupted: the state that Ctrl-C leaves, for the message; a function is called only then.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return work() or 0
    except (ExpectedError, ClientError, BotoCoreError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or (ROOT / error.name.partition(".")[0]).exists():
            raise  # a defect of the project
        print(f"{name}: the package {error.name} is not installed: run `make setup`.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        left = interrupted if isinstance(interrupted, str) else interrupted()
        print("; ".join(filter(None, (f"{name}: interrupted", left))), file=sys.stderr)
        return INTERRUPTED


def interrupt_on_termination() -> None:
    """Make SIGTERM and SIGHUP end the command as Ctrl-C does; a further one does not cut its clean-up short.

    A signal that is ignored, as nohup ignores SIGHUP, stays ignored.
    """
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]

    def interrupt(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, interrupt)
