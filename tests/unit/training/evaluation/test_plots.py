"""The plots of an evaluation."""

import errno
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from common.pages.charts import LIGHT
from training.container.picture_model.calibration import recommend_threshold
from training.evaluation.plots.confusion import MOST_WITH_NUMBERS, draw_confusion, plot_confusion
from training.evaluation.plots.plot_file import new_figure, write_figure
from training.evaluation.plots.reliability import draw_reliability, plot_reliability
from training.evaluation.plots.risk_coverage import MOST_POINTS, Answers, draw_risk_coverage, plot_risk_coverage

CONFIDENCES = [0.5 + n / 1000 for n in range(500)]
CORRECT = [n % 50 > 0 for n in range(500)]


def size(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.size


@pytest.mark.parametrize(
    "names",
    [*([f"class {number}" for number in range(count)] for count in (2, 5, 30)), ["a_$1_to_$2", r"$\frac$"]],
    ids=["2", "5", "30", "names like formulas"],
)
def test_confusion_matrix_with_any_classes_is_written(tmp_path, names):
    matrix = [[10 * (i == j) + 1 for j in range(len(names))] for i in range(len(names))]
    plot_confusion(matrix, names, "title", tmp_path / "m.png")

    assert min(size(tmp_path / "m.png")) > 400


@pytest.mark.parametrize("classes", [3, 15, 16, 40, 100])
def test_confusion_matrix_with_many_classes_has_no_overlapping_labels(classes):
    figure = Figure(figsize=(12, 10.2), layout="constrained")  # as large as it gets on a page
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    matrix = [[i == j for j in range(classes)] for i in range(classes)]
    draw_confusion(axes, LIGHT, matrix, [f"vehicle {n}" for n in range(classes)])
    figure.draw_without_rendering()
    below = [label.get_window_extent() for label in axes.get_xticklabels()]
    beside = [label.get_window_extent() for label in axes.get_yticklabels()]
    if classes > MOST_WITH_NUMBERS:  # upright; slanted ones overlap by their frames alone
        assert all(a.x1 <= b.x0 for a, b in pairwise(below))
    assert all(b.y1 <= a.y0 for a, b in pairwise(beside))


@pytest.mark.parametrize("max_error", [0.05, 0.001], ids=["met", "not met"])
def test_risk_coverage_shows_the_numbers_of_the_recommendation(max_error):
    held_out = Answers("cross-validation", CONFIDENCES, CORRECT)
    split = Answers("test split", CONFIDENCES[::5], CORRECT[::5])
    found = recommend_threshold(CONFIDENCES, CORRECT, max_error)

    axes: Any = Figure().subplots()
    draw_risk_coverage(axes, LIGHT, held_out=held_out, split=split, threshold=found.threshold, recommendation=found)
    axes.legend()
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "cross-validation: 500 pictures" in texts
    assert "test split: 100 pictures" in texts
    assert f"wanted: at most {100 * max_error:g}%" in texts
    assert f"at {found.threshold:g}: {found.accepted} accepted, {found.errors} wrong" in texts
    # The point of the held-out pictures is that of the recommendation.
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert dots[0].get_xdata() == [found.coverage]
    assert dots[0].get_ydata() == [found.errors / found.accepted]


@pytest.mark.parametrize("points", [1, 2, MOST_POINTS, MOST_POINTS + 1, 10 * MOST_POINTS - 1])
def test_risk_coverage_of_any_length_ends_at_full_coverage(points):
    axes: Any = Figure().subplots()
    answers = Answers("test", [0.5 + n / 10000 for n in range(points)], [n > 0 for n in range(points)])
    draw_risk_coverage(axes, LIGHT, held_out=None, split=answers, threshold=0.5, recommendation=None)
    curve, _dot = axes.get_lines()
    assert len(curve.get_xdata()) <= MOST_POINTS + 1
    assert (curve.get_xdata()[-1], curve.get_ydata()[-1]) == (1, 1 / points)


@pytest.mark.parametrize(
    "answers",
    [([0.0, 0.0], [True, False]), ([1.0] * 30, [True] * 30), ([0.7], [False])],
    ids=["only ties", "all certain and right", "one that is wrong"],
)
def test_plots_of_extreme_answers_are_written(tmp_path, answers):
    plot_risk_coverage(None, Answers("test", *answers), 0.9, None, tmp_path / "risk.png")
    confidences, correct = answers
    plot_reliability(confidences, correct, "title", None, tmp_path / "reliability.png")

    assert min(size(tmp_path / "risk.png")) > 400
    assert min(size(tmp_path / "reliability.png")) > 400


@pytest.mark.parametrize("right", [True, False], ids=["all right", "all wrong"])
def test_reliability_of_bins_of_any_size_is_drawn(right):
    axes: Any = Figure().subplots()
    for pictures in range(1, 41):
        axes.clear()
        draw_reliability(axes, LIGHT, [0.9] * pictures, [right] * pictures)
        [bars] = axes.containers
        assert bars.lines[0].get_ydata() == [right]


def plotted_reliability(monkeypatch, confidences, correct, interval):
    """Return the axes of the figure that plot_reliability writes."""
    figures = []
    monkeypatch.setattr("training.evaluation.plots.reliability.write_figure", lambda figure, _: figures.append(figure))
    plot_reliability(confidences, correct, "t", interval, Path("r.png"))
    return figures[0].axes


def test_reliability_without_an_answer_says_so(monkeypatch):
    axes, _ = plotted_reliability(monkeypatch, [], [], None)
    assert axes.get_title() == "t\nno picture got an answer"


def test_reliability_shows_bins_and_their_intervals(monkeypatch):
    axes, below = plotted_reliability(monkeypatch, CONFIDENCES, CORRECT, (0.1, 0.3))
    assert "(95 %: 0.100 to 0.300)" in axes.get_title()
    assert "pictures in the bins: 100, 100, 100, 100, 100" in axes.get_title()
    [bars] = axes.containers
    assert len(bars.lines[0].get_xdata()) == 5
    assert sum(patch.get_height() for patch in below.patches) == 500


def test_write_figure_on_a_full_disk_keeps_the_old_file(tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(b"old")
    figure, _axes = new_figure(4, 4)
    saved = figure.savefig

    def fill_the_disk(new, **options):
        saved(new, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    figure.savefig = fill_the_disk
    with pytest.raises(OSError, match="No space left"):
        write_figure(figure, path)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"old"
