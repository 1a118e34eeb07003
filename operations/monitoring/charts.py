"""The charts of a monitoring report, each with its figures in words."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np

from common.metrics import wilson_interval
from common.pages.charts import Theme, chart
from common.pages.formatting import count, number, percent
from operations.monitoring.periods import SECONDS, Length, moment
from operations.monitoring.predictions import Floats, Predictions

MOST_DOTS = 400  # of single answers: more would be a cloud, and a large page
NARROWEST = 1 / 60  # of the chart's width, for the bar of a period in a long time
FEATURE_BINS = 20

Period = Mapping[str, Any]  # one of monitor.json's `periods`


def confidence_over_time(
    predictions: Predictions, periods: Sequence[Period], length: Length, threshold: float, seed: int
) -> Any:
    """Draw a sample of the answers, each period's median and middle 80 %, and the threshold."""
    some = np.random.default_rng(seed).permutation(len(predictions))[:MOST_DOTS]
    times = [moment(time) for time in predictions.times[some]]
    confidences = predictions.confidences[some]
    began, ended = moment(predictions.times.min()), moment(predictions.times.max())
    middles, drawn = _with_gaps(periods, length)
    middles = [min(max(middle, began), ended) for middle in middles]

    def draw(axes: Any, theme: Theme) -> None:
        first, *_ = theme.series
        axes.plot(times, confidences, ".", color=first, alpha=0.35, markersize=4, mew=0)
        axes.fill_between(
            middles,
            [p["p10"] for p in drawn],
            [p["p90"] for p in drawn],
            color=first,
            alpha=0.2,
            lw=0,
        )
        axes.plot(middles, [p["median"] for p in drawn], "o-", color=first, ms=3.5, lw=1.5)
        axes.axhline(threshold, color=theme.accent, lw=1.5, ls="--")
        low = min(threshold, float(confidences.min()))
        axes.set_ylim(max(0.0, low - 0.05), 1.02)
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
    """Draw how many predictions there were in each period."""
    starts, width = _bars(periods, length)
    counts = [p["predictions"] for p in periods]

    def draw(axes: Any, theme: Theme) -> None:
        axes.bar(starts, counts, width, align="edge", color=theme.series[4])
        axes.set_ylabel(f"predictions per {length}")
        axes.yaxis.get_major_locator().set_params(integer=True)
        _time_axis(axes, [*starts, starts[-1] + width], length)

    return chart(
        draw,
        f"Predictions by {length}: from {count(min(counts))} to {count(max(counts))}, in"
        f" {_counted(len(periods), length)} with any.",
    )


def mix_over_time(periods: Sequence[Period], classes: Sequence[str], length: Length) -> Any:
    """Draw which share of each period's predictions each class has; `classes` fit the colors.

    What other classes have is left empty.
    """
    starts, width = _bars(periods, length)
    shares = {name: np.array([p["classes"].get(name, 0) / p["predictions"] for p in periods]) for name in classes}

    def draw(axes: Any, theme: Theme) -> None:
        below, bars = np.zeros(len(periods)), []
        for name, color, hatch in zip(classes, theme.series, HATCHES, strict=False):
            bars.append(
                axes.bar(
                    starts,
                    shares[name],
                    width,
                    below,
                    align="edge",
                    color=color,
                    hatch=hatch,
                    edgecolor=theme.ink,
                    lw=0,
                )
            )
            below = below + shares[name]
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(_percent)
        axes.set_ylabel("share of predictions")
        # Named one by one: by itself a legend leaves out a class called "_other".
        axes.legend(bars, classes, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
        _time_axis(axes, [*starts, starts[-1] + width], length)

    ranges = ", ".join(
        f"{name} {percent(float(values.min()))} to {percent(float(values.max()))}" for name, values in shares.items()
    )
    return chart(draw, f"Shares of the predicted classes by {length}: {ranges}.")


def class_histogram(name: str, counts: Sequence[int], edges: Sequence[float], threshold: float, place: int) -> Any:
    """Draw how sure the answers of one class are; `place` chooses its color."""

    def draw(axes: Any, theme: Theme) -> None:
        color = theme.series[place % len(theme.series)]
        axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=color)
        axes.axvline(threshold, color=theme.accent, lw=1.5, ls="--")
        low = next(edge for edge, found in zip(edges, counts, strict=False) if found)
        axes.set_xlim(min(low, threshold, 0.5), 1)
        axes.set_xlabel(f"confidence in {name}")
        axes.set_ylabel("predictions")
        axes.yaxis.get_major_locator().set_params(integer=True)

    total = sum(counts)
    sure = sum(found for edge, found in zip(edges, counts, strict=False) if edge >= 0.9 - 1e-9)
    return chart(
        draw,
        f"How sure the {count(total)} answers {name} are: {count(sure)} from .9 on,"
        f" {count(total - sure)} below; the threshold is {threshold:g}.",
    )


