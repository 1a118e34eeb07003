"""The template, after the SAM transform, passes every check of security_checks.py; each check finds a seeded fault.

checkov (`make check`) holds the rest: public buckets, key rotation, encrypted tables, retention, concurrency.
"""

import copy
import json
import re
from typing import Any

import pytest
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader

from common.settings import ROOT
from tests.unit.template.security_checks import (
    Template,
    eventbridge_conditions,
    missing_dead_letter_queues,
    missing_tls_policies,
    of_type,
    resources_without_own_encryption,
    statements,
    trusts,
    untrusted_principals,
    wildcard_actions,
    wildcard_resources,
)


def transformed(template: Template) -> Template:
    """Return the result of the SAM transform, by the code behind `sam validate`."""
    validator = SamTemplateValidator(copy.deepcopy(template), ManagedPolicyLoader(None), region="us-east-1")
    result: Template = yaml_parse(validator.get_translated_template_if_valid())
    return result


TEMPLATE = transformed(yaml_parse((ROOT / "template.yaml").read_text()))
REMOVED = object()


def with_fault(path: str, value: Any) -> Template:
    """Return a copy of the template with the value at the path replaced or REMOVED.

    The path starts with a logical id; a statement stands below its resource by its Sid, a trust statement by "trust".
    """
    template = copy.deepcopy(TEMPLATE)
    name, *keys = path.split("/")
    if not keys:
        template["Resources"][name] = value
        if value is REMOVED:
            del template["Resources"][name]
        return template
    node = template["Resources"][name]["Properties"]
    *parents, last = keys
    named = [(owner, s["Sid"], s) for owner, s in statements(template)]
    named += [(owner, "trust", s) for owner, s in trusts(template)]
    by_sid = {sid: s for owner, sid, s in named if owner == name}
    for key in parents:
        node = by_sid[key] if key in by_sid else node[key]
    if value is REMOVED:
        del node[last]
    else:
        node[last] = value
    return template


QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {}}
TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {}}
BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {}}
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
ANY_FUNCTION = {"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*"}
OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
OTHER_ACCOUNT = {"AWS": "arn:aws:iam::123456789012:root"}
FAILURES = "UndeliveredFailuresQueuePolicy/AllowDeadLettersFromRule/Condition"
FROM_UPLOADS = {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["PictureUploadedRule", "Arn"]}}}
ALSO_VIA_AWS = {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "true"}}
TARGETS = TEMPLATE["Resources"]["ExecutionFailedRule"]["Properties"]["Targets"]

FAULTS = [
    (wildcard_actions, "sqs:*", "MyStateMachineRole/QueueReviews/Action", "sqs:*"),
    (wildcard_actions, "s3:Get*", "SerializeImageDataRole/ReadPictures/Action", ["s3:GetObject", "s3:Get*"]),
    (wildcard_actions, "NotAction", "MyStateMachineRole/PublishFailures/NotAction", "sns:DeleteTopic"),
    (wildcard_actions, "AdministratorAccess", "MyStateMachineRole/ManagedPolicyArns", [ADMINISTRATOR]),
    (wildcard_actions, "unused exception", "FailuresKey", REMOVED),
    (wildcard_resources, "on *", "MyStateMachineRole/QueueReviews/Resource", "*"),
    (wildcard_resources, "on *", "MyStateMachineRole/WriteTraces/Action", ["xray:PutTraceSegments", "s3:GetObject"]),
    (wildcard_resources, "function:*", "MyStateMachineRole/InvokeFunctions/Resource", [ANY_FUNCTION]),
    (wildcard_resources, "NotResource", "MyStateMachineRole/PublishFailures/NotResource", "arn:aws:sns:x"),
    (untrusted_principals, "admits *", "FailedPicturesQueuePolicy/AllowMessagesFromTopic/Principal", "*"),
    (untrusted_principals, "123456789012", "FailuresKey/EnableAccountPolicies/Principal", OTHER_ACCOUNT),
    (untrusted_principals, "cloudwatch.amazonaws.com", "AlarmTopicPolicy/AllowPublishFromAlarms/Condition", REMOVED),
    (untrusted_principals, "cloudwatch.amazonaws.com", "AlarmsKey/AllowUseByAlarms/Condition", REMOVED),
    (untrusted_principals, "sns.amazonaws.com", "FailedPicturesQueuePolicy/AllowMessagesFromTopic/Condition", REMOVED),
    (untrusted_principals, "states.amazonaws.com", "MyBatchStateMachineRole/trust/Condition", REMOVED),
    (untrusted_principals, "lambda.amazonaws.com", "FilterLowConfidenceRole/trust/Condition", REMOVED),
    (untrusted_principals, "SerializeImageDataRole", "SerializeImageDataRole/trust/Principal", {"AWS": "*"}),
    (untrusted_principals, "Federated", "SerializeImageDataRole/trust/Principal", {"Federated": "x"}),
    (eventbridge_conditions, "FailureTopicPolicy", "FailureTopicPolicy/AllowPublishFromRule/Condition", FROM_UPLOADS),
    (eventbridge_conditions, "FailuresKey", "FailuresKey/AllowUseByEventBridge/Condition", OWN_ACCOUNT),
    (missing_tls_policies, "Another", "Another", QUEUE),
    (missing_tls_policies, "Another", "Another", TOPIC),
    (missing_tls_policies, "Another", "Another", BUCKET),
    (
        missing_tls_policies,
        "PicturesBucket",
        "PicturesBucketPolicy/DenyWithoutTls/Resource",
        [{"Ref": "PicturesBucket"}],
    ),
    (missing_tls_policies, "ReviewQueue", "ReviewQueuePolicy/DenyWithoutTls/Principal", {"Service": "x"}),
    (missing_tls_policies, "AlarmTopic", "AlarmTopicPolicy/DenyWithoutTls/Condition", ALSO_VIA_AWS),
    (missing_tls_policies, "ReviewQueue", "ReviewQueuePolicy/DenyWithoutTls/Action", "sqs:ReceiveMessage"),
    (missing_tls_policies, "FailureTopic", "FailureTopicPolicy/DenyWithoutTls/Effect", "Allow"),
    (resources_without_own_encryption, "PicturesBucket", "PicturesBucket/BucketEncryption", REMOVED),
    (resources_without_own_encryption, "Another", "Another", QUEUE),
    (resources_without_own_encryption, "ReviewQueue", "ReviewQueue/SqsManagedSseEnabled", False),
    (resources_without_own_encryption, "FailureTopic", "FailureTopic/KmsMasterKeyId", REMOVED),
    (resources_without_own_encryption, "AlarmTopic", "AlarmTopic/KmsMasterKeyId", "alias/aws/sns"),
    (missing_dead_letter_queues, "-> Second", "ExecutionFailedRule/Targets", [*TARGETS, {"Id": "Second"}]),
    (missing_dead_letter_queues, "may not write", "UndeliveredUploadsQueuePolicy", REMOVED),
    (missing_dead_letter_queues, "ExecutionFailedRule may not write", FAILURES, FROM_UPLOADS),
]

