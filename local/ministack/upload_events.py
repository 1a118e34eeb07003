"""S3 events on EventBridge with the version of the object, and injected duplicates.

MiniStack leaves the version out. On AWS every event of a versioned bucket has `detail.object.version-id`, which
the rule in template.yaml passes on to the workflow. AWS delivers the events at least once, so a share of them can
arrive twice here, as `/_local/uploads` sets it.
"""

import contextvars
import functools
import inspect
import json
import random
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

from ministack.services import eventbridge, s3

from local.controls import number, parse_setting, whole_number
from local.ministack.patches import Patches

_MAX_DELAY_SECONDS = 3600  # each waiting event needs a thread
_version: ContextVar[str | None] = ContextVar("version of the object of the current S3 event")
patches = Patches(__name__)


@dataclass(frozen=True)
class DuplicatesSetting:
    """Which of S3's events arrive twice."""

    duplicates: float = number(maximum=1)  # their share
    delay_seconds: float = number(0.0, maximum=_MAX_DELAY_SECONDS)  # between the first and the second event
    seed: int | None = whole_number(None, 0)  # of the draws, which then repeat in the order of the events


class Duplicates:
    """The setting of one laptop's AWS, and its counts; thread-safe."""

    def __init__(self) -> None:
        """Start without duplicates."""
        self._lock = threading.Lock()
        self.clear()

    def parse(self, members: Any) -> DuplicatesSetting:
        """Return the setting in a request's JSON; raise ControlRequestError for an invalid one."""
        return parse_setting(DuplicatesSetting, '{"duplicates": 0.1}', members)

    def put(self, setting: DuplicatesSetting) -> None:
        """Replace the setting; the counts continue."""
        with self._lock:
            self._setting = setting
            self._chance: Callable[[], float] = random.Random(setting.seed).random  # noqa: S311  not a secret

    def get(self) -> dict[str, Any]:
        """Return the setting, and the counts of `events` and of those `sent_twice` since `clear`."""
        with self._lock:
            return asdict(self._setting) | {"events": self._events, "sent_twice": self._twice}

    def clear(self) -> None:
        """End the duplicates and reset the counts."""
        self.put(DuplicatesSetting(0.0))
        with self._lock:
            self._events = self._twice = 0

    def draw(self) -> float | None:
        """Count one event; return the delay of its duplicate in seconds, or None for no duplicate."""
        with self._lock:
            self._events += 1
            if self._chance() >= self._setting.duplicates:
                return None
            self._twice += 1
            return self._setting.delay_seconds


duplicates = Duplicates()


@patches.wrap(s3, "_fire_s3_event", "2ab38cfa")
def _keep_version(fire: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(fire)

    def fire_s3_event(*arguments: Any, **named: Any) -> None:
        token = _version.set(signature.bind(*arguments, **named).arguments.get("version_id"))
        try:
            fire(*arguments, **named)
        finally:
            _version.reset(token)

    return fire_s3_event


@patches.wrap(eventbridge, "_dispatch_event", "d1bfe064")
def _with_version_and_duplicate(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch_event(event: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        if event.get("Source") != "aws.s3":
            return dispatch(event, *arguments, **named)
        if version_id := _version.get(None):
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version_id
            event = event | {"Detail": json.dumps(detail)}
        delay = duplicates.draw()
        if delay is not None:
            again = functools.partial(dispatch, event, *arguments, **named)
            # Its own context: a context variable holds the account and the region.
            timer = threading.Timer(delay, contextvars.copy_context().run, [again])
            timer.daemon = True
            timer.start()
        return dispatch(event, *arguments, **named)

    return dispatch_event
