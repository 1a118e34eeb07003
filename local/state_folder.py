"""The state folder, with the files of the laptop's AWS."""

import re
import shutil
from pathlib import Path

from local.errors import StateDirError

# Marks a folder whose content may be deleted; the server holds a lock on it.
LOCK_FILE = "laptop-aws.lock"
# AWS's training drivers use paths below this folder unquoted in a shell command.
_SAFE_PATH = re.compile(r"[A-Za-z0-9._/+@=-]+")


def claim_state(state: Path) -> None:
    """Create and mark the state folder; delete nothing in it.

    Raises:
        StateDirError: for a path that AWS's training drivers cannot use, and for an unmarked folder
            with other files.
    """
    choose = "choose another folder: python -m local start --state-dir FOLDER"
    if not _SAFE_PATH.fullmatch(str(state)):
        raise StateDirError(
            f"The path {str(state)!r} has a character that SageMaker's training scripts do not support "
            f"(they support ASCII letters, digits and ._/+@=-); {choose}"
        )
    mark = state / LOCK_FILE
    try:
        state.mkdir(parents=True, exist_ok=True)
        if any(state.iterdir()) and not mark.exists():
            raise StateDirError(
                f"{state} is not empty and not a state folder of the laptop's AWS, which would delete "
                f"some of its files; empty it, or {choose}"
            )
        mark.touch()
    except OSError as error:
        raise StateDirError(f"{state} cannot be used ({error.strerror}); {choose}") from error


def prepare_state(state: Path) -> None:
    """Delete the files of the last run; the caller holds the lock of the state folder."""
    for name in ("training-jobs", "endpoints", "children", "tmp"):
        shutil.rmtree(state / name, ignore_errors=True)
    (state / "tmp").mkdir(parents=True)
