"""The template, as CloudFormation gets it after the SAM transform, lets nobody do too much.

Each check of tests/unit/template/security_checks.py finds nothing in it, and finds something in a copy with
that one fault.
"""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader

from common.settings import ROOT
from tests.unit.template.security_checks import (
    ENCRYPTED_BY_AWS,
    TEMPLATE_CHECKS,
    Template,
    careless_parameters,
    events_that_are_refused,
    events_that_can_get_lost,
    logs_without_an_end,
    not_encrypted,
    of_type,
    open_to_plain_http,
    public_buckets,
    strangers_let_in,
    unbounded_functions,
    unbounded_states,
    unknown_types,
    wildcard_actions,
    wildcard_resources,
)

DEFINITIONS = {path.name: json.loads(path.read_text()) for path in (ROOT / "statemachine").glob("*.asl.json")}


def transformed(template: Template) -> Template:
    """Return what the SAM transform makes of a template, by the code behind `sam validate`."""
    validator = SamTemplateValidator(copy.deepcopy(template), ManagedPolicyLoader(None), region="us-east-1")
    result: Template = yaml_parse(validator.get_translated_template_if_valid())
    return result


def nulls(place: Any, path: str = "") -> list[str]:
    """Return where there is a null, which CloudFormation refuses in any template."""
    if isinstance(place, dict):
        return [found for key, value in place.items() for found in nulls(value, f"{path}/{key}")]
    if isinstance(place, list):
        return [found for n, value in enumerate(place) for found in nulls(value, f"{path}/{n}")]
    return [path] if place is None else []


TEMPLATE = transformed(yaml_parse((ROOT / "template.yaml").read_text()))


def properties(template: Template, name: str) -> Any:
    return template["Resources"][name]["Properties"]


def statement(template: Template, name: str, sid: str) -> Any:
    """Return one statement of a resource, to be changed."""
    found = properties(template, name)
    documents = [p["PolicyDocument"] for p in found.get("Policies", [])]
    documents += [found[key] for key in ("PolicyDocument", "KeyPolicy") if key in found]
    [one] = [s for document in documents for s in document["Statement"] if s.get("Sid") == sid]
    return one


def trust(template: Template, name: str) -> Any:
    return properties(template, name)["AssumeRolePolicyDocument"]["Statement"][0]


def put(place: Any, key: str, value: Any) -> None:
    place[key] = value


QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {}}
TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {}}
BUCKET: dict[str, Any] = {"Type": "AWS::S3::Bucket", "Properties": {}}
TABLE: dict[str, Any] = {"Type": "AWS::DynamoDB::Table", "Properties": {}}
GROUP: dict[str, Any] = {"Type": "AWS::Logs::LogGroup", "Properties": {}}

