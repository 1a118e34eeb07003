"""Questions, labels and stand-ins for the places of a review, for tests without sockets."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from common.labels.label import Label
from common.labels.question import read_message
from operations.reviewing.desk import Desk, Places
from operations.reviewing.predictions_table import AlreadyDecidedError
from operations.reviewing.review_queue import Message
from operations.reviewing.shown_picture import ShownPicture

WHEN = datetime(2026, 11, 23, 8, tzinfo=UTC)
MODEL = "scones-unlimited-20261123080000"
HOLD = 300


def body(number=0, **changes):
    """Return a message as the state Send To Review writes it; a change to None leaves out."""
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


class Queue:
    """A queue as SQS keeps it; `hidden` has for how many seconds each message was hidden last."""

    def __init__(self, *bodies):
        self.bodies = {f"m{number}": text for number, text in enumerate(bodies)}
        self.visible = list(self.bodies)
        self.hidden: dict[str, int] = {}
        self.lost: set[str] = set()
        self.receipts: dict[str, int] = {}  # how often each message was handed out
        self.fails: Exception | None = None
        self.polled = lambda: None

    def receive(self, most):
        self.polled()
        taken, self.visible = self.visible[:most], self.visible[most:]
        self.hidden |= dict.fromkeys(taken, HOLD)
        for i in taken:
            self.receipts[i] = self.receipts.get(i, 0) + 1
        return [Message(i, self.receipt(i), self.bodies[i], WHEN) for i in taken]

    def receipt(self, message_id):
        """Return the newest one, which alone is good for anything."""
        return f"{message_id}-{self.receipts[message_id]}"

    def has(self, message):
        known = message.message_id in self.bodies and message.message_id not in self.lost
        return known and message.receipt == self.receipt(message.message_id)

    def hide(self, messages, seconds):
        if self.fails and messages:
            raise self.fails
        there = [message.message_id for message in messages if self.has(message)]
        self.hidden |= dict.fromkeys(there, seconds)
        if not seconds:
            self.visible += there
        return {message.message_id for message in messages} - set(there)

    def delete(self, message):
        if self.fails:
            raise self.fails
        if self.has(message):
            self.hidden.pop(message.message_id)
            del self.bodies[message.message_id]

    def send(self, text):
        self.bodies[f"again{len(self.bodies)}"] = text

    def waiting(self):
        if self.fails:
            raise self.fails
        return len(self.visible), len(self.bodies) - len(self.visible)

    def reappear(self):
        """Let all that is hidden come back, as after a program was killed."""
        self.visible = list(self.bodies)


class Labels:
    """The labels in the bucket, by key; `loses_answer` is raised after a label was put."""

    def __init__(self):
        self.there: dict[str, Label] = {}
        self.fails: Exception | None = None
        self.loses_answer: Exception | None = None
        self.fails_to_delete: Exception | None = None

    def find(self, picture):
        if self.fails:
            raise self.fails
        there = list(self.there.values())  # a copy, since other threads put labels meanwhile
        return next((x for x in there if x.question.picture == picture), None)

    def put(self, one):
        if self.fails:
            raise self.fails
        standing = self.there.setdefault(one.key, one)
        if self.loses_answer:
            raise self.loses_answer
        return standing

    def delete(self, one):
        if self.fails_to_delete:
            raise self.fails_to_delete
        if self.there.get(one.key) == one:
            del self.there[one.key]


class Table:
    """The items that have an outcome, by picture: a label, or "accepted" as another execution."""

    def __init__(self):
        self.there: dict[object, Label] = {}
        self.accepted: set[object] = set()
        self.fails: Exception | None = None

    def record(self, one):
        if self.fails:
            raise self.fails
        picture = one.question.picture
        if picture in self.accepted:
            raise AlreadyDecidedError({"outcome": {"S": "accepted"}, "label": {"S": "bicycle"}})
        if self.there.setdefault(picture, one) != one:
            raise AlreadyDecidedError({"outcome": {"S": "reviewed"}, "label": {"S": "?"}})
        return "before"

    def take_back(self, one, decided_at):
        if self.fails:
            raise self.fails
        assert decided_at == "before"
        if self.there.get(one.question.picture) != one:
            return False
        del self.there[one.question.picture]
        return True


class Models:
    def name(self, endpoint, guessed):
        assert (endpoint, guessed) == ("scones-unlimited", WHEN)
        return MODEL


class Office:
    """A queue, labels and a table, and desks that work on them as servers of several people do."""

    def __init__(self, *bodies):
        self.queue, self.labels, self.table = Queue(*bodies), Labels(), Table()
        self.told: list[str] = []
        self.read: Callable[..., ShownPicture] = lambda _: ShownPicture(b"png", "image/png", 32, 32)

    def desk(self, reviewer="ada"):
        places = Places(
            queue=self.queue,  # type: ignore[arg-type]
            labels=self.labels,  # type: ignore[arg-type]
            table=self.table,  # type: ignore[arg-type]
            models=Models(),  # type: ignore[arg-type]
            read=self.read,
        )
        return Desk(places, reviewer, HOLD, self.told.append)

    def decisions(self):
        """Return label by key, the same in bucket and table."""
        labels = {x.question.picture.key: x.label for x in self.labels.there.values()}
        assert labels == {x.question.picture.key: x.label for x in self.table.there.values()}
        return labels
