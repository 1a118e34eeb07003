"""The send command: what it refuses, plans and reports."""

import io
import os
from pathlib import Path

import boto3
import pytest
from PIL import Image
from rich.console import Console

from common.stack import StackNotFoundError, stack_outputs
from operations import send_pictures
from operations.send_pictures import DEFAULT_WAIT_S, parse_arguments, plan
from operations.sending.plan import NoPicturesError, TooManyPicturesError
from operations.sending.running import End
from tests.unit.aws_stubs import StubbedSession, stack_response, stubbed

OUTPUTS = {
    "PicturesBucketName": "bucket",
    "PredictionsTableName": "table",
    "StateMachineArn": "arn:aws:states:eu-west-1:1:stateMachine:m",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bicycle").mkdir()
    (tmp_path / "bicycle/a b.png").write_bytes(b"a")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    return tmp_path


@pytest.fixture
def session(monkeypatch):
    """The deployed stack, with clients that answer from a script."""
    made = StubbedSession()
    made.stub("cloudformation").add_response("describe_stacks", stack_response(OUTPUTS))
    monkeypatch.setattr(boto3, "Session", lambda: made)
    return made


def planned(*arguments: str) -> list:
    return plan(parse_arguments([*arguments]), "run", Console(file=io.StringIO()))


def test_missing_stack_is_an_error():
    client, stub = stubbed("cloudformation")
    stub.add_client_error("describe_stacks", "ValidationError", "Stack s does not exist")
    with pytest.raises(StackNotFoundError, match=r"no stack s .*`sam build && sam deploy`"):
        stack_outputs(client, "s")


@pytest.mark.parametrize(
    ("outputs", "missing"), [({}, "PicturesBucketName"), (OUTPUTS, "More")], ids=["no outputs", "older template"]
)
def test_stack_without_an_output_is_an_error_with_its_status(outputs, missing):
    client, stub = stubbed("cloudformation")
    stub.add_response("describe_stacks", stack_response(outputs, "ROLLBACK_COMPLETE"), {"StackName": "s"})
    with pytest.raises(StackNotFoundError, match=f"ROLLBACK_COMPLETE and has no output {missing}"):
        stack_outputs(client, "s", "More")


@pytest.mark.parametrize("name", ["nowhere", "hollow", "hidden"])
def test_path_without_visible_files_is_an_error(tmp_path, name):
    (tmp_path / "hollow").mkdir()
    (tmp_path / "hidden/.git").mkdir(parents=True)
    (tmp_path / "hidden/.git/a.png").write_bytes(b"a")
    with pytest.raises(NoPicturesError, match=name):
        planned(str(tmp_path / name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either PATH or --staged"),
        (["p", "--staged"], "give either PATH or --staged"),
        (["p", "--rate", "0", "--count", "1"], "'0' is not a number above 0"),
        (["p", "--rate", "1", "--duration", "0"], "'0' is not a number above 0"),
        (["p", "--rate", "1", "--count", "0"], "'0' is not a whole number above 0"),
        (["p", "--rate", "1"], "--rate needs either --duration or --count"),
        (["p", "--rate", "1", "--duration", "1", "--count", "1"], "either --duration or --count"),
        (["p", "--duration", "1"], "belong to --rate"),
        (["p", "--burst", "3", "--count", "1"], "belong to --rate"),
        (["p", "--burst", "0"], "'0' is not a whole number above 0"),
        (["p", "--burst", "3", "--rate", "1", "--count", "1"], "either --rate or --burst"),
        (["p", "--odd", "0.5"], "--odd belongs to --rate or --burst"),
        (["p", "--burst", "3", "--odd", "1.1"], "'1.1' is not a number from 0 to 1"),
        (["p", "--burst", "3", "--odd-kinds", "wet"], "invalid choice: 'wet'"),
        (["p", "--burst", "3", "--odd-kinds", "tiny"], "--odd-kinds needs --odd"),
        (["p", "--burst", "3", "--odd", "0", "--odd-kinds", "tiny"], "--odd-kinds needs --odd"),
        (["p", "--wait", "-1"], "'-1' is not a number of seconds, 0 or more"),
        (["p", "--wait", "1", "--no-wait"], "not allowed with argument"),
        (["p", "--max", "0"], "'0' is not a whole number above 0"),
    ],
)
def test_contradictory_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "wait"),
    [
        (["p"], None),
        (["p", "--wait", "5"], 5),
        (["p", "--burst", "3"], DEFAULT_WAIT_S),
        (["p", "--rate", "1", "--count", "3"], DEFAULT_WAIT_S),
        (["p", "--burst", "3", "--wait", "0"], 0),
        (["p", "--burst", "3", "--no-wait"], None),
    ],
)
def test_only_a_load_is_waited_for_by_default(arguments, wait):
    assert parse_arguments(arguments).wait == wait


