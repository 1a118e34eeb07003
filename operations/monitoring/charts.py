"""The charts of a monitoring report, each with its figures as text."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from common.metrics import wilson_interval
from common.pages.charts import Theme, chart
from common.pages.formatting import count, number, percent
from operations.monitoring.figures import SECONDS, Length, moment
from operations.monitoring.predictions import Floats, Predictions

MOST_DOTS = 400  # more would overlap, and make a large page
NARROWEST = 1 / 60  # width of a bar, as a share of the chart's
FEATURE_BINS = 20
HATCHES = ("", "///", "...", "\\\\\\", "xx", "++", "oo")  # classes differ in more than color

Period = Mapping[str, Any]  # one of monitor.json's `periods`
# Between periods far apart, so that no line connects them.
GAP: Period = dict.fromkeys(("p10", "median", "p90", "coverage"), math.nan)


def confidence_over_time(
    predictions: Predictions, periods: Sequence[Period], length: Length, threshold: float, seed: int
) -> Any:
    """Draw a sample of the answers, each period's median and middle 80 %, and the threshold."""
    sample = np.random.default_rng(seed).permutation(len(predictions))[:MOST_DOTS]
    times = [moment(time) for time in predictions.times[sample]]
    confidences = predictions.confidences[sample]
    first, last = moment(predictions.times.min()), moment(predictions.times.max())
    middles, drawn = _with_gaps(periods, length)
    middles = [min(max(middle, first), last) for middle in middles]

    def draw(axes: Any, theme: Theme) -> None:
        color = theme.series[0]
        low, high = ([p[name] for p in drawn] for name in ("p10", "p90"))
        axes.plot(times, confidences, ".", color=color, alpha=0.35, markersize=4, mew=0)
        axes.fill_between(middles, low, high, color=color, alpha=0.2, lw=0)
        axes.plot(middles, [p["median"] for p in drawn], "o-", color=color, ms=3.5, lw=1.5)
        axes.axhline(threshold, color=theme.accent, lw=1.5, ls="--")
        axes.set_ylim(max(0.0, min(threshold, float(confidences.min())) - 0.05), 1.02)
        axes.annotate(
            f"threshold {threshold:g}",
            (0.02, threshold),
            xycoords=("axes fraction", "data"),
            xytext=(0, -3),
            textcoords="offset points",
            va="top",
            color=theme.accent,
            fontsize=8,
        )
        axes.set_ylabel("confidence")
        _time_axis(axes, times + middles, length)

    medians = [p["median"] for p in periods]
    return chart(
        draw,
        f"Confidence over time. The median of each {length} is between {number(min(medians))} and"
        f" {number(max(medians))}; the threshold is {threshold:g}.",
    )


def coverage_over_time(periods: Sequence[Period], length: Length) -> Any:
    """Draw the share of accepted answers of each period, with its 95 % interval."""
    shares = [p["coverage"] for p in periods]
    bounds = [wilson_interval(round(p["coverage"] * p["predictions"]), p["predictions"]) for p in periods]
    line, drawn = _with_gaps(periods, length)
    middles = [middle for middle, p in zip(line, drawn, strict=True) if p is not GAP]

    def draw(axes: Any, theme: Theme) -> None:
        color = theme.series[2]
        low = [max(0.0, share - bound[0]) for share, bound in zip(shares, bounds, strict=True)]
        high = [max(0.0, bound[1] - share) for share, bound in zip(shares, bounds, strict=True)]
        axes.errorbar(middles, shares, (low, high), fmt="o", color=color, ms=3.5, elinewidth=1)
        axes.plot(line, [p["coverage"] for p in drawn], color=color, lw=1.5)
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(_percent)
        axes.set_ylabel("accepted")
        _time_axis(axes, middles, length)

    return chart(
        draw,
        f"Share of answers that are accepted, by {length}: between {percent(min(shares))} and {percent(max(shares))}.",
    )


def volume_over_time(periods: Sequence[Period], length: Length) -> Any:
    """Draw the number of predictions in each period."""
    starts, width = _bars(periods, length)
    counts = [p["predictions"] for p in periods]

    def draw(axes: Any, theme: Theme) -> None:
        axes.bar(starts, counts, width, align="edge", color=theme.series[4])
        axes.set_ylabel(f"predictions per {length}")
        axes.yaxis.get_major_locator().set_params(integer=True)
        _time_axis(axes, [*starts, starts[-1] + width], length)

    return chart(
        draw, f"Predictions by {length}: from {count(min(counts))} to {count(max(counts))} in each {length} with any."
    )


