"""The calls of a review to S3, DynamoDB, SQS and SageMaker, and the meaning of their errors."""

from datetime import timedelta

import pytest

from operations.reviewing.backend import (
    PUT_TRIES,
    AlreadyDecidedError,
    LabelStore,
    Message,
    PredictionsTable,
    ReviewQueue,
    ServedModels,
)
from tests.unit.aws_stubs import Body, stubbed
from tests.unit.operations.review_backend import WHEN, label
from tests.unit.training.sagemaker_answers import described_config, described_endpoint

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/review"
MINE, OTHER = label(1, "bicycle"), label(1, "motorcycle", by="bob", at="2026-11-23T08:59:59.000Z")
OBJECT = {"Bucket": "training", "Key": MINE.key}
PUT = OBJECT | {"Body": MINE.body(), "ContentType": "application/json", "IfNoneMatch": "*"}
ITEM = {"TableName": "predictions", "Key": {"picture": {"S": "s3://pictures/inbox/1.png"}, "version_id": {"S": "v1"}}}
DECISION = {
    ":review": {"S": "review"},
    ":reviewed": {"S": "reviewed"},
    ":label": {"S": "bicycle"},
    ":by": {"S": "ada"},
    ":at": {"S": MINE.decided_at},
}
NAMES_AND_OLD = {"ExpressionAttributeNames": {"#label": "label"}, "ReturnValues": "ALL_OLD"}


def store(service, make):
    @pytest.fixture
    def fixture():
        client, stub = stubbed(service)
        return make(client), stub

    return fixture


label_store = store("s3", lambda s3: LabelStore(s3, "training"))
table = store("dynamodb", lambda dynamodb: PredictionsTable(dynamodb, "predictions"))
queue = store("sqs", lambda sqs: ReviewQueue(sqs, URL))
served = store("sagemaker", ServedModels)


# --- Labels ---


@pytest.mark.parity("s3-put-if-none")
@pytest.mark.parametrize("standing", [MINE, OTHER], ids=["its own, not acknowledged", "another's"])
def test_stored_label_stands(label_store, standing):
    labels, stub = label_store
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    stub.add_response("get_object", {"Body": Body(standing.body())}, OBJECT)
    assert labels.put(MINE) == standing


@pytest.mark.parity("s3-put-if-none")
def test_conflicting_put_is_repeated(label_store):
    labels, stub = label_store
    stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)  # deleted meanwhile
    stub.add_response("put_object", {}, PUT)
    assert labels.put(MINE) is MINE


@pytest.mark.parametrize(("code", "tries"), [("ConditionalRequestConflict", PUT_TRIES), ("AccessDenied", 1)])
def test_put_that_keeps_failing_is_an_error(label_store, code, tries):
    labels, stub = label_store
    for _ in range(tries):
        stub.add_client_error("put_object", code)
    with pytest.raises(Exception, match=code):
        labels.put(MINE)


@pytest.mark.parametrize("standing", [MINE, OTHER, None])
def test_only_the_reviewers_own_label_is_deleted(label_store, standing):
    labels, stub = label_store
    if standing is None:
        stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    else:
        stub.add_response("get_object", {"Body": Body(standing.body())}, OBJECT)
    if standing is MINE:
        stub.add_response("delete_object", {}, OBJECT)
    labels.delete(MINE)


# --- The predictions table ---


def item(one):
    return {
        "outcome": {"S": "reviewed"},
        "label": {"S": one.label},
        "decided_by": {"S": one.decided_by},
        "decided_at": {"S": one.decided_at},
    }


