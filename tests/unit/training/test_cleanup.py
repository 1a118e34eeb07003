"""Cleanup deletes only with consent, and only the project's resources."""

import io
import json
from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError
from rich.console import Console

from common.settings import default_bucket, project
from tests.unit.aws_stubs import ACCOUNT, REGION, StubbedSession, stack_response, stubbed
from tests.unit.training.sagemaker_answers import (
    WHEN,
    add_tags,
    arn,
    config_summary,
    described_endpoint,
    described_job,
    job_summary,
    model_summary,
)
from training import cleanup
from training.cleaning.leftovers import (
    KEEP_LABELS,
    NOT_OURS,
    Found,
    Kept,
    Leftover,
    Scope,
    find_leftovers,
    other_endpoints,
    owns_endpoint,
)
from training.cleaning.versions import ObjectsNotDeletedError, delete_versions
from training.cleanup import NotConfirmedError, confirm, delete_all
from training.endpoint.endpoint import LOG_GROUP_PREFIX
from training.endpoint.role import role_name
from training.endpoint.training_job import LOG_GROUP

NAME = "pictures"
MADE = "pictures-20260102030405"
OTHER = "pictures-2-20260102030405"
JOB_PREFIXES = (f"jobs/{MADE}/", f"checkpoints/{MADE}/")  # of this endpoint's job
OWN_PREFIXES = (*JOB_PREFIXES, f"captures/{NAME}/", "staged/")
BUCKET = default_bucket(ACCOUNT, REGION)
LABEL = f"review-labels/{64 * 'a'}/null.json"

TAG = project().tag


def versions(*keys, markers=()):
    return {
        "Versions": [{"Key": key, "VersionId": "1"} for key in keys],
        "DeleteMarkers": [{"Key": key, "VersionId": "2"} for key in markers],
        "IsTruncated": False,
    }


def add_endpoints(sagemaker, *others, jobs=(), configs=()):
    """Add the endpoint, one of another project, and the project's other endpoints, jobs and configurations."""
    add = sagemaker.add_response
    summary = {"EndpointStatus": "InService", "CreationTime": WHEN, "LastModifiedTime": WHEN}
    names = (NAME, "foreign", *others)
    endpoints = [{"EndpointName": name, "EndpointArn": arn("endpoint", name), **summary} for name in names]
    add("list_endpoints", {"Endpoints": endpoints}, {})
    add_tags(sagemaker, "endpoint", "foreign", tags=())
    add_tags(sagemaker, "endpoint", *others)
    summaries = [job_summary(name) for name in (MADE, "unlike ours", *jobs)]
    add("list_training_jobs", {"TrainingJobSummaries": summaries}, {"StatusEquals": "InProgress"})
    add("list_endpoint_configs", {"EndpointConfigs": [config_summary(name) for name in (MADE, *configs)]}, {})
    add_tags(sagemaker, "training-job", *jobs)
    add_tags(sagemaker, "endpoint-config", *configs)


def add_endpoint(sagemaker, tags=(TAG,)):
    """Add the endpoint with these tags, no endpoint for None."""
    if tags is None:
        sagemaker.add_client_error("describe_endpoint", "ValidationException", "Could not find")
        return
    sagemaker.add_response("describe_endpoint", described_endpoint(NAME, "InService", MADE))
    add_tags(sagemaker, "endpoint", NAME, tags=tags)


def add_configs(sagemaker, *names):
    configs = [config_summary(name) for name in names]
    sagemaker.add_response("list_endpoint_configs", {"EndpointConfigs": configs}, {"NameContains": NAME})
    add_tags(sagemaker, "endpoint-config", *names)


def add_models(sagemaker, *names):
    sagemaker.add_response("list_models", {"Models": [model_summary(name) for name in names]}, {"NameContains": NAME})
    add_tags(sagemaker, "model", *names)


