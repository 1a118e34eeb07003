"""The resources that a demo run leaves, service by service."""

from types import SimpleNamespace
from typing import Any

import pytest

from common.settings import project
from demo.leftovers import LISTS, leftovers
from training.endpoint.role import role_name
from training.endpoint.training_job import LOG_GROUP

STREAM = f"{project().endpoint_name}-20261122000000/algo-1-1"


def account(**found: list[str]) -> Any:
    """Return a client of any service; the names that its list operations find are by operation."""

    def get_paginator(operation: str) -> Any:
        pages = SimpleNamespace(search=lambda _: found.get(operation, []))
        return SimpleNamespace(paginate=lambda **_: pages)

    return lambda _: SimpleNamespace(get_paginator=get_paginator)


@pytest.mark.parametrize("operation", [operation for _, operation, _ in LISTS])
def test_resource_with_the_stacks_name_is_left(operation):
    name = f"prefix-{project().stack_name}-suffix"
    [found] = leftovers(account(**{operation: [name, "somebody-elses"]}), "us-east-1")
    assert found.endswith(name)


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ({}, []),
        ({"list_roles": [role_name("us-east-1")]}, [f"iam: {role_name('us-east-1')}"]),
        # The log group of all training jobs stays in the account.
        ({"describe_log_groups": [LOG_GROUP], "describe_log_streams": [STREAM]}, [f"logs: {STREAM}"]),
    ],
    ids=["nothing", "execution role", "log stream"],
)
def test_role_and_log_stream_are_left(found, left):
    assert leftovers(account(**found), "us-east-1") == left
