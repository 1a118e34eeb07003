"""Validation of requests and answers against botocore's model of SageMaker.

The stand-in rejects a request that AWS would reject, and its own answer if it does not match its shape.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.parsers import ResponseParserFactory
from botocore.utils import parse_to_aware_datetime
from botocore.validate import ParamValidator

from local.sagemaker.errors import AwsError, ValidationFailedError

_PARSERS = ResponseParserFactory()
_PARSERS.set_parser_defaults(timestamp_parser=parse_to_aware_datetime)


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
    shape: Any = sagemaker_model().operation_model(operation).input_shape  # each operation has one
    report = ParamValidator().validate(members, shape)
    problems = [line for line in report.generate_report().splitlines() if line]
    problems = problems or list(_violations(members, shape, ""))
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        raise ValidationFailedError(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")
    answer = {"body": body or b"{}", "headers": {}, "status_code": 200}
    parsed: dict[str, Any] = _PARSERS.create_parser("json").parse(answer, shape)
    del parsed["ResponseMetadata"]
    return parsed


def serialize_answer(operation: str, members: dict[str, Any]) -> bytes:
    """Return the JSON of an answer, with timestamps as seconds since 1970; raise AwsError for an invalid one."""
    shape = sagemaker_model().operation_model(operation).output_shape
    if shape is None:
        return b""
    report = ParamValidator().validate(members, shape)
    if report.has_errors():
        raise AwsError("InternalFailure", f"{operation} made an invalid answer: {report.generate_report()}", 500)
    return json.dumps(members, default=datetime.timestamp).encode()


def _violations(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Yield AWS's message for each violated length, range, pattern or enumeration; ParamValidator checks minima."""
    limits = shape.metadata
    constraints = []
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            child = name[:1].lower() + name[1:]
            yield from _violations(member, shape.members[name], f"{path}.{child}" if path else child)
    elif isinstance(shape, ListShape):
        for index, member in enumerate(value, start=1):
            yield from _violations(member, shape.member, f"{path}.{index}.member")
    elif isinstance(shape, MapShape):
        for key, member in value.items():
            yield from _violations(member, shape.value, f"{path}.{key}")
    if shape.type_name in ("string", "list") and len(value) > limits.get("max", len(value)):
        constraints.append(f"have length less than or equal to {limits['max']}")
    if shape.type_name in ("integer", "long", "float", "double") and value > limits.get("max", value):
        constraints.append(f"have value less than or equal to {limits['max']}")
    pattern = _compiled(limits["pattern"]) if "pattern" in limits else None
    if pattern is not None and not pattern.fullmatch(value):
        constraints.append(f"satisfy regular expression pattern: {limits['pattern']}")
    if "enum" in limits and value not in limits["enum"]:
        constraints.append(f"satisfy enum value set: [{', '.join(limits['enum'])}]")
    for constraint in constraints:
        shown = str(value)[:200]
        yield f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must {constraint}"


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern, re.ASCII | re.DOTALL)
    except re.error:
        return None  # AWS uses Java's dialect; patterns that Python cannot compile are not checked
