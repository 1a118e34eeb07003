"""S3's events on EventBridge: with the version of the object as on AWS, and twice if asked to.

MiniStack 1.5.33 knows the version when it tells of an upload and leaves it out of the event; AWS's
`detail.object.version-id` is there for every versioned bucket, and the rule in template.yaml hands
it to the workflow. tests/integration/test_ministack_gaps.py fails when MiniStack closes the gap.
"""

import contextvars
import functools
import inspect
import json
import threading
from contextvars import ContextVar
from typing import Any

from ministack.services import eventbridge, s3

from local.ministack.ministack_source import check_source
from local.ministack.upload_duplicates import Duplicates

_FILE = "local/ministack/upload_events.py"
_version: ContextVar[str | None] = ContextVar("version of the object that S3 tells of")


def with_version(event: dict[str, Any], version_id: str | None) -> dict[str, Any]:
    """Return an event of S3's with the object's version, if there is one."""
    if not version_id:
        return event
    detail = json.loads(event["Detail"])
    detail["object"]["version-id"] = version_id
    return event | {"Detail": json.dumps(detail)}


def install(duplicates: Duplicates) -> None:
    """Change MiniStack's S3 and EventBridge in this process; call once, before the first upload.

    Args:
        duplicates: decides which events are sent twice.

    Raises:
        MiniStackChangedError: when MiniStack's version has changed.
    """
    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event
    check_source(fire, "2ab38cfa", _FILE)
    check_source(dispatch, "d1bfe064", _FILE)
    signature = inspect.signature(fire)

    @functools.wraps(fire)
    def fire_s3_event(*arguments: Any, **named: Any) -> None:
        given = signature.bind(*arguments, **named).arguments
        token = _version.set(given.get("version_id"))
        try:
            fire(*arguments, **named)
        finally:
            _version.reset(token)

    @functools.wraps(dispatch)
    def dispatch_event(event: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        if event.get("Source") != "aws.s3":
            return dispatch(event, *arguments, **named)
        event = with_version(event, _version.get(None))
        delay = duplicates.draw()
        if delay is not None:
            again = functools.partial(dispatch, event, *arguments, **named)
            # A context of its own: the account and the region are in it.
            timer = threading.Timer(delay, contextvars.copy_context().run, [again])
            timer.daemon = True
            timer.start()
        return dispatch(event, *arguments, **named)

    s3._fire_s3_event = fire_s3_event
    eventbridge._dispatch_event = dispatch_event
