"""S3 events on EventBridge with the version of the object, and injected duplicates.

MiniStack knows the version of an upload and leaves it out of the event. On AWS every event of a
versioned bucket has `detail.object.version-id`, and the rule in template.yaml passes it on to the
workflow.
"""

import contextvars
import functools
import inspect
import json
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ministack.services import eventbridge, s3

from local.ministack.patches import Patches
from local.ministack.upload_duplicates import Duplicates

_version: ContextVar[str | None] = ContextVar("version of the object of the current S3 event")
duplicates = Duplicates()
patches = Patches(__name__)


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
        event = _with_version(event, _version.get(None))
        delay = duplicates.draw()
        if delay is not None:
            again = functools.partial(dispatch, event, *arguments, **named)
            # Its own context: a context variable holds the account and the region.
            timer = threading.Timer(delay, contextvars.copy_context().run, [again])
            timer.daemon = True
            timer.start()
        return dispatch(event, *arguments, **named)

    return dispatch_event


def _with_version(event: dict[str, Any], version_id: str | None) -> dict[str, Any]:
    if not version_id:
        return event
    detail = json.loads(event["Detail"])
    detail["object"]["version-id"] = version_id
    return event | {"Detail": json.dumps(detail)}
