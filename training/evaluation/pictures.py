"""Read the staged pictures of a split and verify their checksums."""

import hashlib
from pathlib import Path

from common.errors import ExpectedError
from training.staging.folder import read_manifest


class SplitError(ExpectedError):
    """The split has no pictures, or a picture is missing or was changed after staging."""


def staged_pictures(root: Path, split: str) -> list[tuple[str, str, bytes]]:
    """Return (path, true class, PNG bytes) of each picture of a split, in the manifest's order.

    Raises StagedFolderError, SplitError.
    """
    pictures = []
    for path, facts in read_manifest(root)["files"].items():
        if not path.startswith(f"{split}/"):
            continue
        try:
            content = (root / path).read_bytes()
        except FileNotFoundError:
            content = b""
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise SplitError(f"{root / path} is missing or was changed: run `python -m training.stage_data` again.")
        pictures.append((path, path.split("/")[1], content))
    if not pictures:
        raise SplitError(f"{root} has no pictures of the {split} split.")
    return pictures