# Every check, with the behaviours of AWS in docs/parity.md that it relies on.
PROVES = {
    wildcard_actions: ("iam-enforcement",),
    wildcard_resources: ("iam-enforcement", "states-logs", "lambda-tracing"),
    untrusted_principals: ("iam-trust", "sqs-policy", "sns-topic-policy"),
    missing_tls_policies: ("s3-tls-only", "sqs-policy", "sns-topic-policy"),
    resources_without_own_encryption: ("s3-encryption", "sqs-encryption", "kms-encrypted-topics"),
    eventbridge_conditions: ("events-to-encrypted-topic",),
    missing_dead_letter_queues: ("events-retries",),
}


@pytest.mark.parametrize(
    "check",
    [pytest.param(check, marks=pytest.mark.parity(*ids), id=check.__name__) for check, ids in PROVES.items()],
)
def test_template_passes_check(check):
    assert check(TEMPLATE) == []


@pytest.mark.parametrize(("check", "expected", "path", "value"), FAULTS, ids=[f"{f[2]}" for f in FAULTS])
def test_template_with_seeded_fault_fails_check(check, expected, path, value):
    findings = check(with_fault(path, value))
    assert any(expected in finding for finding in findings), findings


def test_every_check_has_a_seeded_fault():
    assert {fault[0] for fault in FAULTS} == set(PROVES)


@pytest.mark.parity("sam-deploy", "lambda-concurrency")
def test_parameters_are_bounded_and_default_only_where_intended():
    parameters = TEMPLATE["Parameters"]
    defaults = {name: entry["Default"] for name, entry in parameters.items() if "Default" in entry}
    # Neither the endpoint nor the threshold has a default: both belong to the model that is deployed.
    assert defaults == {"ClassNames": "", "LogRetentionDays": 30, "FunctionConcurrency": 60, "NotificationEmail": ""}
    for name, entry in parameters.items():
        assert {"MinValue", "MaxValue"} <= set(entry) or {"AllowedPattern", "AllowedValues"} & set(entry), name


@pytest.mark.parity("sam-transform", "cloudformation-resources")
def test_sam_transform_leaves_plain_cloudformation_resources():
    assert len(of_type(TEMPLATE, "AWS::Lambda::Function")) == 3
    assert len(of_type(TEMPLATE, "AWS::StepFunctions::StateMachine")) == 3
    assert not [r for r in TEMPLATE["Resources"].values() if "Serverless" in r["Type"]]


def test_every_checkov_suppression_stands_beside_its_resource_with_a_reason():
    lines = (ROOT / "template.yaml").read_text().splitlines()
    found = [(n, line) for n, line in enumerate(lines) if "checkov:skip" in line]
    assert found
    for number, line in found:
        assert re.fullmatch(r"    # checkov:skip=CKV_AWS_\d+:\S+(?: \S+){4,}", line), line
        above = next(before for before in reversed(lines[:number]) if "checkov:skip" not in before)
        assert above.startswith("    Type: AWS::"), line
    assert "skip-check" not in (ROOT / ".checkov.yaml").read_text()
    assert "checkov" in (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]


def test_template_has_no_null():
    # CloudFormation refuses any:
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-null-values.html
    assert "null" not in re.findall(r'"(?:[^"\\]|\\.)*"|(\w+)', json.dumps(TEMPLATE))