@pytest.mark.parametrize(
    ("before", "decided_at"),
    [
        ({"outcome": {"S": "review"}, "decided_at": {"S": "2026-11-23T07:00:00Z"}}, "2026-11-23T07:00:00Z"),
        ({}, MINE.decided_at),  # the item had been deleted
    ],
)
def test_item_gets_the_decision_and_keeps_the_models_guess(table, before, decided_at):
    predictions, stub = table
    update = {
        "UpdateExpression": "SET outcome = :reviewed, #label = :label, decided_by = :by,"
        " decided_at = :at, guess = if_not_exists(guess, :guess),"
        " confidence = if_not_exists(confidence, :confidence),"
        " threshold = if_not_exists(threshold, :threshold),"
        " endpoint_name = if_not_exists(endpoint_name, :endpoint_name),"
        " execution_arn = if_not_exists(execution_arn, :execution_arn)",
        "ConditionExpression": "attribute_not_exists(picture) OR outcome = :review",
        "ExpressionAttributeValues": DECISION
        | {
            ":guess": {"S": "bicycle"},
            ":confidence": {"N": "0.625"},
            ":threshold": {"N": "0.9"},
            ":endpoint_name": {"S": "scones-unlimited"},
            ":execution_arn": {"S": MINE.question.execution_arn},
        },
    }
    stub.add_response("update_item", {"Attributes": before}, ITEM | NAMES_AND_OLD | update)
    assert predictions.record(MINE) == decided_at


@pytest.mark.parametrize(
    ("standing", "message"),
    [
        (item(MINE), None),
        (item(OTHER), "as reviewed by bob: motorcycle. That answer stands"),
        ({"outcome": {"S": "accepted"}, "label": {"S": "bicycle"}}, "as accepted: bicycle."),
        ({}, "as None: None"),
    ],
)
def test_other_answer_of_the_table_stands(table, standing, message):
    predictions, stub = table
    stub.add_client_error("update_item", "ConditionalCheckFailedException")
    stub.add_response("get_item", {"Item": standing}, ITEM | {"ConsistentRead": True})
    if message:
        with pytest.raises(AlreadyDecidedError, match=message):
            predictions.record(MINE)
    else:
        assert predictions.record(MINE) == MINE.decided_at


def test_undo_puts_the_item_back_into_review_as_queued(table):
    predictions, stub = table
    update = {
        "UpdateExpression": "SET outcome = :review, queued = :yes, decided_at = :was REMOVE #label, decided_by",
        "ConditionExpression": "outcome = :reviewed AND #label = :label AND decided_by = :by AND decided_at = :at",
        "ExpressionAttributeValues": DECISION | {":yes": {"BOOL": True}, ":was": {"S": "earlier"}},
    }
    stub.add_response("update_item", {}, ITEM | NAMES_AND_OLD | update)
    assert predictions.undo(MINE, "earlier") is True
    stub.add_client_error("update_item", "ConditionalCheckFailedException")  # it has another decision
    assert predictions.undo(MINE, "earlier") is False


def test_refused_update_is_an_error(table):
    predictions, stub = table
    stub.add_client_error("update_item", "AccessDeniedException")
    with pytest.raises(Exception, match="AccessDeniedException"):
        predictions.record(MINE)


# --- The review queue ---


def messages(count):
    return [Message(f"m{n}", f"r{n}", "{}", WHEN) for n in range(count)]


def test_messages_are_received_with_the_queues_timeout(queue):
    review, stub = queue
    message = {
        "MessageId": "m0",
        "ReceiptHandle": "r0",
        "Body": "{}",
        "Attributes": {"SentTimestamp": str(int(WHEN.timestamp() * 1000))},
    }
    asked = {"QueueUrl": URL, "MaxNumberOfMessages": 2, "WaitTimeSeconds": 1}
    stub.add_response(
        "receive_message", {"Messages": [message]}, asked | {"MessageSystemAttributeNames": ["SentTimestamp"]}
    )
    assert review.receive(2) == messages(1)
    stub.add_response("get_queue_attributes", {"Attributes": {"VisibilityTimeout": "300"}})
    assert review.hold_seconds() == 300


