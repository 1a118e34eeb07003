import json
from datetime import UTC, datetime

import pytest

from local.sagemaker.errors import AwsError, ValidationFailedError
from local.sagemaker.shapes import parse_request, serialize_answer


def request(operation: str, **members: object) -> dict[str, object]:
    return parse_request(operation, json.dumps(members).encode())


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("CreateUnicorn", b"{}", "UnknownOperationException"),
        ("DescribeEndpoint", b"{", "SerializationException"),
        ("DescribeEndpoint", b"[]", "SerializationException"),
    ],
)
def test_parse_unknown_operation_or_invalid_body_fails(operation, body, code):
    with pytest.raises(AwsError) as refused:
        parse_request(operation, body)
    assert refused.value.code == code


@pytest.mark.parity("training-request")
@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        ("DescribeEndpoint", {}, 'Missing required parameter in input: "EndpointName"'),
        ("DescribeEndpoint", {"EndpointName": 1}, "Invalid type for parameter EndpointName"),
        ("DescribeEndpoint", {"EndpointName": "a", "Colour": "red"}, 'Unknown parameter in input: "Colour"'),
        (
            "DescribeEndpoint",
            {"EndpointName": "a b"},
            "1 validation error detected: Value 'a b' at 'endpointName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: ",
        ),
        (
            "DescribeEndpoint",
            {"EndpointName": "a" * 64},
            "at 'endpointName' failed to satisfy constraint: Member must have length less than or equal to 63",
        ),
        (
            "CreateEndpointConfig",
            {"EndpointConfigName": "c", "ProductionVariants": [{"VariantName": "v", "InstanceType": "ml.tiny"}]},
            "Value 'ml.tiny' at 'productionVariants.1.member.instanceType' failed to satisfy "
            "constraint: Member must satisfy enum value set: [ml.t2.medium, ",
        ),
        ("ListEndpoints", {"MaxResults": 0}, "MaxResults, value: 0, valid min value: 1"),
    ],
)
def test_parse_invalid_request_is_a_validation_exception(operation, members, message):
    with pytest.raises(ValidationFailedError) as refused:
        request(operation, **members)
    assert refused.value.code == "ValidationException"
    assert message in refused.value.message


def test_timestamps_are_datetimes_inside_and_seconds_outside():
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    parsed = request("ListEndpoints", CreationTimeAfter=moment.timestamp())
    assert parsed == {"CreationTimeAfter": moment}
    assert request("ListEndpoints", CreationTimeAfter="2026-01-02T03:04:05") == parsed
    endpoint = {
        "EndpointName": "e",
        "EndpointArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e",
        "CreationTime": moment,
        "LastModifiedTime": moment,
        "EndpointStatus": "InService",
    }
    [answered] = json.loads(serialize_answer("ListEndpoints", {"Endpoints": [endpoint]}))["Endpoints"]
    assert answered["CreationTime"] == moment.timestamp()


def test_serialize_invalid_answer_is_an_internal_failure():
    with pytest.raises(AwsError, match="DescribeEndpoint made an invalid answer") as wrong:
        serialize_answer("DescribeEndpoint", {"EndpointName": "e"})
    assert wrong.value.status == 500


def test_serialize_without_output_shape_is_empty():
    assert serialize_answer("DeleteEndpoint", {}) == b""
