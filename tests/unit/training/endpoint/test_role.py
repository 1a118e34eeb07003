"""The execution role: refused with a reason, or created with the permissions that it needs."""

import json
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from common.account import Caller
from common.settings import project
from tests.unit.aws_stubs import ACCOUNT, REGION, Sleeps, client_error, stubbed
from training.endpoint.role import (
    PROPAGATION_DELAY_S,
    PROPAGATION_TRIES,
    RoleUnusableError,
    check_role,
    delete_role,
    ensure_role,
    execution_policy,
    policy_name,
    retry_while_role_propagates,
    trust_policy,
)

NAME = f"scones-unlimited-sagemaker-{REGION}"
ARN = f"arn:aws:iam::{ACCOUNT}:role/{NAME}"
BUCKET = "pictures"
CALLER = Caller(ACCOUNT, "aws")


def role(tags=(), trust=None):
    return {
        "Role": {
            "Path": "/",
            "RoleName": NAME,
            "RoleId": "AROA0123456789ABCDEF",
            "Arn": ARN,
            "CreateDate": "2026-01-01T00:00:00Z",
            "AssumeRolePolicyDocument": json.dumps(trust or trust_policy(ACCOUNT)),
            "Tags": list(tags),
        }
    }


@pytest.fixture
def iam():
    # Stubber skips the parsing in which a client decodes the policy's text.
    client, stubber = stubbed("iam")
    client.stubber = stubber

    def decode(parsed, **_):
        for holder, key in ((parsed.get("Role", {}), "AssumeRolePolicyDocument"), (parsed, "PolicyDocument")):
            if isinstance(holder.get(key), str):
                holder[key] = json.loads(holder[key])

    client.meta.events.register("after-call.iam", decode)
    return client


def check(iam, name=ARN):
    return check_role(iam, name, CALLER, BUCKET)


def ensure(iam, bucket=BUCKET):
    return ensure_role(iam, CALLER, region=REGION, bucket=bucket)


def policy_of(bucket):
    document = json.dumps(execution_policy(bucket, "aws"))
    return {"RoleName": NAME, "PolicyName": policy_name(bucket), "PolicyDocument": document}


def add_simulation(iam, actions, resource, decisions):
    iam.stubber.add_response(
        "simulate_principal_policy",
        {
            "EvaluationResults": [
                {"EvalActionName": action, "EvalDecision": decision}
                for action, decision in zip(actions, decisions, strict=True)
            ]
        },
        {"PolicySourceArn": ARN, "ActionNames": actions, "ResourceArns": [resource]},
    )


@pytest.mark.parity("iam-roles")
def test_check_role_that_does_not_exist_fails(iam):
    iam.stubber.add_client_error("get_role", "NoSuchEntity", "no", http_status_code=404)
    with pytest.raises(RoleUnusableError, match=r"Nobody does not exist: give another"):
        check(iam, "Nobody")


@pytest.mark.parity("account")
def test_check_role_of_another_account_fails(iam):
    other = f"arn:aws:iam::210987654321:role/{NAME}"
    with pytest.raises(RoleUnusableError, match=r"is of account 210987654321, and SageMaker in"):
        check(iam, other)  # and IAM is not asked


def test_check_role_with_another_path_fails(iam):
    iam.stubber.add_response("get_role", role(), {"RoleName": NAME})
    with pytest.raises(RoleUnusableError, match="does not exist: give another"):
        check(iam, f"arn:aws:iam::{ACCOUNT}:role/service-role/{NAME}")


@pytest.mark.parity("iam-trust")
def test_check_role_without_trust_fails(iam):
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}]}
    iam.stubber.add_response("get_role", role(trust=trust), {"RoleName": NAME})
    with pytest.raises(RoleUnusableError, match=r"does not trust sagemaker\.amazonaws\.com: add"):
        check(iam)


@pytest.mark.parity("iam-simulator")
def test_check_role_without_permissions_on_the_bucket_fails(iam):
    iam.stubber.add_response("get_role", role())
    objects = ["s3:GetObject", "s3:PutObject"]
    add_simulation(iam, objects, f"arn:aws:s3:::{BUCKET}/*", ["allowed", "implicitDeny"])
    add_simulation(iam, ["s3:ListBucket"], f"arn:aws:s3:::{BUCKET}", ["explicitDeny"])
    with pytest.raises(RoleUnusableError, match=r"lacks s3:PutObject, s3:ListBucket on the bucket"):
        check(iam)


def test_check_role_without_permission_to_ask_iam_accepts_only_an_arn(iam):
    iam.stubber.add_client_error("get_role", "AccessDenied", "no", http_status_code=403)
    assert check(iam) == ARN
    iam.stubber.add_client_error("get_role", "AccessDenied", "no", http_status_code=403)
    with pytest.raises(RoleUnusableError, match=r"may not look up the role Mine: give its ARN"):
        check(iam, "Mine")


@pytest.mark.parity("iam-simulator")
def test_check_role_without_simulator_accepts_the_role(iam):
    iam.stubber.add_response("get_role", role())
    iam.stubber.add_client_error("simulate_principal_policy", "AccessDenied", "no")
    assert check(iam, NAME) == ARN


