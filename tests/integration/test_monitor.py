"""Monitoring with S3, CloudWatch and an endpoint of the laptop's AWS, in several processes."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_parse

from operations.monitor import main
from operations.monitoring import publish, reading
from tests.integration.laptop_aws import ROOT, LaptopAws, unique, wait_until
from tests.integration.sagemaker_requests import CAPTURE, create_endpoint, endpoint_config, get, keys
from tests.unit.operations.captures import drawn, line, named, write, write_hours

REAL = ROOT.parent / "shared/data/data-capture"
METRICS = {"Coverage", "MeanConfidence", "DamagedLines"}


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/data/data-capture")
def test_files_of_sagemaker_are_read_completely(tmp_path, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    names = ["bicycle", "motorcycle"]
    expected = []  # (time, label, confidence)
    for path in REAL.rglob("*.jsonl"):
        for text in path.read_text().splitlines():
            call = json.loads(text)
            answer = json.loads(call["captureData"]["endpointOutput"]["data"])
            expected.append((call["eventMetadata"]["inferenceTime"], names[int(np.argmax(answer))], max(answer)))
    options = ["--captures", str(REAL), "--class-names", ",".join(names), "--baseline", "none"]

    assert main([*options, "--threshold", "0.9", "--out", str(tmp_path)]) == 0

    figures = json.loads((tmp_path / "monitor.json").read_text())
    assert figures["lines"] == figures["predictions"] == len(expected) >= 2
    assert figures["damaged"] == 0
    confidences = [confidence for _, _, confidence in expected]
    assert figures["mean_confidence"] == pytest.approx(np.mean(confidences))
    assert figures["coverage"] == pytest.approx(np.mean(np.array(confidences) >= 0.9))
    assert (figures["first"], figures["last"]) == (min(expected)[0], max(expected)[0])
    for name in names:
        assert figures["classes"].get(name, 0) == sum(label == name for _, label, _ in expected)


@pytest.fixture
def bucket(laptop_aws: LaptopAws, monkeypatch, request) -> str:
    for name, value in laptop_aws.env.items():
        monkeypatch.setenv(name, value)
    name = f"captures-{abs(hash(request.node.name)) % 10**9}"
    laptop_aws.client("s3").create_bucket(Bucket=name)
    return name


def upload(aws: LaptopAws, folder: Path, bucket: str, prefix: str) -> None:
    s3 = aws.client("s3")
    for path in folder.rglob("*.jsonl"):
        s3.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(folder).as_posix()}")


def test_captures_in_s3_read_by_two_processes_give_the_figures_of_the_folder(laptop_aws, bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "TASK_BYTES", 1)  # several tasks
    monkeypatch.setattr(reading, "ALONE_BYTES", 0)  # and processes
    captures = tmp_path / "captures"
    write_hours(captures)
    write(captures, [line(named(bicycle=0.9, motorcycle=0.1))[:900], b"?\n"], name="damaged")
    upload(laptop_aws, captures, bucket, "captures")
    options = ["--threshold", "0.9", "--baseline", "none"]

    for location, out, processes in (
        (f"s3://{bucket}/captures/scones", "s3", "2"),
        (str(captures / "scones"), "folder", "1"),
    ):
        output = ["--out", str(tmp_path / out), "--processes", processes]
        assert main(["--captures", location, *output, *options]) == 0

    found, expected = (json.loads((tmp_path / out / "monitor.json").read_text()) for out in ("s3", "folder"))
    assert found["lines"] == 61
    assert found["damaged"] == 1  # the cut-off line continues to the next line's end
    for same in set(found) - {"captures", "generated"}:
        assert found[same] == expected[same], same


def test_endpoint_without_captures_is_reported_as_nothing_captured(laptop_aws, bucket, tmp_path, capsys):
    own = "scones-unlimited-training-000000000000-us-east-1"
    laptop_aws.client("s3").create_bucket(Bucket=own)

    assert main(["--out", str(tmp_path)]) == 0

    assert f"Nothing has been captured at s3://{own}/captures/" in capsys.readouterr().out


ANSWERS = """
import json

class RefusedError(Exception):
    status_code = 415

def model_fn(model_dir):
    return SHAPE

