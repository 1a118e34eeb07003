"""Training: unusable data is named, the model is written atomically, and it is the one that serves."""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from PIL import Image, ImageDraw

from training.container.picture_model import (
    augment,
    dataset,
    inference,
    member,
    network,
    train,
)
from training.container.picture_model.muon import Muon, orthogonalise
from training.endpoint.model_artifact import read_model_artifact

pytestmark = pytest.mark.slow

SCRIPT = Path(train.__file__).parent.with_name("train.py")
FAST = ["--epochs", "20", "--batch-size", "16", "--width", "8", "--members", "2", "--parts", "2"]


def draw(file, upright, seed):
    """A bar on a background, each of a colour and place of its own."""
    generator = torch.Generator().manual_seed(seed)
    low, high = (tuple(torch.randint(a, a + 90, (3,), generator=generator).tolist()) for a in (0, 160))
    picture = Image.new("RGB", (32, 32), low)
    x, y = torch.randint(10, 18, (2,), generator=generator).tolist()
    box = (x, 4, x + 4, 28) if upright else (x - 5, y - 5, x + 5, y + 5)
    ImageDraw.Draw(picture).rectangle(box, fill=high)
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """Bars (60 and 12) and squares (40 and 8): two classes that differ in shape, of unequal size."""
    folder = tmp_path_factory.mktemp("staged")
    seed = 0
    for split, counts in (("train", (60, 40)), ("validation", (12, 8))):
        for name, count in zip(("bar", "square"), counts, strict=True):
            for i in range(count):
                seed += 1
                draw(folder / split / name / f"{i}.png", name == "bar", seed)
    return folder


def run(staged, model_dir, *more):
    channels = ["--train", f"{staged}/train", "--validation", f"{staged}/validation"]
    return train.main([*channels, "--model-dir", str(model_dir), *FAST, *more])


@pytest.fixture(scope="module")
def trained(staged, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    assert run(staged, folder / "model", "--output-data-dir", str(folder / "output")) == 0
    return folder


def small(folder, **classes):
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        (folder / name / ".DS_Store").touch()
        for i in range(count):
            draw(folder / name / f"{i}.png", True, i)
    return folder


def test_read_channels_without_folder_fails():
    with pytest.raises(dataset.ChannelError, match="pass --train"):
        dataset.read_channels(None, Path("validation"), 32)


@pytest.mark.parametrize(
    ("train_classes", "validation_classes", "error", "message"),
    [
        ({"a": 1, "b": 1}, None, dataset.ChannelError, "validation is not a folder: --validation needs"),
        ({}, {"a": 1}, dataset.ChannelError, "train has no class folders"),
        ({"a": 1}, {"a": 1}, dataset.ClassFolderError, "one class, a: at least two"),
        ({"a": 1, "b": 1}, {"a": 1, "b": 1, "car": 1}, dataset.ClassFolderError, r"has classes that .* lacks: car"),
        ({"a": 1, "b": 0}, {"a": 1, "b": 1}, dataset.ClassFolderError, "train/b has no pictures"),
        ({"a": 1, "b": 1}, {"a": 1, "b": 0}, dataset.ClassFolderError, "validation/b has no pictures"),
        ({"a": 2, "b": 1}, {"a": 1}, dataset.ClassFolderError, "b has one picture: at least two"),
    ],
    ids=[
        *("missing channel", "no class folders", "one class", "unknown validation class"),
        *("empty training class", "empty validation class", "one picture"),
    ],
)
def test_read_channels_with_unusable_folders_fails(tmp_path, train_classes, validation_classes, error, message):
    (tmp_path / "train").mkdir()
    draw(tmp_path / "train" / "1.png", True, 0)
    small(tmp_path / "train", **train_classes)
    if validation_classes:
        small(tmp_path / "validation", **validation_classes)
    with pytest.raises(error, match=message):
        dataset.read_channels(tmp_path / "train", tmp_path / "validation", 32)


@pytest.mark.parametrize(("content", "reason"), [(b"not a picture", "neither PNG nor JPEG"), (b"", "0 bytes")])
def test_read_channels_with_unreadable_picture_names_the_file(tmp_path, content, reason):
    small(tmp_path, a=1, b=1)
    (tmp_path / "b" / "bad.png").write_bytes(content)
    with pytest.raises(dataset.UnreadablePictureError, match=f"b/bad.png: .*{reason}"):
        dataset.read_channels(tmp_path, tmp_path, 32)


def test_training_with_bad_data_prints_one_line_and_writes_no_model(tmp_path, capsys):
    small(tmp_path / "train", a=1)
    small(tmp_path / "validation", a=1)
    assert run(tmp_path, tmp_path / "model") == 1
    errors = capsys.readouterr().err
    assert errors.startswith("train.py: ClassFolderError: ")
    assert errors.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_training_with_infinite_loss_fails_without_a_model(staged, tmp_path, capsys):
    assert run(staged, tmp_path / "model", "--adam-learning-rate", "1e38") == 1
    assert re.search(r"NonFiniteLossError: .* in epoch \d: lower", capsys.readouterr().err)
    assert not list((tmp_path / "model").iterdir())


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError("disk full")])
def test_failed_write_leaves_the_old_model_whole(staged, trained, tmp_path, monkeypatch, failure):
    shutil.copytree(trained / "model", tmp_path / "model")

    def files():
        return {f: f.read_bytes() for f in (tmp_path / "model").rglob("*") if f.is_file()}

    before = files()

    def fail(_weights, file):
        Path(file).write_bytes(b"half")
        raise failure

    monkeypatch.setattr(torch, "save", fail)
    status = 130 if failure is KeyboardInterrupt else 1
    assert run(staged, tmp_path / "model", "--epochs", "1") == status
    assert files() == before


