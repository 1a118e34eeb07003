"""Where MiniStack differs from AWS in what this project stands on.

Each test passes while the gap is there and fails when an upgrade of MiniStack closes it; its
message says what to change in the project then. docs/laptop-aws.md lists the same gaps.
"""

import ast
import importlib.metadata
import importlib.util
import inspect
import io
import json
import re
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.laptop_aws import LaptopAws, wait_until

ROLE = "arn:aws:iam::000000000000:role/gap"
OVER_THE_LIMIT = 300_000  # characters; a state's payload may have 262,144 bytes
ABSENCE_SECONDS = 3.0  # what is emitted at all comes within milliseconds in one process
TASK = "arn:aws:states:::lambda:invoke"
EACH_ITEM = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
    "StartAt": "Each",
    "States": {"Each": {"Type": "Pass", "End": True}},
}


def code(text: str) -> bytes:
    """Return a function's package with one module, app.py."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", text)
    return package.getvalue()


def function(aws: LaptopAws, text: str, **settings: Any) -> str:
    """Create a function from the text of its module and return its name."""
    name = f"gap-{uuid.uuid4().hex[:8]}"
    aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": code(text)},
        Timeout=30,
        **settings,
    )
    return name


def machine(aws: LaptopAws, definition: dict[str, Any], **settings: Any) -> str:
    """Create a state machine and return its ARN."""
    answer = aws.client("stepfunctions").create_state_machine(
        name=f"gap-{uuid.uuid4().hex[:8]}",
        definition=json.dumps(definition),
        roleArn=ROLE,
        **settings,
    )
    return str(answer["stateMachineArn"])


def execute(aws: LaptopAws, state: dict[str, Any], event: object, **settings: Any) -> Any:
    """Run a machine of one state and return how its execution ended."""
    arn = machine(aws, {"StartAt": "Only", "States": {"Only": state | {"End": True}}}, **settings)
    return finished(aws, arn, event)


def finished(aws: LaptopAws, arn: str, event: object) -> Any:
    stepfunctions = aws.client("stepfunctions")
    execution = stepfunctions.start_execution(stateMachineArn=arn, input=json.dumps(event))

    def ended() -> Any:
        found = stepfunctions.describe_execution(executionArn=execution["executionArn"])
        return found if found["status"] != "RUNNING" else None

    return wait_until(ended)


def seen(look: Callable[[], object], seconds: float = ABSENCE_SECONDS) -> object:
    """Return what `look` finds within some seconds, or what it returned last, which is empty."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def stack_status(aws: LaptopAws, resources: dict[str, Any], **sections: Any) -> str:
    """Create a stack and return its last status, or the code with which it was refused."""
    cloudformation = aws.client("cloudformation")
    name = f"gap-{uuid.uuid4().hex[:8]}"
    try:
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources} | sections))
    except ClientError as error:
        return str(error.response["Error"]["Message"])

    def ended() -> Any:
        [found] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        status = found["StackStatus"]
        return None if status.endswith("IN_PROGRESS") else status

    return str(wait_until(ended))


def test_the_gaps_are_those_of_the_pinned_version() -> None:
    assert importlib.metadata.version("ministack") == "1.5.33", (
        "MiniStack was upgraded: go through this file and docs/laptop-aws.md, then raise this"
    )


# --- Server ---


