"""The command `operations.monitor` on captures in a folder, without an account."""

import html
import io
import json
import re
import shutil
import tarfile
from datetime import timedelta

import pytest
from botocore.exceptions import NoRegionError

from common import settings
from operations.monitor import main, parse_arguments
from operations.monitoring.capture_locations import FolderCaptures
from operations.monitoring.comparison import compare_predictions
from operations.monitoring.endpoint_facts import (
    ImpatientSession,
    choose_baseline,
    choose_threshold,
    endpoint_captures,
)
from operations.monitoring.sample import read_baseline
from tests.unit.aws_stubs import REGION, StubbedSession, boto_session, stack_response
from tests.unit.operations.captures import BEGIN, drawn, line, named, read, write, write_calls, write_hours
from tests.unit.training.model_archives import add_served_model, add_served_model_address, held_out, model_archive
from tests.unit.training.sagemaker_answers import described_endpoint
from training.container.picture_model import network, train
from training.container.picture_model.picture_features import picture_features

pytestmark = pytest.mark.slow

SCRIPT = "<script>alert(1)</script>"


class NoAws:
    """A session on a machine without AWS settings."""

    region_name = None

    def client(self, *_, **__):
        raise NoRegionError


@pytest.fixture(autouse=True)
def no_aws(monkeypatch):
    monkeypatch.setattr("boto3.Session", NoAws)


@pytest.fixture
def captures(tmp_path):
    folder = tmp_path / "captures"
    write_hours(folder)
    return folder


@pytest.fixture
def report(tmp_path):
    """Return a function that runs the monitor over captures and returns monitor.json."""

    def run(captures, *options):
        assert main(["--captures", str(captures), "--out", str(tmp_path / "out"), *options]) == 0
        return json.loads((tmp_path / "out/monitor.json").read_text())

    return run


@pytest.fixture
def page(tmp_path):
    """Return a function that reads monitor.html."""
    return (tmp_path / "out/monitor.html").read_text


def drifted(figures):
    return {feature["name"] for feature in figures["drift"]["features"] if feature["drifted"]}


def test_monitor_writes_page_and_figures(captures, tmp_path, report, page, capsys):
    figures = report(captures)

    names = {"files", "damaged", "classes", "first", "last", "coverage", "mean_confidence", "drift"}
    assert names <= set(figures)
    assert figures["lines"] == figures["predictions"] == 60
    assert figures["threshold"] == settings.project().confidence_threshold
    assert figures["threshold_source"] == "as in samconfig.toml"
    assert figures["drift"]["drifted"] is None
    expected = [picture_features(drawn(n), network.decode_picture(drawn(n))) for n in range(60)]
    for name, values in figures["sample"]["features"].items():
        assert values == pytest.approx([float(each[name]) for each in expected], rel=1e-5)
    advice = "no AWS region or credentials are set: export AWS_DEFAULT_REGION and log in to AWS. Name a baseline"
    assert advice in page()
    assert page().count("data:image/png") == 48
    assert not re.search(r'(?:src|href)="(?!data:)', page())
    printed = capsys.readouterr().out
    assert "60 in 5 files = 60 predictions + 0 damaged + 0 refused + 0 of other times" in printed
    assert "no AWS region or credentials are set" in printed
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["monitor.html", "monitor.json"]


def test_pictures_shown_have_the_facts_of_their_lines(captures, report):
    pictures = report(captures, "--sample", "3", "--threshold", "0.7")["pictures"]

    assert [len(shown) for shown in pictures.values()] == [3, 3]
    assert [round(shown["confidence"], 2) for shown in pictures["lowest"]] == [0.73, 0.74, 0.75]
    for shown in pictures["lowest"]:
        text = (captures / shown["file"]).read_text().splitlines()[shown["line"] - 1]
        call = json.loads(text)
        assert call["eventMetadata"]["inferenceTime"] == shown["time"]
        answer = json.loads(call["captureData"]["endpointOutput"]["data"])
        assert max(answer["probabilities"]) == shown["confidence"]
        assert shown["accepted"] is True


