"""Restarting failed pictures: no message is lost, no decided picture is started, none is started twice."""

import io
import json
import shlex
from collections import Counter
from contextlib import nullcontext
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from rich.console import Console
from samcli.yamlhelper import yaml_parse

from common.s3_picture import S3Picture, find_picture
from common.settings import ROOT
from common.stack import StackNotFoundError
from operations import restart_failed as program
from operations.failures import (
    BATCH,
    HIDDEN_SECONDS,
    FailureMessage,
    MessagesRefusedError,
    delete_messages,
    give_back,
    read_failure,
    read_queue,
)
from operations.restart_failed import FailureQueue, advice, find_queue, main, make_plan, parse_arguments, restart_failed
from tests.unit.aws_stubs import ACCOUNT, REGION, StubbedSession, stack_response, stubbed
from tests.unit.operations import arrivals

URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/failed"
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:MyStateMachine:first"
OUTPUTS = arrivals.OUTPUTS | {"FailedPicturesQueueUrl": URL}
EVENT = {"s3_bucket": "bucket", "s3_key": "inbox/a.png", "s3_version_id": "v1"}
A = S3Picture("bucket", "inbox/a.png", "v1")
NOTIFICATION = EVENT | {"error": {"Error": "EndpointBusyError", "Cause": "did not answer"}, "execution_arn": EXECUTION}
RECEIVE = {"QueueUrl": URL, "VisibilityTimeout": HIDDEN_SECONDS, "WaitTimeSeconds": 2, "MessageAttributeNames": ["All"]}
TO_DROP = "To drop: s3://bucket/inbox/a.png (version v1)"
S3_EVENT = {"bucket": {"name": "bucket"}, "object": {"key": "inbox/a.png", "version-id": "v1"}}


def event(given: object, **more: str) -> dict[str, str]:
    """Return the detail of Step Functions' event, as the rule passes it on."""
    return {"executionArn": EXECUTION, "status": "TIMED_OUT", "input": json.dumps(given), **more}


BATCH_FAILED = event({"s3_bucket": "bucket", "prefix": "night/"}, status="FAILED", error="PICTURES_UNACCOUNTED_FOR")


def message(body: object, name: str = "m1") -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"MessageId": name, "ReceiptHandle": f"receipt of {name}", "Body": text}


def failure(body: object, name: str = "m1") -> FailureMessage:
    return read_failure(message(body, name))


def batch_answer(names: tuple[str, ...], refused: tuple[str, ...]) -> dict[str, Any]:
    return {
        "Successful": [{"Id": name} for name in names if name not in refused],
        "Failed": [{"Id": name, "Code": "InternalError", "SenderFault": False} for name in refused],
    }


class Script:
    """The calls that are expected, in order per service, and their answers."""

    def __init__(self) -> None:
        self.session = StubbedSession()
        self.session.stub("cloudformation").add_response("describe_stacks", stack_response(OUTPUTS))
        self.queue: FailureQueue = find_queue(self.session, "s", "failed")

    def receives(self, *bodies: object) -> None:
        """The queue holds these messages, m0, m1, ..., and then nothing."""
        asked = RECEIVE | {"MaxNumberOfMessages": 10}
        messages = [message(body, f"m{n}") for n, body in enumerate(bodies)]
        self.session.stub("sqs").add_response("receive_message", {"Messages": messages}, asked)
        if bodies:
            self.session.stub("sqs").add_response("receive_message", {}, asked)

    def gives_back(self, *names: str, refused: tuple[str, ...] = ()) -> None:
        self._changes("change_message_visibility_batch", names, refused, {"VisibilityTimeout": 0})

    def deletes(self, *names: str, refused: tuple[str, ...] = ()) -> None:
        self._changes("delete_message_batch", names, refused, {})

    def _changes(self, operation: str, names: tuple[str, ...], refused: tuple[str, ...], more: dict[str, int]) -> None:
        entries = [{"Id": name, "ReceiptHandle": f"receipt of {name}"} | more for name in names]
        answer = batch_answer(names, refused)
        self.session.stub("sqs").add_response(operation, answer, {"QueueUrl": URL, "Entries": entries})

    def finds(self, item: dict[str, Any] | None = None) -> None:
        key = {"picture": {"S": A.uri}, "version_id": {"S": "v1"}}
        asked = {"TableName": OUTPUTS["PredictionsTableName"], "Key": key, "ConsistentRead": True}
        self.session.stub("dynamodb").add_response("get_item", {"Item": item} if item else {}, asked)

    def starts(self, name: str = "restart-m0", given: object = EVENT) -> None:
        asked = {"stateMachineArn": OUTPUTS["StateMachineArn"], "name": name, "input": json.dumps(given)}
        answer = {"executionArn": EXECUTION, "startDate": 0}
        self.session.stub("stepfunctions").add_response("start_execution", answer, asked)

    def refuses_start(self, code: str) -> None:
        self.session.stub("stepfunctions").add_client_error("start_execution", code, "no")

    def run(self, *arguments: str, error: Any = None, match: str | None = None) -> str:
        """Run the command, which may end with an error; return what it printed."""
        printed = io.StringIO()
        with pytest.raises(error, match=match) if error else nullcontext():
            restart_failed(self.queue, parse_arguments([*arguments]), Console(file=printed, width=120))
        return " ".join(printed.getvalue().replace("│", " ").split())


