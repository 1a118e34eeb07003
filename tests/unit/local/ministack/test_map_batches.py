import json
from typing import Any

import pytest
from ministack.services import stepfunctions as sfn

from local.ministack.map_batches import Child, batched, tolerated_failures


def inputs(children: list[Child]) -> list[Any]:
    return [child.input for child in children]


@pytest.mark.parametrize(
    ("count", "limit", "sizes"),
    [(0, 10, []), (1, 10, [1]), (2, 10, [2]), (10, 10, [10]), (11, 10, [10, 1]), (3, 1, [1, 1, 1])],
)
def test_batched_by_items_keeps_order_and_limit(count, limit, sizes):
    children = batched(range(count), limit, None, {})
    assert [child.items for child in children] == sizes
    assert [item for each in inputs(children) for item in each["Items"]] == list(range(count))


@pytest.mark.parametrize("max_items", [None, 3])
def test_batched_by_bytes_keeps_the_limit(max_items):
    """`{"Items":["xx","xx"]}` has 21 bytes."""
    children = batched(["xx"] * 5, max_items, 21, {})
    assert [child.items for child in children] == [2, 2, 1]
    sizes = [len(json.dumps(each, separators=(",", ":"))) for each in inputs(children)]
    assert sizes == [21, 21, 16]


def test_batched_without_byte_limit_keeps_the_payload_limit():
    children = batched(["x" * 100_000] * 5, 10, None, {})
    assert [child.items for child in children] == [2, 2, 1]


def test_batched_with_too_large_item_fails():
    with pytest.raises(sfn._ExecutionError) as refused:
        batched(["x" * 100], None, 50, {})
    assert refused.value.error == "States.ItemReaderFailed"
    assert refused.value.cause == "An item of 102 bytes does not fit into a batch"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, 0),
        ({"ToleratedFailurePercentage": 10}, 4),
        ({"ToleratedFailureCount": 3}, 3),
        ({"ToleratedFailurePercentage": 10, "ToleratedFailureCount": 3}, 3),
        ({"ToleratedFailurePercentage": 5, "ToleratedFailureCount": 3}, 2),
    ],
)
def test_tolerated_failures_are_the_stricter_limit_in_items(state, expected):
    assert tolerated_failures(state, 40) == expected