def test_ensure_role_leaves_an_untagged_role_alone(iam):
    iam.stubber.add_response("get_role", role(tags=[{"Key": "Project", "Value": "another"}]))
    with pytest.raises(RoleUnusableError, match="that this project did not make: give one with"):
        ensure(iam)


@pytest.mark.parametrize("denied", ["get_role", "create_role"])
def test_ensure_role_without_permission_names_the_role_option(iam, denied):
    if denied == "create_role":
        iam.stubber.add_client_error("get_role", "NoSuchEntity", "no", http_status_code=404)
    iam.stubber.add_client_error(denied, "AccessDenied", "not you")
    with pytest.raises(RoleUnusableError, match=r"may not look up or make the role .*not you.*--role"):
        ensure(iam)


@pytest.mark.parity("iam-roles", "iam-trust")
def test_ensure_role_creates_a_tagged_role_with_one_policy(iam):
    iam.stubber.add_client_error("get_role", "NoSuchEntity", "no", http_status_code=404)
    created = {
        "RoleName": NAME,
        "AssumeRolePolicyDocument": json.dumps(trust_policy(ACCOUNT)),
        "Description": "SageMaker training and serving of scones-unlimited",
        "Tags": [project().tag],
    }
    iam.stubber.add_response("create_role", role(), created)
    iam.stubber.add_client_error("get_role_policy", "NoSuchEntity", "no", http_status_code=404)
    iam.stubber.add_response("put_role_policy", {}, policy_of(BUCKET))
    assert ensure(iam) == (ARN, True)


def test_ensure_role_changes_nothing_where_the_policy_is_current(iam):
    iam.stubber.add_response("get_role", role(tags=[project().tag]))
    iam.stubber.add_response("get_role_policy", policy_of(BUCKET))
    assert ensure(iam) == (ARN, False)


def test_ensure_role_for_another_bucket_adds_a_second_policy(iam):
    iam.stubber.add_response("get_role", role(tags=[project().tag]))
    iam.stubber.add_client_error("get_role_policy", "NoSuchEntity", "no", http_status_code=404)
    iam.stubber.add_response("put_role_policy", {}, policy_of("another") | {"PolicyName": "training-another"})
    assert ensure(iam, "another") == (ARN, True)


@pytest.mark.parity("training-role")
def test_execution_policy_allows_s3_on_one_bucket_only():
    for statement in execution_policy(BUCKET, "aws")["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        if any(action.startswith("s3:") for action in actions):
            assert statement["Resource"].startswith(f"arn:aws:s3:::{BUCKET}")
        assert not any(action.endswith("*") for action in actions)


NOT_ASSUMABLE = "Could not assume role arn:..."
NOT_IN_FORCE = (
    'No S3 objects found under S3 URL "s3://b/staged/train/" given in input data source. Please'
    ' ensure that role "arn:..." has "s3:ListBucket" permissions',
    "Access Denied (Service: Amazon S3; Status Code: 403)",
)


@pytest.mark.parity("iam-propagation")
@pytest.mark.parametrize(
    ("message", "changed"),
    [(NOT_ASSUMABLE, False), *((message, True) for message in NOT_IN_FORCE)],
)
def test_retry_waits_for_a_new_role(message, changed):
    error = client_error("ValidationException", message)
    call, slept = Mock(side_effect=[error, error, "made"]), Sleeps()

    assert retry_while_role_propagates(call, changed=changed, sleep=slept) == "made"
    assert slept.seconds == [PROPAGATION_DELAY_S] * 2


@pytest.mark.parametrize(
    ("error", "changed", "sleeps"),
    [
        (client_error("ValidationException", NOT_ASSUMABLE), True, PROPAGATION_TRIES - 1),
        (client_error("ValidationException", NOT_IN_FORCE[0]), False, 0),
        (client_error("ResourceLimitExceeded", "no"), True, 0),
    ],
    ids=["never propagates", "role not changed", "another error"],
)
def test_retry_raises_an_error_that_lasts_or_is_not_of_the_role(error, changed, sleeps):
    call, slept = Mock(side_effect=error), Sleeps()

    with pytest.raises(ClientError) as caught:
        retry_while_role_propagates(call, changed=changed, sleep=slept)
    assert caught.value is error
    assert len(slept.seconds) == sleeps


@pytest.mark.parity("iam-roles")
def test_delete_role_deletes_its_policies(iam):
    policy = "arn:aws:iam::aws:policy/Extra"
    add = iam.stubber.add_response
    add("list_role_policies", {"PolicyNames": [policy_name(BUCKET)]}, {"RoleName": NAME})
    add("delete_role_policy", {}, {"RoleName": NAME, "PolicyName": policy_name(BUCKET)})
    add("list_attached_role_policies", {"AttachedPolicies": [{"PolicyArn": policy}]})
    add("detach_role_policy", {}, {"RoleName": NAME, "PolicyArn": policy})
    add("delete_role", {}, {"RoleName": NAME})
    delete_role(iam, NAME)