def input_fn(body, content_type):
    if not body.startswith(bytes([0x89]) + b"PNG"):
        raise RefusedError("only PNG")
    return sum(body) % 1000 / 1000

def predict_fn(share, shape):
    share = round(share, 3)
    answer = [share, round(1 - share, 3)]
    return answer if shape == "list" else {"labels": ["car", "van"], "probabilities": answer}

def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


@pytest.mark.parametrize("shape", ["list", "object"])
def test_report_equals_the_answers_of_the_endpoint(laptop_aws, bucket, tmp_path, capsys, shape):
    name = unique("monitored")
    config = endpoint_config(laptop_aws, unique("model"), ANSWERS.replace("SHAPE", repr(shape)), CAPTURE)
    assert create_endpoint(laptop_aws, name, config)["EndpointStatus"] == "InService"
    runtime = laptop_aws.client("sagemaker-runtime")
    answers = []  # each is [share of car, share of van]
    for number in range(40):
        body = runtime.invoke_endpoint(
            EndpointName=name, Body=drawn(number), ContentType="image/png", Accept="application/json"
        )["Body"].read()
        answer = json.loads(body)
        answers.append(answer["probabilities"] if shape == "object" else answer)
    with pytest.raises(ClientError, match="415"):
        runtime.invoke_endpoint(EndpointName=name, Body=b"GIF89a", ContentType="image/gif")

    def captured() -> int:
        found = keys(laptop_aws, f"captures/{name}/")
        return sum(get(laptop_aws, key).count(b"\n") for key in found)

    wait_until(lambda: captured() == 40)
    options = ["--endpoint", name, "--class-names", "car,van", "--threshold", "0.8"]

    assert main([*options, "--out", str(tmp_path)]) == 0

    figures = json.loads((tmp_path / "monitor.json").read_text())
    assert figures["captures"] == f"{CAPTURE['DestinationS3Uri']}/{name}/"
    assert figures["lines"] == figures["predictions"] == 40
    confidences = [max(answer) for answer in answers]
    assert figures["mean_confidence"] == pytest.approx(np.mean(confidences))
    assert figures["coverage"] == pytest.approx(np.mean([c >= 0.8 for c in confidences]))
    assert figures["classes"] == {
        "car": sum(answer[0] > answer[1] for answer in answers),
        "van": sum(answer[1] > answer[0] for answer in answers),
    }
    lowest = [shown["confidence"] for shown in figures["pictures"]["lowest"]]
    assert lowest == sorted(confidences)[:24]
    assert figures["drift"]["drifted"] is None  # its model brings no baseline
    assert "has no baseline.json" in capsys.readouterr().out


def settled_hour() -> datetime:
    """Return the end of the newest hour whose captures should have arrived."""
    return (datetime.now(UTC) - publish.LATE).replace(minute=0, second=0, microsecond=0)


@pytest.mark.parity("cloudwatch-own-metrics")
def test_newest_complete_hour_is_published_once(laptop_aws, bucket, tmp_path, capsys):
    this_hour = settled_hour()
    captures = tmp_path / "captures"
    write_hours(captures, hours=4, begin=this_hour - timedelta(hours=3))
    options = ["--captures", str(captures), "--baseline-captures", str(captures), "--publish"]
    options += ["--out", str(tmp_path / "out"), "--threshold", "0.905", "--endpoint", "scones"]
    options += ["--stack-name", "monitored"]

    assert main(options) == 0
    assert "Published " in capsys.readouterr().out
    assert main(options) == 0
    assert "already: nothing was added" in capsys.readouterr().out

    coverage = laptop_aws.statistics("monitored", "Coverage", EndpointName="scones")
    figures = json.loads((tmp_path / "out/monitor.json").read_text())
    hour = figures["periods"][2]
    assert hour["start"] == f"{this_hour - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert coverage["Sum"] == pytest.approx(hour["coverage"])
    assert coverage["SampleCount"] == 1
    drift = laptop_aws.statistics("monitored", "DriftDetected", EndpointName="scones")
    assert (drift["Sum"] in (0, 1), drift["SampleCount"]) == (True, 1)
    assert laptop_aws.statistics("monitored", "DriftEffect", EndpointName="scones", Feature="brightness")


