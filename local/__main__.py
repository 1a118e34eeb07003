"""The command line of the laptop's AWS: `python -m local start|stop|status|env|run|docker`."""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from local import control, docker_network
from local.address import DEFAULT_PORT, UNSET, client_environment
from local.errors import LaptopAwsError, NotRunningError
from local.server import serve


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 with a message, or 130 after Ctrl-C."""
    arguments = _parser().parse_args(argv)
    state = arguments.state_dir.resolve()
    try:
        commands = {
            "start": lambda: _start(arguments.port, state, arguments.fresh),
            "stop": lambda: _stop(state),
            "status": lambda: _status(state),
            "env": lambda: _env(arguments.port, state),
            "run": lambda: _run(arguments.port, state),
            "docker": lambda: _docker(arguments.action, arguments.network, state),
        }
        return commands[arguments.command]()
    except LaptopAwsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="An AWS on this machine, on one loopback port, without an account.",
        epilog='Point AWS\'s tools at it with: eval "$(python -m local env)"',
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("start", "start it in the background and wait until it answers"),
        ("stop", "stop it and every process that it started"),
        ("status", "show whether it is running"),
        ("env", "print the environment variables that point AWS's tools at it"),
        ("run", "run it in the foreground until Ctrl-C"),
        ("docker", "make it reachable for the containers of `sam local invoke`, or undo that"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--state-dir",
            type=Path,
            default=control.DEFAULT_STATE,
            help="folder for logs and files of jobs and endpoints (default: .local)",
        )
        if name in ("start", "env", "run"):
            command.add_argument(
                "--port",
                type=_port,
                default=DEFAULT_PORT,
                help=f"TCP port on 127.0.0.1 (default: {DEFAULT_PORT})",
            )
        if name == "start":
            command.add_argument(
                "--fresh",
                action="store_true",
                help="fail if one is already running, or another start wins the race",
            )
        if name == "docker":
            command.add_argument("action", choices=("start", "stop"))
            command.add_argument(
                "--network",
                default=docker_network.DEFAULT_NETWORK,
                help=f"name of the Docker network (default: {docker_network.DEFAULT_NETWORK})",
            )
    return parser


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = 0
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port number from 1 to 65535")
    return port


def _start(port: int, state: Path, fresh: bool) -> int:
    started_at = time.monotonic()
    running, started = control.start(port, state, fresh=fresh)
    if started:
        print(f"The laptop's AWS answers at {running.url} after {time.monotonic() - started_at:.1f} s.")
    else:
        print(f"The laptop's AWS is already running at {running.url} (process {running.pid}).")
    print('Point AWS\'s tools at it with: eval "$(python -m local env)"')
    return 0


def _stop(state: Path) -> int:
    try:
        running = control.stop(state)
    finally:
        docker_network.stop(state)
    print(f"Stopped the laptop's AWS at {running.url} and every process that it started.")
    return 0


def _status(state: Path) -> int:
    running = control.find_running(state)
    if running is None:
        print("The laptop's AWS is not running. Start it with: python -m local start")
        return 1
    print(f"The laptop's AWS answers at {running.url} (process {running.pid}).")
    print(f"Logs: {running.state}/server.log, {running.state}/training-jobs/*/log.txt")
    return 0


def _env(port: int, state: Path) -> int:
    running = control.find_running(state)
    print(f"unset {' '.join(UNSET)}")
    for name, value in client_environment(running.port if running else port).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _run(port: int, state: Path) -> int:
    with control.recorded(port, state):
        serve(port, state)
    # A plain return would wait for MiniStack's threads.
    sys.stdout.flush()
    os._exit(0)


def _docker(action: str, network: str, state: Path) -> int:
    if action == "stop":
        removed = docker_network.stop(state)
        print(f"Removed the Docker network {removed}." if removed else "No Docker network to remove.")
        return 0
    running = control.find_running(state)
    if running is None:
        raise NotRunningError("The laptop's AWS is not running. Start it: python -m local start")
    url = docker_network.start(running, network)
    print(f"Containers of the Docker network {network} reach the laptop's AWS at {url}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
