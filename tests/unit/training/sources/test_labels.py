"""Labels as training data: read from S3 or a folder, and kept apart from test pictures."""

import json

import pytest

from benchmarks.hostile_pictures.files import encode
from common.labels.label import NEITHER, LabelError
from tests.unit.aws_stubs import ACCOUNT, Body, StubbedSession, stubbed
from tests.unit.operations.review_backend import body, label
from training import stage_data
from training.sources.labels import ReviewedLabelsError, read_labels
from training.sources.source import Unreadable
from training.sources.synthetic import draw_picture

BUCKET = f"scones-unlimited-training-{ACCOUNT}-eu-west-1"


def folder_of(path, *labels):
    for one in labels:
        file = path / one.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(one.body())
    return path


def test_read_labels_below_a_prefix_of_s3():
    s3, stub = stubbed("s3")
    labels = sorted((label(1), label(2, NEITHER)), key=lambda one: one.key)
    keys = [labels[0].key, "review-labels/notes.txt", labels[1].key]
    listing = {"Contents": [{"Key": key} for key in keys]}
    stub.add_response("list_objects_v2", listing, {"Bucket": BUCKET, "Prefix": "review-labels/"})
    for one in labels:
        stub.add_response("get_object", {"Body": Body(one.body())})
    found = read_labels(s3, "project", BUCKET)
    assert {one.key for one in found.labels} == {one.key for one in labels}
    assert [one.label for one in found.decided] == ["bicycle"]
    assert found.where == f"s3://{BUCKET}/review-labels/"


@pytest.mark.parametrize(("place", "prefix"), [("/old", "old/"), ("/old/", "old/"), ("", "")])
def test_read_labels_takes_a_prefix_as_a_folder(place, prefix):
    s3, stub = stubbed("s3")
    stub.add_response("list_objects_v2", {}, {"Bucket": "mine", "Prefix": prefix})
    read_labels(s3, f"s3://mine{place}", BUCKET)


def test_read_labels_takes_the_latest_of_several_labels_of_a_picture(tmp_path):
    later = label(1, "motorcycle", at="2026-11-23T10:00:00.000Z")
    folder_of(tmp_path / "a", label(1, "bicycle"), label(2))
    folder_of(tmp_path / "b", later, label(2))
    folder_of(tmp_path / "c", label(1, "bicycle"))
    found = read_labels(None, str(tmp_path), BUCKET)
    assert found.labels == sorted((later, label(2)), key=lambda one: one.key)


def test_read_labels_from_a_missing_folder_or_bucket_fails():
    with pytest.raises(ReviewedLabelsError, match="--labels nowhere: there is no such folder"):
        read_labels(None, "nowhere", BUCKET)
    s3, stub = stubbed("s3")
    stub.add_client_error("list_objects_v2", "NoSuchBucket")
    with pytest.raises(ReviewedLabelsError, match="there is no bucket mine"):
        read_labels(s3, "s3://mine/labels", BUCKET)


