from typing import Any

import pytest

from local.sagemaker.interruptions import (
    Interruption,
    InterruptionRequestError,
    Interruptions,
    parse_interruption,
)

SOON = Interruption(times=2, after_seconds=5)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "must be a JSON object"),
        ({"time": 1}, "Unknown field 'time'; there are times, after_seconds, notice_seconds, "),
        ({"times": 0}, "times must be a whole number from 1"),
        ({"times": 1.5}, "times must be a whole number from 1"),
        ({"times": True}, "times must be a whole number from 1"),
        ({"after_seconds": -1}, "after_seconds must be a number, not below 0"),
        ({"notice_seconds": "long"}, "notice_seconds must be a number, not below 0"),
        ({"away_seconds": float("nan")}, "away_seconds must be a number, not below 0"),
        ({"away_seconds": False}, "away_seconds must be a number, not below 0"),
    ],
)
def test_a_wrong_request_is_refused(members: Any, message: str) -> None:
    with pytest.raises(InterruptionRequestError) as refused:
        parse_interruption(members)
    assert message in str(refused.value)


def test_a_request_with_everything_and_with_nothing() -> None:
    members = {"times": 3, "after_seconds": 1, "notice_seconds": 0, "away_seconds": 2}
    assert parse_interruption(members) == Interruption(3, 1.0, 0.0, 2.0)
    assert parse_interruption({}) == Interruption(1, 0.0, 120.0, 1.0)


def test_a_job_is_hit_after_its_time_and_so_many_times() -> None:
    asked = Interruptions()
    asked.put("job", SOON)
    assert asked.draw("job", 4.9) is None
    assert asked.draw("job", 5.0) == SOON
    assert asked.get("job")["times"] == 1
    assert asked.draw("job", 6.0) is not None
    assert asked.draw("job", 7.0) is None
    assert (asked.get("job")["times"], asked.get("job")["interrupted"]) == (0, 2)


@pytest.mark.parametrize(
    ("job", "hit"), [("scones", True), ("scones-2026", True), ("scones2-2026", False), ("x", False)]
)
def test_the_jobs_of_an_endpoint_are_known_by_how_their_names_begin(job: str, hit: bool) -> None:
    asked = Interruptions()
    asked.put("scones", Interruption())
    assert (asked.draw(job, 0.0) is not None) is hit


def test_what_is_over_does_not_keep_another_name_from_its_turn() -> None:
    asked = Interruptions()
    asked.put("a", Interruption())
    asked.put("a-b", Interruption())
    assert asked.draw("a-b", 0.0) is not None
    assert asked.draw("a-b", 0.0) is not None
    assert asked.draw("a-b", 0.0) is None


def test_clearing_ends_and_forgets() -> None:
    asked = Interruptions()
    asked.put("job", Interruption())
    asked.draw("job", 0.0)
    asked.put("job", Interruption())
    assert asked.get("job")["interrupted"] == 1
    asked.clear("job")
    assert asked.draw("job", 0.0) is None
    assert (asked.get("job")["times"], asked.get("job")["interrupted"]) == (0, 0)
