import json
from datetime import UTC, datetime

import pytest

from local.sagemaker.errors import AwsError, ValidationFailedError
from local.sagemaker.shapes import parse_request, serialize_answer


def request(operation: str, **members: object) -> dict[str, object]:
    return parse_request(operation, json.dumps(members).encode())


def test_parse_unknown_operation_fails():
    with pytest.raises(AwsError) as refused:
        request("CreateUnicorn")
    assert refused.value.code == "UnknownOperationException"


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_parse_body_without_json_object_fails(body):
    with pytest.raises(AwsError) as refused:
        parse_request("DescribeEndpoint", body)
    assert refused.value.code == "SerializationException"


@pytest.mark.parity("training-request")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, 'Missing required parameter in input: "EndpointName"'),
        ({"EndpointName": 1}, "Invalid type for parameter EndpointName"),
        ({"EndpointName": "a", "Colour": "red"}, 'Unknown parameter in input: "Colour"'),
        (
            {"EndpointName": "a b"},
            "1 validation error detected: Value 'a b' at 'endpointName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: ",
        ),
        (
            {"EndpointName": "a" * 64},
            "at 'endpointName' failed to satisfy constraint: Member must have length less than or equal to 63",
        ),
    ],
)
def test_parse_invalid_request_is_a_validation_exception(members, message):
    with pytest.raises(ValidationFailedError) as refused:
        request("DescribeEndpoint", **members)
    assert refused.value.code == "ValidationException"
    assert message in refused.value.message


def test_parse_invalid_nested_member_names_its_path():
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.tiny"}
    with pytest.raises(ValidationFailedError) as refused:
        request("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[variant])
    assert (
        "Value 'ml.tiny' at 'productionVariants.1.member.instanceType' failed to satisfy "
        "constraint: Member must satisfy enum value set: [ml.t2.medium, "
    ) in refused.value.message


def test_parse_number_below_its_minimum_fails():
    with pytest.raises(ValidationFailedError, match="MaxResults, value: 0, valid min value: 1"):
        request("ListEndpoints", MaxResults=0)


def test_timestamps_are_datetimes_inside_and_seconds_outside():
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    parsed = request("ListEndpoints", CreationTimeAfter=moment.timestamp())
    assert parsed == {"CreationTimeAfter": moment}
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