def test_its_own_server_listens_on_every_interface() -> None:
    """Read in its source: a test must not open such a socket."""
    found = importlib.util.find_spec("ministack.app")
    assert found is not None
    assert found.origin is not None
    defaults = [
        ast.unparse(call.args[1])
        for call in ast.walk(ast.parse(Path(found.origin).read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "os.environ.get"
        and ast.unparse(call.args[0]) == "'BIND_HOST'"
    ]
    assert defaults == ["'0.0.0.0'"], (
        "MiniStack's server no longer listens on every interface by default, or is told otherwise: "
        "look at BIND_HOST in local/server.py"
    )


# --- Functions ---


@pytest.mark.parity("lambda-error-names")
def test_exceptions_lose_their_class_name_in_plain_ministack() -> None:
    """In this process, where local/ministack/lambda_workers.py has not changed MiniStack."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    name = f"gap-{uuid.uuid4().hex[:8]}"
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    raising = {
        "config": {
            "FunctionName": name,
            "FunctionArn": arn,
            "Runtime": "python3.13",
            "Handler": "app.handler",
        },
        "code_zip": code("def handler(event, context): raise KeyError('s3_key')"),
    }
    try:
        result = lambda_svc._execute_function_warm(raising, {}, "request")
    finally:
        lambda_runtime.reset()
    assert result["body"]["errorType"] == "Runtime.HandlerError", (
        "MiniStack now reports the exception's class: drop the first half of "
        "local/ministack/lambda_workers.py, keep its bound on workers"
    )


@pytest.mark.parity("lambda-runtime")
def test_functions_run_under_the_interpreter_of_ministack(laptop_aws: LaptopAws) -> None:
    name = function(
        laptop_aws,
        "import sys, numpy\ndef handler(event, context): return list(sys.version_info[:2])",
    )
    answer = laptop_aws.client("lambda").invoke(FunctionName=name)
    assert json.loads(answer["Payload"].read()) == list(sys.version_info[:2]), (
        "MiniStack now honours Runtime: functions may have compiled packages, and a missing "
        "requirement shows without the container run"
    )


@pytest.mark.parity("lambda-6-mb")
def test_an_answer_over_6_mb_is_let_through(laptop_aws: LaptopAws) -> None:
    name = function(laptop_aws, "def handler(event, context): return 'x' * 7_000_000")
    answer = laptop_aws.client("lambda").invoke(FunctionName=name)
    assert "FunctionError" not in answer, "MiniStack now enforces Lambda's 6 MB: test it here too"


@pytest.mark.parity("iam-enforcement")
def test_a_function_needs_no_permission(laptop_aws: LaptopAws) -> None:
    laptop_aws.client("iam").create_role(
        RoleName="gap", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}'
    )
    name = function(
        laptop_aws,
        "import boto3\ndef handler(event, context): boto3.client('s3').list_buckets()",
    )
    answer = laptop_aws.client("lambda").invoke(FunctionName=name)
    assert "FunctionError" not in answer, (
        "MiniStack now enforces roles: let the integration tests run under the template's own"
    )


# --- Events ---


@pytest.mark.parity("s3-events")
def test_upload_events_lack_the_version_in_plain_ministack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In this process, where local/ministack/upload_events.py has not changed MiniStack."""
    from ministack.services import eventbridge, s3

    events: list[dict[str, Any]] = []
    monkeypatch.setattr(eventbridge, "_dispatch_event", lambda event, *_: events.append(event))
    monkeypatch.setitem(
        s3._bucket_notifications,
        "gap-events",
        "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>",
    )
    s3._fire_s3_event("gap-events", "inbox/a.png", "s3:ObjectCreated:Put", version_id="v1")
    [event] = events
    told = json.loads(event["Detail"])["object"]
    assert told["key"] == "inbox/a.png"
    assert "version-id" not in told, (
        "MiniStack's upload events now carry the version: drop local/ministack/upload_events.py"
    )


# --- State machines ---


@pytest.mark.parity("states-definition")
@pytest.mark.parametrize(
    "definition",
    [
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "Nowhere"}}},
        {"States": {"A": {"Type": "Pass", "End": True}}},
    ],
    ids=["dangling Next", "no StartAt"],
)
def test_an_invalid_definition_is_accepted(laptop_aws: LaptopAws, definition: dict[str, Any]) -> None:
    try:
        machine(laptop_aws, definition)
    except ClientError as error:
        pytest.fail(
            f"MiniStack now refuses an invalid definition ({error}): the drift test need not hold that alone any more"
        )


