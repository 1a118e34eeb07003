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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from common.settings import ROOT, default_bucket
from tests.integration.commands import run_command
from tests.integration.laptop_aws import LaptopAws, wait_until

SCRIPT = ROOT / "training" / "container" / "train.py"
ENDPOINT = "interrupted"
BUCKET = default_bucket("000000000000", "us-east-1")
SECONDS = 300  # a bound for a slow machine; each run takes seconds on two idle cores
LEARNED = {"epochs": "60", "members": "2", "width": "8", "batch-size": "8"}
EVERY = {"checkpoint-every": "0.1"}


@pytest.fixture(scope="module", autouse=True)
def _default_threads() -> Iterator[None]:
    """Unset OMP_NUM_THREADS, which changes the weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)
        yield


@contextmanager
def started(
    words: Sequence[str | Path], log: Path, folder: Path = ROOT, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the background with its output in `log`, and end it with the block."""
    with log.open("w") as output:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=os.environ | more,
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
def staged(laptop_aws, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawings")
    words = module("stage_data", "synthetic", "--count", "24", "--size", "32")
    run_command(laptop_aws, *words, folder=folder, PYTHONPATH=str(ROOT))
    return folder / "data" / "staged"


def command(staged: Path, model: Path, *more: str) -> list[str]:
    flags = [word for name, value in LEARNED.items() for word in (f"--{name}", value)]
    folders = ["--train", f"{staged}/train", "--validation", f"{staged}/validation", "--model-dir", str(model)]
    return [sys.executable, str(SCRIPT), *folders, *flags, *more]


@pytest.fixture(scope="module")
def uninterrupted(laptop_aws, staged, tmp_path_factory):
    """The checksum of the weights of a run without interruptions and checkpoints."""
    model = tmp_path_factory.mktemp("uninterrupted")
    run_command(laptop_aws, *command(staged, model))
    return hashlib.sha256((model / "model.pt").read_bytes()).hexdigest()


def test_training_killed_and_terminated_resumes_to_the_same_weights(staged, uninterrupted, tmp_path):
    model, kept = tmp_path / "model", tmp_path / "checkpoints"
    log = tmp_path / "log.txt"
    words = command(staged, model, "--checkpoint-dir", str(kept), "--checkpoint-every", "0.1")

    def train(interrupt):
        """Run the training, call `interrupt` with it, and return its status and output."""
        with started(words, log) as process:
            interrupt(process)
            return process.wait(SECONDS), log.read_text()

    def send_later(number, process):
        """Send a signal to the training after a new checkpoint and another line of metrics."""
        before = saved()
        wait_until(lambda: saved() not in ("", before), SECONDS)
        lines = log.read_text().count("validation:loss")
        wait_until(lambda: log.read_text().count("validation:loss") > lines, SECONDS)
        process.send_signal(number)

    def saved():
        file = kept / "checkpoint.pt"
        return str(file.stat().st_mtime_ns) if file.exists() else ""

    for number, expected_status in [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)]:
        status, printed = train(partial(send_later, number))
        assert status == expected_status, printed
        assert not (model / "model.pt").exists()
    status, printed = train(lambda _: None)
    assert status == 0, printed
    assert f"checkpoint: going on from {kept}/checkpoint.pt" in printed
    assert hashlib.sha256((model / "model.pt").read_bytes()).hexdigest() == uninterrupted
    assert list(kept.iterdir()) == []


def test_training_with_other_arguments_ignores_the_checkpoint(laptop_aws, staged, tmp_path):
    more = ("--checkpoint-dir", f"{tmp_path}/kept", "--checkpoint-every", "0.01")
    with started(command(staged, tmp_path / "model", *more), tmp_path / "log.txt"):
        wait_until((tmp_path / "kept" / "checkpoint.pt").exists, SECONDS)
    printed = run_command(laptop_aws, *command(staged, tmp_path / "model", *more, "--epochs", "2")).stdout
    assert "is of a run with other arguments" in printed
    assert "going on from" not in printed


@pytest.mark.parity("training-spot", "training-checkpoints")
def test_interrupted_spot_job_ends_with_the_same_weights(laptop_aws: LaptopAws, staged, uninterrupted, tmp_path):
    s3 = laptop_aws.client("s3")
    folder = staged.parents[1]
    log = tmp_path / "log.txt"

    def checkpoints():
        pages = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"checkpoints/{ENDPOINT}-")
        return [entry["Key"] for entry in pages.get("Contents", [])]

    values = [f"{name}={value}" for name, value in (LEARNED | EVERY).items()]
    words = ["--endpoint", ENDPOINT, "--spot", "--max-run", "600", "--hyperparameters", *values]
    environment = laptop_aws.env | {"PYTHONPATH": str(ROOT)}
    with started(module("create_endpoint", *words), log, folder, **environment) as process:
        # The instance is interrupted without notice once a checkpoint is in S3.
        wait_until(lambda: any(key.endswith("/checkpoint.pt") for key in checkpoints()))
        interruption = {"notice_seconds": 0, "away_seconds": 0.1}
        assert laptop_aws.control("PUT", f"/_local/interruptions/{ENDPOINT}", interruption)["times"] == 1
        assert process.wait(SECONDS) == 0, log.read_text()
    report = json.loads((folder / "reports" / "create_endpoint" / "endpoint.json").read_text())
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
    run_command(laptop_aws, *module("cleanup", "--endpoint", ENDPOINT, "--yes"), folder=folder, PYTHONPATH=str(ROOT))
    with pytest.raises(s3.exceptions.NoSuchBucket):
        checkpoints()
