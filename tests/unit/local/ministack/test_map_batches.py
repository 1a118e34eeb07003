import json
from typing import Any

import pytest
from ministack.services import stepfunctions as sfn

from local.ministack.map_batches import Child, MapRun, batched, tolerated_failures


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


def test_batched_adds_batch_input_to_each_child():
    children = batched(["a", "b"], 1, None, {"BatchInput": {"bucket": "pictures"}})
    assert inputs(children) == [
        {"BatchInput": {"bucket": "pictures"}, "Items": ["a"]},
        {"BatchInput": {"bucket": "pictures"}, "Items": ["b"]},
    ]


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


def test_map_run_counts_children_and_items():
    children = [Child("a", 10), Child("b", 3)]
    run = MapRun({}, children, 9)
    for child, after in zip(children, ("failed", "succeeded"), strict=True):
        run.move(child, "pending", "running")
        run.move(child, "running", after)
    items, executions = run.record["itemCounts"], run.record["executionCounts"]
    assert (items["failed"], items["succeeded"], items["total"]) == (10, 3, 13)
    assert (executions["failed"], executions["succeeded"], executions["total"]) == (1, 1, 2)
    assert (items["pending"], items["running"]) == (0, 0)
    assert run.exceeded()


def test_map_run_with_exactly_the_tolerated_failures_is_not_exceeded():
    child = Child("a", 10)
    run = MapRun({}, [child], 10)
    run.move(child, "pending", "failed")
    assert not run.exceeded()
