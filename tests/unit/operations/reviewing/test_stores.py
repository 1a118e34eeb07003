"""What is sent to S3, DynamoDB and SQS for a review, and what their refusals mean."""

import json

import pytest

from operations.reviewing.label_store import TRIES, LabelStore
from operations.reviewing.predictions_table import AlreadyDecidedError, PredictionsTable
from operations.reviewing.review_queue import Message, ReviewQueue
from tests.unit.aws_stubs import Body, stubbed
from tests.unit.operations.review_backend import WHEN, label

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/review"
MINE, OTHER = label(1, "bicycle"), label(1, "motorcycle", by="bob", at="2026-11-23T08:59:59.000Z")
PUT = {
    "Bucket": "training",
    "Key": MINE.key,
    "Body": MINE.body(),
    "ContentType": "application/json",
    "IfNoneMatch": "*",
}
GET = {"Bucket": "training", "Key": MINE.key}


@pytest.fixture
def store():
    s3, stub = stubbed("s3")
    yield LabelStore(s3, "training"), stub
    stub.assert_no_pending_responses()


def test_a_label_is_put_only_where_there_is_none(store):
    labels, stub = store
    stub.add_response("put_object", {}, PUT)
    assert labels.put(MINE) is MINE


@pytest.mark.parity("s3-put-if-none")
@pytest.mark.parametrize("standing", [MINE, OTHER], ids=["its own, the answer lost", "another's"])
def test_the_label_that_was_there_stands(store, standing):
    labels, stub = store
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    stub.add_response("get_object", {"Body": Body(standing.body())}, GET)
    assert labels.put(MINE) == standing


@pytest.mark.parity("s3-put-if-none")
def test_two_writes_at_once_are_tried_again(store):
    labels, stub = store
    stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)  # taken back meanwhile
    stub.add_response("put_object", {}, PUT)
    assert labels.put(MINE) is MINE


def test_a_write_is_not_tried_for_ever(store):
    labels, stub = store
    for _ in range(TRIES):
        stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
    with pytest.raises(Exception, match="ConditionalRequestConflict"):
        labels.put(MINE)


def test_a_refused_write_is_an_error(store):
    labels, stub = store
    stub.add_client_error("put_object", "AccessDenied", http_status_code=403)
    with pytest.raises(Exception, match="AccessDenied"):
        labels.put(MINE)


@pytest.mark.parametrize("standing", [MINE, OTHER, None])
def test_only_ones_own_label_is_taken_back(store, standing):
    labels, stub = store
    if standing is None:
        stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    else:
        stub.add_response("get_object", {"Body": Body(standing.body())}, GET)
    if standing is MINE:
        stub.add_response("delete_object", {}, GET)
    labels.delete(MINE)


KEY = {"picture": {"S": "s3://pictures/inbox/1.png"}, "version_id": {"S": "v1"}}


@pytest.fixture
def table():
    dynamodb, stub = stubbed("dynamodb")
    yield PredictionsTable(dynamodb, "predictions"), stub
    stub.assert_no_pending_responses()


def item(one):
    return {
        "outcome": {"S": "reviewed"},
        "label": {"S": one.label},
        "decided_by": {"S": one.decided_by},
        "decided_at": {"S": one.decided_at},
    }


def test_the_record_gets_the_decision_and_keeps_what_the_model_said(table):
    predictions, stub = table
    stub.add_response(
        "update_item",
        {"Attributes": {"outcome": {"S": "review"}, "decided_at": {"S": "2026-11-23T07:00:00Z"}}},
        {
            "TableName": "predictions",
            "Key": KEY,
            "UpdateExpression": "SET outcome = :reviewed, #label = :label, decided_by = :by,"
            " decided_at = :at, guess = if_not_exists(guess, :guess),"
            " confidence = if_not_exists(confidence, :confidence),"
            " threshold = if_not_exists(threshold, :threshold),"
            " endpoint_name = if_not_exists(endpoint_name, :endpoint_name),"
            " execution_arn = if_not_exists(execution_arn, :execution_arn)",
            "ConditionExpression": "attribute_not_exists(picture) OR outcome = :review",
            "ExpressionAttributeNames": {"#label": "label"},
            "ExpressionAttributeValues": {
                ":review": {"S": "review"},
                ":reviewed": {"S": "reviewed"},
                ":label": {"S": "bicycle"},
                ":by": {"S": "ada"},
                ":at": {"S": MINE.decided_at},
                ":guess": {"S": "bicycle"},
                ":confidence": {"N": "0.625"},
                ":threshold": {"N": "0.9"},
                ":endpoint_name": {"S": "scones-unlimited"},
                ":execution_arn": {"S": MINE.question.execution_arn},
            },
            "ReturnValues": "ALL_OLD",
        },
    )
    assert predictions.record(MINE) == "2026-11-23T07:00:00Z"


def test_an_item_that_somebody_deleted_is_written_anew(table):
    predictions, stub = table
    stub.add_response("update_item", {})
    assert predictions.record(MINE) == MINE.decided_at


