"""Differences between MiniStack and AWS that matter to this project.

Each test passes while the difference exists and fails when a new version of MiniStack removes it;
the message says what to change in the project then. docs/laptop-aws.md lists the differences.
local/ministack patches others; the digests in its modules show when MiniStack changes there.
"""

import importlib.metadata
import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.laptop_aws import ROLE, LaptopAws, task, unique, wait_until

OVER_THE_LIMIT = 300_000  # characters; a state's payload may have 262,144 bytes
ABSENCE_SECONDS = 3.0  # an event in the same process would arrive within milliseconds
FAILING = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Gap", "Cause": "gap"}}}


def poll_absence(poll: Callable[[], object]) -> object:
    """Poll for some seconds until the result is true; return the last result."""
    deadline = time.monotonic() + ABSENCE_SECONDS
    while not (found := poll()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def stack_status(
    aws: LaptopAws, kind: str, properties: dict[str, Any], condition: str | None = None, **sections: Any
) -> str:
    """Create a stack of a queue and another resource; return its final status, or the message of the error."""
    cloudformation, name = aws.client("cloudformation"), unique("gap")
    resource = {"Type": kind, "Properties": properties} | ({"Condition": condition} if condition else {})
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}, "Resource": resource}} | sections
    try:
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    except ClientError as error:
        return str(error.response["Error"]["Message"])

    def ended() -> Any:
        [found] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return None if found["StackStatus"].endswith("IN_PROGRESS") else found["StackStatus"]

    return str(wait_until(ended))


def test_gaps_are_those_of_the_pinned_version():
    assert importlib.metadata.version("ministack") == "1.5.33", (
        "MiniStack was upgraded: review this file and docs/laptop-aws.md, then update this version"
    )


def test_its_own_server_listens_on_every_interface():
    """Read its source: a test must not open such a socket."""
    found: Any = importlib.util.find_spec("ministack.app")
    defaults = re.findall(r'environ\.get\(\s*"BIND_HOST",\s*"(.*?)"', Path(found.origin).read_text())
    assert defaults == ["0.0.0.0"], (  # noqa: S104  what it does
        "MiniStack's server no longer listens on every interface by default, or has another setting: "
        "review BIND_HOST in local/server.py"
    )


@pytest.mark.parity("lambda-runtime")
def test_function_runs_under_the_interpreter_of_ministack(laptop_aws):
    name = laptop_aws.create_function(
        "import sys, numpy\ndef handler(event, context): return list(sys.version_info[:2])"
    )
    assert laptop_aws.invoke(name) == (None, list(sys.version_info[:2])), (
        "MiniStack now uses Runtime: functions may have compiled packages, and a missing requirement "
        "shows without the container run"
    )


@pytest.mark.parity("lambda-6-mb")
def test_answer_over_6_mb_is_accepted(laptop_aws):
    name = laptop_aws.create_function("def handler(event, context): return 'x' * 7_000_000")
    assert laptop_aws.invoke(name)[0] is None, "MiniStack now enforces Lambda's 6 MB: test the limit here too"


@pytest.mark.parity("iam-enforcement")
def test_function_needs_no_permission(laptop_aws):
    laptop_aws.client("iam").create_role(
        RoleName="gap", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}'
    )
    name = laptop_aws.create_function("import boto3\ndef handler(event, context): boto3.client('s3').list_buckets()")
    assert laptop_aws.invoke(name)[0] is None, (
        "MiniStack now enforces roles: run the integration tests under the roles of the template"
    )


@pytest.mark.parity("states-definition")
@pytest.mark.parametrize(
    "definition",
    [
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "Nowhere"}}},
        {"States": {"A": {"Type": "Pass", "End": True}}},
    ],
    ids=["dangling Next", "no StartAt"],
)
def test_invalid_definition_is_accepted(laptop_aws, definition):
    try:
        laptop_aws.create_machine(definition)
    except ClientError as error:
        pytest.fail(f"MiniStack now rejects an invalid definition ({error}): review the checks in tests/unit/template")


@pytest.mark.parity("states-payload-256-kib")
def test_payload_over_256_kib_passes_between_states(laptop_aws):
    name = laptop_aws.create_function("def handler(event, context): return 'x' * event['size']")
    ended = laptop_aws.execute(laptop_aws.create_machine(task(name)), {"size": OVER_THE_LIMIT})
    assert ended["status"] == "SUCCEEDED", (
        "MiniStack now enforces 256 KiB (States.DataLimitExceeded): test in the workflow that a big "
        "picture is passed by reference"
    )


@pytest.mark.parity("states-sync-express")
def test_failed_synchronous_execution_has_an_output(laptop_aws):
    arn = laptop_aws.create_machine(FAILING, type="EXPRESS")
    ended = laptop_aws.client("stepfunctions", inject_host_prefix=False).start_sync_execution(stateMachineArn=arn)
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Gap", "gap")
    assert "output" in ended, "MiniStack's failed executions now have no output, as AWS's: update docs/laptop-aws.md"


@pytest.mark.parity("states-redrive")
def test_redrive_is_not_available(laptop_aws):
    ended = laptop_aws.execute(laptop_aws.create_machine(FAILING))
    with pytest.raises(ClientError) as raised:
        laptop_aws.client("stepfunctions").redrive_execution(executionArn=ended["executionArn"])
    assert raised.value.response["Error"]["Code"] == "InvalidAction", (
        "MiniStack now has RedriveExecution: test a redrive of the workflow"
    )


