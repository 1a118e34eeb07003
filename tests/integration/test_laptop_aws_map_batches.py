"""A Distributed Map of the laptop's AWS: batches, counts, tolerated failures, contexts, results."""

import json
from typing import Any

import pytest

from tests.integration.laptop_aws import LaptopAws

WRITER = {"Resource": "arn:aws:states:::s3:putObject"}
TOO_MANY = "States.ExceedToleratedFailureThreshold"
# Fails for a batch with a 13 in it; returns its input and its execution id.
CHILD = {
    "StartAt": "Unlucky",
    "States": {
        "Unlucky": {
            "Type": "Choice",
            "QueryLanguage": "JSONata",
            "Choices": [{"Condition": "{% 13 in $states.input.Items.n %}", "Next": "Failed"}],
            "Default": "Done",
        },
        "Failed": {"Type": "Fail", "Error": "UnluckyError", "Cause": "13"},
        "Done": {
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": {"input": "{% $states.input %}", "id": "{% $states.context.Execution.Id %}"},
            "End": True,
        },
    },
}


def execute(aws: LaptopAws, event: object, **fields: Any) -> Any:
    """Run a machine of one Distributed Map and return the ended execution."""
    state = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemSelector": {"n.$": "$$.Map.Item.Value", "bucket.$": "$.bucket"},
        "ItemBatcher": {
            "MaxItemsPerBatch": 10,
            "BatchInput": {"bucket.$": "$.bucket", "parent.$": "$$.Execution.Id", "fixed": 1},
        },
        "MaxConcurrency": 2,
        "Label": "Pictures",
        "ItemProcessor": CHILD | {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}},
    }
    return aws.execute(aws.create_machine(state | fields), event)


def run_map(aws: LaptopAws, event: object, **fields: Any) -> Any:
    """Do as `execute` and return the ended Map Run, too."""
    execution = execute(aws, event, **fields)
    stepfunctions = aws.client("stepfunctions")
    [map_run] = stepfunctions.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
    return execution, stepfunctions.describe_map_run(mapRunArn=map_run["mapRunArn"])


def counted(counts: dict[str, int]) -> dict[str, int]:
    return {name: number for name, number in counts.items() if number}


@pytest.mark.parity("states-item-batcher", "states-item-selector", "states-distributed-map")
def test_items_are_grouped_into_batches(laptop_aws):
    execution, map_run = run_map(laptop_aws, {"bucket": "pictures", "items": list(range(12))})
    assert execution["status"] == "SUCCEEDED"
    first, second = json.loads(execution["output"])
    shared = {"bucket": "pictures", "parent": execution["executionArn"], "fixed": 1}
    assert first["input"] == {"BatchInput": shared, "Items": [{"n": n, "bucket": "pictures"} for n in range(10)]}
    assert second["input"] == {"BatchInput": shared, "Items": [{"n": n, "bucket": "pictures"} for n in (10, 11)]}
    assert counted(map_run["itemCounts"]) == {"succeeded": 12, "total": 12}
    assert counted(map_run["executionCounts"]) == {"succeeded": 2, "total": 2}


@pytest.mark.parity("states-item-reader", "states-item-selector", "states-item-batcher")
def test_map_in_jsonata_reads_selects_and_batches(laptop_aws):
    s3 = laptop_aws.client("s3")
    s3.create_bucket(Bucket="map-jsonata")
    for key in ("a/1.png", "a/2.png", "b/3.png"):
        s3.put_object(Bucket="map-jsonata", Key=key, Body=b"x")
    done = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
    state = {
        "Type": "Map",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:listObjectsV2",
            "Arguments": {"Bucket": "{% $states.input.bucket %}", "Prefix": "a/"},
        },
        "ItemSelector": {"key": "{% $states.context.Map.Item.Value.Key %}"},
        "ItemBatcher": {"MaxItemsPerBatch": 10, "BatchInput": {"parent": "{% $states.context.Execution.Id %}"}},
        "ItemProcessor": done | {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}},
        "Output": "{% $states.result %}",
        "End": True,
    }
    definition = {"QueryLanguage": "JSONata", "StartAt": "M", "States": {"M": state}}
    execution = laptop_aws.execute(laptop_aws.create_machine(definition), {"bucket": "map-jsonata"})
    assert execution["status"] == "SUCCEEDED", execution
    batch = {"BatchInput": {"parent": execution["executionArn"]}, "Items": [{"key": "a/1.png"}, {"key": "a/2.png"}]}
    assert json.loads(execution["output"]) == [batch]


