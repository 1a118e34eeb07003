"""Step Functions' Distributed Map with batches of items.

MiniStack ignores `ItemBatcher` and `ResultWriter`, gives a child execution its parent's context object, starts every
child even after too many failures, and does not evaluate the JSONata of `ItemReader`. This module replaces MiniStack's
Map Run. As on AWS, `MaxConcurrency` counts children, and the tolerated failures count items: a failed child counts all
of its items, and no further child starts once there are too many.
"""

import contextvars
import json
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from ministack import app
from ministack.services import stepfunctions as sfn

from local.ministack.patches import Patches

_MAX_CHILDREN = 64  # at once, where MaxConcurrency is 0; AWS has 10,000
_MAX_INPUT_BYTES = 262_144  # a child's input, Step Functions' limit on a payload
patches = Patches(__name__)
_COUNTS = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "timedOut",
    "aborted",
    "total",
    "resultsWritten",
    "failuresNotRedrivable",
    "pendingRedrive",
)


@dataclass(frozen=True)
class Child:
    """One child execution to run: its input, and the number of items in it."""

    input: Any
    items: int


class MapRun:
    """The record of a Map Run, as DescribeMapRun shows it; thread-safe."""

    def __init__(self, record: dict[str, Any], children: Sequence[Child], tolerated: float) -> None:
        """Set the initial counts in MiniStack's own record, which its APIs show."""
        self.record = record
        self._tolerated = tolerated
        self._lock = threading.Lock()
        items = sum(child.items for child in children)
        for name, total in (("itemCounts", items), ("executionCounts", len(children))):
            record[name] = dict.fromkeys(_COUNTS, 0) | {"total": total, "pending": total}

    def move(self, child: Child, before: str, after: str) -> None:
        """Move a child and its items from one count to another."""
        with self._lock:
            for name, amount in (("itemCounts", child.items), ("executionCounts", 1)):
                self.record[name][before] -= amount
                self.record[name][after] += amount

    def exceeded(self) -> bool:
        """Return whether more items have failed than are tolerated."""
        with self._lock:
            return bool(self.record["itemCounts"]["failed"] > self._tolerated)


def batched(items: Sequence[Any], max_items: int | None, max_bytes: int | None, shared: dict[str, Any]) -> list[Child]:
    """Group a map's items into the inputs of its children; `shared` is `{"BatchInput": ...}` or empty.

    Raises the execution's `States.ItemReaderFailed` for an item that is too large by itself.
    """
    room = min(max_bytes or _MAX_INPUT_BYTES, _MAX_INPUT_BYTES) - _json_bytes(shared | {"Items": []})
    groups: list[list[Any]] = []
    size = 0
    for item in items:
        needed = _json_bytes(item)
        if needed > room:
            raise sfn._ExecutionError("States.ItemReaderFailed", f"An item of {needed} bytes does not fit into a batch")
        full = max_items is not None and bool(groups) and len(groups[-1]) >= max_items
        if not groups or full or size + needed > room:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += needed + 1  # and a comma
    return [Child(shared | {"Items": group}, len(group)) for group in groups]


def tolerated_failures(state: dict[str, Any], items: int) -> float:
    """Return how many items may fail: the lower of both settings, as on AWS."""
    limits = []
    if "ToleratedFailureCount" in state:
        limits.append(float(state["ToleratedFailureCount"]))
    if "ToleratedFailurePercentage" in state:
        limits.append(float(state["ToleratedFailurePercentage"]) * items / 100)
    return min(limits, default=0)


