"""The results of a Map Run in S3, as the `ResultWriter` of a Distributed Map writes them.

`PREFIX/UUID/manifest.json` names the files beside it: `SUCCEEDED_0.json` and `FAILED_0.json`, each
a list of child executions. AWS splits a list of more than 5 GB, and can write other formats
(`WriterConfig`); this module does neither.
"""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from ministack import app
from ministack.services import stepfunctions as sfn

_STATUSES = ("FAILED", "PENDING", "SUCCEEDED")


def write_results(target: dict[str, Any], map_run_arn: str, executions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Write the files to the target's `Bucket` and `Prefix`, and return the result of the Map.

    Raises the execution's `States.ResultWriterFailed` when S3 rejects a file.
    """
    bucket = target["Bucket"]
    folder = "/".join(part for part in (target.get("Prefix", "").strip("/"), map_run_arn.rpartition(":")[2]) if part)
    files: dict[str, list[dict[str, Any]]] = {status: [] for status in _STATUSES}
    ended = [_result_of(execution) for execution in executions]
    for status in _STATUSES:
        results = [result for result in ended if result["Status"] == status]
        if results:
            key = f"{folder}/{status}_0.json"
            files[status] = [{"Key": key, "Size": _put(bucket, key, results)}]
    manifest = f"{folder}/manifest.json"
    about = {"DestinationBucket": bucket, "MapRunArn": map_run_arn, "ResultFiles": files}
    _put(bucket, manifest, about)
    return {"MapRunArn": map_run_arn, "ResultWriterDetails": {"Bucket": bucket, "Key": manifest}}


def _result_of(execution: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of one child execution in a results file."""
    members = ("executionArn", "input", "name", "startDate", "stateMachineArn", "status", "stopDate")
    result: dict[str, Any] = {member[0].upper() + member[1:]: execution[member] for member in members}
    result |= {"InputDetails": {"Included": True}, "RedriveCount": 0}
    if execution["status"] == "SUCCEEDED":
        return result | {"Output": execution["output"], "OutputDetails": {"Included": True}}
    return result | {"Error": execution["error"], "Cause": execution["cause"]}


def _put(bucket: str, key: str, value: Any) -> int:
    """Write JSON to S3 and return its size in bytes."""
    body = json.dumps(value).encode()
    headers = {"host": "127.0.0.1", "content-type": "application/json"}
    status, _, answer = app.call_service_handler_sync(
        app.SERVICE_HANDLERS["s3"], "PUT", f"/{bucket}/{quote(key)}", headers, body, {}
    )
    if status != HTTPStatus.OK:
        raise sfn._ExecutionError("States.ResultWriterFailed", bytes(answer).decode())
    return len(body)
