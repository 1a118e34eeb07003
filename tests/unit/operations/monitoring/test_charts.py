"""Charts of the report: bars do not overlap, and class names appear unchanged."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from common.pages.charts import LIGHT
from operations.monitoring import charts
from tests.unit.operations.captures import BEGIN

DAY = timedelta(days=1)


@pytest.fixture
def drawn(monkeypatch):
    """Return a function that returns the axes of a chart instead of its picture."""

    def axes_of(make, *arguments):
        draws = []
        monkeypatch.setattr(charts, "chart", lambda draw, _: draws.append(draw))
        make(*arguments)
        axes = Figure(layout="constrained").subplots()
        draws[0](axes, LIGHT)
        return axes

    return axes_of


def period(start: datetime, **classes: int):
    return {"start": start.isoformat(), "predictions": sum(classes.values()), "classes": classes}


def days(*numbers: int):
    return [period(BEGIN + day * DAY, car=day % 2, van=1 - day % 2) for day in numbers]


@pytest.mark.parametrize("periods", [days(*range(180)), days(0, 1, 400), days(0, 90, 91, 500)])
def test_bars_never_overlap(drawn, periods):
    axes = drawn(charts.mix_over_time, periods, ["car", "van"], "day")

    for bars in axes.containers:
        edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars)
        assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(edges))
        assert all(end - start >= 1 - 1e-9 for start, end in edges)


def test_bars_far_apart_have_a_minimum_width(drawn):
    axes = drawn(charts.mix_over_time, days(0, 300, 600), ["car", "van"], "day")

    assert axes.containers[0][0].get_width() == pytest.approx(10)
    assert axes.containers[0][0].get_x() == pytest.approx(date2num(BEGIN))


def test_legend_has_every_class(drawn):
    names = ["_other", "van [old]", "__"]
    periods = [period(BEGIN, **dict.fromkeys(names, 3))]

    legend = drawn(charts.mix_over_time, periods, names, "day").get_legend()

    assert [text.get_text() for text in legend.get_texts()] == names
