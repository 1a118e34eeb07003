"""Every line of every file is read once."""

import sys
import time
from collections import Counter
from datetime import timedelta

import pytest

from operations.monitoring import reading
from operations.monitoring.capture_locations import CaptureFile, CaptureGoneError, CapturesNotFoundError, FolderCaptures
from operations.monitoring.reading import plan
from tests.unit.operations.captures import (
    BEGIN,
    SlowCaptures,
    drawn,
    line,
    named,
    read,
    write,
    write_calls,
    write_hours,
)

CONFIDENT = named(bicycle=0.95, motorcycle=0.05)
REFUSED = b'{"code": 400, "type": "BadRequest", "message": "no picture"}'


def test_plan_small_files_share_a_task(monkeypatch):
    monkeypatch.setattr(reading, "TASK_BYTES", 100)
    files = [CaptureFile(f"{size}", size) for size in (40, 50, 20, 0, 250)]

    assert [[file.size for file in task] for task in plan(files)] == [[40, 50], [20, 0], [250]]


@pytest.mark.parametrize("size", [1, 4 * 1024 * 1024])
def test_reading_accounts_for_every_line(tmp_path, monkeypatch, size):
    monkeypatch.setattr(reading, "TASK_BYTES", size)
    good = line(CONFIDENT)
    late = line(CONFIDENT, time=BEGIN + timedelta(days=1))
    broken = line(CONFIDENT, drawn(0)[:-40])
    write(tmp_path, [good, b"{\n", good, b"\n", line(REFUSED), late], name="a")
    write(tmp_path, [broken, good, good[:-100]], name="b")
    write(tmp_path, [], name="c")

    found = read(tmp_path, until=BEGIN + timedelta(hours=1))

    assert found.lines == 9
    assert len(found.predictions) == 3
    assert found.refused == 1
    assert found.outside == 1
    assert found.damaged == Counter({"cut off": 2, "empty line": 1, "picture cannot be decoded": 1})
    assert [(damaged.file[-7:], damaged.line, damaged.reason) for damaged in found.damaged_lines] == [
        ("a.jsonl", 2, "cut off"),
        ("a.jsonl", 4, "empty line"),
        ("b.jsonl", 1, "picture cannot be decoded"),
        ("b.jsonl", 3, "cut off"),
    ]
    assert found.damaged_hours == Counter({BEGIN.timestamp(): 4})
    places = list(zip(found.predictions.files, found.predictions.lines, strict=True))
    assert places == [(0, 1), (0, 3), (1, 2)]


def test_prediction_locates_its_line(tmp_path):
    write_hours(tmp_path, hours=2)

    found = read(tmp_path)

    for row in range(len(found.predictions)):
        file = CaptureFile(found.files[found.predictions.files[row]], 0)
        start = int(found.predictions.offsets[row])
        content = FolderCaptures(tmp_path).read(file, start, start + int(found.predictions.lengths[row]))
        lines = (tmp_path / file.name).read_bytes().splitlines(keepends=True)
        assert content == lines[found.predictions.lines[row] - 1]


def test_damaged_lines_beyond_the_limit_are_counted_only(tmp_path):
    write(tmp_path, [b"{\n"] * 50)

    found = read(tmp_path)

    assert found.damaged.total() == found.lines == 50
    assert [damaged.line for damaged in found.damaged_lines] == list(range(1, 21))


def test_file_too_large_is_one_damaged_line_and_not_read(tmp_path, monkeypatch):
    good = line(CONFIDENT)
    monkeypatch.setattr(reading, "MOST_FILE_BYTES", len(good))
    write(tmp_path, [good], name="a")
    write(tmp_path, [good, b"\n"], name="b")

    class Guarded(FolderCaptures):
        def read(self, file, start, stop):
            assert "-a.jsonl" in file.name
            return super().read(file, start, stop)

    found = read(Guarded(tmp_path))

    assert (found.lines, len(found.predictions)) == (2, 1)
    assert found.damaged == Counter({"file too large": 1})
    [damaged] = found.damaged_lines
    assert damaged.file.endswith("-b.jsonl")
    assert damaged.detail.startswith(f"{len(good) + 1:,} bytes, and at most {len(good):,} are read: split")
    assert found.damaged_hours == Counter({BEGIN.timestamp(): 1})


def test_classes_of_different_models_are_merged(tmp_path):
    write(tmp_path, [line(named(car=0.9, van=0.1)), line(named(bus=0.2, car=0.8))], name="a")
    write(tmp_path, [line([0.3, 0.7])], name="b")

    found = read(tmp_path, class_names=["van", "tram"])

    assert found.predictions.classes == ["bus", "car", "tram", "van"]
    assert found.predictions.label_names() == ["car", "car", "tram"]