@pytest.fixture
def script(monkeypatch) -> Script:
    monkeypatch.setattr(program, "THREADS", 1)  # the stubs answer in one order
    return Script()


# --- Messages ---


@pytest.mark.parametrize(
    ("body", "error", "picture"),
    [
        pytest.param(NOTIFICATION, "EndpointBusyError", A, id="notification"),
        pytest.param(event(EVENT), "TIMED_OUT", A, id="event"),
        pytest.param(event(EVENT | {"prefix": "night/"}), "TIMED_OUT", A, id="picture and prefix"),
        pytest.param(event(S3_EVENT, error="States.Runtime"), "States.Runtime", A, id="event of an upload"),
        pytest.param(NOTIFICATION | {"s3_version_id": None}, "EndpointBusyError", A._replace(version_id=None), id="-v"),
        pytest.param({"error": {"Error": "BadError"}, "execution_arn": EXECUTION}, "BadError", None, id="no picture"),
        pytest.param(NOTIFICATION | {"s3_key": ["a"]}, "EndpointBusyError", None, id="key is a list"),
        pytest.param(event("[]"), "TIMED_OUT", None, id="input is a list"),
        # An event whose input is over 248 KB lacks it.
        pytest.param({"executionArn": EXECUTION, "status": "ABORTED"}, "ABORTED", None, id="no input"),
        pytest.param(BATCH_FAILED, "PICTURES_UNACCOUNTED_FOR", None, id="batch"),
        pytest.param("not JSON", "no name", None, id="not JSON"),
        pytest.param("[" * 100_000, "no name", None, id="deep JSON"),
    ],
)
def test_message_gives_error_picture_and_execution(body, error, picture):
    read = failure(body)
    assert (read.error, read.picture) == (error, picture)
    assert read.execution == (EXECUTION if isinstance(body, dict) else "")
    assert read.batch == ({"s3_bucket": "bucket", "prefix": "night/"} if body is BATCH_FAILED else None)


def test_dead_letter_gives_picture_and_reason():
    letter = message({"detail-type": "Object Created", "detail": S3_EVENT | {"reason": "PutObject"}})
    letter["MessageAttributes"] = {
        "ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"},
        "ERROR_MESSAGE": {"DataType": "String", "StringValue": "may not start it"},
    }
    read = read_failure(letter)
    assert (read.picture, read.error, read.cause) == (A, "NO_PERMISSIONS", "may not start it")
    undelivered = read_failure(message({"detail-type": "Step Functions ...", "detail": event(EVENT)}))
    assert (undelivered.picture, undelivered.error, undelivered.execution) == (A, "TIMED_OUT", EXECUTION)


def test_input_that_names_a_picture_itself_overrides_the_event():
    upload = {"bucket": {"name": "b"}, "object": {"key": "other.png"}}
    assert find_picture(upload) == S3Picture("b", "other.png", None)
    assert find_picture({"s3_bucket": "b", "s3_key": "mine.png"} | upload) == S3Picture("b", "mine.png", None)


@pytest.mark.parametrize(("queue", "output"), program.QUEUES.items())
def test_queue_option_finds_an_output_of_the_template(queue, output):
    assert output in yaml_parse((ROOT / "template.yaml").read_text())["Outputs"]
    outputs = OUTPUTS | {output: "its address"}
    session = StubbedSession()
    session.stub("cloudformation").add_response("describe_stacks", stack_response(outputs))
    assert find_queue(session, "s", queue).url == "its address"

    del outputs[output]  # an older stack
    session.stub("cloudformation").add_response("describe_stacks", stack_response(outputs))
    with pytest.raises(StackNotFoundError, match=f"no output {output}.*deploy it with `sam build"):
        find_queue(session, "s", queue)


@pytest.mark.parametrize("prefix", ["night/", "Joe's night/"])
def test_advice_for_batch_can_be_typed(prefix):
    batch = {"s3_bucket": "bucket", "prefix": prefix}
    text = advice(failure(event(batch, error="PICTURES_UNACCOUNTED_FOR")))
    assert "PICTURES_UNACCOUNTED_FOR" in text
    typed = text.partition(" --event ")[2].partition(" (decided")[0]
    assert [json.loads(word) for word in shlex.split(typed)] == [batch]


