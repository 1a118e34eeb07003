"""What benchmarks share: stage drawn pictures, run train.py as a training job starts it, statistics, the machine."""

import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from common import settings
from common.errors import ExpectedError
from common.parallel import usable_cores
from common.progress import progress_bar
from training.endpoint.training_job import SOURCE_DIR

FOLDER = settings.REPORTS_FOLDER / "bench"
WORK = Path("data/bench")  # staged pictures and models, which are large
EPOCH_LINE = re.compile(r"\s*(\d+)/(\d+) ")  # the beginning of train.py's row of an epoch
LOG_LINES_SHOWN = 10


class BenchmarkError(ExpectedError):
    """A command that a benchmark runs failed, or its result is incomplete."""


@dataclass(frozen=True)
class Task:
    """A data set to draw and to train on.

    `size` is stage_data's --size, `count` is pictures per class, `input_size` is the network's in pixels.
    """

    name: str
    classes: tuple[str, ...]
    size: str
    count: int
    input_size: int


@dataclass(frozen=True)
class TrainingRun:
    """One training: its title, folders of pictures, and the paths of model and log."""

    name: str
    train: Path
    validation: Path | None
    model: Path
    log: Path


def stage(task: Task, work: Path) -> tuple[Path, float]:
    """Draw the pictures, unless an earlier run did; return their folder and the seconds. Raises BenchmarkError."""
    staged = work / task.name / "staged"
    options = ["--count", str(task.count), "--size", task.size, "--classes", *task.classes]
    command = [sys.executable, "-m", "training.stage_data", "synthetic", "--no-upload", "--out", str(staged), *options]
    start = time.monotonic()
    # Not captured: stage_data shows its progress.
    if subprocess.run(command, check=False).returncode:  # noqa: S603  our own
        raise BenchmarkError(f"The pictures of {task.name} could not be staged: see above.")
    return staged, time.monotonic() - start


def train(run: TrainingRun, options: Sequence[str], *, console: Console) -> float:
    """Train and return the seconds from start to end of the process. Raises BenchmarkError."""
    command = [sys.executable, str(SOURCE_DIR / "train.py"), "--train", str(run.train)]
    if run.validation:
        command += ["--validation", str(run.validation)]
    command += ["--model-dir", str(run.model), *options]
    run.log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with (
        run.log.open("w", encoding="utf-8") as file,
        progress_bar(console, run.name) as report,
        subprocess.Popen(  # noqa: S603  our own script
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        try:
            for text in process.stdout or ():
                file.write(text)
                if epoch := EPOCH_LINE.match(text):
                    report(int(epoch[1]), int(epoch[2]))
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode:
        last = "\n".join(run.log.read_text("utf-8").splitlines()[-LOG_LINES_SHOWN:])
        raise BenchmarkError(f"{command[1]} ended with {process.returncode}:\n{last}")
    return time.monotonic() - start


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return mean, standard deviation between the runs, least and most."""
    return {
        "mean": round(statistics.fmean(values), 4),
        "deviation": round(statistics.stdev(values), 4) if len(values) > 1 else 0.0,
        "least": min(values),
        "most": max(values),
    }


def median_and_range(values: Sequence[float], name: str, digits: int = 3) -> dict[str, float]:
    """Return the median of some runs as `name`, and the extremes as `name`_min and `name`_max."""
    found = {name: statistics.median(values), f"{name}_min": min(values), f"{name}_max": max(values)}
    return {key: round(value, digits) for key, value in found.items()}


def machine() -> str:
    """Name the processor and the number of usable cores."""
    return f"{platform.processor() or platform.machine()}, {usable_cores()} cores"
