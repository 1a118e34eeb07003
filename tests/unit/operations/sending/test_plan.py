"""Under which key each picture goes, and which one it is."""

from pathlib import Path

import pytest

from operations.sending.arrivals import AS_IT_IS, SourcePicture
from operations.sending.odd_pictures import OddPicture
from operations.sending.pictures import NoPicturesError, SameKeyError, staged_test_pictures
from operations.sending.plan import new_run_id, plan_files, plan_load, shuffled
from operations.sending.schedule import TooManyPicturesError
from training.staging.folder import NotStagedError

A = SourcePicture("bicycle/a.png", Path("s/bicycle/a.png"), "bicycle")
B = SourcePicture("b.png", Path("b.png"), None)


def test_two_files_never_become_one_object():
    with pytest.raises(SameKeyError, match=r"both become inbox/b\.png"):
        plan_files([A, B, B], most=10)


def test_more_files_than_the_limit_are_refused():
    with pytest.raises(TooManyPicturesError, match="more than 1 pictures"):
        plan_files([A, B], most=1)


def test_a_folder_that_is_not_staged_is_named(tmp_path):
    with pytest.raises(NotStagedError, match="stage_data"):
        staged_test_pictures(tmp_path)


def test_a_staged_folder_without_test_pictures_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": {"train/bicycle/x.png": {}}}')
    with pytest.raises(NoPicturesError, match="no test pictures"):
        staged_test_pictures(tmp_path)


def test_only_the_test_split_is_sent_and_its_class_is_known(tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": {"train/bicycle/x.png": {}, "test/motorcycle/y.png": {}}}')
    path = tmp_path / "test/motorcycle/y.png"
    assert staged_test_pictures(tmp_path) == [SourcePicture("motorcycle/y.png", path, "motorcycle")]


def test_files_sent_once_keep_their_names():
    assert [(a.at, a.key) for a in plan_files([A, B], most=2)] == [
        (0.0, "inbox/bicycle/a.png"),
        (0.0, "inbox/b.png"),
    ]


def test_too_few_pictures_are_sent_again_under_new_keys():
    arrivals = plan_load([0.0, 0.5, 1.0], [A, B], {}, {}, "run")
    assert [(a.at, a.key, a.truth) for a in arrivals] == [
        (0.0, "inbox/run/00000-a.png", "bicycle"),
        (0.5, "inbox/run/00001-b.png", None),
        (1.0, "inbox/run/00002-a.png", "bicycle"),
    ]


def test_odd_pictures_take_the_places_chosen_for_them_in_turn():
    made = [OddPicture("tiny-1.png", b"1", "bicycle"), OddPicture("tiny-2.png", b"2", None)]
    arrivals = plan_load([0.0] * 4, [A], {0: "tiny", 2: "tiny", 3: "tiny"}, {"tiny": made}, "r")
    assert [(a.key, a.kind, a.body) for a in arrivals] == [
        ("inbox/r/00000-tiny-1.png", "tiny", b"1"),
        ("inbox/r/00001-a.png", AS_IT_IS, A.path),
        ("inbox/r/00002-tiny-2.png", "tiny", b"2"),
        ("inbox/r/00003-tiny-1.png", "tiny", b"1"),
    ]


def test_no_two_runs_share_a_name():
    assert len({new_run_id() for _ in range(20)}) == 20


def test_a_short_run_is_not_all_of_one_class():
    pictures = [SourcePicture(str(n), Path(str(n)), "b" if n < 100 else "m") for n in range(200)]
    few = shuffled(pictures, seed=0)[:20]
    assert {picture.truth for picture in few} == {"b", "m"}
    assert few == shuffled(pictures, seed=0)[:20]
