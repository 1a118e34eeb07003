"""The filters, order and pages of SageMaker's List operations."""

import base64
from typing import Any

from local.sagemaker.errors import ValidationFailedError

_DEFAULT_PAGE = 10  # SageMaker's default of MaxResults


def list_page(
    request: dict[str, Any], list_key: str, summaries: list[dict[str, Any]], name_key: str, status_key: str = ""
) -> dict[str, Any]:
    """Return the answer of a List operation: one page of summaries, and `NextToken` unless it is the last.

    Args:
        request: the List request: `NameContains`, `StatusEquals`, `CreationTimeAfter`,
            `CreationTimeBefore`, `SortBy`, `SortOrder`, `MaxResults`, `NextToken`.
        list_key: the member of the answer with the summaries, such as `Endpoints`.
        summaries: every resource, in the operation's summary shape.
        name_key: the member with the resource's name, such as `EndpointName`.
        status_key: the member that `StatusEquals` compares, empty for none.

    Raises:
        ValidationFailedError: for a token that this operation did not return.
    """
    chosen = [summary for summary in summaries if _matches(request, summary, name_key, status_key)]
    sort_key = name_key if request.get("SortBy") == "Name" else "CreationTime"
    # SageMaker's default order differs per operation; its console shows the newest first.
    descending = request.get("SortOrder", "Descending") == "Descending"
    chosen.sort(key=lambda summary: (summary[sort_key], summary[name_key]), reverse=descending)
    start = _offset(request.get("NextToken"))
    end = start + request.get("MaxResults", _DEFAULT_PAGE)
    token = base64.urlsafe_b64encode(str(end).encode()).decode()
    return {list_key: chosen[start:end]} | ({"NextToken": token} if end < len(chosen) else {})


def _matches(request: dict[str, Any], summary: dict[str, Any], name_key: str, status_key: str) -> bool:
    created = summary["CreationTime"]
    return (
        request.get("NameContains", "").lower() in summary[name_key].lower()
        and (not status_key or request.get("StatusEquals", summary[status_key]) == summary[status_key])
        and ("CreationTimeAfter" not in request or created > request["CreationTimeAfter"])
        and ("CreationTimeBefore" not in request or created < request["CreationTimeBefore"])
    )


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode()).decode())
    except ValueError as error:
        raise ValidationFailedError(f"Invalid NextToken: {token}") from error
