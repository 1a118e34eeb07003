"""Start and stop of the laptop's AWS."""

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local import control
from local.address import client_environment
from local.errors import AlreadyRunningError
from tests.integration.laptop_aws import (
    ROOT,
    LaptopAws,
    free_port,
    is_listening,
    local_command,
    own_address,
    processes,
    run_laptop_aws,
    wait_until,
)
from tests.integration.sagemaker_requests import create_endpoint, endpoint_config, job_request

needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
# With a child process, as a data loader's worker is.
SLEEP = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]).pid, flush=True)
time.sleep(3600)
"""


def start_processes(aws: LaptopAws) -> None:
    """Start a training job, an endpoint and a function."""
    aws.client("sagemaker").create_training_job(**job_request(aws, "asleep", SLEEP))
    assert create_endpoint(aws, "on", endpoint_config(aws, "on"))["EndpointStatus"] == "InService"
    aws.invoke(aws.create_function("def handler(event, context): return 1"))
    log = aws.state / "training-jobs" / "asleep" / "log.txt"
    wait_until(lambda: log.read_text().strip())


@needs_proc
def test_stop_ends_every_process(tmp_path):
    with run_laptop_aws(tmp_path) as aws:
        start_processes(aws)
        during = processes([str(tmp_path)])
    assert len(during) >= 5, "server, job, child of the job, endpoint, function"
    wait_until(lambda: not processes([str(tmp_path)]))
    assert local_command("status", "--state-dir", str(tmp_path)).returncode == 1


@needs_proc
def test_stop_after_killed_server_ends_its_processes(tmp_path):
    port = free_port()
    started = local_command("start", "--port", str(port), "--state-dir", str(tmp_path))
    assert started.returncode == 0, started.stderr
    environment = client_environment(port)
    start_processes(LaptopAws(environment["AWS_ENDPOINT_URL"], environment, tmp_path))
    os.kill(json.loads((tmp_path / "server.json").read_text())["pid"], signal.SIGKILL)
    wait_until(lambda: control.find_running(tmp_path) is None)
    stopped = local_command("stop", "--state-dir", str(tmp_path))
    assert (stopped.returncode, stopped.stderr) == (1, "The laptop's AWS is not running.\n")
    # Endpoint and function end about a second after their server.
    wait_until(lambda: not processes([str(tmp_path)]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_in_foreground_ends_on_signal(tmp_path, number):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "run", "--port", str(port), "--state-dir", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: is_listening("127.0.0.1", port))
        process.send_signal(number)
        assert process.wait(120) == 0
    finally:
        process.kill()
    assert not (tmp_path / "server.json").exists()
    assert not is_listening("127.0.0.1", port)


def test_start_on_used_port_fails(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = local_command("start", "--port", str(port), "--state-dir", str(tmp_path))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Port {port} of 127.0.0.1 is in use by another program.")
    assert "python -m local start --port 4567" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_start_on_port_of_another_laptops_aws_names_it(laptop_aws, tmp_path):
    port = laptop_aws.endpoint_url.rpartition(":")[2]
    pid = json.loads((laptop_aws.state / "server.json").read_text())["pid"]
    refused = local_command("start", "--port", port, "--state-dir", str(tmp_path))
    assert refused.returncode == 1
    assert f"in use by another laptop's AWS (process {pid}," in refused.stderr


@needs_proc
def test_interrupted_start_leaves_no_server(tmp_path, monkeypatch):
    def interrupted(*_: object) -> bool:
        wait_until(lambda: processes([str(tmp_path)]))
        raise KeyboardInterrupt

    monkeypatch.setattr(control, "wait_until", interrupted)
    with pytest.raises(KeyboardInterrupt):
        control.start(free_port(), tmp_path)
    wait_until(lambda: not processes([str(tmp_path)]))


def test_start_beside_unrecorded_server_fails_and_deletes_nothing(tmp_path):
    with control.recorded(free_port(), tmp_path):
        (tmp_path / "server.json").unlink()
        (tmp_path / "training-jobs").mkdir()
        with pytest.raises(AlreadyRunningError, match="A concurrent start"):
            control.start(free_port(), tmp_path)
        assert (tmp_path / "training-jobs").exists()


def test_concurrent_fresh_starts_have_one_winner(tmp_path):
    def fresh(port: int) -> subprocess.CompletedProcess[str]:
        return local_command("start", "--fresh", "--port", str(port), "--state-dir", str(tmp_path))

    try:
        with ThreadPoolExecutor(3) as pool:
            ended = list(pool.map(fresh, [free_port() for _ in range(3)]))
        won = [each for each in ended if each.returncode == 0]
        assert len(won) == 1, [each.stderr for each in ended]
        refused = "".join(each.stderr for each in ended)
        assert refused.count("A concurrent start") + refused.count("already running at") == 2
        running = control.find_running(tmp_path)
        assert running is not None
        assert running.url in won[0].stdout
    finally:
        control.stop(tmp_path)


def test_start_with_proxy_settings_does_not_use_the_proxy(tmp_path, monkeypatch):
    """Nothing listens on the proxy's port: a request to it fails."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with run_laptop_aws(tmp_path) as aws:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, aws.env[name])
        assert create_endpoint(aws, "on", endpoint_config(aws, "on"))["EndpointStatus"] == "InService"


def test_server_listens_on_the_loopback_interface_only(laptop_aws):
    assert not is_listening(own_address(), int(laptop_aws.endpoint_url.rpartition(":")[2]))
