"""The command line of the laptop's AWS: `python -m local start|stop|status|env|run|docker`."""

import argparse
import os
import shlex
import sys
import time
from argparse import Namespace
from pathlib import Path

from local import control, docker_network
from local.address import DEFAULT_PORT, UNSET, client_environment
from local.errors import LaptopAwsError, NotRunningError
from local.server import serve


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 with a message, or 130 after Ctrl-C."""
    options = _parser().parse_args(argv)
    options.state_dir = options.state_dir.resolve()
    try:
        return int(options.run(options))
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
    for name, run, text in (
        ("start", _start, "start it in the background and wait until it answers"),
        ("stop", _stop, "stop it and every process that it started"),
        ("status", _status, "show whether it is running"),
        ("env", _env, "print the environment variables that point AWS's tools at it"),
        ("run", _run, "run it in the foreground until Ctrl-C"),
        ("docker", _docker, "make it reachable for the containers of `sam local invoke`, or undo that"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        state_help = "folder for logs and files of jobs and endpoints (default: .local)"
        command.add_argument("--state-dir", type=Path, default=control.DEFAULT_STATE, help=state_help)
        if name in ("start", "env", "run"):
            port_help = f"TCP port on 127.0.0.1 (default: {DEFAULT_PORT})"
            command.add_argument("--port", type=_port, default=DEFAULT_PORT, help=port_help)
        if name == "start":
            fresh_help = "fail if one is already running, or another start wins the race"
            command.add_argument("--fresh", action="store_true", help=fresh_help)
        if name == "docker":
            default = docker_network.DEFAULT_NETWORK
            command.add_argument("action", choices=("start", "stop"))
            command.add_argument("--network", default=default, help=f"name of the Docker network (default: {default})")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port number from 1 to 65535")
    return int(text)


def _start(options: Namespace) -> int:
    started_at = time.monotonic()
    running, started = control.start(options.port, options.state_dir, fresh=options.fresh)
    if started:
        print(f"The laptop's AWS answers at {running.url} after {time.monotonic() - started_at:.1f} s.")
    else:
        print(f"The laptop's AWS is already running at {running.url} (process {running.pid}).")
    print('Point AWS\'s tools at it with: eval "$(python -m local env)"')
    return 0


def _stop(options: Namespace) -> int:
    try:
        running = control.stop(options.state_dir)
    finally:
        docker_network.stop(options.state_dir)
    print(f"Stopped the laptop's AWS at {running.url} and every process that it started.")
    return 0


def _status(options: Namespace) -> int:
    running = control.find_running(options.state_dir)
    if running is None:
        print("The laptop's AWS is not running. Start it with: python -m local start")
        return 1
    print(f"The laptop's AWS answers at {running.url} (process {running.pid}).")
    print(f"Logs: {running.state}/server.log, {running.state}/training-jobs/*/log.txt")
    return 0


def _env(options: Namespace) -> int:
    running = control.find_running(options.state_dir)
    print(f"unset {' '.join(UNSET)}")
    for name, value in client_environment(running.port if running else options.port).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _run(options: Namespace) -> int:
    with control.recorded(options.port, options.state_dir):
        serve(options.port, options.state_dir)
    # A plain return would wait for MiniStack's threads.
    sys.stdout.flush()
    os._exit(0)


def _docker(options: Namespace) -> int:
    if options.action == "stop":
        removed = docker_network.stop(options.state_dir)
        print(f"Removed the Docker network {removed}." if removed else "No Docker network to remove.")
        return 0
    running = control.find_running(options.state_dir)
    if running is None:
        raise NotRunningError("The laptop's AWS is not running. Start it: python -m local start")
    url = docker_network.start(running, options.network)
    print(f"Containers of the Docker network {options.network} reach the laptop's AWS at {url}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
