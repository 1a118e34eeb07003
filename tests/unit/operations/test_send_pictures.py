"""The command: what is refused, and what is planned for what was asked."""

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
from operations.sending.pictures import NoPicturesError, objects_of, pictures_of
from operations.sending.running import End
from operations.sending.schedule import TooManyPicturesError
from tests.unit.aws_stubs import StubbedSession, stubbed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bicycle").mkdir()
    (tmp_path / "bicycle/a b.png").write_bytes(b"a")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    return tmp_path


def stack(status: str, outputs: list) -> dict:
    return {"Stacks": [{"StackName": "s", "CreationTime": 0, "StackStatus": status, "Outputs": outputs}]}


OUTPUTS = [
    {"OutputKey": "PicturesBucketName", "OutputValue": "bucket"},
    {"OutputKey": "PredictionsTableName", "OutputValue": "table"},
    {"OutputKey": "StateMachineArn", "OutputValue": "arn:aws:states:eu-west-1:1:stateMachine:m"},
]


def planned(*words: str) -> list:
    quiet = Console(file=io.StringIO())
    return plan(parse_arguments([*words]), "run", quiet)


def test_a_stack_that_is_not_there_is_named_with_what_to_do():
    client, stub = stubbed("cloudformation")
    stub.add_client_error("describe_stacks", "ValidationError", "Stack s does not exist")
    with pytest.raises(StackNotFoundError, match=r"no stack s .*`sam build && sam deploy`"):
        stack_outputs(client, "s")


@pytest.mark.parametrize("outputs", [[], OUTPUTS[:1]], ids=["none", "of an older template"])
def test_a_stack_that_lacks_an_output_is_named_with_its_status(outputs):
    client, stub = stubbed("cloudformation")
    stub.add_response("describe_stacks", stack("ROLLBACK_COMPLETE", outputs), {"StackName": "s"})
    with pytest.raises(StackNotFoundError, match="ROLLBACK_COMPLETE and gives no P"):
        stack_outputs(client, "s")


def test_outputs_come_by_name():
    client, stub = stubbed("cloudformation")
    stub.add_response("describe_stacks", stack("CREATE_COMPLETE", OUTPUTS))
    assert stack_outputs(client, "s")["PredictionsTableName"] == "table"


@pytest.mark.parametrize("name", ["nowhere", "hollow", "hidden"])
def test_nothing_to_send_is_an_error(tmp_path, name):
    (tmp_path / "hollow").mkdir()
    (tmp_path / "hidden/.git").mkdir(parents=True)
    (tmp_path / "hidden/.git/a.png").write_bytes(b"a")
    with pytest.raises(NoPicturesError, match=name):
        pictures_of([tmp_path / name])


def test_files_keep_their_path_below_the_folder_and_hidden_ones_stay(folder):
    assert list(objects_of(pictures_of([folder]))) == ["inbox/bicycle/a b.png", "inbox/empty.png"]
    assert list(objects_of(pictures_of([folder / "bicycle/a b.png"]))) == ["inbox/a b.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either PATH or --staged"),
        (["p", "--staged"], "give either PATH or --staged"),
        (["p", "--rate", "0", "--count", "1"], "'0' is not a number above 0"),
        (["p", "--rate", "-1", "--count", "1"], "'-1' is not a number above 0"),
        (["p", "--rate", "nan", "--count", "1"], "'nan' is not a number above 0"),
        (["p", "--rate", "inf", "--count", "1"], "'inf' is not a number above 0"),
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
        (["p", "--burst", "3", "--odd", "nan"], "'nan' is not a number from 0 to 1"),
        (["p", "--burst", "3", "--odd-kinds", "wet"], "invalid choice: 'wet'"),
        (["p", "--burst", "3", "--odd-kinds", "tiny"], "--odd-kinds needs --odd"),
        (["p", "--burst", "3", "--odd", "0", "--odd-kinds", "tiny"], "--odd-kinds needs --odd"),
        (["p", "--wait", "-1"], "'-1' is not a number of seconds, 0 or more"),
        (["p", "--wait", "inf"], "'inf' is not a number of seconds, 0 or more"),
        (["p", "--wait", "1", "--no-wait"], "not allowed with argument"),
        (["p", "--max", "0"], "'0' is not a whole number above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_clear_words(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_arguments(words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "wait"),
    [
        (["p"], None),
        (["p", "--wait", "5"], 5),
        (["p", "--burst", "3"], DEFAULT_WAIT_S),
        (["p", "--rate", "1", "--count", "3"], DEFAULT_WAIT_S),
        (["p", "--burst", "3", "--wait", "0"], 0),
        (["p", "--burst", "3", "--no-wait"], None),
    ],
)
def test_a_load_is_waited_for_and_files_are_not(words, wait):
    assert parse_arguments(words).wait == wait


