"""Data capture: requests and responses of an endpoint, as SageMaker writes them to S3.

One JSON object per line in `<prefix>/<endpoint>/<variant>/yyyy/mm/dd/hh/<MM-SS-mmm>-<uuid>.jsonl`.
"""

import base64
import json
import logging
import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.sagemaker.object_store import split_s3_uri

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CapturedInvocation:
    """One successful invocation of an endpoint; the types are content types with any parameters."""

    request_body: bytes
    request_type: str
    answer_body: bytes
    answer_type: str
    time: datetime
    inference_id: str | None = None
    custom_attributes: str | None = None


class DataCapture:
    """Samples, formats and writes the captures of one endpoint configuration."""

    def __init__(
        self, config: dict[str, Any], endpoint: str, s3: Any, chance: Callable[[], float] = random.random
    ) -> None:
        """Set up the capture of a `DataCaptureConfig`; `chance` returns a number in [0, 1), for sampling.

        Raise ValidationFailedError for a destination that is not an S3 URI.
        """
        self._config = config
        self._bucket, self._prefix = split_s3_uri(config["DestinationS3Uri"])
        self._endpoint = endpoint
        self._s3 = s3
        self._chance = chance
        self._waiting: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def record(self, variant: str, invocation: CapturedInvocation) -> None:
        """Keep an invocation for the next flush, if it is in the sample."""
        if self._chance() * 100 >= self._config["InitialSamplingPercentage"]:
            return
        line = capture_line(self._config, invocation)
        folder = f"{self._endpoint}/{variant}/{invocation.time:%Y/%m/%d/%H}"
        with self._lock:
            self._waiting.setdefault(folder, []).append(line)

    def flush(self) -> None:
        """Write the waiting captures to S3, one file per hour and variant.

        An error is logged and the captures are dropped, as on AWS.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for folder, lines in waiting.items():
            now = datetime.now(UTC)
            name = f"{now:%M-%S}-{now.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
            key = "/".join(part for part in (self._prefix.strip("/"), folder, name) if part)
            try:
                self._s3.put_object(Bucket=self._bucket, Key=key, Body="".join(lines).encode())
            except (BotoCoreError, ClientError) as error:
                logger.error("Data capture to s3://%s/%s failed: %s", self._bucket, key, error)


def capture_line(config: dict[str, Any], invocation: CapturedInvocation) -> str:
    """Return one line of a capture file, newline included.

    The `CaptureOptions` of the `DataCaptureConfig` select request and response, its
    `CaptureContentTypeHeader` the content types that are text and not base64.
    """
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    data: dict[str, Any] = {}
    if modes & {"Input", "InputAndOutput"}:
        data["endpointInput"] = _side(config, "INPUT", invocation.request_body, invocation.request_type)
    if modes & {"Output", "InputAndOutput"}:
        data["endpointOutput"] = _side(config, "OUTPUT", invocation.answer_body, invocation.answer_type)
    metadata: dict[str, Any] = {"eventId": str(uuid.uuid4())}
    if invocation.custom_attributes is not None:
        metadata["customAttributes"] = [invocation.custom_attributes]
    if invocation.inference_id is not None:
        metadata["inferenceId"] = invocation.inference_id
    metadata["inferenceTime"] = f"{invocation.time:%Y-%m-%dT%H:%M:%SZ}"
    line = {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n"


def _side(config: dict[str, Any], mode: str, body: bytes, content_type: str) -> dict[str, str]:
    side = {"observedContentType": content_type, "mode": mode}
    plain = content_type.partition(";")[0].strip().lower()
    for encoding, types in (("JSON", "JsonContentTypes"), ("CSV", "CsvContentTypes")):
        if plain in config.get("CaptureContentTypeHeader", {}).get(types, []):
            try:
                return side | {"data": body.decode(), "encoding": encoding}
            except UnicodeDecodeError:  # declared as text, but is not
                break
    return side | {"data": base64.b64encode(body).decode(), "encoding": "BASE64"}
