from datetime import UTC, datetime, timedelta

import pytest

from local.sagemaker.errors import ValidationFailedError
from local.sagemaker.paging import list_page

START = datetime(2026, 1, 1, tzinfo=UTC)
SUMMARIES = [
    {"EndpointName": name, "CreationTime": START + timedelta(minutes=number), "EndpointStatus": status}
    for number, (name, status) in enumerate([("old", "Failed"), ("Scones-a", "InService"), ("scones-b", "InService")])
]


def names(**request: object) -> list[str]:
    answer = list_page("ListEndpoints", request, list(SUMMARIES))
    return [summary["EndpointName"] for summary in answer["Endpoints"]]


def test_list_with_foreign_token_fails():
    with pytest.raises(ValidationFailedError, match="Invalid NextToken: elsewhere"):
        names(NextToken="elsewhere")


@pytest.mark.parametrize(
    ("request_members", "expected"),
    [
        ({}, ["scones-b", "Scones-a", "old"]),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, ["Scones-a", "old", "scones-b"]),
        ({"NameContains": "scones"}, ["scones-b", "Scones-a"]),
        ({"StatusEquals": "Failed"}, ["old"]),
        ({"CreationTimeAfter": START + timedelta(minutes=1)}, ["scones-b"]),
        ({"CreationTimeBefore": START + timedelta(minutes=1)}, ["old"]),
    ],
)
def test_list_filters_and_sorts(request_members, expected):
    assert names(**request_members) == expected


def test_list_pages_have_every_summary_once():
    first = list_page("ListEndpoints", {"MaxResults": 2}, SUMMARIES)
    second = list_page("ListEndpoints", {"MaxResults": 2, "NextToken": first["NextToken"]}, SUMMARIES)
    assert first["Endpoints"] + second["Endpoints"] == SUMMARIES[::-1]
    assert "NextToken" not in second