def test_tie_is_never_accepted(tmp_path):
    write(tmp_path, [line([0.5, 0.5]), line([0.4, 0.6])])

    assert read(tmp_path).predictions.accepted(0.1).tolist() == [False, True]


def test_files_of_other_hours_are_not_read(tmp_path):
    write_hours(tmp_path, hours=6, each=2)
    since, until = BEGIN + timedelta(hours=3), BEGIN + timedelta(hours=4)

    found = read(tmp_path, since=since, until=until)

    assert len(found.files) == 3  # also the hours before and after, since calls near the edges may be filed there
    assert found.left_out == 3
    assert len(found.predictions) == 2
    assert found.outside == 4
    assert found.predictions.times.min() == since.timestamp()


def test_refused_calls_of_other_times_are_outside(tmp_path):
    times = [BEGIN + timedelta(minutes=minute) for minute in (0, 5, 10, 15)]
    write(tmp_path, [line(REFUSED, time=time) for time in times])

    found = read(tmp_path, since=times[1], until=times[3])

    assert (found.refused, found.outside) == (2, 2)


def test_folder_without_captures_fails_unless_empty(tmp_path):
    assert FolderCaptures(tmp_path).files() == []
    (tmp_path / "notes.txt").write_text("?")

    with pytest.raises(CapturesNotFoundError, match=r"1 files and none ends in \.jsonl"):
        FolderCaptures(tmp_path).files()


def test_small_files_of_a_task_are_fetched_at_the_same_time(tmp_path):
    for number in range(2 * reading.FETCHES):
        write(tmp_path, [line(CONFIDENT, drawn(number % 5))], name=f"{number:03d}")
    assert len(plan(FolderCaptures(tmp_path).files())) == 1

    found = read(SlowCaptures(tmp_path, reading.FETCHES))

    assert found.predictions.files.tolist() == list(range(2 * reading.FETCHES))


def test_error_stops_further_fetches(tmp_path):
    for number in range(90):
        write(tmp_path, [line(CONFIDENT)], name=f"{number:03d}")
    fetched = []

    class Refusing(FolderCaptures):
        def read(self, file, start, stop):
            fetched.append(file.name)
            if len(fetched) == 1:
                raise PermissionError(f"no right to {file.name}")
            time.sleep(0.01)
            return super().read(file, start, stop)

    with pytest.raises(PermissionError, match=r"no right to .*jsonl"):
        read(Refusing(tmp_path))
    assert len(fetched) < 90


def test_progress_ascends_to_the_total(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "TASK_BYTES", 20)
    sizes = [write(tmp_path, [b"{\n"] * 9, name=f"{number:03d}").stat().st_size for number in range(400)]
    seen = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads that overtake each other
    try:
        read(tmp_path, report=lambda *progress: seen.append(progress))
    finally:
        sys.setswitchinterval(interval)

    assert seen[-1] == (sum(sizes), sum(sizes))
    assert seen == sorted(seen)


def test_file_deleted_after_listing_is_named(tmp_path):
    write(tmp_path, [line(CONFIDENT)])
    deleted = write(tmp_path, [line(CONFIDENT)], name="b")

    class Deleting(FolderCaptures):
        def files(self):
            found = super().files()
            deleted.unlink()
            return found

    with pytest.raises(CaptureGoneError, match=r"-b\.jsonl was deleted .*: run it again"):
        read(Deleting(tmp_path))


def test_single_file_is_read(tmp_path):
    path = write(tmp_path, [line(CONFIDENT)])

    found = read(path)

    assert found.files == [path.name]
    assert len(found.predictions) == 1


def test_without_repeats_keeps_the_first_answer(tmp_path):
    # Seven answers to four requests: a repeated call has the same picture and the same id.
    calls = [(1, "a"), (2, "b"), (1, "a"), (3, "b"), (1, "a"), (1, "b"), (2, "b")]
    write_calls(tmp_path, calls)
    write(tmp_path, [line(CONFIDENT, drawn(1), inference_id="a")], BEGIN + timedelta(hours=1))

    predictions = read(tmp_path).predictions

    assert len(predictions) == len(calls) + 1
    assert (predictions.without_repeats().times - BEGIN.timestamp()).tolist() == [0, 1, 3, 5]


@pytest.mark.parametrize("inference_id", [None, "", "-"])
def test_without_repeats_keeps_equal_pictures_without_an_id(tmp_path, inference_id):
    """Those of a covered camera must not count as one picture."""
    write_calls(tmp_path, [(1, inference_id)] * 5)

    assert len(read(tmp_path).predictions.without_repeats()) == 5
