"""Questions, labels and stand-ins for the places of a review, for tests without sockets."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from training.reviewing.desk import Desk, Places
from training.reviewing.label import Label
from training.reviewing.predictions_table import AlreadyDecidedError
from training.reviewing.question import read_message
from training.reviewing.review_queue import Message
from training.reviewing.shown_picture import ShownPicture

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
        self.receipts = 0
        self.fails: Exception | None = None
        self.polled = lambda: None

    def receive(self, most):
        self.polled()
        taken, self.visible = self.visible[:most], self.visible[most:]
        self.receipts += 1
        self.hidden |= dict.fromkeys(taken, HOLD)
        return [Message(i, f"{i}-{self.receipts}", self.bodies[i], WHEN) for i in taken]

    def hide(self, messages, seconds):
        if self.fails and messages:
            raise self.fails
        for message in messages:
            if message.message_id in self.bodies and message.message_id not in self.lost:
                self.hidden[message.message_id] = seconds
                if not seconds:
                    self.visible.append(message.message_id)
        return {m.message_id for m in messages if m.message_id not in self.bodies} | {
            m.message_id for m in messages if m.message_id in self.lost
        }

    def delete(self, message):
        if self.fails:
            raise self.fails
        self.hidden.pop(message.message_id, None)
        return self.bodies.pop(message.message_id, None) is not None

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
    """The labels in the bucket, by key."""

    def __init__(self):
        self.there: dict[str, Label] = {}
        self.fails: Exception | None = None

    def find(self, picture):
        if self.fails:
            raise self.fails
        return next((x for x in self.there.values() if x.question.picture == picture), None)

    def put(self, one):
        if self.fails:
            raise self.fails
        return self.there.setdefault(one.key, one)

    def delete(self, one):
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