Mutation = tuple[Callable[[Template], list[str]], str, Callable[[Template], Any]]
MUTATIONS: dict[str, Mutation] = {
    "an action by wildcard": (
        wildcard_actions,
        "sqs:*",
        lambda t: put(statement(t, "MyStateMachineRole", "QueueReviews"), "Action", "sqs:*"),
    ),
    "an action by a part of its name": (
        wildcard_actions,
        "s3:Get*",
        lambda t: statement(t, "SerializeImageDataRole", "ReadPictures")["Action"].append("s3:Get*"),
    ),
    "all actions but some": (
        wildcard_actions,
        "NotAction",
        lambda t: put(statement(t, "MyStateMachineRole", "PublishFailures"), "NotAction", "sns:DeleteTopic"),
    ),
    "a managed policy": (
        wildcard_actions,
        "AdministratorAccess",
        lambda t: put(
            properties(t, "MyStateMachineRole"),
            "ManagedPolicyArns",
            ["arn:aws:iam::aws:policy/AdministratorAccess"],
        ),
    ),
    "an excuse that nothing needs": (
        wildcard_actions,
        "excuses nothing",
        lambda t: t["Resources"].pop("FailuresKey"),
    ),
    "any resource": (
        wildcard_resources,
        "on *",
        lambda t: put(statement(t, "MyStateMachineRole", "QueueReviews"), "Resource", "*"),
    ),
    "any resource for an action more": (
        wildcard_resources,
        "on *",
        lambda t: statement(t, "MyStateMachineRole", "WriteTraces")["Action"].append("s3:GetObject"),
    ),
    "a resource by wildcard": (
        wildcard_resources,
        "function:*",
        lambda t: statement(t, "MyStateMachineRole", "InvokeFunctions")["Resource"].append(
            {"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*"}
        ),
    ),
    "all resources but some": (
        wildcard_resources,
        "NotResource",
        lambda t: put(statement(t, "MyStateMachineRole", "PublishFailures"), "NotResource", "arn:aws:sns:x"),
    ),
    "everybody in a queue's policy": (
        strangers_let_in,
        "lets in *",
        lambda t: put(statement(t, "FailedPicturesQueuePolicy", "AllowMessagesFromTopic"), "Principal", "*"),
    ),
    "another account in the key's policy": (
        strangers_let_in,
        "123456789012",
        lambda t: put(
            statement(t, "FailuresKey", "EnableAccountPolicies"),
            "Principal",
            {"AWS": "arn:aws:iam::123456789012:root"},
        ),
    ),
    "anybody's alarms on the topic": (
        strangers_let_in,
        "cloudwatch.amazonaws.com for anybody",
        lambda t: statement(t, "AlarmTopicPolicy", "AllowPublishFromAlarms").pop("Condition"),
    ),
    "anybody's alarms with the key": (
        strangers_let_in,
        "cloudwatch.amazonaws.com for anybody",
        lambda t: statement(t, "AlarmsKey", "AllowUseByAlarms").pop("Condition"),
    ),
    "anybody's topics on the queue": (
        strangers_let_in,
        "sns.amazonaws.com for anybody",
        lambda t: statement(t, "FailedPicturesQueuePolicy", "AllowMessagesFromTopic").pop("Condition"),
    ),
    "a topic that asks EventBridge for whom": (
        events_that_are_refused,
        "FailureTopicPolicy",
        lambda t: put(
            statement(t, "FailureTopicPolicy", "AllowPublishFromRule"),
            "Condition",
            {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["ExecutionFailedRule", "Arn"]}}},
        ),
    ),
    "a key that asks EventBridge for whom": (
        events_that_are_refused,
        "FailuresKey",
        lambda t: put(
            statement(t, "FailuresKey", "AllowUseByEventBridge"),
            "Condition",
            {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        ),
    ),
    "a role for anybody's state machine": (
        strangers_let_in,
        "states.amazonaws.com for anybody",
        lambda t: trust(t, "MyBatchStateMachineRole").pop("Condition"),
    ),
    "a role for anybody's function": (
        strangers_let_in,
        "lambda.amazonaws.com for anybody",
        lambda t: trust(t, "FilterLowConfidenceRole").pop("Condition"),
    ),
    "a role for everybody": (
        strangers_let_in,
        "SerializeImageDataRole",
        lambda t: put(trust(t, "SerializeImageDataRole"), "Principal", {"AWS": "*"}),
    ),
    "a role for a federated user": (
        strangers_let_in,
        "Federated",
        lambda t: put(trust(t, "SerializeImageDataRole"), "Principal", {"Federated": "x"}),
    ),
    "a queue without a policy": (
        open_to_plain_http,
        "Another can be used without TLS",
        lambda t: put(t["Resources"], "Another", QUEUE),
    ),
    "a topic without a policy": (
        open_to_plain_http,
        "Another can be used without TLS",
        lambda t: put(t["Resources"], "Another", TOPIC),
    ),
    "a bucket without a policy": (
        open_to_plain_http,
        "Another can be used without TLS",
        lambda t: put(t["Resources"], "Another", BUCKET),
    ),
    "a bucket whose objects go without TLS": (
        open_to_plain_http,
        "PicturesBucket",
        lambda t: statement(t, "PicturesBucketPolicy", "DenyWithoutTls")["Resource"].pop(),
    ),
    "TLS for one principal only": (
        open_to_plain_http,
        "ReviewQueue",
        lambda t: put(statement(t, "ReviewQueuePolicy", "DenyWithoutTls"), "Principal", {"Service": "x"}),
    ),
    "TLS under a further condition": (
        open_to_plain_http,
        "AlarmTopic",
        lambda t: put(
            statement(t, "AlarmTopicPolicy", "DenyWithoutTls"),
            "Condition",
            {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "true"}},
        ),
    ),
    "TLS for one call only": (
        open_to_plain_http,
        "ReviewQueue",
        lambda t: put(statement(t, "ReviewQueuePolicy", "DenyWithoutTls"), "Action", "sqs:ReceiveMessage"),
    ),
    "TLS allowed, not demanded": (
        open_to_plain_http,
        "FailureTopic",
        lambda t: put(statement(t, "FailureTopicPolicy", "DenyWithoutTls"), "Effect", "Allow"),
    ),
    "a bucket in the clear": (
        not_encrypted,
        "PicturesBucket",
        lambda t: properties(t, "PicturesBucket").pop("BucketEncryption"),
    ),
    "a queue in the clear": (
        not_encrypted,
        "Another",
        lambda t: put(t["Resources"], "Another", QUEUE),
    ),
    "a queue that asks for no encryption": (
        not_encrypted,
        "ReviewQueue",
        lambda t: put(properties(t, "ReviewQueue"), "SqsManagedSseEnabled", False),
    ),
    "a topic in the clear": (
        not_encrypted,
        "FailureTopic",
        lambda t: properties(t, "FailureTopic").pop("KmsMasterKeyId"),
    ),
    "a topic with AWS's own key": (
        not_encrypted,
        "AlarmTopic",
        lambda t: put(properties(t, "AlarmTopic"), "KmsMasterKeyId", "alias/aws/sns"),
    ),
    "a table with AWS's own key": (
        not_encrypted,
        "Another",
        lambda t: put(t["Resources"], "Another", TABLE),
    ),
    "a key for ever": (
        not_encrypted,
        "FailuresKey",
        lambda t: put(properties(t, "FailuresKey"), "EnableKeyRotation", False),
    ),
    "a bucket that may be public": (
        public_buckets,
        "Another",
        lambda t: put(t["Resources"], "Another", BUCKET),
    ),
    "a bucket that may be public in one way": (
        public_buckets,
        "PicturesBucket",
        lambda t: put(
            properties(t, "PicturesBucket")["PublicAccessBlockConfiguration"],
            "RestrictPublicBuckets",
            False,
        ),
    ),
    "a bucket with an ACL": (
        public_buckets,
        "PicturesBucket",
        lambda t: put(properties(t, "PicturesBucket"), "AccessControl", "PublicRead"),
    ),
    "logs for ever": (
        logs_without_an_end,
        "Another is kept for ever",
        lambda t: put(t["Resources"], "Another", GROUP),
    ),
    "a function with a log group that AWS makes": (
        logs_without_an_end,
        "FilterLowConfidenceFunction logs into",
        lambda t: properties(t, "FilterLowConfidenceFunction").pop("LoggingConfig"),
    ),
    "a function in another's log group": (
        logs_without_an_end,
        "shares",
        lambda t: put(
            properties(t, "ImageClassificationFunction")["LoggingConfig"],
            "LogGroup",
            {"Ref": "SerializeImageDataLogGroup"},
        ),
    ),
    "a state machine that does not log": (
        logs_without_an_end,
        "MyBatchStateMachine does not log",
        lambda t: properties(t, "MyBatchStateMachine").pop("LoggingConfiguration"),
    ),
    "a state machine that logs nothing": (
        logs_without_an_end,
        "MyStateMachine does not log",
        lambda t: put(properties(t, "MyStateMachine")["LoggingConfiguration"], "Level", "OFF"),
    ),
    "a state machine with a log group from elsewhere": (
        logs_without_an_end,
        "MyStateMachine logs into",
        lambda t: put(
            properties(t, "MyStateMachine")["LoggingConfiguration"],
            "Destinations",
            [{"CloudWatchLogsLogGroup": {"LogGroupArn": "arn:aws:logs:x"}}],
        ),
    ),
    "a state machine that logs pictures": (
        logs_without_an_end,
        "which holds the picture",
        lambda t: put(properties(t, "MyStateMachine")["LoggingConfiguration"], "IncludeExecutionData", True),
    ),
    "a function without a bound": (
        unbounded_functions,
        "ImageClassificationFunction",
        lambda t: properties(t, "ImageClassificationFunction").pop("ReservedConcurrentExecutions"),
    ),
    "no bound by default": (
        unbounded_functions,
        "by default",
        lambda t: put(t["Parameters"]["FunctionConcurrency"], "Default", 0),
    ),
    "a rule without a dead-letter queue": (
        events_that_can_get_lost,
        "ExecutionFailedRule -> FailureTopic",
        lambda t: properties(t, "ExecutionFailedRule")["Targets"][0].pop("DeadLetterConfig"),
    ),
    "a second target without a dead-letter queue": (
        events_that_can_get_lost,
        "PictureUploadedRule -> Second",
        lambda t: properties(t, "PictureUploadedRule")["Targets"].append({"Id": "Second"}),
    ),
    "a dead-letter queue that takes nothing": (
        events_that_can_get_lost,
        "may not write",
        lambda t: t["Resources"].pop("UndeliveredUploadsQueuePolicy"),
    ),
    "a dead-letter queue for another rule": (
        events_that_can_get_lost,
        "ExecutionFailedRule may not write",
        lambda t: put(
            statement(t, "UndeliveredFailuresQueuePolicy", "AllowDeadLettersFromRule"),
            "Condition",
            {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["PictureUploadedRule", "Arn"]}}},
        ),
    ),
    "a threshold by default": (
        careless_parameters,
        "ConfidenceThreshold has the default 0.5",
        lambda t: put(t["Parameters"]["ConfidenceThreshold"], "Default", 0.5),
    ),
    "a parameter that takes anything": (
        careless_parameters,
        "EndpointName takes anything",
        lambda t: t["Parameters"]["EndpointName"].pop("AllowedPattern"),
    ),
    "a reason for no default": (
        careless_parameters,
        "LogRetentionDays",
        lambda t: t["Parameters"]["LogRetentionDays"].pop("Default"),
    ),
    "a type that nobody thought about": (
        unknown_types,
        "Another is AWS::Lambda::Url",
        lambda t: put(t["Resources"], "Another", {"Type": "AWS::Lambda::Url"}),
    ),
}


