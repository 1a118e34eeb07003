"""The report's figures, compared with a second computation from the captured lines."""

import json
import statistics
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

import pytest

from operations.monitoring.captured_pictures import at_random, lowest
from operations.monitoring.figures import period_length, summarise
from tests.unit.operations.captures import BEGIN, line, named, read, write, write_hours

THRESHOLD = 0.9


def answers(folder):
    """Yield (time, label, confidence) of each line, read without the code under test."""
    for path in sorted(folder.rglob("*.jsonl")):
        for text in path.read_text().splitlines():
            value = json.loads(text)
            answer = json.loads(value["captureData"]["endpointOutput"]["data"])
            confidence, label = max(zip(answer["probabilities"], answer["labels"], strict=True))
            yield value["eventMetadata"]["inferenceTime"], label, confidence


def test_figures_equal_those_of_the_lines_and_periods(tmp_path):
    write_hours(tmp_path)
    expected = list(answers(tmp_path))
    confidences = [confidence for _, _, confidence in expected]

    figures = summarise(read(tmp_path), THRESHOLD)

    assert figures["files"] == 5
    assert figures["lines"] == figures["predictions"] == len(expected) == 60
    assert figures["damaged"] == figures["refused"] == figures["outside"] == 0
    assert figures["classes"] == Counter(label for _, label, _ in expected)
    assert figures["first"] == min(time for time, _, _ in expected)
    assert figures["last"] == max(time for time, _, _ in expected)
    accepted = sum(confidence >= THRESHOLD for confidence in confidences)
    assert figures["accepted"] == accepted
    assert figures["coverage"] == pytest.approx(accepted / 60)
    assert figures["mean_confidence"] == pytest.approx(statistics.fmean(confidences))
    assert figures["median_confidence"] == pytest.approx(statistics.median(confidences))
    for label, facts in figures["class_figures"].items():
        own = [confidence for _, name, confidence in expected if name == label]
        assert facts["predictions"] == len(own)
        assert facts["share"] == pytest.approx(len(own) / 60)
        assert facts["accepted"] == sum(confidence >= THRESHOLD for confidence in own)
        assert facts["mean_confidence"] == pytest.approx(statistics.fmean(own))
        assert sum(facts["histogram"]) == len(own)
        for count, (low, high) in zip(facts["histogram"], pairwise(figures["histogram_edges"]), strict=True):
            inside = sum(low <= c < high for c in own)
            assert abs(count - inside) <= sum(abs(c - e) < 1e-9 for c in own for e in (low, high))

    hours = defaultdict(list)
    for time, label, confidence in expected:
        hours[time[:13]].append((label, confidence))
    assert figures["period"] == "hour"
    assert [period["start"] for period in figures["periods"]] == [f"{h}:00:00Z" for h in hours]
    for period, own in zip(figures["periods"], hours.values(), strict=True):
        confidences = [confidence for _, confidence in own]
        assert period["predictions"] == len(own)
        assert period["coverage"] == pytest.approx(sum(c >= THRESHOLD for c in confidences) / len(own))
        assert period["mean_confidence"] == pytest.approx(statistics.fmean(confidences))
        assert period["median"] == pytest.approx(statistics.median(confidences))
        assert {name: n for name, n in period["classes"].items() if n} == Counter(label for label, _ in own)


@pytest.mark.parametrize(
    ("span", "length"),
    [
        (timedelta(0), "minute"),
        (timedelta(minutes=89), "minute"),
        (timedelta(minutes=91), "hour"),
        (timedelta(hours=71), "hour"),
        (timedelta(days=4), "day"),
        (timedelta(days=900), "day"),
    ],
)
def test_period_length_follows_the_span(tmp_path, span, length):
    write(tmp_path, [line([0.2, 0.8]), line([0.2, 0.8], time=BEGIN + span)])

    assert period_length(read(tmp_path).predictions.times) == length


def test_figures_without_lines_are_none(tmp_path):
    figures = summarise(read(tmp_path), THRESHOLD)

    assert figures["lines"] == figures["predictions"] == figures["damaged"] == 0
    for name in ("coverage", "mean_confidence", "median_confidence", "first", "last"):
        assert figures[name] is None
    assert figures["periods"] == []
    json.dumps(figures, allow_nan=False)


def test_lowest_sorts_by_confidence_then_newest(tmp_path):
    later = BEGIN + timedelta(minutes=5)
    times = {0.9: BEGIN, 0.6: BEGIN, 0.4: later, 0.7: BEGIN}
    write(tmp_path, [line(named(car=car, van=1 - car), time=time) for car, time in times.items()])

    assert lowest(read(tmp_path).predictions, 3).tolist() == [2, 1, 3]


def test_random_sample_depends_on_the_seed_alone(tmp_path):
    write_hours(tmp_path)
    predictions = read(tmp_path).predictions
    sample = at_random(predictions, 9, 1).tolist()

    assert sample == at_random(predictions, 9, 1).tolist()
    assert sample != at_random(predictions, 9, 2).tolist()
    assert len(set(sample)) == 9
    assert at_random(predictions, 1000, 1).tolist() == list(range(60))
