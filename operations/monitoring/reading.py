"""Read every line of many capture files, on all cores.

Threads fetch files from disk or S3 while processes read the lines of those that have arrived. Small files share a task.
"""

import io
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import forkserver, resource_tracker
from threading import Event, Thread
from typing import NamedTuple

from common.errors import ExpectedError
from common.parallel import run_parallel
from common.predictions import is_accepted
from operations.monitoring.capture_line import Call, DamagedLineError, RefusedCallError, read_line
from operations.monitoring.capture_locations import CaptureFile, Captures
from operations.monitoring.captured_pictures import describe
from operations.monitoring.predictions import DamagedLine, Reading, Row, as_columns
from training.container.picture_model.picture_features import NUMBERS

# SageMaker's files have a few megabytes. Each process, and each task that is fetched ahead, may hold one of this size.
MOST_FILE_BYTES = 32 * 1024 * 1024
TASK_BYTES = 4 * 1024 * 1024  # about 1,000 pictures of 32x32, a third of a second of work
MOST_FILES_PER_TASK = 100
AHEAD = 4  # tasks that are fetched while others are read
FETCHES = 24  # reads at a time, of all tasks: from S3 each takes about 25 ms, however small
ALONE_BYTES = 2 * TASK_BYTES  # are read in this process: starting others takes two seconds
MOST_DAMAGED_LISTED = 20


class ReadersKilledError(ExpectedError):
    """A process that read lines was ended from outside."""


class Rules(NamedTuple):
    """How to read: names for a bare list's classes, and the requested time."""

    class_names: Sequence[str] | None
    since: datetime | None
    until: datetime | None

    def ask_for(self, time: float) -> bool:
        """Tell whether a call at this time, in seconds since 1970, counts."""
        return (self.since is None or time >= self.since.timestamp()) and (
            self.until is None or time < self.until.timestamp()
        )


