"""What the notebook would otherwise have to think about: where it runs, and how it shows things.

notebooks/walkthrough.ipynb itself only calls commands, on AWS or on the laptop's AWS.
"""

import html
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from common import settings
from common.errors import ExpectedError
from demo.session import CommandFailedError
from local.address import DEFAULT_PORT, UNSET, client_environment
from local.control import DEFAULT_STATE, find_running, start, stop
from training.create_endpoint import (
    ENDPOINT_INSTANCE,
    HOSTING_USD_PER_HOUR,
    TRAINING_INSTANCE,
    cost_reminder,
)

PLACES = ("", "laptop", "aws")
# SageMaker takes the same for an hour of training as for one of serving, on these types.
TRAINING_USD_PER_HOUR = HOSTING_USD_PER_HOUR[TRAINING_INSTANCE]


class PlaceUnknownError(ExpectedError):
    """PLACE has a value that means nothing."""


class CostsNotAgreedError(ExpectedError):
    """There are AWS credentials, and nobody has said that money may be spent."""

    def __init__(self) -> None:
        """Say what it would cost, and how to say yes or to stay on the laptop."""
        super().__init__(
            f"There are AWS credentials, so this would run on AWS. {costs()}"
            ' Nothing has been started. Set PLACE = "aws" in the first cell to go on there, or'
            ' PLACE = "laptop" to run on this machine, where it costs nothing.'
        )


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
        """Run AWS SAM with samconfig.toml's part for this place; print what it says as it does.

        Raises CommandFailedError.
        """
        part = "default" if self.name == "aws" else "local"
        command = ["sam", *arguments, "--config-env", part]
        print(f"$ {shlex.join(command)}")
        with subprocess.Popen(  # noqa: S603  the project's own commands
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None  # noqa: S101  it is a pipe, which mypy cannot know
            for line in process.stdout:
                print(line, end="")
        done(process.returncode)

    def leave(self) -> None:
        """Stop the laptop's AWS if `begin` has started it."""
        if self.started:
            stop(DEFAULT_STATE)
            print("The laptop's AWS is stopped.")


def done(status: int) -> None:
    """Go on to the next cell only if a command ended well. Raises CommandFailedError."""
    if status:
        raise CommandFailedError(f"This ended with status {status}: the lines above say why.")


def begin(place: str = "", port: int = DEFAULT_PORT) -> Place:
    """Go to the project's folder, and choose between AWS and the laptop's AWS; start the latter.

    Without a `place` it is what the environment points at: the AWS of AWS_ENDPOINT_URL, or AWS
    where there are credentials, else the laptop's. `port` is of 127.0.0.1.

    Raises PlaceUnknownError, CostsNotAgreedError, and what local.control.start raises.
    """
    os.chdir(settings.ROOT)
    # The venv's own commands, `sam` above all, also where the venv is not activated.
    commands = str(Path(sys.executable).parent)
    if commands not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = f"{commands}{os.pathsep}{os.environ['PATH']}"
    if place not in PLACES:
        raise PlaceUnknownError(f'PLACE = "{place}": choose "laptop", "aws" or "".')
    if not place and "AWS_ENDPOINT_URL" in os.environ:
        print(f"On the laptop's AWS that is there already: {os.environ['AWS_ENDPOINT_URL']}")
        return Place("laptop")
    if place == "aws":
        print(f"On AWS. {costs()}")
        return Place("aws")
    if not place and has_credentials():
        raise CostsNotAgreedError
    return begin_on_laptop(port)


def begin_on_laptop(port: int) -> Place:
    """Start the laptop's AWS unless it runs, and point this process at it."""
    running, started = find_running(DEFAULT_STATE), False
    if running is None:
        running, started = start(port, DEFAULT_STATE)
    for name in UNSET:
        os.environ.pop(name, None)
    os.environ.update(client_environment(running.port))
    print(f"On the laptop's AWS at {running.url}, which costs nothing.")
    return Place("laptop", started)


def has_credentials() -> bool:
    """Tell whether boto3 would find credentials, without using them."""
    import boto3

    return boto3.Session().get_credentials() is not None


def costs() -> str:
    """Say what running the notebook on AWS costs."""
    return (
        f"{cost_reminder(ENDPOINT_INSTANCE)} The notebook deletes it in its last cell: run all of"
        f" it. Its training job costs about {TRAINING_USD_PER_HOUR} USD an hour"
        f" ({TRAINING_INSTANCE}) for some minutes; the rest is cents."
    )


def samples(folder: Path, each: int) -> Markup:
    """Show the first `each` pictures of each class of a folder of <class>/<picture>, as HTML."""
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
    """Show one of the project's pages, which need nothing but themselves, as a frame of HTML.

    `height` is in CSS pixels.
    """
    text = html.escape(page.read_text(encoding="utf-8"), quote=True)
    title = html.escape(page.stem, quote=True)
    frame = f'<iframe title="{title}" srcdoc="{text}" width="100%" height="{height}"></iframe>'
    return f"<div>{frame}</div>"  # IPython warns of a frame, expecting the address of a page
