"""Every line of every file is read once, however the files are cut into pieces."""

import random
import sys
import threading
import time
from collections import Counter
from datetime import timedelta

import pytest

from operations.monitoring import chunk, reading
from operations.monitoring.capture_locations import (
    CaptureFile,
    CaptureGoneError,
    CapturesNotFoundError,
    FolderCaptures,
)
from operations.monitoring.reading import fetch, plan, read_captures
from tests.unit.operations.captures import BEGIN, a_few_hours, drawn, line, named, write

SURE = named(bicycle=0.95, motorcycle=0.05)


def read(folder, **options):
    return read_captures(
        FolderCaptures(folder),
        **{"class_names": None, "processes": 1, "report": lambda *_: None, **options},
    )


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000, 10_000])
def test_pieces_of_any_size_give_each_line_once(tmp_path, monkeypatch, size):
    monkeypatch.setattr(reading, "CHUNK_BYTES", size)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 5)
    rng = random.Random(size)  # noqa: S311  lengths of lines, no secret
    lines = [b"x" * rng.randrange(30) + b"\n" for _ in range(40)] + [b"without an end"]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(lines))
    captures = FolderCaptures(tmp_path)
    files = captures.files()

    found = [fetch(captures, files, piece) for task in plan(files) for piece in task]

    assert b"".join(piece.content for piece in found) == path.read_bytes()
    for piece in found:
        assert path.read_bytes()[piece.offset :].startswith(piece.content)
        assert not piece.content or piece.offset == 0 or path.read_bytes()[piece.offset - 1] == 10


def test_small_files_share_a_task_and_large_ones_are_cut(monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 100)
    files = [CaptureFile(f"{size}", size) for size in (40, 50, 20, 0, 250)]

    tasks = plan(files)

    assert [[(p.file, p.start, p.stop) for p in task] for task in tasks] == [
        [(0, 0, 40), (1, 0, 50)],
        [(2, 0, 20)],
        [(4, 0, 100)],
        [(4, 100, 200)],
        [(4, 200, 250)],
    ]


@pytest.mark.parametrize("size", [3_000, 4 * 1024 * 1024])
def test_every_line_is_accounted_for(tmp_path, monkeypatch, size):
    monkeypatch.setattr(reading, "CHUNK_BYTES", size)
    good = line(SURE)
    refused = line(b'{"code": 400, "type": "BadRequest", "message": "no picture"}')
    late = line(SURE, time=BEGIN + timedelta(days=1))
    broken = line(SURE, drawn(0)[:-40])
    write(tmp_path, [good, b"{\n", good, b"\n", refused, late], name="a")
    write(tmp_path, [broken, good, good[:-100]], name="b")

    found = read(tmp_path, until=BEGIN + timedelta(hours=1))

    assert found.lines == 9
    assert len(found.predictions) == 3
    assert found.refused == 1
    assert found.outside == 1
    assert found.damaged == Counter({"cut off": 2, "empty line": 1, "picture cannot be decoded": 1})
    places = [(d.file[-7:], d.line, d.reason) for d in found.damaged_lines]
    assert places == [
        ("a.jsonl", 2, "cut off"),
        ("a.jsonl", 4, "empty line"),
        ("b.jsonl", 1, "picture cannot be decoded"),
        ("b.jsonl", 3, "cut off"),
    ]
    assert found.damaged_hours == Counter({BEGIN.timestamp(): 4})
    assert list(zip(found.predictions.files, found.predictions.lines, strict=True)) == [
        (0, 1),
        (0, 3),
        (1, 2),
    ]


def test_a_prediction_knows_where_its_line_is(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 10_000)
    a_few_hours(tmp_path, hours=2)

    found = read(tmp_path)

    captures = FolderCaptures(tmp_path)
    for row in range(len(found.predictions)):
        file = CaptureFile(found.files[found.predictions.files[row]], 0)
        start = int(found.predictions.offsets[row])
        content = captures.read(file, start, start + int(found.predictions.lengths[row]))
        whole = (tmp_path / file.name).read_bytes().splitlines(keepends=True)
        assert content == whole[found.predictions.lines[row] - 1]


def test_only_the_first_damaged_lines_are_listed_and_all_are_counted(tmp_path):
    write(tmp_path, [b"{\n"] * 50)

    found = read(tmp_path)

    assert found.damaged.total() == found.lines == 50
    assert [damaged.line for damaged in found.damaged_lines] == list(range(1, 21))


def test_a_line_without_end_is_damaged_and_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 500)
    monkeypatch.setattr(reading, "LONGEST_LINE", 6_000)
    monkeypatch.setattr(chunk, "LONGEST_LINE", 6_000)
    good = line(SURE)
    write(tmp_path, [good, b"x" * 50_000 + b"\n", good])
    largest = 0

    class Watched(FolderCaptures):
        def read(self, file, start, stop):
            nonlocal largest
            largest = max(largest, stop - start)
            return super().read(file, start, stop)

    found = read_captures(Watched(tmp_path), class_names=None, processes=1, report=lambda *_: None)

    assert found.damaged == Counter({"too long": 1})
    assert len(found.predictions) == 2
    assert found.lines == 3
    assert largest <= 1_001


