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
import shutil
import signal
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from benchmarks.machine import machine, usable_cores
from benchmarks.serving import report as reporting
from benchmarks.serving.subjects import Subject, SubjectError, measure
from common import settings
from common.arguments import positive_integer
from common.command import run_command
from common.progress import progress_bar
from common.reports import write_json
from common.waiting import make_console
from training.container.picture_model.serving_code import copy_serving_code

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
    with ending_on_signals():
        return run_command("serving", lambda: run(parse_arguments(argv), make_console()))


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """End as Ctrl-C does when a signal asks for it: the servers have sessions of their own.

    Raises SystemExit.
    """
    former = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN  # as nohup sets it
    }

    def end(number: int, _: FrameType | None) -> None:
        for each in former:
            signal.signal(each, signal.SIG_IGN)  # the servers are being ended
        raise SystemExit(128 + number)  # a shell's own for a program that a signal ended

    for number in former:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start everything, measure in turns, report, and stop. Raises ExpectedError."""
    whole_machine = machine()
    use_cores(arguments.cores)
    staged = arguments.staged or draw(console)
    pictures = [path.read_bytes() for path in sorted((staged / "test").rglob("*.png"))]
    if not pictures:
        raise SubjectError(f"{staged}/test holds no PNG pictures: stage some, or give --staged")
    described = about(arguments, len(pictures), staged)
    folder = WORK / "serving"
    model, archive = prepare_model(arguments.model or train(staged, console), folder)

    from benchmarks.classifier import load_model
    from benchmarks.serving.bare import bare_subjects
    from benchmarks.serving.containers import SERVERS, container_server, install
    from benchmarks.serving.laptop import laptop_endpoint

    loaded = load_model(model)
    REPORT.unlink(missing_ok=True)  # a run that fails leaves no older figures
    not_measured: dict[str, str] = {}
    with contextlib.ExitStack() as running:
        subjects = bare_subjects(loaded.classifier)
        laptop = running.enter_context(
            laptop_endpoint(archive, pictures[0], folder / "laptop-aws", arguments.endpoints, console)
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
        **described,
        "cores": usable_cores(),
        "machine": whole_machine,
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
    """Return a model, given as a folder or as model.tar.gz, as both below `folder`.

    Its scripts are those of this checkout: what was trained before serves no older ones. Raises
    SubjectError for what is neither.
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
        raise SubjectError(f"{given} is no folder of train.py's and no model.tar.gz: {error}") from error
    shutil.rmtree(model, ignore_errors=True)
    unfinished.rename(model)
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(model.iterdir()):
            tar.add(path, path.name)
    return model, archive


def check_answers(subjects: Sequence[Subject], pictures: Sequence[bytes]) -> None:
    """Compare the answers of the subjects that answer alike. Raises SubjectError."""
    wanted: list[dict[str, Any]] = []
    for subject in subjects:
        if not subject.compared:
            continue
        with subject.connect() as ask:
            answers = [json.loads(ask(picture)) for picture in pictures]
        wanted = wanted or answers
        for answer, right in zip(answers, wanted, strict=True):
            pairs = zip(answer["probabilities"], right["probabilities"], strict=True)
            if answer["labels"] != right["labels"] or not all(math.isclose(p, q, abs_tol=TOLERANCE) for p, q in pairs):
                raise SubjectError(f"{subject.title} answered {answer} where {subjects[0].title} answered {right}")


def measure_in_turns(
    subjects: Sequence[Subject], pictures: Sequence[bytes], repeats: int, console: Console
) -> reporting.Runs:
    """Return `repeats` runs of each subject with each number of clients, after warming up."""
    runs: reporting.Runs = {(subject.name, clients): [] for subject in subjects for clients in subject.clients}
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
    """Return what is measured, where, and with what.

    Raises SubjectError for a staged folder that does not say what its pictures are.
    """
    path = staged / "manifest.json"
    try:
        source = json.loads(path.read_text(encoding="utf-8"))["source"]
        data = source.get("name") or source.get("kind") or str(staged)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SubjectError(
            f"{path} does not say what the pictures are ({error!r}): give --staged a folder of"
            " training.stage_data's, or leave it out"
        ) from error
    return {
        "pictures": pictures,
        "data": data,
        "repeats": arguments.repeats,
        "most_requests": {str(clients): count for clients, count in REQUESTS.items()},
        "most_seconds": RUN_S,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "pillow", "boto3")},
    }


def _python(*arguments: str) -> None:
    """Run this Python from the project's root. Raises SubjectError with its last words."""
    ended = subprocess.run(  # noqa: S603  our own programs
        [sys.executable, *arguments],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        words = (ended.stderr or ended.stdout)[-1000:].strip()
        raise SubjectError(f"`python {' '.join(arguments)}` failed: {words}")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description="Compare the bare network, the laptop's endpoint and the servers of SageMaker's"
        " own containers: the same model, pictures and cores, with 1 and 8 clients at a time.",
        epilog=f"The containers' servers need Java on the PATH; they are installed once, into {WORK.name}/ (300 MB).",
    )
    add = parser.add_argument
    add(
        "--model",
        type=Path,
        metavar="PATH",
        help="folder or model.tar.gz of train.py's, served by the scripts of today (one is trained, in half a minute)",
    )
    add(
        "--staged", type=Path, metavar="FOLDER", help="staged folder whose test pictures are asked for (some are drawn)"
    )
    add("--repeats", type=positive_integer, default=7, metavar="N", help="times that each is measured, in turns (7)")
    add(
        "--endpoints",
        type=positive_integer,
        default=3,
        metavar="N",
        help="endpoints made, for the time to the first answer (3)",
    )
    add(
        "--cores",
        type=positive_integer,
        default=2,
        metavar="N",
        help="processor cores for all of it, clients too (2; on Linux)",
    )
    add("--no-containers", dest="containers", action="store_false", help="leave out TorchServe and multi-model-server")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