def test_empty_folder_is_reported_as_nothing_captured(tmp_path, report, page, capsys):
    (tmp_path / "captures").mkdir()

    assert report(tmp_path / "captures")["lines"] == 0

    assert "Nothing has been captured at" in capsys.readouterr().out
    assert "Nothing has been captured yet." in page()


def test_damaged_lines_alone_are_reported(tmp_path, report, page, capsys):
    # The last one has a label that no file can hold.
    surrogate = line(rb'{"labels": ["\ud800", "van"], "probabilities": [0.9, 0.1]}')
    write(tmp_path / "captures", [b"{\n", b"<html><b>\n", surrogate])

    figures = report(tmp_path / "captures")

    assert figures["damaged"] == figures["lines"] == 3
    assert figures["damaged_reasons"] == {"cut off": 1, "not JSON": 1, "no probabilities": 1}
    assert [(damaged["line"], damaged["file"][-7:]) for damaged in figures["damaged_lines"]] == [
        (number, "a.jsonl") for number in (1, 2, 3)
    ]
    assert "cut off" in page()
    assert "not JSON" in page()
    assert "cut off 1, not JSON 1" in capsys.readouterr().out


@pytest.mark.parametrize("threshold", ["0", "1"])
@pytest.mark.parametrize("count", [1, 7, 60])
def test_all_or_none_accepted_are_reported(tmp_path, report, threshold, count):
    write(tmp_path / "captures", [line(named(car=0.99, van=0.01))] * count)

    assert report(tmp_path / "captures", "--threshold", threshold)["coverage"] == 1 - int(threshold)


@pytest.mark.filterwarnings("error")  # of matplotlib, about labels
@pytest.mark.parametrize("label", ["[/x]", "van [old]", "a_$1_to_$2", r"$\frac$", "$", "_other", "x^2", SCRIPT])
def test_any_class_name_is_shown_as_text(tmp_path, report, page, capsys, label):
    write(tmp_path / "captures", [line(named(**{label: 0.9, "car": 0.1}))])

    assert report(tmp_path / "captures")["classes"][label] == 1

    assert html.escape(label) in page()
    assert SCRIPT not in page()
    assert label in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--captures", "{folder}/gone"], "gone does not exist: give --captures a folder"),
        ([], "No AWS region is set"),
        (["--captures", "{folder}/captures", "--baseline", "{folder}/gone"], "gone does not exist: name a model"),
    ],
)
def test_missing_captures_or_baseline_fail_with_advice(captures, tmp_path, capsys, options, message):
    options = [option.format(folder=tmp_path) for option in options]

    assert main([*options, "--out", str(tmp_path / "out")]) == 1

    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--from", "yesterday"], "argument --from: 'yesterday' is not a time"),
        (["--class-names", "car,,van"], "argument --class-names"),
        (["--class-names", "car,car"], "argument --class-names"),
        (["--threshold", "1.5"], "argument --threshold"),
        (["--sample", "0"], "argument --sample"),
        (["--from", "2026-11-23", "--to", "2026-11-23"], "--to must be later than --from"),
        (["--from", "2026-11-23", "--to", "2026-11-22T23:59"], "--to must be later than --from"),
        (["--from", "2026-11-23", "--to", "2026-11-23T01:00+02:00"], "--to must be later than --from"),
    ],
)
def test_invalid_options_are_refused(options, message, usage_error):
    assert message in usage_error(parse_arguments, options)


def test_only_the_requested_time_counts(captures, report):
    day = f"{BEGIN:%Y-%m-%d}"

    figures = report(captures, "--from", f"{day}T15:00", "--to", f"{day}T17:00+00:00")

    assert figures["first"] == f"{day}T15:00:00Z"
    assert figures["last"] == f"{day}T16:55:00Z"
    assert figures["predictions"] == 24
    assert figures["lines"] == figures["predictions"] + figures["outside"]


