"""Find the resources that the project made in an account, for cleanup to delete."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from common import settings
from common.account import bucket_tags
from common.errors import none_if_missing
from common.labels.label import is_label_key
from common.settings import CAPTURES_PREFIX, LABELS_PREFIX, STAGED_PREFIX
from training.cleaning.versions import KeyTest, any_key, count_versions
from training.endpoint.endpoint import (
    LOG_GROUP_PREFIX,
    find_endpoint,
    has_our_tag,
    is_ours,
    list_endpoint_configs,
    list_models,
    list_resources,
)
from training.endpoint.role import find_role, role_name
from training.endpoint.role import is_ours as role_is_ours
from training.endpoint.training_job import LOG_GROUP

NOT_OURS = "not made by this project"
KEEP_LABELS = (
    "people decided these; --labels deletes them too. The stack's deletion deletes their pictures: run"
    " `stage_data SOURCE --labels project` before, to train on them"
)
JOB_FOLDERS = (settings.JOBS_PREFIX, settings.CHECKPOINTS_PREFIX)  # each has a folder per job
MADE_NAME = r"(.+)-\d{14}"  # of a job, a model and a configuration: the endpoint's name and the time

# States of a bucket that belongs to its stack. `sam delete` leaves DELETE_FAILED if a bucket was not empty.
STACK_BUCKET_STATES = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_FAILED", "DELETE_FAILED")


@dataclass(frozen=True)
class Scope:
    """Names of the endpoint, training bucket and stack to search, and reasons to keep resources, "" for none.

    `keep_data` keeps the staged pictures, `keep_labels` people's labels, both with their bucket.
    """

    endpoint: str
    bucket: str
    stack: str
    account: str
    region: str
    keep_data: str = ""
    keep_role: str = ""
    keep_labels: str = ""


@dataclass(frozen=True)
class Leftover:
    """A resource to delete. For `objects`, `name` is `bucket/prefix`, and all versions are meant."""

    kind: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Kept:
    """A resource that is kept, and the reason."""

    kind: str
    name: str
    reason: str


@dataclass
class Found:
    """The resources found; `unseen` has a sentence for each search that failed."""

    leftovers: list[Leftover] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def add(self, searched: str, finder: Callable[[], Iterable[Leftover | Kept]]) -> None:
        """Add the results of a finder; keep its error, so that the other finders still run."""
        try:
            for item in finder():
                if isinstance(item, Leftover):
                    self.leftovers.append(item)
                else:
                    self.kept.append(item)
        except (ClientError, BotoCoreError) as error:
            self.unseen.append(f"could not look for {searched}: {error}")


def find_leftovers(session: Any, scope: Scope, endpoint_is_ours: bool | None) -> Found:
    """Return the resources in an order in which they can be deleted.

    `endpoint_is_ours` is the result of owns_endpoint before anything was deleted.
    """
    sagemaker, s3, logs = session.client("sagemaker"), session.client("s3"), session.client("logs")
    name, ours, found = scope.endpoint, endpoint_is_ours, Found()
    found.add("training jobs", lambda: _training_jobs(sagemaker, name))
    found.add(f"the endpoint {name}", lambda: _endpoint(sagemaker, name))
    found.add(
        "endpoint configurations",
        lambda: (Leftover("endpoint configuration", config) for config in list_endpoint_configs(sagemaker, name)),
    )
    found.add("models", lambda: (Leftover("model", model) for model in list_models(sagemaker, name)))
    found.add(f"the bucket {scope.bucket}", lambda: _training_bucket(s3, scope, ours))
    found.add(f"the stack {scope.stack}", lambda: _stack_objects(session.client("cloudformation"), s3, scope))
    found.add("logs of training jobs", lambda: _job_logs(logs, name))
    found.add("the endpoint's log", lambda: _endpoint_log(logs, name, ours))
    found.add("the role", lambda: _role(session.client("iam"), scope))
    return found


def owns_endpoint(sagemaker: Any, name: str) -> bool | None:
    """Tell whether this project made the endpoint, by its tag, or by its configurations and models once it is gone.

    None if none of them exists.
    """
    found = find_endpoint(sagemaker, name)
    if found:
        return has_our_tag(sagemaker, found["EndpointArn"])
    made = chain(list_endpoint_configs(sagemaker, name), list_models(sagemaker, name))
    return True if next(made, None) else None


def other_endpoints(sagemaker: Any, endpoint: str) -> list[str]:
    """Return the project's other endpoints: they use the same role, bucket and pictures.

    Running jobs and configurations name endpoints that do not exist yet.
    """
    others = {
        found["EndpointName"]
        for found in list_resources(sagemaker, "list_endpoints", "Endpoints")
        if found["EndpointName"] != endpoint and has_our_tag(sagemaker, found["EndpointArn"])
    }
    made = [
        (job["TrainingJobName"], job["TrainingJobArn"])
        for job in list_resources(sagemaker, "list_training_jobs", "TrainingJobSummaries", StatusEquals="InProgress")
    ] + [
        (config["EndpointConfigName"], config["EndpointConfigArn"])
        for config in list_resources(sagemaker, "list_endpoint_configs", "EndpointConfigs")
    ]
    for name, arn in made:
        match = re.fullmatch(MADE_NAME, name)
        if match and match[1] not in {endpoint, *others} and has_our_tag(sagemaker, arn):
            others.add(match[1])
    return sorted(others)


def _training_jobs(sagemaker: Any, endpoint: str) -> Iterator[Leftover]:
    for job in list_resources(sagemaker, "list_training_jobs", "TrainingJobSummaries", NameContains=endpoint):
        name, status = job["TrainingJobName"], job["TrainingJobStatus"]
        if status != "Deleting" and is_ours(sagemaker, endpoint, name, job["TrainingJobArn"]):
            yield Leftover("training job", name, status)


def _endpoint(sagemaker: Any, name: str) -> Iterator[Leftover | Kept]:
    found = find_endpoint(sagemaker, name)
    if found and has_our_tag(sagemaker, found["EndpointArn"]):
        yield Leftover("endpoint", name, f"{found['EndpointStatus']}, costs money by the hour")
    elif found:
        yield Kept("endpoint", name, NOT_OURS)


def _training_bucket(s3: Any, scope: Scope, ours: bool | None) -> Iterator[Leftover | Kept]:
    """Yield the bucket with all its objects, or the project's prefixes if the bucket is kept."""
    bucket = scope.bucket
    if not _bucket_exists(s3, bucket):
        return
    captures = f"{CAPTURES_PREFIX}/{scope.endpoint}/"
    labels = f"{LABELS_PREFIX}/"
    foreign_captures = ours is False and count_versions(s3, bucket, captures) > 0
    reason = scope.keep_data
    # The tag alone does not show it: companies tag all buckets of a project to allocate costs.
    if not reason and not (
        bucket == settings.default_bucket(scope.account, scope.region)
        and settings.project().tag in bucket_tags(s3, bucket)
    ):
        reason = NOT_OURS
    if not reason and foreign_captures:
        reason = "holds captures of an endpoint that this project did not make"
    keep_labels = scope.keep_data or scope.keep_labels
    labels_stay = bool(keep_labels) and count_versions(s3, bucket, labels, is_label_key) > 0
    if not reason and not labels_stay:
        yield from _objects(s3, bucket, "")
        yield Leftover("bucket", bucket)
        return
    for prefix in _prefixes(s3, scope, reason, ours):
        yield from _objects(s3, bucket, prefix)
    if foreign_captures:
        yield Kept("objects", f"{bucket}/{captures}", NOT_OURS)
    if scope.keep_data:
        yield Kept("objects", f"{bucket}/{STAGED_PREFIX}/", reason)
    if labels_stay:
        yield Kept("objects", f"{bucket}/{labels}", keep_labels)
    yield Kept("bucket", bucket, reason or "holds labels")


