"""The evaluation: predictions with retries, figures, and the command."""

import io
import json
import math
import threading
import time
from collections import Counter
from pathlib import Path
from threading import Event
from unittest.mock import ANY, Mock

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from PIL import Image

from common import settings
from common.endpoint_answer import AnswerError, read_answer
from tests.unit.aws_stubs import Body, StubbedSession, allow_unused_responses, client_error, stubbed
from tests.unit.training.model_archives import MODEL_DATA, add_served_model, held_out, model_archive
from training import stage_data
from training.evaluate import default_class_names, main
from training.evaluation import predictions as predictions_module
from training.evaluation.pictures import SplitError, staged_pictures
from training.evaluation.predictions import (
    EndpointNotFoundError,
    EndpointPrediction,
    UnknownTruthError,
    predict,
    predict_all,
)
from training.evaluation.summary import acceptable, calibration_error_of_luck, summarise


def named(**probabilities):
    return json.dumps({"labels": [*probabilities], "probabilities": [*probabilities.values()]}).encode()


RIGHT = named(car=0.75, van=0.25)


@pytest.mark.parametrize(
    ("body", "classes", "message"),
    [
        (b"<html>", None, "not JSON"),
        (b'"car"', ["car", "van"], "not probabilities"),
        (b"[0.9, 0.2]", ["car", "van"], "not probabilities"),
        (b"[NaN, 1.0]", ["car", "van"], "not probabilities"),
        (b"[1.5, -0.5]", ["car", "van"], "not probabilities"),
        (b"[true, false]", ["car", "van"], "not probabilities"),
        (b"[]", [], "not probabilities"),
        (b"{}", ["car", "van"], "not probabilities"),
        (b"[0.9, 0.1]", None, "give its classes with --class-names"),
        (b"[0.9, 0.1]", ["car", "van", "bus"], "2 probabilities for the classes car, van, bus"),
        (b"[0.9, 0.1]", ["car", "car"], "no label could be trusted"),
        (b'{"labels": ["car"], "probabilities": [0.9, 0.1]}', ["car", "van"], "for the classes car"),
        (b'{"labels": [1, 2], "probabilities": [0.9, 0.1]}', None, "labels are not texts"),
    ],
)
def test_read_answer_with_an_invalid_answer_fails(body, classes, message):
    with pytest.raises(AnswerError, match=message):
        read_answer(body, classes)


@pytest.mark.parametrize(
    ("body", "classes"),
    [(named(van=0.3, car=0.7), ["car", "van"]), (b"[0.3, 0.7]", ["van", "car"])],
    ids=["labels of the answer win", "bare list"],
)
def test_read_answer_returns_probabilities_by_class(body, classes):
    assert read_answer(body, classes) == {"van": 0.3, "car": 0.7}


def ask(runtime, stop=None):
    return predict(runtime, "e", ("test/car/a.png", "car", b"png"), None, stop or Event())


@pytest.mark.parity("invoke-not-found", "sts-identity")
@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("AccessDeniedException", ClientError, "AccessDenied"),
        ("ExpiredTokenException", ClientError, "ExpiredToken"),
        ("ValidationError", EndpointNotFoundError, r"run `python -m training\.create_endpoint`"),
    ],
)
def test_predict_with_an_error_that_concerns_all_pictures_raises_it(code, error, message):
    runtime, stubber = stubbed("sagemaker-runtime")
    stubber.add_client_error("invoke_endpoint", code, "Endpoint e of account 123456789012 not found.")
    with pytest.raises(error, match=message):
        ask(runtime)


def test_predict_with_a_class_unknown_to_the_endpoint_fails():
    runtime, stubber = stubbed("sagemaker-runtime")
    stubber.add_response("invoke_endpoint", {"Body": Body(named(bus=0.5, van=0.5))})

    with pytest.raises(UnknownTruthError, match=r"knows the classes bus, van, and .* of class car"):
        ask(runtime)


class Runtime:
    """Answers by the picture's bytes: with an answer, an error, or the errors of a list before RIGHT.

    Counts the tries of each picture and how many calls run at a time.
    """

    def __init__(self, answers, concurrency):
        self.answers, self.concurrency = answers, concurrency
        self.tries: Counter[bytes] = Counter()
        self.running = self.most = 0
        self.lock = threading.Lock()
        self.all_running = threading.Barrier(concurrency, timeout=10)

    def invoke_endpoint(self, Body, **_):  # noqa: N803  boto3's name
        with self.lock:
            self.tries[Body] += 1
            first = self.tries.total() <= self.concurrency
            self.running += 1
            self.most = max(self.most, self.running)
        if first:
            self.all_running.wait()  # breaks unless as many calls run together
        with self.lock:
            self.running -= 1
        answer = self.answers[Body.decode()]
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else RIGHT
        if isinstance(answer, Exception):
            raise answer
        return {"Body": io.BytesIO(answer)}


