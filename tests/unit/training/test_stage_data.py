"""The command: what it writes, a second run, an interrupted run, and the upload."""

import hashlib
import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from common.settings import ROOT
from tests.unit.aws_stubs import ACCOUNT, StubbedSession
from tests.unit.training.cifar_archives import members, write_archive
from training import stage_data
from training.staging.folder import INCOMING, StagedFolder, StagedFolderError, read_manifest

SHARED_ARCHIVE = ROOT.parent / "shared" / "data" / "cifar-100-vehicles.tar.gz"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "a.tar.gz", members())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "staged"


def stage(source, out, *options) -> int:
    return stage_data.main([str(source), "--out", str(out), "--no-upload", *options])


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def photos(root: Path, count: int = 20) -> Path:
    for seed, name in enumerate(("car", "van")):
        (root / name).mkdir(parents=True)
        for number in range(count):
            rng = np.random.default_rng(1000 * seed + number)
            pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((60, 40)).save(root / name / f"{number}.jpg")
    return root


def test_stage_with_too_few_pictures_fails_with_one_sentence(out, capsys):
    assert stage("synthetic", out, "--count", "3") == 1

    error = capsys.readouterr().err
    assert error.startswith("stage_data: ")
    assert "too few to have some in" in error
    assert error.count("\n") == 1
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--validation-share", "1.5"],
        ["--validation-share", "0.6", "--test-share", "0.4"],
        *(["--size", size] for size in ("8", "640x", "x480", "640x8", "640x480x3", "wide")),
    ],
)
def test_options_out_of_range_are_usage_errors(out, usage_error, options):
    assert options[0] in usage_error(lambda arguments: stage("synthetic", out, *arguments), options)


@pytest.fixture
def session(monkeypatch):
    session = StubbedSession()
    monkeypatch.setattr("boto3.Session", lambda: session)
    return session


@pytest.fixture
def no_download(monkeypatch):
    monkeypatch.setattr(stage_data, "download", Mock(side_effect=AssertionError("the download began")))


@pytest.mark.parametrize(
    "manifest", [None, '{"name": "a web app", "files": {"train/car/0.jpg": 1}}'], ids=["none", "of another program"]
)
def test_stage_into_a_folder_with_other_files_fails_before_the_download(tmp_path, out, no_download, capsys, manifest):
    photos(out / "train", count=1)
    if manifest:
        (out / "manifest.json").write_text(manifest)
    before = files(out)

    assert stage("cifar100", out, "--cache", str(tmp_path)) == 1
    assert "holds files that are not staged data" in capsys.readouterr().err
    assert files(out) == before


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/bicycle/mine.png"], "train/bicycle/mine.png was not written by stage_data: move it away, or give"),
        (["test/notes.txt"], "test/notes.txt was not written by stage_data: move it away, or give another --out"),
        (["test/a", "test/b", "test/c"], "test/a was not written by stage_data, nor were 2 more files: move it away"),
    ],
    ids=["picture", "text", "many"],
)
def test_stage_into_a_staged_folder_with_a_users_files_fails_and_keeps_them(archive, out, capsys, names, message):
    stage(archive, out)
    for name in names:
        (out / name).write_bytes(b"a user's own")
    before = files(out)

    assert stage("synthetic", out, "--count", "10") == 1
    assert message in capsys.readouterr().err
    assert files(out) == before


def test_stage_never_removes_a_file_outside_the_folder(archive, out):
    stage(archive, out)
    outside = out.parent / "mine.png"
    outside.write_bytes(b"a user's own")
    manifest = read_manifest(out)
    manifest["files"]["../mine.png"] = {"sha256": "", "bytes": 0}
    (out / "manifest.json").write_text(json.dumps(manifest))

    assert stage("synthetic", out, "--count", "10") == 0
    assert outside.exists()


