"""Questions, labels and a fake backend of a review, for tests without sockets."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from common.labels.label import Label, label_key, read_message
from common.predictions import read_item
from operations.reviewing.backend import AlreadyDecidedError, Backend, Message
from operations.reviewing.desk import Desk
from operations.reviewing.page_picture import PagePicture

WHEN = datetime(2026, 11, 23, 8, tzinfo=UTC)
MODEL = "scones-unlimited-20261123080000"
HOLD = 300


def body(number=0, **changes):
    """Return a message of the state Send To Review; a change to None removes a field."""
    fields = {
        "s3_bucket": "pictures",
        "s3_key": f"inbox/{number}.png",
        "s3_version_id": f"v{number}",
        "content_type": "image/png",
        "label": "bicycle",
        "confidence": 0.625,
        "accepted": False,
        "threshold": 0.9,
        "inferences": [0.625, 0.375],
        "class_names": ["bicycle", "motorcycle"],
        "endpoint_name": "scones-unlimited",
        "execution_arn": f"arn:aws:states:eu-west-1:123456789012:execution:m:{number}",
        **changes,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def question(number=0, **changes):
    return read_message(body(number, **changes))


def label(number=0, answer="bicycle", by="ada", at="2026-11-23T09:00:00.000Z", **changes):
    return Label(question(number, **changes), answer, by, at, MODEL)


def decided(outcome, label_name):
    return AlreadyDecidedError(read_item({"outcome": {"S": outcome}, "label": {"S": label_name}}))


class Queue:
    """A queue as SQS keeps it; `hidden` has the seconds for which each message was hidden last."""

    def __init__(self, *bodies):
        self.bodies = {f"m{number}": text for number, text in enumerate(bodies)}
        self.visible = list(self.bodies)
        self.hidden: dict[str, int] = {}
        self.receipts: dict[str, int] = {}  # how often each message was received
        self.polled = lambda: None

    def hold_seconds(self):
        return HOLD

    def receive(self, most):
        self.polled()
        received, self.visible = self.visible[:most], self.visible[most:]
        self.hidden |= dict.fromkeys(received, HOLD)
        for i in received:
            self.receipts[i] = self.receipts.get(i, 0) + 1
        return [Message(i, self.receipt(i), self.bodies[i], WHEN) for i in received]

    def receipt(self, message_id):
        """Return the newest receipt, the only valid one."""
        return f"{message_id}-{self.receipts[message_id]}"

    def has(self, message):
        return message.message_id in self.bodies and message.receipt == self.receipt(message.message_id)

    def hide(self, messages, seconds):
        held = [message.message_id for message in messages if self.has(message)]
        self.hidden |= dict.fromkeys(held, seconds)
        if not seconds:
            self.visible += held
        return {message.message_id for message in messages} - set(held)

    def delete(self, message):
        if self.has(message):
            self.hidden.pop(message.message_id)
            del self.bodies[message.message_id]

    def send(self, text):
        self.bodies[f"again{len(self.bodies)}"] = text

    def waiting(self):
        return len(self.visible), len(self.bodies) - len(self.visible)

    def reappear(self):
        """Make all hidden messages visible, as after a program was killed."""
        self.visible = list(self.bodies)


class Labels:
    """The labels in the bucket, by key."""

    uri = "s3://b/review-labels/"

    def __init__(self):
        self.stored: dict[str, Label] = {}

    def find(self, picture):
        return self.stored.get(label_key(picture))

    def put(self, one):
        return self.stored.setdefault(one.key, one)

    def delete(self, one):
        if self.stored.get(one.key) == one:
            del self.stored[one.key]


class Table:
    """The decided items by picture: a label, or "accepted" by another execution."""

    def __init__(self):
        self.stored: dict[object, Label] = {}
        self.accepted: set[object] = set()

    def record(self, one):
        picture = one.question.picture
        if picture in self.accepted:
            raise decided("accepted", "bicycle")
        if self.stored.setdefault(picture, one) != one:
            raise decided("reviewed", "?")
        return "before"

    def undo(self, one, decided_at):
        assert decided_at == "before"
        if self.stored.get(one.question.picture) != one:
            return False
        del self.stored[one.question.picture]
        return True


class Models:
    def name(self, endpoint, guessed):
        assert (endpoint, guessed) == ("scones-unlimited", WHEN)
        return MODEL


class Office:
    """A queue, labels and a table, and desks that use them as the servers of several people do."""

    def __init__(self, *bodies):
        self.queue, self.labels, self.table = Queue(*bodies), Labels(), Table()
        self.warnings: list[str] = []
        self.read: Callable[..., PagePicture] = lambda _: PagePicture(b"png", "image/png", 32, 32)

    def backend(self):
        queue, labels, table, models = cast("tuple[Any, ...]", (self.queue, self.labels, self.table, Models()))
        return Backend(queue, labels, table, models, self.read)

    def desk(self, reviewer="ada"):
        return Desk(self.backend(), reviewer, self.warnings.append)

    def decisions(self):
        """Return label by key, the same in bucket and table."""
        labels = {x.question.picture.key: x.label for x in self.labels.stored.values()}
        assert labels == {x.question.picture.key: x.label for x in self.table.stored.values()}
        return labels
