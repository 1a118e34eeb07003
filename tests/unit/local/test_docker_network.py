"""The Docker network of `sam local invoke`, with a fake `docker` command."""

import sys
from pathlib import Path

import pytest

from local import docker_network
from local.__main__ import main
from local.control import Running
from local.errors import DockerNetworkError

# Records its calls; the networks and containers in $EXISTING exist.
FAKE_DOCKER = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  *"$REFUSED"*) echo "Error: $REFUSED" >&2; exit 1 ;;
  ps*|"network ls"*)
    for name in $EXISTING; do
      case "$*" in *"name=^$name\\$"*) echo id ;; esac
    done ;;
  exec*) echo '{"pid": 42}' ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of `docker` calls, on a machine without UNIX sockets between host and containers."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(FAKE_DOCKER)
    docker.chmod(0o755)
    calls = tmp_path / "calls"
    calls.touch()
    monkeypatch.setenv("PATH", f"{docker.parent}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("REFUSED", "nothing is refused")
    monkeypatch.setenv("EXISTING", "")
    monkeypatch.setattr(sys, "platform", "darwin")
    return calls


@pytest.fixture
def running(tmp_path: Path) -> Running:
    state = tmp_path / "state"
    state.mkdir()
    return Running(pid=42, port=4601, state=str(state))


def test_start_without_docker_names_what_to_install(running, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DockerNetworkError, match="install a Docker engine first"):
        docker_network.start(running, "scones-local")


def test_start_with_foreign_network_fails_and_keeps_it(calls, running, monkeypatch):
    monkeypatch.setenv("EXISTING", "scones-local")
    with pytest.raises(DockerNetworkError, match=r"scones-local already exists .* --network"):
        docker_network.start(running, "scones-local")
    assert docker_network.stop(Path(running.state)) is None
    assert "rm" not in calls.read_text()


def test_start_with_failing_docker_shows_its_reason(calls, running, monkeypatch):
    monkeypatch.setenv("REFUSED", "network create")
    with pytest.raises(DockerNetworkError, match="`docker network create`: Error: network create"):
        docker_network.start(running, "scones-local")
    assert "run" not in calls.read_text()


def test_start_with_forwarder_to_another_server_fails(calls, tmp_path, monkeypatch):
    monkeypatch.setattr(docker_network, "_READY_SECONDS", 0.0)
    with pytest.raises(DockerNetworkError, match="another laptop's AWS answers"):
        docker_network.start(Running(pid=43, port=4601, state=str(tmp_path)), "scones-local")
    assert "exec scones-local-forwarder" in calls.read_text()


@pytest.mark.usefixtures("calls")
def test_start_on_linux_without_socket_fails(running, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(DockerNetworkError, match=r"aws\.sock does not exist: restart the laptop's AWS"):
        docker_network.start(running, "scones-local")


def test_start_twice_then_stop_removes_both_networks(calls, running, monkeypatch):
    state = Path(running.state)
    # GIVEN a network and its forwarder
    assert docker_network.start(running, "scones-local") == "http://laptop-aws:4566"
    assert "tcp:host.docker.internal:4601" in calls.read_text()
    # WHEN started again under another name THEN the first is removed before
    monkeypatch.setenv("EXISTING", "scones-local scones-local-forwarder")
    calls.write_text("")
    docker_network.start(running, "another")
    removed, created = (
        calls.read_text().index(text) for text in ("rm --force scones-local-forwarder\n", "network create another\n")
    )
    assert removed < created
    # THEN stopping removes the second, and there is nothing more to stop
    monkeypatch.setenv("EXISTING", "another another-forwarder")
    assert docker_network.stop(state) == "another"
    assert calls.read_text().endswith("network rm another\n")
    assert docker_network.stop(state) is None


def test_docker_command_without_server_fails(tmp_path, capsys):
    assert main(["docker", "start", "--state-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == ("The laptop's AWS is not running. Start it: python -m local start\n")
    assert main(["docker", "stop", "--state-dir", str(tmp_path)]) == 0