def failing(*errors):
    return Runtime({"png": [*errors]}, concurrency=1)


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(predictions_module, "LONGEST_PAUSE_S", 0)


def busy(code, status):
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "InvokeEndpoint")  # type: ignore[arg-type]  # as much as is read


URL = {"endpoint_url": "http://e"}
BROKEN = [
    ReadTimeoutError(**URL),
    ConnectTimeoutError(**URL),
    EndpointConnectionError(**URL),
    ConnectionClosedError(**URL),
    ResponseStreamingError(error="reset"),
    IncompleteReadError(actual_bytes=1, expected_bytes=2),
]
BUSY = [
    busy("ThrottlingException", 400),
    busy("ModelNotReadyException", 429),
    busy("ServiceUnavailable", 503),
    busy("InternalFailure", 500),
]


@pytest.mark.parity("invoke-busy")
@pytest.mark.parametrize(
    ("error", "tries"),
    [*((error, 2) for error in BROKEN), *((error, 8) for error in BUSY)],
    ids=lambda value: str(value)[:60],
)
def test_predict_retries_a_transient_error(no_pause, error, tries):
    runtime = failing(*[error] * 99)
    prediction = ask(runtime)

    assert (prediction.label, prediction.error, runtime.tries.total()) == (None, str(error), tries)
    assert ask(failing(*[error] * (tries - 1))).label == "car"


PERMANENT = [busy("ModelError", 424), busy("ValidationError", 424)]  # without a message, too


@pytest.mark.parametrize("errors", [PERMANENT[:1], PERMANENT[1:], [BUSY[0], PERMANENT[0]]], ids=str)
def test_predict_does_not_retry_a_permanent_error(no_pause, errors):
    runtime = failing(*errors, *errors[-1:] * 99)
    prediction = ask(runtime)

    assert (prediction.label, prediction.error, runtime.tries.total()) == (None, str(errors[-1]), len(errors))


def test_predict_after_ctrl_c_does_not_retry():
    runtime, stop = failing(*[BUSY[0]] * 99), Event()
    stop.set()

    assert ask(runtime, stop).label is None
    assert runtime.tries.total() == 1


def ask_all(runtime, names, report):
    pictures = [(f"test/car/{name}.png", "car", name.encode()) for name in names]
    return predict_all(runtime, "e", pictures, class_names=None, concurrency=runtime.concurrency, report=report)


def test_predict_all_keeps_pictures_without_an_answer_in_order(no_pause):
    answers = {
        "a": named(car=0.9, van=0.1),
        "b": client_error("ThrottlingException", "Rate exceeded"),
        "c": ReadTimeoutError(endpoint_url="http://e"),
        "d": b"[]",
    }
    runtime = Runtime(answers, concurrency=4)
    reports: list = []
    found = ask_all(runtime, "abcdaaaa", lambda *seen: reports.append(seen))

    assert runtime.most == 4
    assert runtime.tries == {b"a": 5, b"b": 8, b"c": 2, b"d": 1}
    assert [p.path[9] for p in found] == [*"abcdaaaa"]
    assert [p.label for p in found] == ["car", None, None, None, "car", "car", "car", "car"]
    assert "Rate exceeded" in str(found[1].error)
    assert "timeout" in str(found[2].error).lower()
    assert "not probabilities" in str(found[3].error)
    assert reports[-1] == (8, 8)


def test_predict_all_after_ctrl_c_ends_its_pauses(monkeypatch):
    monkeypatch.setattr(predictions_module, "_pause", lambda _: 600)
    began = time.monotonic()

    answers = {"a": named(car=1.0, van=0.0), "b": BUSY[0], "c": BUSY[0]}
    with pytest.raises(KeyboardInterrupt):
        ask_all(Runtime(answers, concurrency=3), "abc", Mock(side_effect=KeyboardInterrupt))
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("parameters", "names"), [({}, None), ({"ClassNames": ""}, None), ({"ClassNames": "car,van 2"}, ["car", "van 2"])]
)
def test_default_class_names_are_the_stacks_parameter(parameters, names):
    assert default_class_names(parameters) == names


