"""Restarting failures: no message is lost, no picture started that is decided, none twice."""

import io
import json
import shlex
from collections import Counter
from typing import Any

import pytest
from rich.console import Console
from samcli.yamlhelper import yaml_parse

from common.s3_picture import Picture, find_picture
from common.settings import ROOT
from operations import restart_failed as program
from operations.failures import (
    BATCH,
    HIDDEN_SECONDS,
    Failure,
    MessagesRefusedError,
    delete_messages,
    give_back,
    read_failure,
    read_queue,
)
from operations.restart_failed import (
    Done,
    QueueMissingError,
    Stack,
    advice,
    find_stack,
    main,
    make_plan,
    parse_arguments,
    restart,
    restart_failed,
)
from tests.unit.aws_stubs import ACCOUNT, REGION, StubbedSession, stubbed

URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/failed"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:MyStateMachine"
RUN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:MyStateMachine:first"
OUTPUTS = {
    "PicturesBucketName": "bucket",
    "PredictionsTableName": "predictions",
    "StateMachineArn": MACHINE,
    "FailedPicturesQueueUrl": URL,
}
PLACE = {"s3_bucket": "bucket", "s3_key": "inbox/a.png", "s3_version_id": "v1"}
A = Picture("bucket", "inbox/a.png", "v1")
TOLD = PLACE | {
    "error": {"Error": "EndpointBusyError", "Cause": "did not answer"},
    "execution_arn": RUN,
}
S3_EVENT = {"bucket": {"name": "bucket"}, "object": {"key": "inbox/a.png", "version-id": "v1"}}


def event(given: object, **more: str) -> dict[str, str]:
    """Return the detail of Step Functions' own event, as the rule passes it on."""
    return {"executionArn": RUN, "status": "TIMED_OUT", "input": json.dumps(given), **more}


BATCH_FAILED = event({"s3_bucket": "bucket", "prefix": "night/"}, status="FAILED", error="PICTURES_UNACCOUNTED_FOR")


def message(body: object, name: str = "m1") -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"MessageId": name, "ReceiptHandle": f"receipt of {name}", "Body": text}


def entry(name: str) -> dict[str, str]:
    return {"Id": name, "ReceiptHandle": f"receipt of {name}"}


def failure(body: object, name: str = "m1") -> Failure:
    return read_failure(message(body, name))


@pytest.fixture
def session() -> StubbedSession:
    return StubbedSession()


@pytest.fixture
def stack(session: StubbedSession) -> Stack:
    outputs = [{"OutputKey": k, "OutputValue": v} for k, v in OUTPUTS.items()]
    session.stub("cloudformation").add_response(
        "describe_stacks",
        {"Stacks": [{"StackName": "s", "CreationTime": 0, "StackStatus": "", "Outputs": outputs}]},
    )
    return find_stack(session, "s", "failed")


def receives(session: StubbedSession, *bodies: object) -> None:
    """Let the queue hold these messages, m0, m1, ..., and then nothing."""
    sqs = session.stub("sqs")
    asked = {
        "QueueUrl": URL,
        "MaxNumberOfMessages": 10,
        "VisibilityTimeout": HIDDEN_SECONDS,
        "WaitTimeSeconds": 2,
        "MessageAttributeNames": ["All"],
    }
    messages = [message(body, f"m{n}") for n, body in enumerate(bodies)]
    sqs.add_response("receive_message", {"Messages": messages}, asked)
    if bodies:
        sqs.add_response("receive_message", {}, asked)


def changed(names: tuple[str, ...], refused: tuple[str, ...]) -> dict[str, Any]:
    """Return SQS's answer to a batch, of which it refuses some."""
    return {
        "Successful": [{"Id": name} for name in names if name not in refused],
        "Failed": [{"Id": n, "Code": "InternalError", "SenderFault": False} for n in refused],
    }


def gives_back(session: StubbedSession, *names: str, refused: tuple[str, ...] = ()) -> None:
    entries = [entry(name) | {"VisibilityTimeout": 0} for name in names]
    session.stub("sqs").add_response(
        "change_message_visibility_batch",
        changed(names, refused),
        {"QueueUrl": URL, "Entries": entries},
    )


def deletes(session: StubbedSession, *names: str, refused: tuple[str, ...] = ()) -> None:
    session.stub("sqs").add_response(
        "delete_message_batch",
        changed(names, refused),
        {"QueueUrl": URL, "Entries": [entry(name) for name in names]},
    )


