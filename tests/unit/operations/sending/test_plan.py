"""What is sent when, and under which key: the same for the same seed, and within bounds."""

import statistics
from pathlib import Path

import pytest

from operations.sending.arrivals import AS_IT_IS, SourcePicture
from operations.sending.plan import (
    NoPicturesError,
    SameKeyError,
    TooManyPicturesError,
    choose_odd,
    plan_files,
    plan_load,
    poisson_arrivals,
    shuffled,
    staged_test_pictures,
)
from training.staging.folder import StagedFolderError

A = SourcePicture("bicycle/a.png", Path("s/bicycle/a.png"), "bicycle")
B = SourcePicture("b.png", Path("b.png"), None)


def test_two_files_with_the_same_key_are_refused():
    with pytest.raises(SameKeyError, match=r"both become inbox/b\.png"):
        plan_files([A, B, B], most=10)


def test_files_above_the_limit_are_refused():
    with pytest.raises(TooManyPicturesError, match=r"more than 1 pictures.*--max"):
        plan_files([A, B], most=1)


@pytest.mark.parametrize(
    ("manifest", "error"), [(None, StagedFolderError), ('{"files": {"train/bicycle/x.png": {}}}', NoPicturesError)]
)
def test_folder_without_a_staged_test_split_is_an_error(tmp_path, manifest, error):
    if manifest:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(error, match="stage_data"):
        staged_test_pictures(tmp_path)


def test_only_the_test_split_is_sent_with_its_class(tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": {"train/bicycle/x.png": {}, "test/motorcycle/y.png": {}}}')
    path = tmp_path / "test/motorcycle/y.png"
    assert staged_test_pictures(tmp_path) == [SourcePicture("motorcycle/y.png", path, "motorcycle")]


def test_pictures_are_repeated_under_new_keys():
    arrivals = plan_load([0.0, 0.5, 1.0], [A, B], {}, {}, "run")
    assert [(a.at, a.key, a.truth) for a in arrivals] == [
        (0.0, "inbox/run/00000-a.png", "bicycle"),
        (0.5, "inbox/run/00001-b.png", None),
        (1.0, "inbox/run/00002-a.png", "bicycle"),
    ]


def test_odd_pictures_are_sent_in_turn():
    made = [SourcePicture("tiny-1.png", b"1", "bicycle"), SourcePicture("tiny-2.png", b"2", None)]
    arrivals = plan_load([0.0] * 4, [A], {0: "tiny", 2: "tiny", 3: "tiny"}, {"tiny": made}, "r")
    assert [(a.key, a.kind, a.body) for a in arrivals] == [
        ("inbox/r/00000-tiny-1.png", "tiny", b"1"),
        ("inbox/r/00001-a.png", AS_IT_IS, A.body),
        ("inbox/r/00002-tiny-2.png", "tiny", b"2"),
        ("inbox/r/00003-tiny-1.png", "tiny", b"1"),
    ]


def test_short_run_has_all_classes():
    pictures = [SourcePicture(str(n), Path(str(n)), "b" if n < 100 else "m") for n in range(200)]
    few = shuffled(pictures, seed=0)[:20]
    assert {picture.truth for picture in few} == {"b", "m"}
    assert few == shuffled(pictures, seed=0)[:20]


def test_load_is_refused_above_the_limit_and_allowed_at_it():
    with pytest.raises(TooManyPicturesError):
        poisson_arrivals(1e9, duration=1e9, count=None, seed=0, most=10)
    assert len(poisson_arrivals(1, duration=None, count=10, seed=0, most=10)) == 10


def test_stream_ends_with_its_duration():
    times = poisson_arrivals(5, duration=60, count=None, seed=0, most=1000)
    assert times[0] > 0
    assert 59 < times[-1] < 60


def test_gaps_are_exponential_with_the_given_rate():
    times = poisson_arrivals(5, duration=None, count=20_000, seed=1, most=20_000)
    gaps = [later - sooner for sooner, later in zip([0.0, *times], times, strict=False)]
    # Mean and deviation of an exponential gap are both 1 / rate; three standard errors of 20,000.
    assert statistics.mean(gaps) == pytest.approx(0.2, abs=0.2 * 3 / 20_000**0.5)
    assert statistics.stdev(gaps) == pytest.approx(0.2, rel=0.05)
    assert sum(gap < 0.2 for gap in gaps) / len(gaps) == pytest.approx(0.632, abs=0.011)


def test_seed_decides_the_times():
    first, again, other = (poisson_arrivals(5, duration=None, count=5, seed=seed, most=10) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(("share", "odd"), [(0, 0), (0.2, 20), (0.255, 26), (1, 100)])
def test_odd_share_is_met_and_split_evenly_by_kind(share, odd):
    chosen = choose_odd(100, share, ["corrupt", "tiny"], seed=0)
    assert len(chosen) == odd
    assert all(0 <= number < 100 for number in chosen)
    assert list(chosen.values()).count("corrupt") == odd // 2
