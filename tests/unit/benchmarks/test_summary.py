"""The summary of all reports, and its errors."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.summary import PARTS, ReportError, summarise
from common.waiting import make_console

IMPORTS: dict[str, Any] = {
    "machine": "x86_64, 2 cores",
    "python": "3.11.7",
    "runs": 9,
    "functions": {
        "serialize_image_data": {
            "boto3_and_client_s": 0.2,
            "handler_s": 0.3,
            "ratio": 1.5,
            "ratio_min": 1.4,
            "ratio_max": 1.6,
        }
    },
}


def test_summary_contains_the_reports_and_names_missing_ones(tmp_path: Path, capsys):
    (tmp_path / "imports.json").write_text(json.dumps(IMPORTS))
    os.utime(tmp_path / "imports.json", (0, 0))
    summarise(tmp_path, ["imports"], make_console())
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["imports"] == IMPORTS
    assert summary["written"] == {"imports": "1970-01-01T00:00:00Z"}  # an old one is seen as such
    assert summary["not_measured"] == [name for name in PARTS if name != "imports"]
    shown = capsys.readouterr().out
    assert "1.40 to 1.60" in shown
    assert "Not measured here: serving (`python -m benchmarks.serving`)" in shown


def test_folder_without_reports_is_an_error(tmp_path: Path):
    with pytest.raises(ReportError, match="run `make bench`"):
        summarise(tmp_path, [], make_console())
    assert not (tmp_path / "summary.json").exists()


def test_missing_required_report_is_an_error(tmp_path: Path):
    (tmp_path / "imports.json").write_text(json.dumps(IMPORTS))
    with pytest.raises(ReportError, match=r"serving.json is missing: run `python -m benchmarks"):
        summarise(tmp_path, ["serving"], make_console())
    assert not (tmp_path / "summary.json").exists()


def test_truncated_report_is_an_error(tmp_path: Path):
    (tmp_path / "training.json").write_text('{"accuracy": ')
    with pytest.raises(ReportError, match=r"training.json is not JSON .*: delete it"):
        summarise(tmp_path, [], make_console())


@pytest.mark.parametrize("report", [{"runs": 9}, [], {**IMPORTS, "functions": []}])
def test_report_of_an_older_version_is_an_error_with_its_command(tmp_path: Path, report: Any):
    (tmp_path / "imports.json").write_text(json.dumps(report))
    with pytest.raises(ReportError, match=r"imports\.json cannot be shown \(.*run `python -m benchmarks.import_time`"):
        summarise(tmp_path, [], make_console())
