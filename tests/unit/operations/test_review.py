"""The review command: what it finds, refuses and prints. No server is started."""

import re
from collections import Counter
from pathlib import Path
from queue import Queue
from unittest.mock import Mock

import pytest

from common import settings
from common.account import BucketUnreachableError
from common.stack import StackNotFoundError
from operations import review
from operations.review import ReviewerUnknownError, find_backend, main, result_table
from tests.unit.aws_stubs import ACCOUNT, REGION, StubbedSession, stack_response
from tests.unit.operations import arrivals
from tests.unit.operations.review_backend import Office, body

OUTPUTS = arrivals.OUTPUTS | {"ReviewQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/review"}
ADDRESS = "http://127.0.0.1:4700/a-token-of-a-test/"


def session(**outputs):
    made = StubbedSession()
    made.add_identity()
    if outputs:
        made.stub("cloudformation").add_response("describe_stacks", stack_response(outputs), {"StackName": "s"})
    return made


def test_backend_is_found_by_the_stacks_outputs_and_its_calls_are_short(monkeypatch):
    made, configs = session(**OUTPUTS), []
    bucket = {"Bucket": settings.default_bucket(ACCOUNT, REGION)}
    made.stub("s3").add_response("head_bucket", {"ResponseMetadata": {}}, bucket)
    client = made.client

    def remember(service, config=None):
        configs.append(config)
        return client(service)

    monkeypatch.setattr(made, "client", remember)
    found = find_backend(made, "s", None)
    assert (found.queue.url, found.table.name) == (OUTPUTS["ReviewQueueUrl"], OUTPUTS["PredictionsTableName"])
    assert found.labels.uri == f"s3://scones-unlimited-training-{ACCOUNT}-{REGION}/review-labels/"
    used = [config for config in configs if config]
    assert len(used) == 4  # S3, SQS, DynamoDB, SageMaker
    for config in used:  # a person waits
        assert (config.connect_timeout + config.read_timeout) * config.retries["total_max_attempts"] <= 60


def test_older_stack_without_review_queue_is_an_error():
    outputs = {name: value for name, value in OUTPUTS.items() if name != "ReviewQueueUrl"}
    with pytest.raises(StackNotFoundError, match=r"no output ReviewQueueUrl.*deploy it"):
        find_backend(session(**outputs), "s", None)


def test_missing_bucket_for_labels_is_an_error():
    made = session(**OUTPUTS)
    made.stub("s3").add_client_error("head_bucket", "404", http_status_code=404)
    with pytest.raises(BucketUnreachableError, match=r"does not exist: run .*--bucket"):
        find_backend(made, "s", None)


def test_unknown_user_name_asks_for_a_reviewer(monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", unknown)
    with pytest.raises(ReviewerUnknownError, match="give --reviewer NAME"):
        review.user_name()


def test_interrupt_before_the_server_starts_reports_no_decision(monkeypatch, capsys):
    monkeypatch.setattr(review, "find_backend", Mock(side_effect=KeyboardInterrupt))
    assert main(["--reviewer", "ada"]) == 130
    assert "nothing was decided" in capsys.readouterr().err


@pytest.fixture
def served(monkeypatch):
    """Run the command with a function instead of the server; return the office and the exit status."""

    def run(serve, *arguments):
        office = Office(*map(body, range(3)))
        monkeypatch.setattr("boto3.Session", lambda: None)
        monkeypatch.setattr(review, "find_backend", lambda *_: office.backend())
        monkeypatch.setattr("operations.reviewing.server.serve", serve)
        return office, main(["--reviewer", "ada", *arguments])

    return run


def test_second_interrupt_prints_the_decisions(served, monkeypatch, capsys):
    ended: list[int] = []
    monkeypatch.setattr("operations.review.os._exit", ended.append)

    def serve(desk, _reviewer, _port, ready, give_up):
        ready(ADDRESS)
        first, _second = desk.poll("page").pictures
        desk.decide("page", first.message.message_id, "motorcycle")
        give_up()

    office, _ = served(serve, "--no-browser")
    shown = capsys.readouterr()
    assert ended == [130]
    assert "all decisions are written, and the other pictures come back" in shown.out
    assert re.search(r"motorcycle\D+1\b", shown.out)
    assert shown.err == ""
    assert office.decisions() == {"inbox/0.png": "motorcycle"}


def test_browser_does_not_get_the_token_on_its_command_line(served, monkeypatch, capsys):
    opened: Queue[str] = Queue()
    monkeypatch.setattr("operations.review.webbrowser.open", opened.put)
    files = []

    def serve(_desk, _reviewer, _port, ready, _give_up):
        ready(ADDRESS)
        page = opened.get(timeout=10)
        assert "a-token" not in page
        file = Path(page.removeprefix("file://"))
        files.append(file)
        assert f'content="0; url={ADDRESS}"' in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700

    _, status = served(serve)
    assert status == 0
    assert ADDRESS in capsys.readouterr().out
    assert not files[0].parent.exists()


def test_result_counts_decisions_by_label():
    table = result_table(Counter({"motorcycle": 2, "bicycle": 3, "neither": 0}))
    assert [list(column.cells) for column in table.columns] == [["bicycle", "motorcycle", "all"], ["3", "2", "5"]]