@pytest.mark.parity("sqs-counts")
def test_visible_and_in_flight_messages_are_counted(queue):
    review, stub = queue
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = {"Attributes": {names[0]: "12", names[1]: "3"}}
    stub.add_response("get_queue_attributes", answer, {"QueueUrl": URL, "AttributeNames": names})
    assert review.waiting() == (12, 3)


@pytest.mark.parity("sqs-visibility")
def test_messages_are_hidden_in_batches_and_lost_ones_returned(queue):
    review, stub = queue
    for numbers, lost in ((range(10), "3"), (range(10, 12), "1")):
        entries = [{"Id": str(i), "ReceiptHandle": f"r{n}", "VisibilityTimeout": 60} for i, n in enumerate(numbers)]
        failed = [
            {"Id": lost, "SenderFault": True, "Code": "ReceiptHandleIsInvalid"},
            {"Id": "0", "SenderFault": False, "Code": "InternalError"},
        ]
        answer = {"Successful": [], "Failed": failed}
        stub.add_response("change_message_visibility_batch", answer, {"QueueUrl": URL, "Entries": entries})
    assert review.hide(messages(12), 60) == {"m3", "m11"}
    assert review.hide([], 60) == set()


@pytest.mark.parity("sqs-receipt")
@pytest.mark.parametrize("code", [None, "ReceiptHandleIsInvalid", "InvalidParameterValue", "AccessDenied"])
def test_message_is_deleted_unless_it_is_lost(queue, code):
    review, stub = queue
    if code is None:
        stub.add_response("delete_message", {}, {"QueueUrl": URL, "ReceiptHandle": "r0"})
    else:
        stub.add_client_error("delete_message", code)
    if code == "AccessDenied":
        with pytest.raises(Exception, match="AccessDenied"):
            review.delete(messages(1)[0])
    else:
        review.delete(messages(1)[0])


def test_question_is_sent_again_unchanged(queue):
    review, stub = queue
    stub.add_response("send_message", {"MessageId": "m"}, {"QueueUrl": URL, "MessageBody": '{"s3_bucket": "b"}'})
    review.send('{"s3_bucket": "b"}')


# --- The served model ---


class Models:
    """Served models, two hours after WHEN, and what SageMaker answers."""

    def __init__(self, served, stub):
        self.name, self.stub = served.name, stub
        self.now = WHEN + timedelta(hours=2)

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)
        return self.now

    def answers(self, *names, modified=WHEN):
        variants = [{"VariantName": f"v{n}", "ModelName": name} for n, name in enumerate(names)]
        endpoint = described_endpoint("e", "InService", LastModifiedTime=modified)
        self.stub.add_response("describe_endpoint", endpoint)
        self.stub.add_response("describe_endpoint_config", described_config("c", variants))


@pytest.fixture
def models(served, monkeypatch):
    made = Models(*served)
    monkeypatch.setattr("operations.reviewing.backend._now", lambda: made.now)
    return made


def test_model_is_that_of_the_endpoint_and_cached_for_a_minute(models):
    models.answers("m-1")
    assert [models.name("e", WHEN) for _ in range(3)] == ["m-1"] * 3
    models.wait(61)
    models.answers("m-2")
    assert models.name("e", WHEN) == "m-2"


def test_cached_model_is_not_used_for_a_later_guess(models):
    models.answers("m-1")
    assert models.name("e", WHEN) == "m-1"
    updated, guessed = models.wait(10), models.wait(10)
    models.wait(10)  # still less than a minute
    models.answers("m-2", modified=updated)
    assert (models.name("e", guessed), models.name("e", WHEN)) == ("m-2", None)


def test_model_of_several_or_of_a_missing_endpoint_is_unknown(models):
    models.answers("m-1", "m-2")
    assert models.name("e", WHEN) is None
    assert models.name(None, WHEN) is None
    models.stub.add_client_error("describe_endpoint", "ValidationException", "Could not find")
    assert models.name("missing", WHEN) is None
