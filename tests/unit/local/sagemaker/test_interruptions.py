from typing import Any

import pytest

from local.control_request import ControlRequestError
from local.sagemaker.interruptions import Interruption, Interruptions, parse_interruption

SOON = Interruption(times=2, after_seconds=5)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "must be a JSON object"),
        ({"time": 1}, "Unknown field 'time'; the fields are times, after_seconds, notice_seconds, "),
        ({"times": 0}, "times must be a whole number of at least 1"),
        ({"after_seconds": -1}, "after_seconds must be a number of at least 0"),
        ({"notice_seconds": "long"}, "notice_seconds must be a number of at least 0"),
        ({"away_seconds": float("nan")}, "away_seconds must be a number of at least 0"),
    ],
)
def test_parse_invalid_request_fails(members: Any, message: str) -> None:
    with pytest.raises(ControlRequestError) as refused:
        parse_interruption(members)
    assert message in str(refused.value)


def test_parse_request_with_all_and_without_fields() -> None:
    members = {"times": 3, "after_seconds": 1, "notice_seconds": 0, "away_seconds": 2}
    assert parse_interruption(members) == Interruption(3, 1.0, 0.0, 2.0)
    assert parse_interruption({}) == Interruption(1, 0.0, 120.0, 1.0)


def test_draw_interrupts_after_the_time_and_as_often_as_requested() -> None:
    requested = Interruptions()
    requested.put("job", SOON)
    assert requested.draw("job", 4.9) is None
    assert requested.draw("job", 5.0) == SOON
    assert requested.get("job")["times"] == 1
    assert requested.draw("job", 6.0) is not None
    assert requested.draw("job", 7.0) is None
    assert (requested.get("job")["times"], requested.get("job")["interrupted"]) == (0, 2)


@pytest.mark.parametrize(
    ("job", "hit"), [("scones", True), ("scones-2026", True), ("scones2-2026", False), ("x", False)]
)
def test_draw_matches_name_and_prefix(job: str, hit: bool) -> None:
    requested = Interruptions()
    requested.put("scones", Interruption())
    assert (requested.draw(job, 0.0) is not None) is hit


def test_draw_with_two_matching_names_uses_both() -> None:
    requested = Interruptions()
    requested.put("a", Interruption())
    requested.put("a-b", Interruption())
    assert requested.draw("a-b", 0.0) is not None
    assert requested.draw("a-b", 0.0) is not None
    assert requested.draw("a-b", 0.0) is None


def test_clear_ends_interruptions_and_resets_the_count() -> None:
    requested = Interruptions()
    requested.put("job", Interruption())
    requested.draw("job", 0.0)
    requested.put("job", Interruption())
    assert requested.get("job")["interrupted"] == 1
    requested.clear("job")
    assert requested.draw("job", 0.0) is None
    assert (requested.get("job")["times"], requested.get("job")["interrupted"]) == (0, 0)