def finds(session: StubbedSession, item: dict[str, Any] | None) -> None:
    session.stub("dynamodb").add_response(
        "get_item",
        {"Item": item} if item else {},
        {
            "TableName": "predictions",
            "Key": {"picture": {"S": A.uri}, "version_id": {"S": "v1"}},
            "ConsistentRead": True,
        },
    )


def starts(session: StubbedSession, name: str = "restart-m0", given: object = None) -> None:
    session.stub("stepfunctions").add_response(
        "start_execution",
        {"executionArn": RUN, "startDate": 0},
        {"stateMachineArn": MACHINE, "name": name, "input": json.dumps(given or PLACE)},
    )


def exists(session: StubbedSession) -> None:
    """Refuse the next start: an execution of that name has ended."""
    session.stub("stepfunctions").add_client_error("start_execution", "ExecutionAlreadyExists", "")


def run(stack: Stack, *arguments: str, printed: io.StringIO | None = None) -> tuple[int, str]:
    """Run the program on the stack; return its exit status and what it printed."""
    printed = printed or io.StringIO()
    console = Console(file=printed, width=120)
    return restart_failed(stack, parse_arguments([*arguments]), console), printed.getvalue()


# --- What a message says ---


@pytest.mark.parametrize(
    ("body", "error", "picture"),
    [
        (TOLD, "EndpointBusyError", A),
        (event(PLACE), "TIMED_OUT", A),
        (event(S3_EVENT, error="States.Runtime"), "States.Runtime", A),
        ({**TOLD, "s3_version_id": None}, "EndpointBusyError", A._replace(version_id=None)),
        ({"error": {"Error": "BadError"}, "execution_arn": RUN}, "BadError", None),
        ({**TOLD, "s3_key": ["a"]}, "EndpointBusyError", None),
        (event("[]"), "TIMED_OUT", None),
        ({"executionArn": RUN, "status": "ABORTED"}, "ABORTED", None),  # an input over 248 KB
        (BATCH_FAILED, "PICTURES_UNACCOUNTED_FOR", None),
        ("no JSON", "no name", None),
        ("[" * 100_000, "no name", None),
    ],
    ids=[
        "told",
        "event",
        "event of an upload",
        "no version",
        "no picture",
        "odd key",
        "odd input",
        "no input",
        "batch",
        "no JSON",
        "deep JSON",
    ],
)
def test_a_message_gives_its_error_and_its_picture(body, error, picture):
    found = failure(body)
    assert (found.error, found.picture) == (error, picture)
    assert found.execution == (RUN if isinstance(body, dict) else "")


def test_a_dead_letter_gives_its_picture_and_why_it_is_dead():
    letter = message({"detail-type": "Object Created", "detail": S3_EVENT | {"reason": "PutObject"}})
    letter["MessageAttributes"] = {
        "ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"},
        "ERROR_MESSAGE": {"DataType": "String", "StringValue": "may not start it"},
    }
    found = read_failure(letter)
    assert (found.picture, found.error, found.cause) == (A, "NO_PERMISSIONS", "may not start it")
    untold = read_failure(message({"detail-type": "Step Functions ...", "detail": event(PLACE)}))
    assert (untold.picture, untold.error, untold.execution) == (A, "TIMED_OUT", RUN)


@pytest.mark.parametrize("queue", program.QUEUES)
def test_each_queue_is_an_output_of_the_template(queue):
    template = yaml_parse((ROOT / "template.yaml").read_text())
    assert program.QUEUES[queue] in template["Outputs"]


def test_only_a_failed_batch_is_one():
    assert failure(BATCH_FAILED).batch == {"s3_bucket": "bucket", "prefix": "night/"}
    assert failure(event(PLACE | {"prefix": "night/"})).batch is None
    assert failure("no JSON").batch is None


def test_what_to_do_about_a_batch_can_be_typed():
    words = advice(failure(BATCH_FAILED))
    assert """--event '{"s3_bucket": "bucket", "prefix": "night/"}'""" in words
    assert "PICTURES_UNACCOUNTED_FOR" in words
    batch = {"s3_bucket": "bucket", "prefix": "Joe's night/"}
    words = advice(failure(event(batch)))
    typed = words.partition(" --event ")[2].partition(" (what")[0]
    assert [json.loads(word) for word in shlex.split(typed)] == [batch]
    assert "No picture" in advice(failure("no JSON"))


def test_a_cause_is_shown_in_the_functions_own_words(session, stack):
    cause = json.dumps({"errorType": "NotAPictureError", "errorMessage": "starts with [/b]"})
    receives(session, {**TOLD, "error": {"Error": "NotAPictureError", "Cause": cause}})
    gives_back(session, "m0")
    assert "│ starts with [/b] │" in run(stack, "--dry-run")[1]


