"""Find the AWS operations that a piece of Python calls, from its source.

Every attribute and every string that is the name of a boto3 client method counts, called or passed on:
`s3.get_object(...)`, `get_paginator("list_models")`,
`in_batches(sqs.delete_message_batch)`. The names come from botocore's models.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import botocore.session
from botocore import xform_name
from botocore.exceptions import UnknownServiceError as NoSuchModelError

SESSION = botocore.session.get_session()

# Names that re's patterns and jinja2's environments have, too: here only an object named after its service is a client.
SHARED_NAMES = {"search", "get_template"}

# The methods that boto3 adds to the client of S3, with the operation that each calls.
TRANSFERS = {
    "upload_file": "PutObject",
    "upload_fileobj": "PutObject",
    "download_file": "GetObject",
    "download_fileobj": "GetObject",
}


class Call(NamedTuple):
    """An operation of a service, such as GetObject of s3."""

    service: str
    operation: str


class UnknownServiceError(AssertionError):
    """Several services have a method of this name, and its object's name does not tell which is called."""


def services_of(paths: Iterable[Path]) -> set[str]:
    """Return the services for which the files create clients."""
    known = set(SESSION.get_available_services())
    return {
        argument.value
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and last_name(node.func).endswith("client")
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and argument.value in known
    }


def calls_of(path: Path, services: Iterable[str]) -> Iterator[tuple[Call, int]]:
    """Yield each operation of these services that a file calls, with its line.

    Raises:
        UnknownServiceError: a method belongs to several of them.
    """
    named: dict[str, list[Call]] = defaultdict(list)
    for service in services:
        for name, operation in methods(service).items():
            named[name].append(Call(service, operation))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            name, owner = node.attr, last_name(node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name, owner = node.value, ""
        else:
            continue
        found = named.get(name, [])
        if len({call.service for call in found}) > 1 or name in SHARED_NAMES:
            found = [call for call in found if spelled(owner) in (spelled(call.service), "client")]
            if not found and name not in SHARED_NAMES:
                raise UnknownServiceError(f"{path}:{node.lineno}: {owner}.{name}")
        if owner == "s3" and name in TRANSFERS:
            found = [Call("s3", TRANSFERS[name])]
        for call in found:
            yield call, node.lineno


def last_name(node: ast.expr) -> str:
    """Return `c` for `a.b.c` and `c`, and "" for an expression without a name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def spelled(name: str) -> str:
    """Normalise the spelling: `service-quotas` equals `service_quotas`, `_client` equals `client`."""
    return name.replace("-", "").replace("_", "").lower()


@cache
def methods(service: str) -> dict[str, str]:
    """Return `{name of a client's method or of a waiter: operation}`."""
    model = SESSION.get_service_model(service)
    found = {xform_name(operation): operation for operation in model.operation_names}
    return waiters(service) | found


def waiters(service: str) -> dict[str, str]:
    """Return `{name of a waiter: the operation that it repeats}`."""
    try:
        model = SESSION.get_waiter_model(service)
    except NoSuchModelError:
        return {}
    return {xform_name(name): model.get_waiter(name).operation for name in model.waiter_names}