def _prefixes(s3: Any, scope: Scope, reason: str, ours: bool | None) -> list[str]:
    """Return the prefixes to delete in a bucket that is kept for a `reason`, or only for its labels."""
    if not reason:  # everything of the project but the labels
        return [f"{name}/" for name in (*JOB_FOLDERS, CAPTURES_PREFIX, STAGED_PREFIX)]
    prefixes = _job_prefixes(s3, scope.bucket, scope.endpoint)
    if ours is not False:
        prefixes.append(f"{CAPTURES_PREFIX}/{scope.endpoint}/")
    if not scope.keep_data:
        prefixes.append(f"{STAGED_PREFIX}/")
        if not scope.keep_labels:
            prefixes.append(f"{LABELS_PREFIX}/")
    return prefixes


def _job_prefixes(s3: Any, bucket: str, endpoint: str) -> list[str]:
    """Return the folders of this endpoint's jobs, without those of endpoints with a longer name."""
    pages = chain.from_iterable(
        s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"{parent}/{endpoint}-", Delimiter="/")
        for parent in JOB_FOLDERS
    )
    return [
        folder["Prefix"]
        for page in pages
        for folder in page.get("CommonPrefixes", [])
        if re.fullmatch(rf"[a-z]+/{re.escape(endpoint)}-\d{{14}}/", folder["Prefix"])
    ]


