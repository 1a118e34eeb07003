"""`python -m operations.draw_workflow`: what it writes, prints and refuses."""

import boto3
import pytest

from common.settings import ROOT
from operations import draw_workflow
from tests.unit.aws_stubs import stubbed
from tests.unit.operations.workflow_drawing.builders import ACCEPTED, ARN, TASK, History

BATCH = ROOT / "statemachine" / "MyBatchStateMachine.asl.json"
NOT_FOUND = {"error": "PictureNotFoundError", "cause": "inbox/a.png does not exist"}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def stepfunctions(monkeypatch):
    client, stub = stubbed("stepfunctions")
    monkeypatch.setattr(boto3, "client", lambda name: {"stepfunctions": client}[name])
    return stub


def stub_execution(stub, states=ACCEPTED, failure=NOT_FOUND, **described):
    history = History()
    history.visit("Pass", states[0])
    history.enter("Task", states[1])
    history.add("TaskFailed", TASK | failure)
    history.leave("Task", states[1])
    history.stub(stub, "RUNNING", **described)


def test_default_definition_is_drawn_into_reports(tmp_path, capsys):
    assert draw_workflow.main([]) == 0
    picture = tmp_path / "reports" / "workflow" / "MyStateMachine.svg"
    assert picture.read_text() == (ROOT / "docs" / "workflow.svg").read_text()
    assert "Wrote reports/workflow/MyStateMachine.svg." in capsys.readouterr().out


def test_definition_and_out_are_used(tmp_path):
    assert draw_workflow.main(["--definition", str(BATCH), "--out", "a/b.svg"]) == 0
    assert "Classify Every Picture" in (tmp_path / "a" / "b.svg").read_text()


def test_unwritable_picture_is_named(tmp_path, capsys):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "x.svg"
    assert draw_workflow.main(["--out", str(out)]) == 1
    assert f"{out} cannot be written: " in capsys.readouterr().err


def test_execution_is_drawn_and_its_steps_are_printed(tmp_path, capsys, stepfunctions):
    stub_execution(stepfunctions)
    assert draw_workflow.main(["--execution", ARN]) == 0
    picture = (tmp_path / "reports" / "workflow" / "Machine-one.svg").read_text()
    assert "PictureNotFoundError: inbox/a.png does not exist" in picture
    printed = capsys.readouterr().out
    assert "RUNNING; started 2026-11-23 08:00:00.000 UTC." in printed
    assert "08:00:03.000" in printed
    assert "PictureNotFoundError: inbox/a.png does not exist" in printed
    assert '{"to": "Locate Picture"}' in printed


def test_no_escape_sequence_reaches_the_terminal(tmp_path, capsys, stepfunctions):
    failure = {"error": "\x1b[31mRed", "cause": "\x9b2J\x1b]0;title\x07 \ud800"}
    stub_execution(stepfunctions, failure=failure, error="\x1b[31mRed", cause="\x1b[2J\x7f")
    assert draw_workflow.main(["--execution", ARN, "--out", "x.svg"]) == 0
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x9b", "\x07", "\x7f"} & set(printed)
    assert "\ufffd[31mRed" in printed
    assert "\x1b" not in (tmp_path / "x.svg").read_text()


def test_execution_of_another_machine_is_refused(tmp_path, capsys, stepfunctions):
    stub_execution(stepfunctions, states=("Take Input", "Find Map Run"))
    assert draw_workflow.main(["--execution", ARN]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"draw_workflow: The execution {ARN} is not of the state machine MyS")
    assert not list(tmp_path.iterdir())


def test_write_docs_draws_the_definitions(tmp_path, monkeypatch):
    monkeypatch.setattr(draw_workflow, "DOCS", {tmp_path / "docs" / "x.svg": BATCH})
    assert draw_workflow.main(["--write-docs"]) == 0
    expected = (ROOT / "docs" / "batch-workflow.svg").read_text()
    assert (tmp_path / "docs" / "x.svg").read_text() == expected


@pytest.mark.parametrize("option", ["--out", "--definition", "--execution"])
def test_write_docs_refuses_other_options(usage_error, option):
    message = usage_error(draw_workflow.main, ["--write-docs", option, str(draw_workflow.DEFINITION)])
    assert f"--write-docs draws the pictures in docs/ and cannot be combined with {option}" in " ".join(message.split())


@pytest.mark.parametrize("execution", ["", " "])
def test_empty_arn_is_refused(tmp_path, usage_error, execution):
    """A shell's unset variable gives an empty ARN."""
    message = usage_error(draw_workflow.main, ["--execution", execution])
    assert "--execution is empty: give the ARN of an execution" in message
    assert not list(tmp_path.iterdir())
