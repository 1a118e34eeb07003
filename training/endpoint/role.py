"""The role that SageMaker assumes to train, to serve and to write captures.

The SDK's `IamRoleResolver.create_execution_role` grants more (all Lambda functions, network interfaces, model packages)
and leaves ten policies behind. This role has one inline policy per training bucket, deleted with the role.
"""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import ClientError

from common.account import Caller
from common.errors import ExpectedError, none_if_missing
from common.settings import project

T = TypeVar("T")

TRUSTED_SERVICE = "sagemaker.amazonaws.com"

# SageMaker may not see a new role or policy for some seconds.
PROPAGATION_TRIES = 12
PROPAGATION_DELAY_S = 5.0

DENIED = ("AccessDenied", "AccessDeniedException")


class Role(NamedTuple):
    """A role's ARN, and whether the role or its policy has just been changed."""

    arn: str
    changed: bool


class RoleUnusableError(ExpectedError):
    """The role does not exist, or SageMaker cannot use it with this project's bucket."""


def role_name(region: str) -> str:
    """Return the name of the project's role, one per region."""
    return f"{project().name}-sagemaker-{region}"


def policy_name(bucket: str) -> str:
    """Return the name of the role's inline policy for a bucket; each bucket has its own."""
    return f"training-{bucket}"


def execution_policy(bucket: str, partition: str) -> dict[str, Any]:
    """Return the permissions that training, serving and data capture need, and no more."""
    arn = f"arn:{partition}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {  # pictures and script in; model, output and captures out; checkpoints both
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
                "Resource": f"{arn}:s3:::{bucket}/*",
            },
            {  # a channel is a prefix, which SageMaker lists
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
                "Resource": f"{arn}:s3:::{bucket}",
            },
            {
                "Effect": "Allow",
                "Action": [
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                "Resource": f"{arn}:logs:*:*:log-group:/aws/sagemaker/*",
            },
            # Neither action has a resource level. One statement each: another policy would be an update of every role.
            {"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*"},
            {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
            {  # AWS's PyTorch images, which live in AWS's own accounts
                "Effect": "Allow",
                "Action": [
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetDownloadUrlForLayer",
                ],
                "Resource": f"{arn}:ecr:*:*:repository/pytorch-*",
            },
        ],
    }


def trust_policy(account: str) -> dict[str, Any]:
    """Return the policy that lets SageMaker assume the role for jobs of this account only."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": TRUSTED_SERVICE},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        ],
    }


def find_role(iam: Any, name_or_arn: str) -> dict[str, Any] | None:
    """Return IAM's description of a role, None if it does not exist."""
    found = none_if_missing(iam.get_role, "NoSuchEntity", RoleName=name_or_arn.rsplit("/", 1)[-1]) or {}
    return found.get("Role")


def is_ours(role: dict[str, Any]) -> bool:
    """Tell whether the role has this project's tag."""
    return project().tag in role.get("Tags", [])


def ensure_role(iam: Any, caller: Caller, *, region: str, bucket: str) -> Role:
    """Create the project's role, or update its policy; return it.

    Raises RoleUnusableError if a role of that name lacks the project's tag, or the caller may not create it.
    """
    name, changed = role_name(region), False
    try:
        role = find_role(iam, name)
        if role and not is_ours(role):
            raise RoleUnusableError(f"There is a role {name} that this project did not make: give one with --role.")
        if not role:
            role = iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=json.dumps(trust_policy(caller.account)),
                Description=f"SageMaker training and serving of {project().name}",
                Tags=[project().tag],
            )["Role"]
            changed = True
        policy = execution_policy(bucket, caller.partition)
        # A caller without permission to write can use a policy that is up to date.
        inline = {"RoleName": name, "PolicyName": policy_name(bucket)}
        current = none_if_missing(iam.get_role_policy, "NoSuchEntity", **inline) or {}
        if current.get("PolicyDocument") != policy:
            iam.put_role_policy(**inline, PolicyDocument=json.dumps(policy))
            changed = True
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        raise RoleUnusableError(
            f"You may not look up or make the role {name}"
            f" ({error.response['Error'].get('Message', '')}): ask for a SageMaker execution role"
            " and give its ARN with --role."
        ) from error
    return Role(str(role["Arn"]), changed)


