"""One run of `python -m operations.monitor`, from captured calls to the page."""

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
from operations.monitoring.captured_pictures import shown_pictures
from operations.monitoring.comparison import Comparison, as_sample, compare_predictions, kept_sample
from operations.monitoring.endpoint_facts import Baseline, choose_baseline, choose_threshold, endpoint_captures
from operations.monitoring.figures import summarise
from operations.monitoring.predictions import Predictions, Reading
from operations.monitoring.reading import read_captures
from operations.monitoring.report import PAGE, write_report
from operations.monitoring.show import show

FIGURES = "monitor.json"
# More connections than there are reads at a time; retries are for S3's "slow down".
S3_CONFIG = Config(max_pool_connections=32, retries={"mode": "standard", "total_max_attempts": 5})


@dataclass(frozen=True)
class MonitoringRun:
    """A run with its command line; every method may raise ExpectedError and AWS's own errors."""

    arguments: argparse.Namespace
    console: Console
    session: Any

    def captures(self, location: str | None) -> Captures:
        """Return the captures at a location, or the endpoint's own."""
        if location is not None and not location.startswith("s3://"):
            return FolderCaptures(Path(location))
        own = endpoint_captures(self.session, self.arguments.endpoint)
        location = location or own
        # An endpoint that was never invoked has no captures, which is not an error.
        may_be_empty = own.startswith(f"{location.rstrip('/')}/")
        return S3Captures(self.session.client("s3", config=S3_CONFIG), location, may_be_empty)

    def read(self, captures: Captures, title: str, **period: datetime | None) -> Reading:
        """Read captures; `period` is `since` and `until`."""
        with progress_bar(self.console, title, transfer=True) as report:
            return read_captures(
                captures,
                class_names=self.arguments.class_names,
                processes=self.arguments.processes,
                report=report,
                **period,
            )

    def baseline(self) -> Baseline:
        """Return what to compare with."""
        location = self.arguments.baseline_captures
        if location is None:
            return choose_baseline(self.session, self.arguments.endpoint, self.arguments.baseline)
        predictions = self.read(self.captures(location), "Baseline").predictions
        return Baseline(as_sample(predictions.without_repeats(), "the baseline's captures"), location)

    def compare(self, captures: Captures, reading: Reading, predictions: Predictions, baseline: Baseline) -> Comparison:
        """Compare predictions of a reading, which must be without repeats."""
        with progress_bar(self.console, "Classify again") as report:
            return compare_predictions(
                captures, reading, predictions, baseline=baseline, seed=self.arguments.seed, report=report
            )

    def publish(self, captures: Captures, reading: Reading, threshold: float, baseline: Baseline) -> str:
        """Publish the newest full hour's metrics; return the result as a sentence."""
        try:
            hour = publish.newest_hour(reading, since=self.arguments.since, until=self.arguments.until)
        except publish.NothingToPublishError as error:
            return str(error)
        drift = self.compare(captures, reading, hour.day.without_repeats(), baseline).drift
        metrics = publish.hour_metrics(hour, reading, threshold, drift, self.arguments.endpoint)
        namespace = self.arguments.stack_name
        what = f"metrics of the hour {hour.start:%Y-%m-%d %H:00} UTC in the namespace {namespace}"
        if publish.publish(self.session.client("cloudwatch"), namespace, metrics):
            return f"Published {len(metrics)} {what}."
        return f"CloudWatch has the {what} already: nothing was added."


def monitor(arguments: argparse.Namespace, console: Console, written: list[str]) -> None:
    """Write the report, and publish metrics if requested; add the name of each written file to `written`.

    Raises ExpectedError, ClientError, BotoCoreError, OSError.
    """
    run = MonitoringRun(arguments, console, boto3.Session())
    captures = run.captures(arguments.captures)
    reading = run.read(captures, "Captures", since=arguments.since, until=arguments.until)
    predictions = reading.predictions
    threshold, source = choose_threshold(run.session, arguments.stack_name, arguments.endpoint, arguments.threshold)
    baseline = run.baseline()
    distinct = predictions.without_repeats()
    comparison = run.compare(captures, reading, distinct, baseline)
    with progress_bar(console, "Pictures shown") as report:
        pictures = shown_pictures(
            captures, reading, threshold, most=arguments.sample, seed=arguments.seed, report=report
        )
    repeated = len(predictions) - len(distinct)
    figures = {
        "captures": captures.location,
        "endpoint": arguments.endpoint,
        "generated": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        **summarise(reading, threshold),
        "repeated": repeated,
        "threshold_source": source,
        "pictures": {name: [picture.facts for picture in shown] for name, shown in pictures.items()},
        **comparison.figures(),
        **kept_sample(comparison, distinct, arguments.seed),
    }
    if repeated:
        figures["drift"]["notes"].append(
            f"{repeated:,} predictions are of repeated calls, and count once in this comparison."
        )
    write_report(arguments.out, figures, pictures, comparison, predictions=predictions, seed=arguments.seed)
    written.append(PAGE)
    write_json(arguments.out / FIGURES, figures)
    written.append(FIGURES)
    show(console, figures)
    # Before publishing, which may be refused: the report is written all the same.
    console.print(f"Wrote {' and '.join(written)} to {arguments.out}", markup=False, soft_wrap=True)
    if arguments.publish:
        result = run.publish(captures, reading, threshold, baseline)
        console.print(result, markup=False, soft_wrap=True)
