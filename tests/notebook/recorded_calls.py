"""Recorded calls of AWS, compared with the deployer's policy by action and resource."""

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
OBJECT_ACTIONS = {
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:PutObject",
}
VERSION_ACTIONS = {"s3:DeleteObjectVersion", "s3:GetObjectVersion"}
# The SageMaker SDK looks a bucket up in the list of all, and continues if that is refused.
NOT_NEEDED = {Call("s3", "ListBuckets")}
SAGEMAKER_NAMES = {
    "TrainingJobName": "training-job",
    "ModelName": "model",
    "EndpointConfigName": "endpoint-config",
    "EndpointName": "endpoint",
}


class Recorded(NamedTuple):
    """One call; its parameters are boto3's, without uploaded content."""

    call: Call
    parameters: dict[str, Any]


def read_calls(path: Path) -> list[Recorded]:
    """Return the recorded calls, without those of the laptop's AWS itself and of the functions in it."""
    found = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        program = Path(record["program"])
        if program.parent.name != "local" and "worker" not in program.name:
            found.append(Recorded(Call(record["service"], record["operation"]), record["parameters"]))
    return found


def refused(recorded: Recorded) -> Iterator[str]:
    """Yield each action and resource of this call that the policy does not allow."""
    if recorded.call in NOT_NEEDED:
        return
    for action in actions_of(recorded.call):
        if action in VERSION_ACTIONS and "VersionId" not in str(recorded.parameters):
            continue
        for arn in arns(action, recorded):
            if not allows(action, arn, context(action, recorded)):
                yield f"{action} on {arn}, for {recorded.call.operation}"


def context(action: str, recorded: Recorded) -> dict[str, str]:
    """Return the context keys of the policy's conditions."""
    if action == "iam:PassRole":
        return {"iam:PassedToService": f"{recorded.call.service}.amazonaws.com"}
    return {"cloudwatch:namespace": recorded.parameters.get("Namespace", "")}


def arns(action: str, recorded: Recorded) -> list[str]:
    """Return the resources of an action, as AWS would name them in the policy's account; "*" without one."""
    given, service = recorded.parameters, recorded.call.service
    if action == "iam:PassRole":
        found = [given.get("RoleArn") or given["ExecutionRoleArn"]]
    elif action in OBJECT_ACTIONS:
        objects = given.get("Delete", {}).get("Objects", [{"Key": given.get("Key", "any")}])
        found = [f"arn:aws:s3:::{given['Bucket']}/{entry['Key']}" for entry in objects]
    else:
        found = RESOURCES[service](given) if service in RESOURCES else []
    return [arn.replace(LAPTOPS_ACCOUNT, ACCOUNT).replace(LAPTOPS_REGION, REGION) for arn in found or ["*"]]


def sagemaker_arns(given: dict[str, Any]) -> list[str]:
    """Return the ARN among the parameters, or those of the names."""
    if "ResourceArn" in given:
        return [given["ResourceArn"]]
    return [f"arn:aws:sagemaker:{AWS}:{kind}/{given[name]}" for name, kind in SAGEMAKER_NAMES.items() if name in given]


def log_arns(given: dict[str, Any]) -> list[str]:
    """Return the ARN of a log group's streams."""
    name = given.get("logGroupName")
    return [f"arn:aws:logs:{AWS}:log-group:{name}:any"] if name else []


def stack_arns(given: dict[str, Any]) -> list[str]:
    """Return the ARN of a stack, given by name or ARN."""
    name = given["StackName"].rpartition(":stack/")[2].split("/")[0]
    return [f"arn:aws:cloudformation:{AWS}:stack/{name}/any"]


RESOURCES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "cloudformation": stack_arns,
    "dynamodb": lambda given: [
        f"arn:aws:dynamodb:{AWS}:table/{table}" for table in given.get("RequestItems") or [given["TableName"]]
    ],
    "iam": lambda given: [given.get("PolicySourceArn") or f"arn:aws:iam::{ACCOUNT}:role/{given['RoleName']}"],
    "lambda": lambda given: [f"arn:aws:lambda:{AWS}:function:{given['FunctionName']}"],
    "logs": log_arns,
    "s3": lambda given: [f"arn:aws:s3:::{given['Bucket']}"],
    "sagemaker": sagemaker_arns,
    "sagemaker-runtime": sagemaker_arns,
    "sqs": lambda given: [f"arn:aws:sqs:{AWS}:{given['QueueUrl'].rsplit('/', 1)[-1]}"],
    # Without the stack's name, which MiniStack puts first; a unit test of the policy covers the other form.
    "stepfunctions": lambda given: [
        (given.get("executionArn") or given["stateMachineArn"]).replace(":scones-unlimited-My", ":My")
    ],
}
