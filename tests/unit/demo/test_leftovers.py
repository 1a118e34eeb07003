"""What counts as left by a demo run, service by service."""

from typing import Any

import pytest

from common.settings import project
from demo.leftovers import LISTS, leftovers
from training.endpoint.role import role_name
from training.endpoint.training_job import LOG_GROUP

STREAM = f"{project().endpoint_name}-20261122000000/algo-1-1"


class Account:
    """An account in which some list operations find names."""

    def __init__(self, **found: list[str]) -> None:
        self.found = found

    def client(self, _service: str) -> Any:
        return self

    def get_paginator(self, operation: str) -> Any:
        pages = Pages(self.found.get(operation, []))
        return type("Paginator", (), {"paginate": lambda _, **__: pages})()


class Pages(list):
    def search(self, _path: str) -> list[str]:
        return list(self)


@pytest.mark.parametrize("operation", [operation for _, operation, _ in LISTS])
def test_resource_with_the_stacks_name_is_left(operation):
    name = f"prefix-{project().stack_name}-suffix"
    [found] = leftovers(Account(**{operation: [name, "somebody-elses"]}).client, "us-east-1")
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
    assert leftovers(Account(**found).client, "us-east-1") == left
