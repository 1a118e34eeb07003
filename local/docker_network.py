"""A Docker network with the laptop's AWS at http://laptop-aws:4566, for `sam local invoke`.

A container cannot reach the loopback interface of its host. On Linux the forwarder container mounts the UNIX socket of
the laptop's AWS; Docker Desktop (macOS, Windows) has no access to it, and there it uses host.docker.internal.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from local.address import SOCKET_PATH_BYTES, socket_path
from local.control import Running
from local.errors import DockerNetworkError

DEFAULT_NETWORK = "scones-local"  # also in samconfig.toml, for `sam local invoke`
HOST_NAME = "laptop-aws"  # this and the next are also in sam-local-env.json
PORT = 4566
IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"  # the functions' image, so no further pull
_NAME_FILE = "docker-network"  # in the state folder
_FORWARDER = Path(__file__).resolve().parent / "container_forwarder.py"
_COMMAND_SECONDS = 300.0  # the first `docker run` may pull the image, about 250 MB
_READY_SECONDS = 30.0
_URL = f"http://{HOST_NAME}:{PORT}"
_HEALTH = f"import urllib.request; print(urllib.request.urlopen('{_URL}/_local/health', timeout=5).read().decode())"


def start(running: Running, network: str) -> str:
    """Create the network and its forwarder; return the URL of the laptop's AWS for containers.

    Remove an earlier network of the same laptop's AWS. Raise DockerNetworkError without a Docker engine or image, for
    a network that exists already, and when the forwarder does not answer.
    """
    state = Path(running.state)
    target, mounts = _target(running)
    stop(state)
    if _docker("network", "ls", "--quiet", "--filter", f"name=^{network}$"):
        raise DockerNetworkError(
            f"The Docker network {network} already exists and belongs to something else. Choose "
            f"another with --network, or remove it: docker rm --force {network}-forwarder; "
            f"docker network rm {network}"
        )
    (state / _NAME_FILE).write_text(network)
    _docker("network", "create", network)
    _docker(
        *("run", "--detach", "--rm", "--name", f"{network}-forwarder", "--stop-signal", "SIGKILL"),
        *("--network", network, "--network-alias", HOST_NAME, *mounts),
        *("--entrypoint", "python3", IMAGE, "/forwarder.py", str(PORT), target),
    )
    _wait_for_forwarder(network, running.pid)
    return _URL


def stop(state: Path) -> str | None:
    """Remove the network and the forwarder of a laptop's AWS; return its name, or None when there was none.

    Raise DockerNetworkError when Docker fails, or containers still use the network.
    """
    name_file = state / _NAME_FILE
    if not name_file.exists():
        return None
    network = name_file.read_text()
    if _docker("ps", "--all", "--quiet", "--filter", f"name=^{network}-forwarder$"):
        _docker("rm", "--force", f"{network}-forwarder")
    if _docker("network", "ls", "--quiet", "--filter", f"name=^{network}$"):
        _docker("network", "rm", network)
    name_file.unlink()
    return network


def _target(running: Running) -> tuple[str, list[str]]:
    """Return the target of the forwarder and the mounts that it needs."""
    mounts = ["--mount", f"type=bind,source={_FORWARDER},target=/forwarder.py,readonly"]
    if sys.platform != "linux":
        return f"tcp:host.docker.internal:{running.port}", mounts
    path = socket_path(Path(running.state))
    if not path.is_socket():
        raise DockerNetworkError(
            f"{path} does not exist: restart the laptop's AWS with a --state-dir short enough for a "
            f"UNIX socket (the path may have {SOCKET_PATH_BYTES} bytes)"
        )
    mounts += ["--mount", f"type=bind,source={path.parent},target=/laptop-aws,readonly"]
    return f"unix:/laptop-aws/{path.name}", mounts


def _wait_for_forwarder(network: str, pid: int) -> None:
    """Wait until the forwarder reaches the server process `pid`."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            answer = _docker("exec", f"{network}-forwarder", "python3", "-c", _HEALTH)
            if json.loads(answer)["pid"] == pid:
                return
            problem = f"another laptop's AWS answers: {answer}"
        except DockerNetworkError as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise DockerNetworkError(
                f"The forwarder container does not reach the laptop's AWS: {problem}. See "
                f"`docker logs {network}-forwarder`; remove it with: python -m local docker stop"
            )
        time.sleep(0.1)


def _docker(*arguments: str) -> str:
    """Run the docker command and return its output; raise DockerNetworkError when it fails or does not exist."""
    command = ["docker", *arguments]
    name = f"`docker {' '.join(arguments[:2])}`"
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=True)  # noqa: S603  our own arguments, no shell
    except FileNotFoundError as error:
        raise DockerNetworkError("There is no docker command on the PATH: install a Docker engine first") from error
    except subprocess.TimeoutExpired as error:
        raise DockerNetworkError(f"{name} did not end in {_COMMAND_SECONDS:.0f} s: see `docker info`") from error
    except subprocess.CalledProcessError as error:
        raise DockerNetworkError(f"{name}: {error.stderr.strip()}") from error
    return ended.stdout.strip()
