"""The demo's accounting: no picture may be lost, and no doubtful answer pass for one."""

import io
import json
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console

from demo import __main__ as demo
from demo import session
from demo.outcomes import (
    ExecutionsUnfinishedError,
    Outcome,
    UnaccountedPictureError,
    figures,
    outcomes,
    queued_reviews,
    recorded_predictions,
    wait_for_executions,
)
from demo.table import show, threshold_words

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:m"
ARN = "arn:aws:states:us-east-1:000000000000:execution:m:e"
KEY = "inbox/bicycle/a.png"


def stepfunctions():
    return boto3.client("stepfunctions", region_name="us-east-1")


def described(**changes: str) -> dict:
    return {
        "executionArn": ARN,
        "stateMachineArn": MACHINE,
        "status": "SUCCEEDED",
        "startDate": 0,
        "input": json.dumps({"object": {"key": KEY}}),
    } | changes


def told(answer: dict, recorded: dict, queued: dict) -> PictureOutcome:
    client = stepfunctions()
    with Stubber(client) as stub:
        stub.add_response("describe_execution", answer, {"executionArn": ARN})
        [outcome] = outcomes(client, [{"executionArn": ARN}], recorded, queued)
        stub.assert_no_pending_responses()
    return outcome


@pytest.mark.parametrize(
    "answer",
    [described(), described(status="FAILED", error="THRESHOLD_CONFIDENCE_NOT_MET")],
    ids=["accepted", "doubtful"],
)
def test_a_picture_that_is_not_where_its_execution_says_is_an_error(answer):
    with pytest.raises(UnaccountedPictureError, match=KEY):
        told(answer, {}, {})


def test_an_accepted_picture_is_read_from_the_table():
    item = {"label": {"S": "bicycle"}, "confidence": {"N": "0.98"}}
    assert told(described(), {ARN: item}, {}) == PictureOutcome(KEY, "bicycle", "accepted", "bicycle", 0.98)


def test_a_doubtful_picture_is_read_from_the_review_queue():
    answer = described(status="FAILED", error="THRESHOLD_CONFIDENCE_NOT_MET")
    message = {"label": "motorcycle", "confidence": 0.6}
    assert told(answer, {}, {ARN: message}) == PictureOutcome(KEY, "bicycle", "review", "motorcycle", 0.6)


def test_any_other_error_is_a_failure_with_its_name():
    outcome = told(described(status="FAILED", error="NotAPictureError", cause="why"), {}, {})
    assert (outcome.outcome, outcome.error) == ("failed", "NotAPictureError: why")


def test_an_execution_that_timed_out_is_a_failure():
    outcome = told(described(status="TIMED_OUT"), {}, {})
    assert (outcome.outcome, outcome.error) == ("failed", "TIMED_OUT: ")


def listing(*statuses: str) -> dict:
    return {
        "executions": [
            {
                "executionArn": f"{ARN}{n}",
                "stateMachineArn": MACHINE,
                "name": str(n),
                "status": status,
                "startDate": 0,
            }
            for n, status in enumerate(statuses)
        ]
    }


def test_executions_that_do_not_end_are_an_error_with_their_count():
    client = stepfunctions()
    with Stubber(client) as stub:
        stub.add_response("list_executions", listing("SUCCEEDED", "RUNNING"))
        with pytest.raises(ExecutionsUnfinishedError, match=r"2 of 3 pictures had started .* 1 had ended"):
            wait_for_executions(client, MACHINE, 3, -1, lambda *_: None)


def test_waiting_ends_when_all_have_ended():
    client = stepfunctions()
    seen: list[tuple[int, int | None]] = []
    with Stubber(client) as stub:
        stub.add_response("list_executions", listing("SUCCEEDED", "RUNNING"))
        stub.add_response("list_executions", listing("SUCCEEDED", "FAILED"))
        ended = wait_for_executions(client, MACHINE, 2, 60, lambda *now: seen.append(now))
        stub.assert_no_pending_responses()
    assert len(ended) == 2
    assert seen == [(1, 2), (2, 2)]


def test_the_review_queue_keeps_its_messages():
    sqs = boto3.client("sqs", region_name="us-east-1")
    body = {"execution_arn": ARN, "label": "bicycle"}
    url = "http://127.0.0.1/q"
    ask = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
    with Stubber(sqs) as stub:
        message = {"Body": json.dumps(body), "ReceiptHandle": "r"}
        stub.add_response("receive_message", {"Messages": [message]}, ask)
        stub.add_response("receive_message", {}, ask)
        stub.add_response(
            "change_message_visibility",
            {},
            {"QueueUrl": url, "ReceiptHandle": "r", "VisibilityTimeout": 0},
        )
        assert queued_reviews(sqs, url) == {ARN: body}
        stub.assert_no_pending_responses()