@pytest.mark.parity("states-logs")
def test_state_machine_emits_no_logs_and_metrics(laptop_aws):
    group = "/aws/vendedlogs/states/gap"
    laptop_aws.client("logs").create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:*"
    destinations = [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]
    logging = {"level": "ALL", "destinations": destinations}
    laptop_aws.execute(laptop_aws.create_machine({"Type": "Pass"}, loggingConfiguration=logging))
    logs, cloudwatch = laptop_aws.client("logs"), laptop_aws.client("cloudwatch")

    def emitted() -> object:
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        return streams + cloudwatch.list_metrics(Namespace="AWS/States")["Metrics"]

    assert poll_absence(emitted) == [], (
        "MiniStack now emits logs or metrics of Step Functions: test them in the workflow"
    )


@pytest.mark.parity("s3-encryption", "s3-lifecycle")
def test_stack_drops_encryption_and_lifecycle_of_bucket(laptop_aws):
    rule = {"Id": "old", "Status": "Enabled", "ExpirationInDays": 3}
    sse = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    properties = {
        "BucketName": "gap-bucket",
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [sse]},
        "LifecycleConfiguration": {"Rules": [rule]},
    }
    assert stack_status(laptop_aws, "AWS::S3::Bucket", properties) == "CREATE_COMPLETE"
    s3 = laptop_aws.client("s3")
    [found] = s3.get_bucket_encryption(Bucket="gap-bucket")["ServerSideEncryptionConfiguration"]["Rules"]
    assert found["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256", (
        "A stack now sets the encryption of a bucket: test it on the deployed bucket"
    )
    with pytest.raises(ClientError) as missing:
        s3.get_bucket_lifecycle_configuration(Bucket="gap-bucket")
    assert missing.value.response["Error"]["Code"] == "NoSuchLifecycleConfiguration", (
        "A stack now sets the lifecycle of a bucket: test it on the deployed bucket"
    )


@pytest.mark.parity("lambda-concurrency")
def test_stack_drops_reserved_concurrency_of_function(laptop_aws):
    name = unique("gap")
    properties = {
        "FunctionName": name,
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": ROLE,
        "Code": {"ZipFile": "def handler(event, context): pass"},
        "ReservedConcurrentExecutions": 1,
    }
    assert stack_status(laptop_aws, "AWS::Lambda::Function", properties) == "CREATE_COMPLETE"
    found = laptop_aws.client("lambda").get_function_concurrency(FunctionName=name)
    assert "ReservedConcurrentExecutions" not in found, (
        "A stack now sets reserved concurrency: measure bursts on the laptop"
    )


@pytest.mark.parity("s3-tls-only")
def test_bucket_policy_is_not_enforced(laptop_aws):
    s3 = laptop_aws.client("s3")
    s3.create_bucket(Bucket="gap-policy")
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::gap-policy/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket="gap-policy", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    try:
        s3.put_object(Bucket="gap-policy", Key="key", Body=b"plain HTTP")
    except ClientError as error:
        pytest.fail(
            f"MiniStack now enforces bucket policies ({error}): the template's TLS-only policy "
            "rejects plain HTTP; it needs a condition for the laptop"
        )


REJECTED: dict[str, dict[str, Any]] = {
    "AWS::SageMaker::Model": {"ExecutionRoleArn": ROLE},
    "AWS::ApplicationAutoScaling::ScalableTarget": {
        "MinCapacity": 1,
        "MaxCapacity": 2,
        "ResourceId": "endpoint/gap/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "ServiceNamespace": "sagemaker",
    },
    "AWS::CodeDeploy::Application": {"ComputePlatform": "Lambda"},
    "AWS::CloudWatch::CompositeAlarm": {"AlarmRule": "TRUE"},
    "AWS::Budgets::Budget": {"Budget": {"BudgetType": "COST", "TimeUnit": "MONTHLY"}},
}


@pytest.mark.parity("cloudformation-resources")
@pytest.mark.parametrize("kind", REJECTED)
def test_stack_with_unknown_resource_is_rejected(laptop_aws, kind):
    status = stack_status(laptop_aws, kind, REJECTED[kind])
    assert "Unrecognized resource types" in status, (
        f"MiniStack now deploys {kind}: remove the condition that excludes it on the laptop"
    )


@pytest.mark.parity("cloudwatch-alarms")
def test_stack_with_metric_math_alarm_is_rolled_back(laptop_aws):
    stat = {"Metric": {"Namespace": "Gap", "MetricName": "M"}, "Period": 60, "Stat": "Sum"}
    alarm = {
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "Metrics": [{"Id": "sum", "Expression": "one + 1"}, {"Id": "one", "MetricStat": stat, "ReturnData": False}],
    }
    assert stack_status(laptop_aws, "AWS::CloudWatch::Alarm", alarm) == "ROLLBACK_COMPLETE", (
        "MiniStack now has metric-math alarms: remove the condition that excludes them on the laptop"
    )


@pytest.mark.parity("cloudformation-resources")
def test_stack_with_unknown_resource_behind_false_condition_deploys(laptop_aws):
    conditions = {"OnAws": {"Fn::Equals": ["laptop", "aws"]}}
    properties = {"ExecutionRoleArn": ROLE}
    status = stack_status(laptop_aws, "AWS::SageMaker::Model", properties, condition="OnAws", Conditions=conditions)
    assert status == "CREATE_COMPLETE"
