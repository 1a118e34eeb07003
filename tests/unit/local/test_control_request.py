from typing import Any

import pytest

from local.control_request import ControlRequestError, check_members, number, optional_whole_number, whole_number


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], 'The body must be a JSON object such as {"times": 1}'),
        ({"time": 1}, "Unknown field 'time'; the fields are times, seed"),
    ],
)
def test_members_of_invalid_body_fail(members: Any, message: str) -> None:
    with pytest.raises(ControlRequestError) as raised:
        check_members(members, ["times", "seed"], '{"times": 1}')
    assert str(raised.value) == message


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), True, "1", None])
def test_number_with_invalid_value_fails(value: Any) -> None:
    with pytest.raises(ControlRequestError, match=r"^share must be a number from 0 to 1$"):
        number({"share": value}, "share", 0.5, 1)
    assert number({}, "share", 0.5, 1) == 0.5


@pytest.mark.parametrize("value", [0, 1.5, True, "1"])
def test_whole_number_with_invalid_value_fails(value: Any) -> None:
    for read in (
        lambda: whole_number({"times": value}, "times", 2, 1),
        lambda: optional_whole_number({"times": value}, "times", 1),
    ):
        with pytest.raises(ControlRequestError, match=r"^times must be a whole number of at least 1$"):
            read()
    assert whole_number({}, "times", 2, 1) == 2
    assert optional_whole_number({"times": None}, "times", 1) is None