@pytest.mark.parametrize(
    "times", [["--from", "2026-11-25"], ["--from", "2026-11-20T19:30"], ["--to", "2026-11-20T14:00"]]
)
def test_no_call_in_the_requested_time_is_not_nothing_captured(captures, report, page, capsys, times):
    figures = report(captures, *times)

    printed = capsys.readouterr().out
    for text in (printed, page()):
        assert "Nothing has been captured" not in text
        assert "No call in the requested period" in text
    assert f"calls of other times: {figures['outside']};" in printed
    assert f"files of other hours, not read: {figures['files_left_out']})" in printed


def write_pictures(folder, draw, count=120):
    """Write captures of drawn pictures with varied confidence; return the folder."""
    lines = []
    for number in range(count):
        confidence = 0.7 + 0.29 * (number * 37 % count) / count
        bicycle = 1 - confidence if number % 2 else confidence
        answer = named(bicycle=bicycle, motorcycle=1 - bicycle)
        lines.append(line(answer, draw(number), BEGIN + timedelta(seconds=number)))
    write(folder, lines)
    return folder


def darker(number):
    stream = io.BytesIO()
    picture = network.decode_picture(drawn(number + 1000))
    picture.point(lambda level: round(level * 0.5)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Captures of pictures as they are drawn."""
    return write_pictures(tmp_path_factory.mktemp("usual"), drawn)


@pytest.fixture(scope="module")
def dark(tmp_path_factory):
    """Captures of darker pictures."""
    return write_pictures(tmp_path_factory.mktemp("dark"), darker)


def test_darker_pictures_are_drift_from_baseline_captures(usual, dark, report):
    figures = report(dark, "--baseline-captures", str(usual))

    assert figures["drift"]["drifted"] is True
    assert "brightness" in drifted(figures)
    assert "confidence" not in drifted(figures)
    assert report(usual, "--baseline-captures", str(usual))["drift"]["drifted"] is False


def test_too_few_pictures_have_unknown_drift(usual, tmp_path, report, page):
    few = write_pictures(tmp_path / "few", darker, count=4)

    drift = report(few, "--baseline-captures", str(usual))["drift"]

    assert drift["drifted"] is None
    assert drift["verdict"].endswith("a comparison needs 10 captured pictures and has 4.")
    assert "none found" not in page()


def test_repeated_calls_are_counted_and_compared_once(tmp_path, report, page, capsys):
    calls = [(number, f"execution-{number}") for number in range(30)]
    write_calls(tmp_path / "usual", calls)
    write_calls(tmp_path / "now", [*calls, *calls[:3] * 20])

    figures = report(tmp_path / "now", "--baseline-captures", str(tmp_path / "usual"))

    assert (figures["predictions"], figures["repeated"]) == (90, 60)
    tested = [feature for feature in figures["drift"]["features"] if feature["p"]]
    assert {tuple(feature["pictures"]) for feature in tested} == {(30, 30)}
    assert max(feature["effect"] for feature in tested) == 0
    assert len(figures["sample"]["labels"]) == 30
    note = "60 predictions are of repeated calls, and count once in this comparison."
    assert note in capsys.readouterr().out
    assert note in page()


def test_earlier_report_is_a_baseline(usual, dark, tmp_path, report):
    report(usual)
    earlier = (tmp_path / "out/monitor.json").rename(tmp_path / "earlier.json")

    figures = report(dark, "--baseline", str(earlier))

    assert figures["baseline"] == str(earlier)
    assert figures["drift"]["drifted"] is True
    assert len(read_baseline(earlier).labels) == 120


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder with a baseline, trained on drawn pictures."""
    folder = tmp_path_factory.mktemp("model")
    for number in range(60):
        path = folder / "train" / ("bicycle", "motorcycle")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn(2000 + number))
    options = ["--epochs", "2", "--batch-size", "16", "--width", "8", "--members", "3", "--parts", "3"]
    assert train.main(["--train", str(folder / "train"), "--model-dir", str(folder / "model"), *options]) == 0
    return folder / "model"