def mix_over_time(periods: Sequence[Period], classes: Sequence[str], length: Length) -> Any:
    """Draw the share of each of `classes`, at most one per color, in each period's predictions."""
    starts, width = _bars(periods, length)
    shares = {name: np.array([p["classes"].get(name, 0) / p["predictions"] for p in periods]) for name in classes}

    def draw(axes: Any, theme: Theme) -> None:
        below, bars = np.zeros(len(periods)), []
        for name, color, hatch in zip(classes, theme.series, HATCHES, strict=False):
            style = {"color": color, "hatch": hatch, "edgecolor": theme.ink, "lw": 0}
            bars.append(axes.bar(starts, shares[name], width, below, align="edge", **style))
            below = below + shares[name]
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(_percent)
        axes.set_ylabel("share of predictions")
        # Named one by one: a legend omits labels that begin with "_".
        axes.legend(bars, classes, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
        _time_axis(axes, [*starts, starts[-1] + width], length)

    ranges = ", ".join(
        f"{name} {percent(float(values.min()))} to {percent(float(values.max()))}" for name, values in shares.items()
    )
    return chart(draw, f"Shares of the predicted classes by {length}: {ranges}.")


def class_histogram(name: str, counts: Sequence[int], edges: Sequence[float], threshold: float, rank: int) -> Any:
    """Draw the confidences of one class; `rank` chooses its color."""

    def draw(axes: Any, theme: Theme) -> None:
        color = theme.series[rank % len(theme.series)]
        axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=color)
        axes.axvline(threshold, color=theme.accent, lw=1.5, ls="--")
        low = next(edge for edge, found in zip(edges, counts, strict=False) if found)
        axes.set_xlim(min(low, threshold, 0.5), 1)
        axes.set_xlabel(f"confidence in {name}")
        axes.set_ylabel("predictions")
        axes.yaxis.get_major_locator().set_params(integer=True)

    total = sum(counts)
    high = sum(found for edge, found in zip(edges, counts, strict=False) if edge >= 0.9 - 1e-9)
    return chart(
        draw,
        f"Confidence of the {count(total)} answers {name}: {count(high)} from .9 on, {count(total - high)} below;"
        f" the threshold is {threshold:g}.",
    )


def distributions(name: str, unit: str, baseline: Floats, observed: Floats) -> Any:
    """Draw the distributions of a number in the baseline and the captured pictures, as shares."""
    both = np.concatenate([baseline, observed])
    low, high = np.quantile(both, (0.005, 0.995))  # without outliers, which would compress the rest
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, FEATURE_BINS + 1)

    def draw(axes: Any, theme: Theme) -> None:
        for values, color, style, source in (
            (baseline, theme.series[0], "--", "baseline"),
            (observed, theme.series[1], "-", "captured"),
        ):
            shares = np.histogram(np.clip(values, low, high), edges)[0] / len(values)
            axes.stairs(shares, edges, color=color, ls=style, lw=1.6, label=source)
        axes.stairs(shares, edges, color=color, fill=True, alpha=0.2)
        axes.yaxis.set_major_formatter(_percent)
        axes.set_ylabel("share of pictures")
        axes.set_xlabel(f"{name} ({unit})" if unit else name)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    return chart(
        draw,
        f"{name}: median {number(float(np.median(baseline)))} in the baseline,"
        f" {number(float(np.median(observed)))} in the captured calls.",
    )


def _with_gaps(periods: Sequence[Period], length: Length) -> tuple[list[datetime], list[Period]]:
    """Return the middle of each period and the periods, with GAP between those far apart."""
    half = timedelta(seconds=SECONDS[length] / 2)
    middles: list[datetime] = []
    drawn: list[Period] = []
    for period in periods:
        middle = _start(period) + half
        if middles and middle - middles[-1] > 3 * half:
            middles.append(middle - half)
            drawn.append(GAP)
        middles.append(middle)
        drawn.append(period)
    return middles, drawn


def _bars(periods: Sequence[Period], length: Length) -> tuple[list[datetime], Any]:
    """Return starts and width of bars: wide enough to be seen, but none covers the next."""
    starts = [_start(period) for period in periods]
    width = max(timedelta(seconds=SECONDS[length]), (starts[-1] - starts[0]) * NARROWEST)
    return starts, min([width, *(after - before for before, after in pairwise(starts))])


def _start(period: Period) -> datetime:
    return datetime.fromisoformat(period["start"])


def _time_axis(axes: Any, times: Sequence[datetime], length: Length) -> None:
    from matplotlib import dates

    first, last = min(times), max(times)
    room = max((last - first) / 30, timedelta(seconds=SECONDS[length] / 2))
    axes.set_xlim(first - room, last + room)
    locator: Any = dates.AutoDateLocator(minticks=2, maxticks=6)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("time (UTC)", loc="left")  # the day comes at the right


def _percent(share: float, _: int) -> str:
    return f"{round(100 * share, 1):g}%"
