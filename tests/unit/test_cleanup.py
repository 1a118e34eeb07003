"""Clean-up: nothing without a yes, nothing of others, and everything of the project."""

import io
import json

import pytest
from rich.console import Console

from tests.unit.aws_stubs import ACCOUNT, REGION, StubbedSession, stubbed
from training import cleanup
from training.cleanup import NotConfirmedError, confirm, delete_all
from training.endpoint import LOG_GROUP_PREFIX
from training.leftovers import Leftover, Scope, find_leftovers
from training.role import role_name
from training.settings import PROJECT_TAG
from training.training_job import LOG_GROUP
from training.versions import ObjectsNotDeletedError, delete_versions

NAME = "pictures"
MADE = "pictures-20260102030405"
OTHER = "pictures-2-20260102030405"
BUCKET = "training"
WHEN = "2026-01-01T00:00:00Z"


def arn(kind, name):
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


def scope(**more):
    return Scope(endpoint=NAME, bucket=BUCKET, stack="stack", region=REGION, **more)


def versions(*keys, markers=()):
    return {
        "Versions": [{"Key": key, "VersionId": "1"} for key in keys],
        "DeleteMarkers": [{"Key": key, "VersionId": "2"} for key in markers],
        "IsTruncated": False,
    }


def add_endpoints(sagemaker, *others):
    """Let list_endpoints give the endpoint, one of another project, and the project's `others`."""
    summary = {"EndpointStatus": "InService", "CreationTime": WHEN, "LastModifiedTime": WHEN}
    sagemaker.add_response(
        "list_endpoints",
        {
            "Endpoints": [
                {"EndpointName": name, "EndpointArn": arn("endpoint", name), **summary}
                for name in (NAME, "foreign", *others)
            ]
        },
        {},
    )
    sagemaker.add_response("list_tags", {"Tags": []}, {"ResourceArn": arn("endpoint", "foreign")})
    for name in others:
        tagged = {"ResourceArn": arn("endpoint", name)}
        sagemaker.add_response("list_tags", {"Tags": [PROJECT_TAG]}, tagged)


def nothing_there():
    """Return a session to which nothing exists; tests put what exists in front."""
    session = StubbedSession()
    sagemaker, s3 = session.stub("sagemaker"), session.stub("s3")
    add_endpoints(sagemaker)
    sagemaker.add_response("list_training_jobs", {"TrainingJobSummaries": []})
    sagemaker.add_client_error("describe_endpoint", "ValidationException", "Could not find")
    sagemaker.add_response("list_endpoint_configs", {"EndpointConfigs": []})
    sagemaker.add_response("list_models", {"Models": []})
    s3.add_client_error("head_bucket", "404", http_status_code=404)
    session.stub("cloudformation").add_client_error(
        "list_stack_resources", "ValidationError", "Stack with id stack does not exist"
    )
    session.stub("logs").add_client_error("describe_log_streams", "ResourceNotFoundException")
    session.stub("logs").add_response("describe_log_groups", {"logGroups": []})
    session.stub("iam").add_client_error("get_role", "NoSuchEntity", http_status_code=404)
    return session


