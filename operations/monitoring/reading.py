"""Read all lines of many files of captures, or of one huge file, on all cores.

Files are read in chunks of a few megabytes that begin and end with a line; small files share a
task, whose files are fetched at the same time. Threads fetch them, from disk or S3, while processes
read the lines of those that are there, so that no more than a few chunks are held at a time.
"""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from multiprocessing import forkserver, resource_tracker
from threading import Event, Lock, Thread
from typing import NamedTuple

from common.errors import ExpectedError
from common.parallel import run_parallel
from operations.monitoring.capture_locations import CaptureFile, Captures
from operations.monitoring.chunk import (
    LONGEST_LINE,
    MOST_DAMAGED_LISTED,
    Chunk,
    ChunkReading,
    Rules,
    read_chunks,
)
from operations.monitoring.predictions import DamagedLine, Reading, joined

CHUNK_BYTES = 4 * 1024 * 1024  # about 1,000 pictures of 32x32, a third of a second of work
MOST_FILES_PER_TASK = 100
AHEAD = 4  # tasks that are fetched while others are read
FETCHES = 24  # reads at a time, of all tasks: from S3 each takes some 25 ms, however small
BLOCK_BYTES = 256 * 1024  # in which the rest of a chunk's last line is fetched
# Starting processes takes two seconds: fewer bytes than these are read at once.
ALONE_BYTES = 2 * CHUNK_BYTES


class ReadersKilledError(ExpectedError):
    """A process that read lines was ended from outside."""


class Piece(NamedTuple):
    """Bytes of a file, by its position in the list of files: those lines that begin there."""

    file: int
    start: int
    stop: int


def read_captures(
    captures: Captures,
    *,
    class_names: Sequence[str] | None,
    since: datetime | None = None,
    until: datetime | None = None,
    processes: int,
    report: Callable[[int, int | None], None],
) -> Reading:
    """Read every line of every file that may hold calls from `since` to before `until`.

    `report` gets bytes read and their total. Raises CapturesNotFoundError, CaptureGoneError,
    ReadersKilledError.
    """
    every = captures.files()
    files = [file for file in every if file.may_hold(since, until)]
    rules = Rules(
        class_names,
        since.timestamp() if since else None,
        until.timestamp() if until else None,
    )
    tasks = plan(files)
    total = sum(file.size for file in files)
    done, counting, stop = 0, Lock(), Event()

    with ThreadPoolExecutor(FETCHES) as fetches, _readers(total, processes) as read:

        def fetch_piece(piece: Piece) -> Chunk:
            if stop.is_set():
                raise CancelledError
            return fetch(captures, files, piece)

        def work(task: Sequence[Piece]) -> list[ChunkReading]:
            nonlocal done
            readings = read(list(fetches.map(fetch_piece, task)), rules)
            size = sum(piece.stop - piece.start for piece in task)
            with counting:
                done += size
            return readings

        try:
            tasks_read = run_parallel(
                work,
                tasks,
                threads=processes + AHEAD,
                report=lambda *_: report(done, total),
                stop=stop,
            )
        except BrokenProcessPool as error:
            raise ReadersKilledError(
                "A process that read captures was killed, most likely for want of memory: free"
                " some, or read less at a time with --from and --to."
            ) from error
    return put_together(files, len(every) - len(files), [part for parts in tasks_read for part in parts])


def plan(files: Sequence[CaptureFile]) -> list[list[Piece]]:
    """Cut files into pieces, and put small ones together into tasks, in the order of the files."""
    tasks: list[list[Piece]] = []
    size = CHUNK_BYTES
    for place, file in enumerate(files):
        for start in range(0, file.size, CHUNK_BYTES):
            piece = Piece(place, start, min(start + CHUNK_BYTES, file.size))
            if size + piece.stop - start > CHUNK_BYTES or len(tasks[-1]) == MOST_FILES_PER_TASK:
                tasks.append([])
                size = 0
            tasks[-1].append(piece)
            size += piece.stop - start
    return tasks


def fetch(captures: Captures, files: Sequence[CaptureFile], piece: Piece) -> Chunk:
    """Return the lines that begin in a piece: the last is whole, though it may end far behind.

    Of a line longer than the longest that there can be, only that much and a little more is read.
    """
    file = files[piece.file]
    before = 1 if piece.start else 0  # a line begins at `start` where the byte before ends one
    content = captures.read(file, piece.start - before, piece.stop)
    first = content.find(b"\n") + 1 if before else 0
    if before and not first:
        return Chunk(piece.file, file.name, piece.stop, b"")
    content, stop = content[first:], piece.stop
    parts = [content]
    while content and not parts[-1].endswith(b"\n") and stop < file.size:
        if stop - piece.stop > LONGEST_LINE:
            break
        more = captures.read(file, stop, min(stop + BLOCK_BYTES, file.size))
        stop += BLOCK_BYTES
        end = more.find(b"\n") + 1
        parts.append(more[:end] if end else more)
    return Chunk(piece.file, file.name, piece.start - before + first, b"".join(parts))


def put_together(files: Sequence[CaptureFile], left_out: int, parts: Sequence[ChunkReading]) -> Reading:
    """Add up what the chunks say, which come in the order of their files and lines."""
    damaged: Counter[str] = Counter()
    damaged_lines: list[DamagedLine] = []
    damaged_hours: Counter[float] = Counter()
    predictions = []
    lines_before = [0] * len(files)
    for part in parts:
        before = lines_before[part.file]
        lines_before[part.file] += part.lines
        predictions.append(replace(part.predictions, lines=part.predictions.lines + before))
        damaged += part.damaged
        damaged_lines += [line._replace(line=line.line + before) for line in part.damaged_lines]
        hour = files[part.file].hour()
        if hour is not None and part.damaged:
            damaged_hours[hour.timestamp()] += part.damaged.total()
    return Reading(
        files=[file.name for file in files],
        left_out=left_out,
        lines=sum(lines_before),
        predictions=joined(predictions),
        damaged=damaged,
        damaged_lines=damaged_lines[:MOST_DAMAGED_LISTED],
        damaged_hours=damaged_hours,
        refused=sum(part.refused for part in parts),
        outside=sum(part.outside for part in parts),
    )


Read = Callable[[Sequence[Chunk], Rules], list[ChunkReading]]


@contextmanager
def _readers(total: int, processes: int) -> Iterator[Read]:
    """Yield what reads chunks: in this process where there is little to read."""
    if processes == 1 or total <= ALONE_BYTES:
        yield read_chunks
        return
    # Forked from a server that has no threads and has imported PyTorch once: starting from nothing,
    # each process would hold its own 200 MB of it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["operations.monitoring.captured_picture"])
    with _interrupts_blocked():  # for the server and its processes: a Ctrl-C ends this one
        forkserver.ensure_running()
    with ProcessPoolExecutor(processes, context, initializer=_end_with_parent) as pool:
        yield lambda chunks, rules: pool.submit(read_chunks, chunks, rules).result()


def _end_with_parent() -> None:
    """Let a process that reads lines end when the monitor has: one that is killed cannot say so."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes that no Ctrl-C reaches, which they inherit; this one gets it afterwards."""
    resource_tracker.ensure_running()  # it would be started with the server, and lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
