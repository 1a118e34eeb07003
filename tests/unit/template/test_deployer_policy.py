"""docs/deployer-policy/ allows what deploying and using the project needs, and nothing else."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from common import settings
from tests import deployer_needs
from tests.aws_calls import Call, UnknownServiceError, calls_of
from tests.deployer_needs import (
    UNUSED,
    UnknownResourceTypeError,
    handler_actions,
    needed,
    resource_types,
    schema_actions,
)
from tests.iam_policy import (
    ACCOUNT,
    FOLDER,
    REGION,
    Statement,
    allows,
    arn_formats,
    is_known,
    matches,
    of_file,
    statements,
    text,
)
from tests.unit.template.test_consistency import RESOURCES
from training.endpoint.role import role_name

POLICIES = sorted(FOLDER.glob("*.json"))
STATEMENTS = statements()
NEEDED = needed()
MANAGED_POLICY_CHARACTERS = 6144  # AWS's limit; whitespace does not count
POLICIES_OF_A_USER = 10  # as many managed policies as IAM attaches by default
# Missing in AWS's list of resources; required by "Control CloudFormation access with IAM".
TRANSFORM = "arn:aws:cloudformation:[^:]*:aws:transform/Serverless-2016-10-31"
AWS = f"{REGION}:{ACCOUNT}"
BUCKET = settings.default_bucket(ACCOUNT, REGION)
BUCKET_PATTERN = settings.default_bucket("*", "").removesuffix("-")  # of any account and region
JOB = f"{settings.project().endpoint_name}-20261123083000"
STACK = settings.project().stack_name


def test_policies_are_at_most_as_many_as_can_be_attached():
    assert len(NEEDED) > 150
    assert 1 < len(POLICIES) <= POLICIES_OF_A_USER


@pytest.mark.parametrize("action", sorted(NEEDED))
def test_needed_action_is_allowed(action):
    assert is_known(action), f"IAM has no such action; {NEEDED[action][0]} needs another"
    assert any(action in s.actions for s in STATEMENTS), f"for {NEEDED[action]}"


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.name)
def test_policy_allows_only_needed_actions(policy):
    allowed = {action for statement in of_file(policy) for action in statement.actions}
    assert allowed
    assert not allowed - set(NEEDED)


def test_review_policy_allows_exactly_what_the_review_page_calls():
    callers = ("operations/reviewing/", "common/predictions.py", "common/stack.py")
    called = {
        action
        for call, place in deployer_needs.script_calls()
        if place.startswith(callers)
        for action in deployer_needs.actions_of(call)
    }
    allowed = list(of_file(FOLDER / "review.json"))
    assert {action for s in allowed for action in s.actions} == called | {
        "s3:ListBucket"
    }  # for training/endpoint/preflight.py
    [labels] = [s for s in allowed if "s3:PutObject" in s.actions]
    assert labels.resources == (f"arn:aws:s3:::{BUCKET_PATTERN}/{settings.LABELS_PREFIX}/*",)


def test_no_action_has_a_wildcard():
    actions = [action for s in STATEMENTS for action in s.actions]
    assert not [action for action in actions if not re.fullmatch(r"[a-z0-9]+:[A-Za-z0-9]+", action)]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s.sid)
def test_wildcard_resource_is_only_for_actions_without_resources(statement: Statement):
    if "*" in statement.resources:
        assert statement.resources == ("*",)
        assert not [action for action in statement.actions if arn_formats(action)]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s.sid)
def test_every_action_supports_a_resource_of_its_statement(statement: Statement):
    """An action that supports none of them would be allowed nowhere."""
    plain = [resource.replace("*", "x") for resource in statement.resources]
    for action in statement.actions:
        formats = arn_formats(action)
        if action == "cloudformation:CreateChangeSet":
            formats.append(TRANSFORM)
        assert not formats or any(re.fullmatch(f, arn) for f in formats for arn in plain), action


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s.sid)
def test_every_resource_belongs_to_the_project(statement: Statement):
    """By name, or by tag where AWS generates the name."""
    for resource in statement.resources:
        assert (
            resource == "*"
            or "scones-unlimited" in resource.lower()
            or "SconesUnlimited" in resource
            or "aws-sam-cli-managed-default" in resource  # what sam shares between projects
            or resource.endswith("transform/Serverless-2016-10-31")
            or "My*StateMachine-*" in resource  # CloudFormation leaves the stack out of its name
            or "aws:ResourceTag/Project" in str(statement.conditions)
            or "aws:RequestTag/Project" in str(statement.conditions)
            or statement.actions == ("sagemaker:ListTags",)  # tells ours from others
            or ":log-group:/aws/sagemaker/TrainingJobs" in resource  # of all jobs of an account
        ), resource


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.name)
def test_policy_fits_the_size_of_a_managed_policy(policy: Path):
    assert len(re.sub(r"\s", "", text(policy))) <= MANAGED_POLICY_CHARACTERS
    assert policy.read_text().count("REGION") > 1


def test_statement_ids_are_unique():
    assert max(Counter(s.sid for s in STATEMENTS).values()) == 1


@pytest.mark.parametrize(
    ("action", "arn"),
    [
        ("s3:CreateBucket", f"arn:aws:s3:::{BUCKET}"),
        ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/staged/train/bicycle/x.png"),
        ("sagemaker:CreateTrainingJob", f"arn:aws:sagemaker:{AWS}:training-job/{JOB}"),
        ("sagemaker:CreateModel", f"arn:aws:sagemaker:{AWS}:model/{JOB}"),
        ("sagemaker:CreateEndpointConfig", f"arn:aws:sagemaker:{AWS}:endpoint-config/{JOB}"),
        ("sagemaker:CreateEndpoint", f"arn:aws:sagemaker:{AWS}:endpoint-config/{JOB}"),
        (
            "sagemaker:CreateEndpoint",
            f"arn:aws:sagemaker:{AWS}:endpoint/{settings.project().endpoint_name}",
        ),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/{role_name(REGION)}"),
        ("cloudformation:CreateChangeSet", f"arn:aws:cloudformation:{AWS}:stack/{STACK}/*"),
        ("sagemaker:ListTags", f"arn:aws:sagemaker:{AWS}:endpoint/another"),
        ("kms:PutKeyPolicy", f"arn:aws:kms:{AWS}:key/0d1f7c3e"),
        ("cloudwatch:PutMetricData", "*"),
    ],
)
def test_project_resource_is_allowed(action, arn):
    tag, namespace = settings.project().name, STACK  # as samconfig.toml and operations.monitor have them
    context = {"aws:ResourceTag/Project": tag, "cloudwatch:namespace": namespace}
    assert allows(action, arn, context)


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_stack_resource_is_allowed(name):
    """CloudFormation generates `STACK-ID-SUFFIX`, or `ID-SUFFIX` for state machines."""
    kind = deployer_needs.TRANSFORMED.get(RESOURCES[name]["Type"], RESOURCES[name]["Type"])
    physical = f"{STACK}-{name}-1A2B3C4D5E6F"
    makes = {
        "AWS::CloudWatch::Alarm": ("cloudwatch:PutMetricAlarm", f"cloudwatch:{AWS}:alarm:"),
        "AWS::DynamoDB::Table": ("dynamodb:CreateTable", f"dynamodb:{AWS}:table/"),
        "AWS::Events::Rule": ("events:PutRule", f"events:{AWS}:rule/"),
        "AWS::IAM::Role": ("iam:CreateRole", f"iam::{ACCOUNT}:role/"),
        "AWS::Lambda::Function": ("lambda:CreateFunction", f"lambda:{AWS}:function:"),
        "AWS::SNS::Topic": ("sns:CreateTopic", f"sns:{AWS}:"),
        "AWS::SQS::Queue": ("sqs:CreateQueue", f"sqs:{AWS}:"),
    }
    if kind in makes:
        action, prefix = makes[kind]
        assert allows(action, f"arn:aws:{prefix}{physical}")
    elif kind == "AWS::StepFunctions::StateMachine":
        arn = f"arn:aws:states:{AWS}:stateMachine:{name}-1A2B3C4D5E6F"
        assert allows("states:CreateStateMachine", arn)
        assert allows("states:StartExecution", arn)
    elif kind == "AWS::Logs::LogGroup":
        group = in_stack(RESOURCES[name]["Properties"]["LogGroupName"]["Fn::Sub"])
        assert allows("logs:CreateLogGroup", f"arn:aws:logs:{AWS}:log-group:{group}")
    elif kind == "AWS::CloudWatch::Dashboard":
        named = in_stack(RESOURCES[name]["Properties"]["DashboardName"]["Fn::Sub"])
        arn = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{named}"
        assert allows("cloudwatch:PutDashboard", arn)
    elif kind == "AWS::S3::Bucket":
        bucket = in_stack(RESOURCES[name]["Properties"]["BucketName"]["Fn::Sub"])
        assert allows("s3:CreateBucket", f"arn:aws:s3:::{bucket}")
    else:  # named by AWS, or a part of one of these
        assert kind == "AWS::KMS::Key" or kind.endswith(("Policy", "Subscription"))


def in_stack(name: str) -> str:
    for parameter, value in (("StackName", STACK), ("AccountId", ACCOUNT), ("Region", REGION)):
        name = name.replace(f"${{AWS::{parameter}}}", value)
    return name


@pytest.mark.parametrize(
    ("action", "arn", "context"),
    [
        ("s3:DeleteBucket", "arn:aws:s3:::somebodys", {}),
        ("s3:DeleteObject", "arn:aws:s3:::somebodys/picture.png", {}),
        ("sagemaker:DeleteEndpoint", f"arn:aws:sagemaker:{AWS}:endpoint/another", {}),
        ("lambda:InvokeFunction", f"arn:aws:lambda:{AWS}:function:another", {}),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/admin", {}),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:user/me", {}),
        (
            "iam:PassRole",
            f"arn:aws:iam::{ACCOUNT}:role/{STACK}-MyStateMachineRole-1A2B3C",
            {"iam:PassedToService": "ec2.amazonaws.com"},
        ),
        ("kms:ScheduleKeyDeletion", f"arn:aws:kms:{AWS}:key/0d1f7c3e", {}),
        ("kms:CreateKey", "*", {}),
        ("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "another"}),
        ("cloudformation:DeleteStack", f"arn:aws:cloudformation:{AWS}:stack/another/1a2b", {}),
        ("sqs:PurgeQueue", f"arn:aws:sqs:us-east-1:{ACCOUNT}:{STACK}-ReviewQueue-1A2B", {}),
    ],
)
def test_resource_outside_the_project_is_denied(action, arn, context):
    assert action in NEEDED
    assert not allows(action, arn, context)


def test_unknown_resource_type_raises():
    assert resource_types() <= set(UNUSED)
    with pytest.raises(UnknownResourceTypeError, match="AWS::Lambda::Alias"):
        handler_actions("AWS::Lambda::Alias")


@pytest.mark.parametrize("kind", sorted(UNUSED))
def test_unused_permissions_are_listed_by_the_schema_and_their_properties_absent(kind):
    assert kind in resource_types()
    listed = schema_actions(kind)
    properties = [
        r["Properties"] for r in RESOURCES.values() if deployer_needs.TRANSFORMED.get(r["Type"], r["Type"]) == kind
    ]
    for reason, patterns in UNUSED[kind].items():
        for pattern in patterns:
            assert any(matches(pattern, action) for action in listed), pattern
        for name in re.findall(r"^no ([A-Z]\w+)", reason):
            assert not any(name in used for used in properties), reason


def test_calls_of_finds_methods_paginators_waiters_and_transfers(tmp_path):
    source = tmp_path / "source.py"
    source.write_text(
        "import re\n"
        "sagemaker.get_paginator('list_models')\n"
        "in_batches(stack.sqs.delete_message_batch)\n"
        "s3.get_waiter('bucket_exists')\n"
        "self._s3.put_object(Bucket='b')\n"
        "s3.upload_file('a', 'b', 'c')\n"
        "re.search('a', 'b')\n"
    )
    assert sorted(call for call, _ in calls_of(source, ["sagemaker", "sqs", "s3"])) == [
        Call("s3", "HeadBucket"),
        Call("s3", "PutObject"),
        Call("s3", "PutObject"),
        Call("sagemaker", "ListModels"),
        Call("sqs", "DeleteMessageBatch"),
    ]


def test_calls_of_ambiguous_method_raises(tmp_path):
    source = tmp_path / "source.py"
    source.write_text("client_of_something.tag_resource()\n")
    with pytest.raises(UnknownServiceError, match=r"source\.py:1: client_of_something\.tag_"):
        list(calls_of(source, ["stepfunctions", "logs"]))


def test_documented_commands_fill_in_region_and_account():
    page = (settings.ROOT / "docs" / "deploy-to-aws.md").read_text()
    commands = re.findall(r'--policy-document "\$\((sed .+)\)"', page)
    assert [command.split()[-1] for command in commands] == [
        f"docs/deployer-policy/{name}.json" for name in ("train", "deploy", "alarms", "use", "review")
    ]
    for command in commands:
        filled = subprocess.run(
            ["bash", "-c", command], cwd=settings.ROOT, capture_output=True, text=True, check=True
        ).stdout
        assert json.loads(filled)["Statement"]
        assert not re.search("REGION|ACCOUNT", filled)
    assert len(commands) == len(POLICIES)