@pytest.mark.parity("cloudwatch-own-metrics")
def test_published_drift_sets_the_alarm(laptop_aws, bucket, tmp_path):
    """The template's alarm has one hour of drift too few; the monitor publishes the last one."""
    cloudwatch = laptop_aws.client("cloudwatch")
    template = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]
    alarm = template["DriftAlarm"]["Properties"]
    assert [d["Name"] for d in alarm["Dimensions"]] == ["EndpointName"]
    dimensions = [{"Name": "EndpointName", "Value": "scones"}]
    replaced = {"Namespace": "alarmed", "AlarmActions": [], "OKActions": [], "Dimensions": dimensions}
    cloudwatch.put_metric_alarm(**{**alarm, **replaced, "AlarmName": "drift"})
    this_hour = settled_hour()
    start = this_hour - timedelta(hours=1)
    cloudwatch.put_metric_data(
        Namespace="alarmed",
        MetricData=[
            {
                "MetricName": "DriftDetected",
                "Dimensions": dimensions,
                "Value": 1,
                "Timestamp": start - timedelta(minutes=60 * hour + 1),
            }
            for hour in range(alarm["DatapointsToAlarm"] - 1)
        ],
    )
    usual, other = tmp_path / "usual", tmp_path / "other"
    write_hours(usual, hours=3, each=40, begin=this_hour - timedelta(hours=5))
    write(other, [line(named(car=0.99, van=0.01), drawn(n), start) for n in range(60)], start)
    options = ["--captures", str(other), "--baseline-captures", str(usual), "--publish"]

    def state() -> str:
        [found] = cloudwatch.describe_alarms(AlarmNames=["drift"])["MetricAlarms"]
        return str(found["StateValue"])

    wait_until(lambda: state() == "OK", seconds=30)

    assert main([*options, "--out", str(tmp_path), "--endpoint", "scones", "--stack-name", "alarmed"]) == 0

    wait_until(lambda: state() == "ALARM", seconds=30)


def children_of_session(session: int) -> set[int]:
    """Return the running processes of a session, without the one that began it."""
    pids = {int(path.name) for path in Path("/proc").glob("[0-9]*")}
    return {pid for pid in pids - {session} if runs_in(session, pid)}


def runs_in(session: int, pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        return os.getsid(pid) == session and state != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def start_monitor(tmp_path: Path) -> subprocess.Popen[str]:
    """Start a monitor that reads captures with two processes and writes to tmp_path / "out"."""
    captures = tmp_path / "captures"
    for number in range(12):
        write(captures, [line(named(car=0.9, van=0.1))] * 1_000, name=f"{number}")
    command = [sys.executable, "-m", "operations.monitor", "--captures", str(captures)]
    return subprocess.Popen(
        [*command, "--out", str(tmp_path / "out"), "--baseline", "none", "--processes", "2"],
        cwd=ROOT,
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as on a terminal, a Ctrl-C reaches all of them
    )


@pytest.mark.parametrize("process", [1, 2, 4])
def test_interrupt_leaves_no_process_and_no_report(tmp_path, process):
    """The process that has just started is the resource tracker, the server or the second reader."""
    monitor = start_monitor(tmp_path)

    wait_until(lambda: len(children_of_session(monitor.pid)) >= process, seconds=30)
    os.killpg(monitor.pid, signal.SIGINT)
    _, output = monitor.communicate(timeout=60)

    assert monitor.returncode == 130, output
    assert "monitor: interrupted; nothing was written" in output
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()
    wait_until(lambda: not children_of_session(monitor.pid), seconds=30)


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGKILL])
def test_killed_monitor_ends_its_processes(tmp_path, ended_by):
    monitor = start_monitor(tmp_path)
    children: set[int] = set()

    def both_read() -> bool:
        children.update(children_of_session(monitor.pid))
        return len(children) >= 4  # resource tracker, server, two readers

    try:
        wait_until(both_read, seconds=30)
        monitor.send_signal(ended_by)
        monitor.communicate(timeout=30)  # returns when all processes have closed their output

        assert monitor.returncode == -ended_by
        wait_until(lambda: not children_of_session(monitor.pid), seconds=30)
        assert not (tmp_path / "out").exists()
    finally:
        monitor.kill()
        for pid in filter(lambda pid: runs_in(monitor.pid, pid), children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