@dataclass(frozen=True)
class _Map:
    """A Distributed Map that an execution has entered; the names are those of MiniStack."""

    state: dict[str, Any]
    effective: Any  # the input after InputPath
    processor: dict[str, Any]
    execution: dict[str, Any]
    context: dict[str, Any]

    @property
    def is_jsonata(self) -> bool:
        """Whether the query language of the state is JSONata and not JSONPath."""
        return bool(sfn._state_query_language(self.state, self.context) == "JSONata")

    def run(self) -> Any:
        """Run every child; return their outputs in order, null for a failed one, or the location of the results."""
        items = self._items()
        children = self._children(items)
        concurrency = int(self.state.get("MaxConcurrency") or 0)
        run = MapRun(self._record(concurrency), children, tolerated_failures(self.state, len(items)))
        executions: list[dict[str, Any]] = [{} for _ in children]

        def run_child(index: int) -> None:
            child = children[index]
            if run.exceeded():
                run.move(child, "pending", "aborted")
                return
            run.move(child, "pending", "running")
            ended = executions[index] = self._run_child(child, run.record)
            run.move(child, "running", "succeeded" if ended["status"] == "SUCCEEDED" else "failed")

        with ThreadPoolExecutor(concurrency or _MAX_CHILDREN, thread_name_prefix="map-run") as pool:
            # One context each: it holds account and region, and can run in one thread at a time.
            futures = [pool.submit(contextvars.copy_context().run, run_child, index) for index in range(len(children))]
        for future in futures:
            future.result()
        return self._end(run, executions)

    def _evaluate(self, template: Any, context: dict[str, Any] | None = None) -> Any:
        """Return a field of the state, evaluated in the state's query language."""
        evaluate = sfn._apply_jsonata_template if self.is_jsonata else sfn._resolve_params_obj
        return evaluate(template, self.effective, context or self.context)

    def _items(self) -> list[Any]:
        """Return the items of the data set after `ItemSelector`."""
        if reader := self.state.get("ItemReader"):
            source = self._evaluate(reader.get("Arguments") or reader.get("Parameters") or {})
            items = sfn._read_map_items({**reader, "Parameters": source}, self.effective, self.context)
        elif self.is_jsonata:
            items = self._evaluate(self.state.get("Items", self.effective))
        else:
            items = sfn._resolve_path_or_ctx(self.state.get("ItemsPath", "$"), self.effective, self.context)
        if not isinstance(items, list):
            items = [items]
        selector = self.state.get("ItemSelector") or self.state.get("Parameters")
        if not selector:
            return items
        return [
            self._evaluate(selector, self.context | {"Map": {"Item": {"Index": index, "Value": item}}})
            for index, item in enumerate(items)
        ]

    def _children(self, items: list[Any]) -> list[Child]:
        batcher = self.state.get("ItemBatcher")
        if batcher is None:
            return [Child(item, 1) for item in items]

        def limit(name: str) -> int | None:
            if f"{name}Path" in batcher:
                return int(sfn._resolve_path_or_ctx(batcher[f"{name}Path"], self.effective, self.context))
            return int(batcher[name]) if name in batcher else None

        max_items, max_bytes = limit("MaxItemsPerBatch"), limit("MaxInputBytesPerBatch")
        if max_items is None and max_bytes is None:
            raise sfn._ExecutionError("States.Runtime", "ItemBatcher needs MaxItemsPerBatch or MaxInputBytesPerBatch")
        shared = {"BatchInput": self._evaluate(batcher["BatchInput"])} if "BatchInput" in batcher else {}
        return batched(items, max_items, max_bytes, shared)

    def _record(self, concurrency: int) -> dict[str, Any]:
        """Add a Map Run to MiniStack's and return its record, without the counts."""
        _, _, _, region, account, _, name = self.execution["stateMachineArn"].split(":", 6)
        label = self.state.get("Label") or sfn.new_uuid()
        arn = f"arn:aws:states:{region}:{account}:mapRun:{name}/{label}:{sfn.new_uuid()}"
        record = sfn._map_runs[arn] = {
            "mapRunArn": arn,
            "executionArn": self.execution["executionArn"],
            "status": "RUNNING",
            "startDate": sfn.now_iso(),
            "maxConcurrency": concurrency,
            "toleratedFailurePercentage": float(self.state.get("ToleratedFailurePercentage") or 0),
            "toleratedFailureCount": int(self.state.get("ToleratedFailureCount") or 0),
            "redriveCount": 0,
            "_stateMachineArn": f"arn:aws:states:{region}:{account}:stateMachine:{name}/{label}",
        }
        return record

    def _run_child(self, child: Child, record: dict[str, Any]) -> dict[str, Any]:
        """Run one child and return its execution, which the Map Run's APIs list."""
        name = sfn.new_uuid()
        machine = record["_stateMachineArn"]
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
        started = sfn.now_iso()
        execution = sfn._executions[arn] = {
            "executionArn": arn,
            "stateMachineArn": machine,
            "name": name,
            "status": "RUNNING",
            "startDate": started,
            "stopDate": None,
            "input": json.dumps(child.input),
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "mapRunArn": record["mapRunArn"],
            "events": [],
            "testCase": self.execution.get("testCase"),
            "mockAttempts": {},
        }
        context = {
            "QueryLanguage": self.context["QueryLanguage"],
            "Execution": {"Id": arn, "Input": child.input, "Name": name, "StartTime": started},
            "StateMachine": {"Id": machine, "Name": machine.rpartition(":")[2]},
            "variables": {},
        }
        states, start = self.processor.get("States", {}), self.processor.get("StartAt")
        try:
            output = sfn._run_sub_machine(states, start, child.input, execution, context)
            execution.update(status="SUCCEEDED", output=json.dumps(output))
        except sfn._ExecutionError as error:
            execution.update(status="FAILED", error=error.error, cause=error.cause)
        except Exception as error:  # noqa: BLE001  any error fails this child only
            execution.update(status="FAILED", error="States.Runtime", cause=str(error))
        execution["stopDate"] = sfn.now_iso()
        return execution

    def _end(self, run: MapRun, executions: list[dict[str, Any]]) -> Any:
        """Close a run, write its results if the state has a ResultWriter, and return the result of the Map."""
        exceeded = run.exceeded()
        run.record.update(status="FAILED" if exceeded else "SUCCEEDED", stopDate=sfn.now_iso())
        result: Any = [json.loads(each["output"]) if each.get("status") == "SUCCEEDED" else None for each in executions]
        if writer := self.state.get("ResultWriter"):
            target = self._evaluate(writer.get("Arguments") or writer.get("Parameters"))
            result = _write_results(target, run.record["mapRunArn"], [each for each in executions if each])
            for counts in (run.record["itemCounts"], run.record["executionCounts"]):
                counts["resultsWritten"] = counts["succeeded"] + counts["failed"]
        if exceeded:
            raise sfn._ExecutionError(
                "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"
            )
        return result