# What of AWS's behaviour each check holds the template to, for docs/parity.md.
PROVES: dict[Callable[[Template], list[str]], tuple[str, ...]] = {
    wildcard_actions: ("iam-enforcement",),
    wildcard_resources: ("iam-enforcement", "states-logs", "lambda-tracing"),
    strangers_let_in: ("iam-trust", "sqs-policy", "sns-topic-policy"),
    open_to_plain_http: ("s3-tls-only", "sqs-policy", "sns-topic-policy"),
    not_encrypted: (
        "s3-encryption",
        "sqs-encryption",
        "dynamodb-encryption",
        "kms-encrypted-topics",
    ),
    public_buckets: ("s3-public-access",),
    logs_without_an_end: ("logs-retention",),
    unbounded_functions: ("lambda-concurrency",),
    events_that_are_refused: ("events-to-encrypted-topic",),
    events_that_can_get_lost: ("events-retries",),
    careless_parameters: ("sam-deploy",),
    unknown_types: ("cloudformation-resources",),
}


@pytest.mark.parametrize(
    "check",
    [pytest.param(check, marks=pytest.mark.parity(*PROVES[check]), id=check.__name__) for check in TEMPLATE_CHECKS],
)
def test_nothing_is_found_in_the_template(check):
    assert check(TEMPLATE) == []


