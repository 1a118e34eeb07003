"""One monitoring run, from captured calls to the page: what `python -m operations.monitor` does."""

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from rich.console import Console

from common.progress import progress_bar
from common.reports import write_json
from operations.monitoring import publish
from operations.monitoring.capture_locations import Captures, FolderCaptures, S3Captures
from operations.monitoring.comparison import (
    Comparison,
    as_sample,
    compare_predictions,
    kept_sample,
)
from operations.monitoring.endpoint_facts import (
    Baseline,
    choose_baseline,
    choose_threshold,
    endpoint_captures,
)
from operations.monitoring.figures import summarise
from operations.monitoring.pictures import shown_pictures
from operations.monitoring.predictions import Predictions, Reading
from operations.monitoring.reading import read_captures
from operations.monitoring.report import PAGE, write_report
from operations.monitoring.show import show

FIGURES = "monitor.json"
# More connections than there are reads at a time; retries are for S3's "slow down".
READS = Config(max_pool_connections=32, retries={"mode": "standard", "total_max_attempts": 5})


@dataclass(frozen=True)
class MonitoringRun:
    """A run with its command line; every method may raise ExpectedError and AWS's own errors."""

    arguments: argparse.Namespace
    console: Console
    session: Any

    def captures(self, place: str | None) -> Captures:
        """Return the captures at a place, the endpoint's own where it is None."""
        if place is not None and not place.startswith("s3://"):
            return FolderCaptures(Path(place))
        own = endpoint_captures(self.session, self.arguments.endpoint)
        place = place or own
        # Nothing at the endpoint's own place is no mistake: it may not have been asked yet.
        expected = own.startswith(f"{place.rstrip('/')}/")
        return S3Captures(self.session.client("s3", config=READS), place, expected)

    def read(self, captures: Captures, title: str, *, all_times: bool = False) -> Reading:
        """Read captures, those of the time asked for or of all times."""
        with progress_bar(self.console, title, transfer=True) as report:
            return read_captures(
                captures,
                class_names=self.arguments.class_names,
                since=None if all_times else self.arguments.since,
                until=None if all_times else self.arguments.until,
                processes=self.arguments.processes,
                report=report,
            )

    def baseline(self) -> Baseline:
        """Return what to compare with."""
        place = self.arguments.baseline_captures
        if place is None:
            return choose_baseline(self.session, self.arguments.endpoint, self.arguments.baseline)
        fine = self.read(self.captures(place), "Baseline", all_times=True)
        sample = as_sample(fine.predictions.without_repeats(), "the baseline's captures")
        return Baseline(sample, place)

    def compare(self, captures: Captures, reading: Reading, predictions: Predictions, baseline: Baseline) -> Comparison:
        """Compare predictions of a reading, which are without repeats."""
        with progress_bar(self.console, "Pictures seen again") as report:
            return compare_predictions(
                captures,
                reading,
                predictions,
                baseline=baseline,
                seed=self.arguments.seed,
                report=report,
            )

    def publish(self, captures: Captures, reading: Reading, threshold: float, baseline: Baseline) -> str:
        """Publish the newest full hour's metrics; return in a sentence what was done."""
        try:
            hour = publish.newest_hour(reading, since=self.arguments.since, until=self.arguments.until)
        except publish.NothingToPublishError as error:
            return str(error)
        drift = self.compare(captures, reading, hour.day.without_repeats(), baseline).drift
        metrics = publish.hour_metrics(hour, reading, threshold, drift, self.arguments.endpoint)
        namespace = self.arguments.stack_name
        words = f"metrics of the hour {hour.start:%Y-%m-%d %H:00} UTC in the namespace {namespace}"
        if publish.publish(self.session.client("cloudwatch"), namespace, metrics):
            return f"Published {len(metrics)} {words}."
        return f"CloudWatch has the {words} already: nothing was added."


def monitor(arguments: argparse.Namespace, console: Console, written: list[str]) -> None:
    """Do what the command line says; add to `written` the name of each file that is.

    Raises ExpectedError, ClientError, BotoCoreError, OSError.
    """
    run = MonitoringRun(arguments, console, boto3.Session())
    captures = run.captures(arguments.captures)
    reading = run.read(captures, "Captures")
    predictions = reading.predictions
    threshold = choose_threshold(run.session, arguments.stack_name, arguments.endpoint, arguments.threshold)
    baseline = run.baseline()
    distinct = predictions.without_repeats()
    comparison = run.compare(captures, reading, distinct, baseline)
    with progress_bar(console, "Pictures shown") as report:
        pictures = shown_pictures(
            captures,
            reading,
            threshold.value,
            most=arguments.sample,
            seed=arguments.seed,
            report=report,
        )
    repeated = len(predictions) - len(distinct)
    figures = {
        "captures": captures.location,
        "endpoint": arguments.endpoint,
        "generated": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        **summarise(reading, threshold.value),
        "repeated": repeated,
        "threshold_source": threshold.source,
        "pictures": {name: [shown.facts() for shown in some] for name, some in pictures.items()},
        **comparison.figures(),
        **kept_sample(comparison, distinct, arguments.seed),
    }
    if repeated:
        figures["drift"]["notes"].append(
            f"{repeated:,} predictions are of calls that were tried again, and count once here."
        )
    write_report(
        arguments.out,
        figures,
        pictures,
        comparison,
        predictions=predictions,
        seed=arguments.seed,
    )
    written.append(PAGE)
    write_json(arguments.out / FIGURES, figures)
    written.append(FIGURES)
    show(console, figures)
    # Before anything is published, which may be refused: the report is there all the same.
    console.print(f"Wrote {' and '.join(written)} to {arguments.out}", markup=False, soft_wrap=True)
    if arguments.publish:
        words = run.publish(captures, reading, threshold.value, baseline)
        console.print(words, markup=False, soft_wrap=True)
