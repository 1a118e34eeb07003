"""Calls of AWS that were really made, held against the deployer's policy: action and resource."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from local.sagemaker.arns import ACCOUNT as LAPTOPS_ACCOUNT
from local.sagemaker.arns import REGION as LAPTOPS_REGION
from tests.aws_calls import Call
from tests.deployer_needs import actions_of
from tests.iam_policy import ACCOUNT, REGION, allows

AWS = f"{REGION}:{ACCOUNT}"

# On objects; S3's other actions are on buckets.
OF_OBJECTS = {
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:PutObject",
}
OF_VERSIONS = {"s3:DeleteObjectVersion", "s3:GetObjectVersion"}
# boto3 looks a bucket up in the list of all, for the SageMaker SDK, and does without if refused.
NOT_NEEDED = {Call("s3", "ListBuckets")}
SAGEMAKER_NAMES = {
    "TrainingJobName": "training-job",
    "ModelName": "model",
    "EndpointConfigName": "endpoint-config",
    "EndpointName": "endpoint",
}


class Recorded(NamedTuple):
    """One call: its parameters are boto3's, without what was uploaded."""

    call: Call
    parameters: dict[str, Any]


def read_calls(path: Path) -> list[Recorded]:
    """Return what the recorder noted, but for the laptop's AWS itself and the functions in it."""
    found = []
    for line in path.read_text().splitlines():
        noted = json.loads(line)
        program = Path(noted["program"])
        if program.parent.name == "local" or "worker" in program.name:
            continue
        found.append(Recorded(Call(noted["service"], noted["operation"]), noted["parameters"]))
    return found


def refused(recorded: Recorded) -> Iterator[str]:
    """Yield each action and resource that the policy would not have let this call have."""
    if recorded.call in NOT_NEEDED:
        return
    for action in actions_of(recorded.call):
        if action in OF_VERSIONS and "VersionId" not in str(recorded.parameters):
            continue
        for arn in arns(action, recorded):
            if not allows(action, arn, context(action, recorded)):
                yield f"{action} on {arn}, for {recorded.call.operation}"


def context(action: str, recorded: Recorded) -> dict[str, str]:
    """Return what a policy's conditions look at."""
    if action == "iam:PassRole":
        return {"iam:PassedToService": f"{recorded.call.service}.amazonaws.com"}
    return {"cloudwatch:namespace": recorded.parameters.get("Namespace", "")}


def arns(action: str, recorded: Recorded) -> list[str]:
    """Return the resources of an action, as AWS would name them in the policy's account."""
    return [
        arn.replace(LAPTOPS_ACCOUNT, ACCOUNT).replace(LAPTOPS_REGION, REGION)
        for arn in laptops_arns(action, recorded.call.service, recorded.parameters)
    ]


def laptops_arns(action: str, service: str, given: dict[str, Any]) -> list[str]:
    """Return the resources of an action, "*" where it has none."""
    if action == "iam:PassRole":
        return [given.get("RoleArn") or given["ExecutionRoleArn"]]
    if service == "s3":
        return s3_arns(given, of_objects=action in OF_OBJECTS)
    named = NAMED.get(service)
    return (named(given) if named else []) or ["*"]


def s3_arns(given: dict[str, Any], *, of_objects: bool) -> list[str]:
    """Return the bucket's ARN, or those of its objects."""
    bucket, keys = given["Bucket"], [given.get("Key", "any")]
    if "Delete" in given:
        keys = [entry["Key"] for entry in given["Delete"]["Objects"]]
    at = [f"{bucket}/{key}" for key in keys] if of_objects else [bucket]
    return [f"arn:aws:s3:::{where}" for where in at]


def sagemaker_arns(given: dict[str, Any]) -> list[str]:
    """Return the ARN that is given, or those of the names that are."""
    if "ResourceArn" in given:
        return [given["ResourceArn"]]
    return [f"arn:aws:sagemaker:{AWS}:{kind}/{given[name]}" for name, kind in SAGEMAKER_NAMES.items() if name in given]


def log_arns(given: dict[str, Any]) -> list[str]:
    """Return the ARN of a log group's streams."""
    name = given.get("logGroupName")
    return [f"arn:aws:logs:{AWS}:log-group:{name}:any"] if name else []


def machine_arns(given: dict[str, Any]) -> list[str]:
    """Return the ARN of a state machine or execution as CloudFormation would have named it.

    MiniStack puts the stack's name before that of a state machine; a unit test of the policy holds
    that the other is allowed, too.
    """
    arn = given.get("executionArn") or given["stateMachineArn"]
    return [arn.replace(":scones-unlimited-My", ":My")]


def stack_arns(given: dict[str, Any]) -> list[str]:
    """Return the ARN of a stack, which goes by its name and by its ARN."""
    name = given["StackName"].rpartition(":stack/")[2].split("/")[0]
    return [f"arn:aws:cloudformation:{AWS}:stack/{name}/any"]


NAMED: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "cloudformation": stack_arns,
    "dynamodb": lambda given: [
        f"arn:aws:dynamodb:{AWS}:table/{table}" for table in given.get("RequestItems") or [given["TableName"]]
    ],
    "iam": lambda given: [given.get("PolicySourceArn") or f"arn:aws:iam::{ACCOUNT}:role/{given['RoleName']}"],
    "lambda": lambda given: [f"arn:aws:lambda:{AWS}:function:{given['FunctionName']}"],
    "logs": log_arns,
    "sagemaker": sagemaker_arns,
    "sagemaker-runtime": sagemaker_arns,
    "sqs": lambda given: [f"arn:aws:sqs:{AWS}:{given['QueueUrl'].rsplit('/', 1)[-1]}"],
    "stepfunctions": machine_arns,
}