@pytest.mark.parametrize(
    "argument",
    [
        "--epochs=0",
        "--epochs=1.5",
        "--learning-rate=nan",
        "--learning-rate=-1",
        "--input-size=8",
        "--label-smoothing=1",
        "--momentum=0.9",
        "--members=9",
        "--parts=1",
        "--outlier-share=-1",
        "--max-error=0",
        "--confidence-level=1",
        "--preset=slow",
    ],
)
def test_argument_out_of_range_is_named(argument, usage_error):
    assert argument.partition("=")[0] in usage_error(train.main, ["--model-dir", "model", argument])


def test_parse_arguments_without_model_folder_fails(monkeypatch, usage_error):
    monkeypatch.delenv("SM_MODEL_DIR", raising=False)
    assert "--model-dir" in usage_error(train.main, [])


@pytest.mark.parity("training-container")
def test_folders_default_to_those_of_a_sagemaker_container(monkeypatch, tmp_path):
    monkeypatch.setenv("SM_CHANNEL_TRAIN", "/a")
    monkeypatch.setenv("SM_CHANNEL_VALIDATION", "/b")
    monkeypatch.setenv("SM_MODEL_DIR", "/c")
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", "/d")
    arguments = train.parse_arguments(["--epochs", "3", "--train", str(tmp_path)])
    folders = (arguments.validation, arguments.model_dir, arguments.output_data_dir)
    assert folders == (Path("/b"), Path("/c"), Path("/d"))
    assert arguments.train == tmp_path  # the command line wins


def test_read_channels_labels_pictures_by_sorted_folders(tmp_path):
    small(tmp_path, b=2, a=1)
    (tmp_path / ".cache").mkdir()
    classes, pictures = dataset.read_channels(tmp_path, tmp_path, 16)
    assert classes == ["a", "b"]
    assert pictures.labels.tolist() == [0, 1, 1, 0, 1, 1]  # the validation pictures join in
    assert pictures.pixels.shape == (6, 3, 16, 16)
    assert torch.equal(pictures.pixels[:3], pictures.pixels[3:])


@pytest.mark.parametrize("change", ["content", "name"])
def test_digest_depends_on_names_and_contents(tmp_path, change):
    small(tmp_path, a=1, b=1)
    before = dataset.read_pictures(tmp_path, ["a", "b"], 32).digest
    if change == "content":
        draw(tmp_path / "a" / "0.png", False, 5)
    else:
        (tmp_path / "a" / "0.png").rename(tmp_path / "a" / "9.png")
    assert dataset.read_pictures(tmp_path, ["a", "b"], 32).digest != before