def everything_there(*, bucket_tags=(PROJECT_TAG,), prefixes=("",), others=None):
    """Return a session in whose account everything exists, next to things of others."""
    session = StubbedSession()
    sagemaker, s3, logs = session.stub("sagemaker"), session.stub("s3"), session.stub("logs")
    if others is not None:
        add_endpoints(sagemaker, *others)

    def add_tags(kind):
        sagemaker.add_response(
            "list_tags", {"Tags": [PROJECT_TAG]}, {"ResourceArn": arn(kind, MADE)}
        )

    sagemaker.add_response(
        "list_training_jobs",
        {
            "TrainingJobSummaries": [
                {
                    "TrainingJobName": name,
                    "TrainingJobArn": arn("training-job", name),
                    "TrainingJobStatus": "InProgress",
                    "CreationTime": WHEN,
                }
                for name in (MADE, OTHER)
            ]
        },
        {"NameContains": NAME},
    )
    add_tags("training-job")
    sagemaker.add_response(
        "describe_endpoint",
        {
            "EndpointName": NAME,
            "EndpointArn": arn("endpoint", NAME),
            "EndpointConfigName": MADE,
            "EndpointStatus": "InService",
            "CreationTime": WHEN,
            "LastModifiedTime": WHEN,
        },
    )
    config = {"EndpointConfigName": MADE, "EndpointConfigArn": arn("endpoint-config", MADE)}
    sagemaker.add_response(
        "list_endpoint_configs", {"EndpointConfigs": [{**config, "CreationTime": WHEN}]}
    )
    add_tags("endpoint-config")
    model = {"ModelName": MADE, "ModelArn": arn("model", MADE), "CreationTime": WHEN}
    sagemaker.add_response("list_models", {"Models": [model]})
    add_tags("model")

    s3.add_response("head_bucket", {}, {"Bucket": BUCKET})
    if others or prefixes[-1].startswith("captures"):
        pass  # data that is kept is kept whoever made the bucket
    elif bucket_tags:
        s3.add_response("get_bucket_tagging", {"TagSet": list(bucket_tags)}, {"Bucket": BUCKET})
    else:
        s3.add_client_error("get_bucket_tagging", "NoSuchTagSet")
    if prefixes != ("",):
        folders = [{"Prefix": f"jobs/{name}/"} for name in (MADE, OTHER)]
        s3.add_response(
            "list_object_versions",
            {"CommonPrefixes": folders, "IsTruncated": False},
            {"Bucket": BUCKET, "Prefix": f"jobs/{NAME}-", "Delimiter": "/"},
        )
    for prefix in prefixes:
        s3.add_response(
            "list_object_versions", versions("a", "b"), {"Bucket": BUCKET, "Prefix": prefix}
        )
    resource = {"ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": WHEN}
    session.stub("cloudformation").add_response(
        "list_stack_resources",
        {
            "StackResourceSummaries": [
                {"LogicalResourceId": i, "PhysicalResourceId": i, "ResourceType": t, **resource}
                for i, t in (("inbox", "AWS::S3::Bucket"), ("queue", "AWS::SQS::Queue"))
            ]
        },
        {"StackName": "stack"},
    )
    s3.add_response("head_bucket", {}, {"Bucket": "inbox"})
    s3.add_response(
        "list_object_versions",
        versions("x", markers=["y"]),
        {"Bucket": "inbox", "Prefix": ""},
    )
    logs.add_response(
        "describe_log_streams",
        {"logStreams": [{"logStreamName": f"{name}/algo-1-1"} for name in (MADE, OTHER)]},
        {"logGroupName": LOG_GROUP, "logStreamNamePrefix": f"{NAME}-"},
    )
    groups = [f"{LOG_GROUP_PREFIX}/{name}" for name in (NAME, f"{NAME}-2")]
    logs.add_response(
        "describe_log_groups", {"logGroups": [{"logGroupName": group} for group in groups]}
    )
    if others:
        return session
    session.stub("iam").add_response(
        "get_role",
        {
            "Role": {
                "Path": "/",
                "RoleName": role_name(REGION),
                "RoleId": "AROA0123456789ABCDEF",
                "Arn": f"arn:aws:iam::{ACCOUNT}:role/{role_name(REGION)}",
                "CreateDate": WHEN,
                "Tags": [PROJECT_TAG],
            }
        },
        {"RoleName": role_name(REGION)},
    )
    return session


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the command against a session; return exit status, report, standard output and error."""
    monkeypatch.setattr(cleanup, "REPORT", tmp_path / "cleanup.json")

    def run(session, *arguments):
        monkeypatch.setattr("boto3.Session", lambda: session)
        arn = f"arn:aws:iam::{ACCOUNT}:user/me"
        session.stub("sts").add_response(
            "get_caller_identity", {"Account": ACCOUNT, "Arn": arn, "UserId": "U"}
        )
        names = ["--endpoint", NAME, "--bucket", BUCKET, "--stack-name", "stack"]
        status = cleanup.main([*names, *arguments])
        report = json.loads(cleanup.REPORT.read_text()) if cleanup.REPORT.exists() else None
        return status, report, *capsys.readouterr()

    return run


def test_without_a_terminal_and_without_yes_nothing_is_deleted(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    session = everything_there(others=())
    status, report, _, error = run(session)
    assert (status, report) == (1, None)
    assert error == "cleanup: There is no terminal to ask on: pass --yes to delete these.\n"
    session.assert_no_pending_responses()  # and the stubs would have refused any other call


@pytest.mark.parametrize("answer", ["", "n", "yess"])
def test_anything_but_yes_is_no(monkeypatch, answer):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    with pytest.raises(NotConfirmedError, match="Nothing was deleted"):
        confirm(3)


def test_a_dry_run_only_lists(run):
    session = everything_there(others=())
    status, report, shown, _ = run(session, "--dry-run")
    assert (status, report) == (0, None)
    assert MADE in shown
    session.assert_no_pending_responses()


def test_nothing_there_is_a_success_with_a_report(run):
    status, report, shown, _ = run(nothing_there(), "--yes")
    assert status == 0
    assert report == {"deleted": [], "failures": [], "resources_left": []}
    assert "Nothing to delete" in shown


def test_what_refuses_to_go_is_reported_and_the_rest_still_goes(run, monkeypatch):
    monkeypatch.setattr(cleanup, "PROOF_TIMEOUT_S", -1)
    found = [Leftover("model", "m-1"), Leftover("log group", "g")]
    looks = iter([found, found[:1]])
    monkeypatch.setattr(cleanup, "find_leftovers", lambda *_: next(looks))
    session = StubbedSession()
    add_endpoints(session.stub("sagemaker"))
    session.stub("sagemaker").add_client_error("delete_model", "AccessDeniedException", "not you")
    session.stub("logs").add_response("delete_log_group", {}, {"logGroupName": "g"})
    status, report, shown, error = run(session, "--yes")
    assert status == 1
    assert report["resources_left"] == [{"kind": "model", "name": "m-1", "detail": ""}]
    assert [thing["name"] for thing in report["deleted"]] == ["g"]
    assert "model m-1" in error
    assert "not you" in error
    assert "Still there" in shown


def test_everything_of_the_project_is_found_and_nothing_of_others():
    session = everything_there()
    found = find_leftovers(session, scope())
    session.assert_no_pending_responses()
    assert [(thing.kind, thing.name) for thing in found] == [
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
    ]


def test_a_bucket_that_the_project_did_not_make_is_kept():
    prefixes = (f"jobs/{MADE}/", f"captures/{NAME}/", "staged/")
    found = find_leftovers(everything_there(bucket_tags=(), prefixes=prefixes), scope())
    names = [thing.name for thing in found if thing.name.startswith(BUCKET)]
    assert names == [f"{BUCKET}/{prefix}" for prefix in prefixes]
    assert "bucket" not in {thing.kind for thing in found}


def test_keep_data_keeps_the_staged_pictures_and_their_bucket():
    prefixes = (f"jobs/{MADE}/", f"captures/{NAME}/")
    found = find_leftovers(everything_there(prefixes=prefixes), scope(keep_data=True))
    names = [thing.name for thing in found if thing.name.startswith(BUCKET)]
    assert names == [f"{BUCKET}/{prefix}" for prefix in prefixes]


def test_what_another_endpoint_of_the_project_uses_is_kept(run):
    prefixes = (f"jobs/{MADE}/", f"captures/{NAME}/")
    session = everything_there(prefixes=prefixes, others=("pictures-2",))
    status, _, shown, _ = run(session, "--dry-run")
    assert status == 0
    assert "Kept, for pictures-2 too: role, staged pictures, their bucket" in shown
    assert role_name(REGION) not in shown
    session.assert_no_pending_responses()


def delete(session, *found):
    console = Console(file=io.StringIO(), width=200)
    failures = delete_all(session, list(found), console)
    session.assert_no_pending_responses()
    return failures


def test_a_running_training_job_is_stopped_before_it_is_deleted():
    session = StubbedSession()
    stub = session.stub("sagemaker")
    job = {"TrainingJobName": MADE}
    for status in ("InProgress", "Stopped"):
        stub.add_response(
            "describe_training_job",
            {
                "TrainingJobName": MADE,
                "TrainingJobArn": arn("training-job", MADE),
                "TrainingJobStatus": status,
                "SecondaryStatus": status if status == "Stopped" else "Training",
                "ModelArtifacts": {"S3ModelArtifacts": ""},
                "AlgorithmSpecification": {"TrainingInputMode": "File"},
                "StoppingCondition": {},
                "CreationTime": WHEN,
            },
            job,
        )
        if status == "InProgress":
            stub.add_response("stop_training_job", {}, job)
    stub.add_response("delete_training_job", {}, job)
    assert delete(session, Leftover("training job", MADE)) == []


def test_versions_and_delete_markers_go_in_one_call():
    session = StubbedSession()
    stub = session.stub("s3")
    for _ in range(2):  # counted, then deleted
        stub.add_response("list_object_versions", versions("x", markers=["y"]))
    both = [{"Key": "x", "VersionId": "1"}, {"Key": "y", "VersionId": "2"}]
    stub.add_response(
        "delete_objects", {}, {"Bucket": "inbox", "Delete": {"Objects": both, "Quiet": True}}
    )
    assert delete(session, Leftover("objects", "inbox/")) == []


def test_captures_that_arrive_late_do_not_keep_the_bucket():
    session = StubbedSession()
    stub = session.stub("s3")
    stub.add_client_error("delete_bucket", "BucketNotEmpty")
    for _ in range(2):
        stub.add_response("list_object_versions", versions("late"))
    stub.add_response("delete_objects", {})
    stub.add_response("delete_bucket", {}, {"Bucket": BUCKET})
    assert delete(session, Leftover("bucket", BUCKET)) == []


def test_objects_that_s3_keeps_are_an_error():
    s3, stubber = stubbed("s3")
    stubber.add_response("list_object_versions", versions("x", "y"))
    refused = [{"Key": "x", "Code": "AccessDenied", "Message": "no"}] * 2
    stubber.add_response("delete_objects", {"Errors": refused})
    with pytest.raises(ObjectsNotDeletedError, match="kept 2 objects of b, the first x: no"):
        delete_versions(s3, "b", "", lambda *_: None, 2)
