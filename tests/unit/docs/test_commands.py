"""Every command that README and docs show is accepted by the program that it calls."""

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from botocore import xform_name
from samcli.cli.main import cli as sam_cli

from common.settings import ROOT
from tests.unit.aws_stubs import SHARED
from tests.unit.docs.pages import PAGES

BLOCKS = re.compile(r"```(?:sh|bash)\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`((?:python -m|sam|make|aws) [^`]+)`")


def shell_commands(text: str) -> set[str]:
    """Return the commands in a page's shell blocks."""
    lines = "\n".join(BLOCKS.findall(text)).replace("\\\n", "").splitlines()
    shown = [part for line in lines for part in re.split(r"&&|\|", re.sub(r"(^|\s)#.*", "", line))]
    return {command.strip() for command in shown if command.strip()}


def commands_of(text: str) -> set[str]:
    """Return the commands in a page's shell blocks and in its inline code."""
    return shell_commands(text) | set(INLINE.findall(BLOCKS.sub("", text)))


COMMANDS = sorted({command for page in PAGES for command in commands_of(page.read_text())})


def begin_with(*words: str) -> list[str]:
    """Return the shown commands that begin with these words, and have no part left out."""
    return [command for command in COMMANDS if command.split()[: len(words)] == list(words) and "..." not in command]


def accept(command: str) -> None:
    """Parse a command as its program does. Raises SystemExit or click's UsageError."""
    program, *words = shlex.split(re.sub(r"\$\([^)]*\)", "2026-11-23", command))
    if program == "python":
        module, *arguments = words[1:]
        if module == "local":
            importlib.import_module("local.__main__")._parser().parse_args(arguments)
        elif module == "tests.parity":
            assert not arguments
        else:
            found = importlib.import_module(module)
            if hasattr(found, "__path__"):
                found = importlib.import_module(f"{module}.__main__")
            found.parse_arguments(arguments)
    elif program == "sam":
        accept_sam(words)
    elif program == "make":
        accept_make(words)
    else:
        accept_aws(words)


def accept_sam(words: list[str]) -> None:
    command: click.Command = sam_cli
    context = click.Context(command, obj=object())  # sam loads a command only within a context of its own
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found, f"sam has no command {name}"
        command, context = found, click.Context(found, parent=context)
    command.make_parser(context).parse_args(words)


def accept_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        name, equals, _ = word.partition("=")
        assert re.search(rf"\$\({name}\)" if equals else rf"^{re.escape(name)}:", makefile, re.MULTILINE), word


def accept_aws(words: list[str]) -> None:
    """Look a command of the AWS command line up in botocore's model, which it is generated from."""
    service, operation, *rest = words
    if service == "s3":  # written by hand
        return
    client: Any = SHARED.client("s3" if service == "s3api" else service)
    [name] = [n for n in client.meta.service_model.operation_names if xform_name(n, "-") == operation]
    shape = client.meta.service_model.operation_model(name).input_shape
    options = {xform_name(member, "-") for member in shape.members} if shape else set()
    given = {word.removeprefix("--") for word in rest if word.startswith("--")}
    assert given - {"endpoint-url", "region", "query", "output", "no-cli-pager"} <= options


@pytest.mark.parametrize(
    "command", [*begin_with("python", "-m"), *begin_with("sam"), *begin_with("make"), *begin_with("aws")]
)
def test_shown_command_is_accepted_by_its_program(command):
    if command.split()[:3] != ["python", "-m", "pytest"]:
        accept(command)


@pytest.mark.parametrize(
    "command",
    [
        "python -m operations.review --prot 1",
        "python -m local begin",
        "sam deploy --guidde",
        "sam remote invok",
        "make demonstration",
        "make demo DATEN=x",
        "aws sqs receive-message --queue Q",
    ],
)
def test_mistyped_command_is_refused(command):
    with pytest.raises((SystemExit, click.UsageError, AssertionError)):
        accept(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path):
    folders = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in {"data", "reports"})
    for path in re.findall(rf"`((?:{folders})/[\w/.-]+\.\w+)", page.read_text()):
        assert (ROOT / path).exists(), path
