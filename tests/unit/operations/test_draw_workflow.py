"""`python -m operations.draw_workflow`: what it writes, prints and refuses."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from common.settings import ROOT
from operations import draw_workflow
from tests.unit.aws_stubs import stubbed

ARN = "arn:aws:states:eu-west-1:123456789012:execution:stack-MyStateMachine:one"
BATCH = ROOT / "statemachine" / "MyBatchStateMachine.asl.json"
BEGAN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
EVENTS = [
    ("ExecutionStarted", {"input": "{}"}),
    ("PassStateEntered", {"name": "Locate Picture", "input": '{"s3_key": "inbox/a.png"}'}),
    ("PassStateExited", {"name": "Locate Picture", "output": "{}"}),
    ("TaskStateEntered", {"name": "Serialize Image Data", "input": "{}"}),
    (
        "TaskFailed",
        {
            "resourceType": "lambda",
            "resource": "invoke",
            "error": "PictureNotFoundError",
            "cause": "inbox/a.png does not exist",
        },
    ),
    ("TaskStateExited", {"name": "Serialize Image Data", "output": "{}"}),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def stepfunctions(monkeypatch):
    client, stub = stubbed("stepfunctions")
    monkeypatch.setattr(boto3, "client", lambda name: {"stepfunctions": client}[name])
    yield stub
    stub.assert_no_pending_responses()


def answer(stub, states=("Locate Picture", "Serialize Image Data"), status="RUNNING", events=EVENTS, **printed):
    described = printed | {
        "executionArn": ARN,
        "status": status,
        "startDate": BEGAN,
        "stateMachineArn": ARN.replace("execution", "stateMachine").rsplit(":", 1)[0],
    }
    history = []
    for number, (kind, details) in enumerate(events, start=1):
        name = "state" + kind.rsplit("State", 1)[1] if "State" in kind else kind
        name = f"{name[0].lower()}{name[1:]}EventDetails"
        if "name" in details:
            details = details | {"name": states[details["name"] != "Locate Picture"]}  # noqa: PLW2901  a copy
        moment = BEGAN + timedelta(seconds=number)
        history.append({"id": number, "type": kind, "timestamp": moment, name: details})
    stub.add_response("describe_execution", described)
    stub.add_response("get_execution_history", {"events": history})


def test_a_definition_is_drawn_into_reports(tmp_path, capsys):
    assert draw_workflow.main([]) == 0
    picture = tmp_path / "reports" / "workflow" / "MyStateMachine.svg"
    assert picture.read_text() == (ROOT / "docs" / "workflow.svg").read_text()
    assert "Wrote reports/workflow/MyStateMachine.svg." in capsys.readouterr().out


def test_another_definition_is_drawn_where_it_is_asked_for(tmp_path):
    assert draw_workflow.main(["--definition", str(BATCH), "--out", "a/b.svg"]) == 0
    assert "Classify Every Picture" in (tmp_path / "a" / "b.svg").read_text()


def test_execution_is_drawn_and_its_steps_are_printed(tmp_path, capsys, stepfunctions):
    answer(stepfunctions)
    assert draw_workflow.main(["--execution", ARN]) == 0
    picture = (tmp_path / "reports" / "workflow" / "stack-MyStateMachine-one.svg").read_text()
    assert "PictureNotFoundError: inbox/a.png does not exist" in picture
    printed = capsys.readouterr().out
    assert "RUNNING; started 2026-11-23 08:00:00.000 UTC." in printed
    assert "08:00:04.000" in printed
    assert "PictureNotFoundError: inbox/a.png does not exist" in printed
    assert '{"s3_key": "inbox/a.png"}' in printed


def test_no_escape_sequence_reaches_the_terminal(tmp_path, capsys, stepfunctions):
    failed = dict(EVENTS[4][1], error="\x1b[31mRed", cause="\x9b2J\x1b]0;title\x07 \ud800")
    events = [*EVENTS[:4], ("TaskFailed", failed), EVENTS[5]]
    answer(stepfunctions, events=events, error="\x1b[31mRed", cause="\x1b[2J\x7f")
    assert draw_workflow.main(["--execution", ARN, "--out", "x.svg"]) == 0
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x9b", "\x07", "\x7f"} & set(printed)
    assert "\ufffd[31mRed" in printed
    assert "\x1b" not in (tmp_path / "x.svg").read_text()


def test_an_execution_of_another_machine_is_refused(tmp_path, capsys, stepfunctions):
    answer(stepfunctions, states=("Take Input", "Find Map Run"))
    assert draw_workflow.main(["--execution", ARN]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"draw_workflow: The execution {ARN} is not of the state machine MyS")
    assert not list(tmp_path.iterdir())


def test_an_unknown_execution_is_refused(capsys, stepfunctions):
    stepfunctions.add_client_error("describe_execution", "ExecutionDoesNotExist")
    assert draw_workflow.main(["--execution", ARN]) == 1
    assert f"draw_workflow: There is no execution {ARN}" in capsys.readouterr().err


@pytest.mark.usefixtures("stepfunctions")
def test_an_express_execution_is_refused_without_asking(capsys):
    assert draw_workflow.main(["--execution", ARN.replace("execution", "express") + ":x"]) == 1
    assert "EXPRESS" in capsys.readouterr().err


def test_a_file_that_is_no_state_machine_is_refused(tmp_path, capsys):
    (tmp_path / "x.json").write_text(json.dumps({"States": []}))
    assert draw_workflow.main(["--definition", "x.json"]) == 1
    assert "draw_workflow: x.json is not a valid state machine" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "taken.svg").mkdir()
    assert draw_workflow.main(["--out", "taken.svg"]) == 1
    assert "taken.svg cannot be written: Is a directory" in capsys.readouterr().err


def test_ctrl_c_writes_nothing(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(boto3, "client", lambda _: None)
    monkeypatch.setattr(draw_workflow, "read_path", interrupted)
    assert draw_workflow.main(["--execution", ARN]) == 130
    assert "no picture was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_documentation_is_written_from_its_definitions(tmp_path, monkeypatch):
    monkeypatch.setattr(draw_workflow, "DOCS", {tmp_path / "docs" / "x.svg": BATCH})
    assert draw_workflow.main(["--write-docs"]) == 0
    expected = (ROOT / "docs" / "batch-workflow.svg").read_text()
    assert (tmp_path / "docs" / "x.svg").read_text() == expected


@pytest.mark.parametrize("given", ["--out", "--definition", "--execution"])
def test_the_documentation_has_no_other_place_and_shows_nothing_else(capsys, given):
    with pytest.raises(SystemExit) as ended:
        draw_workflow.main(["--write-docs", given, str(draw_workflow.DEFINITION)])
    assert ended.value.code == 2
    assert f"--write-docs draws the pictures in docs/ and does not take {given}" in (
        " ".join(capsys.readouterr().err.split())
    )


@pytest.mark.parametrize("execution", ["", " "])
def test_an_empty_arn_is_no_execution(tmp_path, capsys, execution):
    """Such as that of an unset variable of a shell."""
    with pytest.raises(SystemExit) as ended:
        draw_workflow.main(["--execution", execution])
    assert ended.value.code == 2
    assert "--execution is empty: give the ARN of an execution" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
