"""One line of a capture file: the picture an endpoint was asked about, and its answer."""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from common.endpoint_answer import AnswerError, read_answer
from common.s3_picture import json_object

NO_ID = "-"  # of a caller that is no execution, see functions/image_classification
NO_KEY = 0  # of a request without an id
LEAST_ERROR_STATUS = 400  # of HTTP
# Reject implausible timestamps, which neither datetime nor a chart can always represent.
FIRST_TIME, LAST_TIME = (datetime(year, 1, 1, tzinfo=UTC) for year in (2015, 2100))


class DamagedLineError(ValueError):
    """The line is not a picture with its answer: `reason` is a category to count by, `detail` is about this line."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Keep both."""
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class RefusedCallError(Exception):
    """The endpoint refused this call at `time`, in seconds since 1970; the message is the endpoint's."""

    def __init__(self, message: str, time: float) -> None:
        """Keep the time."""
        super().__init__(message)
        self.time = time


class Call(NamedTuple):
    """An answered call.

    Attributes:
        time: seconds since 1970.
        probabilities: of each class.
        picture: bytes of the file.
        request_key: see `request_key`.
    """

    time: float
    probabilities: dict[str, float]
    picture: bytes
    request_key: int


def read_line(line: bytes, class_names: Sequence[str] | None) -> Call:
    """Read a line as SageMaker writes it.

    `class_names` name the probabilities of a bare list, in its order; without them the classes are "class 0", "class 1"
    and so on. Raises DamagedLineError, RefusedCallError.
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
    return Call(time, probabilities, picture, request_key(metadata.get("inferenceId"), picture))


def request_key(inference_id: object, picture: bytes) -> int:
    """Return a number that repeated calls of an execution about a picture share; NO_KEY without an id.

    An execution repeats a call with the same id, its own name. Other callers may give all their calls one id, so the
    picture counts too.
    """
    if not isinstance(inference_id, str) or inference_id in ("", NO_ID):
        return NO_KEY
    text = inference_id.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(picture, digest_size=8, key=hashlib.sha256(text).digest()).digest()
    return int.from_bytes(digest, signed=True)


def _captured(line: bytes) -> tuple[dict[str, Any], Any]:
    """Return captureData and eventMetadata."""
    text = line.strip()
    if not text:
        raise DamagedLineError("empty line")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # also for a wrong encoding, or for lists nested too deep
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
        if not FIRST_TIME <= moment < LAST_TIME:
            raise ValueError(f"not from {FIRST_TIME:%Y} to {LAST_TIME:%Y}")
    except ValueError as error:
        raise DamagedLineError("no time", f"inferenceTime is {text!r}") from error
    return moment.timestamp()


def _content(side: Any, missing: str) -> bytes:
    """Return the bytes of one side, whichever encoding it was captured in."""
    data = side.get("data") if isinstance(side, dict) else None
    if not isinstance(data, str):
        raise DamagedLineError(missing, "this side of the call was not captured")
    if side.get("encoding") != "BASE64":  # JSON and CSV are the text itself
        return data.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise DamagedLineError(missing, f"its BASE64 is damaged: {error}") from error


def _numbered(answer: bytes) -> list[str] | None:
    try:
        values = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return [f"class {position}" for position in range(len(values))] if isinstance(values, list) else None


def _refusal(answer: bytes) -> str:
    """Return the message of an error as SageMaker's model servers answer it, "" for anything else.

    Both multi-model-server and TorchServe write {"code": 400, "type": "...", "message": "..."}.
    """
    value = json_object(answer)
    code = value.get("code")
    if type(code) is not int or code < LEAST_ERROR_STATUS:
        return ""
    return f"{code} {value.get('type', '')} {value.get('message', '')}".strip()
