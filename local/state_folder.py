"""The folder in which the laptop's AWS keeps its files."""

import re
import shutil
from pathlib import Path

from local.errors import StateDirError

# Shows that a folder is ours, so that its contents may be deleted; the server keeps it locked.
LOCK_FILE = "laptop-aws.lock"
# Training jobs run below the folder for state, through AWS's drivers, whose shell command has the
# paths unquoted.
_SAFE_PATH = re.compile(r"[A-Za-z0-9._/+@=-]+")


def claim_state(state: Path) -> None:
    """Make the folder for state and mark it as ours; nothing in it is deleted.

    Raises:
        StateDirError: for a path that AWS's training drivers cannot take, and for a folder with
            files of somebody else.
    """
    choose = "choose another folder: python -m local start --state-dir FOLDER"
    if not _SAFE_PATH.fullmatch(str(state)):
        raise StateDirError(
            f"The path {str(state)!r} has a character that SageMaker's training scripts cannot "
            f"take (they take letters of ASCII, digits and ._/+@=-); {choose}"
        )
    mark = state / LOCK_FILE
    try:
        state.mkdir(parents=True, exist_ok=True)
        if any(state.iterdir()) and not mark.exists():
            raise StateDirError(
                f"{state} has files in it and is no folder for state of the laptop's AWS, which "
                f"would delete some of them; empty it, or {choose}"
            )
        mark.touch()
    except OSError as error:
        raise StateDirError(f"{state} cannot be used ({error.strerror}); {choose}") from error


def prepare_state(state: Path) -> None:
    """Empty the folder for state, which the caller has locked: each start is a fresh AWS."""
    for name in ("training-jobs", "endpoints", "children", "tmp"):
        shutil.rmtree(state / name, ignore_errors=True)
    (state / "tmp").mkdir(parents=True)