@pytest.mark.parity("states-payload-256-kib")
def test_a_payload_over_256_kib_passes_between_states(laptop_aws: LaptopAws) -> None:
    name = function(laptop_aws, "def handler(event, context): return 'x' * event['size']")
    ended = execute(
        laptop_aws,
        {
            "Type": "Task",
            "Resource": TASK,
            "Parameters": {"FunctionName": name, "Payload.$": "$"},
            "OutputPath": "$.Payload",
        },
        {"size": OVER_THE_LIMIT},
    )
    assert ended["status"] == "SUCCEEDED", (
        "MiniStack now enforces 256 KiB (States.DataLimitExceeded): assert in the workflow's test "
        "that a big picture goes by reference because of it"
    )


@pytest.mark.parity("states-missing-path")
def test_a_missing_json_path_becomes_null(laptop_aws: LaptopAws) -> None:
    ended = execute(laptop_aws, {"Type": "Pass", "Parameters": {"key.$": "$.missing"}}, {})
    assert json.loads(ended["output"]) == {"key": None}, (
        "MiniStack now fails on a missing path (States.Runtime, as AWS): drop the test that walks "
        "the paths of the definition"
    )


@pytest.mark.parity("states-item-reader")
def test_item_reader_does_not_evaluate_jsonata(laptop_aws: LaptopAws) -> None:
    s3 = laptop_aws.client("s3")
    s3.create_bucket(Bucket="gap-jsonata")
    s3.put_object(Bucket="gap-jsonata", Key="items.json", Body=b"[1]")

    def read_from(bucket: str) -> Any:
        reader = {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Arguments": {"Bucket": bucket, "Key": "items.json"},
        }
        state = {"Type": "Map", "ItemReader": reader, "ItemProcessor": EACH_ITEM, "End": True}
        definition = {"QueryLanguage": "JSONata", "StartAt": "M", "States": {"M": state}}
        return finished(laptop_aws, machine(laptop_aws, definition), {"bucket": "gap-jsonata"})

    literal = read_from("gap-jsonata")
    assert (literal["status"], json.loads(literal["output"])) == ("SUCCEEDED", [1])
    assert read_from("{% $states.input.bucket %}")["status"] == "FAILED", (
        "MiniStack now evaluates JSONata in ItemReader: a Distributed Map may use it"
    )


@pytest.mark.parity("states-item-batcher", "states-result-writer")
def test_batches_and_results_are_ignored_in_plain_ministack() -> None:
    """In this process, where local/ministack/map_batches.py has not changed MiniStack."""
    from ministack.services import stepfunctions

    machine_arn = "arn:aws:states:us-east-1:000000000000:stateMachine:gap"
    run = {"stateMachineArn": machine_arn, "executionArn": "arn:gap"}
    context = {"QueryLanguage": "JSONPath", "Execution": {"Id": "arn:gap"}}
    writer = {"Parameters": {"Bucket": "gap-no-such-bucket"}}
    state = {"ItemBatcher": {"MaxItemsPerBatch": 2}, "ResultWriter": writer, "End": True}
    own_id = {"Type": "Pass", "Parameters": {"id.$": "$$.Execution.Id", "in.$": "$"}, "End": True}
    each = EACH_ITEM | {"States": {"Each": own_id}}
    outputs, _ = stepfunctions._run_distributed_map(state, [1, 2], [1, 2], each, run, context)
    assert outputs == [{"id": "arn:gap", "in": 1}, {"id": "arn:gap", "in": 2}], (
        "MiniStack now batches items, writes results or gives children their own context: go "
        "through local/ministack/map_batches.py"
    )


