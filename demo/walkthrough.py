"""Helpers of notebooks/walkthrough.ipynb: choose AWS or the laptop's AWS, and show pictures and pages."""

import html
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from common import settings
from common.errors import ExpectedError
from demo.session import CommandFailedError, command_path
from local.address import DEFAULT_PORT, UNSET, client_environment
from local.control import DEFAULT_STATE, find_running, start, stop
from training.create_endpoint import ENDPOINT_INSTANCE, HOSTING_USD_PER_HOUR, TRAINING_INSTANCE, cost_reminder


class PlaceUnknownError(ExpectedError):
    """PLACE has an unknown value."""


class CostsNotAgreedError(ExpectedError):
    """There are AWS credentials, and the user has not agreed to the costs."""


@dataclass(frozen=True)
class Place:
    """Where the notebook runs.

    Attributes:
        name: "aws", or "laptop" for the laptop's AWS.
        started: whether the laptop's AWS was started for the notebook, and ends with it.
    """

    name: str
    started: bool = False

    def sam(self, *arguments: str) -> None:
        """Run AWS SAM with the section of samconfig.toml for this place, and print its output.

        Raises CommandFailedError.
        """
        part = "default" if self.name == "aws" else "local"
        command = ["sam", *arguments, "--config-env", part]
        print(f"$ {shlex.join(command)}")
        streams: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, text=True, **streams) as process:  # noqa: S603  the project's own commands
            assert process.stdout is not None  # noqa: S101  it is a pipe, which mypy cannot know
            for line in process.stdout:
                print(line, end="")
        done(process.returncode)

    def leave(self) -> None:
        """Stop the laptop's AWS if `begin` started it."""
        if self.started:
            stop(DEFAULT_STATE)
            print("The laptop's AWS is stopped.")


def done(status: int) -> None:
    """Raise CommandFailedError unless a command's exit status is 0."""
    if status:
        raise CommandFailedError(f"This ended with status {status}: the lines above say why.")


def begin(place: str = "", port: int = DEFAULT_PORT) -> Place:
    """Change to the project's folder, and choose AWS or the laptop's AWS; start the latter unless it runs.

    Without a `place` the environment decides: AWS_ENDPOINT_URL, then credentials for AWS, otherwise the laptop's AWS on
    a loopback `port`. Raises PlaceUnknownError, CostsNotAgreedError, and the errors of local.control.start.
    """
    import boto3

    os.chdir(settings.ROOT)
    os.environ["PATH"] = command_path()
    if place not in ("", "laptop", "aws"):
        raise PlaceUnknownError(f'PLACE = "{place}": choose "laptop", "aws" or "".')
    if place == "aws":
        print(f"On AWS. {costs()}")
        return Place("aws")
    if not place and "AWS_ENDPOINT_URL" in os.environ:
        print(f"On the laptop's AWS that is there already: {os.environ['AWS_ENDPOINT_URL']}")
        return Place("laptop")
    if not place and boto3.Session().get_credentials():
        raise CostsNotAgreedError(
            f"There are AWS credentials, so this would run on AWS. {costs()}"
            ' Nothing has been started. Set PLACE = "aws" in the first cell to go on there, or'
            ' PLACE = "laptop" to run on this machine, where it costs nothing.'
        )
    running, started = find_running(DEFAULT_STATE), False
    if running is None:
        running, started = start(port, DEFAULT_STATE)
    for name in UNSET:
        os.environ.pop(name, None)
    os.environ.update(client_environment(running.port))
    print(f"On the laptop's AWS at {running.url}, which costs nothing.")
    return Place("laptop", started)


def costs() -> str:
    """Describe the costs of running the notebook on AWS."""
    # An hour of training costs as much as an hour of serving on this instance type.
    training_usd_per_hour = HOSTING_USD_PER_HOUR[TRAINING_INSTANCE]
    return (
        f"{cost_reminder(ENDPOINT_INSTANCE)} The notebook deletes it in its last cell: run all of"
        f" it. Its training job costs about {training_usd_per_hour} USD an hour"
        f" ({TRAINING_INSTANCE}) for some minutes; the rest is cents."
    )


def samples(folder: Path, each: int) -> Markup:
    """Return HTML with the first `each` pictures of each class of a folder of <class>/<picture>."""
    from PIL import Image

    from common.pages.thumbnails import thumbnail

    image = Markup('<img src="{}" alt="{} of class {}" width="96" style="image-rendering: pixelated">\n')
    rows = []
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
        rows.append(Markup("<p><strong>{}</strong></p>\n").format(kind.name))
        for path in sorted(kind.iterdir())[:each]:
            with Image.open(path) as picture:
                rows.append(image.format(thumbnail(picture), path.name, kind.name))
    return Markup().join(rows)


def embedded(page: Path, height: int = 700) -> str:
    """Return HTML with one of the project's self-contained pages in a frame, `height` CSS pixels high."""
    title, text = html.escape(page.stem), html.escape(page.read_text(encoding="utf-8"))
    # In a <div>, since IPython warns about a bare frame.
    return f'<div><iframe title="{title}" srcdoc="{text}" width="100%" height="{height}"></iframe></div>'