def add_stack(session, *, serves=NAME, tags=(TAG,)):
    """Add a stack that serves an endpoint; each resource is named after its state."""
    stub = session.stub("cloudformation")
    answer = stack_response({"EndpointName": serves})
    answer["Stacks"][0]["Tags"] = list(tags)
    stub.add_response("describe_stacks", answer, {"StackName": "stack"})
    if serves != NAME or not tags:
        return
    resources = [
        ("inbox", "AWS::S3::Bucket", "CREATE_COMPLETE"),
        ("queue", "AWS::SQS::Queue", "CREATE_COMPLETE"),
        ("let-go", "AWS::S3::Bucket", "DELETE_SKIPPED"),
        ("gone", "AWS::S3::Bucket", "DELETE_COMPLETE"),
    ]
    summaries = [
        {
            "LogicalResourceId": name,
            "PhysicalResourceId": name,
            "ResourceType": kind,
            "ResourceStatus": status,
            "LastUpdatedTimestamp": WHEN,
        }
        for name, kind, status in resources
    ]
    stub.add_response("list_stack_resources", {"StackResourceSummaries": summaries}, {"StackName": "stack"})
    s3 = session.stub("s3")
    s3.add_response("head_bucket", {}, {"Bucket": "inbox"})
    s3.add_response("list_object_versions", versions("x", markers=["y"]), {"Bucket": "inbox", "Prefix": ""})


def add_logs(session, group=f"{LOG_GROUP_PREFIX}/{NAME}"):
    logs = session.stub("logs")
    logs.add_response(
        "describe_log_streams",
        {"logStreams": [{"logStreamName": f"{name}/algo-1-1"} for name in (MADE, OTHER)]},
        {"logGroupName": LOG_GROUP, "logStreamNamePrefix": f"{NAME}-"},
    )
    groups = [group, f"{LOG_GROUP_PREFIX}/{NAME}-2"]
    logs.add_response("describe_log_groups", {"logGroups": [{"logGroupName": group} for group in groups]})


def add_role(session, tags=(TAG,)):
    role = {
        "Path": "/",
        "RoleName": role_name(REGION),
        "RoleId": "AROA0123456789ABCDEF",
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/{role_name(REGION)}",
        "CreateDate": WHEN,
        "Tags": list(tags),
    }
    session.stub("iam").add_response("get_role", {"Role": role}, {"RoleName": role_name(REGION)})


def add_nothing(session, but=""):
    """Let find_leftovers find nothing; the test itself adds the answers of the service `but`."""
    sagemaker = session.stub("sagemaker")
    sagemaker.add_response("list_training_jobs", {"TrainingJobSummaries": []})
    add_endpoint(sagemaker, tags=None)
    add_configs(sagemaker)
    add_models(sagemaker)
    if but != "s3":
        session.stub("s3").add_client_error("head_bucket", "404", http_status_code=404)
    if but != "cloudformation":
        stack = session.stub("cloudformation")
        stack.add_client_error("describe_stacks", "ValidationError", "Stack with id stack does not exist")
    if but != "logs":
        session.stub("logs").add_client_error("describe_log_streams", "ResourceNotFoundException")
        session.stub("logs").add_response("describe_log_groups", {"logGroups": []})
    if but != "iam":
        session.stub("iam").add_client_error("get_role", "NoSuchEntity", http_status_code=404)


def add_bucket(
    session, bucket=BUCKET, *, tags=(TAG,), asked=True, captures=False, labels=(), jobs=True, prefixes=("",)
):
    """Add a bucket with two objects below each prefix.

    `asked`: the tags are read. `captures`: those of a foreign endpoint are counted. `labels`: the keys where labels
    are counted, None where they are not. `jobs`: folders of jobs are listed.
    """
    s3 = session.stub("s3")

    def add_versions(prefix, *keys):
        s3.add_response("list_object_versions", versions(*keys), {"Bucket": bucket, "Prefix": prefix})

    s3.add_response("head_bucket", {}, {"Bucket": bucket})
    if captures:
        add_versions(f"captures/{NAME}/", "c")
    if asked and tags:
        s3.add_response("get_bucket_tagging", {"TagSet": list(tags)}, {"Bucket": bucket})
    elif asked:
        s3.add_client_error("get_bucket_tagging", "NoSuchTagSet")
    if labels is not None:
        add_versions("review-labels/", *labels)
    for parent in ("jobs", "checkpoints") if jobs and prefixes != ("",) else ():
        s3.add_response(
            "list_object_versions",
            {"CommonPrefixes": [{"Prefix": f"{parent}/{name}/"} for name in (MADE, OTHER)], "IsTruncated": False},
            {"Bucket": bucket, "Prefix": f"{parent}/{NAME}-", "Delimiter": "/"},
        )
    for prefix in prefixes:
        add_versions(prefix, LABEL, f"{prefix}a")