@pytest.mark.parametrize(("content", "message"), [("{}", ""), (body(), r" \(its decided_by is None\)")])
def test_read_labels_with_an_invalid_label_names_it(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(LabelError, match=rf"x\.json is not a label{message}"):
        read_labels(None, str(tmp_path), BUCKET)


def test_check_with_an_unknown_class_names_a_label(tmp_path):
    labels = (label(1), label(2, "truck", class_names=["truck"]), label(3, NEITHER))
    found = read_labels(None, str(folder_of(tmp_path, *labels)), BUCKET)
    found.check(["bicycle", "motorcycle", "truck"])
    with pytest.raises(ReviewedLabelsError, match=rf"truck \(1\).*--classes.*{labels[1].key}"):
        found.check(["bicycle", "motorcycle"])


def test_pictures_yields_a_deleted_or_damaged_picture_as_unreadable(tmp_path):
    s3, stub = stubbed("s3")
    found = read_labels(s3, str(folder_of(tmp_path, label(1), label(2))), BUCKET)
    stub.add_client_error("get_object", "NoSuchVersion", http_status_code=404)
    stub.add_response("get_object", {"ContentLength": 3, "Body": Body(b"abc")})
    items = [item for item in found.pictures(640) if isinstance(item, Unreadable)]
    assert len(items) == 2
    assert {item.reason for item in items} == {
        "It is gone: this version was deleted from S3.",
        "not a picture of a kind that Pillow reads",
    }
    assert {item.path.partition("?")[0] for item in items} == {f"s3://pictures/inbox/{n}.png" for n in (1, 2)}


@pytest.mark.parametrize(("code", "why"), [("AccessDenied", "ask for s3:GetObjectVersion"), ("ExpiredToken", "log in")])
def test_pictures_without_access_fails(tmp_path, code, why):
    s3, stub = stubbed("s3")
    found = read_labels(s3, str(folder_of(tmp_path, label(1))), BUCKET)
    stub.add_client_error("get_object", code, "log in", http_status_code=403)
    with pytest.raises(ReviewedLabelsError, match=rf"s3://pictures/inbox/1.png\?versionId=v1.*{why}"):
        list(found.pictures(640))


def test_pictures_with_an_unexpected_error_raises_it(tmp_path):
    s3, stub = stubbed("s3")
    found = read_labels(s3, str(folder_of(tmp_path, label(1))), BUCKET)
    stub.add_response("get_object", {})  # without a body
    with pytest.raises(KeyError):
        list(found.pictures(640))


SOURCE = ("synthetic", "--count", "20", "--seed", "0")


@pytest.fixture
def stage(tmp_path, monkeypatch, capsys):
    """Stage drawn pictures with labels; return exit status, manifest, standard output, error."""

    def run(labels, pictures, source=SOURCE):
        session = StubbedSession()
        session.add_identity()
        session.stub("s3")
        contents = {one.question.picture.key: content for one, content in pictures.items()}

        def get_object(*, Bucket, Key, VersionId):  # noqa: N803  boto3's names
            assert (Bucket, VersionId[0]) == ("pictures", "v")
            return {"ContentLength": len(contents[Key]), "Body": Body(contents[Key])}

        session.clients["s3"].get_object = get_object  # in any order, since threads call it
        monkeypatch.setattr("boto3.Session", lambda: session)
        folder = folder_of(tmp_path / "labels", *labels)
        folder.mkdir(exist_ok=True)
        out = tmp_path / "staged"
        status = stage_data.main([*source, "--out", str(out), "--no-upload", "--labels", str(folder)])
        manifest = out / "manifest.json"
        read = json.loads(manifest.read_text()) if manifest.exists() else None
        return status, read, *capsys.readouterr()

    return run


def drawn(name, number):
    return encode(draw_picture(name, number, (32, 32), seed=99))


def test_reviewed_pictures_join_training_and_nothing_else(stage, tmp_path):
    # GIVEN labels of three new pictures, one "neither", one of a damaged picture, and one of a test picture
    answers = ("bicycle", "motorcycle", "motorcycle", NEITHER, "bicycle", "motorcycle")
    labels = [label(number, answer) for number, answer in enumerate(answers, start=1)]
    assert stage_data.main([*SOURCE, "--out", str(tmp_path / "plain"), "--no-upload"]) == 0
    plain = json.loads((tmp_path / "plain" / "manifest.json").read_text())
    tested = next(path for path in plain["files"] if path.startswith("test/bicycle/"))
    pictures = {one: drawn(one.label, number) for number, one in enumerate(labels[:3], start=1)}
    pictures |= {labels[4]: b"broken", labels[5]: (tmp_path / "plain" / tested).read_bytes()}

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


def test_second_run_with_labels_writes_nothing(stage):
    labels = [label(1, "bicycle")]
    pictures = {labels[0]: drawn("bicycle", 1)}
    _, first, *_ = stage(labels, pictures)
    _, second, shown, _ = stage(labels, pictures)
    assert first == second
    assert "0 written, 41 there already" in shown


def test_stage_without_labels_prints_that_there_are_none(stage):
    status, manifest, shown, _ = stage([], {})
    assert status == 0
    assert "there are no labels at" in shown
    assert manifest["reviews"]["labels"] == 0


@pytest.mark.parametrize("source", [SOURCE, ("cifar100", "--classes", "Pickup Truck", "bus")], ids=lambda s: s[0])
def test_stage_with_a_label_of_an_unknown_class_fails_before_the_download(stage, monkeypatch, source):
    monkeypatch.setattr(stage_data, "download", None)  # TypeError if it is called
    unknown = label(2, "tank", class_names=["tank"])
    known = [label(1, "pickup_truck", class_names=["pickup_truck"])] if source[0] == "cifar100" else []
    status, manifest, _, error = stage([*known, unknown], {}, source)
    assert (status, manifest) == (1, None)
    assert "labels of classes that are not staged: tank (1)" in error


def test_stage_with_a_class_named_neither_fails(tmp_path, capsys):
    for name in (NEITHER, "bicycle"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    options = ("--no-upload", "--out", str(tmp_path / "out"))
    assert stage_data.main([str(tmp_path / "photos"), *options]) == 1
    assert "Rename the class 'neither'" in capsys.readouterr().err
