"""Sending pictures: what is refused, and under which key each file goes."""

from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from training.send_pictures import (
    NoPicturesError,
    SameKeyError,
    StackNotFoundError,
    objects_of,
    send,
    stack_outputs,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bicycle").mkdir()
    (tmp_path / "bicycle/a b.png").write_bytes(b"a")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    return tmp_path


def stack(status: str, outputs: list) -> dict:
    return {
        "Stacks": [{"StackName": "s", "CreationTime": 0, "StackStatus": status, "Outputs": outputs}]
    }


def test_a_stack_that_is_not_there_is_named_with_what_to_do():
    client = boto3.client("cloudformation", region_name="us-east-1")
    with Stubber(client) as stub:
        stub.add_client_error("describe_stacks", "ValidationError", "Stack s does not exist")
        with pytest.raises(StackNotFoundError, match=r"no stack s .*`sam build && sam deploy`"):
            stack_outputs(client, "s")


def test_a_stack_that_came_to_nothing_is_named_with_its_status():
    client = boto3.client("cloudformation", region_name="us-east-1")
    with Stubber(client) as stub:
        stub.add_response("describe_stacks", stack("ROLLBACK_COMPLETE", []), {"StackName": "s"})
        with pytest.raises(StackNotFoundError, match="ROLLBACK_COMPLETE"):
            stack_outputs(client, "s")


def test_outputs_come_by_name():
    client = boto3.client("cloudformation", region_name="us-east-1")
    outputs = [{"OutputKey": "PicturesBucketName", "OutputValue": "bucket"}]
    with Stubber(client) as stub:
        stub.add_response("describe_stacks", stack("CREATE_COMPLETE", outputs))
        assert stack_outputs(client, "s") == {"PicturesBucketName": "bucket"}


@pytest.mark.parametrize("name", ["nowhere", "hollow", "hidden"])
def test_nothing_to_send_is_an_error(tmp_path, name):
    (tmp_path / "hollow").mkdir()
    (tmp_path / "hidden/.git").mkdir(parents=True)
    (tmp_path / "hidden/.git/a.png").write_bytes(b"a")
    with pytest.raises(NoPicturesError, match=name):
        objects_of([tmp_path / name])


def test_files_keep_their_path_below_the_folder_and_hidden_ones_stay(folder):
    assert list(objects_of([folder])) == ["inbox/bicycle/a b.png", "inbox/empty.png"]
    assert list(objects_of([folder / "bicycle/a b.png"])) == ["inbox/a b.png"]


def test_two_files_never_become_one_object(folder):
    (folder / "again").mkdir()
    (folder / "again/empty.png").write_bytes(b"")
    with pytest.raises(SameKeyError, match=r"inbox/empty\.png"):
        objects_of([folder, folder / "again"])


def test_every_file_is_sent_as_it_is(folder):
    client = boto3.client("s3", region_name="us-east-1")
    seen: list[tuple[int, int | None]] = []
    with Stubber(client) as stub:
        stub.add_response("put_object", {}, {"Bucket": "b", "Key": "inbox/empty.png", "Body": b""})
        send(client, "b", objects_of([folder / "empty.png"]), lambda *now: seen.append(now))
        stub.assert_no_pending_responses()
    assert seen == [(1, 1)]


def test_an_upload_that_fails_ends_the_sending(folder):
    client = boto3.client("s3", region_name="us-east-1")
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "AccessDenied", "no")
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            send(client, "b", objects_of([folder / "empty.png"]), lambda *_: None)
