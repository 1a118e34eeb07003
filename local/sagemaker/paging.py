"""The filters, order and pages that SageMaker's List operations share."""

import base64
from typing import Any

from local.sagemaker.errors import ValidationFailedError

_DEFAULT_PAGE = 10  # what SageMaker's List operations answer when MaxResults is left out


def list_page(
    request: dict[str, Any], summaries: list[dict[str, Any]], name_key: str, status_key: str = ""
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of summaries and the token of the next, or None on the last.

    Args:
        request: the List request: `NameContains`, `StatusEquals`, `CreationTimeAfter`,
            `CreationTimeBefore`, `SortBy`, `SortOrder`, `MaxResults`, `NextToken`.
        summaries: every resource, in the summary shape of the operation.
        name_key: the member with the resource's name, such as `EndpointName`.
        status_key: the member that `StatusEquals` compares, empty where there is none.

    Raises:
        ValidationFailedError: for a token that this operation did not give.
    """
    chosen = [summary for summary in summaries if _matches(request, summary, name_key, status_key)]
    sort_key = name_key if request.get("SortBy") == "Name" else "CreationTime"
    # SageMaker's orders differ per operation; newest first is what its console and ours show.
    descending = request.get("SortOrder", "Descending") == "Descending"
    chosen.sort(key=lambda summary: (summary[sort_key], summary[name_key]), reverse=descending)
    start = _offset(request.get("NextToken"))
    end = start + request.get("MaxResults", _DEFAULT_PAGE)
    return chosen[start:end], _token(end) if end < len(chosen) else None


def _matches(request: dict[str, Any], summary: dict[str, Any], name_key: str, status_key: str) -> bool:
    created = summary["CreationTime"]
    return (
        request.get("NameContains", "").lower() in summary[name_key].lower()
        and (not status_key or request.get("StatusEquals", summary[status_key]) == summary[status_key])
        and ("CreationTimeAfter" not in request or created > request["CreationTimeAfter"])
        and ("CreationTimeBefore" not in request or created < request["CreationTimeBefore"])
    )


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode()).decode())
    except ValueError as error:
        raise ValidationFailedError(f"Invalid NextToken: {token}") from error
