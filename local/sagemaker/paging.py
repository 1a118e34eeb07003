"""The filters, order and pages of SageMaker's List operations."""

from typing import Any

from local.sagemaker.errors import ValidationFailedError
from local.sagemaker.shapes import sagemaker_model

_DEFAULT_PAGE = 10  # SageMaker's default of MaxResults


def list_page(operation: str, request: dict[str, Any], described: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of a List operation: one page of summaries, and `NextToken` unless it is the last.

    Args:
        operation: such as `ListEndpoints`; its model has the members of a summary.
        request: with any of `NameContains`, `StatusEquals`, `CreationTimeAfter`, `CreationTimeBefore`, `SortBy`,
            `SortOrder`, `MaxResults`, and `NextToken`, for which ValidationFailedError is raised if it is invalid.
        described: every resource, as its Describe operation shows it.
    """
    output: Any = sagemaker_model().operation_model(operation).output_shape
    [(list_key, listed)] = [(key, shape) for key, shape in output.members.items() if shape.type_name == "list"]
    members = listed.member.members
    kind = operation.removeprefix("List").removesuffix("s")
    name_key, status_key = f"{kind}Name", f"{kind}Status"
    summaries = [{key: resource[key] for key in members if key in resource} for resource in described]
    chosen = [summary for summary in summaries if _matches(request, summary, name_key, status_key)]
    sort_key = name_key if request.get("SortBy") == "Name" else "CreationTime"
    # SageMaker's default order differs per operation; its console shows the newest first.
    descending = request.get("SortOrder", "Descending") == "Descending"
    chosen.sort(key=lambda summary: (summary[sort_key], summary[name_key]), reverse=descending)
    start = _offset(request.get("NextToken"))
    end = start + request.get("MaxResults", _DEFAULT_PAGE)
    return {list_key: chosen[start:end]} | ({"NextToken": str(end)} if end < len(chosen) else {})


def _matches(request: dict[str, Any], summary: dict[str, Any], name_key: str, status_key: str) -> bool:
    created = summary["CreationTime"]
    return (
        request.get("NameContains", "").lower() in summary[name_key].lower()
        and ("StatusEquals" not in request or summary[status_key] == request["StatusEquals"])
        and ("CreationTimeAfter" not in request or created > request["CreationTimeAfter"])
        and ("CreationTimeBefore" not in request or created < request["CreationTimeBefore"])
    )


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(token)
    except ValueError as error:
        raise ValidationFailedError(f"Invalid NextToken: {token}") from error