def test_augment_moves_pixels_and_returns_the_turns():
    pictures = torch.zeros(400, 3, 32, 32)
    pictures[:, :, 5:9, 16] = 1  # a short line above the middle: it points up
    moved, turns = augment.augment(pictures, torch.Generator().manual_seed(0))
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    whole = moved.sum((1, 2, 3)) == 12  # no shift loses the line, but the square may cover it
    assert whole.double().mean() > 0.7
    rows, columns = moved[:, 0].sum(2), moved[:, 0].sum(1)
    where = {0: rows[:, :14], 1: columns[:, :14], 2: rows[:, 18:], 3: columns[:, 18:]}
    for turn, part in where.items():
        assert (part[whole & (turns == turn)].sum(1) == 4).all()
        assert (turns == turn).sum() > 60
    assert len({tuple(p.flatten().tolist()) for p in moved}) > 100


def test_augment_covers_one_small_square():
    covered = augment.augment(torch.ones(200, 3, 32, 32), torch.Generator().manual_seed(0))[0] == 0
    height, width = covered.any(3).sum(2), covered.any(2).sum(2)
    assert torch.equal(covered.sum((2, 3)), height * width)
    assert height.min() >= 5  # at a corner
    assert width.max() == 9
    assert len({tuple(c.flatten().tolist()) for c in covered}) > 100


def test_orthogonalise_makes_singular_values_near_one():
    matrix = torch.randn(8, 40, generator=torch.Generator().manual_seed(0))
    for shape in (matrix, matrix.T):
        values = torch.linalg.svdvals(orthogonalise(shape))
        assert 0.6 < values.min() < values.max() < 1.3


def test_muon_minimises_least_squares():
    torch.manual_seed(0)
    kernel = torch.nn.Parameter(torch.zeros(4, 3, 1, 1))
    wanted = torch.randn(4, 3, 1, 1)
    muon = Muon([kernel], lr=0.1, momentum=0.95)
    for step in range(300):
        muon.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        kernel.grad = kernel.detach() - wanted
        muon.step()
    assert (kernel - wanted).abs().max() < 0.02


@pytest.mark.parametrize("count", [1, 2, 3])
def test_replicas_give_the_gradient_of_the_whole_batch(count):
    torch.manual_seed(0)
    net: Any = network.Network(2, 16, width=8).double()
    for block in net.blocks:  # batch statistics of a part are not those of the whole
        block.norm1, block.norm2 = (torch.nn.GroupNorm(1, block.conv2.out_channels).double() for _ in "ab")
        if isinstance(block.shortcut, torch.nn.Sequential):
            block.shortcut = block.shortcut[0]
    net.stem[1] = torch.nn.Identity()
    pictures, labels = torch.randn(7, 3, 16, 16).double(), torch.randint(8, (7,))

    def loss(n, x, y):
        return torch.nn.functional.cross_entropy(n(x).flatten(1), y, reduction="sum")

    parameters = [p for p in net.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss(net, pictures, labels), parameters)
    replicas = member.Replicas(net, count)
    parts = list(zip(replicas.split(pictures), replicas.split(labels), strict=True))
    assert len(parts) == count
    replicas.backward(loss, parts)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, gradient)


def distinct_pictures(*counts: int) -> dataset.Pictures:
    """Pictures of classes 0, 1, ... of which no two are alike to the difference hash."""
    labels = torch.tensor([label for label, n in enumerate(counts) for _ in range(n)])
    generator = torch.Generator().manual_seed(1)
    bits = torch.randint(1 << 62, (len(labels),), generator=generator).tolist()
    return dataset.Pictures(torch.zeros(len(labels), 3, 16, 16).byte(), labels, bits, "")


def test_split_into_parts_is_even_per_class_and_seeded():
    pictures = distinct_pictures(7, 21, 2)
    parts = train.split_into_parts(pictures, 4, seed=3)
    by_class = [parts[pictures.labels == label].bincount(minlength=4).tolist() for label in range(3)]
    assert by_class == [[2, 2, 2, 1], [6, 5, 5, 5], [1, 1, 0, 0]]
    assert torch.equal(parts, train.split_into_parts(pictures, 4, seed=3))
    assert not torch.equal(parts, train.split_into_parts(pictures, 4, seed=4))


def test_split_into_parts_keeps_near_duplicates_together():
    pictures = distinct_pictures(6, 6)
    pictures.hashes[1] = pictures.hashes[0] ^ 0b10100  # 2 of 64 bits apart
    pictures.hashes[7] = pictures.hashes[0]  # of the other class: its label may be wrong
    for seed in range(10):
        parts = train.split_into_parts(pictures, 3, seed)
        assert parts[0] == parts[1]
        assert parts[6:].bincount().tolist() == [2, 2, 2]


