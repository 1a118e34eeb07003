"""One line of a data capture file: what an endpoint was asked, and what it answered."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from common.endpoint_answer import AnswerError, read_answer

NO_ID = "-"  # of a caller that is no execution, see functions/image_classification
LEAST_ERROR_STATUS = 400  # of HTTP
# No call can have been captured at another time, and not every time can be counted or drawn.
FIRST_TIME, LAST_TIME = (datetime(year, 1, 1, tzinfo=UTC) for year in (2015, 2100))


class DamagedLineError(ValueError):
    """The line is no capture of a picture and its answer.

    `reason` is one of a few, to count by; `detail` says more about this very line.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        """Keep both."""
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class RefusedCallError(Exception):
    """The line is a call that the endpoint refused, at `time`; the message is the endpoint's."""

    def __init__(self, message: str, time: float) -> None:
        """Keep when it was, in seconds since 1970."""
        super().__init__(message)
        self.time = time


class Call(NamedTuple):
    """One answered call: when, in seconds since 1970, each class's probability, picture bytes.

    `inference_id` is the caller's own name for it, "" for none.
    """

    time: float
    probabilities: dict[str, float]
    picture: bytes
    inference_id: str


def read_line(line: bytes, class_names: Sequence[str] | None) -> Call:
    """Read a line as SageMaker writes it. A bare list's classes are `class_names`, by its order.

    Without `class_names` they are called "class 0", "class 1" and so on.
    Raises DamagedLineError, RefusedCallError.
    """
    captured, metadata = _captured(line)
    time = _time(metadata)
    answer = _content(captured.get("endpointOutput"), "no answer")
    try:
        probabilities = read_answer(answer, class_names or _numbered(answer))
    except AnswerError as error:
        if refusal := _refusal(answer):
            raise RefusedCallError(refusal, time) from error
        raise DamagedLineError("no probabilities", str(error)) from error
    picture = _content(captured.get("endpointInput"), "no picture")
    if not picture:
        raise DamagedLineError("no picture", "the request was captured with no bytes")
    return Call(time, probabilities, picture, _inference_id(metadata))


def _captured(line: bytes) -> tuple[dict[str, Any], Any]:
    text = line.strip()
    if not text:
        raise DamagedLineError("empty line")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # of the text's encoding or depth, too
        cut_off = text.startswith(b"{") and not text.endswith(b"}")
        raise DamagedLineError("cut off" if cut_off else "not JSON", str(error)) from error
    captured = value.get("captureData") if isinstance(value, dict) else None
    if not isinstance(captured, dict):
        raise DamagedLineError("no capture", "JSON without a captureData object")
    return captured, value.get("eventMetadata")


def _time(metadata: Any) -> float:
    text = metadata.get("inferenceTime") if isinstance(metadata, dict) else None
    try:
        moment = datetime.fromisoformat(str(text))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
    except ValueError as error:
        raise DamagedLineError("no time", f"inferenceTime is {text!r}") from error
    if not FIRST_TIME <= moment < LAST_TIME:
        raise DamagedLineError("no time", f"inferenceTime is {text!r}")
    return moment.timestamp()


def _inference_id(metadata: Any) -> str:
    text = metadata.get("inferenceId") if isinstance(metadata, dict) else None
    return text if isinstance(text, str) and text != NO_ID else ""


def _content(side: Any, missing: str) -> bytes:
    """Return the bytes of one side, whichever encoding it was captured in."""
    data = side.get("data") if isinstance(side, dict) else None
    if not isinstance(data, str):
        raise DamagedLineError(missing, "this side of the call was not captured")
    if side.get("encoding") != "BASE64":  # JSON and CSV are the text itself
        return data.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DamagedLineError(missing, f"its BASE64 is damaged: {error}") from error


def _numbered(answer: bytes) -> list[str] | None:
    try:
        values = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return [f"class {place}" for place in range(len(values))] if isinstance(values, list) else None


def _refusal(answer: bytes) -> str:
    """Return the message of an error as SageMaker's model servers answer it, "" of all else.

    Both multi-model-server and TorchServe write {"code": 400, "type": "...", "message": "..."}.
    """
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    code = value.get("code") if isinstance(value, dict) else None
    if type(code) is not int or code < LEAST_ERROR_STATUS:
        return ""
    return f"{code} {value.get('type', '')} {value.get('message', '')}".strip()