@pytest.mark.parametrize("fault", MUTATIONS)
def test_a_template_with_this_fault_is_found_out(fault):
    check, words, mutate = MUTATIONS[fault]
    template = copy.deepcopy(TEMPLATE)
    mutate(template)
    assert any(words in finding for finding in check(template)), check(template)


def test_every_check_has_a_template_that_it_finds_fault_with():
    assert {check for check, _, _ in MUTATIONS.values()} == set(TEMPLATE_CHECKS)


@pytest.mark.parity("sam-transform")
def test_the_transform_made_plain_resources_of_all():
    assert len(of_type(TEMPLATE, "AWS::Lambda::Function")) == 3
    assert len(of_type(TEMPLATE, "AWS::StepFunctions::StateMachine")) == 3
    assert not [r for r in TEMPLATE["Resources"].values() if "Serverless" in r["Type"]]


def test_a_log_group_needs_a_key_or_a_reason(monkeypatch):
    monkeypatch.delitem(ENCRYPTED_BY_AWS, "AWS::Logs::LogGroup")
    assert len(not_encrypted(TEMPLATE)) == len(of_type(TEMPLATE, "AWS::Logs::LogGroup"))


@pytest.mark.parity("states-retry", "states-task-timeout")
@pytest.mark.parametrize("name", DEFINITIONS)
def test_no_state_machine_runs_or_retries_without_a_bound(name):
    assert unbounded_states(DEFINITIONS[name]) == []