def test_cause_is_the_functions_message(script):
    cause = json.dumps({"errorType": "NotAPictureError", "errorMessage": "starts with [/b]"})
    script.receives(NOTIFICATION | {"error": {"Error": "NotAPictureError", "Cause": cause}})
    script.gives_back("m0")
    assert "NotAPictureError 1 1 starts with [/b]" in script.run("--dry-run")


# --- The queue ---


@pytest.mark.parity("sqs-visibility")
@pytest.mark.parametrize(
    ("most", "answers", "asked"),
    [
        pytest.param(100, [2, 1, 0], [10, 10, 10], id="until it is empty"),
        pytest.param(12, [10, 2], [10, 2], id="no more than asked for"),
    ],
)
def test_queue_is_read(most, answers, asked):
    sqs, stub = stubbed("sqs")
    for count, number in zip(answers, asked, strict=True):
        messages = [message(NOTIFICATION, str(n)) for n in range(count)]
        expected = RECEIVE | {"MaxNumberOfMessages": number}
        stub.add_response("receive_message", {"Messages": messages}, expected)
    assert [len(received) for received in read_queue(sqs, URL, most)] == [count for count in answers if count]


@pytest.mark.parity("sqs-visibility")
@pytest.mark.parametrize(
    ("operation", "change"), [("delete_message_batch", delete_messages), ("change_message_visibility_batch", give_back)]
)
def test_many_messages_go_in_batches_also_after_a_refusal(operation, change):
    sqs, stub = stubbed("sqs")
    for refused in (("3",), (), ("20",)):
        stub.add_response(operation, batch_answer((), refused))
    refused = change(sqs, URL, [failure(NOTIFICATION, str(n)) for n in range(2 * BATCH + 1)])
    assert refused == {"3": "InternalError", "20": "InternalError"}


# --- Restarting ---


def test_empty_queue_is_reported(script):
    script.receives()
    assert script.run() == "The queue is empty."


@pytest.mark.parametrize("others", [0, 2])
def test_picture_is_started_once_and_then_its_messages_are_deleted(script, others):
    script.receives(NOTIFICATION, *[event(EVENT)] * others)
    script.finds()
    script.starts()
    script.deletes(*(f"m{n}" for n in range(1 + others)))
    printed = script.run()
    assert "EndpointBusyError" in printed
    assert "pictures started again 1" in printed


def test_picture_of_unknown_version_is_left_to_the_workflow(script):
    given = {name: value for name, value in EVENT.items() if name != "s3_version_id"}
    script.receives(NOTIFICATION | {"s3_version_id": None})
    script.starts(given=given)
    script.deletes("m0")
    assert "pictures started again 1" in script.run()


@pytest.mark.parity("states-start")
def test_error_of_start_keeps_the_message_and_reports_what_was_done(script):
    script.receives(NOTIFICATION, NOTIFICATION | {"s3_version_id": None})
    script.finds()
    script.starts()
    script.deletes("m0")
    script.refuses_start("AccessDeniedException")
    script.gives_back("m1")
    printed = script.run(error=ClientError, match="AccessDenied")
    assert "pictures started again 1" in printed
    assert "pictures not reached, kept in the queue 1" in printed


def test_message_that_sqs_does_not_delete_is_an_error_and_given_back(script):
    script.receives(NOTIFICATION, event(EVENT))
    script.finds()
    script.starts()
    script.deletes("m0", "m1", refused=("m1",))
    script.gives_back("m1")
    printed = script.run(error=MessagesRefusedError, match=r"delete 1 messages \(InternalError\).*again")
    assert "pictures started again 1" in printed


def test_message_that_sqs_does_not_give_back_is_an_error(script):
    script.receives(NOTIFICATION, BATCH_FAILED)
    script.gives_back("m0", "m1", refused=("m0",))
    script.run("--dry-run", error=MessagesRefusedError, match=r"give back 1 messages.* in 15 minutes")


def test_message_of_existing_execution_is_only_deleted(script):
    script.receives(NOTIFICATION)
    script.finds()
    script.refuses_start("ExecutionAlreadyExists")
    script.deletes("m0")
    printed = script.run()
    assert "pictures started again 0" in printed
    assert "pictures that an earlier run had started 1" in printed


def test_picture_that_failed_again_after_an_unfinished_run_is_started_again(script):
    """The execution of m0 failed too, and m1 is its notification: no execution is named after that."""
    script.receives(NOTIFICATION, NOTIFICATION, NOTIFICATION)
    script.finds()
    script.refuses_start("ExecutionAlreadyExists")
    script.deletes("m0")
    script.starts("restart-m1")
    script.deletes("m1", "m2")
    assert "pictures started again 1" in script.run()