def test_classes_of_different_models_are_put_together(tmp_path):
    write(tmp_path, [line(named(car=0.9, van=0.1)), line(named(bus=0.2, car=0.8))], name="a")
    write(tmp_path, [line([0.3, 0.7])], name="b")

    found = read(tmp_path, class_names=["van", "tram"])

    assert found.predictions.classes == ["bus", "car", "tram", "van"]
    assert found.predictions.label_names() == ["car", "car", "tram"]


def test_a_tie_is_never_accepted(tmp_path):
    write(tmp_path, [line([0.5, 0.5]), line([0.4, 0.6])])

    accepted = read(tmp_path).predictions.accepted(0.1)

    assert accepted.tolist() == [False, True]


def test_files_of_other_hours_are_not_read(tmp_path):
    a_few_hours(tmp_path, hours=6, each=2)
    since, until = BEGIN + timedelta(hours=3), BEGIN + timedelta(hours=4)

    found = read(tmp_path, since=since, until=until)

    assert len(found.files) == 3  # an hour around it, as calls of its edges may be filed there
    assert found.left_out == 3
    assert len(found.predictions) == 2
    assert found.outside == 4
    assert found.predictions.times.min() == since.timestamp()


def test_refused_calls_of_other_times_are_not_counted(tmp_path):
    refused = b'{"code": 400, "type": "BadRequest", "message": "no picture"}'
    minutes = [timedelta(minutes=minute) for minute in (0, 5, 10, 15)]
    write(tmp_path, [line(refused, time=BEGIN + minute) for minute in minutes])

    found = read(tmp_path, since=BEGIN + minutes[1], until=BEGIN + minutes[3])

    assert (found.refused, found.outside) == (2, 2)


def test_a_folder_without_captures_is_told_from_an_empty_one(tmp_path):
    assert FolderCaptures(tmp_path).files() == []
    (tmp_path / "notes.txt").write_text("?")

    with pytest.raises(CapturesNotFoundError, match=r"1 files and none ends in \.jsonl"):
        FolderCaptures(tmp_path).files()
    with pytest.raises(CapturesNotFoundError, match="does not exist"):
        FolderCaptures(tmp_path / "gone").files()


class Slow(FolderCaptures):
    """Captures that are far away: as from S3, each read takes as long as any other."""

    at_once = most_at_once = 0

    def __init__(self, path, everyone):
        super().__init__(path)
        self._everyone, self._counting = everyone, threading.Lock()

    def read(self, file, start, stop):
        with self._counting:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self._everyone.wait()
        with self._counting:
            self.at_once -= 1
        return super().read(file, start, stop)


def test_small_files_of_one_task_are_fetched_at_the_same_time(tmp_path):
    for number in range(2 * reading.FETCHES):
        write(tmp_path, [line(named(car=0.9, van=0.1), drawn(number % 5))], name=f"{number:03d}")
    everyone = threading.Barrier(reading.FETCHES, timeout=30)  # breaks where fewer are fetched
    captures = Slow(tmp_path, everyone)
    assert len(plan(captures.files())) == 1

    found = read_captures(captures, class_names=None, processes=1, report=lambda *_: None)

    assert len(found.predictions) == 2 * reading.FETCHES
    assert found.predictions.files.tolist() == list(range(2 * reading.FETCHES))
    assert captures.most_at_once == reading.FETCHES


def test_after_an_error_nothing_more_is_fetched(tmp_path):
    for number in range(90):
        write(tmp_path, [line(SURE)], name=f"{number:03d}")
    fetched = []

    class Refusing(FolderCaptures):
        def read(self, file, start, stop):
            fetched.append(file.name)
            if len(fetched) == 1:
                raise PermissionError(f"no right to {file.name}")
            time.sleep(0.01)
            return super().read(file, start, stop)

    with pytest.raises(PermissionError, match=r"no right to .*jsonl"):
        read_captures(Refusing(tmp_path), class_names=None, processes=1, report=lambda *_: None)
    assert len(fetched) < 90


def test_progress_ends_at_the_total(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 20)
    path = write(tmp_path, [b"{\n"] * 20_000)
    seen = []
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads that overtake each other
    try:
        read(tmp_path, report=lambda *progress: seen.append(progress))
    finally:
        sys.setswitchinterval(before)

    size = path.stat().st_size
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)


def test_a_file_that_is_deleted_meanwhile_is_named(tmp_path):
    write(tmp_path, [line(SURE)])
    gone = write(tmp_path, [line(SURE)], name="b")

    class Deleted(FolderCaptures):
        def files(self):
            found = super().files()
            gone.unlink()
            return found

    with pytest.raises(CaptureGoneError, match=r"-b\.jsonl has been deleted .*: run it again"):
        read_captures(Deleted(tmp_path), class_names=None, processes=1, report=lambda *_: None)


def test_a_single_file_can_be_given(tmp_path):
    path = write(tmp_path, [line(SURE)])

    found = read(path)

    assert found.files == [path.name]
    assert len(found.predictions) == 1