TASK: dict[str, Any] = {"Type": "Task", "TimeoutSeconds": 5}
RETRY = {"ErrorEquals": ["X"], "MaxAttempts": 3, "MaxDelaySeconds": 60}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"Type": "Map"}, "any number of items"),
        ({"Type": "Map", "MaxConcurrency": 0}, "any number of items"),
        ({"Type": "Task"}, "for ever"),
        (TASK | {"Retry": [{"ErrorEquals": ["X"], "MaxDelaySeconds": 60}]}, "None times"),
        (TASK | {"Retry": [RETRY | {"MaxAttempts": 99}]}, "99 times"),
        (TASK | {"Retry": [RETRY | {"MaxDelaySeconds": 0}]}, "waits any time"),
    ],
    ids=["Map", "Map of 0", "no timeout", "default retries", "many retries", "long pauses"],
)
@pytest.mark.parametrize("wrap", [False, True], ids=["top", "inside a Map"])
def test_a_state_without_a_bound_is_found_out(state, words, wrap):
    definition: dict[str, Any] = {"States": {"S": state}}
    if wrap:
        outer = {"Type": "Map", "MaxConcurrency": 1, "ItemProcessor": definition}
        definition = {"States": {"Outer": outer}}
    [finding] = unbounded_states(definition)
    assert finding.startswith("S ")
    assert words in finding


def test_every_suppression_of_the_scanner_stands_beside_its_resource_with_a_reason():
    lines = (ROOT / "template.yaml").read_text().splitlines()
    found = [(n, line) for n, line in enumerate(lines) if "checkov:skip" in line]
    assert found
    for number, line in found:
        assert re.fullmatch(r"    # checkov:skip=CKV_AWS_\d+:\S+(?: \S+){4,}", line), line
        above = next(before for before in reversed(lines[:number]) if "checkov:skip" not in before)
        assert above.startswith("    Type: AWS::"), line
    assert "skip-check" not in (ROOT / ".checkov.yaml").read_text()
    assert "checkov" in (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]


def test_there_is_no_null_in_the_template():
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-null-values.html
    assert nulls({"a": [{"b": None}]}) == ["/a/0/b"]
    assert nulls(TEMPLATE) == []
