"""The plots: of any size, of nothing at all, and whole or not there."""

import errno
from itertools import pairwise
from typing import Any

import pytest
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from common.pages.charts import LIGHT
from training.container.picture_model.calibration import recommend_threshold
from training.evaluation.plots.confusion import MOST_WITH_NUMBERS, draw_confusion, plot_confusion
from training.evaluation.plots.plot_file import new_figure, write_figure
from training.evaluation.plots.reliability import draw_reliability, plot_reliability
from training.evaluation.plots.risk_coverage import (
    MOST_POINTS,
    Answers,
    draw_risk_coverage,
    plot_risk_coverage,
)

CONFIDENCES = [0.5 + n / 1000 for n in range(500)]
CORRECT = [n % 50 > 0 for n in range(500)]


def size(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.size


@pytest.mark.parametrize("classes", [2, 5, 30])
def test_the_confusion_matrix_is_written_for_any_number_of_classes(tmp_path, classes):
    names = [f"class {number}" for number in range(classes)]
    matrix = [[10 * (i == j) + 1 for j in range(classes)] for i in range(classes)]
    plot_confusion(matrix, names, "title", tmp_path / "m.png")

    assert min(size(tmp_path / "m.png")) > 400


def test_a_class_name_is_no_formula(tmp_path):
    names = ["a_$1_to_$2", r"$\frac$"]
    plot_confusion([[1, 0], [0, 1]], names, "title", tmp_path / "m.png")

    assert min(size(tmp_path / "m.png")) > 300


@pytest.mark.parametrize("classes", [3, 15, 16, 40, 100])
def test_names_of_many_classes_do_not_run_into_each_other(classes):
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


def drawn(monkeypatch, plot):
    """Return the axes of the figure that `plot` writes."""
    kept = []
    for module in ("risk_coverage", "reliability"):
        monkeypatch.setattr(
            f"training.evaluation.plots.{module}.write_figure",
            lambda figure, _: kept.append(figure),
        )
    plot()
    [figure] = kept
    return figure.axes


@pytest.mark.parametrize("max_error", [0.05, 0.001], ids=["met", "not met"])
def test_curves_threshold_and_wanted_rate_are_drawn_from_the_recommendations_numbers(monkeypatch, tmp_path, max_error):
    held_out = Answers("cross-validation", CONFIDENCES, CORRECT)
    split = Answers("test split", CONFIDENCES[::5], CORRECT[::5])
    found = recommend_threshold(CONFIDENCES, CORRECT, max_error)

    def plot():
        plot_risk_coverage(held_out, split, found.threshold, found, tmp_path / "r.png")

    [axes] = drawn(monkeypatch, plot)
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "cross-validation: 500 pictures" in texts
    assert "test split: 100 pictures" in texts
    assert f"wanted: at most {100 * max_error:g}%" in texts
    assert f"at {found.threshold:g}: {found.accepted} accepted, {found.errors} wrong" in texts
    # The dot of the held-out pictures is where the recommendation says.
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert dots[0].get_xdata() == [found.coverage]
    assert dots[0].get_ydata() == [found.errors / found.accepted]


@pytest.mark.parametrize("points", [1, 2, MOST_POINTS, MOST_POINTS + 1, 10 * MOST_POINTS - 1])
def test_a_curve_of_any_length_ends_where_all_are_accepted(points):
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
def test_odd_answers_are_drawn_too(tmp_path, answers):
    plot_risk_coverage(None, Answers("test", *answers), 0.9, None, tmp_path / "risk.png")
    confidences, correct = answers
    plot_reliability(confidences, correct, "title", None, tmp_path / "reliability.png")

    assert min(size(tmp_path / "risk.png")) > 400
    assert min(size(tmp_path / "reliability.png")) > 400


@pytest.mark.parametrize("right", [True, False], ids=["all right", "all wrong"])
def test_bins_of_any_size_are_drawn(right):
    axes: Any = Figure().subplots()
    for pictures in range(1, 41):
        axes.clear()
        draw_reliability(axes, LIGHT, [0.9] * pictures, [right] * pictures)
        [bars] = axes.containers
        assert bars.lines[0].get_ydata() == [right]


def test_a_split_without_an_answer_is_called_so(monkeypatch, tmp_path):
    axes, _ = drawn(monkeypatch, lambda: plot_reliability([], [], "t", None, tmp_path / "r.png"))
    assert axes.get_title() == "t\nno picture got an answer"


def test_the_reliability_diagram_shows_bins_and_their_intervals(monkeypatch, tmp_path):
    axes, below = drawn(
        monkeypatch,
        lambda: plot_reliability(CONFIDENCES, CORRECT, "t", (0.1, 0.3), tmp_path / "r.png"),
    )
    assert "(95 %: 0.100 to 0.300)" in axes.get_title()
    assert "pictures in the bins: 100, 100, 100, 100, 100" in axes.get_title()
    [bars] = axes.containers
    assert len(bars.lines[0].get_xdata()) == 5
    assert sum(patch.get_height() for patch in below.patches) == 500


class Unwilling(Artist):
    """What fails only when it is drawn."""

    def draw(self, renderer: Any) -> None:  # noqa: ARG002  as matplotlib calls it
        raise ValueError("nonsense")


def test_a_plot_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(b"old")
    figure, axes = new_figure(4, 4)
    axes.add_artist(Unwilling())
    with pytest.raises(ValueError, match="nonsense"):
        write_figure(figure, path)
    assert path.read_bytes() == b"old"


def test_a_plot_that_breaks_on_a_full_disk_leaves_nothing(tmp_path):
    figure, _axes = new_figure(4, 4)
    saved = figure.savefig

    def fill_the_disk(path, **options):
        saved(path, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    figure.savefig = fill_the_disk
    with pytest.raises(OSError, match="No space left"):
        write_figure(figure, tmp_path / "m.png")
    assert [*tmp_path.iterdir()] == []