@pytest.mark.parity("states-context")
def test_child_has_its_own_execution_context(laptop_aws):
    execution, map_run = run_map(laptop_aws, {"bucket": "b", "items": list(range(12))})
    children = laptop_aws.client("stepfunctions").list_executions(mapRunArn=map_run["mapRunArn"])
    arns = {child["executionArn"] for child in children["executions"]}
    assert {child["id"] for child in json.loads(execution["output"])} == arns
    assert len(arns) == 2
    assert all(":execution:" in arn and "/Pictures:" in arn for arn in arns)


@pytest.mark.parity("states-empty-map")
def test_map_without_items_succeeds(laptop_aws):
    execution, map_run = run_map(laptop_aws, {"bucket": "b", "items": []})
    assert (execution["status"], execution["output"]) == ("SUCCEEDED", "[]")
    assert counted(map_run["itemCounts"]) == counted(map_run["executionCounts"]) == {}
    assert map_run["itemCounts"]["total"] == 0


@pytest.mark.parity("states-tolerated-failures")
@pytest.mark.parametrize(("percentage", "status"), [(50, "SUCCEEDED"), (49, "FAILED")])
def test_failed_child_counts_all_its_items(laptop_aws, percentage, status):
    event = {"bucket": "b", "items": list(range(20))}
    execution, map_run = run_map(laptop_aws, event, ToleratedFailurePercentage=percentage)
    assert execution["status"] == map_run["status"] == status
    assert execution.get("error") == (TOO_MANY if status == "FAILED" else None)
    assert counted(map_run["itemCounts"]) == {"succeeded": 10, "failed": 10, "total": 20}
    assert counted(map_run["executionCounts"]) == {"succeeded": 1, "failed": 1, "total": 2}


@pytest.mark.parity("states-tolerated-failures")
def test_too_many_failures_abort_the_rest(laptop_aws):
    execution, map_run = run_map(laptop_aws, {"bucket": "b", "items": [13] * 10 + list(range(30))}, MaxConcurrency=1)
    assert (execution["status"], execution["error"]) == ("FAILED", TOO_MANY)
    assert counted(map_run["itemCounts"]) == {"failed": 10, "aborted": 30, "total": 40}


def test_batcher_without_limit_fails(laptop_aws):
    ended = execute(laptop_aws, {"bucket": "b", "items": [1]}, ItemBatcher={})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert "MaxItemsPerBatch or MaxInputBytesPerBatch" in ended["cause"]


@pytest.mark.parity("states-result-writer")
def test_result_writer_writes_results_to_s3(laptop_aws):
    s3 = laptop_aws.client("s3")
    s3.create_bucket(Bucket="map-results")
    event = {"bucket": "batches", "items": list(range(20))}
    writer = WRITER | {"Parameters": {"Bucket": "map-results", "Prefix.$": "$.bucket"}}
    execution, map_run = run_map(laptop_aws, event, ResultWriter=writer, ToleratedFailurePercentage=50)
    folder = f"batches/{map_run['mapRunArn'].rpartition(':')[2]}"
    assert json.loads(execution["output"]) == {
        "MapRunArn": map_run["mapRunArn"],
        "ResultWriterDetails": {"Bucket": "map-results", "Key": f"{folder}/manifest.json"},
    }

    def content(key: str) -> Any:
        return s3.get_object(Bucket="map-results", Key=key)["Body"].read()

    manifest = json.loads(content(f"{folder}/manifest.json"))
    assert manifest["MapRunArn"] == map_run["mapRunArn"]
    files = manifest["ResultFiles"]
    assert files["PENDING"] == []
    [succeeded], [failed] = files["SUCCEEDED"], files["FAILED"]
    assert succeeded["Size"] == len(content(succeeded["Key"]))
    [good] = json.loads(content(succeeded["Key"]))
    [bad] = json.loads(content(failed["Key"]))
    assert [item["n"] for item in json.loads(good["Input"])["Items"]] == list(range(10))
    assert json.loads(good["Output"])["id"] == good["ExecutionArn"]
    assert (bad["Status"], bad["Error"], bad["Cause"]) == ("FAILED", "UnluckyError", "13")
    assert map_run["itemCounts"]["resultsWritten"] == 20
    assert map_run["executionCounts"]["resultsWritten"] == 2


@pytest.mark.parity("states-result-writer")
def test_result_writer_with_missing_bucket_fails(laptop_aws):
    writer = WRITER | {"Parameters": {"Bucket": "map-results-nowhere"}}
    ended = execute(laptop_aws, {"bucket": "b", "items": [1]}, ResultWriter=writer)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.ResultWriterFailed")
    assert "NoSuchBucket" in ended["cause"]