def _stack_objects(cloudformation: Any, s3: Any, scope: Scope) -> Iterator[Leftover | Kept]:
    """Yield the objects in the stack's buckets, which `sam delete` does not empty."""
    try:
        (stack,) = cloudformation.describe_stacks(StackName=scope.stack)["Stacks"]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return
        raise
    outputs = {out["OutputKey"]: out["OutputValue"] for out in stack.get("Outputs", [])}
    serves = outputs.get("EndpointName")
    if settings.project().tag not in stack.get("Tags", []):
        yield Kept("stack", scope.stack, NOT_OURS)
        return
    if serves != scope.endpoint:
        yield Kept("stack", scope.stack, f"serves the endpoint {serves or 'of no name'}")
        return
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=scope.stack)
    for resource in [r for page in pages for r in page["StackResourceSummaries"]]:
        if resource["ResourceType"] != "AWS::S3::Bucket":
            continue
        bucket = resource.get("PhysicalResourceId", "")
        if resource["ResourceStatus"] in STACK_BUCKET_STATES and bucket and _bucket_exists(s3, bucket):
            yield from _objects(s3, bucket, "")


def own_keys(prefix: str) -> KeyTest:
    """Return the test for the project's keys below a prefix: a bucket that is kept may hold other objects."""
    return is_label_key if prefix == f"{LABELS_PREFIX}/" else any_key


def _objects(s3: Any, bucket: str, prefix: str) -> Iterator[Leftover]:
    count = count_versions(s3, bucket, prefix, own_keys(prefix))
    if count:
        yield Leftover("objects", f"{bucket}/{prefix}", f"{count} with all their versions")


def _bucket_exists(s3: Any, bucket: str) -> bool:
    return none_if_missing(s3.head_bucket, "404", "NoSuchBucket", Bucket=bucket) is not None


def _job_logs(logs: Any, endpoint: str) -> Iterator[Leftover]:
    streams = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=LOG_GROUP, logStreamNamePrefix=f"{endpoint}-"
    )
    try:
        names = [s["logStreamName"] for page in streams for s in page["logStreams"]]
    except logs.exceptions.ResourceNotFoundException:
        return
    for name in names:
        if re.match(rf"{re.escape(endpoint)}-\d{{14}}/", name):
            yield Leftover("log stream", name, f"in {LOG_GROUP}")


def _endpoint_log(logs: Any, endpoint: str, ours: bool | None) -> Iterator[Leftover | Kept]:
    group = f"{LOG_GROUP_PREFIX}/{endpoint}"
    groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    if not any(found["logGroupName"] == group for found in groups):
        return
    if ours:
        yield Leftover("log group", group)
    else:
        unknown = "its endpoint is gone, and no resource shows who made it"
        yield Kept("log group", group, unknown if ours is None else NOT_OURS)


def _role(iam: Any, scope: Scope) -> Iterator[Leftover | Kept]:
    role = find_role(iam, role_name(scope.region))
    if not role:
        return
    reason = scope.keep_role if role_is_ours(role) else NOT_OURS
    name = role["RoleName"]
    yield Kept("role", name, reason) if reason else Leftover("role", name)
