"""Draw a state machine, or what one execution of it did: `python -m operations.draw_workflow`.

The picture is made from the ASL file that is deployed. With --execution the path of one execution
is painted on it, with times, attempts and errors, and its steps are listed below: from the history
that Step Functions keeps, on AWS and on the laptop alike.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.errors import ExpectedError
from common.pages.words import duration
from common.reports import write_text
from common.settings import REPORTS_FOLDER, ROOT
from common.waiting import make_console
from operations.workflow_drawing.execution import ExecutionPath
from operations.workflow_drawing.states import Definition, read_definition
from operations.workflow_drawing.step_list import clock, headline, shown_steps
from operations.workflow_drawing.text import printable, shorten

DEFINITION = ROOT / "statemachine" / "MyStateMachine.asl.json"
# The pictures that the documentation shows, each from its definition.
DOCS = {
    ROOT / "docs" / "workflow.svg": DEFINITION,
    ROOT / "docs" / "batch-workflow.svg": ROOT / "statemachine" / "MyBatchStateMachine.asl.json",
}
SHOWN = 80  # characters of an input or a cause in the table


class PictureNotWrittenError(ExpectedError):
    """The picture cannot be written where it should be."""


def main(argv: list[str] | None = None) -> int:
    """Draw; return the exit status."""
    arguments = parse_arguments(argv)
    console = make_console()
    try:
        if arguments.write_docs:
            for place, file in DOCS.items():
                _write(place, docs_picture(file), console)
            return 0
        definition = read_definition(arguments.definition)
        with console.status("Reading and drawing"):  # the longest history takes 25 calls
            path = _read_path(arguments.execution) if arguments.execution else None
            picture = _picture(definition, path)
        _tell(definition, path, picture, arguments.out, console)
    except KeyboardInterrupt:
        print("draw_workflow: interrupted; no picture was written", file=sys.stderr)
        return 130
    except Exception as error:
        if not _expected(error):
            raise
        print(f"draw_workflow: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.draw_workflow",
        description="Draw a state machine as SVG, with the path of one execution if you name it.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30),
    )
    parser.add_argument(
        "--definition",
        type=Path,
        metavar="FILE",
        help=f"state machine in the Amazon States Language, JSON (default: {DEFINITION.relative_to(ROOT)})",
    )
    parser.add_argument("--execution", metavar="ARN", help="execution of that machine whose path is painted on it")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="SVG to write (default: reports/workflow/, named after the machine or the execution)",
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="draw the pictures in docs/ anew, from the definitions in statemachine/",
    )
    arguments = parser.parse_args(argv)
    if arguments.write_docs:
        for name in ("definition", "execution", "out"):
            if getattr(arguments, name) is not None:
                parser.error(f"--write-docs draws the pictures in docs/, and takes no --{name}")
    if arguments.execution is not None and not arguments.execution.strip():
        parser.error("--execution is empty: give the ARN of an execution")
    arguments.definition = arguments.definition or DEFINITION
    return arguments


def docs_picture(definition: Path) -> str:
    """Return the picture of a definition as docs/ has it."""
    from operations.workflow_drawing.svg import draw

    return draw(read_definition(definition))


def _read_path(execution: str) -> ExecutionPath:
    import boto3

    from operations.workflow_drawing.history import read_path

    return read_path(boto3.client("stepfunctions"), execution)


def _picture(definition: Definition, path: ExecutionPath | None) -> str:
    from operations.workflow_drawing.svg import draw

    return draw(definition, path=path, steps=True)


def _tell(
    definition: Definition,
    path: ExecutionPath | None,
    picture: str,
    out: Path | None,
    console: Console,
) -> None:
    name = definition.name
    if path is not None:
        name = f"{path.machine}-{path.name}"
        console.print(headline(path), markup=False, soft_wrap=True)
        console.print(steps_table(path))
    _write(out or REPORTS_FOLDER / "workflow" / f"{name.replace('/', '-')}.svg", picture, console)


def steps_table(path: ExecutionPath) -> Table:
    """Return an execution's steps: when, which state, how long, what it got, what went wrong."""
    table = Table("step", "entered (UTC)", "state", "took", "input, error and cause")
    for number, step in shown_steps(path):
        if step is None:
            table.add_row("", "", f"… {number:,} more steps", "", "")
            continue
        took = "still in it" if step.seconds is None else duration(step.seconds)
        if step.attempts > 1:
            took += f", {step.attempts} attempts"
        told = [Text(shorten(step.input, SHOWN))] if step.input is not None else []
        if step.error:
            words = f"{printable(step.error)}: {shorten(step.cause or '', SHOWN)}"
            told.append(Text(words, "bold red"))
        state = Text(printable(step.state))
        table.add_row(str(number), clock(step.entered), state, took, Text("\n").join(told))
    return table


def _write(path: Path, picture: str, console: Console) -> None:
    try:
        write_text(path, picture)
    except OSError as error:
        raise PictureNotWrittenError(f"{path} cannot be written: {error.strerror}. Give another --out.") from error
    console.print(f"Wrote {path}.", markup=False, soft_wrap=True)


def _expected(error: Exception) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    return isinstance(error, (ExpectedError, BotoCoreError, ClientError))


if __name__ == "__main__":
    sys.exit(main())
