"""The send command against the deployed workflow: it reports the outcome of each picture."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from common.settings import project
from tests.integration.commands import SECONDS, run_module
from tests.integration.laptop_aws import ROOT, wait_until
from tests.integration.workflow_stack import BLACK, GREY, WHITE, Stack, fault, picture

COMMAND = [sys.executable, "-m", "operations.send_pictures"]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A staged test split. The endpoint takes bright for a bicycle, and grey goes to review."""
    root = tmp_path_factory.mktemp("staged")
    pictures = {f"test/bicycle/white-{n}.png": WHITE for n in range(3)}
    pictures |= {f"test/motorcycle/black-{n}.png": BLACK for n in range(3)}
    pictures |= {"test/bicycle/grey.png": GREY, "test/motorcycle/mistaken.png": picture(250)}
    for name, content in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "manifest.json").write_text(json.dumps({"files": {name: {} for name in pictures}}))
    return root


def sent(stack: Stack, out: Path, *arguments: str, expect: int = 0) -> tuple[str, dict[str, Any]]:
    """Run the command to its end; return what it printed, and its report."""
    printed = run_module(stack.aws, "operations.send_pictures", *arguments, "--out", str(out), expect=expect)
    return printed, json.loads(out.read_text())


def items(stack: Stack, run: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the table holds of a run, by key and version."""
    pages = stack.aws.client("dynamodb").get_paginator("scan").paginate(TableName=stack.outputs["PredictionsTableName"])
    start = f"s3://{stack.outputs['PicturesBucketName']}/"
    return {
        (item["picture"]["S"].removeprefix(start), item["version_id"]["S"]): item
        for page in pages
        for item in page["Items"]
        if f"/inbox/{run}/" in item["picture"]["S"]
    }


def objects(stack: Stack, prefix: str) -> list[str]:
    """Return the keys of the bucket below a prefix."""
    pages = (
        stack.aws.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=stack.outputs["PicturesBucketName"], Prefix=prefix)
    )
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


@contextmanager
def no_events(stack: Stack) -> Iterator[None]:
    """Let uploads start nothing."""
    describe = stack.aws.client("cloudformation").describe_stack_resource
    found = describe(StackName=project().stack_name, LogicalResourceId="PictureUploadedRule")
    rule = found["StackResourceDetail"]["PhysicalResourceId"].rpartition("|")[2]
    events = stack.aws.client("events")
    events.disable_rule(Name=rule)
    try:
        yield
    finally:
        events.enable_rule(Name=rule)


def test_pictures_without_an_answer_are_named(stack, staged, tmp_path):
    with no_events(stack):
        load = ("--staged", str(staged), "--burst", "3", "--wait", "3")
        printed, report = sent(stack, tmp_path / "r.json", *load, expect=1)
    assert report["no_answer"] == report["pictures"] == 3
    assert "no answer within 3 s of the last upload" in printed
    for key in objects(stack, f"inbox/{report['run']}/"):
        assert f"no answer: {key}" in printed


@pytest.mark.parity("states-describe", "cloudformation-describe", "dynamodb-batch-get")
def test_stream_reports_the_outcome_of_every_picture(stack, staged, tmp_path):
    printed, report = sent(stack, tmp_path / "r.json", "--staged", str(staged), "--rate", "6", "--count", "24")
    # Each of the 8 pictures three times, in turn.
    counts = {name: report[name] for name in ("accepted", "review", "failed", "no_answer")}
    assert counts == {"accepted": 21, "review": 3, "failed": 0, "no_answer": 0}
    assert report["accepted_by_label"] == {"bicycle": 12, "motorcycle": 9}
    assert report["accuracy_accepted"] == pytest.approx(18 / 21)
    ledger = items(stack, report["run"])
    assert len(ledger) == 24
    for one in report["pictures_sent"]:
        item = ledger[one["key"], one["version_id"]]
        assert item["outcome"]["S"] == one["outcome"]
        assert item.get("label", {}).get("S") == one["label"]
        assert item["execution_arn"]["S"] == one["execution_arn"]
    due = [one["at"] for one in report["pictures_sent"]]
    assert due == sorted(due)
    for name in ("upload", "answer"):
        latency = report["latency_s"][name]
        assert latency["count"] == 24
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"] < SECONDS
    assert "Accuracy among accepted: 0.857" in printed


def test_slow_endpoint_delays_the_answers_and_not_the_stream(healthy, staged, tmp_path):
    fault(healthy, {"kind": "slow", "delay_seconds": 2})
    _, report = sent(healthy, tmp_path / "r.json", "--staged", str(staged), "--rate", "5", "--count", "8")
    assert report["accepted"] + report["review"] == 8
    assert report["clock_offset_s"] == 0  # one machine, one clock
    describe = healthy.aws.client("stepfunctions").describe_execution
    spans = []
    for one in report["pictures_sent"]:
        execution = describe(executionArn=one["execution_arn"])
        start, stop = execution["startDate"].timestamp(), execution["stopDate"].timestamp()
        assert one["answer_s"] == pytest.approx(stop - report["began"] - one["at"], abs=0.01)
        assert one["answer_s"] >= stop - start > 2
        spans.append((start, stop))
    # The sender did not wait for answers: executions overlap, whatever the speed of the machine.
    assert max(sum(start <= moment < stop for start, stop in spans) for moment, _ in spans) > 1


def test_burst_of_odd_pictures_names_every_failure(stack, staged, tmp_path):
    burst = ("--burst", "30", "--odd", "0.5", "--odd-kinds", "corrupt", "rotated", "tiny", "--seed", "7")
    printed, report = sent(stack, tmp_path / "r.json", "--staged", str(staged), *burst)
    kinds = {kind: facts["pictures"] for kind, facts in report["by_kind"].items()}
    assert kinds == {"as it is": 15, "corrupt": 5, "rotated": 5, "tiny": 5}
    assert report["accepted"] + report["review"] + report["failed"] == 30
    assert report["by_kind"]["as it is"]["failed"] == 0
    assert report["by_kind"]["corrupt"]["failed"] >= 1  # a cut or change may leave a picture
    stepfunctions = stack.aws.client("stepfunctions")
    ledger = items(stack, report["run"])
    for one in report["pictures_sent"]:
        if one["outcome"] != "failed":
            continue
        execution = stepfunctions.describe_execution(executionArn=one["execution_arn"])
        assert (execution["status"], execution["error"]) == ("FAILED", one["error"])
        assert json.loads(execution["input"])["object"]["key"] == one["key"]
        assert (one["key"], one["version_id"]) not in ledger
        assert f"failed: {one['error']}" in printed


@contextmanager
def started(stack: Stack, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command; kill it at the end."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=os.environ | stack.aws.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        try:
            yield command
        finally:
            command.kill()


def test_run_ends_when_its_stdout_is_closed(stack, staged):
    """As with `| head`: the next progress line finds the pipe closed."""
    burst = ("--staged", str(staged), "--burst", "2", "--wait", str(2 * SECONDS))
    with no_events(stack), started(stack, *burst) as command:
        assert command.stdout
        assert command.stderr
        command.stdout.close()
        assert command.wait(SECONDS) == 1
        assert command.stderr.read() == ""


def test_interrupt_ends_the_run_with_the_figures_so_far(stack, staged, tmp_path):
    out = tmp_path / "r.json"
    before = set(objects(stack, "inbox/"))
    stream = ("--staged", str(staged), "--rate", "4", "--duration", "600", "--out", str(out))
    with started(stack, *stream) as command:
        wait_until(lambda: len(set(objects(stack, "inbox/")) - before) >= 8, SECONDS)
        command.send_signal(signal.SIGINT)
        printed, complaint = command.communicate(timeout=SECONDS)
    assert command.returncode == 130, complaint
    *notes, last = complaint.splitlines()
    assert last == "send_pictures: interrupted; the workflow goes on with what was sent"
    assert set(notes) <= {"Interrupted: the uploads under way end first."}
    assert "Outcomes" in printed
    report = json.loads(out.read_text())
    assert report["interrupted"]
    there = objects(stack, f"inbox/{report['run']}/")
    assert report["pictures"] - report["not_sent"] == len(there) >= 8
    assert report["not_sent"] > 0
    assert report["upload_failed"] == 0
    assert not list(tmp_path.glob("*.new"))