def test_all_accepted_answers_on_all_pages_of_the_table_are_read():
    dynamodb = boto3.client("dynamodb", region_name="us-east-1")
    items = [
        {"execution_arn": {"S": f"{ARN}{n}"}, "outcome": {"S": outcome}}
        for n, outcome in enumerate(["accepted", "accepted", "review"])
    ]
    with Stubber(dynamodb) as stub:
        stub.add_response("scan", {"Items": items[:1], "LastEvaluatedKey": {"k": {"S": "1"}}})
        stub.add_response("scan", {"Items": items[1:]})
        assert list(recorded_predictions(dynamodb, "t")) == [f"{ARN}0", f"{ARN}1"]
        stub.assert_no_pending_responses()


PICTURES = [
    PictureOutcome("1", "bicycle", "accepted", "bicycle", 0.95),
    PictureOutcome("2", "bicycle", "accepted", "motorcycle", 0.92),
    PictureOutcome("3", "motorcycle", "review", "motorcycle", 0.6),
    PictureOutcome("4", "motorcycle", "failed", error="NotAPictureError: why"),
]


def test_figures_are_over_all_pictures():
    assert figures(PICTURES, 0.9) == {
        "executions": {"started": 4, "accepted": 2, "review": 1, "failed": 1},
        "threshold": 0.9,
        "accuracy": 0.5,
        "accuracy_accepted": 0.5,
        "coverage": 0.5,
        "accepted_below_threshold": 0,
    }


def test_an_answer_accepted_below_the_threshold_is_counted():
    assert figures(PICTURES, 0.94)["accepted_below_threshold"] == 1


def test_no_pictures_have_no_shares():
    assert figures([], 0.9)["accuracy"] is None


def report(**changes: object) -> dict:
    executions = {"started": 4, "accepted": 3, "review": 1, "failed": 0}
    return {
        "data": {"test": {"bicycle": 2, "motorcycle": 2}},
        "executions": executions,
        "failures": [],
        "accepted_below_threshold": 0,
        "threshold": 0.9123,
        "evaluated_threshold": 0.9123,
        "monitor": {
            "lines": 9,
            "predictions": 9,
            "damaged": 0,
            "threshold": 0.9123,
            "drift_verdict": "The pictures are as they were.",
        },
        "resources_left": 0,
    } | changes


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": {"test": {"bicycle": 5}}}, "4 executions for 5 pictures"),
        (
            {"executions": {"started": 4, "failed": 1}, "failures": ["a.png: NotAPictureError"]},
            "1 executions failed: a.png: NotAPictureError",
        ),
        ({"accepted_below_threshold": 1}, "1 answers accepted below the threshold"),
        ({"resources_left": 2}, "2 resources left"),
        (
            {"monitor": {"lines": 9, "predictions": 7, "damaged": 2, "threshold": 0.9123}},
            "2 of 9 captured calls are damaged",
        ),
        (
            {"monitor": {"lines": 9, "predictions": 9, "damaged": 0, "threshold": 0.9}},
            r"monitored at a threshold of 0\.9 and deployed with 0\.9123",
        ),
        (
            {"evaluated_threshold": 0.9},
            r"evaluated at a threshold of 0\.9 and deployed with 0\.9123",
        ),
    ],
)
def test_a_run_with_wrong_figures_is_an_error(changes, says):
    with pytest.raises(demo.RunCheckError, match=says):
        demo.check(report(**changes))


def test_a_run_with_right_figures_passes():
    demo.check(report())


def test_a_demo_beside_a_running_one_is_refused(monkeypatch, capsys, tmp_path):
    class Running:
        url = "http://127.0.0.1:4566"

    monkeypatch.setattr(session, "find_running", lambda _: Running)
    monkeypatch.setattr(demo, "REPORT", tmp_path)
    assert demo.main([]) == 1
    assert "python -m local stop" in capsys.readouterr().err


FOUND = {  # what a whole report has besides
    "training": {"seconds": 1, "validation_accuracy": 0.9},
    "recommendation": None,
    "accuracy": 1.0,
    "accuracy_accepted": 1.0,
    "coverage": 0.75,
    "expected_calibration_error": 0.02,
}