def everything_there(*, others=None, endpoint_tags=(TAG,), **bucket):
    """Return a session with every kind of resource, next to resources of others.

    With `others` it answers the whole command, else find_leftovers.
    """
    session = StubbedSession()
    sagemaker = session.stub("sagemaker")
    if others is not None:
        add_endpoints(sagemaker, *others)
        add_endpoint(sagemaker, endpoint_tags)
    jobs = [job_summary(name) for name in (MADE, OTHER)]
    sagemaker.add_response("list_training_jobs", {"TrainingJobSummaries": jobs}, {"NameContains": NAME})
    add_tags(sagemaker, "training-job", MADE)
    add_endpoint(sagemaker, endpoint_tags)
    add_configs(sagemaker, MADE)
    add_models(sagemaker, MADE)
    add_bucket(session, **bucket)
    add_stack(session)
    add_logs(session)
    add_role(session)
    return session


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the command against a session; return exit status, report, standard output and error."""
    monkeypatch.setattr(cleanup, "REPORT", tmp_path / "cleanup.json")

    def run(session, *arguments):
        monkeypatch.setattr("boto3.Session", lambda: session)
        session.add_identity()
        names = ["--endpoint", NAME, "--bucket", BUCKET, "--stack-name", "stack"]
        status = cleanup.main([*names, *arguments])
        report = json.loads(cleanup.REPORT.read_text()) if cleanup.REPORT.exists() else None
        return status, report, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("options", "expected_status", "expected_error"),
    [
        ([], 1, "cleanup: There is no terminal to ask on: pass --yes to delete these.\n"),
        (["--dry-run"], 0, ""),
    ],
    ids=["no terminal", "dry run"],
)
def test_cleanup_without_consent_deletes_nothing(run, monkeypatch, options, expected_status, expected_error):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    session = everything_there(others=())
    status, report, shown, error = run(session, *options)
    assert (status, report, error) == (expected_status, None, expected_error)
    assert MADE in shown


@pytest.mark.parametrize("answer", ["", "n", "yess"])
def test_confirm_with_any_answer_but_yes_fails(monkeypatch, answer):
    monkeypatch.setattr("sys.stdin", Mock(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _: answer)
    with pytest.raises(NotConfirmedError, match="Nothing was deleted"):
        confirm(3)


def test_cleanup_without_resources_writes_an_empty_report(run):
    session = StubbedSession()
    sagemaker = session.stub("sagemaker")
    add_endpoints(sagemaker)
    add_endpoint(sagemaker, tags=None)
    add_configs(sagemaker)
    add_models(sagemaker)
    add_nothing(session)
    status, report, shown, _ = run(session, "--yes")
    assert status == 0
    assert report == {key: [] for key in ("deleted", "kept", "failures", "resources_left", "not_looked_for")}
    assert "Nothing to delete" in shown
    assert "nothing is left" in shown


def test_failed_deletion_is_reported_and_the_rest_is_deleted(run, monkeypatch):
    monkeypatch.setattr(cleanup, "PROOF_TIMEOUT_S", -1)
    # Two resources of one name, of which one is deleted.
    found = [Leftover("model", MADE), Leftover("endpoint configuration", MADE)]
    looks = iter([Found(found), Found(found[:1])])
    monkeypatch.setattr(cleanup, "find_leftovers", lambda *_: next(looks))
    monkeypatch.setattr(cleanup, "owns_endpoint", lambda *_: True)
    session = StubbedSession()
    stub = session.stub("sagemaker")
    add_endpoints(stub)
    stub.add_client_error("delete_model", "AccessDeniedException", "not you")
    stub.add_response("delete_endpoint_config", {}, {"EndpointConfigName": MADE})
    status, report, shown, error = run(session, "--yes")
    assert status == 1
    assert report["resources_left"] == [{"kind": "model", "name": MADE, "detail": ""}]
    assert [item["kind"] for item in report["deleted"]] == ["endpoint configuration"]
    assert f"model {MADE}" in error
    assert "not you" in error
    assert "1 still there" in error
    assert "still there" in shown
    assert "nothing is left" not in shown


def test_denied_lists_do_not_stop_the_cleanup(run):
    # GIVEN an account that denies the lists of stacks, logs, roles, the bucket and other endpoints
    session = StubbedSession()
    sagemaker = session.stub("sagemaker")
    sagemaker.add_client_error("list_endpoints", "AccessDeniedException", "no list")
    add_endpoint(sagemaker, tags=None)
    add_configs(sagemaker, MADE)
    for looked, names in enumerate([(MADE,), ()]):
        if looked:
            sagemaker.add_response("delete_endpoint_config", {}, {"EndpointConfigName": MADE})
            sagemaker.add_response("delete_model", {}, {"ModelName": MADE})
        sagemaker.add_response("list_training_jobs", {"TrainingJobSummaries": []})
        add_endpoint(sagemaker, tags=None)
        add_configs(sagemaker, *names)
        add_models(sagemaker, *names)
        session.stub("s3").add_client_error("head_bucket", "403", http_status_code=403)
        for service, operation in (
            ("cloudformation", "describe_stacks"),
            ("logs", "describe_log_streams"),
            ("logs", "describe_log_groups"),
            ("iam", "get_role"),
        ):
            session.stub(service).add_client_error(operation, "AccessDenied", "not you")

    # WHEN cleanup runs
    status, report, shown, error = run(session, "--yes")

    # THEN the rest is deleted, and each failed search is named once
    assert status == 1
    assert {item["kind"] for item in report["deleted"]} == {"endpoint configuration", "model"}
    assert len(report["not_looked_for"]) == 6
    for place in ("other endpoints", "the stack stack", f"the bucket {BUCKET}", "the role"):
        assert error.count(f"could not look for {place}: ") == 1
    assert "nothing is left" not in shown


def test_connection_error_of_endpoint_lists_does_not_stop_the_cleanup(run, monkeypatch):
    fail = Mock(side_effect=EndpointConnectionError(endpoint_url="https://sagemaker"))
    monkeypatch.setattr(cleanup, "other_endpoints", fail)
    monkeypatch.setattr(cleanup, "owns_endpoint", fail)
    monkeypatch.setattr(cleanup, "find_leftovers", lambda *_: Found())

    status, report, _, error = run(StubbedSession(), "--yes")

    assert status == 1
    assert len(report["not_looked_for"]) == 1
    assert "could not look for other endpoints: Could not connect" in error


def look(session, endpoint_is_ours=True, **more):
    """Return the pairs of kind and name found, and the reasons of what is kept by name."""
    names = {"endpoint": NAME, "bucket": BUCKET, "stack": "stack", "keep_labels": KEEP_LABELS} | more
    found = find_leftovers(session, Scope(account=ACCOUNT, region=REGION, **names), endpoint_is_ours)
    assert found.unseen == []
    pairs = [(item.kind, item.name) for item in found.leftovers]
    return pairs, {kept.name: kept.reason for kept in found.kept}


@pytest.mark.parity("sagemaker-lists", "cloudformation-describe", "logs-read")
def test_find_leftovers_returns_only_resources_of_the_project():
    assert look(everything_there()) == (
        [
            ("training job", MADE),
            ("endpoint", NAME),
            ("endpoint configuration", MADE),
            ("model", MADE),
            ("objects", f"{BUCKET}/"),
            ("bucket", BUCKET),
            ("objects", "inbox/"),
            ("log stream", f"{MADE}/algo-1-1"),
            ("log group", f"{LOG_GROUP_PREFIX}/{NAME}"),
            ("role", role_name(REGION)),
        ],
        {},
    )


def test_untagged_endpoint_is_kept_with_its_log_and_captures(run):
    prefixes = (*JOB_PREFIXES, "staged/")
    bucket = {"bucket": "mine", "asked": False, "captures": True, "prefixes": prefixes}
    session = everything_there(endpoint_tags=(), others=(), **bucket)
    status, _, shown, _ = run(session, "--dry-run", "--bucket", "mine")
    assert status == 0
    for kept in (
        f"endpoint {NAME}",
        f"log group {LOG_GROUP_PREFIX}/{NAME}",
        f"objects mine/captures/{NAME}/",
        "bucket mine",
    ):
        assert f"kept: {kept}: not made by this project" in shown
    assert "costs money by the hour" not in shown


def test_captures_of_an_untagged_endpoint_keep_the_projects_bucket():
    session = StubbedSession()
    add_nothing(session, but="s3")
    add_bucket(session, captures=True, prefixes=(*JOB_PREFIXES, "staged/"))
    pairs, kept = look(session, endpoint_is_ours=False)
    assert pairs == [("objects", f"{BUCKET}/{prefix}") for prefix in (*JOB_PREFIXES, "staged/")]
    assert kept[BUCKET] == "holds captures of an endpoint that this project did not make"


@pytest.mark.parametrize(
    ("tags", "names", "ours"),
    [
        ((TAG,), (), True),
        ((), (), False),
        (None, (MADE,), True),
        (None, (), None),
    ],
    ids=["tagged", "untagged", "gone, its configuration not", "gone"],
)
def test_owns_endpoint_reads_tags_of_endpoint_or_configuration(tags, names, ours):
    sagemaker, stubber = stubbed("sagemaker")
    add_endpoint(stubber, tags)
    if tags is None:
        stubber.add_response("list_endpoint_configs", {"EndpointConfigs": [config_summary(name) for name in names]})
        for name in names:
            add_tags(stubber, "endpoint-config", name)
        if not names:
            stubber.add_response("list_models", {"Models": []})
    assert owns_endpoint(sagemaker, NAME) is ours


def test_log_group_of_unknown_owner_is_kept():
    session = StubbedSession()
    add_nothing(session, but="logs")
    add_logs(session)
    pairs, kept = look(session, endpoint_is_ours=None)
    assert pairs == [("log stream", f"{MADE}/algo-1-1")]
    assert "no resource shows who made it" in kept[f"{LOG_GROUP_PREFIX}/{NAME}"]


@pytest.mark.parametrize(
    ("service", "add", "options", "kept"),
    [
        ("cloudformation", add_stack, {"serves": "experiment-2"}, {"stack": "serves the endpoint experiment-2"}),
        ("cloudformation", add_stack, {"tags": ()}, {"stack": "not made by this project"}),
        ("iam", add_role, {"tags": ()}, {role_name(REGION): "not made by this project"}),
    ],
    ids=["stack of another endpoint", "stack without the tag", "role without the tag"],
)
def test_stack_or_role_of_another_endpoint_or_project_is_kept(service, add, options, kept):
    session = StubbedSession()
    add_nothing(session, but=service)
    add(session, **options)
    assert look(session) == ([], kept)


@pytest.mark.parametrize(
    ("bucket", "options", "prefixes", "expected"),
    [
        ({"tags": ()}, {}, OWN_PREFIXES, {BUCKET: NOT_OURS}),
        ({"bucket": "mine", "asked": False}, {"bucket": "mine"}, OWN_PREFIXES, {"mine": NOT_OURS}),
        (
            {"asked": False},
            {"keep_data": "--keep-data"},
            OWN_PREFIXES[:-1],
            {f"{BUCKET}/staged/": "--keep-data", BUCKET: "--keep-data"},
        ),
        (
            {"labels": (LABEL, "review-labels/notes.txt"), "jobs": False},
            {},
            ("jobs/", "checkpoints/", "captures/", "staged/"),
            {f"{BUCKET}/review-labels/": KEEP_LABELS, BUCKET: "holds labels"},
        ),
        (
            {"asked": False, "labels": (LABEL,)},
            {"keep_data": "shared", "keep_labels": ""},
            OWN_PREFIXES[:-1],
            dict.fromkeys((f"{BUCKET}/staged/", f"{BUCKET}/review-labels/", BUCKET), "shared"),
        ),
        ({"labels": None, "tags": ()}, {"keep_labels": ""}, (*OWN_PREFIXES, "review-labels/"), {BUCKET: NOT_OURS}),
        ({"labels": ("review-labels/notes.txt",)}, {}, ("",), {}),
    ],
    ids=["no tag", "other name", "keep data", "labels", "shared labels", "labels deleted", "not a label"],
)
def test_training_bucket_keeps_protected_objects(bucket, options, prefixes, expected):
    pairs, kept = look(everything_there(prefixes=prefixes, **bucket), **options)
    name = bucket.get("bucket", BUCKET)
    assert [found for kind, found in pairs if kind == "objects" and found.startswith(name)] == [
        f"{name}/{prefix}" for prefix in prefixes
    ]
    assert kept == expected


@pytest.mark.parametrize(
    ("options", "bucket", "texts"),
    [
        (
            [],
            {"labels": (LABEL,), "jobs": False, "prefixes": ("jobs/", "checkpoints/", "captures/", "staged/")},
            [
                f"kept: objects {BUCKET}/review-labels/: people decided these; --labels deletes",
                "run `stage_data SOURCE --labels project` before",
            ],
        ),
        (["--labels"], {"labels": None}, []),
    ],
)
def test_cleanup_keeps_labels_without_the_option(run, options, bucket, texts):
    session = everything_there(others=(), **bucket)
    status, _, shown, _ = run(session, "--dry-run", *options)
    assert status == 0
    assert all(text in shown for text in texts)
    assert ("kept" in shown) is bool(texts)


def test_bucket_and_role_of_another_endpoint_are_kept(run):
    prefixes = (*JOB_PREFIXES, f"captures/{NAME}/")
    session = everything_there(prefixes=prefixes, asked=False, others=("pictures-2",))
    status, _, shown, _ = run(session, "--dry-run")
    assert status == 0
    for kept in (f"bucket {BUCKET}", f"role {role_name(REGION)}"):
        assert f"kept: {kept}: used for pictures-2 too" in shown


def test_other_endpoints_include_those_of_jobs_and_configurations():
    sagemaker, stubber = stubbed("sagemaker")
    add_endpoints(stubber, jobs=["a-20260102030405"], configs=["b-20260102030405"])
    assert other_endpoints(sagemaker, NAME) == ["a", "b"]


def test_cleanup_lists_kept_resources(run, monkeypatch):
    monkeypatch.setattr(cleanup, "find_leftovers", lambda *_: Found(kept=[Kept("role", "r", "x")]))
    monkeypatch.setattr(cleanup, "owns_endpoint", lambda *_: True)
    session = StubbedSession()
    add_endpoints(session.stub("sagemaker"))
    status, report, shown, _ = run(session, "--yes")
    assert (status, report["kept"]) == (0, [{"kind": "role", "name": "r", "reason": "x"}])
    assert "Looked again: all that is left was kept: role r." in shown
    assert "nothing is left" not in shown


def delete(session, *found):
    console = Console(file=io.StringIO(), width=200)
    return delete_all(session, list(found), console)


@pytest.mark.parity("training-stop")
def test_running_training_job_is_stopped_before_it_is_deleted():
    session = StubbedSession()
    stub = session.stub("sagemaker")
    job = {"TrainingJobName": MADE}
    stub.add_response("describe_training_job", described_job(MADE, "InProgress", "Training"), job)
    stub.add_response("stop_training_job", {}, job)
    stub.add_response("describe_training_job", described_job(MADE, "Stopped", "Stopped"), job)
    stub.add_response("delete_training_job", {}, job)
    assert delete(session, Leftover("training job", MADE)) == []


@pytest.mark.parity("s3-delete")
@pytest.mark.parametrize(
    ("prefix", "listed", "deleted"),
    [
        ("", versions("x", markers=["y"]), [("x", "1"), ("y", "2")]),
        (
            "review-labels/",
            versions(LABEL, "review-labels/somebody-elses.json", markers=["review-labels/x/1.json"]),
            [(LABEL, "1")],
        ),
    ],
    ids=["versions and markers", "only labels below their prefix"],
)
def test_objects_are_deleted_in_one_call(prefix, listed, deleted):
    session = StubbedSession()
    stub = session.stub("s3")
    stub.add_response("list_object_versions", listed, {"Bucket": "shared", "Prefix": prefix})
    objects = [{"Key": key, "VersionId": version} for key, version in deleted]
    stub.add_response("delete_objects", {}, {"Bucket": "shared", "Delete": {"Objects": objects, "Quiet": True}})
    assert delete(session, Leftover("objects", f"shared/{prefix}")) == []


@pytest.mark.parity("s3-delete")
def test_bucket_with_late_captures_is_emptied_again():
    session = StubbedSession()
    stub = session.stub("s3")
    stub.add_client_error("delete_bucket", "BucketNotEmpty")
    stub.add_response("list_object_versions", versions("late"))
    stub.add_response("delete_objects", {})
    stub.add_response("delete_bucket", {}, {"Bucket": BUCKET})
    assert delete(session, Leftover("bucket", BUCKET)) == []


@pytest.mark.parity("s3-delete")
def test_objects_that_s3_does_not_delete_raise_an_error():
    s3, stubber = stubbed("s3")
    stubber.add_response("list_object_versions", versions("x", "y"))
    refused = [{"Key": "x", "Code": "AccessDenied", "Message": "no"}] * 2
    stubber.add_response("delete_objects", {"Errors": refused})
    with pytest.raises(ObjectsNotDeletedError, match="kept 2 objects of b, the first x: no"):
        delete_versions(s3, "b", "", lambda *_: None)
