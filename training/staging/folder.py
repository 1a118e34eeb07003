"""The staged folder: `{train,validation,test}/<class>/<name>.png` and manifest.json.

A picture first comes into `.incoming`, since its split is known only when all are there. The
manifest is written last and taken away first, so that a broken run leaves nothing to be trusted.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from training.sources.source import StageDataError
from training.staging.splits import SPLITS

MANIFEST = "manifest.json"
INCOMING = ".incoming"


class NotStagedError(StageDataError):
    """The folder holds no whole staged data."""


class ForeignFolderError(StageDataError):
    """The folder holds files that are not staged data, which staging would remove."""


class StagedFolder:
    """Writes one staged folder; `root` is made where it does not exist."""

    def __init__(self, root: Path) -> None:
        """Write to `root`."""
        self.root = root
        self._incoming = root / INCOMING

    def begin(self) -> None:
        """Make room for incoming pictures. Raises ForeignFolderError."""
        ours = (self.root / MANIFEST).is_file() or self._incoming.is_dir()
        if self.root.exists() and not self.root.is_dir():
            raise ForeignFolderError(f"{self.root} is not a folder: give another --out.")
        if self.root.is_dir() and any(self.root.iterdir()) and not ours:
            raise ForeignFolderError(
                f"{self.root} holds files that are not staged data: give another --out."
            )
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)

    def receive(self, number: int, png: bytes) -> None:
        """Keep the bytes of picture `number` until its place is known."""
        (self._incoming / str(number)).write_bytes(png)

    def commit(self, places: Mapping[int, str], manifest: dict[str, Any]) -> tuple[int, int]:
        """Move pictures to their places, remove what no longer belongs, write the manifest.

        `places` gives the path within the folder of each received picture that is used. Returns
        how many files were written and how many were there already.
        """
        target = self.root / MANIFEST
        right = {
            path: digest["sha256"] == file_sha256(self.root / path)
            for path, digest in manifest["files"].items()
        }
        stale = _pngs(self.root) - set(manifest["files"])
        if stale or not all(right.values()):
            target.unlink(missing_ok=True)
        for number, path in places.items():
            if not right[path]:
                place = self.root / path
                place.parent.mkdir(parents=True, exist_ok=True)
                (self._incoming / str(number)).replace(place)
        _remove(self.root, stale)
        self.write_manifest(manifest)
        shutil.rmtree(self._incoming)
        return len(right) - sum(right.values()), sum(right.values())

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace manifest.json as a whole."""
        new = self.root / f"{MANIFEST}.new"
        new.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        os.replace(new, self.root / MANIFEST)


def read_manifest(root: Path) -> dict[str, Any]:
    """Return the manifest of a staged folder. Raises NotStagedError."""
    try:
        manifest: dict[str, Any] = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotStagedError(
            f"{root} has no {MANIFEST}: run `python -m training.stage_data` first."
        ) from error
    except ValueError as error:
        raise NotStagedError(
            f"{root / MANIFEST} is damaged: run `python -m training.stage_data` again."
        ) from error
    return manifest


def overlap(one: Path, other: Path) -> bool:
    """Tell whether two folders are the same, or one lies within the other."""
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


def file_sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex, None where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _pngs(root: Path) -> set[str]:
    """Return the paths within the folder of all files in its splits."""
    return {
        path.relative_to(root).as_posix()
        for split in SPLITS
        for path in (root / split).rglob("*")
        if not path.is_dir()
    }


def _remove(root: Path, stale: Iterable[str]) -> None:
    for path in stale:
        (root / path).unlink()
    for split in SPLITS:
        for folder in sorted((root / split).rglob("*/"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
