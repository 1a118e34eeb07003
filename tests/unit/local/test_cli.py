import json
import os
import subprocess

import pytest

from local import control
from local.__main__ import main
from local.address import UNSET, client_environment
from local.errors import AlreadyRunningError, PortInUseError


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_start_with_invalid_port_fails(port, usage_error):
    assert f"{port} is not a port number from 1 to 65535" in usage_error(main, ["start", "--port", port])


def test_status_without_server_names_the_start_command(tmp_path, capsys):
    assert main(["status", "--state-dir", str(tmp_path)]) == 1
    assert "Start it with: python -m local start" in capsys.readouterr().out


def test_env_output_works_with_eval(tmp_path, capsys, monkeypatch):
    for name in UNSET:
        monkeypatch.setenv(name, "another account")
    assert main(["env", "--port", "4599", "--state-dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    script = 'eval "$1" && env'
    ended = subprocess.run(["sh", "-c", script, "sh", printed], capture_output=True, text=True, check=True)
    shell = dict(line.split("=", 1) for line in ended.stdout.splitlines() if "=" in line)
    assert client_environment(4599).items() <= shell.items()
    assert not set(UNSET) & set(shell)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "127.0.0.1,localhost"),
        ("intranet, 127.0.0.1", "127.0.0.1,localhost,intranet"),
        ("*", "*"),
    ],
)
def test_no_proxy_has_the_loopback_and_the_callers_hosts(given, expected, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", given)
    environment = client_environment(4599)
    assert (environment["NO_PROXY"], environment["no_proxy"]) == (expected, expected)


def test_find_running_without_lock_ignores_the_record(tmp_path):
    record = {"pid": os.getpid(), "port": 4599, "state": str(tmp_path)}
    (tmp_path / "server.json").write_text(json.dumps(record))
    assert control.find_running(tmp_path) is None


def test_recorded_twice_for_one_state_folder_fails(tmp_path):
    with control.recorded(4599, tmp_path):
        running = control.find_running(tmp_path)
        assert running is not None
        assert (running.pid, running.url) == (os.getpid(), "http://127.0.0.1:4599")
        with pytest.raises(PortInUseError, match="already running"), control.recorded(4600, tmp_path):
            pytest.fail("two servers")
        with pytest.raises(PortInUseError, match="already running on port 4599"):
            control.start(4600, tmp_path)
    assert control.find_running(tmp_path) is None
    assert not (tmp_path / "server.json").exists()


def test_stop_command_for_default_state_folder_has_no_option(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "DEFAULT_STATE", tmp_path.resolve())
    with control.recorded(4599, tmp_path), pytest.raises(AlreadyRunningError, match=r"python -m local stop$"):
        control.start(4599, tmp_path, fresh=True)


def test_fresh_start_with_running_server_fails(tmp_path, capsys):
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
        assert "already running at http://127.0.0.1:4599" in capsys.readouterr().out
        assert main(["env", "--state-dir", str(tmp_path)]) == 0
        assert "AWS_ENDPOINT_URL=http://127.0.0.1:4599" in capsys.readouterr().out
