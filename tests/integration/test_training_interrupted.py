"""A training that is killed in the middle goes on, and ends in the very same weights."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

import pytest

from common.settings import ROOT, default_bucket
from tests.integration.laptop_aws import LaptopAws, wait_until

SCRIPT = ROOT / "training" / "container" / "train.py"
ENDPOINT = "interrupted"
BUCKET = default_bucket("000000000000", "us-east-1")
SECONDS = 300  # a bound for a slow machine; each run takes seconds on two idle cores
# A model of no use. What is tested: does it go on, with nothing lost and nothing done twice?
LEARNED = {"epochs": "60", "members": "2", "width": "8", "batch-size": "8"}
EVERY = {"checkpoint-every": "0.1"}


def environment() -> dict[str, str]:
    """Return the environment without what would make a script of another number of threads."""
    return {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawings")
    done = subprocess.run(
        [sys.executable, "-m", "training.stage_data", "synthetic", "--count", "24", "--size", "32", "--no-upload"],
        cwd=folder,
        env={**environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "data" / "staged"


def command(staged: Path, model: Path, *more: str) -> list[str]:
    flags = [word for name, value in LEARNED.items() for word in (f"--{name}", value)]
    return [
        sys.executable,
        str(SCRIPT),
        "--train",
        f"{staged}/train",
        "--validation",
        f"{staged}/validation",
        "--model-dir",
        str(model),
        *flags,
        *more,
    ]


@pytest.fixture(scope="module")
def uninterrupted(staged, tmp_path_factory):
    """The weights' checksum of a run that nothing interrupted, and that kept no checkpoints."""
    model = tmp_path_factory.mktemp("uninterrupted")
    subprocess.run(command(staged, model), env=environment(), check=True, capture_output=True, timeout=SECONDS)
    return hashlib.sha256((model / "model.pt").read_bytes()).hexdigest()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_a_killed_training_goes_on_to_the_same_weights(staged, uninterrupted, tmp_path, number, status):
    model, kept = tmp_path / "model", tmp_path / "checkpoints"
    log = tmp_path / "log.txt"
    words = command(staged, model, "--checkpoint-dir", str(kept), "--checkpoint-every", "0.1")

    def run(end):
        """Run the training, `end` it some way, and return its status and what it printed."""
        with log.open("w") as output:
            process = subprocess.Popen(words, env=environment(), stdout=output, stderr=subprocess.STDOUT)
            try:
                end(process)
                return process.wait(SECONDS), log.read_text()
            finally:
                process.kill()
                process.wait()

    def kill_later(process):
        """End it once it has saved something new, and has come further than that."""
        before = saved()
        wait_until(lambda: saved() not in ("", before), SECONDS)
        lines = log.read_text().count("validation:loss")
        wait_until(lambda: log.read_text().count("validation:loss") > lines, SECONDS)
        process.send_signal(number)

    def saved():
        file = kept / "checkpoint.pt"
        return str(file.stat().st_mtime_ns) if file.exists() else ""

    # WHEN it is ended twice in the middle, and then left alone
    for _ in range(2):
        ended, printed = run(kill_later)
        assert ended == status, printed
        assert not (model / "model.pt").exists()
    ended, printed = run(lambda _: None)
    # THEN it has gone on, to the same weights to the byte, and has left no checkpoint
    assert ended == 0, printed
    assert f"checkpoint: going on from {kept}/checkpoint.pt" in printed
    assert hashlib.sha256((model / "model.pt").read_bytes()).hexdigest() == uninterrupted
    assert list(kept.iterdir()) == []


def test_a_training_with_other_arguments_starts_anew(staged, tmp_path):
    more = ("--checkpoint-dir", f"{tmp_path}/kept", "--checkpoint-every", "0.01")
    process = subprocess.Popen(
        command(staged, tmp_path / "model", *more),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until((tmp_path / "kept" / "checkpoint.pt").exists, SECONDS)
    finally:
        process.kill()
        process.wait()
    done = subprocess.run(
        command(staged, tmp_path / "model", *more, "--epochs", "2"),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is of a run with other arguments" in done.stdout
    assert "going on from" not in done.stdout


@pytest.mark.parity("training-spot", "training-checkpoints")
def test_a_spot_job_that_is_killed_ends_in_the_same_weights(laptop_aws: LaptopAws, uninterrupted, tmp_path):
    s3 = laptop_aws.client("s3")
    project = {**environment(), **laptop_aws.env, "PYTHONPATH": str(ROOT)}

    def run(module, *arguments):
        done = subprocess.run(
            [sys.executable, "-m", f"training.{module}", *arguments],
            cwd=tmp_path,
            env=project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def checkpoints():
        pages = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"checkpoints/{ENDPOINT}-")
        return [entry["Key"] for entry in pages.get("Contents", [])]

    # GIVEN the same pictures in S3, and the command with --spot on them
    run("stage_data", "synthetic", "--count", "24", "--size", "32")
    values = [f"{name}={value}" for name, value in (LEARNED | EVERY).items()]
    words = ["--endpoint", ENDPOINT, "--spot", "--max-run", "600", "--hyperparameters", *values]
    log = tmp_path / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "training.create_endpoint", *words],
            cwd=tmp_path,
            env=project,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            # WHEN the instance is taken away without notice, once a checkpoint is in S3
            wait_until(lambda: any(key.endswith("/checkpoint.pt") for key in checkpoints()))
            interrupt(laptop_aws, ENDPOINT)
            assert process.wait(SECONDS) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()
    # THEN the report tells of it, and the model is the same to the byte
    report = json.loads((tmp_path / "reports" / "create_endpoint" / "endpoint.json").read_text())
    training = report["training"]
    assert (training["spot"], training["interruptions"]) == (True, 1)
    assert training["billable_seconds"] < training["seconds"]
    assert re.search(r"spot instances saved \d+%, with 1", log.read_text())
    key = report["model_data"].removeprefix(f"s3://{BUCKET}/")
    packed = io.BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    with tarfile.open(fileobj=packed) as archive:
        weights = archive.extractfile("model.pt")
        assert weights is not None
        assert hashlib.sha256(weights.read()).hexdigest() == uninterrupted
    printed = laptop_aws.state / "training-jobs" / training["job"] / "log.txt"
    assert "checkpoint: going on from " in printed.read_text()
    # AND cleanup takes the checkpoints along
    assert checkpoints()
    run("cleanup", "--endpoint", ENDPOINT, "--yes")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        checkpoints()


def interrupt(aws: LaptopAws, name: str) -> None:
    """Have the next look at a job of this name kill it, as if the instance had gone."""
    request = urllib.request.Request(  # noqa: S310  the laptop's AWS
        f"{aws.endpoint_url}/_local/interruptions/{name}",
        b'{"notice_seconds": 0, "away_seconds": 0.1}',
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  the laptop's AWS
        assert json.load(answer)["times"] == 1
