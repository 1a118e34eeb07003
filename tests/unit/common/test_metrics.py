"""Metrics against values calculated by hand, or published."""

import pytest

from common.metrics import confusion_matrix, per_class, quantile, share, wilson_interval

TRUTH = ["a", "a", "a", "b", "b", "c"]
PREDICTED = ["a", "a", "b", "b", None, "a"]
CLASSES = ["a", "b", "c", "d"]


def test_confusion_matrix_has_true_rows_and_predicted_columns():
    assert confusion_matrix(TRUTH, PREDICTED, CLASSES) == [
        [2, 1, 0, 0],
        [0, 1, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_per_class_returns_the_metrics_of_each_class():
    figures = per_class(TRUTH, PREDICTED, CLASSES)

    assert figures["a"] == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "support": 3,
    }
    # The b without an answer counts against recall.
    assert figures["b"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert figures["c"] == {"precision": None, "recall": 0.0, "f1": 0.0, "support": 1}
    assert figures["d"] == {"precision": None, "recall": None, "f1": None, "support": 0}


def test_confusion_matrix_of_unequal_lists_fails():
    with pytest.raises(ValueError, match="zip"):
        confusion_matrix(["a"], [], ["a"])


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [  # the first two: Newcombe 1998, Statistics in Medicine 17, table I (method 3)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (29, 29, 0.8830, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_interval(hits, total, low, high):
    assert list(wilson_interval(hits, total)) == pytest.approx([low, high], abs=1e-4)


@pytest.mark.parametrize("total", [6, 21, 26, 30, 31, 105, 400])
def test_wilson_interval_contains_its_share(total):
    """A chart's error bars are the distances from the share, which must not be negative."""
    assert wilson_interval(0, total)[0] == 0
    assert wilson_interval(total, total)[1] == 1
    for hits in range(total + 1):
        low, high = wilson_interval(hits, total)
        assert 0 <= low <= hits / total <= high <= 1


def test_share_of_nothing_is_none():
    assert share(0, 0) is None
    assert share(1, 4) == 0.25


def test_quantile_interpolates():
    assert quantile([], 0.5) is None
    assert quantile([3], 0.9) == 3
    assert quantile([4, 1, 3, 2], 0.5) == 2.5
    assert quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 0.9) == 10
