"""Draw a state machine, or the path of one of its executions: `python -m operations.draw_workflow`."""

import argparse
import sys
from pathlib import Path

from rich.table import Table
from rich.text import Text

from common.command import run_command
from common.errors import ExpectedError
from common.reports import write_text
from common.settings import REPORTS_FOLDER, ROOT
from common.waiting import make_console
from operations.workflow_drawing import ExecutionPath, draw, read_definition, read_path
from operations.workflow_drawing.description import clock, duration_text, error_text, headline, listed_steps
from operations.workflow_drawing.text import printable, shorten

DEFINITION = ROOT / "statemachine" / "MyStateMachine.asl.json"
# The pictures in the documentation, each with its definition.
DOCS = {
    ROOT / "docs" / "workflow.svg": DEFINITION,
    ROOT / "docs" / "batch-workflow.svg": ROOT / "statemachine" / "MyBatchStateMachine.asl.json",
}
MAX_SHOWN = 80  # characters of an input or a cause in the table


class PictureNotWrittenError(ExpectedError):
    """A picture cannot be written."""


def main(argv: list[str] | None = None) -> int:
    """Draw; return the exit status."""
    return run_command("draw_workflow", lambda: draw_workflow(parse_arguments(argv)), "no picture was written")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.draw_workflow",
        description="Draw a state machine as SVG, with the path of one execution if you name it.",
    )
    add = parser.add_argument
    definition_help = f"state machine in the Amazon States Language, JSON (default: {DEFINITION.relative_to(ROOT)})"
    add("--definition", type=Path, metavar="FILE", help=definition_help)
    add("--execution", metavar="ARN", help="execution of that machine whose path is shown")
    out_help = "SVG to write (default: reports/workflow/, named after the machine or the execution)"
    add("--out", type=Path, metavar="FILE", help=out_help)
    docs_help = "draw the pictures in docs/ again, from the definitions in statemachine/"
    add("--write-docs", action="store_true", help=docs_help)
    arguments = parser.parse_args(argv)
    if arguments.write_docs:
        for name in ("definition", "execution", "out"):
            if getattr(arguments, name) is not None:
                parser.error(f"--write-docs draws the pictures in docs/ and cannot be combined with --{name}")
    if arguments.execution is not None and not arguments.execution.strip():
        parser.error("--execution is empty: give the ARN of an execution")
    arguments.definition = arguments.definition or DEFINITION
    return arguments


def draw_workflow(arguments: argparse.Namespace) -> None:
    """Draw the pictures that the arguments name. Raises PictureNotWrittenError."""
    import boto3

    console = make_console()
    if arguments.write_docs:
        pictures = {picture: draw(read_definition(definition)) for picture, definition in DOCS.items()}
    else:
        definition = read_definition(arguments.definition)
        name, path = definition.name, None
        with console.status("Reading and drawing"):  # the longest history takes 25 calls
            if arguments.execution:
                path = read_path(boto3.client("stepfunctions"), arguments.execution)
                name = f"{path.machine}-{path.name}".replace("/", "-")  # of a Distributed Map's child
            svg = draw(definition, path=path, steps=True)
        if path is not None:
            console.print(headline(path), markup=False, soft_wrap=True)
            console.print(steps_table(path))
        pictures = {arguments.out or REPORTS_FOLDER / "workflow" / f"{name}.svg": svg}
    for picture, svg in pictures.items():
        try:
            write_text(picture, svg)
        except OSError as error:
            raise PictureNotWrittenError(
                f"{picture} cannot be written: {error.strerror}. Give another --out."
            ) from error
        console.print(f"Wrote {picture}.", markup=False, soft_wrap=True)


def steps_table(path: ExecutionPath) -> Table:
    """Return an execution's steps: time, state, duration, input and error."""
    table = Table("step", "entered (UTC)", "state", "took", "input, error and cause")
    for number, step in listed_steps(path):
        if step is None:
            table.add_row("", "", f"… {number:,} more steps", "", "")
            continue
        lines = [Text(shorten(step.input, MAX_SHOWN))] if step.input is not None else []
        if step.failure:
            lines.append(Text(error_text(step.failure, MAX_SHOWN), "bold red"))
        state = Text(printable(step.state))
        table.add_row(str(number), clock(step.entered), state, duration_text(step), Text("\n").join(lines))
    return table


if __name__ == "__main__":
    sys.exit(main())
