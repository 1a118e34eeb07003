from typing import Any

import pytest

from local.control_request import ControlRequestError
from local.ministack.upload_duplicates import Duplicates, DuplicatesSetting, parse_duplicates


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "must be a JSON object"),
        ({}, "must be a JSON object"),
        ({"duplicates": 0.1, "delay": 1}, "Unknown field 'delay'; the fields are duplicates, "),
        ({"duplicates": 1.1}, "duplicates must be a number from 0 to 1"),
        ({"duplicates": 1, "delay_seconds": 1e9}, "delay_seconds must be a number from 0 to 3600"),
        ({"duplicates": 1, "seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_parse_invalid_setting_fails(members: Any, message: str) -> None:
    with pytest.raises(ControlRequestError) as refused:
        parse_duplicates(members)
    assert message in str(refused.value)


def test_parse_setting_with_all_fields() -> None:
    members = {"duplicates": 0.1, "delay_seconds": 0.5, "seed": 3}
    assert parse_duplicates(members) == DuplicatesSetting(0.1, 0.5, 3)


def test_draw_without_setting_has_no_duplicates() -> None:
    duplicates = Duplicates()
    assert [duplicates.draw() for _ in range(100)] == [None] * 100
    assert duplicates.get()["events"] == 100


def test_draw_with_seed_repeats_the_same_share() -> None:
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


def test_clear_ends_duplicates_and_resets_counts() -> None:
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