def test_message_stays_if_the_second_start_fails(script):
    script.receives(NOTIFICATION, NOTIFICATION)
    script.finds()
    script.refuses_start("ExecutionAlreadyExists")
    script.deletes("m0")
    script.refuses_start("AccessDeniedException")
    script.gives_back("m1")
    script.run(error=ClientError, match="AccessDenied")


@pytest.mark.parametrize(
    ("item", "decided"),
    [
        pytest.param({"outcome": {"S": "accepted"}, "label": {"S": "bicycle"}}, True, id="accepted"),
        pytest.param({"outcome": {"S": "review"}, "queued": {"BOOL": False}}, False, id="review, not queued"),
    ],
)
def test_only_undecided_picture_is_started(script, item, decided):
    script.receives(NOTIFICATION)
    script.finds(item)
    if not decided:
        script.starts()
    script.deletes("m0")
    printed = script.run()
    assert f"pictures started again {int(not decided)}" in printed
    assert f"pictures already decided {int(decided)}" in printed


def test_failures_without_a_picture_stay_with_advice(script):
    script.receives(BATCH_FAILED, "not JSON")
    script.gives_back("m0", "m1")
    printed = script.run()
    assert "A batch failed" in printed
    assert "No picture to start again" in printed
    assert "failures without a picture, kept in the queue 2" in printed


@pytest.mark.parametrize(
    ("refused", "printed"),
    [((), "failures without a picture, dropped 1"), (("m0",), "failures without a picture, kept in the queue 1")],
)
def test_drop_others_deletes_failures_without_a_picture(script, refused, printed):
    script.receives(BATCH_FAILED)
    script.deletes("m0", refused=refused)
    if refused:
        script.gives_back("m0")
    error = MessagesRefusedError if refused else None
    assert printed in script.run("--drop-others", error=error, match="delete 1 messages")


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ("--dry-run --drop-others", ["1 pictures would be started again; nothing was."]),
        ("--dry-run --error EndpointBusyError --drop", [TO_DROP, "1 pictures would be dropped; nothing was."]),
        ("--error NotAPictureError --drop-others", []),
    ],
)
def test_dry_run_and_error_option_leave_the_messages(script, arguments, printed):
    script.receives(NOTIFICATION, BATCH_FAILED)
    script.gives_back("m0", "m1")
    text = script.run(*arguments.split())
    assert [line for line in printed if line not in text] == []


@pytest.mark.parametrize(
    ("refused", "result"), [((), "pictures dropped 1"), (("m0", "m2"), "pictures not reached, kept in the queue 1")]
)
def test_drop_deletes_and_starts_nothing(script, refused, result):
    script.receives(NOTIFICATION, event(EVENT), NOTIFICATION)
    script.deletes("m0", "m2", refused=refused)
    script.gives_back(*sorted([*refused, "m1"]))
    error = MessagesRefusedError if refused else None
    printed = script.run("--error", "EndpointBusyError", "--drop", error=error)
    assert TO_DROP in printed
    assert result in printed


def test_limit_counts_pictures():
    names = ["a", "b", "a", "c"]
    failures = [failure(NOTIFICATION | {"s3_key": key}, str(n)) for n, key in enumerate(names)]
    plan = make_plan(failures, None, 2)
    assert Counter(p.key for p in plan.pictures) == {"a": 1, "b": 1}
    assert [f.message_id for f in plan.left] == ["3"]


@pytest.mark.parametrize("when", ["reading", "starting"])
def test_interrupt_gives_all_messages_back(script, monkeypatch, when):
    def interrupt(*_: object, **__: object) -> Any:
        if when == "reading":
            yield [failure(NOTIFICATION, "m0")]
        raise KeyboardInterrupt

    if when == "reading":
        monkeypatch.setattr(program, "read_queue", interrupt)
    else:
        script.receives(NOTIFICATION)
        monkeypatch.setattr(program, "run_parallel", lambda *_, **__: next(interrupt()))
    script.gives_back("m0")
    script.run(error=KeyboardInterrupt)


def test_interrupt_says_where_the_messages_are(monkeypatch, capsys):
    monkeypatch.setattr(program, "find_queue", Mock(side_effect=KeyboardInterrupt))
    assert main([]) == 130
    assert "in the queue, all of them in 15 minutes at the latest" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--drop"], "--drop needs --error NAME"), (["--limit", "0"], "is not a whole number above 0")],
)
def test_invalid_arguments_are_refused(arguments, text, usage_error):
    assert text in usage_error(parse_arguments, arguments)
