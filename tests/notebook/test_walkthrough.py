"""notebooks/walkthrough.ipynb, executed from start to end on a separate laptop's AWS."""

import json
import os
import shutil
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
from tests.integration.laptop_aws import free_port
from tests.notebook.recorded_calls import Recorded, read_calls, refused

COUNT, EPOCHS, SENT = 60, 8, 6  # pictures per class, epochs, pictures sent: few, to save time
TEST_PICTURES = 2 * round(COUNT * 0.15)  # --test-share of stage_data, of two classes
CELL_SECONDS = 300
NOTEBOOK = "notebooks/walkthrough.ipynb"
EXECUTED = ROOT / "reports" / "notebook" / "walkthrough.ipynb"  # kept to look into failures


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """A copy of the project, with separate pictures, reports, builds and laptop's AWS."""
    copy = tmp_path_factory.mktemp("walkthrough") / "project"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():  # a deleted file is still listed
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    yield copy
    local(copy, "stop")  # does nothing once the notebook has stopped it


def local(project: Path, command: str) -> int:
    """Run `python -m local`; return its exit status."""
    return subprocess.run([sys.executable, "-m", "local", command], cwd=project, check=False).returncode


@pytest.fixture(scope="module")
def executed(project) -> Any:
    """The notebook with its outputs, without AWS credentials."""
    caller = {k: v for k, v in os.environ.items() if k not in UNSET and not k.startswith("AWS_")}
    environment = caller | {
        "PORT": str(free_port()),
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
    """The outputs of each code cell, as one text."""
    return {
        cell.id: "".join(output.get("text", "") + json.dumps(output.get("data", {})) for output in cell.outputs)
        for cell in executed.cells
        if cell.cell_type == "code"
    }


@pytest.fixture(scope="module")
def recorded(executed, project) -> list[Recorded]:
    return read_calls(project / "calls.jsonl")


def test_every_cell_ran_without_a_warning_or_a_secret(executed, cells):
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    warnings = ("Traceback", "WARNING", "Warning:")
    secrets = ("SECRET_ACCESS_KEY", "AKIA", "SESSION_TOKEN", "Signature=")
    for name, text in cells.items():
        for word in (*warnings, *secrets):
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


def test_endpoint_names_its_classes(cells):
    assert 'labels\\": [\\"bicycle\\", \\"motorcycle\\"]' in cells["ask"].replace('\\\\"', '\\"')


def test_every_sent_picture_has_an_outcome(project, cells):
    sent = json.loads((project / "reports/walkthrough/sent.json").read_text())
    assert sent["pictures"] == SENT
    assert sent["accepted"] + sent["review"] == SENT
    assert str(sent["review"]) in cells["review"]


def test_monitoring_report_is_without_the_evaluation(project):
    monitor = json.loads((project / "reports/monitor/monitor.json").read_text())
    others = 2  # create_endpoint's smoke test, and the call in the cell "ask"
    assert monitor["predictions"] == SENT + others
    assert monitor["damaged"] == 0
    evaluation = json.loads((project / "reports/evaluate/evaluation.json").read_text())
    assert evaluation["pictures"] == TEST_PICTURES


def test_notebook_leaves_no_resource(cells, project):
    assert "Nothing to delete" in cells["left"]
    assert "is stopped" in cells["left"]
    assert local(project, "status") != 0


def test_deployers_policy_allows_every_call(recorded):
    services = {call.service for call, _ in recorded}
    assert {"s3", "sagemaker", "iam", "cloudformation", "stepfunctions", "lambda"} <= services
    assert not {refusal for one in recorded for refusal in refused(one)}