def distributions(name: str, unit: str, baseline: Floats, observed: Floats, sources: tuple[str, str]) -> Any:
    """Draw how a number is distributed in two samples, each with an area of 1."""
    both = np.concatenate([baseline, observed])
    low, high = np.quantile(both, (0.005, 0.995))  # one outlier must not squeeze all the others
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, FEATURE_BINS + 1)

    def draw(axes: Any, theme: Theme) -> None:
        for values, color, style, source in zip((baseline, observed), theme.series, ("--", "-"), sources, strict=False):
            counts, _ = np.histogram(np.clip(values, low, high), edges)
            shares = counts / max(1, len(values))
            axes.stairs(shares, edges, color=color, ls=style, lw=1.6, label=source)
            if style == "-":
                axes.stairs(shares, edges, color=color, fill=True, alpha=0.2)
        axes.yaxis.set_major_formatter(_percent)
        axes.set_ylabel("share of pictures")
        axes.set_xlabel(f"{name} ({unit})" if unit else name)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    return chart(
        draw,
        f"{name}: median {number(float(np.median(baseline)))} in {sources[0]},"
        f" {number(float(np.median(observed)))} in {sources[1]}.",
    )


HATCHES = ("", "///", "...", "\\\\\\", "xx", "++", "oo")  # so that color alone tells nothing


# Where nothing was asked, no line is drawn.
GAP: Period = dict.fromkeys(("p10", "median", "p90", "coverage"), math.nan)


def _with_gaps(periods: Sequence[Period], length: Length) -> tuple[list[datetime], list[Period]]:
    """Return the middle of each period and the periods, with GAP between those far apart."""
    half = moment(SECONDS[length] / 2) - moment(0)
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
    """Return where bars begin and how wide they are: to be seen, but none covers the next."""
    starts = [_start(period) for period in periods]
    own = moment(SECONDS[length]) - moment(0)
    wide = max(own, (starts[-1] - starts[0]) * NARROWEST)
    return starts, min([wide, *(after - before for before, after in pairwise(starts))])


def _start(period: Period) -> datetime:
    return datetime.fromisoformat(period["start"])


def _time_axis(axes: Any, times: Sequence[datetime], length: Length) -> None:
    from matplotlib import dates

    first, last = min(times), max(times)
    room = max((last - first) / 30, (moment(SECONDS[length]) - moment(0)) / 2)
    axes.set_xlim(first - room, last + room)
    locator = dates.AutoDateLocator(  # type: ignore[no-untyped-call]
        minticks=2, maxticks=6
    )
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    )
    axes.set_xlabel("time (UTC)", loc="left")  # the day comes at the right


def _percent(share: float, _: int) -> str:
    return f"{round(100 * share, 1):g}%"


def _counted(number_of: int, noun: str) -> str:
    return f"{count(number_of)} {noun}" + ("" if number_of == 1 else "s")