# --- The queue ---


@pytest.mark.parity("sqs-visibility")
def test_the_queue_is_read_until_it_is_empty():
    sqs, stub = stubbed("sqs")
    for names in (["a", "b"], ["c"], []):
        stub.add_response("receive_message", {"Messages": [message(TOLD, n) for n in names]})
    read = [f.message_id for some in read_queue(sqs, URL, 100) for f in some]
    assert read == ["a", "b", "c"]
    stub.assert_no_pending_responses()


def test_no_more_is_read_than_asked_for():
    sqs, stub = stubbed("sqs")
    asked = {
        "QueueUrl": URL,
        "VisibilityTimeout": HIDDEN_SECONDS,
        "WaitTimeSeconds": 2,
        "MessageAttributeNames": ["All"],
    }
    ten = [message(TOLD, str(n)) for n in range(10)]
    stub.add_response("receive_message", {"Messages": ten}, asked | {"MaxNumberOfMessages": 10})
    two = [message(TOLD, str(n)) for n in range(10, 12)]
    stub.add_response("receive_message", {"Messages": two}, asked | {"MaxNumberOfMessages": 2})
    assert sum(len(some) for some in read_queue(sqs, URL, 12)) == 12
    stub.assert_no_pending_responses()


@pytest.mark.parity("sqs-visibility")
@pytest.mark.parametrize(
    ("operation", "change"),
    [("delete_message_batch", delete_messages), ("change_message_visibility_batch", give_back)],
)
def test_many_messages_go_in_batches_that_sqs_takes(operation, change):
    """Also those after one that SQS refuses."""
    sqs, stub = stubbed("sqs")
    for refused in (("3",), (), ("20",)):
        stub.add_response(operation, changed((), refused))
    refused = change(sqs, URL, [failure(TOLD, str(n)) for n in range(2 * BATCH + 1)])
    assert refused == {"3": "InternalError", "20": "InternalError"}
    stub.assert_no_pending_responses()


# --- What is done ---


def test_an_older_stack_is_named_with_what_to_do(session):
    outputs = [{"OutputKey": k, "OutputValue": v} for k, v in OUTPUTS.items() if k != "FailedPicturesQueueUrl"]
    session.stub("cloudformation").add_response(
        "describe_stacks",
        {"Stacks": [{"StackName": "s", "CreationTime": 0, "StackStatus": "", "Outputs": outputs}]},
    )
    with pytest.raises(QueueMissingError, match=r"deploy it again with `sam build"):
        find_stack(session, "s", "failed")


def test_an_empty_queue_is_said(session, stack):
    receives(session)
    assert run(stack) == (0, "The queue is empty.\n")
    session.assert_no_pending_responses()


def test_a_picture_is_started_and_only_then_its_message_deleted(session, stack):
    receives(session, TOLD)
    finds(session, None)
    starts(session)
    deletes(session, "m0")
    status, printed = run(stack)
    assert status == 0
    assert "EndpointBusyError" in printed
    assert "pictures started again                    │ 1" in printed
    session.assert_no_pending_responses()


def test_a_message_stays_when_its_picture_cannot_be_started(session, stack):
    receives(session, TOLD)
    finds(session, None)
    session.stub("stepfunctions").add_client_error("start_execution", "AccessDeniedException", "no")
    gives_back(session, "m0")
    with pytest.raises(stack.stepfunctions.exceptions.ClientError, match="AccessDenied"):
        run(stack)
    session.assert_no_pending_responses()


@pytest.mark.parity("states-start")
def test_what_was_done_before_an_error_ended_it_is_said(session, stack, monkeypatch):
    monkeypatch.setattr(program, "THREADS", 1)  # one after the other
    receives(session, TOLD, TOLD | {"s3_version_id": None})
    finds(session, None)
    starts(session)
    deletes(session, "m0")
    session.stub("stepfunctions").add_client_error("start_execution", "AccessDeniedException", "no")
    gives_back(session, "m1")
    printed = io.StringIO()
    with pytest.raises(stack.stepfunctions.exceptions.ClientError, match="AccessDenied"):
        run(stack, printed=printed)
    assert "pictures started again                    │ 1" in printed.getvalue()
    assert "pictures not got to, kept in the queue    │ 1" in printed.getvalue()
    session.assert_no_pending_responses()


