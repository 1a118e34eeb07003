"""The review of a deployed workflow's pictures, from a low confidence to training data."""

import io
import json
import os
import signal
import socket
import threading
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from common.labels.label import read_label
from common.predictions import LOW_CONFIDENCE_ERROR
from common.settings import default_bucket
from tests.integration.commands import run_module
from tests.integration.laptop_aws import is_listening, own_address, processes, wait_until
from tests.integration.review_server import ReviewServer, review_server
from tests.integration.test_restart_failed import waiting
from tests.integration.workflow_stack import Stack, execute, picture, put, record

BUCKET = default_bucket("000000000000", "us-east-1")  # what the laptop's AWS knows


def run(stack: Stack, module: str, *arguments: str, expect: int = 0) -> str:
    return run_module(stack.aws, module, *arguments, expect=expect)


@pytest.fixture(scope="module")
def training_bucket(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bucket that labels go to, made as a user makes it; returns the staged folder."""
    out = tmp_path_factory.mktemp("data") / "staged"
    run(stack, "training.stage_data", "synthetic", "--count", "20", "--out", str(out))
    return out


@pytest.fixture
def server(stack: Stack, training_bucket: Path) -> Any:
    with review_server(stack.aws, "--reviewer", "ada") as started:
        yield started


def in_review(stack: Stack, brightness: int) -> dict[str, str]:
    """Send a picture of low confidence through the workflow; return its event."""
    event = put(stack, picture(brightness))
    assert execute(stack, event)["error"] == LOW_CONFIDENCE_ERROR
    return event


def shown(server: ReviewServer, event: dict[str, str]) -> dict[str, Any]:
    """Poll until a picture is on the page; return its fields."""
    return wait_until(lambda: next((p for p in server.post("poll")["pictures"] if p["key"] == event["s3_key"]), None))


def labels(stack: Stack) -> list[dict[str, Any]]:
    """Return the labels in the bucket, each of which can be read."""
    s3 = stack.aws.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="review-labels/").get("Contents", [])
    bodies = [s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in found]
    for body in bodies:
        assert read_label(body, "x").body() == body
    return [json.loads(body) for body in bodies]


@pytest.mark.parity("sqs-counts", "sqs-receipt", "dynamodb-conditional-write")
def test_picture_in_review_is_decided_recorded_and_trained_on(stack, server, training_bucket):
    # GIVEN a picture in review
    event = in_review(stack, 150)
    before = record(stack, event)
    assert before is not None
    assert (before["outcome"]["S"], before["queued"]["BOOL"]) == ("review", True)

    # WHEN a reviewer decides
    asked = shown(server, event)
    assert (asked["guess"], asked["threshold"]) == ("bicycle", 0.9)
    assert [one["name"] for one in asked["classes"]] == ["bicycle", "motorcycle"]
    status, content = server.get(f"pictures/{asked['id']}")
    with Image.open(io.BytesIO(content)) as image:
        assert (status, image.size, image.getpixel((0, 0))) == (200, (32, 32), (150,) * 3)
    server.post("decide", picture=asked["id"], answer="motorcycle")

    # THEN there is a label with who, when, which version and which model
    [label] = labels(stack)
    assert {name: label[name] for name in event} == event
    assert (label["label"], label["decided_by"], label["guess"]) == ("motorcycle", "ada", "bicycle")
    assert label["execution_arn"] == before["execution_arn"]["S"]
    assert label["model"], "the endpoint has served one model since before the guess"
    # AND the record, with the model's own confidence
    item = record(stack, event)
    assert item is not None
    assert item == before | {
        "outcome": {"S": "reviewed"},
        "label": {"S": "motorcycle"},
        "decided_by": {"S": "ada"},
        "decided_at": {"S": label["decided_at"]},
    }
    # AND the workflow gives that answer when the picture comes again
    again = execute(stack, event)
    assert again["status"] == "SUCCEEDED"
    output = json.loads(again["output"])
    assert (output["label"], output["accepted"]) == ("motorcycle", True)
    assert output["confidence"] == pytest.approx(float(before["confidence"]["N"]))
    # AND the message goes with the server
    assert waiting(stack, "ReviewQueueUrl") == 1
    assert "motorcycle" in server.stop()
    assert waiting(stack, "ReviewQueueUrl") == 0

    # AND stage_data takes it for training, from the project's own bucket
    out = str(training_bucket)
    printed = run(stack, "training.stage_data", *("synthetic", "--count", "20", "--out", out, "--labels", "project"))
    assert "1 of 1 labels" in printed
    manifest = json.loads((training_bucket / "manifest.json").read_text())
    [(path, address)] = manifest["reviews"]["pictures"].items()
    assert path.startswith("train/motorcycle/reviewed-")
    version = event["s3_version_id"]
    assert address == f"s3://{event['s3_bucket']}/{event['s3_key']}?versionId={version}"
    with Image.open(training_bucket / path) as image:
        assert image.getpixel((0, 0)) == (150,) * 3
    stack.aws.client("s3").head_object(Bucket=BUCKET, Key=f"staged/{path}")

    # AND cleaning up keeps what a person decided
    printed = run(stack, "training.cleanup", "--dry-run")
    assert f"kept: objects {BUCKET}/review-labels/: people decided these" in printed
    assert f"kept: bucket {BUCKET}: holds labels" in printed
    assert f"{BUCKET}/review-labels/" not in run(stack, "training.cleanup", "--dry-run", "--labels")


def test_undone_decision_is_in_review_again(stack, server):
    event = in_review(stack, 151)
    before = record(stack, event)
    asked = shown(server, event)
    count = len(labels(stack))
    server.post("decide", picture=asked["id"], answer="neither")
    assert len(labels(stack)) == count + 1
    [back] = server.post("undo")["pictures"]
    assert back["id"] == asked["id"]
    assert len(labels(stack)) == count
    assert record(stack, event) == before
    assert execute(stack, event)["error"] == LOW_CONFIDENCE_ERROR
    server.post("decide", picture=asked["id"], answer="bicycle")
    server.stop()
    assert waiting(stack, "ReviewQueueUrl") == 0  # nothing was queued twice


@pytest.mark.parity("sqs-visibility")
def test_two_servers_share_the_queue_and_ctrl_c_gives_pictures_back(stack, server):
    events = [in_review(stack, brightness) for brightness in (154, 155, 156)]
    with review_server(stack.aws, "--reviewer", "bob") as other:
        first = wait_until(lambda: two(server.post("poll")["pictures"]))
        second = wait_until(lambda: other.post("poll")["pictures"] or None)
        assert sorted(p["key"] for p in (*first, *second)) == sorted(e["s3_key"] for e in events)
        server.stop()
        third = wait_until(lambda: two(other.post("poll")["pictures"]))
        assert {p["key"] for p in third} & {p["key"] for p in first}
        while asked := other.post("poll")["pictures"]:
            other.post("decide", picture=asked[0]["id"], answer="bicycle")
        assert "3" in other.stop()
    assert waiting(stack, "ReviewQueueUrl") == 0


def two(found: list[Any]) -> list[Any] | None:
    return found if len(found) == 2 else None


def test_server_listens_on_the_loopback_address_only(server):
    assert server.get("", Host="rebound.example")[0] == 403
    port = server.port
    assert is_listening("127.0.0.1", port)
    assert not is_listening(own_address(), port)


def test_port_in_use_ends_with_a_sentence(stack, training_bucket):
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = str(used.getsockname()[1])
        printed = run(stack, "operations.review", "--no-browser", "--port", port, expect=1)
    assert printed.startswith(f"review: The server cannot listen on port {port}")


@pytest.mark.parametrize("waits_for", ["a page's request", "the queue"])
def test_second_ctrl_c_does_not_wait_for_aws(stack, server, waits_for):
    # GIVEN a server with a picture and a decision, and an AWS that does not answer any more
    brightness = 160 if waits_for == "the queue" else 157
    events = [in_review(stack, brightness), in_review(stack, brightness + 1)]
    first, _ = wait_until(lambda: two(server.post("poll")["pictures"]))
    server.post("decide", picture=first["id"], answer="motorcycle")
    port = server.port
    frozen = processes([str(stack.aws.state)])
    assert frozen
    try:
        for process in frozen:
            os.kill(process, signal.SIGSTOP)
        # WHEN Ctrl-C ends the server, which waits, and is pressed again
        asking = threading.Thread(target=ask, args=[server])
        if waits_for == "a page's request":
            asking.start()
        server.interrupt()
        wait_until(lambda: not is_listening("127.0.0.1", port))
        printed = server.stop(expect=130)
    finally:
        for process in frozen:
            os.kill(process, signal.SIGCONT)

    # THEN it ends while AWS still does not answer, and prints the decisions
    if asking.ident:
        asking.join(60)
    assert "Ended without waiting for AWS: all decisions are written" in printed
    assert "motorcycle" in printed
    assert "Traceback" not in printed
    assert {label["s3_key"] for label in labels(stack)} >= {first["key"]}
    assert first["key"] in {event["s3_key"] for event in events}


def ask(server: ReviewServer) -> None:
    with suppress(OSError, HTTPException):
        server.post("poll")
