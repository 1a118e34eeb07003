from datetime import UTC, datetime, timedelta

import pytest

from local.sagemaker.errors import ValidationFailedError
from local.sagemaker.paging import list_page

START = datetime(2026, 1, 1, tzinfo=UTC)
SUMMARIES = [
    {
        "EndpointName": name,
        "CreationTime": START + timedelta(minutes=number),
        "EndpointStatus": status,
    }
    for number, (name, status) in enumerate([("old", "Failed"), ("Scones-a", "InService"), ("scones-b", "InService")])
]


def names(**request: object) -> list[str]:
    page, _ = list_page(request, list(SUMMARIES), "EndpointName", "EndpointStatus")
    return [summary["EndpointName"] for summary in page]


def test_a_token_of_somebody_else_is_refused() -> None:
    with pytest.raises(ValidationFailedError, match="Invalid NextToken: elsewhere"):
        names(NextToken="elsewhere")


def test_newest_first() -> None:
    assert names() == ["scones-b", "Scones-a", "old"]


def test_order_by_name() -> None:
    assert names(SortBy="Name", SortOrder="Ascending") == ["Scones-a", "old", "scones-b"]


def test_filters() -> None:
    assert names(NameContains="scones") == ["scones-b", "Scones-a"]
    assert names(StatusEquals="Failed") == ["old"]
    assert names(CreationTimeAfter=START + timedelta(minutes=1)) == ["scones-b"]
    assert names(CreationTimeBefore=START + timedelta(minutes=1)) == ["old"]


def test_pages_join_without_gap_or_overlap() -> None:
    seen: list[str] = []
    token = None
    while True:
        request = {"MaxResults": 2} | ({"NextToken": token} if token else {})
        page, token = list_page(request, list(SUMMARIES), "EndpointName")
        seen += [summary["EndpointName"] for summary in page]
        if token is None:
            break
    assert seen == ["scones-b", "Scones-a", "old"]
