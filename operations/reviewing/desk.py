"""Hand pictures to reviewers and write down what they decide, whatever fails on the way.

A picture's message is deleted only after its label and its record are written, and that of a
reviewer's last decision only once the next one is made or a minute has passed, so that the decision
can be taken back. Where a program ends in between, SQS hands the message out again: a picture that
has a label by then is finished without asking anybody, any other is asked again. So nothing is
lost, and at most one picture for each reviewer is asked twice.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from common.labels.label import Label, LabelError, now
from common.labels.question import NEITHER, Question, QuestionError, read_message
from operations.reviewing.label_store import LabelStore
from operations.reviewing.predictions_table import AlreadyDecidedError, PredictionsTable
from operations.reviewing.review_queue import Message, ReviewQueue
from operations.reviewing.served_model import ServedModels
from operations.reviewing.shown_picture import ShownPicture

AHEAD = 2  # pictures that a reviewer holds: the one on the page, and the next
UNDO_SECONDS = 60  # for so long a last decision waits to be taken back
SKIP_SECONDS = 600  # for so long nobody is asked about a picture that somebody skipped
COUNTED_SECONDS = 2  # for so long a count of the queue is good enough
MOST_REVIEWERS = 50  # open pages; each holds pictures


class DeskClosedError(Exception):
    """The server is ending, or more pages are open than anybody could mean."""


class UnknownAnswerError(Exception):
    """The page sent an answer that the picture does not have."""


@dataclass
class Held:
    """A picture that one reviewer has, and nobody else."""

    message: Message
    question: Question
    shown: ShownPicture
    tried: list[Label] = field(default_factory=list)  # of tries that failed: S3 may have one

    def answers(self) -> tuple[str, ...]:
        """Return what can be decided: nobody can tell a class of what cannot be seen."""
        if not self.shown.problem:
            return (*self.question.class_names, NEITHER)
        return (NEITHER,) if self.shown.for_good else ()


@dataclass
class Last:
    """What a reviewer did last: a decision, or a skip if there is no label."""

    held: Held
    at: float  # time.monotonic()
    label: Label | None = None
    was_decided_at: str = ""


@dataclass
class Reviewer:
    """One open page."""

    seen: float  # time.monotonic(), when the page was last heard of
    held: list[Held] = field(default_factory=list)
    last: Last | None = None
    gone: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    filling: threading.Lock = field(default_factory=threading.Lock)

    def in_flight(self) -> list[Held]:
        """Return the pictures whose messages must stay in flight for this page."""
        last = self.last  # which another thread may take away
        return [*self.held, *([last.held] if last and last.label else [])]


@dataclass(frozen=True)
class View:
    """What a page is to show: pictures, the first of them now, and what can be taken back."""

    pictures: tuple[Held, ...]
    last: Last | None
    waiting: int | None  # about, and without those of `pictures`; None where SQS did not tell
    put_off: int | None  # about: in others' hands, or skipped
    note: str = ""


@dataclass(frozen=True)
class Places:
    """Where pictures come from and decisions go."""

    queue: ReviewQueue
    labels: LabelStore
    table: PredictionsTable
    models: ServedModels
    read: Callable[[Question], ShownPicture]


class Desk:
    """Every method may be called by many threads at once, each for its reviewer's page."""

    def __init__(self, places: Places, reviewer: str, hold_seconds: int, tell: Callable[[str], None]) -> None:
        """Decide as `reviewer`; `hold_seconds` is how long the queue hides a message.

        `tell` gets a sentence about what the person at the terminal should know.
        """
        self._places, self._reviewer, self._tell = places, reviewer, tell
        self.hold_seconds = hold_seconds
        self._reviewers: dict[str, Reviewer] = {}
        self._lock = threading.Lock()  # of the two around it
        self._closed = False
        self._counted: tuple[float, int | None, int | None] = (0.0, None, None)
        self.decided: Counter[str] = Counter()  # by label, less what was taken back

    def look(self, name: str) -> View:
        """Give a page pictures until it has enough; it is called again while there are none."""
        reviewer = self._reviewer_of(name)
        if reviewer.filling.acquire(blocking=False):  # another call of this page is at it
            try:
                self._fill(reviewer)
            finally:
                reviewer.filling.release()
        return self._view(reviewer)

    def decide(self, name: str, message_id: str, answer: str) -> View:
        """Write down what a picture shows: one of its classes, or `NEITHER`.

        Raises UnknownAnswerError, and botocore's errors where nothing, or not everything, could be
        written: the picture stays on the page, and deciding again goes on from there.
        """
        with self._at_work(name) as reviewer:
            held = _find(reviewer, message_id)
            if held is None:
                return self._view(reviewer, _why_not_here(reviewer, message_id, answer))
            if held.shown.problem and answer not in held.answers():
                raise UnknownAnswerError(f"a picture that cannot be seen is not {answer!r}")
            if answer not in held.answers():
                raise UnknownAnswerError(f"{answer!r} is no class of this picture")
            last, note = self._write(held, answer)
            reviewer.held.remove(held)
            self._finish(reviewer)
            reviewer.last = last
        return self._view(reviewer, note)

    def skip(self, name: str, message_id: str) -> View:
        """Put a picture off, for somebody else or for later."""
        with self._at_work(name) as reviewer:
            held = _find(reviewer, message_id)
            if held is None:
                return self._view(reviewer, _why_not_here(reviewer, message_id, None))
            self._places.queue.hide([held.message], SKIP_SECONDS)
            reviewer.held.remove(held)
            self._finish(reviewer)
            reviewer.last = Last(held, time.monotonic())
        return self._view(reviewer)

    def undo(self, name: str) -> View:
        """Take back what the reviewer did last, and show that picture again.

        Raises botocore's errors where it broke off. Then the message comes back by itself, and
        finishes the decision if its label is still there.
        """
        with self._at_work(name) as reviewer:
            last, reviewer.last = reviewer.last, None
            if last is None:
                return self._view(reviewer, "There is nothing left to take back.")
            if last.label and not self._take_back(last):
                return self._view(reviewer, "The decision was changed elsewhere, and stands.")
            if not self._places.queue.hide([last.held.message], self.hold_seconds):
                reviewer.held.insert(0, last.held)
                return self._view(reviewer)
            if last.label:  # somebody finished it in between: it has to be asked again
                self._places.queue.send(last.held.message.body)
        return self._view(reviewer, "It is taken back, and the picture is in the queue again.")

    def keep(self, name: str) -> View:
        """Keep a page's pictures from others for another while; called as long as it is open."""
        with self._at_work(name) as reviewer:
            self._keep(reviewer)
        return self._view(reviewer)

    def leave(self, name: str) -> None:
        """Give a closed page's pictures back, and let its last decision stand."""
        with self._lock:
            reviewer = self._reviewers.pop(name, None)
        if reviewer:
            self._dismiss(reviewer)

    def picture(self, message_id: str) -> ShownPicture | None:
        """Return a picture that some page has."""
        with self._lock:
            reviewers = list(self._reviewers.values())
        for reviewer in reviewers:
            for held in reviewer.in_flight():
                if held.message.message_id == message_id:
                    return held.shown
        return None

    def sweep(self) -> None:
        """Finish decisions that can no longer be taken back, and part with pages long unheard of.

        To be called about once a second.
        """
        with self._lock:
            reviewers = list(self._reviewers.items())
        for name, reviewer in reviewers:
            last = reviewer.last
            if time.monotonic() - reviewer.seen > self.hold_seconds / 2:
                self.leave(name)
            elif last and time.monotonic() - last.at > UNDO_SECONDS:
                with reviewer.lock:
                    if reviewer.last is last:  # no newer one by now
                        self._finish(reviewer)

    def close(self) -> None:
        """Give all pictures back and finish all decisions; nothing is handed out any more."""
        with self._lock:
            self._closed = True
            reviewers = list(self._reviewers.values())
            self._reviewers.clear()
        for reviewer in reviewers:
            self._dismiss(reviewer)

    def _reviewer_of(self, name: str) -> Reviewer:
        with self._lock:
            found = self._reviewers.get(name)
            if found is None:
                if self._closed:
                    raise DeskClosedError("the server is ending")
                if len(self._reviewers) >= MOST_REVIEWERS:
                    raise DeskClosedError(f"{MOST_REVIEWERS} pages are open: close some")
                found = self._reviewers[name] = Reviewer(time.monotonic())
        found.seen = time.monotonic()
        return found

    @contextmanager
    def _at_work(self, name: str) -> Iterator[Reviewer]:
        reviewer = self._reviewer_of(name)
        with reviewer.lock:
            yield reviewer

    def _fill(self, reviewer: Reviewer) -> None:
        missing = AHEAD - len(reviewer.held)
        if missing <= 0:
            return
        messages = self._places.queue.receive(missing)
        unused = list(messages)
        try:
            for message in messages:
                held = self._prepare(message)
                with reviewer.lock, self._lock:
                    if reviewer.gone:
                        break
                    unused.remove(message)
                    # Another page may have got it while this one's was read.
                    if held is not None and not self._is_here(message, held.question):
                        reviewer.held.append(held)
        finally:  # the page was closed meanwhile, or a picture could not be read
            self._places.queue.hide(unused, 0)

    def _prepare(self, message: Message) -> Held | None:
        """Return a message to ask about, None for one that needs no asking."""
        try:
            question = read_message(message.body)
        except QuestionError as error:
            self._tell(f"A message of the review queue was passed over: {error}")
            self._places.queue.hide([message], SKIP_SECONDS)
            return None
        with self._lock:
            if self._is_here(message, question):
                return None
        try:
            label = self._places.labels.find(question.picture)
        except LabelError as error:
            self._tell(str(error))
            self._places.queue.hide([message], SKIP_SECONDS)
            return None
        if label is not None:  # a program ended between the label and the message
            self._complete(label, message)
            return None
        return Held(message, question, self._places.read(question))

    def _is_here(self, message: Message, question: Question) -> bool:
        """Tell whether a page of this server has this picture: SQS may hand out a message twice.

        The caller has the lock.
        """
        for reviewer in self._reviewers.values():
            for held in reviewer.in_flight():
                if held.message.message_id == message.message_id:
                    held.message.receipt = message.receipt  # only the newest one counts
                    return True
                if held.question.picture == question.picture:  # it stays hidden for a while
                    return True
        return False

    def _write(self, held: Held, answer: str) -> tuple[Last | None, str]:
        """Write label and record; return what can be taken back, and what to tell the reviewer."""
        question = held.question
        label = Label(
            question,
            label=answer,
            decided_by=self._reviewer,
            decided_at=now(),
            model=self._places.models.name(question.endpoint_name, held.message.sent),
        )
        held.tried.append(label)
        standing = self._places.labels.put(label)
        if standing not in held.tried:
            self._complete(standing, held.message)
            return None, f"{standing.decided_by} was first, and decided {standing.label}."
        try:
            was = self._places.table.record(standing)
        except AlreadyDecidedError as error:
            self._places.labels.delete(standing)
            self._delete(held.message)
            return None, str(error)
        held.tried.clear()
        with self._lock:
            self.decided[standing.label] += 1
        note = "" if standing.label == answer else _first_answer(standing.label)
        return Last(held, time.monotonic(), standing, was), note

    def _complete(self, label: Label, message: Message) -> None:
        """Bring table and queue to where a decision says that they should be."""
        try:
            self._places.table.record(label)
        except AlreadyDecidedError as error:
            self._places.labels.delete(label)  # or it would be trained on
            uri = label.question.picture.uri
            self._tell(f"{uri}: {error} The label {label.label} is deleted.")
        self._delete(message)

    def _take_back(self, last: Last) -> bool:
        """Undo the record, then the label: broken off in between, the decision stands."""
        if last.label is None or not self._places.table.take_back(last.label, last.was_decided_at):
            return False
        self._places.labels.delete(last.label)
        with self._lock:
            self.decided[last.label.label] -= 1
        return True

    def _finish(self, reviewer: Reviewer) -> None:
        last, reviewer.last = reviewer.last, None
        if last and last.label:
            self._delete(last.held.message)

    def _delete(self, message: Message) -> None:
        try:
            self._places.queue.delete(message)
        except (ClientError, BotoCoreError) as error:  # it is decided: nobody will be asked again
            self._tell(f"A message could not be deleted, and comes back once: {error}")

    def _keep(self, reviewer: Reviewer) -> None:
        messages = [held.message for held in reviewer.in_flight()]
        lost = self._places.queue.hide(messages, self.hold_seconds)
        reviewer.held = [held for held in reviewer.held if held.message.message_id not in lost]

    def _dismiss(self, reviewer: Reviewer) -> None:
        with reviewer.lock:
            reviewer.gone = True
            self._finish(reviewer)
            back, reviewer.held = reviewer.held, []
            try:
                self._places.queue.hide([held.message for held in back], 0)
            except (ClientError, BotoCoreError) as error:
                self._tell(f"{len(back)} pictures come back only by themselves: {error}")

    def _view(self, reviewer: Reviewer, note: str = "") -> View:
        waiting, in_flight = self._count()
        with self._lock:
            ours = sum(len(other.in_flight()) for other in self._reviewers.values())
        pictures = tuple(reviewer.held)
        others = None if in_flight is None else max(0, in_flight - ours)
        return View(pictures, reviewer.last, waiting, others, note)

    def _count(self) -> tuple[int | None, int | None]:
        at, waiting, in_flight = self._counted
        if not at or time.monotonic() - at > COUNTED_SECONDS:
            # A decision that is written must not look like a failed one for want of a count.
            with suppress(ClientError, BotoCoreError):
                waiting, in_flight = self._places.queue.waiting()
            self._counted = (time.monotonic(), waiting, in_flight)
        return waiting, in_flight


def _find(reviewer: Reviewer, message_id: str) -> Held | None:
    return next((held for held in reviewer.held if held.message.message_id == message_id), None)


def _why_not_here(reviewer: Reviewer, message_id: str, answer: str | None) -> str:
    """Say why a page's request, an answer or a skip, is about a picture that it has not got."""
    last = reviewer.last
    if last is None or last.held.message.message_id != message_id:
        return "That picture had gone back to the queue."
    done = last.label.label if last.label else None
    if done == answer:  # the same request again, whose answer was lost
        return ""
    return _first_answer(done) if done else "That picture was skipped."


def _first_answer(label: str) -> str:
    return f"Your first answer, {label}, was written."
