"""What counts as left behind, service by service."""

from typing import Any

import pytest

from common.settings import project
from demo.leftovers import LISTS, leftovers
from training.endpoint.role import role_name
from training.endpoint.training_job import LOG_GROUP


class Account:
    """An account in which one list operation finds something."""

    def __init__(self, operation: str, found: list[str]) -> None:
        self.operation, self.found = operation, found

    def client(self, _service: str) -> Any:
        return self

    def get_paginator(self, operation: str) -> Any:
        found = self.found if operation == self.operation else []
        return type("Paginator", (), {"paginate": lambda _, **__: Pages(found)})()


class Pages(list):
    def search(self, _path: str) -> list[str]:
        return list(self)


@pytest.mark.parametrize("operation", [operation for _, operation, _ in LISTS])
def test_whatever_bears_the_stacks_name_is_left_behind(operation):
    name = f"prefix-{project().stack_name}-suffix"
    [found] = leftovers(Account(operation, [name, "somebody-elses"]).client, "us-east-1")
    assert found.endswith(name)


def test_the_execution_role_is_left_behind():
    role = role_name("us-east-1")
    assert leftovers(Account("list_roles", [role]).client, "us-east-1") == [f"iam: {role}"]


def test_a_training_jobs_log_is_left_behind_and_the_group_of_all_jobs_is_not():
    stream = f"{project().endpoint_name}-20261122000000/algo-1-1"

    class Logs(Account):
        def get_paginator(self, operation: str) -> Any:
            self.operation = operation
            self.found = {"describe_log_groups": [LOG_GROUP], "describe_log_streams": [stream]}.get(operation, [])
            return super().get_paginator(operation)

    assert leftovers(Logs("", []).client, "us-east-1") == [f"logs: {stream}"]


def test_an_empty_account_has_nothing_left():
    assert leftovers(Account("", []).client, "us-east-1") == []
