"""Labels as training data: read from S3 or a folder, and never beside a test picture."""

import io
import json

import pytest

from common.labels.label import NEITHER, LabelError
from tests.unit.aws_stubs import ACCOUNT, Body, StubbedSession, stubbed
from tests.unit.operations.review_backend import body, label
from training import stage_data
from training.sources.labels import (
    LabelsMissingError,
    ReviewedPictureError,
    UnknownLabelError,
    read_labels,
)
from training.sources.source import Unreadable
from training.sources.synthetic import draw_picture
from training.staging.splits import Candidate, admit_to_training

BUCKET = f"scones-unlimited-training-{ACCOUNT}-eu-west-1"


def png(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def folder_of(path, *labels):
    for one in labels:
        file = path / one.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(one.body())
    return path


def test_labels_are_read_below_a_prefix_of_s3():
    s3, stub = stubbed("s3")
    labels = sorted((label(1), label(2, NEITHER)), key=lambda one: one.key)
    keys = [labels[0].key, "review-labels/notes.txt", labels[1].key]
    stub.add_response(
        "list_objects_v2",
        {"Contents": [{"Key": key} for key in keys]},
        {"Bucket": BUCKET, "Prefix": "review-labels/"},
    )
    for one in labels:
        stub.add_response("get_object", {"Body": Body(one.body())})
    found = read_labels(s3, "project", BUCKET)
    stub.assert_no_pending_responses()
    assert {one.key for one in found.labels} == {one.key for one in labels}
    assert [one.label for one in found.decided] == ["bicycle"]
    assert found.where == f"s3://{BUCKET}/review-labels/"


@pytest.mark.parametrize(("place", "prefix"), [("/old", "old/"), ("/old/", "old/"), ("", "")])
def test_a_prefix_is_a_folder(place, prefix):
    s3, stub = stubbed("s3")
    stub.add_response("list_objects_v2", {}, {"Bucket": "mine", "Prefix": prefix})
    read_labels(s3, f"s3://mine{place}", BUCKET)
    stub.assert_no_pending_responses()


def test_copies_count_once_and_the_latest_decision_counts(tmp_path):
    later = label(1, "motorcycle", at="2026-11-23T10:00:00.000Z")
    folder_of(tmp_path / "a", label(1, "bicycle"), label(2))
    folder_of(tmp_path / "b", later, label(2))
    folder_of(tmp_path / "c", label(1, "bicycle"))
    found = read_labels(None, str(tmp_path), BUCKET)
    assert found.labels == sorted((later, label(2)), key=lambda one: one.key)


def test_read_labels_from_a_missing_folder_or_bucket_fails():
    with pytest.raises(LabelsMissingError, match="--labels nowhere: there is no such folder"):
        read_labels(None, "nowhere", BUCKET)
    s3, stub = stubbed("s3")
    stub.add_client_error("list_objects_v2", "NoSuchBucket")
    with pytest.raises(LabelsMissingError, match="there is no bucket mine"):
        read_labels(s3, "s3://mine/labels", BUCKET)


@pytest.mark.parametrize(("content", "message"), [("{}", ""), (body(), r" \(its decided_by is None\)")])
def test_read_labels_with_another_object_names_it(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(LabelError, match=rf"x\.json is not a label{message}"):
        read_labels(None, str(tmp_path), BUCKET)


def test_a_class_that_is_not_staged_is_an_error_that_names_a_label(tmp_path):
    labels = (label(1), label(2, "truck", class_names=["truck"]), label(3, NEITHER))
    found = read_labels(None, str(folder_of(tmp_path, *labels)), BUCKET)
    found.check(["bicycle", "motorcycle", "truck"])
    with pytest.raises(UnknownLabelError, match=rf"truck \(1\).*--classes.*{labels[1].key}"):
        found.check(["bicycle", "motorcycle"])


def test_a_picture_that_is_gone_or_broken_is_counted_and_not_fatal(tmp_path):
    found = read_labels(None, str(folder_of(tmp_path, label(1), label(2))), BUCKET)
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", "NoSuchVersion", http_status_code=404)
    stub.add_response("get_object", {"ContentLength": 3, "Body": Body(b"abc")})
    items = [item for _, item in found.pictures(s3, 640) if isinstance(item, Unreadable)]
    assert len(items) == 2
    assert {item.reason for item in items} == {
        "It is gone: this version was deleted from S3.",
        "not a picture of a kind that Pillow reads",
    }
    assert {item.path.partition("?")[0] for item in items} == {
        "s3://pictures/inbox/1.png",
        "s3://pictures/inbox/2.png",
    }


@pytest.mark.parametrize(("code", "why"), [("AccessDenied", "ask for s3:GetObjectVersion"), ("ExpiredToken", "log in")])
def test_a_picture_that_is_refused_ends_it(tmp_path, code, why):
    found = read_labels(None, str(folder_of(tmp_path, label(1))), BUCKET)
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", code, "log in", http_status_code=403)
    with pytest.raises(ReviewedPictureError, match=rf"s3://pictures/inbox/1.png\?versionId=v1.*{why}"):
        list(found.pictures(s3, 640))


def test_programming_error_is_not_an_unreadable_picture(tmp_path):
    found = read_labels(None, str(folder_of(tmp_path, label(1))), BUCKET)
    s3, stub = stubbed("s3")
    stub.add_response("get_object", {})  # without what every answer has
    with pytest.raises(KeyError):
        list(found.pictures(s3, 640))


FAR = 0x9E3779B97F4A7C15  # multiples of it differ in about half of their 64 bits


def candidate(number, class_name="bus", pixels=None, hash_=None):
    near = (number + 1) * FAR % 2**64 if hash_ is None else hash_
    return Candidate(class_name, f"p{number}", pixels or f"{number}", near)


def test_only_what_is_like_no_test_picture_and_of_one_class_joins():
    own = [candidate(0), candidate(1), candidate(2)]
    splits = ["train", "validation", "test"]
    near_test = own[2].difference_hash ^ 0b111
    more = [
        candidate(10),  # new
        candidate(11, hash_=near_test),  # nearly the test picture
        candidate(12, "car", hash_=own[2].difference_hash),  # the same, decided otherwise
        candidate(13, hash_=own[1].difference_hash),  # like a validation picture: both are trained on
        candidate(14, "car", pixels="0"),  # the training picture, decided otherwise
        candidate(15, pixels="twice"),
        candidate(16, "car", pixels="twice"),  # one picture, decided in two ways
    ]
    admission = admit_to_training(more, own, splits)
    assert admission.taken == [True, False, False, True, False, False, False]
    assert admission.repeats_of_test == more[1:3]
    assert admission.contradictions == [more[4], *more[5:]]


def test_admit_to_training_without_candidates_admits_none():
    assert admit_to_training([], [candidate(0)], ["test"]).taken == []


SOURCE = ("synthetic", "--count", "20", "--seed", "0")


@pytest.fixture
def stage(tmp_path, monkeypatch, capsys):
    """Stage drawn pictures with labels; return exit status, manifest, standard output, error."""

    def run(labels, pictures, *options):
        session = StubbedSession()
        session.stub("sts").add_response(
            "get_caller_identity",
            {"Account": ACCOUNT, "Arn": "arn:aws:iam::1:user/u", "UserId": "u"},
        )
        session.stub("s3")
        contents = {one.question.picture.key: content for one, content in pictures.items()}

        def get_object(*, Bucket, Key, VersionId):  # noqa: N803  boto3's names
            assert (Bucket, VersionId[0]) == ("pictures", "v")
            return {"ContentLength": len(contents[Key]), "Body": Body(contents[Key])}

        session.clients["s3"].get_object = get_object  # in any order: it is asked by threads
        monkeypatch.setattr("boto3.Session", lambda: session)
        folder = folder_of(tmp_path / "labels", *labels)
        folder.mkdir(exist_ok=True)
        out = tmp_path / "staged"
        status = stage_data.main([*SOURCE, "--out", str(out), "--no-upload", "--labels", str(folder), *options])
        manifest = out / "manifest.json"
        read = json.loads(manifest.read_text()) if manifest.exists() else None
        return status, read, *capsys.readouterr()

    return run


def drawn(name, number, seed=99):
    return draw_picture(name, number, (32, 32), seed)


def test_reviewed_pictures_join_training_and_nothing_else(stage, tmp_path):
    # GIVEN decisions: three new pictures, one of neither, one that is broken, and one of a picture
    # that every split is looked through for
    labels = [
        label(1, "bicycle"),
        label(2, "motorcycle"),
        label(3, "motorcycle"),
        label(4, NEITHER),
        label(5, "bicycle"),
    ]
    pictures = {
        labels[0]: png(drawn("bicycle", 1)),
        labels[1]: png(drawn("motorcycle", 2)),
        labels[2]: png(drawn("motorcycle", 3)),
        labels[4]: b"broken",
    }
    assert stage_data.main([*SOURCE, "--out", str(tmp_path / "plain"), "--no-upload"]) == 0
    plain = json.loads((tmp_path / "plain" / "manifest.json").read_text())
    tested = next(path for path in plain["files"] if path.startswith("test/bicycle/"))
    labels.append(label(6, "motorcycle"))
    pictures[labels[-1]] = (tmp_path / "plain" / tested).read_bytes()

    # WHEN they are staged with drawn pictures
    status, manifest, shown, _ = stage(labels, pictures)

    # THEN the splits of the source are as they were, and training has three more
    assert status == 0
    added = {path for path in manifest["files"] if path not in plain["files"]}
    assert plain["files"].items() <= manifest["files"].items()
    assert all(path.startswith("train/") and "/reviewed-" in path for path in added)
    reviews = manifest["reviews"]
    counts = {"labels": 6, "used": 3, "neither": 1, "left_out": 1, "unreadable": 1}
    assert {name: reviews[name] for name in counts} == counts
    assert set(reviews["pictures"]) == added
    assert set(reviews["pictures"].values()) == {f"s3://pictures/inbox/{n}.png?versionId=v{n}" for n in (1, 2, 3)}
    for split in ("validation", "test"):
        assert manifest["counts"][split] == plain["counts"][split]
    assert manifest["counts"]["train"]["motorcycle"] == plain["counts"]["train"]["motorcycle"] + 2
    assert "3 of 6 labels" in shown
    assert "since they repeat a test picture: 1" in shown


def test_a_second_run_writes_nothing(stage):
    labels = [label(1, "bicycle")]
    pictures = {labels[0]: png(drawn("bicycle", 1))}
    _, first, *_ = stage(labels, pictures)
    _, second, shown, _ = stage(labels, pictures)
    assert first == second
    assert "0 written, 41 there already" in shown


def test_stage_without_labels_prints_that_there_are_none(stage):
    status, manifest, shown, _ = stage([], {})
    assert status == 0
    assert "there are no labels at" in shown
    assert manifest["reviews"]["labels"] == 0


def test_an_unknown_class_ends_before_anything_is_staged(stage):
    status, manifest, _, error = stage([label(1, "truck", class_names=["truck"])], {})
    assert (status, manifest) == (1, None)
    assert "labels of classes that are not staged: truck (1)" in error


def test_an_unknown_class_ends_before_an_hours_download(stage, monkeypatch):
    monkeypatch.setattr(stage_data, "download", None)  # TypeError where it is called
    monkeypatch.setattr("tests.unit.training.sources.test_labels.SOURCE", ("cifar100",))
    classes = ("--classes", "Pickup Truck", "bus")
    known = label(1, "pickup_truck", class_names=["pickup_truck"])
    unknown = label(2, "tank", class_names=["tank"])
    status, _, _, error = stage([known, unknown], {}, *classes)
    assert status == 1
    assert "labels of classes that are not staged: tank (1)" in error


def test_class_named_neither_is_refused(tmp_path, capsys):
    for name in (NEITHER, "bicycle"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    options = ("--no-upload", "--out", str(tmp_path / "out"))
    assert stage_data.main([str(tmp_path / "photos"), *options]) == 1
    assert "Rename the class 'neither'" in capsys.readouterr().err