def test_stage_into_a_folder_that_cannot_be_written_fails(archive, tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")

    assert stage(archive, tmp_path / "file" / "staged") == 1
    assert capsys.readouterr().err.startswith("stage_data: ")


def test_staged_folder_matches_its_manifest(archive, out, capsys):
    assert stage(archive, out, "--classes", "bicycle", "bus", "--validation-share", "0.25") == 0

    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["source"] == {"kind": "archive", "name": "a.tar.gz"}
    assert (manifest["seed"], manifest["s3_uri"]) == (0, None)
    assert manifest["classes"] == ["bicycle", "bus"]
    assert manifest["counts"] == {
        "train": {"bicycle": 15, "bus": 15},
        "validation": {"bicycle": 5, "bus": 5},
        "test": {"bicycle": 4, "bus": 4},
    }
    written = files(out)
    assert set(written) == {*manifest["files"], "manifest.json"}
    for path, facts in manifest["files"].items():
        assert facts == {"sha256": hashlib.sha256(written[path]).hexdigest(), "bytes": len(written[path])}
        with Image.open(out / path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (32, 32))
    assert "48 pictures" in capsys.readouterr().out


def test_second_run_changes_nothing(archive, out, capsys):
    stage(archive, out)
    before = {path: (out / path).stat().st_ino for path in read_manifest(out)["files"]}
    content = files(out)
    capsys.readouterr()

    assert stage(archive, out) == 0
    assert files(out) == content
    assert before == {path: (out / path).stat().st_ino for path in before}
    assert "0 written, 48 there already" in capsys.readouterr().out


def test_second_run_repairs_and_removes_files(archive, out):
    stage(archive, out)
    content = files(out)
    first, second = list(read_manifest(out)["files"])[:2]
    (out / first).write_bytes(b"damaged")
    (out / second).unlink()

    assert stage(archive, out) == 0
    assert files(out) == content
    stage(archive, out, "--classes", "bicycle", "bus")
    assert not (out / "train" / "motorcycle").exists()


def test_second_run_with_another_source_replaces_the_first(archive, out):
    stage(archive, out)

    assert stage("synthetic", out, "--count", "6", "--size", "40x30", "--classes", "truck", "car", "bus") == 0
    manifest = read_manifest(out)
    assert manifest["source"] == {"kind": "synthetic", "count": 6, "size": "40x30", "seed": 0}
    assert manifest["classes"] == ["bus", "car", "truck"]
    assert set(files(out)) == {*manifest["files"], "manifest.json"}
    for path in manifest["files"]:
        with Image.open(out / path) as picture:
            assert (picture.size, picture.info) == ((40, 30), {})  # drawn pictures have no text of an original file


def test_ctrl_c_among_the_pictures_keeps_the_previous_result(archive, out, monkeypatch):
    stage(archive, out)
    content = files(out)

    monkeypatch.setattr(stage_data, "_png", Mock(side_effect=[*[b"png"] * 5, KeyboardInterrupt]))
    assert stage("synthetic", out, "--count", "10") == 130
    assert {p: c for p, c in files(out).items() if not p.startswith(INCOMING)} == content

    monkeypatch.undo()
    assert stage(archive, out) == 0
    assert files(out) == content


def test_ctrl_c_while_moving_leaves_no_manifest(archive, out, monkeypatch):
    stage(archive, out)

    monkeypatch.setattr(StagedFolder, "write_manifest", Mock(side_effect=KeyboardInterrupt))
    assert stage("synthetic", out, "--count", "10") == 130
    with pytest.raises(StagedFolderError, match=r"run `python -m training\.stage_data` first"):
        read_manifest(out)

    monkeypatch.undo()
    assert stage("synthetic", out, "--count", "10") == 0
    assert set(files(out)) == {*read_manifest(out)["files"], "manifest.json"}


def test_read_manifest_of_a_damaged_manifest_fails(out):
    out.mkdir()
    (out / "manifest.json").write_text('{"files": ')

    with pytest.raises(StagedFolderError, match=r"is damaged: remove .*staged and run"):
        read_manifest(out)


def test_photos_are_staged_and_unreadable_ones_listed(tmp_path, out, capsys):
    folder = photos(tmp_path / "photos")
    (folder / "van" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")

    assert stage(folder, out, "--long-side", "30") == 0
    output = capsys.readouterr().out
    assert "Pictures that could not be read: 1" in output
    assert "broken.jpg" in output
    manifest = read_manifest(out)
    assert manifest["counts"]["test"] == {"car": 3, "van": 3}
    with Image.open(out / next(iter(manifest["files"]))) as picture:
        assert picture.size == (30, 20)


def test_class_of_unreadable_photos_only_fails_and_lists_them(tmp_path, out, capsys):
    folder = photos(tmp_path / "photos")
    for path in (folder / "van").iterdir():
        path.write_bytes(b"broken")

    assert stage(folder, out) == 1
    captured = capsys.readouterr()
    assert "Class van has 0 usable pictures" in captured.err
    assert "Pictures that could not be read: 20" in captured.out


def test_stage_a_folder_into_itself_fails(tmp_path, capsys):
    folder = photos(tmp_path / "photos", count=10)

    before = files(folder)
    for out in (folder, folder / "car", folder / "data" / "staged", tmp_path):
        assert stage(folder, out) == 1
        assert "one within the other: give another --out" in capsys.readouterr().err
    assert files(folder) == before


@pytest.mark.parametrize(
    ("source", "service", "error", "message"),
    [
        ("missing.tar.gz", None, None, "missing.tar.gz does not exist"),
        ("cifar100", "sts", ("get_caller_identity", "ExpiredToken"), "log in again"),
        ("cifar100", "s3", ("head_bucket", "403"), "ask for access"),
    ],
    ids=["source", "credentials", "bucket of another account"],
)
def test_stage_with_a_missing_requirement_fails_before_the_download(
    tmp_path, out, no_download, session, capsys, source, service, error, message
):
    if service == "s3":
        session.add_identity()
    if service:
        session.stub(service).add_client_error(*error)

    assert stage_data.main([source, "--out", str(out), "--cache", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_upload_sends_the_manifest_last_with_its_address(archive, out, session, monkeypatch):
    session.add_identity()
    s3 = session.stub("s3")
    s3.add_response("head_bucket", {})
    s3.add_response("get_bucket_tagging", {"TagSet": [{"Key": "Project", "Value": "scones-unlimited"}]})
    s3.add_response("list_objects_v2", {"Contents": []})
    for _ in range(48 + 1):
        s3.add_response("put_object", {})
    sent: list[tuple[str, bytes]] = []
    session.client("s3").meta.events.register(
        "provide-client-params.s3.PutObject", lambda params, **_: sent.append((params["Key"], params["Body"]))
    )
    monkeypatch.setattr("training.staging.bucket.THREADS", 1)

    assert stage_data.main([str(archive), "--out", str(out)]) == 0
    manifest = read_manifest(out)
    assert manifest["s3_uri"] == f"s3://scones-unlimited-training-{ACCOUNT}-eu-west-1/staged"
    assert sent[-1] == ("staged/manifest.json", (out / "manifest.json").read_bytes())
    assert {key for key, _ in sent[:-1]} == {f"staged/{path}" for path in manifest["files"]}


@pytest.mark.skipif(not SHARED_ARCHIVE.exists(), reason="../shared/data is not on this machine")
def test_real_pictures_are_staged_with_near_duplicates_in_one_split(out, capsys):
    assert stage(SHARED_ARCHIVE, out) == 0

    counts = read_manifest(out)["counts"]
    assert counts["test"] == {"bicycle": 100, "motorcycle": 100}
    assert counts["validation"] == {"bicycle": 60, "motorcycle": 60}
    assert counts["train"] == {"bicycle": 340, "motorcycle": 337}
    assert "they repeat a test picture: 3" in capsys.readouterr().out
