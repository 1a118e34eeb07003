"""How fast the model answers: bare, from the laptop's endpoint, from SageMaker's own servers.

`python -m benchmarks.serving`. All serve the same model.tar.gz and are asked for the same pictures,
in one run, on the same cores. They take turns, so that a machine whose speed drifts slows all; the
answers of each are compared with those of the bare network before anything is timed.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.serving import report as reporting
from benchmarks.serving.subjects import Subject, SubjectError, measure
from local.session import run_command
from training import settings
from training.arguments import positive_integer
from training.progress import progress_bar
from training.reports import write_json
from training.waiting import make_console

REPORT = settings.REPORTS_FOLDER / "bench" / "serving.json"
WORK = settings.ROOT / ".bench"  # environments and models: made once, kept by `make clean`
REQUESTS = {1: 300, 8: 800}  # at most, by the number of clients
RUN_S = 3.0  # at most: a large network answers fewer
# Java compiles what it has run often enough: the servers get faster for a thousand requests.
WARM_UP_REQUESTS, WARM_UP_S = 1500, 10.0
CHECKED_PICTURES = 20
EPOCHS, PICTURES_PER_CLASS = 2, 150  # how fast a model answers does not depend on how good it is
# The order of sums depends on how many pictures share a forward pass.
TOLERANCE = 1e-4


def main(argv: list[str] | None = None) -> int:
    """Measure, print the tables and write the report; return the exit status."""
    arguments = parse_arguments(argv)
    console = make_console()
    return run_command("serving", lambda: run(arguments, console))


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start everything, measure in turns, report, and stop. Raises ExpectedError."""
    use_cores(arguments.cores)
    REPORT.unlink(missing_ok=True)  # a run that fails leaves no older figures
    staged = arguments.staged or draw(console)
    pictures = [path.read_bytes() for path in sorted((staged / "test").rglob("*.png"))]
    if not pictures:
        raise SubjectError(f"{staged}/test holds no PNG pictures: stage some, or give --staged")
    folder = WORK / "serving"
    model, archive = prepare_model(arguments.model or train(staged, console), folder)

    from benchmarks.classifier import load_model  # noqa: PLC0415  --help does without torch
    from benchmarks.serving.bare import bare_subjects  # noqa: PLC0415
    from benchmarks.serving.containers import SERVERS, container_server, install  # noqa: PLC0415
    from benchmarks.serving.laptop import laptop_endpoint  # noqa: PLC0415

    loaded = load_model(model)
    not_measured: dict[str, str] = {}
    with contextlib.ExitStack() as running:
        subjects = bare_subjects(loaded.classifier)
        laptop = running.enter_context(
            laptop_endpoint(
                archive, pictures[0], folder / "laptop-aws", arguments.endpoints, console
            )
        )
        subjects += laptop.subjects
        containers = []
        for server in SERVERS if arguments.containers else ():
            try:
                python = install(server, WORK / server, console)
                with console.status(f"Starting {server}"):
                    subject = running.enter_context(
                        container_server(server, python, model, folder / server, pictures[0])
                    )
            except SubjectError as error:
                not_measured[server] = str(error)
                console.print(f"{server}: {error}", markup=False)
                continue
            subjects.append(subject)
            containers.append(server)
        with console.status("Comparing answers"):
            check_answers(subjects, pictures[:: max(1, len(pictures) // CHECKED_PICTURES)])
        runs = measure_in_turns(subjects, pictures, arguments.repeats, console)
    report = {
        **about(arguments, len(pictures), staged),
        "input_size": loaded.classifier.input_size,
        "weights_bytes": (model / "model.pt").stat().st_size,
        "first_answer_s": laptop.first_answer(),
        "not_measured": not_measured,
        **reporting.figures(subjects, runs, containers),
    }
    write_json(REPORT, report)
    reporting.show(report, console)
    console.print(f"Figures: {REPORT}")


def use_cores(cores: int) -> None:
    """Keep this process and all that it starts to the first `cores` that it may use."""
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def draw(console: Console) -> Path:
    """Draw pictures; return their staged folder."""
    staged = WORK / "staged"
    with console.status("Drawing pictures"):
        _python(
            *("-m", "training.stage_data", "synthetic", "--count", str(PICTURES_PER_CLASS)),
            *("--no-upload", "--out", str(staged)),
        )
    return staged


def train(staged: Path, console: Console) -> Path:
    """Train a model for a few epochs; return its folder."""
    folder = WORK / "model"
    with console.status("Training a model"):
        _python(
            *("training/container/train.py", "--epochs", str(EPOCHS)),
            *("--train", str(staged / "train"), "--validation", str(staged / "validation")),
            *("--model-dir", str(folder), "--output-data-dir", str(WORK / "output")),
        )
    return folder


def prepare_model(given: Path, folder: Path) -> tuple[Path, Path]:
    """Return a model as a folder and as model.tar.gz; one of the two is given.

    Raises SubjectError for what is neither.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if given.is_dir():
            archive = folder / "model.tar.gz"
            with tarfile.open(archive, "w:gz") as tar:
                for path in sorted(given.iterdir()):
                    tar.add(path, path.name)
            return given, archive
        unpacked = folder / "model"
        with tarfile.open(given) as tar:
            tar.extractall(unpacked, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise SubjectError(
            f"{given} is no folder of train.py's and no model.tar.gz: {error}"
        ) from error
    return unpacked, given


def check_answers(subjects: Sequence[Subject], pictures: Sequence[bytes]) -> None:
    """Compare every subject's answers with the first's. Raises SubjectError."""
    wanted: list[dict[str, Any]] = []
    for subject in subjects:
        with subject.connect() as ask:
            answers = [json.loads(ask(picture)) for picture in pictures]
        wanted = wanted or answers
        for answer, right in zip(answers, wanted, strict=True):
            pairs = zip(answer["probabilities"], right["probabilities"], strict=True)
            if answer["labels"] != right["labels"] or not all(
                math.isclose(p, q, abs_tol=TOLERANCE) for p, q in pairs
            ):
                raise SubjectError(
                    f"{subject.title} answered {answer} where {subjects[0].title} answered {right}"
                )


def measure_in_turns(
    subjects: Sequence[Subject], pictures: Sequence[bytes], repeats: int, console: Console
) -> reporting.Runs:
    """Return `repeats` runs of each subject with each number of clients, after warming up."""
    runs: reporting.Runs = {
        (subject.name, clients): [] for subject in subjects for clients in subject.clients
    }
    turns = [(subject, clients) for subject in subjects for clients in subject.clients]
    total = len(turns) * (repeats + 1)
    with progress_bar(console, "Measuring") as progress:
        for subject, clients in turns:
            measure(subject, pictures, clients, WARM_UP_REQUESTS, WARM_UP_S)
            progress(turns.index((subject, clients)) + 1, total)
        for repeat in range(repeats):
            first = repeat * len(turns) // repeats  # nobody always comes after the same
            for number, (subject, clients) in enumerate(turns[first:] + turns[:first]):
                run = measure(subject, pictures, clients, REQUESTS[clients], RUN_S)
                runs[subject.name, clients].append(run)
                progress(len(turns) * (repeat + 1) + number + 1, total)
    return runs


def about(arguments: argparse.Namespace, pictures: int, staged: Path) -> dict[str, Any]:
    """Return what was measured, where, and with what."""
    manifest = json.loads((staged / "manifest.json").read_text(encoding="utf-8"))
    return {
        "pictures": pictures,
        "data": manifest["source"].get("name") or manifest["source"].get("kind") or str(staged),
        "repeats": arguments.repeats,
        "most_requests": {str(clients): count for clients, count in REQUESTS.items()},
        "most_seconds": RUN_S,
        "cores": min(arguments.cores, os.cpu_count() or 1),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "pillow", "boto3")},
    }


def _python(*arguments: str) -> None:
    """Run this Python from the project's root. Raises SubjectError with its last words."""
    ended = subprocess.run(  # noqa: S603  our own programs
        [sys.executable, *arguments],
        cwd=settings.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ended.returncode:
        words = (ended.stderr or ended.stdout)[-1000:].strip()
        raise SubjectError(f"`python {' '.join(arguments)}` failed: {words}")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description="Compare the bare network, the laptop's endpoint and the servers of SageMaker's"
        " own containers: the same model, pictures and cores, with 1 and 8 clients at a time.",
        epilog="The containers' servers need Java on the PATH; they are installed once, into"
        f" {WORK.name}/ (300 MB).",
    )
    add = parser.add_argument
    add("--model", type=Path, metavar="PATH",
        help="folder or model.tar.gz of train.py's (one is trained, in half a minute)")  # fmt: skip
    add("--staged", type=Path, metavar="FOLDER",
        help="staged folder whose test pictures are asked for (some are drawn)")  # fmt: skip
    add("--repeats", type=positive_integer, default=7, metavar="N",
        help="times that each is measured, in turns (7)")  # fmt: skip
    add("--endpoints", type=positive_integer, default=3, metavar="N",
        help="endpoints made, for the time to the first answer (3)")  # fmt: skip
    add("--cores", type=positive_integer, default=2, metavar="N",
        help="processor cores for all of it, clients too (2; on Linux)")  # fmt: skip
    add("--no-containers", dest="containers", action="store_false",
        help="leave out TorchServe and multi-model-server")  # fmt: skip
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
