import json
import os
from pathlib import Path

import pytest

from local import control
from local.__main__ import main
from local.address import client_environment
from local.errors import AlreadyRunningError, PortInUseError


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_start_with_invalid_port_fails(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["start", "--port", port])
    assert exited.value.code == 2
    assert f"{port} is not a port number from 1 to 65535" in capsys.readouterr().err


def test_status_without_server_names_the_start_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--state-dir", str(tmp_path)]) == 1
    assert "Start it with: python -m local start" in capsys.readouterr().out


def test_env_prints_unset_and_one_export_per_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "--port", "4599", "--state-dir", str(tmp_path)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == ("unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:4599" in lines
    assert len(lines) == len(client_environment(4599))
    assert all(line.startswith("export ") for line in lines)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "127.0.0.1,localhost"),
        ("intranet, 127.0.0.1", "127.0.0.1,localhost,intranet"),
        ("*", "*"),
    ],
)
def test_no_proxy_has_the_loopback_and_the_callers_hosts(
    given: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", given)
    environment = client_environment(4599)
    assert (environment["NO_PROXY"], environment["no_proxy"]) == (expected, expected)


def test_find_running_without_lock_ignores_the_record(tmp_path: Path) -> None:
    record = {"pid": os.getpid(), "port": 4599, "state": str(tmp_path)}
    (tmp_path / "server.json").write_text(json.dumps(record))
    assert control.find_running(tmp_path) is None


def test_recorded_twice_for_one_state_folder_fails(tmp_path: Path) -> None:
    with control.recorded(4599, tmp_path):
        running = control.find_running(tmp_path)
        assert running is not None
        assert (running.pid, running.url) == (os.getpid(), "http://127.0.0.1:4599")
        with pytest.raises(PortInUseError, match="already running"), control.recorded(4600, tmp_path):
            pytest.fail("two servers")
    assert control.find_running(tmp_path) is None
    assert not (tmp_path / "server.json").exists()


def test_stop_command_for_default_state_folder_has_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "DEFAULT_STATE", tmp_path.resolve())
    with (
        control.recorded(4599, tmp_path),
        pytest.raises(AlreadyRunningError, match=r"python -m local stop$"),
    ):
        control.start(4599, tmp_path, fresh=True)


def test_fresh_start_with_running_server_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with control.recorded(4599, tmp_path):
        for port in (4599, 4600):
            with pytest.raises(AlreadyRunningError, match=r"already running at http://127\.0\.0\.1:4599"):
                control.start(port, tmp_path, fresh=True)
        arguments = ["start", "--fresh", "--port", "4599", "--state-dir", str(tmp_path)]
        assert main(arguments) == 1
        message = capsys.readouterr().err
        assert "a fresh one is required" in message
        assert f"python -m local stop --state-dir {tmp_path}\n" in message
        assert main(["start", "--port", "4599", "--state-dir", str(tmp_path)]) == 0
        assert "already running" in capsys.readouterr().out