def prediction(true_class, probabilities, seconds=1.0):
    if probabilities is None:
        return EndpointPrediction("p", true_class, None, None, None, seconds, "timed out")
    label = max(probabilities, key=probabilities.__getitem__)
    return EndpointPrediction("p", true_class, label, probabilities[label], probabilities, seconds, None)


def test_summary_counts_every_picture():
    summary = summarise(
        [
            prediction("car", {"car": 0.95, "van": 0.05}, 0.1),
            prediction("car", {"car": 0.60, "van": 0.40}, 0.2),
            prediction("van", {"car": 0.92, "van": 0.08}, 0.3),
            prediction("van", None, 60.0),
        ],
        threshold=0.9,
    )

    assert (summary["pictures"], summary["correct"], summary["errors"]) == (4, 2, 1)
    assert summary["accuracy"] == 0.5
    assert (summary["accepted"], summary["coverage"], summary["accuracy_accepted"]) == (2, 0.5, 0.5)
    assert summary["coverage_interval_95"] == pytest.approx((0.150, 0.850), abs=1e-3)
    assert summary["accuracy_accepted_interval_95"] == pytest.approx((0.095, 0.905), abs=1e-3)
    # Of the three answers, each in a bin of its own: (.05 + .4 + .92) / 3
    assert summary["expected_calibration_error"] == pytest.approx(1.37 / 3)
    low, high = summary["expected_calibration_error_interval_95"]
    assert 0 < low < 1.37 / 3 < high < 1
    assert summary["confusion_matrix"] == {"true_rows_predicted_columns": ["car", "van"], "counts": [[2, 0], [1, 0]]}
    assert summary["classes"]["van"]["recall"] == 0
    assert summary["latency_s"]["median"] == 0.2  # a picture without an answer has no latency
    assert json.loads(json.dumps(summary, allow_nan=False))["predictions"][3]["error"] == "timed out"


def test_summary_without_an_answer_has_no_figures():
    summary = summarise([prediction("car", None)], threshold=0.9)

    assert summary["accuracy"] == 0
    assert summary["accuracy_accepted"] is None
    assert summary["latency_s"] == {"median": None, "p90": None}
    assert summary["expected_calibration_error"] is None
    json.dumps(summary, allow_nan=False)


def test_acceptable_gives_a_tie_and_a_missing_answer_no_confidence():
    found = [
        prediction("car", {"car": 0.5, "van": 0.5}),
        prediction("car", None),
        prediction("car", {"car": 0.6, "van": 0.4}),
    ]
    assert acceptable(found) == ([0.0, 0.0, 0.6], [True, False, True])


def test_calibration_error_of_luck_falls_with_the_number_of_pictures():
    few = calibration_error_of_luck([0.9] * 50)
    many = calibration_error_of_luck([0.9] * 5000)

    # The mean distance of a mean of n draws of variance .09, all in one bin: sqrt(2 / pi * .09 / n)
    assert few == pytest.approx((2 / math.pi * 0.09 / 50) ** 0.5, rel=0.1)
    assert many == pytest.approx((2 / math.pi * 0.09 / 5000) ** 0.5, rel=0.1)


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    root = tmp_path / "staged"
    assert stage_data.main(["synthetic", "--no-upload", "--count", "12", "--size", "16", "--out", str(root)]) == 0
    return root


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"changed")])
def test_staged_pictures_with_a_changed_file_names_it(staged, damage):
    path = next((staged / "test" / "bicycle").iterdir())
    damage(path)

    with pytest.raises(SplitError, match=path.name):
        staged_pictures(staged, "test")


