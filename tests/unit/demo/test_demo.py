"""The demo command: its check of a run, its report, and its cleanup."""

import io
import json

import pytest
from rich.console import Console

from demo import __main__ as demo
from demo import session
from demo.outcomes import PictureOutcome
from demo.page import threshold_reason
from tests.unit.demo.demo_runs import make_summary
from tests.unit.demo.test_outcomes import PICTURES


def report(**changes: object) -> dict:
    """Return the summary of a run without failures."""
    executions = {"started": 40, "accepted": 14, "review": 26, "failed": 0}
    return make_summary(executions=executions, failures=[]) | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"test": {"bicycle": 5}}}, "40 executions for 5 pictures"),
        (
            {"executions": {"started": 40, "failed": 1}, "failures": ["a.png: NotAPictureError"]},
            "1 executions failed: a.png: NotAPictureError",
        ),
        ({"accepted_below_threshold": 1}, "1 answers accepted below the threshold"),
        ({"resources_left": 2}, "2 resources left"),
        ({"monitor": {"lines": 9, "damaged": 2, "threshold": 0.8123}}, "2 of 9 captured calls are damaged"),
        (
            {"monitor": {"damaged": 0, "lines": 9, "threshold": 0.9}},
            r"monitored at a threshold of 0\.9 and deployed with 0\.8123",
        ),
        ({"evaluated_threshold": 0.9}, r"evaluated at a threshold of 0\.9 and deployed with 0\.8123"),
    ],
)
def test_run_with_wrong_figures_is_an_error(changes, message):
    demo.check(report())
    with pytest.raises(demo.RunCheckError, match=message):
        demo.check(report(**changes))


def test_demo_refuses_a_running_laptops_aws(monkeypatch, capsys, tmp_path):
    class Running:
        url = "http://127.0.0.1:4566"

    monkeypatch.setattr(session, "find_running", lambda _: Running)
    monkeypatch.setattr(demo, "REPORT", tmp_path)
    assert demo.main([]) == 1
    assert "python -m local stop" in capsys.readouterr().err


def test_table_escapes_markup():
    whole = report(data={"test": {"truck [red]": 4}})
    whole["monitor"]["drift_verdict"] = "As [bold]they[/bold] were [/]."
    console = Console(file=io.StringIO(), width=100)
    demo.show(whole, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "4 truck [red]" in printed
    assert "As [bold]they[/bold] were [/]." in printed


def test_failed_run_leaves_no_older_report(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "REPORT", tmp_path)
    for name in ("summary.json", "index.html", "page-phone-light.png", "monitor/monitor.html", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("older")

    def fail(*_):
        raise session.CommandFailedError("no")

    monkeypatch.setattr(session, "find_running", lambda _: None)
    monkeypatch.setattr(session.LaptopSession, "run", fail)
    assert demo.main([]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("given", "left"), [([], []), (["--keep"], ["stop"])])
def test_laptops_aws_is_stopped_unless_it_is_kept(monkeypatch, tmp_path, capsys, given, left):
    ran: list[str] = []
    monkeypatch.setattr(demo, "REPORT", tmp_path)
    monkeypatch.setattr(session, "find_running", lambda _: "stop" if "start" in ran else None)
    monkeypatch.setattr(session.LaptopSession, "run", lambda _, *command, **__: ran.append(command[3]))
    monkeypatch.setattr(demo, "run_stages", lambda *_: report())
    monkeypatch.setattr(demo, "clean_up", lambda _: 0)
    monkeypatch.setattr(demo, "write_demo_page", lambda *_: tmp_path / "index.html")
    assert demo.main(given) == 0
    assert ran == [c for c in ("start", "stop") if c not in left]
    assert json.loads((tmp_path / "summary.json").read_text())["executions"]["started"] == 40
    printed = capsys.readouterr().out
    assert "No drift" in printed
    assert f"{tmp_path.as_uri()}/index.html" in printed


def test_demo_deploys_with_the_recommended_threshold(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    parameters = {"EndpointName": "e", "ConfidenceThreshold": "0.8123"}
    files = {
        "data/staged/manifest.json": {"counts": {"test": {"bicycle": 1}}, "source": {"kind": "synthetic"}},
        "reports/create_endpoint/endpoint.json": {
            "training": {"seconds": 1, "validation_accuracy": 0.9},
            "recommendation": {"threshold": 0.8123, "max_error": 0.01, "met": True},
            "deploy_parameters": parameters,
            "endpoint": "e",
            "bucket": "b",
        },
        "reports/evaluate/evaluation.json": {"threshold": 0.8123, "expected_calibration_error": 0.02},
        "reports/demo/monitor/monitor.json": {
            **dict.fromkeys([*demo.MONITORED, "more"], 0.8123),
            "drift": {"drifted": False, "verdict": "none", "features": []},
        },
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(session.LaptopSession, "run", lambda _, *command, **__: ran.append(command))
    monkeypatch.setattr(demo, "run_workflow", lambda *_: (PICTURES, []))
    waited: list[tuple[object, ...]] = []
    monkeypatch.setattr(demo, "wait_for_captures", lambda _, *given: waited.append(given))
    laptop = session.LaptopSession(0, Console(file=io.StringIO()), tmp_path)

    report = demo.run_stages(laptop, "synthetic")

    overrides = ("--parameter-overrides", "EndpointName=e", "ConfidenceThreshold=0.8123")
    assert ("sam", "deploy", "--config-env", "local", *overrides) in ran
    assert (report["threshold"], report["evaluated_threshold"]) == (0.8123, 0.8123)
    assert threshold_reason(report) == "recommended: at most 1.0% errors"
    report["recommendation"] |= {"met": False, "error_bound": 0.025}
    assert threshold_reason(report) == "recommended: at most 2.5% errors"
    assert threshold_reason(report | {"recommendation": None}) == "samconfig.toml"
    # Three pictures were classified, and there was a smoke test.
    assert waited == [("b", "captures/e/", 4, demo.SECONDS_TO_CAPTURE)]
    modules = [command[2] for command in ran if command[1:2] == ("-m",)]
    assert modules.index("operations.monitor") < modules.index("training.evaluate")
    assert set(report["monitor"]) == {*demo.MONITORED, "drifted", "drift_verdict"}
    assert [PictureOutcome(**picture) for picture in report["pictures"]] == PICTURES
