"""Evaluate the deployer's policies: documents, allowed actions, and the actions and resources that AWS defines.

cfn-lint ships the latter from AWS's service authorization reference.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from common.settings import ROOT

FOLDER = ROOT / "docs" / "deployer-policy"
# One of the longest region names: a policy must fit with it, too.
REGION, ACCOUNT = "ap-southeast-1", "111122223333"
KNOWN: dict[str, Any] = json.loads(files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text())

# Custom metrics have no resource; a condition on the namespace bounds the action.
NO_RESOURCE = {"cloudwatch:PutMetricData"}


@dataclass(frozen=True)
class Statement:
    """An allow statement of a policy."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)


def text(path: Path) -> str:
    """Return a policy with region and account filled in."""
    return path.read_text().replace("REGION", REGION).replace("ACCOUNT", ACCOUNT)


def statements() -> list[Statement]:
    """Return the statements of all files."""
    return [found for path in sorted(FOLDER.glob("*.json")) for found in of_file(path)]


def of_file(path: Path) -> Iterator[Statement]:
    """Yield a file's statements, which are all allow statements."""
    document = json.loads(text(path))
    assert set(document) == {"Version", "Statement"}
    for found in document["Statement"]:
        assert found.pop("Effect") == "Allow"
        yield Statement(
            sid=found.pop("Sid"),
            actions=as_tuple(found.pop("Action")),
            resources=as_tuple(found.pop("Resource")),
            conditions=found.pop("Condition", {}),
        )
        assert not found, f"this test does not know of {sorted(found)}"


def as_tuple(value: str | list[str]) -> tuple[str, ...]:
    """IAM takes one string for a list of one."""
    return (value,) if isinstance(value, str) else tuple(value)


def allows(action: str, arn: str, context: dict[str, str] | None = None) -> bool:
    """Decide as IAM does, by actions, resources and conditions that are equal to one value."""
    return any(
        action in found.actions
        and any(matches(pattern, arn) for pattern in found.resources)
        and holds(found.conditions, context or {})
        for found in statements()
    )


def matches(pattern: str, arn: str) -> bool:
    """Match an ARN against a pattern of IAM, whose `*` also matches colons and slashes."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), arn) is not None


def holds(conditions: dict[str, dict[str, Any]], context: dict[str, str]) -> bool:
    """Tell whether the conditions hold for a request with this context."""
    assert set(conditions) <= {"StringEquals"}
    return all(context.get(key) in as_tuple(values) for key, values in conditions.get("StringEquals", {}).items())


def is_known(action: str) -> bool:
    """Tell whether AWS defines the action."""
    service, name = action.split(":")
    return name.lower() in KNOWN.get(service, {}).get("Actions", {})


def arn_formats(action: str) -> list[str]:
    """Return regular expressions of the ARNs that an action supports; none if it only supports `*`."""
    service, name = action.split(":")
    if action in NO_RESOURCE:
        return []
    kinds = KNOWN[service]["Actions"][name.lower()].get("Resources", [])
    return [
        re.sub(r"\$\{\w+\}", "[^:]*", pattern)
        for kind in kinds
        for pattern in KNOWN[service]["Resources"][kind.lower()]["ARNFormats"]
    ]
