"""notebooks/walkthrough.ipynb, executed from start to end on a laptop's AWS of its own."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from common.settings import ROOT
from local.address import UNSET
from tests.notebook.recorded_calls import Recorded, read_calls, refused

COUNT, EPOCHS, SENT = 60, 8, 6  # pictures per class, passes, pictures sent: small, for time
TEST_PICTURES = 2 * round(COUNT * 0.15)  # --test-share of stage_data, of two classes
CELL_SECONDS = 300
NOTEBOOK = "notebooks/walkthrough.ipynb"
EXECUTED = ROOT / "reports" / "notebook" / "walkthrough.ipynb"  # to look at, above all if it failed


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """A copy of the project: pictures, reports, builds and the laptop's AWS stay apart."""
    copy = tmp_path_factory.mktemp("walkthrough") / "project"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():  # not one that was deleted and is listed still
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    yield copy
    subprocess.run(  # does nothing once the notebook has ended it
        [sys.executable, "-m", "local", "stop"], cwd=copy, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def executed(project) -> Any:
    """The notebook with its outputs, as somebody without AWS credentials gets it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    caller = {k: v for k, v in os.environ.items() if k not in UNSET and not k.startswith("AWS_")}
    environment = caller | {
        "PORT": str(port),
        "COUNT": str(COUNT),
        "EPOCHS": str(EPOCHS),
        "SENT": str(SENT),
        "PLACE": "laptop",
        "PYTHONPATH": str(project / "tests/notebook/recorder"),
        "RECORDED_CALLS": str(project / "calls.jsonl"),
    }
    notebook = nbformat.read(project / NOTEBOOK, nbformat.NO_CONVERT)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(project / "notebooks")}},
    )
    try:
        client.execute(env=environment)
    finally:
        EXECUTED.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, EXECUTED)
    return notebook


@pytest.fixture(scope="module")
def cells(executed) -> dict[str, str]:
    """What each code cell printed and showed, as one text."""
    return {
        cell.id: "".join(output.get("text", "") + json.dumps(output.get("data", {})) for output in cell.outputs)
        for cell in executed.cells
        if cell.cell_type == "code"
    }


@pytest.fixture(scope="module")
def recorded(executed, project) -> list[Recorded]:
    return read_calls(project / "calls.jsonl")


def test_every_cell_ran_and_none_went_wrong(executed, cells):
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for name, text in cells.items():
        for word in ("Traceback", "WARNING", "Warning:"):
            assert word not in text, name


def test_no_cell_shows_a_secret(cells):
    for name, text in cells.items():
        for word in ("SECRET_ACCESS_KEY", "AKIA", "SESSION_TOKEN", "Signature="):
            assert word not in text, name


def test_pictures_are_shown(cells):
    assert cells["look"].count("<img ") == 2 * 8
    assert "bicycle" in cells["look"]
    assert "motorcycle" in cells["look"]
    for name in ("confusion", "coverage", "reliability"):
        assert "image/png" in cells[name]
    for name in ("definition", "path"):
        assert "image/svg+xml" in cells[name]
        assert "Filter Low Confidence" in cells[name].replace("\\n", " ")
    assert "srcdoc=" in cells["monitor-page"]


def test_the_endpoint_names_its_classes(cells):
    assert 'labels\\": [\\"bicycle\\", \\"motorcycle\\"]' in cells["ask"].replace('\\\\"', '\\"')


def test_every_picture_that_was_sent_ended_somewhere(project, cells):
    sent = json.loads((project / "reports/walkthrough/sent.json").read_text())
    assert sent["pictures"] == SENT
    assert sent["accepted"] + sent["review"] == SENT
    # Without those that people have: the queue tells about how many wait.
    assert str(sent["review"]) in cells["review"]


def test_the_report_is_of_what_was_sent_and_not_of_the_evaluation(project):
    monitor = json.loads((project / "reports/monitor/monitor.json").read_text())
    asked = 2  # the test of create_endpoint, and the one by hand
    assert monitor["predictions"] == SENT + asked
    assert monitor["damaged"] == 0
    evaluation = json.loads((project / "reports/evaluate/evaluation.json").read_text())
    assert evaluation["pictures"] == TEST_PICTURES


def test_nothing_is_left(cells, project):
    assert "Nothing to delete" in cells["left"]
    assert "is stopped" in cells["left"]
    status = subprocess.run(
        [sys.executable, "-m", "local", "status"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert status.returncode != 0


def test_the_deployers_policy_allows_every_call(recorded):
    services = {call.service for call, _ in recorded}
    assert {"s3", "sagemaker", "iam", "cloudformation", "stepfunctions", "lambda"} <= services
    assert not {refusal for one in recorded for refusal in refused(one)}