def test_a_message_that_sqs_did_not_delete_is_an_error_and_given_back(session, stack):
    receives(session, TOLD, event(PLACE))
    finds(session, None)
    starts(session)
    deletes(session, "m0", "m1", refused=("m1",))
    gives_back(session, "m1")
    printed = io.StringIO()
    with pytest.raises(MessagesRefusedError, match=r"delete 1 messages \(InternalError\).*again"):
        run(stack, printed=printed)
    assert "pictures started again                    │ 1" in printed.getvalue()
    session.assert_no_pending_responses()


def test_a_message_that_could_not_be_given_back_is_told(session, stack):
    receives(session, TOLD, BATCH_FAILED)
    gives_back(session, "m0", "m1", refused=("m0",))
    with pytest.raises(MessagesRefusedError, match=r"give back 1 messages.* in 15 minutes"):
        run(stack, "--dry-run")
    session.assert_no_pending_responses()


def test_a_run_that_was_ended_before_it_could_delete_is_made_up_for(session, stack):
    receives(session, TOLD)
    finds(session, None)
    exists(session)
    deletes(session, "m0")
    status, printed = run(stack)
    assert status == 0
    assert "pictures started again                    │ 0" in printed
    assert "pictures that an earlier run had started  │ 1" in printed
    session.assert_no_pending_responses()


def test_a_picture_that_failed_again_after_such_a_run_is_started_again(session, stack):
    """m0's execution failed too and told of it in m1: nothing has been started for that one."""
    receives(session, TOLD, TOLD, TOLD)
    finds(session, None)
    exists(session)
    deletes(session, "m0")
    starts(session, "restart-m1")
    deletes(session, "m1", "m2")
    status, printed = run(stack)
    assert status == 0
    assert "pictures started again                    │ 1" in printed
    session.assert_no_pending_responses()


def test_a_message_is_kept_whose_picture_could_not_be_started_after_another_name(session, stack):
    receives(session, TOLD, TOLD)
    finds(session, None)
    exists(session)
    deletes(session, "m0")
    session.stub("stepfunctions").add_client_error("start_execution", "AccessDeniedException", "no")
    gives_back(session, "m1")
    with pytest.raises(stack.stepfunctions.exceptions.ClientError, match="AccessDenied"):
        run(stack)
    session.assert_no_pending_responses()


@pytest.mark.parametrize(
    "item",
    [
        {"outcome": {"S": "accepted"}, "label": {"S": "bicycle"}},
        {"outcome": {"S": "review"}, "queued": {"BOOL": True}},
        {"outcome": {"S": "reviewed"}, "label": {"S": "neither"}},
    ],
    ids=["accepted", "in review", "reviewed"],
)
def test_what_is_decided_is_not_started(session, stack, item):
    receives(session, TOLD)
    finds(session, item)
    deletes(session, "m0")
    status, printed = run(stack)
    assert "pictures already decided                  │ 1" in printed
    assert status == 0
    session.assert_no_pending_responses()


def test_a_claim_that_was_never_queued_is_not_decided(session, stack):
    finds(session, {"outcome": {"S": "review"}, "queued": {"BOOL": False}})
    starts(session, "restart-m1")
    deletes(session, "m1")
    done = Done([], set())
    restart(stack, A, [failure(TOLD)], done)
    assert done == (["started again"], {"m1"})
    session.assert_no_pending_responses()


def test_a_picture_of_unknown_version_is_left_to_the_workflow(session, stack):
    place = {"s3_bucket": "bucket", "s3_key": "inbox/a.png"}
    starts(session, "restart-m1", place)
    deletes(session, "m1")
    done = Done([], set())
    restart(stack, A._replace(version_id=None), [failure(TOLD)], done)
    assert done == (["started again"], {"m1"})
    session.assert_no_pending_responses()


def test_a_picture_that_failed_twice_is_started_once(session, stack):
    receives(session, TOLD, event(PLACE))
    finds(session, None)
    starts(session)
    deletes(session, "m0", "m1")
    assert run(stack)[0] == 0
    session.assert_no_pending_responses()


def test_what_is_no_picture_stays_with_advice(session, stack):
    receives(session, BATCH_FAILED, "no JSON")
    gives_back(session, "m0", "m1")
    status, printed = run(stack)
    assert status == 0
    assert "A batch failed" in printed
    assert "failures of no picture, kept in the queue │ 2" in printed
    session.assert_no_pending_responses()


def test_what_is_no_picture_goes_when_asked(session, stack):
    receives(session, BATCH_FAILED)
    deletes(session, "m0")
    assert "failures of no picture, dropped" in run(stack, "--drop-others")[1]
    session.assert_no_pending_responses()