def check_role(iam: Any, name_or_arn: str, caller: Caller, bucket: str) -> str:
    """Return the role's ARN after checking that SageMaker may assume it and that it can use the bucket.

    Raises RoleUnusableError. An ARN that the caller may not look up passes: SageMaker itself checks it later.
    """
    by_arn = name_or_arn.startswith("arn:")
    owner = name_or_arn.split(":")[4] if by_arn and name_or_arn.count(":") > 4 else caller.account
    if owner != caller.account:
        raise RoleUnusableError(
            f"The role {name_or_arn} is of account {owner}, and SageMaker in {caller.account} assumes"
            " roles of its own account only: give one of those with --role."
        )
    try:
        role = find_role(iam, name_or_arn)
        if role is None or (by_arn and role["Arn"] != name_or_arn):
            raise RoleUnusableError(
                f"The role {name_or_arn} does not exist: give another with --role, or none to have one created."
            )
        if not _trusts_sagemaker(role["AssumeRolePolicyDocument"]):
            raise RoleUnusableError(
                f"The role {name_or_arn} does not trust {TRUSTED_SERVICE}: add it to the role's"
                " trust policy, or give another with --role."
            )
    except ClientError as error:
        if not _cannot_be_asked(error):
            raise
        if by_arn:
            return name_or_arn
        raise RoleUnusableError(f"You may not look up the role {name_or_arn}: give its ARN with --role.") from error
    arn = str(role["Arn"])
    denied = _denied(iam, arn, bucket, caller.partition)
    if denied:
        raise RoleUnusableError(
            f"The role {arn} lacks {', '.join(denied)} on the bucket {bucket}: add them, or give another with --role."
        )
    return arn


def retry_while_role_propagates(
    call: Callable[[], T], *, changed: bool, sleep: Callable[[float], None] = time.sleep
) -> T:
    """Call until SageMaker sees the role, for a minute at most.

    `changed` tells whether the role has just been changed: only then may a refusal by S3 pass.
    """
    for _ in range(PROPAGATION_TRIES - 1):
        try:
            return call()
        except ClientError as error:
            if not _may_pass(error, changed):
                raise
            sleep(PROPAGATION_DELAY_S)
    return call()


def delete_role(iam: Any, name: str) -> None:
    """Delete a role with its inline policies; detach its managed policies."""
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=attached["PolicyArn"])
    iam.delete_role(RoleName=name)


def _may_pass(error: ClientError, changed: bool) -> bool:
    message = error.response["Error"].get("Message", "").lower()
    if "assume" in message and "role" in message:
        return True
    signs = ("no s3 objects found", "s3:listbucket", "s3:getobject", "access denied")
    return changed and any(sign in message for sign in signs)


def _trusts_sagemaker(document: dict[str, Any]) -> bool:
    for statement in document.get("Statement", []):
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        named = [services] if isinstance(services, str) else services
        if statement.get("Effect") == "Allow" and TRUSTED_SERVICE in named:
            return True
    return False


def _denied(iam: Any, arn: str, bucket: str, partition: str) -> list[str]:
    """Return the S3 actions that IAM's simulator denies the role; none if the caller may not use the simulator."""
    bucket_arn = f"arn:{partition}:s3:::{bucket}"
    denied = []
    for actions, resource in ((["s3:GetObject", "s3:PutObject"], f"{bucket_arn}/*"), (["s3:ListBucket"], bucket_arn)):
        try:
            answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=actions, ResourceArns=[resource])
        except ClientError as error:
            if _cannot_be_asked(error):
                return []
            raise
        denied += [
            result["EvalActionName"] for result in answer["EvaluationResults"] if result["EvalDecision"] != "allowed"
        ]
    return denied


def _cannot_be_asked(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in (
        *DENIED,
        "InvalidAction",  # an emulated IAM without the simulator
        "NotImplemented",
        "UnsupportedOperation",
    )
