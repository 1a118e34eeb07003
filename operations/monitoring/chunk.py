"""A piece of a capture file, read in a process of its own: bytes in, columns out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from operations.monitoring.capture_line import DamagedLineError, RefusedCallError, read_line
from operations.monitoring.predictions import (
    DamagedLine,
    Predictions,
    Rows,
    question_key,
)

# An endpoint takes 6 MiB, which are 8 MiB as base64; its answer is small.
LONGEST_LINE = 16 * 1024 * 1024
MOST_DAMAGED_LISTED = 20


@dataclass(frozen=True)
class Chunk:
    """Whole lines of a file: its position in the list of files, its name, where they begin."""

    file: int
    name: str
    offset: int
    content: bytes


@dataclass(frozen=True)
class Rules:
    """How to read: names for a bare list's classes; the time asked for, seconds since 1970."""

    class_names: Sequence[str] | None = None
    since: float | None = None
    until: float | None = None

    def ask_for(self, time: float) -> bool:
        """Tell whether a call at that time counts."""
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)


@dataclass
class ChunkReading:
    """What the lines of a chunk say; line numbers count from 1 within it."""

    file: int
    lines: int
    predictions: Predictions
    damaged: Counter[str] = field(default_factory=Counter)
    damaged_lines: list[DamagedLine] = field(default_factory=list)
    refused: int = 0
    outside: int = 0


def read_chunks(chunks: Sequence[Chunk], rules: Rules) -> list[ChunkReading]:
    """Read each chunk; never raises for what a line holds."""
    return [_read_chunk(chunk, rules) for chunk in chunks]


def _read_chunk(chunk: Chunk, rules: Rules) -> ChunkReading:
    rows = Rows()
    reading = ChunkReading(chunk.file, 0, rows.predictions())
    begin, content = 0, chunk.content
    while begin < len(content):
        end = content.find(b"\n", begin) + 1 or len(content)
        reading.lines += 1
        try:
            place = (chunk.file, reading.lines, chunk.offset + begin, end - begin)
            if not _read_line(content[begin:end], rules, rows, place):
                reading.outside += 1
        except RefusedCallError as refusal:
            if rules.ask_for(refusal.time):
                reading.refused += 1
            else:
                reading.outside += 1
        except DamagedLineError as error:
            reading.damaged[error.reason] += 1
            if len(reading.damaged_lines) < MOST_DAMAGED_LISTED:
                reading.damaged_lines.append(DamagedLine(chunk.name, reading.lines, error.reason, error.detail))
        begin = end
    reading.predictions = rows.predictions()
    return reading


def _read_line(line: bytes, rules: Rules, rows: Rows, place: tuple[int, int, int, int]) -> bool:
    """Add a line's answer, or return False where it is outside the time asked for."""
    if len(line) > LONGEST_LINE:
        raise DamagedLineError("too long", f"over {LONGEST_LINE:,} bytes")
    call = read_line(line, rules.class_names)
    if not rules.ask_for(call.time):
        return False
    # Not above: the process that hands out chunks does without PyTorch.
    from operations.monitoring.captured_picture import describe

    question = question_key(call.inference_id, call.picture)
    rows.add(call.time, call.probabilities, describe(call.picture), place, question)
    return True
