"""The command: what it writes, compares and says, on captures in a folder, without an account."""

import io
import json
import re
import shutil
from datetime import timedelta

import pytest
import torch
from botocore.exceptions import NoRegionError
from PIL import Image

from benchmarks.hostile_pictures.model import write_untrained_model
from common import settings
from operations.monitor import main, parse_arguments
from operations.monitoring.capture_locations import FolderCaptures
from operations.monitoring.comparison import compare_predictions
from operations.monitoring.endpoint_facts import (
    choose_baseline,
    choose_threshold,
    endpoint_captures,
)
from operations.monitoring.reading import read_captures
from operations.monitoring.sample import read_baseline
from tests.unit.aws_stubs import REGION, StubbedSession
from tests.unit.operations.captures import BEGIN, drawn, line, named, write, write_hours
from tests.unit.training.model_archives import add_served_model, held_out, model_archive
from training.container.picture_model import baseline, network
from training.container.picture_model.picture_features import picture_features

STACK = {
    "StackName": "scones",
    "CreationTime": BEGIN,
    "StackStatus": "CREATE_COMPLETE",
    "Parameters": [{"ParameterKey": "ConfidenceThreshold", "ParameterValue": "0.85"}],
}


class NoAws:
    """A session on a machine where nothing of AWS is set up."""

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


def run(captures, out, *options):
    return main(["--captures", str(captures), "--out", str(out), *options])


def test_a_folder_gives_a_page_and_figures(captures, tmp_path, capsys):
    assert run(captures, tmp_path / "out") == 0

    figures = json.loads((tmp_path / "out/monitor.json").read_text())
    page = (tmp_path / "out/monitor.html").read_text()
    for name in (
        "files",
        "lines",
        "damaged",
        "predictions",
        "classes",
        "first",
        "last",
        "coverage",
        "mean_confidence",
        "drift",
    ):
        assert name in figures
    assert figures["lines"] == figures["predictions"] == 60
    assert figures["threshold"] == settings.project().confidence_threshold
    assert figures["threshold_source"] == "as in samconfig.toml"
    assert figures["drift"]["drifted"] is None
    assert "no AWS region or credentials are set: export AWS_DEFAULT_REGION and log in to AWS. Name a baseline" in page
    assert page.count("data:image/png") == 48
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    said = capsys.readouterr().out
    assert "60 in 5 files = 60 predictions + 0 damaged + 0 refused + 0 of other times" in said
    assert "no AWS region or credentials are set" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "monitor.html",
        "monitor.json",
    ]


def test_pictures_shown_are_named_with_their_lines(captures, tmp_path):
    assert run(captures, tmp_path, "--sample", "3", "--threshold", "0.7") == 0

    pictures = json.loads((tmp_path / "monitor.json").read_text())["pictures"]
    assert [len(some) for some in pictures.values()] == [3, 3]
    assert [round(shown["confidence"], 2) for shown in pictures["lowest"]] == [0.73, 0.74, 0.75]
    for shown in pictures["lowest"]:
        text = (captures / shown["file"]).read_text().splitlines()[shown["line"] - 1]
        call = json.loads(text)
        assert call["eventMetadata"]["inferenceTime"] == shown["time"]
        answer = json.loads(call["captureData"]["endpointOutput"]["data"])
        assert max(answer["probabilities"]) == shown["confidence"]
        assert shown["accepted"] is True


def test_nothing_captured_is_said_and_is_no_error(tmp_path, capsys):
    (tmp_path / "captures").mkdir()

    assert run(tmp_path / "captures", tmp_path / "out") == 0

    assert "Nothing has been captured at" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/monitor.json").read_text())["lines"] == 0
    assert "Nothing has been captured yet." in (tmp_path / "out/monitor.html").read_text()


def test_damaged_lines_alone_are_a_report_too(tmp_path, capsys):
    write(tmp_path / "captures", [b"{\n", b"<html><b>\n"])

    assert run(tmp_path / "captures", tmp_path / "out") == 0

    figures = json.loads((tmp_path / "out/monitor.json").read_text())
    assert figures["damaged"] == figures["lines"] == 2
    page = (tmp_path / "out/monitor.html").read_text()
    assert "cut off" in page
    assert "not JSON" in page
    assert "cut off 1, not JSON 1" in capsys.readouterr().out


@pytest.mark.parametrize("threshold", ["0", "1"])
@pytest.mark.parametrize("count", [1, 7, 60])
def test_all_and_none_accepted_can_be_drawn(tmp_path, threshold, count):
    write(tmp_path / "captures", [line(named(car=0.99, van=0.01))] * count)

    assert run(tmp_path / "captures", tmp_path / "out", "--threshold", threshold) == 0

    figures = json.loads((tmp_path / "out/monitor.json").read_text())
    assert figures["coverage"] == 1 - int(threshold)


