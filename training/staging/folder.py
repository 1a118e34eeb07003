"""The staged folder: `{train,validation,test}/<class>/<name>.png` and manifest.json.

Pictures are first written to `.incoming`, since their splits are known only when all are there. The
manifest is written last and removed first, so that an interrupted run leaves no valid data set. The
manifest, or after an interrupted run a list in `.incoming`, names the files that staging wrote; no
other file is ever removed.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from common.reports import write_json
from training.sources.source import StageDataError
from training.staging.splits import SPLITS

MANIFEST = "manifest.json"
INCOMING = ".incoming"
KNOWN = "known.json"  # in INCOMING: the files in the splits that staging wrote
MANIFEST_KEYS = {"source", "seed", "classes", "counts", "s3_uri", "files"}


class StagedFolderError(StageDataError):
    """The folder was not staged, or holds other files."""


class StagedFolder:
    """Writes one staged folder."""

    def __init__(self, root: Path) -> None:
        """Write to `root`, which is created if it does not exist."""
        self.root = root
        self._incoming = root / INCOMING
        self._known: set[str] = set()

    def begin(self) -> None:
        """Prepare for incoming pictures. Raises StagedFolderError before it changes anything."""
        if self.root.exists() and not self.root.is_dir():
            raise StagedFolderError(f"{self.root} is not a folder: give another --out.")
        written = _written(self.root)
        found = list(self.root.iterdir()) if self.root.is_dir() else []
        if written is None and any(path.name != INCOMING for path in found):
            raise StagedFolderError(f"{self.root} holds files that are not staged data: give another --out.")
        self._known = written or set()
        foreign = sorted(_files(self.root) - self._known)
        if foreign:
            raise StagedFolderError(
                f"{self.root / foreign[0]} was not written by stage_data"
                f"{f', nor were {len(foreign) - 1} more files' if foreign[1:] else ''}: move it"
                " away, or give another --out."
            )
        self._incoming.mkdir(parents=True, exist_ok=True)
        write_json(self._incoming / KNOWN, {"files": sorted(self._known)})
        for path in self._incoming.iterdir():
            if path.name != KNOWN:
                path.unlink()

    def receive(self, number: int, png: bytes) -> None:
        """Keep the bytes of picture `number` until its split is known."""
        (self._incoming / str(number)).write_bytes(png)

    def commit(
        self, paths: Mapping[int, str], manifest: dict[str, Any], report: Callable[[int, int], None]
    ) -> tuple[int, int]:
        """Move the received pictures into the splits, remove stale files, write the manifest.

        `paths` gives the path within the folder of each received picture that is used; `report`
        gets how many files were checked, and their total. Returns how many files were written
        and how many were up to date.
        """
        up_to_date: dict[str, bool] = {}
        for path, entry in manifest["files"].items():
            up_to_date[path] = entry["sha256"] == _file_sha256(self.root / path)
            report(len(up_to_date), len(manifest["files"]))
        stale = (_files(self.root) & self._known) - set(manifest["files"])
        if stale or not all(up_to_date.values()):
            write_json(self._incoming / KNOWN, {"files": sorted(self._known | set(up_to_date))})
            (self.root / MANIFEST).unlink(missing_ok=True)
        for number, path in paths.items():
            if not up_to_date[path]:
                target = self.root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                (self._incoming / str(number)).replace(target)
        _remove(self.root, stale)
        self.write_manifest(manifest)
        shutil.rmtree(self._incoming)
        kept = sum(up_to_date.values())
        return len(up_to_date) - kept, kept

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace manifest.json atomically."""
        write_json(self.root / MANIFEST, manifest)


def read_manifest(root: Path) -> dict[str, Any]:
    """Return the manifest of a staged folder. Raises StagedFolderError."""
    try:
        manifest: dict[str, Any] = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StagedFolderError(f"{root} has no {MANIFEST}: run `python -m training.stage_data` first.") from error
    except ValueError as error:
        raise StagedFolderError(
            f"{root / MANIFEST} is damaged: remove {root} and run `python -m training.stage_data` again."
        ) from error
    return manifest


def overlap(one: Path, other: Path) -> bool:
    """Tell whether two folders are the same, or one is within the other."""
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


def _file_sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex, None if it does not exist."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _written(root: Path) -> set[str] | None:
    """Return the files that staging wrote, None if neither list is there."""
    lists = []
    for path, keys in ((root / MANIFEST, MANIFEST_KEYS), (root / INCOMING / KNOWN, {"files"})):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            continue
        ours = isinstance(content, dict) and keys <= content.keys()
        if ours and isinstance(content["files"], dict | list):
            lists.append({str(name) for name in content["files"]})
    return set().union(*lists) if lists else None


def _files(root: Path) -> set[str]:
    """Return the paths within the folder of all files in its splits."""
    return {
        path.relative_to(root).as_posix() for split in SPLITS for path in (root / split).rglob("*") if not path.is_dir()
    }


def _remove(root: Path, stale: Iterable[str]) -> None:
    for path in stale:
        (root / path).unlink()
    for split in SPLITS:
        for folder in sorted((root / split).rglob("*/"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
