"""Properties that the laptop's AWS ignores: only the template and the definitions can be checked."""

import json
import re
from typing import Any

import pytest

from tests.unit.template.security_checks import listed, of_type, statements
from tests.unit.template.test_consistency import ASL, BATCH, RESOURCES, TEMPLATE, machines

TASKS = {
    name: state
    for machine in machines(ASL) + machines(BATCH)
    for name, state in machine["States"].items()
    if state["Type"] == "Task"
}


def statement(role: str, sid: str) -> dict[str, Any]:
    """Return one statement of a role's own policies."""
    [found] = [entry for owner, entry in statements(TEMPLATE) if (owner, entry["Sid"]) == (role, sid)]
    return found


@pytest.mark.parity("s3-lifecycle")
def test_lifecycle_expires_batch_results_and_keeps_pictures():
    rules = RESOURCES["PicturesBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    expiring = [rule for rule in rules if any("Expiration" in name for name in rule)]
    assert [(rule["Prefix"], rule["ExpirationInDays"]) for rule in expiring] == [("batches/", 90)]
    assert [r["AbortIncompleteMultipartUpload"] for r in rules if r not in expiring] == [{"DaysAfterInitiation": 1}]


@pytest.mark.parity("s3-bucket-name")
def test_bucket_name_fits_the_longest_stack_and_region():
    name = RESOURCES["PicturesBucket"]["Properties"]["BucketName"]["Fn::Sub"]
    given = {"StackName": "x" * 24, "AccountId": "0" * 12, "Region": "ap-southeast-1"}
    for parameter, value in given.items():
        name = name.replace(f"${{AWS::{parameter}}}", value)
    assert re.fullmatch(r"[a-z0-9.-]{3,63}", name)


@pytest.mark.parity("dynamodb-keys")
def test_longest_picture_name_fits_the_table_key():
    longest = "s3://" + "b" * 63 + "/" + "k" * 1024  # S3's own limits, in bytes
    assert len(longest) <= 2048  # of a partition key; S3's version ids have at most 1,024 bytes
    for table in of_type(TEMPLATE, "AWS::DynamoDB::Table").values():
        assert {a["AttributeType"] for a in table["AttributeDefinitions"]} == {"S"}
    key = TASKS["Serialize Image Data"]["Assign"]["table_key"]
    assert {name: set(value) for name, value in key.items()} == {"picture": {"S"}, "version_id": {"S"}}
    keys = {task["Arguments"]["Key"] for task in TASKS.values() if "Key" in task["Arguments"]}
    assert keys == {"{% $table_key %}"}


@pytest.mark.parity("dynamodb-consistent-read")
def test_table_reads_are_consistent():
    reads = [t for t in TASKS.values() if t["Resource"].endswith(("dynamodb:getItem", ":query"))]
    assert len(reads) == 2
    assert all(task["Arguments"]["ConsistentRead"] is True for task in reads)


@pytest.mark.parity("dynamodb-encryption")
def test_predictions_table_has_point_in_time_recovery():
    table = RESOURCES["PredictionsTable"]["Properties"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


@pytest.mark.parity("dynamodb-on-demand")
def test_tables_are_billed_on_demand():
    for table in of_type(TEMPLATE, "AWS::DynamoDB::Table").values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parity("states-result-writer")
def test_batch_role_may_write_its_results():
    writer = BATCH["States"]["Classify Every Picture"]["ResultWriter"]["Arguments"]
    substituted = RESOURCES["MyBatchStateMachine"]["Properties"]["DefinitionSubstitutions"]
    assert writer["Bucket"] == "${PicturesBucketName}"
    assert substituted["PicturesBucketName"] == {"Ref": "PicturesBucket"}
    allowed = statement("MyBatchStateMachineRole", "WriteResults")
    assert allowed["Resource"] == {"Fn::Sub": f"${{PicturesBucket.Arn}}/{writer['Prefix']}/*"}
    # https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    assert set(allowed["Action"]) == {
        "s3:PutObject",
        "s3:GetObject",
        "s3:ListMultipartUploadParts",
        "s3:AbortMultipartUpload",
    }


@pytest.mark.parity("states-distributed-map", "states-map-run-permissions")
def test_batch_role_may_start_and_describe_its_own_children_only():
    policy = RESOURCES["MyBatchStateMachineChildrenPolicy"]["Properties"]
    assert policy["Roles"] == [{"Ref": "MyBatchStateMachineRole"}]
    resources = {
        action: {json.dumps(resource) for resource in listed(entry["Resource"])}
        for entry in policy["PolicyDocument"]["Statement"]
        for action in listed(entry["Action"])
    }
    assert resources["states:StartExecution"] == {'{"Ref": "MyBatchStateMachine"}'}
    del resources["states:StartExecution"]
    assert resources.keys() > {"states:ListMapRuns", "states:DescribeMapRun"}
    own = re.compile(r":(execution|mapRun):\$\{MyBatchStateMachine\.Name\}[:/]\*")
    for action, found in resources.items():
        assert all(own.search(resource) for resource in found), action


@pytest.mark.parity("lambda-json-logs")
def test_functions_log_json():
    common = TEMPLATE["Globals"]["Function"]["LoggingConfig"]
    assert (common["LogFormat"], common["ApplicationLogLevel"]) == ("JSON", "INFO")
    for function in of_type(TEMPLATE, "AWS::Serverless::Function").values():
        assert set(function["LoggingConfig"]) == {"LogGroup"}  # the rest is in Globals


@pytest.mark.parity("states-logs")
def test_state_machines_log_without_execution_data():
    group = RESOURCES["MyStateMachineLogGroup"]["Properties"]["LogGroupName"]["Fn::Sub"]
    assert group.startswith("/aws/vendedlogs/states/")
    for machine in of_type(TEMPLATE, "AWS::Serverless::StateMachine").values():
        assert machine["Logging"]["Level"] in {"ALL", "ERROR"}
        assert machine["Logging"]["IncludeExecutionData"] is False  # which holds the picture
        [destination] = machine["Logging"]["Destinations"]
        assert destination["CloudWatchLogsLogGroup"]["LogGroupArn"] == {"Fn::GetAtt": ["MyStateMachineLogGroup", "Arn"]}


@pytest.mark.parity("events-input-path")
def test_rules_pass_the_detail_unchanged():
    targets = [t for rule in of_type(TEMPLATE, "AWS::Events::Rule").values() for t in rule["Targets"]]
    assert targets
    for target in targets:
        assert target["InputPath"] == "$.detail"
        assert "InputTransformer" not in target  # which would not escape a quotation mark


@pytest.mark.parity("kms-encrypted-topics")
def test_topic_publishers_may_use_its_key():
    topics = of_type(TEMPLATE, "AWS::SNS::Topic")
    needed = {"kms:GenerateDataKey", "kms:Decrypt"}
    for topic, service in (
        ("FailureTopic", "events.amazonaws.com"),
        ("AlarmTopic", "cloudwatch.amazonaws.com"),
    ):
        key = RESOURCES[topics.pop(topic)["KmsMasterKeyId"]["Ref"]]["Properties"]["KeyPolicy"]
        allowed = [s for s in key["Statement"] if s["Principal"].get("Service") == service]
        assert [set(s["Action"]) for s in allowed] == [needed], service
    assert not topics
    for role in ("MyStateMachineRole", "MyBatchStateMachineRole"):
        allowed = [statement(role, "UseFailureTopicKey")]
        assert set(allowed[0]["Action"]) == needed
        assert allowed[0]["Resource"] == {"Fn::GetAtt": ["FailuresKey", "Arn"]}


UPLOADS, FAILURES = ({"Fn::GetAtt": [f"{name}Rule", "Arn"]} for name in ("PictureUploaded", "ExecutionFailed"))
TOPIC = {"Ref": "FailureTopic"}


@pytest.mark.parity("sqs-policy", "sns-dead-letters", "events-retries")
@pytest.mark.parametrize(
    ("queue", "sources"),
    [
        ("UndeliveredUploadsQueue", [UPLOADS]),
        ("UndeliveredFailuresQueue", [FAILURES, TOPIC]),
        ("FailedPicturesQueue", [TOPIC]),
    ],
)
def test_queue_policy_admits_its_senders_only(queue, sources):
    policy = RESOURCES[f"{queue}Policy"]["Properties"]
    assert policy["Queues"] == [{"Ref": queue}]
    allowed = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert {s["Action"] for s in allowed} == {"sqs:SendMessage"}
    assert [s["Condition"] for s in allowed] == [{"ArnEquals": {"aws:SourceArn": source}} for source in sources]


@pytest.mark.parity("sns-dead-letters")
def test_undeliverable_failure_goes_to_dead_letter_queue():
    redrive_policy = RESOURCES["FailedPicturesSubscription"]["Properties"]["RedrivePolicy"]
    queue = {"Fn::GetAtt": ["UndeliveredFailuresQueue", "Arn"]}
    assert redrive_policy == {"deadLetterTargetArn": queue}


@pytest.mark.parity("sns-email")
def test_email_subscriptions_need_an_address():
    mails = {
        name: resource for name, resource in RESOURCES.items() if resource["Properties"].get("Protocol") == "email"
    }
    assert set(mails) == {"FailureEmail", "AlarmEmail"}
    assert {resource["Condition"] for resource in mails.values()} == {"HasNotificationEmail"}


@pytest.mark.parity("endpoint-arn-lower-case")
def test_endpoint_name_is_lower_case():
    pattern = TEMPLATE["Parameters"]["EndpointName"]["AllowedPattern"]
    assert re.fullmatch(pattern, "scones-unlimited")
    assert not re.fullmatch(pattern, "Scones-Unlimited")
