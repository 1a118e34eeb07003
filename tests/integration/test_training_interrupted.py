"""An interrupted training resumes from its checkpoint, and ends with the same weights."""

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.settings import ROOT, default_bucket
from tests.integration.laptop_aws import LaptopAws, wait_until

SCRIPT = ROOT / "training" / "container" / "train.py"
ENDPOINT = "interrupted"
BUCKET = default_bucket("000000000000", "us-east-1")
SECONDS = 300  # a bound for a slow machine; each run takes seconds on two idle cores
LEARNED = {"epochs": "60", "members": "2", "width": "8", "batch-size": "8"}
EVERY = {"checkpoint-every": "0.1"}


def environment(**more: str) -> dict[str, str]:
    """Return the environment with `more`, without OMP_NUM_THREADS, which changes the weights."""
    return {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | more


def run(words: Sequence[str | Path], folder: Path = ROOT, **more: str) -> str:
    """Run a command that has to succeed, and return its output."""
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@contextmanager
def started(
    words: Sequence[str | Path], log: Path, folder: Path = ROOT, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the background with its output in `log`, and end it with the block."""
    with log.open("w") as output:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"training.{name}", *arguments]


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawings")
    words = module("stage_data", "synthetic", "--count", "24", "--size", "32", "--no-upload")
    run(words, folder, PYTHONPATH=str(ROOT))
    return folder / "data" / "staged"


def command(staged: Path, model: Path, *more: str) -> list[str]:
    flags = [word for name, value in LEARNED.items() for word in (f"--{name}", value)]
    folders = ["--train", f"{staged}/train", "--validation", f"{staged}/validation", "--model-dir", str(model)]
    return [sys.executable, str(SCRIPT), *folders, *flags, *more]


@pytest.fixture(scope="module")
def uninterrupted(staged, tmp_path_factory):
    """The checksum of the weights of a run without interruptions and checkpoints."""
    model = tmp_path_factory.mktemp("uninterrupted")
    run(command(staged, model))
    return hashlib.sha256((model / "model.pt").read_bytes()).hexdigest()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_killed_training_resumes_to_the_same_weights(staged, uninterrupted, tmp_path, number, status):
    model, kept = tmp_path / "model", tmp_path / "checkpoints"
    log = tmp_path / "log.txt"
    words = command(staged, model, "--checkpoint-dir", str(kept), "--checkpoint-every", "0.1")

    def train(interrupt):
        """Run the training, call `interrupt` with it, and return its status and output."""
        with started(words, log) as process:
            interrupt(process)
            return process.wait(SECONDS), log.read_text()

    def kill_later(process):
        """End the training after a new checkpoint and another line of metrics."""
        before = saved()
        wait_until(lambda: saved() not in ("", before), SECONDS)
        lines = log.read_text().count("validation:loss")
        wait_until(lambda: log.read_text().count("validation:loss") > lines, SECONDS)
        process.send_signal(number)

    def saved():
        file = kept / "checkpoint.pt"
        return str(file.stat().st_mtime_ns) if file.exists() else ""

    for _ in range(2):
        status_of_run, printed = train(kill_later)
        assert status_of_run == status, printed
        assert not (model / "model.pt").exists()
    status_of_run, printed = train(lambda _: None)
    assert status_of_run == 0, printed
    assert f"checkpoint: going on from {kept}/checkpoint.pt" in printed
    assert hashlib.sha256((model / "model.pt").read_bytes()).hexdigest() == uninterrupted
    assert list(kept.iterdir()) == []


def test_training_with_other_arguments_ignores_the_checkpoint(staged, tmp_path):
    more = ("--checkpoint-dir", f"{tmp_path}/kept", "--checkpoint-every", "0.01")
    with started(command(staged, tmp_path / "model", *more), tmp_path / "log.txt"):
        wait_until((tmp_path / "kept" / "checkpoint.pt").exists, SECONDS)
    printed = run(command(staged, tmp_path / "model", *more, "--epochs", "2"))
    assert "is of a run with other arguments" in printed
    assert "going on from" not in printed


@pytest.mark.parity("training-spot", "training-checkpoints")
def test_interrupted_spot_job_ends_with_the_same_weights(laptop_aws: LaptopAws, uninterrupted, tmp_path):
    s3 = laptop_aws.client("s3")
    project = {**laptop_aws.env, "PYTHONPATH": str(ROOT)}

    def checkpoints():
        pages = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"checkpoints/{ENDPOINT}-")
        return [entry["Key"] for entry in pages.get("Contents", [])]

    run(module("stage_data", "synthetic", "--count", "24", "--size", "32"), tmp_path, **project)
    values = [f"{name}={value}" for name, value in (LEARNED | EVERY).items()]
    words = ["--endpoint", ENDPOINT, "--spot", "--max-run", "600", "--hyperparameters", *values]
    log = tmp_path / "log.txt"
    with started(module("create_endpoint", *words), log, tmp_path, **project) as process:
        # The instance is interrupted without notice once a checkpoint is in S3.
        wait_until(lambda: any(key.endswith("/checkpoint.pt") for key in checkpoints()))
        interrupt(laptop_aws, ENDPOINT)
        assert process.wait(SECONDS) == 0, log.read_text()
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
    assert checkpoints()
    run(module("cleanup", "--endpoint", ENDPOINT, "--yes"), tmp_path, **project)
    with pytest.raises(s3.exceptions.NoSuchBucket):
        checkpoints()


def interrupt(aws: LaptopAws, name: str) -> None:
    """Interrupt the instance of the job of this name."""
    request = urllib.request.Request(  # noqa: S310  the laptop's AWS
        f"{aws.endpoint_url}/_local/interruptions/{name}",
        b'{"notice_seconds": 0, "away_seconds": 0.1}',
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  the laptop's AWS
        assert json.load(answer)["times"] == 1