@pytest.mark.parametrize(
    "words",
    [["--burst", "11"], ["--rate", "5", "--duration", "60"], ["--rate", "5", "--count", "11"]],
)
def test_more_than_the_limit_is_refused_before_anything_is_sent(folder, words):
    with pytest.raises(TooManyPicturesError, match="more than 10"):
        planned(str(folder), *words, "--max", "10")


def test_a_stream_in_which_nothing_comes_is_refused(folder):
    with pytest.raises(NoPicturesError, match="longer --duration"):
        planned(str(folder), "--rate", "0.001", "--duration", "0.001")


def test_files_alone_are_all_due_at_once_under_their_own_keys(folder):
    assert [(a.at, a.key) for a in planned(str(folder))] == [
        (0.0, "inbox/bicycle/a b.png"),
        (0.0, "inbox/empty.png"),
    ]


def test_a_burst_has_its_odd_share(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    burst = ("--burst", "20", "--odd", "0.5", "--odd-kinds", "corrupt", "tiny")
    kinds = [a.kind for a in planned(str(tmp_path), *burst)]
    assert [kinds.count(kind) for kind in ("as it is", "corrupt", "tiny")] == [10, 5, 5]


def test_a_file_whose_name_is_no_utf_8_is_named_and_ends_in_status_1(folder, monkeypatch, capsys, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        odd.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such name")
    session = StubbedSession()
    session.stub("cloudformation").add_response("describe_stacks", stack("CREATE_COMPLETE", OUTPUTS))
    session.stub("s3").add_response("put_object", {"VersionId": "v"})
    monkeypatch.setattr(boto3, "Session", lambda: session)
    assert send_pictures.main([str(odd), "--out", str(tmp_path / "r.json")]) == 1
    assert r"upload failed: inbox/caf\udce9.png: UnicodeEncodeError" in capsys.readouterr().out
    assert '"upload_failed": 1' in (tmp_path / "r.json").read_text()


def test_an_interrupt_before_anything_was_sent_claims_no_work(folder, monkeypatch, capsys):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(send_pictures, "stack_outputs", interrupt)
    assert send_pictures.main([str(folder)]) == 130
    assert capsys.readouterr().err == "send_pictures: interrupted\n"


@pytest.mark.parametrize(
    ("version", "words"),
    [(None, "nothing was sent"), ("v", "what was sent is being worked on")],
)
def test_an_interrupt_says_whether_anything_was_sent(folder, monkeypatch, capsys, version, words):
    session = StubbedSession()
    session.stub("cloudformation").add_response("describe_stacks", stack("CREATE_COMPLETE", OUTPUTS))
    monkeypatch.setattr(boto3, "Session", lambda: session)

    def interrupted(_sender: object, _tracker: object, arrivals: list, **_: object) -> End:
        arrivals[0].version_id = version
        return End(interrupted=True)

    monkeypatch.setattr(send_pictures, "carry_out", interrupted)
    assert send_pictures.main([str(folder)]) == 130
    assert capsys.readouterr().err == f"send_pictures: interrupted; {words}\n"


def test_an_upload_that_fails_is_named_and_ends_in_status_1(folder, monkeypatch, capsys, tmp_path):
    session = StubbedSession()
    session.stub("cloudformation").add_response("describe_stacks", stack("CREATE_COMPLETE", OUTPUTS))
    session.stub("s3").add_client_error("put_object", "SlowDown", "reduce your rate")
    monkeypatch.setattr(boto3, "Session", lambda: session)
    out = tmp_path / "report.json"
    assert send_pictures.main([str(folder / "empty.png"), "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    assert "Sent 0 files" in printed
    assert "upload failed: inbox/empty.png: SlowDown" in printed
    assert '"upload_failed": 1' in out.read_text()
    session.assert_no_pending_responses()


def test_a_bucket_that_is_gone_ends_it_in_one_sentence(folder, monkeypatch, capsys):
    session = StubbedSession()
    session.stub("cloudformation").add_response("describe_stacks", stack("CREATE_COMPLETE", OUTPUTS))
    session.stub("s3").add_client_error("put_object", "NoSuchBucket", "gone")
    monkeypatch.setattr(boto3, "Session", lambda: session)
    assert send_pictures.main([str(folder / "empty.png")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("send_pictures: S3 takes no picture into bucket")
    assert "sam deploy" in line


def test_files_that_were_all_sent_end_in_one_line_and_status_0(folder, monkeypatch, capsys):
    session = StubbedSession()
    session.stub("cloudformation").add_response("describe_stacks", stack("CREATE_COMPLETE", OUTPUTS))
    session.stub("s3").add_response(
        "put_object",
        {"VersionId": "v"},
        {"Bucket": "bucket", "Key": "inbox/empty.png", "Body": b""},
    )
    monkeypatch.setattr(boto3, "Session", lambda: session)
    assert send_pictures.main([str(folder / "empty.png")]) == 0
    assert capsys.readouterr().out == ("Sent 1 files to s3://bucket/inbox/: each starts an execution of m.\n")
    session.assert_no_pending_responses()
