"""Validation of requests and answers against botocore's model of SageMaker.

The model has the members, types, patterns, lengths and enumerations of each operation. The stand-in
rejects a request that AWS would reject, and its own answer if it does not match its shape.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.utils import parse_to_aware_datetime
from botocore.validate import ParamValidator

from local.sagemaker.errors import AwsError, ValidationFailedError


@cache
def sagemaker_model() -> ServiceModel:
    """Return botocore's model of the SageMaker control plane."""
    return botocore.session.get_session().get_service_model("sagemaker")


def parse_request(operation: str, body: bytes) -> dict[str, Any]:
    """Return the members of a request, with timestamps as aware datetimes.

    Raises:
        AwsError: `UnknownOperationException` for an operation that SageMaker does not have,
            `SerializationException` for a body that is not a JSON object, `ValidationException`
            for a request that does not match the operation's shape.
    """
    if operation not in sagemaker_model().operation_names:
        raise AwsError("UnknownOperationException", f"SageMaker has no operation {operation}")
    try:
        members = json.loads(body or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", f"The body is not JSON: {error}") from error
    if not isinstance(members, dict):
        raise AwsError("SerializationException", "The body is not a JSON object")
    shape = _operation(operation).input_shape
    if shape is None:
        return members
    problems = _problems(members, shape)
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        raise ValidationFailedError(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")
    parsed: dict[str, Any] = _convert(members, shape, parse_to_aware_datetime)
    return parsed


def serialize_answer(operation: str, members: dict[str, Any]) -> bytes:
    """Return the JSON of an answer, with timestamps as seconds since 1970.

    Raises:
        AwsError: `InternalFailure` when the answer does not match the operation's shape.
    """
    shape = _operation(operation).output_shape
    if shape is None:
        return b""
    report = ParamValidator().validate(members, shape)
    if report.has_errors():
        raise AwsError("InternalFailure", f"{operation} made an invalid answer: {report.generate_report()}", 500)
    return json.dumps(_convert(members, shape, datetime.timestamp)).encode()


def _operation(name: str) -> OperationModel:
    return sagemaker_model().operation_model(name)


def _problems(members: dict[str, Any], shape: Shape) -> list[str]:
    report = ParamValidator().validate(members, shape)
    if report.has_errors():
        return [line for line in report.generate_report().splitlines() if line]
    return list(_constraint_problems(members, shape, ""))


def _constraint_problems(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Yield AWS's message for each violated length, range, pattern or enumeration."""
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            child = f"{path}.{_lower_first(name)}" if path else _lower_first(name)
            yield from _constraint_problems(member, shape.members[name], child)
    elif isinstance(shape, ListShape):
        yield from _size_problems(value, len(value), shape, path, "length")
        for index, member in enumerate(value, start=1):
            yield from _constraint_problems(member, shape.member, f"{path}.{index}.member")
    elif isinstance(shape, MapShape):
        for key, member in value.items():
            yield from _constraint_problems(member, shape.value, f"{path}.{key}")
    elif shape.type_name == "string":
        yield from _size_problems(value, len(value), shape, path, "length")
        pattern = _compiled(shape.metadata.get("pattern"))
        if pattern is not None and not pattern.fullmatch(value):
            yield _violation(value, path, f"satisfy regular expression pattern: {shape.metadata['pattern']}")
        enum = shape.metadata.get("enum")
        if enum and value not in enum:
            yield _violation(value, path, f"satisfy enum value set: [{', '.join(enum)}]")
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _size_problems(value, value, shape, path, "value")


def _size_problems(value: Any, size: float, shape: Shape, path: str, measure: str) -> Iterator[str]:
    limit = shape.metadata.get("max")  # ParamValidator checks "min"
    if limit is not None and size > limit:
        yield _violation(value, path, f"have {measure} less than or equal to {limit}")


def _violation(value: Any, path: str, constraint: str) -> str:
    shown = str(value)[:200]
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must {constraint}"


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


@cache
def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        return re.compile(pattern, re.ASCII | re.DOTALL)
    except re.error:
        return None  # AWS uses Java's dialect; patterns that Python cannot compile are not checked


def _convert(value: Any, shape: Shape, timestamp: Any) -> Any:
    """Return a copy of a value with `timestamp` applied to every timestamp."""
    if isinstance(shape, StructureShape):
        return {
            name: _convert(member, shape.members[name], timestamp)
            for name, member in value.items()
            if member is not None
        }
    if isinstance(shape, ListShape):
        return [_convert(member, shape.member, timestamp) for member in value]
    if isinstance(shape, MapShape):
        return {key: _convert(member, shape.value, timestamp) for key, member in value.items()}
    return timestamp(value) if shape.type_name == "timestamp" else value