def test_split_into_parts_separates_too_many_near_duplicates():
    pictures = distinct_pictures(6, 6)
    pictures.hashes[:3] = [pictures.hashes[0]] * 3
    for seed in range(10):
        assert train.split_into_parts(pictures, 3, seed).bincount().tolist() == [4, 4, 4]


def test_training_with_an_empty_part_succeeds(tmp_path):
    small(tmp_path / "train", a=2, b=2)
    options = ["--members", "3", "--parts", "4", "--width", "8", "--epochs", "1"]
    assert train.main(["--train", f"{tmp_path}/train", "--model-dir", f"{tmp_path}/model", *options]) == 0
    held_out = json.loads((tmp_path / "model" / "held_out.json").read_text())
    assert sorted(held_out["truth"]) == [0, 0, 1, 1]


def test_training_learns_shapes_and_reduces_the_loss(trained):
    history = json.loads((trained / "output" / "history.json").read_text())
    assert [row["epoch"] for row in history] == list(range(1, 21))
    assert history[-1]["train_loss"] < 0.75 * history[0]["train_loss"]
    assert [row["seconds"] for row in history] == sorted(row["seconds"] for row in history)
    assert history[-1]["validation_accuracy"] >= 0.9


@pytest.mark.parity("training-output")
def test_model_folder_has_all_files_for_serving(trained):
    model = trained / "model"
    files = sorted(str(f.relative_to(model)) for f in model.rglob("*") if f.is_file())
    package = sorted(path.name for path in Path(train.__file__).parent.glob("*.py"))
    assert files == [
        "baseline.json",
        "baseline.pt",
        "code/inference.py",
        *(f"code/picture_model/{name}" for name in package),
        "held_out.json",
        "metadata.json",
        "model.pt",
    ]
    metadata = json.loads((model / "metadata.json").read_text())
    assert metadata["classes"] == ["bar", "square"]
    assert metadata["input_size"] == 32
    assert metadata["arguments"]["epochs"] == 20
    assert len(metadata["data_sha256"]) == 64
    assert metadata["metrics"]["pictures"] == 120
    assert metadata["metrics"]["seconds"] > 0
    weights = torch.load(model / "model.pt", weights_only=True)
    assert all(isinstance(w, torch.Tensor) for w in weights.values())


def pictures_of(staged):
    return dataset.read_channels(staged / "train", staged / "validation", 32)[1]


def loaded(folder):
    return network.load_classifier(folder, torch.device("cpu"))


def test_held_out_answers_are_those_of_the_unseen_member(staged, trained):
    """GIVEN a model folder WHEN each member answers for its part of the pictures THEN these are the
    held-out answers, and accuracy and loss are those that training wrote down."""
    model, pictures = loaded(trained / "model"), pictures_of(staged)
    held_out = json.loads((trained / "model" / "held_out.json").read_text())
    assert held_out["classes"] == ["bar", "square"]
    assert held_out["truth"] == pictures.labels.tolist()
    given = torch.tensor(held_out["probabilities"])
    parts = train.split_into_parts(pictures, 2, seed=0)
    for number, one in enumerate(model.ensemble.networks()):
        x = model.normalise(pictures.pixels[parts == number])
        answers = model.member_log_probabilities(one, x).double().softmax(1)
        assert torch.allclose(given[parts == number].double(), answers, atol=1e-4)
    metrics = json.loads((trained / "model" / "metadata.json").read_text())["metrics"]
    right = given.argmax(1) == pictures.labels
    assert right.double().mean().item() == metrics["validation_accuracy"]
    loss = torch.nn.functional.nll_loss(given.log(), pictures.labels).item()
    assert loss == pytest.approx(metrics["validation_loss"], abs=1e-4)


def test_no_member_learns_from_its_own_part(staged, tmp_path, monkeypatch):
    made: list[Any] = []
    init = member.Member.__init__

    def note(made_member, *more, **options):
        init(made_member, *more, **options)
        made.append(made_member)

    monkeypatch.setattr(member.Member, "__init__", note)
    assert run(staged, tmp_path / "model", "--epochs", "1", "--members", "3", "--parts", "4") == 0
    parts = train.split_into_parts(pictures_of(staged), 4, seed=0)
    assert len(made) == 3
    for number, one in enumerate(made):
        assert (parts[one.learned_from] != number).all()
        assert 84 <= len(one.learned_from) <= 96
    held_out = json.loads((tmp_path / "model" / "held_out.json").read_text())
    assert len(held_out["truth"]) == (parts < 3).sum() < 120  # nobody has left out the last part