@pytest.mark.parametrize(
    "arguments", [["--burst", "11"], ["--rate", "5", "--duration", "60"], ["--rate", "5", "--count", "11"]]
)
def test_load_above_the_limit_is_refused(folder, arguments):
    with pytest.raises(TooManyPicturesError, match="more than 10"):
        planned(str(folder), *arguments, "--max", "10")


def test_stream_without_arrivals_is_refused(folder):
    with pytest.raises(NoPicturesError, match="longer --duration"):
        planned(str(folder), "--rate", "0.001", "--duration", "0.001")


@pytest.mark.parametrize(
    ("path", "keys"), [(".", ["inbox/bicycle/a b.png", "inbox/empty.png"]), ("bicycle/a b.png", ["inbox/a b.png"])]
)
def test_files_are_due_at_once_under_their_path_below_the_folder(folder, path, keys):
    assert [(a.at, a.key) for a in planned(str(folder / path))] == [(0.0, key) for key in keys]


def test_burst_has_its_odd_share(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    burst = ("--burst", "20", "--odd", "0.5", "--odd-kinds", "corrupt", "tiny")
    kinds = [a.kind for a in planned(str(tmp_path), *burst)]
    assert [kinds.count(kind) for kind in ("as it is", "corrupt", "tiny")] == [10, 5, 5]


def test_interrupt_before_the_upload_is_reported(folder, monkeypatch, capsys):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(send_pictures, "stack_outputs", interrupt)
    assert send_pictures.main([str(folder)]) == 130
    assert capsys.readouterr().err == "send_pictures: interrupted\n"


@pytest.mark.parametrize(
    ("version", "note"), [(None, "nothing was sent"), ("v", "the workflow goes on with what was sent")]
)
def test_interrupt_says_whether_anything_was_sent(folder, session, monkeypatch, capsys, version, note):
    def interrupted(_sender: object, _tracker: object, arrivals: list, **_: object) -> End:
        arrivals[0].version_id = version
        return End(interrupted=True)

    monkeypatch.setattr(send_pictures, "carry_out", interrupted)
    assert send_pictures.main([str(folder)]) == 130
    assert capsys.readouterr().err == f"send_pictures: interrupted; {note}\n"


def test_failed_upload_is_named_and_ends_with_status_1(folder, session, capsys, tmp_path):
    session.stub("s3").add_client_error("put_object", "SlowDown", "reduce your rate")
    out = tmp_path / "report.json"
    assert send_pictures.main([str(folder / "empty.png"), "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    assert "Sent 0 files" in printed
    assert "upload failed: inbox/empty.png: SlowDown" in printed
    assert '"upload_failed": 1' in out.read_text()
    session.assert_no_pending_responses()


def test_file_name_that_is_not_utf_8_is_named_and_ends_with_status_1(session, capsys, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        odd.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system does not allow such a name")
    session.stub("s3").add_response("put_object", {"VersionId": "v"})
    assert send_pictures.main([str(odd), "--out", str(tmp_path / "r.json")]) == 1
    assert r"upload failed: inbox/caf\udce9.png: UnicodeEncodeError" in capsys.readouterr().out
    assert '"upload_failed": 1' in (tmp_path / "r.json").read_text()


def test_missing_bucket_ends_in_one_sentence(folder, session, capsys):
    session.stub("s3").add_client_error("put_object", "NoSuchBucket", "gone")
    assert send_pictures.main([str(folder / "empty.png")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("send_pictures: S3 refuses every upload to bucket")
    assert "sam deploy" in line


def test_sent_files_end_in_one_line_and_status_0(folder, session, capsys):
    asked = {"Bucket": "bucket", "Key": "inbox/empty.png", "Body": b""}
    session.stub("s3").add_response("put_object", {"VersionId": "v"}, asked)
    assert send_pictures.main([str(folder / "empty.png")]) == 0
    assert capsys.readouterr().out == "Sent 1 files to s3://bucket/inbox/: each starts an execution of m.\n"
    session.assert_no_pending_responses()
