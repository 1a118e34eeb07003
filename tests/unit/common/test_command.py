"""Every command ends the same way: its message, its exit status, and no traceback."""

import importlib
import signal
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, NoRegionError

from common import settings
from common.command import interrupt_on_termination, run_command
from common.errors import ExpectedError

DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListBuckets")


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3)])
def test_command_that_ends_returns_its_status(returned, status):
    assert run_command("evaluate", lambda: returned) == status


@pytest.mark.parametrize("error", [ExpectedError("why"), DENIED, NoRegionError(), FileNotFoundError("why")])
def test_expected_error_ends_the_command_with_its_message(error, capsys):
    def work():
        raise error

    assert run_command("evaluate", work) == 1
    assert capsys.readouterr().err == f"evaluate: {error}\n"


def test_defect_keeps_its_traceback():
    def work():
        raise LookupError("defect")

    with pytest.raises(LookupError):
        run_command("evaluate", work)


def test_missing_package_is_named_with_the_command_that_installs_it(capsys):
    def work():
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    assert run_command("monitor", work) == 1
    assert capsys.readouterr().err == "monitor: the package torch is not installed: run `make setup`.\n"


def test_missing_module_of_the_project_keeps_its_traceback():
    def work():
        raise ModuleNotFoundError("No module named 'common.nothing'", name="common.nothing")

    with pytest.raises(ModuleNotFoundError):
        run_command("monitor", work)


@pytest.mark.parametrize(
    ("interrupted", "message"),
    [
        ("", "evaluate: interrupted\n"),
        ("nothing was written", "evaluate: interrupted; nothing was written\n"),
        (lambda: "2 of 3 were written", "evaluate: interrupted; 2 of 3 were written\n"),
    ],
)
def test_ctrl_c_states_what_is_left_and_returns_130(interrupted, message, capsys):
    assert run_command("evaluate", Mock(side_effect=KeyboardInterrupt), interrupted) == 130
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_interrupts_once(number):
    former = {each: signal.signal(each, signal.SIG_DFL) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        interrupt_on_termination()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


@pytest.mark.parametrize(
    "module",
    [
        "operations.monitor",
        "operations.restart_failed",
        "operations.review",
        "operations.send_pictures",
        "training.cleanup",
        "training.create_endpoint",
        "training.evaluate",
    ],
)
def test_damaged_samconfig_ends_a_command_with_a_message(module, tmp_path, monkeypatch, capsys):
    damaged = tmp_path / "samconfig.toml"
    damaged.write_text("[default")
    monkeypatch.setattr(settings, "SAMCONFIG", damaged)
    settings.project.cache_clear()
    try:
        assert importlib.import_module(module).main([]) == 1
    finally:
        settings.project.cache_clear()
    assert f"{damaged} is not valid TOML" in capsys.readouterr().err