def test_words_of_the_run_are_text_and_not_markup_in_the_terminal():
    told = report(**FOUND, seconds={"total": 1.0})
    told["data"] = {"test": {"truck [red]": 4}}
    told["monitor"]["drift_verdict"] = "As [bold]they[/bold] were [/]."
    console = Console(file=io.StringIO(), width=100)
    show(told, Path("reports"), console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "4 truck [red]" in printed
    assert "As [bold]they[/bold] were [/]." in printed


def test_a_run_that_fails_leaves_no_older_figures(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "REPORT", tmp_path)
    for name in (
        "summary.json",
        "index.html",
        "page-phone-light.png",
        "page-desktop-dark.png",
        "monitor/monitor.html",
        "monitor/monitor.json",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("older")

    def fail(*_):
        raise session.CommandFailedError("no")

    monkeypatch.setattr(session, "find_running", lambda _: None)
    monkeypatch.setattr(session.LaptopSession, "run", fail)
    assert demo.main([]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("given", "left"), [([], []), (["--keep"], ["stop"])])
def test_the_laptops_aws_is_stopped_unless_it_is_kept(monkeypatch, tmp_path, capsys, given, left):
    ran: list[str] = []
    monkeypatch.setattr(demo, "REPORT", tmp_path)
    monkeypatch.setattr(session, "find_running", lambda _: "stop" if "start" in ran else None)
    monkeypatch.setattr(session.LaptopSession, "run", lambda _, *command, **__: ran.append(command[3]))
    whole = report(**FOUND)
    monkeypatch.setattr(demo, "go_through", lambda *_: whole)
    monkeypatch.setattr(demo, "clean_up", lambda _: 0)
    monkeypatch.setattr(demo, "write_demo_page", lambda *_: tmp_path / "index.html")
    assert demo.main(given) == 0
    assert ran == [c for c in ("start", "stop") if c not in left]
    assert json.loads((tmp_path / "summary.json").read_text())["executions"]["started"] == 4
    printed = capsys.readouterr().out
    assert "The pictures are as they were." in printed
    assert f"{tmp_path.as_uri()}/index.html" in printed


def test_the_demo_deploys_and_counts_with_the_threshold_that_create_endpoint_wrote(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    parameters = {"EndpointName": "e", "ConfidenceThreshold": "0.8123"}
    files = {
        "data/staged/manifest.json": {
            "counts": {"test": {"bicycle": 1}},
            "source": {"kind": "synthetic"},
        },
        "reports/create_endpoint/endpoint.json": {
            "training": {"seconds": 1, "validation_accuracy": 0.9},
            "recommendation": {"threshold": 0.8123, "max_error": 0.01, "met": True},
            "deploy_parameters": parameters,
            "endpoint": "e",
            "bucket": "b",
        },
        "reports/evaluate/evaluation.json": {
            "threshold": 0.8123,
            "expected_calibration_error": 0.02,
        },
        "reports/demo/monitor/monitor.json": {
            **dict.fromkeys([*demo.MONITORED, "more"], 0.8123),
            "drift": {"drifted": False, "verdict": "none", "features": []},
        },
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(session.LaptopSession, "run", lambda _, *command, **__: ran.append(command))
    monkeypatch.setattr(demo, "run_workflow", lambda *_: (PICTURES, []))
    waited: list[tuple[object, ...]] = []
    monkeypatch.setattr(demo, "wait_for_captures", lambda _, *given: waited.append(given))
    laptop = session.LaptopSession(0, Console(file=io.StringIO()), tmp_path)

    report = demo.go_through(laptop, "synthetic")

    assert (
        "sam",
        "deploy",
        "--config-env",
        "local",
        "--parameter-overrides",
        "EndpointName=e",
        "ConfidenceThreshold=0.8123",
    ) in ran
    assert (report["threshold"], report["evaluated_threshold"]) == (0.8123, 0.8123)
    assert threshold_words(report) == "0.8123 (recommended: at most 1.0% errors)"
    report["recommendation"] |= {"met": False, "error_bound": 0.025}
    assert threshold_words(report) == "0.8123 (recommended: at most 2.5% errors)"
    assert threshold_words(report | {"recommendation": None}) == "0.8123 (samconfig.toml)"
    # Three of four pictures got an answer, and one tried the endpoint out.
    assert waited == [("b", "captures/e/", 4, demo.SECONDS_TO_CAPTURE)]
    asked = [command[2] for command in ran if command[1:2] == ("-m",)]
    assert asked.index("operations.monitor") < asked.index("training.evaluate")
    assert set(report["monitor"]) == {*demo.MONITORED, "drifted", "drift_verdict"}
    assert [PictureOutcome(**picture) for picture in report["pictures"]] == PICTURES