@pytest.mark.parity("states-status-events", "states-express-5-minutes")
def test_a_machines_timeout_is_ignored_in_plain_ministack(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, where local/ministack/execution_limits.py has not changed MiniStack."""
    from ministack.services import stepfunctions

    waits = {"Type": "Wait", "Seconds": 1, "End": True}
    late = {"TimeoutSeconds": 0.2, "StartAt": "W", "States": {"W": waits}}
    machine_arn, arn = "arn:gap:machine", "arn:gap:execution"
    execution = {
        "executionArn": arn,
        "stateMachineArn": machine_arn,
        "name": "gap",
        "status": "RUNNING",
        "startDate": "2026-01-01T00:00:00.000Z",
        "input": "{}",
        "events": [],
        "sync": True,
    }
    gap = {"definition": json.dumps(late), "name": "gap"}
    monkeypatch.setitem(stepfunctions._state_machines, machine_arn, gap)
    monkeypatch.setitem(stepfunctions._executions, arn, execution)
    stepfunctions._run_execution(arn)
    assert execution["status"] == "SUCCEEDED", (
        "MiniStack now times machines out: go through local/ministack/execution_limits.py"
    )


@pytest.mark.parity("states-retry-jitter")
def test_a_retrys_jitter_and_longest_delay_are_ignored_in_plain_ministack() -> None:
    """Read in its source: seen from outside, only time would tell."""
    from ministack.services import stepfunctions

    source = inspect.getsource(stepfunctions)
    assert "IntervalSeconds" in source
    assert not {"JitterStrategy", "MaxDelaySeconds"} & set(re.findall(r"\w+", source)), (
        "MiniStack now knows JitterStrategy or MaxDelaySeconds: go through local/ministack/retry_delays.py"
    )
    assert "_scaled_sleep(min(sleep_sec, 60))" in source, (
        "MiniStack's longest delay is no longer 60 s: take it out of docs/laptop-aws.md"
    )


@pytest.mark.parity("states-sync-express")
def test_a_synchronous_execution_that_failed_has_an_output(laptop_aws: LaptopAws) -> None:
    failing = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Gap", "Cause": "gap"}}}
    arn = machine(laptop_aws, failing, type="EXPRESS")
    ended = laptop_aws.client("stepfunctions", inject_host_prefix=False).start_sync_execution(stateMachineArn=arn)
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Gap", "gap")
    assert "output" in ended, (
        "MiniStack's failed executions now have no output, as AWS's: take it out of docs/laptop-aws.md"
    )


@pytest.mark.parity("states-redrive")
def test_there_is_no_redrive(laptop_aws: LaptopAws) -> None:
    failing = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Gap", "Cause": "gap"}}}
    ended = finished(laptop_aws, machine(laptop_aws, failing), {})
    with pytest.raises(ClientError) as refused:
        laptop_aws.client("stepfunctions").redrive_execution(executionArn=ended["executionArn"])
    assert refused.value.response["Error"]["Code"] == "InvalidAction", (
        "MiniStack now has RedriveExecution: test a redrive of the workflow"
    )


@pytest.mark.parity("states-logs")
def test_state_machine_logs_and_metrics_are_never_emitted(laptop_aws: LaptopAws) -> None:
    group = "/aws/vendedlogs/states/gap"
    laptop_aws.client("logs").create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:*"
    execute(
        laptop_aws,
        {"Type": "Pass"},
        {},
        loggingConfiguration={
            "level": "ALL",
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}],
        },
    )
    logs, cloudwatch = laptop_aws.client("logs"), laptop_aws.client("cloudwatch")

    def emitted() -> object:
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        return streams + cloudwatch.list_metrics(Namespace="AWS/States")["Metrics"]

    assert seen(emitted) == [], (
        "MiniStack now emits logs or metrics of Step Functions: assert them in the workflow's test"
    )


@pytest.mark.parity("lambda-killed", "states-lambda-throttled")
def test_a_dead_worker_and_a_throttled_call_lack_their_names_in_plain_ministack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In this process, where local/ministack/lambda_failures.py has not changed MiniStack."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, stepfunctions

    name = f"gap-{uuid.uuid4().hex[:8]}"
    dying = {
        "config": {
            "FunctionName": name,
            "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
            "Runtime": "python3.13",
            "Handler": "app.handler",
            "Timeout": 30,
        },
        "code_zip": code("import os\ndef handler(event, context): os._exit(1)"),
    }
    try:
        dead = lambda_svc._execute_function(dying, {})
    finally:
        lambda_runtime.invalidate_worker(name)
    monkeypatch.setitem(lambda_svc._functions, name, dying | {"concurrency": 0})
    with pytest.raises(stepfunctions._ExecutionError) as throttled:
        stepfunctions._call_lambda(name, {})
    assert (dead["body"]["errorType"], throttled.value.error) == (
        "Runtime.HandlerError",
        "Lambda.Unknown",
    ), "MiniStack now names a dead worker or a throttled call: go through local/ministack/lambda_failures.py"


@pytest.mark.parity("cloudwatch-emf", "cloudwatch-lambda-metrics")
def test_metrics_of_functions_are_left_out_in_plain_ministack() -> None:
    """In this process, where local/ministack/embedded_metrics.py and local/ministack/lambda_metrics.py are not."""
    from ministack.core import lambda_runtime
    from ministack.services import cloudwatch, lambda_svc

    metric = {"Namespace": "Gap", "Dimensions": [[]], "Metrics": [{"Name": "Pictures"}]}
    line = {"_aws": {"Timestamp": 0, "CloudWatchMetrics": [metric]}, "Pictures": 1}
    name = f"gap-{uuid.uuid4().hex[:8]}"
    measuring = {
        "config": {
            "FunctionName": name,
            "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
            "Runtime": "python3.13",
            "Handler": "app.handler",
            "Timeout": 30,
        },
        "code_zip": code(f"import json\ndef handler(event, context): print(json.dumps({line!r}))"),
    }
    try:
        answer = lambda_svc._execute_function(measuring, {})
    finally:
        lambda_runtime.invalidate_worker(name)
    assert not answer.get("error"), answer
    measured = set(cloudwatch._metrics)
    assert ("Gap", "Pictures", "") not in measured, (
        "MiniStack now reads EMF lines: drop local/ministack/embedded_metrics.py"
    )
    assert ("AWS/Lambda", "Invocations", f"FunctionName={name}") not in measured, (
        "MiniStack now counts calls that do not come over HTTP: drop local/ministack/lambda_metrics.py"
    )


@pytest.mark.parity("cloudwatch-alarms")
def test_an_alarm_mixes_the_dimensions_in_plain_ministack() -> None:
    """In this process, where local/ministack/alarms.py has not changed MiniStack."""
    from ministack.services import cloudwatch

    alarm = {
        "AlarmName": "gap",
        "Namespace": "GapAlarm",
        "MetricName": "Errors",
        "Dimensions": [{"Name": "FunctionName", "Value": "one"}],
        "Statistic": "Sum",
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "StateValue": "OK",
    }
    cloudwatch.record_metric("GapAlarm", "Errors", 1, "Count", {"FunctionName": "other"})
    cloudwatch._evaluate_alarm(alarm)
    assert alarm["StateValue"] == "ALARM", (
        "MiniStack's alarms now look at dimensions: go through local/ministack/alarms.py"
    )


@pytest.mark.parity("cloudwatch-sns-metrics", "cloudwatch-sqs-metrics")
def test_topics_and_queues_have_no_metrics_in_plain_ministack() -> None:
    """In this process, where local/ministack/messaging_metrics.py has not changed MiniStack."""
    from ministack.services import cloudwatch, sns, sqs

    queue = sqs._act_create_queue({"QueueName": "gap"}, "")["QueueUrl"]
    sqs._act_send_message({"QueueUrl": queue, "MessageBody": "gap"}, queue)
    sns._fanout("arn:aws:sns:us-east-1:000000000000:gap", "id", "gap", "gap")
    namespaces = {namespace for namespace, *_ in cloudwatch._metrics}
    assert not namespaces & {"AWS/SNS", "AWS/SQS"}, (
        "MiniStack now measures topics or queues: go through local/ministack/messaging_metrics.py"
    )


# --- Stacks and buckets ---


@pytest.mark.parity("s3-encryption", "s3-lifecycle")
def test_a_stack_drops_a_buckets_encryption_and_lifecycle(laptop_aws: LaptopAws) -> None:
    rule = {"Id": "old", "Status": "Enabled", "ExpirationInDays": 3}
    sse = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "BucketName": "gap-bucket",
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [sse]},
            "LifecycleConfiguration": {"Rules": [rule]},
        },
    }
    assert stack_status(laptop_aws, {"Bucket": bucket}) == "CREATE_COMPLETE"
    s3 = laptop_aws.client("s3")
    [found] = s3.get_bucket_encryption(Bucket="gap-bucket")["ServerSideEncryptionConfiguration"]["Rules"]
    assert found["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256", (
        "A stack now sets a bucket's encryption: assert it on the deployed bucket"
    )
    with pytest.raises(ClientError) as missing:
        s3.get_bucket_lifecycle_configuration(Bucket="gap-bucket")
    assert missing.value.response["Error"]["Code"] == "NoSuchLifecycleConfiguration", (
        "A stack now sets a bucket's lifecycle: assert it on the deployed bucket"
    )


@pytest.mark.parity("lambda-concurrency")
def test_a_stack_drops_a_functions_reserved_concurrency(laptop_aws: LaptopAws) -> None:
    name = f"gap-{uuid.uuid4().hex[:8]}"
    bounded = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Role": ROLE,
            "Code": {"ZipFile": "def handler(event, context): pass"},
            "ReservedConcurrentExecutions": 1,
        },
    }
    assert stack_status(laptop_aws, {"Function": bounded}) == "CREATE_COMPLETE"
    found = laptop_aws.client("lambda").get_function_concurrency(FunctionName=name)
    assert "ReservedConcurrentExecutions" not in found, (
        "A stack now sets a function's reserved concurrency: look at how bursts do on the laptop"
    )


@pytest.mark.parity("s3-tls-only")
def test_a_bucket_policy_is_not_enforced(laptop_aws: LaptopAws) -> None:
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
            "refuses this laptop's plain HTTP; it needs a condition for the laptop"
        )


REFUSED = {
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
@pytest.mark.parametrize("kind", REFUSED)
def test_a_stack_with_this_resource_is_refused(laptop_aws: LaptopAws, kind: str) -> None:
    status = stack_status(laptop_aws, {"Resource": {"Type": kind, "Properties": REFUSED[kind]}})
    assert "Unrecognized resource types" in status, (
        f"MiniStack now deploys {kind}: a condition that keeps it off the laptop can go"
    )


@pytest.mark.parity("cloudwatch-alarms")
def test_a_stack_with_a_metric_math_alarm_is_rolled_back(laptop_aws: LaptopAws) -> None:
    stat = {"Metric": {"Namespace": "Gap", "MetricName": "M"}, "Period": 60, "Stat": "Sum"}
    alarm = {
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "Metrics": [
            {"Id": "sum", "Expression": "one + 1"},
            {"Id": "one", "MetricStat": stat, "ReturnData": False},
        ],
    }
    alarm_resource = {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm}
    assert stack_status(laptop_aws, {"Alarm": alarm_resource}) == "ROLLBACK_COMPLETE", (
        "MiniStack now has metric-math alarms: a condition that keeps them off the laptop can go"
    )


@pytest.mark.parity("cloudformation-resources")
def test_an_unknown_resource_deploys_behind_a_false_condition(laptop_aws: LaptopAws) -> None:
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Condition": "OnAws",
            "Properties": {"ExecutionRoleArn": ROLE},
        },
    }
    status = stack_status(laptop_aws, resources, Conditions={"OnAws": {"Fn::Equals": ["laptop", "aws"]}})
    assert status == "CREATE_COMPLETE"