@patches.replace(sfn, "_run_distributed_map", "2b77d3ec")
def _run_distributed_map(state: dict[str, Any], raw_input: Any, *more: Any) -> Any:
    entered = _Map(state, *more)
    context = entered.context
    outputs = entered.run()
    if entered.is_jsonata:
        output = sfn._apply_jsonata_output(state, raw_input, context, result=outputs, default=outputs)
        sfn._apply_state_assign(state, raw_input, context, result=outputs)
        return output, sfn._next_or_end(state)
    result = sfn._apply_result_selector(state, outputs)
    output = sfn._apply_result_path(state, raw_input, result)
    return sfn._apply_output_path(state, output, context), sfn._next_or_end(state)


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _write_results(target: dict[str, Any], map_run_arn: str, executions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Write the results to the target's `Bucket` and `Prefix`, and return the result of the Map.

    `PREFIX/UUID/manifest.json` names `SUCCEEDED_0.json` and `FAILED_0.json`, each a list of child executions. AWS
    splits a list of more than 5 GB and has other formats (`WriterConfig`); this has neither. Raises the execution's
    `States.ResultWriterFailed` when S3 rejects a file.
    """
    bucket = target["Bucket"]
    folder = "/".join(part for part in (target.get("Prefix", "").strip("/"), map_run_arn.rpartition(":")[2]) if part)
    files: dict[str, list[dict[str, Any]]] = {status: [] for status in ("FAILED", "PENDING", "SUCCEEDED")}
    ended = [_result_of(execution) for execution in executions]
    for status in files:
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
