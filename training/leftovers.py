"""Find what the project made in an account: cleanup deletes it, and looks again afterwards."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from training.endpoint import (
    LOG_GROUP_PREFIX,
    find_endpoint,
    is_ours,
    list_endpoint_configs,
    list_models,
)
from training.role import find_role, role_name
from training.role import is_ours as role_is_ours
from training.settings import CAPTURES_PREFIX, JOBS_PREFIX, PROJECT_TAG, STAGED_PREFIX
from training.training_job import LOG_GROUP
from training.versions import count_versions


@dataclass(frozen=True)
class Scope:
    """Where to look: endpoint, training bucket and stack by name; and what to leave alone."""

    endpoint: str
    bucket: str
    stack: str
    region: str
    keep_data: bool = False  # the staged pictures and their bucket
    keep_role: bool = False


@dataclass(frozen=True)
class Leftover:
    """One thing to delete. For `objects`, `name` is `bucket/prefix`, every version of them."""

    kind: str
    name: str
    detail: str = ""


def find_leftovers(session: Any, scope: Scope) -> list[Leftover]:
    """Return what is there, in an order in which it can be deleted."""
    sagemaker, s3, logs = session.client("sagemaker"), session.client("s3"), session.client("logs")
    return [
        *_training_jobs(sagemaker, scope.endpoint),
        *_endpoint(sagemaker, scope.endpoint),
        *(
            Leftover("endpoint configuration", name)
            for name in list_endpoint_configs(sagemaker, scope.endpoint)
        ),
        *(Leftover("model", name) for name in list_models(sagemaker, scope.endpoint)),
        *_training_bucket(s3, scope),
        *_stack_objects(session.client("cloudformation"), s3, scope.stack),
        *_logs(logs, scope.endpoint),
        *([] if scope.keep_role else _role(session.client("iam"), scope.region)),
    ]


def other_endpoints(sagemaker: Any, endpoint: str) -> list[str]:
    """Return the project's other endpoints: they use the same role, bucket and pictures."""
    pages = sagemaker.get_paginator("list_endpoints").paginate()
    return [
        found["EndpointName"]
        for page in pages
        for found in page["Endpoints"]
        if found["EndpointName"] != endpoint
        and PROJECT_TAG in sagemaker.list_tags(ResourceArn=found["EndpointArn"])["Tags"]
    ]


def _training_jobs(sagemaker: Any, endpoint: str) -> Iterator[Leftover]:
    pages = sagemaker.get_paginator("list_training_jobs").paginate(NameContains=endpoint)
    for page in pages:
        for job in page["TrainingJobSummaries"]:
            name, status = job["TrainingJobName"], job["TrainingJobStatus"]
            if status != "Deleting" and is_ours(sagemaker, endpoint, name, job["TrainingJobArn"]):
                yield Leftover("training job", name, status)


def _endpoint(sagemaker: Any, name: str) -> Iterator[Leftover]:
    found = find_endpoint(sagemaker, name)
    if found:
        yield Leftover("endpoint", name, f"{found['EndpointStatus']}, costs money by the hour")


def _training_bucket(s3: Any, scope: Scope) -> Iterator[Leftover]:
    """Everything in a bucket that the project made, and the bucket; else only its own prefixes."""
    bucket = scope.bucket
    if not _bucket_exists(s3, bucket):
        return
    if not scope.keep_data and _bucket_is_ours(s3, bucket):
        yield from _objects(s3, bucket, "")
        yield Leftover("bucket", bucket)
        return
    prefixes = [*_job_prefixes(s3, bucket, scope.endpoint), f"{CAPTURES_PREFIX}/{scope.endpoint}/"]
    if not scope.keep_data:
        prefixes.append(f"{STAGED_PREFIX}/")
    for prefix in prefixes:
        yield from _objects(s3, bucket, prefix)


def _job_prefixes(s3: Any, bucket: str, endpoint: str) -> list[str]:
    """Return the folders of this endpoint's jobs, among those of endpoints of a like name."""
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Prefix=f"{JOBS_PREFIX}/{endpoint}-", Delimiter="/"
    )
    return [
        folder["Prefix"]
        for page in pages
        for folder in page.get("CommonPrefixes", [])
        if re.fullmatch(rf"{JOBS_PREFIX}/{re.escape(endpoint)}-\d{{14}}/", folder["Prefix"])
    ]


def _stack_objects(cloudformation: Any, s3: Any, stack: str) -> Iterator[Leftover]:
    """Yield what keeps `sam delete` from deleting the stack's buckets."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    try:
        resources = [r for page in pages for r in page["StackResourceSummaries"]]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return
        raise
    for resource in resources:
        bucket = resource.get("PhysicalResourceId", "")
        if resource["ResourceType"] == "AWS::S3::Bucket" and bucket and _bucket_exists(s3, bucket):
            yield from _objects(s3, bucket, "")


def _objects(s3: Any, bucket: str, prefix: str) -> Iterator[Leftover]:
    count = count_versions(s3, bucket, prefix)
    if count:
        yield Leftover("objects", f"{bucket}/{prefix}", f"{count} with all their versions")


def _bucket_exists(s3: Any, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            return False
        raise
    return True


def _bucket_is_ours(s3: Any, bucket: str) -> bool:
    try:
        tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchTagSet":
            return False
        raise
    return PROJECT_TAG in tags


def _logs(logs: Any, endpoint: str) -> Iterator[Leftover]:
    """Yield the logs of the training jobs, and of the endpoint."""
    streams = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=LOG_GROUP, logStreamNamePrefix=f"{endpoint}-"
    )
    try:
        names = [s["logStreamName"] for page in streams for s in page["logStreams"]]
    except logs.exceptions.ResourceNotFoundException:
        names = []
    for name in names:
        if re.match(rf"{re.escape(endpoint)}-\d{{14}}/", name):
            yield Leftover("log stream", name, f"in {LOG_GROUP}")
    group = f"{LOG_GROUP_PREFIX}/{endpoint}"
    groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    if any(found["logGroupName"] == group for found in groups):
        yield Leftover("log group", group)


def _role(iam: Any, region: str) -> Iterator[Leftover]:
    role = find_role(iam, role_name(region))
    if role and role_is_ours(role):
        yield Leftover("role", role["RoleName"])
