from typing import Any

import pytest

from local.ministack.upload_duplicates import (
    Duplicates,
    DuplicatesRequestError,
    DuplicatesSetting,
    parse_duplicates,
)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "must be a JSON object"),
        ({}, "must be a JSON object"),
        ({"duplicates": 0.1, "delay": 1}, "Unknown field 'delay'; there are duplicates, "),
        ({"duplicates": 1.1}, "duplicates must be a number from 0 to 1"),
        ({"duplicates": -0.1}, "duplicates must be a number from 0 to 1"),
        ({"duplicates": float("nan")}, "duplicates must be a number from 0 to 1"),
        ({"duplicates": True}, "duplicates must be a number from 0 to 1"),
        ({"duplicates": "1"}, "duplicates must be a number from 0 to 1"),
        ({"duplicates": 1, "delay_seconds": -1}, "delay_seconds must be a number from 0 to 3600"),
        ({"duplicates": 1, "delay_seconds": 1e9}, "delay_seconds must be a number from 0 to 3600"),
        ({"duplicates": 1, "seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_a_wrong_setting_is_refused(members: Any, message: str) -> None:
    with pytest.raises(DuplicatesRequestError) as refused:
        parse_duplicates(members)
    assert message in str(refused.value)


def test_a_setting_with_everything() -> None:
    members = {"duplicates": 0.1, "delay_seconds": 0.5, "seed": 3}
    assert parse_duplicates(members) == DuplicatesSetting(0.1, 0.5, 3)


def test_no_event_comes_twice_unless_asked() -> None:
    duplicates = Duplicates()
    assert [duplicates.draw() for _ in range(100)] == [None] * 100
    assert duplicates.get()["events"] == 100


def test_a_share_of_the_events_comes_twice_the_same_each_time() -> None:
    duplicates = Duplicates()
    draws = []
    for _ in range(2):
        duplicates.put(DuplicatesSetting(0.1, 0.5, seed=7))
        draws.append([duplicates.draw() for _ in range(1000)])
    assert draws[0] == draws[1]
    assert set(draws[0]) == {None, 0.5}
    assert 70 <= sum(delay is not None for delay in draws[0]) <= 130
    counts = duplicates.get()
    assert (counts["events"], counts["sent_twice"]) == (2000, 2 * (1000 - draws[0].count(None)))


def test_all_of_them_and_then_none() -> None:
    duplicates = Duplicates()
    duplicates.put(DuplicatesSetting(1.0))
    assert duplicates.draw() == 0.0
    duplicates.clear()
    assert duplicates.draw() is None
    assert duplicates.get() == {
        "duplicates": 0.0,
        "delay_seconds": 0.0,
        "seed": None,
        "events": 1,
        "sent_twice": 0,
    }