def test_what_was_captured_cannot_write_into_the_page(tmp_path):
    label = "<script>alert(1)</script>"
    write(tmp_path / "captures", [line(named(**{label: 0.9, "car": 0.1}))])

    assert run(tmp_path / "captures", tmp_path / "out") == 0

    page = (tmp_path / "out/monitor.html").read_text()
    assert label not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("label", ["[/x]", "van [old]", "a_$1_to_$2", r"$\frac$", "_other"])
def test_a_class_may_be_called_anything(tmp_path, capsys, label):
    write(tmp_path / "captures", [line(named(**{label: 0.9, "car": 0.1}))])

    assert run(tmp_path / "captures", tmp_path / "out") == 0

    assert json.loads((tmp_path / "out/monitor.json").read_text())["classes"][label] == 1
    assert label in (tmp_path / "out/monitor.html").read_text()
    assert label in capsys.readouterr().out


def test_a_label_that_no_file_can_hold_is_damage(tmp_path):
    answer = rb'{"labels": ["\ud800", "van"], "probabilities": [0.9, 0.1]}'
    write(tmp_path / "captures", [line(answer)])

    assert run(tmp_path / "captures", tmp_path / "out") == 0

    figures = json.loads((tmp_path / "out/monitor.json").read_text())
    assert figures["damaged_reasons"] == {"no probabilities": 1}


def test_a_wrong_folder_is_a_sentence(tmp_path, capsys):
    assert run(tmp_path / "gone", tmp_path / "out") == 1

    assert "does not exist: give --captures a folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_captures_and_account_it_says_what_to_set(tmp_path, capsys):
    assert main(["--out", str(tmp_path)]) == 1

    assert "No AWS region is set" in capsys.readouterr().err


def test_an_interrupt_leaves_the_old_report(captures, tmp_path, monkeypatch, capsys):
    assert run(captures, tmp_path) == 0
    before = (tmp_path / "monitor.json").read_bytes()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("operations.monitoring.run.shown_pictures", interrupted)

    assert run(captures, tmp_path) == 130
    assert (tmp_path / "monitor.json").read_bytes() == before
    assert "nothing was written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--from", "yesterday"),
        ("--class-names", "car,,van"),
        ("--class-names", "car,car"),
        ("--threshold", "1.5"),
        ("--sample", "0"),
    ],
)
def test_what_makes_no_sense_is_refused(option, value, capsys):
    with pytest.raises(SystemExit):
        parse_arguments([option, value])

    assert option in capsys.readouterr().err


