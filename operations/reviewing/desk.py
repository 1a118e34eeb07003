"""Hand pictures to reviewers and write their decisions, without losing any when a call or the program fails.

A picture's message is deleted only after its label and its item are written. The message of a reviewer's last decision
is deleted only after the next decision or a minute, so that the decision can be undone. If the program ends in between,
SQS delivers the message again: a picture with a label is then completed without asking a reviewer, any other is asked
again. So nothing is lost, and at most one picture of each reviewer is asked twice.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from common.labels.label import NEITHER, Label, LabelError, Question, QuestionError, now, read_message
from operations.reviewing.backend import AlreadyDecidedError, Backend, Message
from operations.reviewing.page_picture import PagePicture

AHEAD = 2  # pictures that a page holds: the one it shows, and the next
UNDO_SECONDS = 60  # after which a decision can no longer be undone
SKIP_SECONDS = 600  # for which a skipped picture is hidden
COUNTED_SECONDS = 2  # for which a count of the queue is cached
MAX_PAGES = 50  # open at a time; each holds pictures


class DeskClosedError(Exception):
    """The server is ending, or too many pages are open."""


class UnknownAnswerError(Exception):
    """The page sent an answer that the picture does not have."""


@dataclass
class Held:
    """A picture that one page holds."""

    message: Message
    question: Question
    picture: PagePicture
    attempts: list[Label] = field(default_factory=list)  # of failed calls: S3 may have stored one


@dataclass
class Action:
    """A reviewer's last action: a decision, or a skip if there is no label."""

    held: Held
    at: float  # time.monotonic()
    label: Label | None = None
    was_decided_at: str = ""


@dataclass
class Reviewer:
    """One open page."""

    seen: float  # time.monotonic() of the page's last request
    held: list[Held] = field(default_factory=list)
    last: Action | None = None
    gone: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    filling: threading.Lock = field(default_factory=threading.Lock)

    def in_flight(self) -> list[Held]:
        """Return the pictures whose messages must stay in flight for this page."""
        last = self.last  # another thread may reset it
        return [*self.held, *([last.held] if last and last.label else [])]


@dataclass(frozen=True)
class PageView:
    """What a page shows: pictures, the first of them now, and the action that can be undone."""

    pictures: tuple[Held, ...]
    last: Action | None
    waiting: int | None  # about, and without those of `pictures`; None if SQS did not answer
    put_off: int | None  # about: on others' pages, or skipped
    note: str = ""


