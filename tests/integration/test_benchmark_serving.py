"""The serving benchmark on a small model, without the servers from the package index."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.serving import __main__ as serving
from benchmarks.serving import laptop
from benchmarks.serving.containers import ContainerServerError, container_server
from benchmarks.serving.subjects import SubjectError
from common.command import INTERRUPTED
from common.settings import ROOT
from common.waiting import make_console
from local import control
from local.errors import NotRunningError
from tests.integration.laptop_aws import wait_until
from training.container.picture_model.serving_code import copy_serving_code


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The benchmark sets this process to one thread, and its handlers of signals."""
    import torch

    threads = torch.get_num_threads()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    torch.set_num_threads(threads)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder as train.py writes it, with untrained weights."""
    from benchmarks.hostile_pictures.model import write_untrained_model

    folder = tmp_path / "model"
    folder.mkdir()
    write_untrained_model(folder)
    copy_serving_code(folder / "code")
    return folder


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A staged folder with four test pictures."""
    folder = tmp_path / "staged"
    (folder / "test" / "bicycle").mkdir(parents=True)
    for number in range(4):
        picture = Image.effect_noise((32, 32), 60 + number).convert("RGB")
        picture.save(folder / "test" / "bicycle" / f"{number}.png")
    (folder / "manifest.json").write_text(json.dumps({"source": {"kind": "synthetic"}}))
    return folder


def test_benchmark_compares_and_times_all_subjects(model: Path, staged: Path, tmp_path: Path, monkeypatch, capsys):
    report = tmp_path / "serving.json"
    monkeypatch.setattr(serving, "REPORT", report)
    monkeypatch.setattr(serving, "WORK", tmp_path / "work")
    monkeypatch.setattr(serving, "REQUESTS", {1: 8, 8: 16})
    monkeypatch.setattr(serving, "WARM_UP_REQUESTS", 8)
    options = ["--repeats", "2", "--endpoints", "2", "--cores", "1024", "--no-containers"]
    status = serving.main(["--model", str(model), "--staged", str(staged), *options])
    assert status == 0, capsys.readouterr().err
    found = json.loads(report.read_text())
    names = ["bare", "bare_one_look", "bare_traced", "invocations", "invoke_endpoint", "invoke_endpoint_boto3"]
    assert list(found["subjects"]) == names
    assert found["pictures"] == 4
    for name in names:
        for measured in found["subjects"][name]["clients"].values():
            assert 0 < measured["ms"]["q1"] <= measured["ms"]["median"] <= measured["ms"]["q3"]
            assert measured["per_s"]["median"] > 0
    assert len(found["ratios"]) == 3
    assert all(ratio["median"] > 0 for ratio in found["ratios"].values())
    assert found["cores"] == (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    assert 0 < found["first_answer_s"]["min"] <= found["first_answer_s"]["max"] < 60
    assert "laptop endpoint, /invocations" in capsys.readouterr().out


def test_staged_folder_without_test_pictures_is_an_error(model: Path, tmp_path: Path, monkeypatch, capsys):
    report = tmp_path / "serving.json"
    report.write_text("the figures of before")
    monkeypatch.setattr(serving, "REPORT", report)
    assert serving.main(["--model", str(model), "--staged", str(tmp_path), "--cores", "1024"]) == 1
    assert "holds no PNG pictures: stage some" in capsys.readouterr().err
    assert report.read_text() == "the figures of before"


PROGRAM = """
import pathlib, sys
from benchmarks.serving import __main__ as serving
serving.REPORT, serving.WORK = pathlib.Path("serving.json"), pathlib.Path("work").resolve()
sys.exit(serving.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_laptops_aws_too(model: Path, staged: Path, tmp_path: Path, number: signal.Signals) -> None:
    state = tmp_path / "work" / "serving" / "laptop-aws"
    options = ["--model", str(model), "--staged", str(staged), "--cores", "1024", "--no-containers"]
    command = [sys.executable, "-c", PROGRAM, *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (tmp_path / "log.txt").open("wb") as log:
        benchmark = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=environment)
    try:
        wait_until(lambda: control.find_running(state) is not None, 60)
        benchmark.send_signal(number)
        assert benchmark.wait(60) == INTERRUPTED, (tmp_path / "log.txt").read_text()
        assert control.find_running(state) is None
    finally:
        benchmark.kill()
        benchmark.wait()
        with contextlib.suppress(NotRunningError):
            control.stop(state)


def test_unusable_state_folder_of_the_laptops_aws_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    endpoint = laptop.laptop_endpoint(tmp_path, b"", tmp_path / "state", 1, make_console())
    with pytest.raises(SubjectError, match=r"cannot be used \(File exists\)"), endpoint:
        pytest.fail("it has started")


def test_error_is_reported_after_the_laptops_aws_has_ended(tmp_path: Path, monkeypatch) -> None:
    state = tmp_path / "state"

    def fail(*_: object) -> None:
        control.stop(state)
        raise SubjectError("the bucket is gone")

    monkeypatch.setattr(laptop, "_create_config", fail)
    endpoint = laptop.laptop_endpoint(tmp_path, b"", state, 1, make_console())
    with pytest.raises(SubjectError, match="the bucket is gone"), endpoint:
        pytest.fail("it serves")


def test_server_has_a_short_folder_for_its_sockets_until_it_ends(model: Path, tmp_path: Path) -> None:
    """A UNIX socket's path may have 103 bytes on macOS, 107 on Linux."""
    python, folder = tmp_path / "python", tmp_path / ("deep" * 20)
    python.write_text('#!/bin/sh\ntest -d "$TEMP" && printf %s "$TEMP" > "$6/temporary.txt"\n')
    python.chmod(0o755)
    with (
        pytest.raises(ContainerServerError, match="does not come up"),
        container_server("torchserve", python, model, folder, b""),
    ):
        pytest.fail("it has come up")
    temporary = (folder / "temporary.txt").read_text()
    assert len(f"{temporary}/.ts.sock.9000") <= 60
    assert not Path(temporary).exists()