def test_staged_pictures_of_an_empty_split_fails(tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    with pytest.raises(SplitError, match="no pictures of the validation split"):
        staged_pictures(tmp_path, "validation")


@pytest.fixture
def run(staged, tmp_path, monkeypatch, capsys):
    """Run the command on four pictures, with this answer to each and this archive of the model.

    Returns the exit status, the written evaluation.json or None, standard output and standard error.
    """

    def command(answer, archive, *options):
        session = StubbedSession()
        session.add_identity()
        add_served_model(session, archive)
        for _ in range(4):
            answer(session.stub("sagemaker-runtime"))
        monkeypatch.setattr("boto3.Session", lambda: session)
        folders = ("--staged", str(staged), "--out", str(tmp_path / "out"))
        capsys.readouterr()
        status = main(["--endpoint", "e", "--concurrency", "1", *folders, *options])
        report = tmp_path / "out" / "evaluation.json"
        return status, json.loads(report.read_text()) if report.exists() else None, *capsys.readouterr()

    return command


def is_a_bicycle(stubber):
    stubber.add_response(
        "invoke_endpoint",
        {"Body": Body(named(bicycle=0.97, motorcycle=0.03)), "ContentType": "application/json"},
        {"EndpointName": "e", "ContentType": "image/png", "Accept": "application/json", "Body": ANY},
    )


@pytest.mark.parity("endpoint-model-data")
def test_evaluate_writes_report_and_plots_with_the_recommended_threshold(run, tmp_path):
    status, written, shown, _ = run(is_a_bicycle, model_archive(held_out(400)))

    assert status == 0
    assert (written["endpoint"], written["split"], written["accuracy"]) == ("e", "test", 0.5)
    assert written["confusion_matrix"]["counts"] == [[2, 0], [2, 0]]
    plots = ["confusion_matrix.png", "reliability.png", "risk_coverage.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(["evaluation.json", *plots])
    for name in plots:
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.format == "PNG"
    assert (written["threshold"], written["threshold_source"]) == (0.6, "recommendation")
    assert written["recommendation"]["met"] is True
    assert written["recommendation"]["error_bound"] <= written["recommendation"]["max_error"]
    assert "0.500 of 4 pictures (95 %: 0.150 to 0.850)" in shown
    assert "Accepted    4 at threshold 0.6: coverage 1.000 (95 %: 0.510 to 1.000)" in shown
    assert "Threshold   0.6. 400 of 400 held-out pictures" in shown


def test_evaluate_with_max_error_recommends_for_that_rate(run):
    _, written, shown, _ = run(is_a_bicycle, model_archive(held_out(400)), "--max-error", "0.001")

    assert (written["recommendation"]["met"], written["recommendation"]["max_error"]) == (False, 0.001)
    assert "No threshold keeps the error among accepted answers at 0.1%" in shown


def test_evaluate_with_threshold_uses_it_and_shows_the_recommendation(run):
    _, written, shown, _ = run(is_a_bicycle, model_archive(held_out(400)), "--threshold", "0.98")

    assert (written["threshold"], written["threshold_source"]) == (0.98, "--threshold")
    assert (written["accepted"], written["recommendation"]["threshold"]) == (0, 0.6)
    assert "0 at threshold 0.98: coverage 0.000 (95 %: 0.000 to 0.490), accuracy -\n" in shown
    assert "0.98, given with --threshold. Otherwise: 400 of 400 held-out" in shown


@pytest.mark.parametrize("options", [[], ["--threshold", "0.98"]])
def test_evaluate_of_a_model_without_held_out_answers_uses_the_stacks_threshold(run, tmp_path, options):
    status, written, shown, _ = run(is_a_bicycle, model_archive(None), *options)

    assert status == 0
    stacks = settings.project().confidence_threshold
    assert (written["threshold"], written["recommendation"]) == (0.98 if options else stacks, None)
    beginning = "0.98, given with --threshold. Otherwise: " if options else f"{stacks:g}. "
    assert f"Threshold   {beginning}{MODEL_DATA} has no held_out.json: it is older than" in shown
    assert f"So {stacks:g} stays, as in samconfig.toml." in shown
    assert (tmp_path / "out" / "risk_coverage.png").exists()


def test_evaluate_with_unanswered_pictures_fails_and_writes_the_report(run, tmp_path):
    def answer(stubber):
        stubber.add_client_error("invoke_endpoint", "ModelError", "the model is out of memory")

    status, written, shown, _ = run(answer, model_archive(held_out(400)))

    assert status == 1
    assert "4 pictures without an answer" in shown
    assert written["errors"] == 4
    assert all("out of memory" in p["error"] for p in written["predictions"])
    assert (tmp_path / "out" / "reliability.png").exists()


def test_evaluate_without_endpoint_fails_with_one_sentence(run, tmp_path):
    def answer(stubber):
        stubber.add_client_error("invoke_endpoint", "ValidationError", "Endpoint e not found.")

    status, _, _, error = run(answer, None)

    assert status == 1
    assert error.startswith("evaluate: Endpoint e was not found: run")
    allow_unused_responses()  # the first one ends the run
    assert not (tmp_path / "out").exists()