class Desk:
    """Hands pictures to pages. Every method may be called by many threads at once, each for its page."""

    def __init__(self, backend: Backend, reviewer: str, warn: Callable[[str], None]) -> None:
        """Decide as `reviewer`; `warn` gets a sentence for the person at the terminal."""
        self._backend, self._reviewer, self._warn = backend, reviewer, warn
        self.hold_seconds = backend.queue.hold_seconds()
        self._reviewers: dict[str, Reviewer] = {}
        self._lock = threading.Lock()  # of `_reviewers` and `_closed`
        self._closed = False
        self._counted: tuple[float, int | None, int | None] = (float("-inf"), None, None)
        self.decided: Counter[str] = Counter()  # by label, without undone decisions

    def poll(self, name: str) -> PageView:
        """Fill a page up with pictures; the page repeats this while it has too few."""
        reviewer = self._reviewer_of(name)
        if reviewer.filling.acquire(blocking=False):  # otherwise another request of this page fills it
            try:
                self._fill(reviewer)
            finally:
                reviewer.filling.release()
        return self._view(reviewer)

    def decide(self, name: str, message_id: str, answer: str) -> PageView:
        """Write the decision about a picture: one of its classes, or `NEITHER`.

        Raises UnknownAnswerError, and botocore's errors if a write failed. The picture then stays on the page, and the
        next decision completes the write.
        """
        return self._act(name, message_id, answer)

    def skip(self, name: str, message_id: str) -> PageView:
        """Hide a picture for SKIP_SECONDS, for another reviewer or for later."""
        return self._act(name, message_id, None)

    def undo(self, name: str) -> PageView:
        """Undo the reviewer's last action, and show that picture again.

        Raises botocore's errors if a write failed. The message then comes back by itself, and completes the decision if
        its label is still there.
        """
        with self._locked(name) as reviewer:
            last, reviewer.last = reviewer.last, None
            if last is None:
                return self._view(reviewer, "There is nothing to undo.")
            if last.label:
                # The item, then the label: if the program ends in between, the decision stands.
                if not self._backend.table.undo(last.label, last.was_decided_at):
                    return self._view(reviewer, "The decision was changed elsewhere, and stands.")
                self._backend.labels.delete(last.label)
                with self._lock:
                    self.decided[last.label.label] -= 1
            if not self._backend.queue.hide([last.held.message], self.hold_seconds):
                reviewer.held.insert(0, last.held)
                return self._view(reviewer)
            if last.label:  # another program has deleted its message meanwhile
                self._backend.queue.send(last.held.message.body)
        return self._view(reviewer, "It is undone, and the picture is in the queue again.")

    def heartbeat(self, name: str) -> PageView:
        """Keep a page's pictures from others; called regularly as long as the page is open."""
        with self._locked(name) as reviewer:
            messages = [held.message for held in reviewer.in_flight()]
            lost = self._backend.queue.hide(messages, self.hold_seconds)
            reviewer.held = [held for held in reviewer.held if held.message.message_id not in lost]
        return self._view(reviewer)

    def leave(self, name: str) -> None:
        """Give a closed page's pictures back, and complete its last decision."""
        with self._lock:
            reviewer = self._reviewers.pop(name, None)
        if reviewer is None:
            return
        with reviewer.lock:
            reviewer.gone = True
            self._finish(reviewer)
            held, reviewer.held = reviewer.held, []
            try:
                self._backend.queue.hide([one.message for one in held], 0)
            except (ClientError, BotoCoreError) as error:
                self._warn(f"{len(held)} pictures come back only after the queue's timeout: {error}")

    def picture(self, message_id: str) -> PagePicture | None:
        """Return a picture that a page holds, None if there is none."""
        with self._lock:
            held = [held for reviewer in self._reviewers.values() for held in reviewer.in_flight()]
        return next((one.picture for one in held if one.message.message_id == message_id), None)

    def sweep(self) -> None:
        """Complete old decisions and dismiss silent pages; called about once a second."""
        with self._lock:
            reviewers = list(self._reviewers.items())
        for name, reviewer in reviewers:
            last = reviewer.last
            if time.monotonic() - reviewer.seen > self.hold_seconds / 2:
                self.leave(name)
            elif last and time.monotonic() - last.at > UNDO_SECONDS:
                with reviewer.lock:
                    if reviewer.last is last:  # otherwise there is a newer one
                        self._finish(reviewer)

    def close(self) -> None:
        """Give all pictures back, complete all decisions and hand out nothing any more."""
        with self._lock:
            self._closed = True
            names = list(self._reviewers)
        for name in names:
            self.leave(name)

    def _reviewer_of(self, name: str) -> Reviewer:
        with self._lock:
            reviewer = self._reviewers.get(name)
            if reviewer is None:
                if self._closed:
                    raise DeskClosedError("the server is ending")
                if len(self._reviewers) >= MAX_PAGES:
                    raise DeskClosedError(f"{MAX_PAGES} pages are open: close some")
                reviewer = self._reviewers[name] = Reviewer(time.monotonic())
        reviewer.seen = time.monotonic()
        return reviewer

    @contextmanager
    def _locked(self, name: str) -> Iterator[Reviewer]:
        reviewer = self._reviewer_of(name)
        with reviewer.lock:
            yield reviewer

    def _fill(self, reviewer: Reviewer) -> None:
        missing = AHEAD - len(reviewer.held)
        if missing <= 0:
            return
        messages = self._backend.queue.receive(missing)
        unused = list(messages)
        try:
            for message in messages:
                held = self._prepare(message)
                with reviewer.lock, self._lock:
                    if reviewer.gone:
                        break
                    unused.remove(message)
                    # Another page may have got the picture while this one's was read.
                    if held is not None and not self._is_held(message, held.question):
                        reviewer.held.append(held)
        finally:  # the page was closed meanwhile, or a picture could not be read
            self._backend.queue.hide(unused, 0)

    def _prepare(self, message: Message) -> Held | None:
        """Return the picture of a message, None if no reviewer need be asked."""
        try:
            question = read_message(message.body)
            with self._lock:
                if self._is_held(message, question):
                    return None
            label = self._backend.labels.find(question.picture)
        except (QuestionError, LabelError) as error:
            prefix = "A message of the review queue was skipped: " if isinstance(error, QuestionError) else ""
            self._warn(f"{prefix}{error}")
            self._backend.queue.hide([message], SKIP_SECONDS)
            return None
        if label is not None:  # a program ended after it wrote the label
            self._complete(label, message)
            return None
        return Held(message, question, self._backend.read(question))

    def _is_held(self, message: Message, question: Question) -> bool:
        """Tell whether a page of this server holds this picture: SQS may deliver a message twice.

        The caller has the lock.
        """
        for reviewer in self._reviewers.values():
            for held in reviewer.in_flight():
                if held.message.message_id == message.message_id:
                    held.message.receipt = message.receipt  # only the newest is valid
                    return True
                if held.question.picture == question.picture:
                    return True
        return False

    def _act(self, name: str, message_id: str, answer: str | None) -> PageView:
        """Decide a picture, or skip it without an answer; complete the reviewer's decision before."""
        note = ""
        with self._locked(name) as reviewer:
            held = next((held for held in reviewer.held if held.message.message_id == message_id), None)
            if held is None:
                return self._view(reviewer, _missing_note(reviewer.last, message_id, answer))
            last: Action | None = Action(held, time.monotonic())
            if answer is None:
                self._backend.queue.hide([held.message], SKIP_SECONDS)
            else:
                last, note = self._write(held, answer)
            reviewer.held.remove(held)
            self._finish(reviewer)
            reviewer.last = last
        return self._view(reviewer, note)

    def _write(self, held: Held, answer: str) -> tuple[Action | None, str]:
        """Write label and item; return the action that can be undone, and a note for the reviewer."""
        question, picture = held.question, held.picture
        answers: tuple[str, ...] = (*question.class_names, NEITHER)
        if picture.problem:  # it has no class, and is decided only if the problem will stay
            answers = (NEITHER,) if picture.permanent else ()
        if answer not in answers:
            reason = "which cannot be shown" if picture.problem else f"whose classes are {question.class_names}"
            raise UnknownAnswerError(f"{answer!r} is not an answer for this picture, {reason}")
        label = Label(
            question,
            label=answer,
            decided_by=self._reviewer,
            decided_at=now(),
            model=self._backend.models.name(question.endpoint_name, held.message.sent),
        )
        held.attempts.append(label)
        standing = self._backend.labels.put(label)
        if standing not in held.attempts:
            self._complete(standing, held.message)
            return None, f"{standing.decided_by} was first, and decided {standing.label}."
        try:
            was_decided_at = self._backend.table.record(standing)
        except AlreadyDecidedError as error:
            self._backend.labels.delete(standing)
            self._delete(held.message)
            return None, str(error)
        held.attempts.clear()
        with self._lock:
            self.decided[standing.label] += 1
        note = "" if standing.label == answer else _first_answer_note(standing.label)
        return Action(held, time.monotonic(), standing, was_decided_at), note

    def _complete(self, label: Label, message: Message) -> None:
        """Write the item of a label, and delete the message."""
        try:
            self._backend.table.record(label)
        except AlreadyDecidedError as error:
            self._backend.labels.delete(label)  # otherwise it would be trained on
            self._warn(f"{label.question.picture.uri}: {error} The label {label.label} is deleted.")
        self._delete(message)

    def _finish(self, reviewer: Reviewer) -> None:
        last, reviewer.last = reviewer.last, None
        if last and last.label:
            self._delete(last.held.message)

    def _delete(self, message: Message) -> None:
        try:
            self._backend.queue.delete(message)
        except (ClientError, BotoCoreError) as error:  # the label completes it when the message comes back
            self._warn(f"A message could not be deleted, and comes back once: {error}")

    def _view(self, reviewer: Reviewer, note: str = "") -> PageView:
        at, waiting, in_flight = self._counted
        if time.monotonic() - at > COUNTED_SECONDS:
            # A written decision must not look like a failed one because the count failed.
            with suppress(ClientError, BotoCoreError):
                waiting, in_flight = self._backend.queue.waiting()
            self._counted = (time.monotonic(), waiting, in_flight)
        with self._lock:
            own = sum(len(other.in_flight()) for other in self._reviewers.values())
        put_off = None if in_flight is None else max(0, in_flight - own)
        return PageView(tuple(reviewer.held), reviewer.last, waiting, put_off, note)


def _missing_note(last: Action | None, message_id: str, answer: str | None) -> str:
    """Explain a request, an answer or a skip, about a picture that the page does not hold."""
    if last is None or last.held.message.message_id != message_id:
        return "That picture had gone back to the queue."
    decided = last.label.label if last.label else None
    if decided == answer:  # the same request again, because its answer was lost
        return ""
    return _first_answer_note(decided) if decided else "That picture was skipped."


def _first_answer_note(label: str) -> str:
    return f"Your first answer, {label}, was written."