@dataclass
class FileReading:
    """What the lines of a file hold; see Reading."""

    lines: int = 0
    rows: list[Row] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    damaged: Counter[str] = field(default_factory=Counter)  # lines by reason
    damaged_lines: list[DamagedLine] = field(default_factory=list)  # the first MOST_DAMAGED_LISTED
    refused: int = 0
    outside: int = 0


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

    A file larger than MOST_FILE_BYTES is not read and counts as one damaged line. `report` gets bytes read and their
    total. Raises CapturesNotFoundError, CaptureGoneError, ReadersKilledError.
    """
    every = captures.files()
    files = [file for file in every if file.may_hold(since, until)]
    rules = Rules(class_names, since, until)
    total = sum(file.size for file in files)
    sizes_read: list[int] = []
    stop = Event()

    with ThreadPoolExecutor(FETCHES) as fetches, _readers(total, processes) as read:

        def fetch(file: CaptureFile) -> bytes:
            if stop.is_set():
                raise CancelledError
            return captures.read(file, 0, file.size) if 0 < file.size <= MOST_FILE_BYTES else b""

        def work(task: Sequence[CaptureFile]) -> list[FileReading]:
            readings = read(task, list(fetches.map(fetch, task)), rules)
            sizes_read.append(sum(file.size for file in task))
            return readings

        try:
            readings = run_parallel(
                work,
                plan(files),
                threads=processes + AHEAD,
                report=lambda *_: report(sum(sizes_read), total),
                stop=stop,
            )
        except BrokenProcessPool as error:
            raise ReadersKilledError(
                "A process that read captures was killed, probably because memory ran out: free some memory, or read"
                " less at a time with --from and --to."
            ) from error
    return _put_together(files, len(every) - len(files), [one for task in readings for one in task])


def plan(files: Sequence[CaptureFile]) -> list[list[CaptureFile]]:
    """Put small files together into tasks, in the order of the files."""
    tasks: list[list[CaptureFile]] = []
    size = TASK_BYTES
    for file in files:
        if size + file.size > TASK_BYTES or len(tasks[-1]) == MOST_FILES_PER_TASK:
            tasks.append([])
            size = 0
        tasks[-1].append(file)
        size += file.size
    return tasks


def read_files(files: Sequence[CaptureFile], contents: Sequence[bytes], rules: Rules) -> list[FileReading]:
    """Read each file; never raises for what a line holds."""
    return [_read_file(file, content, rules) for file, content in zip(files, contents, strict=True)]


def _read_file(file: CaptureFile, content: bytes, rules: Rules) -> FileReading:
    reading = FileReading()
    if file.size > MOST_FILE_BYTES:
        detail = (
            f"{file.size:,} bytes, and at most {MOST_FILE_BYTES:,} are read: split its lines into smaller .jsonl files,"
            " and remove it"
        )
        large = DamagedLine(file.name, 1, "file too large", detail)
        return FileReading(lines=1, damaged=Counter([large.reason]), damaged_lines=[large])
    offset = 0
    for line in io.BytesIO(content):
        reading.lines += 1
        try:
            call = read_line(line, rules.class_names)
            if rules.ask_for(call.time):
                reading.rows.append(_row(call, reading.lines, offset, len(line)))
                reading.classes.update(call.probabilities)
            else:
                reading.outside += 1
        except RefusedCallError as refusal:
            if rules.ask_for(refusal.time):
                reading.refused += 1
            else:
                reading.outside += 1
        except DamagedLineError as error:
            reading.damaged[error.reason] += 1
            if len(reading.damaged_lines) < MOST_DAMAGED_LISTED:
                reading.damaged_lines.append(DamagedLine(file.name, reading.lines, error.reason, error.detail))
        offset += len(line)
    return reading


def _row(call: Call, line: int, offset: int, length: int) -> Row:
    features = describe(call.picture)
    label = max(call.probabilities, key=lambda name: call.probabilities[name])
    return Row(
        time=call.time,
        confidence=call.probabilities[label],
        tied=not is_accepted([*call.probabilities.values()], 0.0),
        label=label,
        line=line,
        offset=offset,
        length=length,
        format=str(features["format"]),
        request_key=call.request_key,
        features=tuple(float(features[name]) for name in NUMBERS),
    )


def _put_together(files: Sequence[CaptureFile], left_out: int, readings: Sequence[FileReading]) -> Reading:
    damaged_hours: Counter[float] = Counter()
    for file, reading in zip(files, readings, strict=True):
        hour = file.hour()
        if hour is not None and reading.damaged:
            damaged_hours[hour.timestamp()] += reading.damaged.total()
    return Reading(
        files=[file.name for file in files],
        left_out=left_out,
        lines=sum(reading.lines for reading in readings),
        predictions=as_columns(
            [reading.rows for reading in readings], {name for reading in readings for name in reading.classes}
        ),
        damaged=sum((reading.damaged for reading in readings), Counter()),
        damaged_lines=[line for reading in readings for line in reading.damaged_lines][:MOST_DAMAGED_LISTED],
        damaged_hours=damaged_hours,
        refused=sum(reading.refused for reading in readings),
        outside=sum(reading.outside for reading in readings),
    )


Read = Callable[[Sequence[CaptureFile], Sequence[bytes], Rules], list[FileReading]]


@contextmanager
def _readers(total: int, processes: int) -> Iterator[Read]:
    """Yield what reads files: in this process where there is little to read."""
    if processes == 1 or total <= ALONE_BYTES:
        yield read_files
        return
    # Forked from a server that has no threads and has imported PyTorch once: otherwise each process would hold 200 MB
    # of it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.container.picture_model.network", __name__])
    with _interrupts_blocked():  # for the server and its processes: a Ctrl-C ends this one
        forkserver.ensure_running()
    with ProcessPoolExecutor(processes, context, initializer=_end_with_parent) as pool:
        yield lambda files, contents, rules: pool.submit(read_files, files, contents, rules).result()


def _end_with_parent() -> None:
    """End this process when the monitor ends: a killed monitor cannot end it."""
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=follow, daemon=True).start()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, since they inherit the mask; this process gets the signal afterwards."""
    resource_tracker.ensure_running()  # it would be started with the server, and lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