@pytest.mark.parametrize("until", ["2026-11-23", "2026-11-22T23:59", "2026-11-23T01:00+02:00"])
def test_a_time_that_ends_before_it_begins_is_refused(until, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--from", "2026-11-23", "--to", until])

    assert "--to must be later than --from" in capsys.readouterr().err


def test_only_the_time_asked_for_counts(captures, tmp_path):
    day = f"{BEGIN:%Y-%m-%d}"
    assert run(captures, tmp_path, "--from", f"{day}T15:00", "--to", f"{day}T17:00+00:00") == 0

    figures = json.loads((tmp_path / "monitor.json").read_text())
    assert figures["first"] == f"{day}T15:00:00Z"
    assert figures["last"] == f"{day}T16:55:00Z"
    assert figures["predictions"] == 24
    assert figures["lines"] == figures["predictions"] + figures["outside"]


@pytest.mark.parametrize(
    "times",
    [["--from", "2026-11-25"], ["--from", "2026-11-20T19:30"], ["--to", "2026-11-20T14:00"]],
)
def test_no_call_in_the_time_asked_for_is_not_nothing_captured(captures, tmp_path, capsys, times):
    assert run(captures, tmp_path / "out", *times) == 0

    said = capsys.readouterr().out
    page = (tmp_path / "out/monitor.html").read_text()
    for words in (said, page):
        assert "Nothing has been captured" not in words
        assert "No call in the time asked for" in words
    figures = json.loads((tmp_path / "out/monitor.json").read_text())
    assert f"calls of other times: {figures['outside']};" in said
    assert f"files of other hours, not read: {figures['files_left_out']})" in said


def many(folder, change, count=120):
    """Captures of drawn pictures, each changed on the way."""
    lines = []
    for number in range(count):
        sure = 0.7 + 0.29 * (number * 37 % count) / count
        other = "motorcycle" if number % 2 else "bicycle"
        names = {"bicycle": 1 - sure, "motorcycle": 1 - sure} | {other: sure}
        lines.append(line(named(**names), change(number), BEGIN + timedelta(seconds=number)))
    write(folder, lines)
    return folder


def darker(number):
    picture = network.decode_picture(drawn(number + 1000))
    return encoded(picture.point(lambda level: round(level * 0.5)))


def encoded(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def test_darker_pictures_are_drift_from_captures_that_were_fine(tmp_path):
    fine = many(tmp_path / "fine", drawn)
    dark = many(tmp_path / "dark", darker)

    assert run(dark, tmp_path / "out", "--baseline-captures", str(fine)) == 0
    drift = json.loads((tmp_path / "out/monitor.json").read_text())["drift"]
    assert drift["drifted"] is True
    assert {"brightness"} <= {f["name"] for f in drift["features"] if f["drifted"]}
    assert "confidence" not in {f["name"] for f in drift["features"] if f["drifted"]}

    assert run(fine, tmp_path / "out", "--baseline-captures", str(fine)) == 0
    assert json.loads((tmp_path / "out/monitor.json").read_text())["drift"]["drifted"] is False


def test_too_few_pictures_to_compare_are_neither_drift_nor_none(tmp_path):
    few, fine = many(tmp_path / "few", darker, count=4), many(tmp_path / "fine", drawn)

    assert run(few, tmp_path / "out", "--baseline-captures", str(fine)) == 0

    drift = json.loads((tmp_path / "out/monitor.json").read_text())["drift"]
    assert drift["drifted"] is None
    assert "too few" in drift["verdict"]
    assert "none found" not in (tmp_path / "out/monitor.html").read_text()


def test_an_earlier_report_is_a_baseline(tmp_path):
    fine, dark = many(tmp_path / "fine", drawn), many(tmp_path / "dark", darker)
    assert run(fine, tmp_path / "first") == 0

    baseline_file = str(tmp_path / "first/monitor.json")
    assert run(dark, tmp_path / "second", "--baseline", baseline_file) == 0

    figures = json.loads((tmp_path / "second/monitor.json").read_text())
    assert figures["baseline"] == baseline_file
    assert figures["drift"]["drifted"] is True
    assert len(read_baseline(baseline_file).labels) == 120


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder with the baseline of drawn pictures, as training writes it."""
    folder = tmp_path_factory.mktemp("model")
    write_untrained_model(folder)
    classifier = network.load_classifier(folder, torch.device("cpu"))
    pictures = [network.decode_picture(drawn(2000 + number)) for number in range(160)]
    pixels = torch.stack([network.resize_picture(picture, 32) for picture in pictures])
    fitted = [
        baseline.fit_gaussian(baseline.member_vectors(classifier, member, pixels), torch.arange(160) % 2, 2)
        for member in classifier.ensemble.networks()
    ]
    means, whiteners = (torch.stack(parts) for parts in zip(*fitted, strict=True))
    gaussians = baseline.Gaussians(means, whiteners)
    gaussians.save(folder / "baseline.pt")
    probabilities = [
        classifier.member_log_probabilities(member, classifier.normalise(pixels)).exp()
        for member in classifier.ensemble.networks()
    ]
    answers, distances = [], []
    for number in range(160):
        row = probabilities[number % 2][number]
        answers.append((classifier.classes[int(row.argmax())], float(row.max())))
        distances += gaussians.distances(classifier, number % 2, pixels[number][None]).tolist()
    sample = baseline.baseline_sample(
        [picture_features(drawn(2000 + n), picture) for n, picture in enumerate(pictures)],
        answers,
        distances,
        answered_by="member",
        seed=0,
    )
    (folder / "baseline.json").write_text(json.dumps(sample))
    return folder


def test_a_models_networks_look_again_so_that_like_is_compared_with_like(model, tmp_path):
    fine = many(tmp_path / "fine", drawn)

    assert run(fine, tmp_path / "out", "--baseline", str(model)) == 0

    figures = json.loads((tmp_path / "out/monitor.json").read_text())
    features = {feature["name"]: feature for feature in figures["drift"]["features"]}
    # What was captured is made up. The networks themselves say of these pictures what they said
    # of those that they were fitted on: by that they are compared.
    assert features["confidence"]["p"] is not None
    assert not features["confidence"]["drifted"]
    assert not features["class mix"]["drifted"]
    assert features["distance"]["pictures"] == [160, 120]
    assert figures["mean_confidence"] == pytest.approx(0.8438, abs=1e-3)
    assert len(figures["sample"]["distances"]) == 120

    assert run(many(tmp_path / "dark", darker), tmp_path / "out", "--baseline", str(model)) == 0
    drift = json.loads((tmp_path / "out/monitor.json").read_text())["drift"]
    assert {"brightness", "contrast"} <= {f["name"] for f in drift["features"] if f["drifted"]}


def test_progress_is_of_pictures_read_again_and_of_pictures_looked_at(model, tmp_path):
    captures = FolderCaptures(many(tmp_path / "fine", drawn))
    found = read_captures(captures, class_names=None, processes=1, report=lambda *_: None)
    seen = []

    compare_predictions(
        captures,
        found,
        found.predictions,
        baseline=choose_baseline(NoAws(), "e", str(model)),
        seed=0,
        report=lambda *progress: seen.append(progress),
    )

    assert [done for done, _ in seen[:120]] == list(range(1, 121))
    assert seen[-1] == (240, 240)
    assert {total for _, total in seen} == {240}
    assert seen == sorted(seen)


def test_a_model_without_its_networks_compares_what_it_can(model, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(model, copy, ignore=shutil.ignore_patterns("baseline.pt"))

    assert run(many(tmp_path / "dark", darker), tmp_path / "out", "--baseline", str(copy)) == 0

    drift = json.loads((tmp_path / "out/monitor.json").read_text())["drift"]
    assert drift["drifted"] is True
    assert any("has no baseline.pt" in note for note in drift["notes"])


def test_a_baseline_that_was_asked_for_must_be_there(captures, tmp_path, capsys):
    assert run(captures, tmp_path / "out", "--baseline", str(tmp_path / "gone")) == 1

    assert "gone does not exist" in capsys.readouterr().err


def test_every_picture_of_a_batch_is_described_as_it_was_captured(captures, tmp_path):
    assert run(captures, tmp_path) == 0

    features = json.loads((tmp_path / "monitor.json").read_text())["sample"]["features"]
    alone = [picture_features(drawn(n), network.decode_picture(drawn(n))) for n in range(60)]
    for name, values in features.items():
        assert values == pytest.approx([float(each[name]) for each in alone], rel=1e-5)


def test_the_stack_says_the_threshold_that_it_is_deployed_with():
    session = StubbedSession()
    session.stub("cloudformation").add_response("describe_stacks", {"Stacks": [STACK]}, {"StackName": "scones"})

    threshold = choose_threshold(session, "scones", "e", None)

    assert (threshold.value, threshold.source) == (0.85, "of the deployed stack scones")
    session.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (model_archive(held_out(800)), (0.6, "as the endpoint's model recommends")),
        (None, (0.9, "as in samconfig.toml")),
    ],
)
def test_without_a_stack_the_model_or_samconfig_says_it(archive, expected):
    session = StubbedSession()
    session.stub("cloudformation").add_client_error("describe_stacks", "ValidationError")
    add_served_model(session, archive)

    threshold = choose_threshold(session, "scones", "e", None)

    assert (pytest.approx(threshold.value), threshold.source) == expected
    session.assert_no_pending_responses()
    assert choose_threshold(NoAws(), "scones", "e", 0.6).value == 0.6


def test_captures_are_where_the_endpoint_writes_them():
    session = StubbedSession()
    session.stub("sts").add_response("get_caller_identity", IDENTITY)
    session.stub("sagemaker").add_response(
        "describe_endpoint",
        ENDPOINT | {"DataCaptureConfig": CAPTURE | {"DestinationS3Uri": "s3://other/captures"}},
        {"EndpointName": "e"},
    )

    assert endpoint_captures(session, "e") == "s3://other/captures/e/"
    session.assert_no_pending_responses()


def test_captures_of_an_endpoint_that_is_gone_are_in_the_projects_bucket():
    session = StubbedSession()
    session.stub("sts").add_response("get_caller_identity", IDENTITY)
    session.stub("sagemaker").add_client_error("describe_endpoint", "ValidationException")

    place = endpoint_captures(session, "e")

    assert place == f"s3://scones-unlimited-training-123456789012-{REGION}/captures/e/"


def test_no_baseline_can_be_asked_for():
    chosen = choose_baseline(NoAws(), "e", "none")

    assert chosen.sample is None
    assert chosen.missing == "No baseline was asked for."


IDENTITY = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/u", "UserId": "u"}
CAPTURE = {
    "EnableCapture": True,
    "CaptureStatus": "Started",
    "CurrentSamplingPercentage": 100,
    "KmsKeyId": "k",
}
ENDPOINT = {
    "EndpointName": "e",
    "EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/e",
    "EndpointStatus": "InService",
    "CreationTime": BEGIN,
    "LastModifiedTime": BEGIN,
}
