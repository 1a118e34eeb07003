"""Tags of SageMaker resources."""

from typing import Any


class Tags:
    """The tags of each resource, by ARN."""

    def __init__(self) -> None:
        """Start without tags."""
        self._by_arn: dict[str, dict[str, str]] = {}

    def put(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Add tags to a resource or replace their values."""
        self._by_arn.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags})

    def drop(self, arn: str) -> None:
        """Drop the tags of a deleted resource."""
        self._by_arn.pop(arn, None)

    def add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer AddTags."""
        self.put(request["ResourceArn"], request["Tags"])
        return self.list_tags(request)

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer ListTags."""
        tags = self._by_arn.get(request["ResourceArn"], {})
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def delete_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer DeleteTags."""
        for key in request["TagKeys"]:
            self._by_arn.get(request["ResourceArn"], {}).pop(key, None)
        return {}
