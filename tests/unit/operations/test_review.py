"""The command: what it finds, what it refuses, and what it says. No server is started."""

import re
from collections import Counter
from pathlib import Path
from queue import Queue

import pytest

from common import settings
from common.account import BucketUnreachableError
from common.stack import StackNotFoundError
from operations import review
from operations.review import Found, ReviewerUnknownError, find, main, result_table
from tests.unit.aws_stubs import ACCOUNT, REGION, StubbedSession
from tests.unit.operations.review_places import Office, body

WHEN = "2026-11-23T08:00:00Z"
URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/review"
OUTPUTS = {
    "PicturesBucketName": "pictures",
    "PredictionsTableName": "predictions",
    "StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:m",
    "ReviewQueueUrl": URL,
}


def session(outputs=None, *, bucket=True):
    made = StubbedSession()
    made.stub("sts").add_response(
        "get_caller_identity", {"Account": ACCOUNT, "Arn": "arn:aws:iam::1:user/u", "UserId": "u"}
    )
    found = [
        {"OutputKey": name, "OutputValue": value} for name, value in (OUTPUTS if outputs is None else outputs).items()
    ]
    stack = {"StackName": "s", "StackStatus": "CREATE_COMPLETE", "CreationTime": WHEN}
    made.stub("cloudformation").add_response(
        "describe_stacks", {"Stacks": [{**stack, "Outputs": found}]}, {"StackName": "s"}
    )
    name = settings.default_bucket(ACCOUNT, REGION)
    if bucket:
        made.stub("s3").add_response("head_bucket", {"ResponseMetadata": {}}, {"Bucket": name})
        sqs = made.stub("sqs")
        sqs.add_response("get_queue_attributes", {"Attributes": {"VisibilityTimeout": "300"}})
        counts = {"ApproximateNumberOfMessages": "7", "ApproximateNumberOfMessagesNotVisible": "2"}
        sqs.add_response("get_queue_attributes", {"Attributes": counts})
    else:
        made.stub("s3").add_client_error("head_bucket", "404", http_status_code=404)
    return made


def test_everything_is_found_by_the_stacks_outputs():
    made = session()
    found = find(made, "s", None)
    made.assert_no_pending_responses()
    assert (found.hold_seconds, found.waiting) == (300, 7)
    assert found.labels_uri == f"s3://scones-unlimited-training-{ACCOUNT}-{REGION}/review-labels/"


def test_an_older_stack_has_no_review_queue():
    outputs = {name: value for name, value in OUTPUTS.items() if name != "ReviewQueueUrl"}
    with pytest.raises(StackNotFoundError, match=r"gives no ReviewQueueUrl.*deploy it again"):
        find(session(outputs), "s", None)


def test_without_a_bucket_for_labels_nobody_is_asked():
    with pytest.raises(BucketUnreachableError, match=r"does not exist: run .*--bucket"):
        find(session(bucket=False), "s", None)


def test_a_missing_stack_is_one_sentence(monkeypatch, capsys):
    made = StubbedSession()
    made.stub("sts").add_response(
        "get_caller_identity", {"Account": ACCOUNT, "Arn": "arn:aws:iam::1:user/u", "UserId": "u"}
    )
    made.stub("cloudformation").add_client_error("describe_stacks", "ValidationError", "no stack")
    monkeypatch.setattr("boto3.Session", lambda: made)
    assert main(["--no-browser", "--reviewer", "ada"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("review: There is no stack scones-unlimited")
    assert error.count("\n") == 1


def test_a_person_without_a_name_is_asked_for_one(monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", unknown)
    with pytest.raises(ReviewerUnknownError, match="give --reviewer NAME"):
        review._user_name()


def test_ctrl_c_before_there_is_a_page_is_told(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(review, "find", interrupt)
    assert main(["--reviewer", "ada"]) == 130
    assert "nothing was decided" in capsys.readouterr().err


@pytest.fixture
def served(monkeypatch):
    """Run the command with this in the server's place; return the office that it serves."""

    def run(serve, *arguments):
        office = Office(*map(body, range(3)))
        desk = office.desk()
        found = Found(desk._places, "s3://b/review-labels/", 300, 3)
        monkeypatch.setattr("boto3.Session", lambda: None)
        monkeypatch.setattr(review, "find", lambda *_: found)
        monkeypatch.setattr("operations.reviewing.server.serve", serve)
        return office, main(["--reviewer", "ada", *arguments])

    return run


def test_a_second_ctrl_c_says_what_is_written_and_keeps_the_table(served, monkeypatch, capsys):
    ended: list[int] = []
    monkeypatch.setattr("operations.review.os._exit", ended.append)

    def serve(desk, _reviewer, _port, ready, give_up):
        ready("http://127.0.0.1:4700/a-token-of-a-test/")
        first, _second = desk.look("page").pictures
        desk.decide("page", first.message.message_id, "motorcycle")
        give_up()

    office, _ = served(serve, "--no-browser")
    shown = capsys.readouterr()
    assert ended == [130]
    assert "what was decided is written, and the rest comes back" in shown.out
    assert re.search(r"motorcycle\D+1\b", shown.out)
    assert shown.err == ""
    assert office.decisions() == {"inbox/0.png": "motorcycle"}


def test_the_browser_is_not_given_the_secret_on_its_command_line(served, monkeypatch, capsys):
    opened: Queue[str] = Queue()
    monkeypatch.setattr("operations.review.webbrowser.open", opened.put)
    address = "http://127.0.0.1:4700/a-token-of-a-test/"
    files = []

    def serve(_desk, _reviewer, _port, ready, _give_up):
        ready(address)
        page = opened.get(timeout=10)
        assert "a-token" not in page
        file = Path(page.removeprefix("file://"))
        files.append(file)
        assert f'content="0; url={address}"' in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700

    _, status = served(serve)
    assert status == 0
    assert address in capsys.readouterr().out
    assert not files[0].parent.exists()


def test_aws_is_not_waited_for_longer_than_a_person_waits():
    made = session()
    configs = []
    client = made.client

    def remember(service, **options):
        configs.append(options.get("config"))
        return client(service)

    made.client = remember  # type: ignore[method-assign]
    find(made, "s", None)
    used = [config for config in configs if config]
    assert len(used) == 4  # S3, SQS, DynamoDB, SageMaker
    for config in used:
        tries = config.retries["total_max_attempts"]
        assert (config.connect_timeout + config.read_timeout) * tries <= 60


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_a_usage_error(port):
    with pytest.raises(SystemExit) as exit_:
        main(["--port", port])
    assert exit_.value.code == 2


def test_the_result_counts_what_was_decided():
    table = result_table(Counter({"motorcycle": 2, "bicycle": 3, "neither": 0}))
    assert [list(column.cells) for column in table.columns] == [
        ["bicycle", "motorcycle", "all"],
        ["3", "2", "5"],
    ]
