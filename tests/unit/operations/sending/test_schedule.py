"""When pictures arrive, and which are odd: the same for the same seed, and within bounds."""

import statistics

import pytest

from operations.sending.schedule import (
    TooManyPicturesError,
    burst_arrivals,
    choose_odd,
    poisson_arrivals,
)


def test_more_pictures_than_the_limit_are_refused():
    with pytest.raises(TooManyPicturesError, match=r"more than 10 pictures.*--max"):
        poisson_arrivals(1e9, duration=1e9, count=None, seed=0, most=10)
    with pytest.raises(TooManyPicturesError, match="more than 10"):
        poisson_arrivals(1, duration=None, count=11, seed=0, most=10)
    with pytest.raises(TooManyPicturesError, match="more than 10"):
        burst_arrivals(11, most=10)


def test_the_limit_itself_is_allowed():
    assert len(poisson_arrivals(1, duration=None, count=10, seed=0, most=10)) == 10
    assert burst_arrivals(10, most=10) == [0.0] * 10


def test_a_stream_ends_with_its_duration():
    times = poisson_arrivals(5, duration=60, count=None, seed=0, most=1000)
    assert times[0] > 0
    assert 59 < times[-1] < 60


def test_gaps_are_exponential_with_the_rate_asked_for():
    times = poisson_arrivals(5, duration=None, count=20_000, seed=1, most=20_000)
    gaps = [later - sooner for sooner, later in zip([0.0, *times], times, strict=False)]
    # Mean and deviation of an exponential gap are both 1 / rate; three standard errors of 20,000.
    assert statistics.mean(gaps) == pytest.approx(0.2, abs=0.2 * 3 / 20_000**0.5)
    assert statistics.stdev(gaps) == pytest.approx(0.2, rel=0.05)
    assert sum(gap < 0.2 for gap in gaps) / len(gaps) == pytest.approx(0.632, abs=0.011)


def test_a_seed_decides_the_moments():
    def moments(seed: int) -> list[float]:
        return poisson_arrivals(5, duration=None, count=5, seed=seed, most=10)

    assert moments(0) == moments(0) != moments(1)


@pytest.mark.parametrize(("share", "odd"), [(0, 0), (0.2, 20), (0.255, 26), (1, 100)])
def test_the_share_of_odd_pictures_is_met_and_split_evenly(share, odd):
    chosen = choose_odd(100, share, ["corrupt", "tiny"], seed=0)
    assert len(chosen) == odd
    assert all(0 <= number < 100 for number in chosen)
    assert list(chosen.values()).count("corrupt") == odd // 2