def test_a_dry_run_starts_and_deletes_nothing(session, stack):
    receives(session, TOLD, BATCH_FAILED)
    gives_back(session, "m0", "m1")
    status, printed = run(stack, "--dry-run", "--drop-others")
    assert (status, "1 pictures would be started again; nothing was" in printed) == (0, True)
    session.assert_no_pending_responses()


def test_only_the_error_asked_for_is_dealt_with(session, stack):
    receives(session, TOLD, BATCH_FAILED)
    gives_back(session, "m0", "m1")
    run(stack, "--error", "NotAPictureError", "--drop-others")
    session.assert_no_pending_responses()


def test_what_would_only_fail_again_is_dropped_and_not_started(session, stack):
    receives(session, TOLD, event(PLACE), TOLD)
    deletes(session, "m0", "m2")
    gives_back(session, "m1")
    status, printed = run(stack, "--error", "EndpointBusyError", "--drop")
    assert status == 0
    assert "To drop: s3://bucket/inbox/a.png (version v1)\n" in printed
    assert "pictures dropped                          │ 1" in printed
    session.assert_no_pending_responses()


def test_what_would_be_dropped_is_shown_by_a_dry_run(session, stack):
    receives(session, TOLD)
    gives_back(session, "m0")
    _, printed = run(stack, "--error", "EndpointBusyError", "--drop", "--dry-run")
    assert "To drop: s3://bucket/inbox/a.png (version v1)\n" in printed
    assert "1 pictures would be dropped; nothing was." in printed
    session.assert_no_pending_responses()


def test_a_drop_that_sqs_refuses_is_an_error_and_counts_nothing(session, stack):
    receives(session, TOLD)
    deletes(session, "m0", refused=("m0",))
    gives_back(session, "m0")
    printed = io.StringIO()
    with pytest.raises(MessagesRefusedError, match="delete 1 messages"):
        run(stack, "--error", "EndpointBusyError", "--drop", printed=printed)
    assert "pictures not got to, kept in the queue    │ 1" in printed.getvalue()
    session.assert_no_pending_responses()


def test_failures_of_no_picture_that_sqs_keeps_are_not_said_to_be_dropped(session, stack):
    receives(session, BATCH_FAILED)
    deletes(session, "m0", refused=("m0",))
    gives_back(session, "m0")
    printed = io.StringIO()
    with pytest.raises(MessagesRefusedError, match="delete 1 messages"):
        run(stack, "--drop-others", printed=printed)
    assert "failures of no picture, kept in the queue │ 1" in printed.getvalue()
    session.assert_no_pending_responses()


def test_nothing_is_dropped_without_the_name_of_an_error(capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--drop"])
    assert "--drop needs --error NAME" in capsys.readouterr().err


def test_no_more_pictures_are_started_than_asked_for():
    names = ["a", "b", "a", "c"]
    failures = [failure(TOLD | {"s3_key": key}, str(n)) for n, key in enumerate(names)]
    plan = make_plan(failures, None, 2)
    assert Counter(p.key for p in plan.pictures) == {"a": 1, "b": 1}
    assert [f.message_id for f in plan.left] == ["3"]


def test_ctrl_c_gives_everything_back(session, stack, monkeypatch):
    receives(session, TOLD)
    gives_back(session, "m0")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "run_parallel", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(stack)
    session.assert_no_pending_responses()


def test_ctrl_c_while_reading_gives_back_what_was_read(session, stack, monkeypatch):
    gives_back(session, "m1")

    def reading(*_: object) -> Any:
        yield [failure(TOLD)]
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "read_queue", reading)
    with pytest.raises(KeyboardInterrupt):
        run(stack)
    session.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (KeyboardInterrupt, 130, "in the queue, all of it in 15 minutes at the latest"),
        (QueueMissingError("no queue"), 1, "no q"),
    ],
)
def test_the_command_ends_with_a_sentence(monkeypatch, capsys, raised, status, words):
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(program, "find_stack", fail)
    assert main([]) == status
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_that_is_none_is_refused(limit, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--limit", limit])
    assert "is not a whole number above 0" in capsys.readouterr().err


def test_an_input_that_names_a_picture_itself_means_that_one():
    event = {"bucket": {"name": "b"}, "object": {"key": "other.png"}}
    assert find_picture(event) == Picture("b", "other.png", None)
    own = {"s3_bucket": "b", "s3_key": "mine.png"}
    assert find_picture(own | event) == Picture("b", "mine.png", None)