def test_what_was_written_already_is_no_conflict(table):
    predictions, stub = table
    stub.add_client_error("update_item", "ConditionalCheckFailedException")
    stub.add_response(
        "get_item",
        {"Item": item(MINE)},
        {"TableName": "predictions", "Key": KEY, "ConsistentRead": True},
    )
    assert predictions.record(MINE) == MINE.decided_at


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (item(OTHER), "as reviewed by bob: motorcycle. That answer stands"),
        ({"outcome": {"S": "accepted"}, "label": {"S": "bicycle"}}, "as accepted: bicycle."),
    ],
)
def test_another_answer_of_the_table_stands(table, standing, said):
    predictions, stub = table
    stub.add_client_error("update_item", "ConditionalCheckFailedException")
    stub.add_response("get_item", {"Item": standing})
    with pytest.raises(AlreadyDecidedError, match=said):
        predictions.record(MINE)


def test_a_decision_is_taken_back_to_review_and_not_queued_again(table):
    predictions, stub = table
    stub.add_response(
        "update_item",
        {},
        {
            "TableName": "predictions",
            "Key": KEY,
            "UpdateExpression": "SET outcome = :review, queued = :yes, decided_at = :was REMOVE #label, decided_by",
            "ConditionExpression": "outcome = :reviewed AND #label = :label AND decided_by = :by AND decided_at = :at",
            "ExpressionAttributeNames": {"#label": "label"},
            "ExpressionAttributeValues": {
                ":review": {"S": "review"},
                ":reviewed": {"S": "reviewed"},
                ":yes": {"BOOL": True},
                ":was": {"S": "earlier"},
                ":label": {"S": "bicycle"},
                ":by": {"S": "ada"},
                ":at": {"S": MINE.decided_at},
            },
        },
    )
    assert predictions.undo(MINE, "earlier") is True


def test_what_was_changed_since_is_not_taken_back(table):
    predictions, stub = table
    stub.add_client_error("update_item", "ConditionalCheckFailedException")
    assert predictions.undo(MINE, "earlier") is False


@pytest.mark.parametrize("method", ["record", "undo"])
def test_a_table_that_refuses_is_an_error(table, method):
    predictions, stub = table
    stub.add_client_error("update_item", "AccessDeniedException")
    with pytest.raises(Exception, match="AccessDeniedException"):
        getattr(predictions, method)(MINE, *(["x"] if method == "undo" else []))


@pytest.fixture
def queue():
    sqs, stub = stubbed("sqs")
    yield ReviewQueue(sqs, URL), stub
    stub.assert_no_pending_responses()


def messages(count):
    return [Message(f"m{n}", f"r{n}", "{}", WHEN) for n in range(count)]


def test_messages_are_taken_for_as_long_as_the_queue_says(queue):
    review, stub = queue
    sent = str(int(WHEN.timestamp() * 1000))
    stub.add_response(
        "receive_message",
        {
            "Messages": [
                {
                    "MessageId": "m0",
                    "ReceiptHandle": "r0",
                    "Body": "{}",
                    "Attributes": {"SentTimestamp": sent},
                }
            ]
        },
        {
            "QueueUrl": URL,
            "MaxNumberOfMessages": 2,
            "WaitTimeSeconds": 1,
            "MessageSystemAttributeNames": ["SentTimestamp"],
        },
    )
    assert review.receive(2) == messages(1)
    stub.add_response("get_queue_attributes", {"Attributes": {"VisibilityTimeout": "300"}})
    assert review.hold_seconds() == 300


@pytest.mark.parity("sqs-counts")
def test_what_waits_and_what_somebody_has_is_asked_together(queue):
    review, stub = queue
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    stub.add_response(
        "get_queue_attributes",
        {"Attributes": {names[0]: "12", names[1]: "3"}},
        {"QueueUrl": URL, "AttributeNames": names},
    )
    assert review.waiting() == (12, 3)


@pytest.mark.parity("sqs-visibility")
def test_messages_are_hidden_ten_at_a_time_and_lost_ones_named(queue):
    review, stub = queue
    for numbers, failed in ((range(10), "3"), (range(10, 12), "11")):
        busy = {"Id": str(numbers[0]), "SenderFault": False, "Code": "InternalError"}  # not lost
        stub.add_response(
            "change_message_visibility_batch",
            {
                "Successful": [],
                "Failed": [
                    {"Id": failed, "SenderFault": True, "Code": "ReceiptHandleIsInvalid"},
                    busy,
                ],
            },
            {
                "QueueUrl": URL,
                "Entries": [{"Id": str(n), "ReceiptHandle": f"r{n}", "VisibilityTimeout": 60} for n in numbers],
            },
        )
    assert review.hide(messages(12), 60) == {"m3", "m11"}
    assert review.hide([], 60) == set()


@pytest.mark.parity("sqs-receipt")
@pytest.mark.parametrize("code", ["ReceiptHandleIsInvalid", "InvalidParameterValue"])
def test_a_message_of_somebody_elses_is_not_deleted(queue, code):
    review, stub = queue
    [message] = messages(1)
    stub.add_response("delete_message", {}, {"QueueUrl": URL, "ReceiptHandle": "r0"})
    review.delete(message)
    stub.add_client_error("delete_message", code)
    review.delete(message)


def test_a_delete_that_is_refused_is_an_error(queue):
    review, stub = queue
    stub.add_client_error("delete_message", "AccessDenied")
    with pytest.raises(Exception, match="AccessDenied"):
        review.delete(messages(1)[0])


def test_a_question_is_sent_again_as_it_was(queue):
    review, stub = queue
    text = json.dumps({"s3_bucket": "b"})
    stub.add_response("send_message", {"MessageId": "m"}, {"QueueUrl": URL, "MessageBody": text})
    review.send(text)
