"""Time one model bare, at the laptop's endpoint and in SageMaker's own servers: `python -m benchmarks.serving`.

All serve the same model.tar.gz and classify the same pictures on the same cores. They take turns, so that a change of
the machine's speed affects all. Before the measurement their answers are compared with those of the bare network.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import shutil
import statistics
import sys
import tarfile
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.runs import FOLDER, Task, TrainingRun, machine, stage, train
from benchmarks.serving import report as reporting
from benchmarks.serving.subjects import Subject, SubjectError, measure
from common import settings
from common.arguments import positive_integer
from common.command import interrupt_on_termination, run_command
from common.parallel import usable_cores
from common.progress import progress_bar
from common.reports import write_json
from common.waiting import make_console
from training.container.picture_model.serving_code import copy_serving_code

REPORT = FOLDER / "serving.json"
WORK = settings.ROOT / ".bench"  # environments and models: made once, kept by `make clean`
REQUESTS = {1: 300, 8: 800}  # at most, by the number of clients
RUN_S = 3.0  # at most: a large network answers fewer requests
# Java compiles code that has run often enough: the servers get faster for a thousand requests.
WARM_UP_REQUESTS, WARM_UP_S = 1500, 10.0
CHECKED_PICTURES = 20
# The quality of a model does not change its speed.
EPOCHS, DRAWN = 2, Task("serving-data", ("bicycle", "motorcycle"), "32", 150, 32)
TOLERANCE = 1e-4  # of probabilities: the order of sums depends on the pictures per forward pass


def main(argv: list[str] | None = None) -> int:
    """Measure, print the tables and write the report; return the exit status."""
    interrupt_on_termination()  # the servers have their own sessions
    return run_command("serving", lambda: run(parse_arguments(argv), make_console()), "no report was written")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start everything, measure in turns, report, and stop. Raises ExpectedError."""
    whole_machine = machine()
    if hasattr(os, "sched_setaffinity"):  # not on macOS; child processes inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    staged = arguments.staged or stage(DRAWN, WORK)[0]
    pictures = [path.read_bytes() for path in sorted((staged / "test").rglob("*.png"))]
    if not pictures:
        raise SubjectError(f"{staged}/test holds no PNG pictures: stage some, or give --staged")
    data = data_name(staged)
    folder = WORK / "serving"
    model, archive = prepare_model(arguments.model or train_model(staged, console), folder)

    from benchmarks.classifier import load_model
    from benchmarks.serving.bare import bare_subjects
    from benchmarks.serving.containers import SERVERS, container_server, install
    from benchmarks.serving.laptop import laptop_endpoint

    classifier = load_model(model).classifier
    REPORT.unlink(missing_ok=True)  # a failed run leaves no older figures
    not_measured: dict[str, str] = {}
    with contextlib.ExitStack() as running:
        subjects = bare_subjects(classifier)
        first_answer_s, endpoint_subjects = running.enter_context(
            laptop_endpoint(archive, pictures[0], folder / "laptop-aws", arguments.endpoints, console)
        )
        subjects += endpoint_subjects
        containers = []
        for server in SERVERS if arguments.containers else ():
            try:
                python = install(server, WORK / server, console)
                starting = container_server(server, python, model, folder / server, pictures[0])
                with console.status(f"Starting {server}"):
                    subjects.append(running.enter_context(starting))
            except SubjectError as error:
                not_measured[server] = str(error)
                console.print(f"{server}: {error}", markup=False)
            else:
                containers.append(server)
        with console.status("Comparing answers"):
            check_answers(subjects, pictures[:: max(1, len(pictures) // CHECKED_PICTURES)])
        runs = measure_in_turns(subjects, pictures, arguments.repeats, console)
    report = {
        "pictures": len(pictures),
        "data": data,
        "repeats": arguments.repeats,
        "most_requests": {str(clients): count for clients, count in REQUESTS.items()},
        "most_seconds": RUN_S,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "pillow", "boto3")},
        "cores": usable_cores(),
        "machine": whole_machine,
        "input_size": classifier.input_size,
        "weights_bytes": (model / "model.pt").stat().st_size,
        "first_answer_s": {
            name: round(of(first_answer_s), 2)
            for name, of in (("median", statistics.median), ("min", min), ("max", max))
        },
        "not_measured": not_measured,
        **reporting.figures(subjects, runs, containers),
    }
    write_json(REPORT, report)
    reporting.show(report, console)
    console.print(f"Figures: {REPORT}")


def data_name(staged: Path) -> str:
    """Return the name of the staged pictures' source. Raises SubjectError for a manifest without one."""
    path = staged / "manifest.json"
    try:
        source = json.loads(path.read_text(encoding="utf-8"))["source"]
        return str(source.get("name") or source["kind"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SubjectError(
            f"{path} does not name the source of the pictures ({error!r}): give --staged a folder of"
            " training.stage_data's, or leave it out"
        ) from error


def train_model(staged: Path, console: Console) -> Path:
    """Train a model for a few epochs; return its folder. Raises BenchmarkError."""
    folder = WORK / "model"
    training = TrainingRun("Training", staged / "train", staged / "validation", folder, WORK / "training.log")
    train(training, ["--epochs", str(EPOCHS)], console=console)
    return folder


def prepare_model(given: Path, folder: Path) -> tuple[Path, Path]:
    """Return a model, given as a folder or as model.tar.gz, as both below `folder`, with this checkout's scripts.

    Raises SubjectError for anything else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished, model, archive = folder / "unfinished", folder / "model", folder / "model.tar.gz"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        if given.is_dir():
            shutil.copytree(given, unfinished)
        else:
            with tarfile.open(given) as tar:
                tar.extractall(unfinished, filter="data")
        copy_serving_code(unfinished / "code")
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise SubjectError(f"{given} is neither a folder of train.py's nor a model.tar.gz: {error}") from error
    shutil.rmtree(model, ignore_errors=True)
    unfinished.rename(model)
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(model.iterdir()):
            tar.add(path, path.name)
    return model, archive


def check_answers(subjects: Sequence[Subject], pictures: Sequence[bytes]) -> None:
    """Compare the answers of all subjects that use the same network. Raises SubjectError."""
    expected: list[dict[str, Any]] = []
    for subject in subjects:
        if not subject.compared:
            continue
        with subject.connect() as ask:
            answers = [json.loads(ask(picture)) for picture in pictures]
        expected = expected or answers
        for answer, right in zip(answers, expected, strict=True):
            pairs = zip(answer["probabilities"], right["probabilities"], strict=True)
            if answer["labels"] != right["labels"] or not all(math.isclose(p, q, abs_tol=TOLERANCE) for p, q in pairs):
                raise SubjectError(f"{subject.title} answered {answer} where {subjects[0].title} answered {right}")


def measure_in_turns(
    subjects: Sequence[Subject], pictures: Sequence[bytes], repeats: int, console: Console
) -> reporting.Runs:
    """Return `repeats` runs of each subject with each number of clients, after warming up."""
    turns = [(subject, clients) for subject in subjects for clients in subject.clients]
    runs: reporting.Runs = {(subject.name, clients): [] for subject, clients in turns}
    total = len(turns) * (repeats + 1)
    with progress_bar(console, "Measuring") as progress:
        for number, (subject, clients) in enumerate(turns, 1):
            measure(subject, pictures, clients, WARM_UP_REQUESTS, WARM_UP_S)
            progress(number, total)
        for repeat in range(repeats):
            first = repeat * len(turns) // repeats  # the order rotates, so that each has other predecessors
            for number, (subject, clients) in enumerate(turns[first:] + turns[:first], 1):
                runs[subject.name, clients].append(measure(subject, pictures, clients, REQUESTS[clients], RUN_S))
                progress(len(turns) * (repeat + 1) + number, total)
    return runs


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description="Compare the bare network, the laptop's endpoint and the servers of SageMaker's"
        " own containers: the same model, pictures and cores, with 1 and 8 clients at a time.",
        epilog=f"The containers' servers need Java on the PATH; they are installed once, into {WORK.name}/ (300 MB).",
    )
    add = parser.add_argument
    model_help = "folder or model.tar.gz of train.py's, served by today's scripts (one is trained, in half a minute)"
    add("--model", type=Path, metavar="PATH", help=model_help)
    staged_help = "staged folder whose test pictures are classified (some are drawn)"
    add("--staged", type=Path, metavar="FOLDER", help=staged_help)
    add("--repeats", type=positive_integer, default=7, metavar="N", help="measurements of each, in turns (7)")
    endpoints_help = "endpoints created, for the time to the first answer (3)"
    add("--endpoints", type=positive_integer, default=3, metavar="N", help=endpoints_help)
    cores_help = "processor cores for everything, clients too (2; on Linux)"
    add("--cores", type=positive_integer, default=2, metavar="N", help=cores_help)
    add("--no-containers", dest="containers", action="store_false", help="leave out TorchServe and multi-model-server")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