@pytest.mark.parametrize(
    "options",
    [
        ["--members", "1", "--parts", "2"],
        ["--members", "1", "--parts", "8", "--input-size", "48"],
        ["--preset", "best", "--members", "6", "--parts", "6", "--input-size", "16"],
        ["--input-size", "64", "--outlier-share", "0"],
        ["--batch-size", "3"],
        ["--members", "1", "--batch-size", "64"],
    ],
    ids=" ".join,
)
def test_training_with_options_makes_a_model_that_serves(staged, tmp_path, options):
    assert run(staged, tmp_path / "model", *options, "--epochs", "1") == 0
    served = inference.model_fn(str(tmp_path / "model"))
    picture = inference.input_fn((staged / "train/bar/0.png").read_bytes(), "image/png")
    assert sum(inference.predict_fn(picture, served)["probabilities"]) == pytest.approx(1)


def test_model_archive_of_a_training_is_readable_by_the_commands(trained, tmp_path):
    """The commands on the laptop find the held-out answers, and recommend what training did."""
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(trained / "model", arcname=".")
    content = archive.read_bytes()
    s3 = Mock(get_object=lambda **_: {"ContentLength": len(content), "Body": io.BytesIO(content)})
    artifact = read_model_artifact(s3, "s3://bucket/model.tar.gz")
    written = artifact.metadata["calibration"]
    recommended = asdict(artifact.recommendation())
    assert recommended == {name: written[name] for name in recommended}
    assert written["temperature"] == artifact.metadata["temperature"]


def test_unwritable_model_folder_fails_before_the_training(staged, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run(staged, tmp_path / "file" / "model") == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("train.py: NotADirectoryError: ")
    assert "train:loss" not in printed.out


@pytest.mark.parity("training-output")
def test_served_probabilities_are_the_mean_of_all_members(staged, trained):
    served = inference.model_fn(str(trained / "model"))
    file = staged / "validation" / "bar" / "0.png"
    answer = inference.predict_fn(inference.input_fn(file.read_bytes(), "image/png"), served)
    model = loaded(trained / "model")
    x = model.normalise(pictures_of(staged).pixels[100:101])
    each = [model.member_log_probabilities(m, x).exp() for m in model.ensemble.members]
    assert not torch.allclose(each[0], each[1])
    together = torch.tensor([answer["probabilities"]])
    assert torch.allclose(together, torch.stack(each).mean(0), atol=1e-5)


def test_weights_are_stored_in_half_precision_without_loss(trained):
    weights = torch.load(trained / "model" / "model.pt", weights_only=True)
    kernels = {name: w for name, w in weights.items() if w.ndim > 1}
    assert {w.dtype for w in kernels.values()} == {torch.float16}
    served = loaded(trained / "model").ensemble.state_dict()
    assert all(torch.equal(served[name], w.float()) for name, w in kernels.items())


def test_training_with_the_same_seed_gives_the_same_model(staged, tmp_path):
    weights = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(staged, tmp_path / name, "--epochs", "2", "--seed", seed) == 0
        weights.append(torch.load(tmp_path / name / "model.pt", weights_only=True)["members.0.head.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parity("training-metrics")
def test_script_prints_the_metrics_that_sagemaker_reads(staged, tmp_path):
    channels = ["--train", staged / "train", "--validation", staged / "validation", "--model-dir", tmp_path]
    command = [sys.executable, SCRIPT, *channels, *FAST, "--epochs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if "validation:accuracy=" in line]
    assert len(lines) == 3  # an epoch each, and the served model
    for name in ("train:loss", "validation:loss", "validation:accuracy"):
        assert all(re.search(rf"{name}=([0-9.]+)", line) for line in lines)
    assert re.search(r"[0-9.]+ s in all, \d+ images/s", done.stdout)
    assert "120 pictures of bar, square; 2 networks of width 8, 2 epochs" in done.stdout
    before_training, *_ = done.stdout.partition("train:loss")
    assert "120 pictures are held out: it takes 299 to show an error of 1%" in before_training