def test_model_baseline_is_compared_with_its_members_answers(model, usual, dark, report):
    figures = report(usual, "--baseline", str(model))

    features = {feature["name"]: feature for feature in figures["drift"]["features"]}
    # The captured answers are made up. The ensemble members answer alike about these pictures and about the held-out
    # ones, and these answers are compared.
    assert features["confidence"]["p"] is not None
    assert not features["confidence"]["drifted"]
    assert not features["class mix"]["drifted"]
    assert features["distance"]["pictures"] == [60, 120]
    assert figures["mean_confidence"] == pytest.approx(0.8438, abs=1e-3)
    assert len(figures["sample"]["distances"]) == 120
    assert {"brightness", "contrast"} <= drifted(report(dark, "--baseline", str(model)))


def test_comparison_reports_pictures_read_and_classified(model, usual):
    reading = read(usual)
    seen = []

    compare_predictions(
        FolderCaptures(usual),
        reading,
        reading.predictions,
        baseline=choose_baseline(NoAws(), "e", str(model)),
        seed=0,
        report=lambda *progress: seen.append(progress),
    )

    assert [done for done, _ in seen[:120]] == list(range(1, 121))
    assert seen[-1] == (240, 240)
    assert {total for _, total in seen} == {240}
    assert seen == sorted(seen)


def test_model_without_gaussians_compares_the_other_features(model, dark, tmp_path, report):
    copy = tmp_path / "model"
    shutil.copytree(model, copy, ignore=shutil.ignore_patterns("baseline.pt"))

    drift = report(dark, "--baseline", str(copy))["drift"]

    assert drift["drifted"] is True
    assert any("has no baseline.pt" in note for note in drift["notes"])


def test_threshold_is_that_of_the_deployed_stack():
    answer = stack_response({})
    answer["Stacks"][0]["Parameters"] = [{"ParameterKey": "ConfidenceThreshold", "ParameterValue": "0.85"}]
    session = StubbedSession()
    session.stub("cloudformation").add_response("describe_stacks", answer, {"StackName": "scones"})

    assert choose_threshold(session, "scones", "e", None) == (0.85, "of the deployed stack scones")


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (model_archive(held_out(800)), (0.6, "as the endpoint's model recommends")),
        (None, (0.9, "as in samconfig.toml")),
    ],
)
def test_threshold_without_stack_is_that_of_model_or_samconfig(archive, expected):
    session = StubbedSession()
    session.stub("cloudformation").add_client_error("describe_stacks", "ValidationError")
    add_served_model(session, archive)

    threshold, source = choose_threshold(session, "scones", "e", None)

    assert (pytest.approx(threshold), source) == expected
    assert choose_threshold(NoAws(), "scones", "e", 0.6) == (0.6, "given with --threshold")


def test_threshold_and_baseline_download_the_model_once(model):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(model, arcname=".")
    session = StubbedSession()
    session.stub("cloudformation").add_client_error("describe_stacks", "ValidationError")
    add_served_model(session, packed.getvalue())
    add_served_model_address(session)

    choose_threshold(session, "scones", "e", None)
    baseline = choose_baseline(session, "e", None)

    assert baseline.sample
    assert baseline.observer
    real = boto_session()
    assert ImpatientSession(real).client("s3") is ImpatientSession(real).client("s3")


@pytest.mark.parametrize(
    ("exists", "address"),
    [
        (True, "s3://other/captures/e/"),
        (False, f"s3://scones-unlimited-training-123456789012-{REGION}/captures/e/"),  # the project's bucket
    ],
)
def test_captures_are_at_the_endpoints_destination(exists, address):
    session = StubbedSession()
    session.add_identity()
    if exists:
        endpoint = described_endpoint("e", "InService", DataCaptureConfig=CAPTURE)
        session.stub("sagemaker").add_response("describe_endpoint", endpoint, {"EndpointName": "e"})
    else:
        session.stub("sagemaker").add_client_error("describe_endpoint", "ValidationException")

    assert endpoint_captures(session, "e") == address


def test_baseline_none_compares_with_nothing():
    chosen = choose_baseline(NoAws(), "e", "none")

    assert chosen.sample is None
    assert chosen.missing == "The comparison is disabled with --baseline none."


CAPTURE = {
    "EnableCapture": True,
    "CaptureStatus": "Started",
    "CurrentSamplingPercentage": 100,
    "KmsKeyId": "k",
    "DestinationS3Uri": "s3://other/captures",
}
