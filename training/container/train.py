"""Train the picture classifier: runs inside a SageMaker training job, or with plain `python`.

    python training/container/train.py --train data/staged/train \
        --validation data/staged/validation --model-dir data/model

Both folders hold one folder per class with its pictures (PNG or JPEG). The model folder gets
`model.pt` (weights), `metadata.json` (all else that serving needs) and `code/` (the serving
script), written only when training has succeeded.
"""

import argparse
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from network import (
    METADATA_FILE,
    TURNS,
    WEIGHTS_FILE,
    Classifier,
    Network,
    PictureError,
    decode_picture,
    resize_picture,
)
from torch import Tensor
from torch.nn import functional

SERVING_FILES = ("inference.py", "network.py")


class TrainingError(Exception):
    """Training cannot start or go on; the message says what to change."""


class ChannelError(TrainingError):
    """The folder of a training channel is missing or has no class folders."""


class ClassFolderError(TrainingError):
    """A class has no pictures, or the classes of the two channels do not match."""


class UnreadablePictureError(TrainingError):
    """A picture of the training data cannot be used; the message names it."""


class NonFiniteLossError(TrainingError):
    """The loss became infinite or not a number, so that the weights are worthless."""


@dataclass
class Pictures:
    """Labelled pictures in memory."""

    pixels: Tensor  # uint8 [N, 3, S, S]
    labels: Tensor  # int64 [N], positions in the sorted class list
    digest: str  # SHA-256 over names and contents, hex


@dataclass
class Epoch:
    """The figures of one pass over the training pictures; losses in nats a picture."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


def class_names(channel: str, folder: Path | None) -> list[str]:
    """Give the sorted class names of a channel: its folder's folders.

    Raises:
        ChannelError: the folder is not given, missing, or has no class folders.
    """
    if folder is None:
        raise ChannelError(f"no folder for the {channel} pictures: pass --{channel}")
    if not folder.is_dir():
        raise ChannelError(f"{folder} is not a folder: --{channel} needs <class>/<picture> in it")
    names = sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not names:
        raise ChannelError(f"{folder} has no class folders: put pictures into {folder}/<class>/")
    return names


def read_pictures(folder: Path, classes: list[str], input_size: int) -> Pictures:
    """Read `<class>/<picture>` into memory; folders of other classes are not looked at.

    Raises:
        UnreadablePictureError: a file cannot be decoded.
    """
    files: list[tuple[Path, int]] = []
    for label, name in enumerate(classes):
        found = sorted(f for f in (folder / name).glob("*") if not f.name.startswith("."))
        files += [(file, label) for file in found]

    def read(file: Path) -> tuple[Tensor, bytes]:
        try:
            data = file.read_bytes()
            pixels = resize_picture(decode_picture(data), input_size)
        except (PictureError, OSError) as error:
            raise UnreadablePictureError(f"{file}: {error}") from error
        return pixels, hashlib.sha256(f"{file.relative_to(folder)}\n".encode() + data).digest()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read_files = list(pool.map(read, [file for file, _ in files]))
    return Pictures(
        pixels=torch.stack([pixels for pixels, _ in read_files]),
        labels=torch.tensor([label for _, label in files]),
        digest=hashlib.sha256(b"".join(digest for _, digest in read_files)).hexdigest(),
    )


def read_channels(
    train: Path | None, validation: Path | None, input_size: int
) -> tuple[list[str], Pictures, Pictures]:
    """Read both channels: the class names, the training and the validation pictures.

    Raises:
        ChannelError, ClassFolderError, UnreadablePictureError: see each class.
    """
    classes = class_names("train", train)
    unknown = sorted(set(class_names("validation", validation)) - set(classes))
    if unknown:
        raise ClassFolderError(f"{validation} has classes that {train} lacks: {', '.join(unknown)}")
    if len(classes) < 2:
        raise ClassFolderError(f"{train} has one class, {classes[0]}: at least two are needed")
    assert train is not None and validation is not None  # noqa: S101, PT018  class_names saw to it
    for folder in (train, validation):
        for name in classes:
            if not any(f for f in (folder / name).glob("*") if not f.name.startswith(".")):
                raise ClassFolderError(f"{folder / name} has no pictures: every class needs some")
    return (
        classes,
        read_pictures(train, classes, input_size),
        read_pictures(validation, classes, input_size),
    )


def augment(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Turn, mirror, scale and shift normalised pictures [N, 3, S, S] at random.

    Returns the pictures and their quarter turns, int64 [N] in [0, TURNS).
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(x), generator=generator)

    turns = torch.randint(TURNS, (len(x),), generator=generator)
    angle = turns * (math.pi / 2)
    mirror = torch.randint(2, (len(x),), generator=generator) * 2.0 - 1
    scale = uniform(0.85, 1.15)
    shift = torch.stack([uniform(-0.2, 0.2), uniform(-0.2, 0.2)], 1)  # of half the picture
    cos, sin = angle.cos() * scale, angle.sin() * scale
    matrix = torch.stack([cos * mirror, -sin, sin * mirror, cos], 1).view(-1, 2, 2)
    affine = torch.cat([matrix, shift[:, :, None]], 2).to(x.device)
    grid = functional.affine_grid(affine, list(x.shape), align_corners=False)
    moved = functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last), turns.to(x.device)


def evaluate(classifier: Classifier, pictures: Pictures, batch_size: int = 256) -> Tensor:
    """Log probabilities [N, classes] of `pictures`, on the CPU."""
    batches = torch.split(pictures.pixels, batch_size)
    return torch.cat([classifier.log_probabilities(batch).cpu() for batch in batches])


def fit_temperature(log_probabilities: Tensor, labels: Tensor) -> float:
    """Find the temperature that makes the log probabilities [N, classes] fit the labels best.

    It divides them: above 1 it takes confidence away, below 1 it adds some. Not far below: a few
    pictures that are all right do not prove that none will be wrong.
    """
    candidates = torch.logspace(math.log10(0.5), math.log10(5), 100)
    losses = [functional.cross_entropy(log_probabilities / t, labels) for t in candidates]
    return float(candidates[int(torch.stack(losses).argmin())])


def fit(
    classifier: Classifier, train: Pictures, validation: Pictures, arguments: argparse.Namespace
) -> list[Epoch]:
    """Train the classifier's network in place and print one line per epoch.

    Raises:
        NonFiniteLossError: the loss became infinite or not a number.
    """
    network, device = classifier.network, classifier.device
    generator = torch.Generator().manual_seed(arguments.seed)
    weights = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, arguments.learning_rate, weight_decay=arguments.weight_decay
    )
    steps_per_epoch = math.ceil(len(train.labels) / arguments.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        arguments.learning_rate,
        total_steps=arguments.epochs * steps_per_epoch,
        pct_start=0.2,
    )
    epochs: list[Epoch] = []
    started = time.perf_counter()
    for epoch in range(1, arguments.epochs + 1):
        network.train()
        losses = torch.zeros((), device=device)
        order = torch.randperm(len(train.labels), generator=generator)
        for batch in order.tensor_split(steps_per_epoch):
            x = classifier.normalise(train.pixels[batch].to(device))
            x, turns = augment(x, generator)
            joint = train.labels[batch].to(device) * TURNS + turns
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                scores = network(x).flatten(1)
            loss = functional.cross_entropy(
                scores.float(), joint, label_smoothing=arguments.label_smoothing
            )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            losses += loss.detach() * len(batch)
        train_loss = losses.item() / len(train.labels)
        if not math.isfinite(train_loss):
            raise NonFiniteLossError(
                f"the training loss became {train_loss} in epoch {epoch}: lower --learning-rate"
                f" (now {arguments.learning_rate})"
            )
        logs = evaluate(classifier, validation)
        row = Epoch(
            epoch=epoch,
            train_loss=train_loss,
            validation_loss=functional.nll_loss(logs, validation.labels).item(),
            validation_accuracy=(logs.argmax(1) == validation.labels).double().mean().item(),
            seconds=time.perf_counter() - started,
        )
        epochs.append(row)
        print(
            f"{epoch:5d}/{arguments.epochs} {row.seconds:7.1f} s  {metrics_line(row)}", flush=True
        )
    return epochs


def metrics_line(row: Epoch) -> str:
    """Write the figures the way the training job's metric definitions look for them."""
    return (
        f"train:loss={row.train_loss:.4f} validation:loss={row.validation_loss:.4f}"
        f" validation:accuracy={row.validation_accuracy:.4f}"
    )


def train_classifier(arguments: argparse.Namespace) -> None:
    """Read the pictures, train, calibrate on the validation pictures, and write the model folder.

    Raises:
        TrainingError: with the reason; nothing has been written then.
    """
    started = time.perf_counter()
    torch.manual_seed(arguments.seed)
    torch.backends.cudnn.deterministic = True
    classes, train, validation = read_channels(
        arguments.train, arguments.validation, arguments.input_size
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(
        f"{len(train.labels)} training and {len(validation.labels)} validation pictures of"
        f" {', '.join(classes)}; {device.type}, {torch.get_num_threads()} threads,"
        f" torch {torch.__version__}",
        flush=True,
    )
    floats = train.pixels.float() / 255
    network = Network(len(classes), arguments.input_size, arguments.width)
    classifier = Classifier(
        network=network.to(device=device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        classes=classes,
        input_size=arguments.input_size,
        mean=floats.mean((0, 2, 3)).tolist(),
        std=floats.std((0, 2, 3)).clamp(min=1e-3).tolist(),
    )
    sample = torch.randperm(len(train.labels))[:1000]  # 1000 pictures give 225,000 patches
    network.whiten(classifier.normalise(train.pixels[sample].to(device)))
    epochs = fit(classifier, train, validation, arguments)

    classifier.temperature = fit_temperature(evaluate(classifier, validation), validation.labels)
    logs = evaluate(classifier, validation)
    seconds = time.perf_counter() - started
    served = Epoch(
        epoch=arguments.epochs,
        train_loss=epochs[-1].train_loss,
        validation_loss=functional.nll_loss(logs, validation.labels).item(),
        validation_accuracy=epochs[-1].validation_accuracy,
        seconds=seconds,
    )
    images_per_second = arguments.epochs * len(train.labels) / epochs[-1].seconds
    write_model(
        classifier,
        arguments,
        data_sha256=hashlib.sha256((train.digest + validation.digest).encode()).hexdigest(),
        metrics={
            "train_loss": served.train_loss,
            "validation_loss": served.validation_loss,
            "validation_accuracy": served.validation_accuracy,
            "seconds": seconds,
            "images_per_second": images_per_second,
            "train_pictures": len(train.labels),
            "validation_pictures": len(validation.labels),
        },
    )
    if arguments.output_data_dir:
        arguments.output_data_dir.mkdir(parents=True, exist_ok=True)
        history = json.dumps([vars(epoch) for epoch in epochs], indent=1)
        (arguments.output_data_dir / "history.json").write_text(history + "\n", "utf-8")
    print(
        f"served model: {metrics_line(served)}\n"
        f"temperature {classifier.temperature:.2f}, {seconds:.1f} s in all,"
        f" {images_per_second:.0f} images/s, written to {arguments.model_dir}",
        flush=True,
    )


def write_model(
    classifier: Classifier,
    arguments: argparse.Namespace,
    data_sha256: str,
    metrics: dict[str, float],
) -> None:
    """Write weights, metadata and serving code to the model folder, whole or not at all."""
    metadata = {
        "classes": classifier.classes,
        "input_size": classifier.input_size,
        "width": arguments.width,
        "normalisation": {"mean": classifier.mean, "std": classifier.std},
        "temperature": classifier.temperature,
        "arguments": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(arguments).items()
        },
        "metrics": metrics,
        "data_sha256": data_sha256,
        "torch": torch.__version__,
    }
    folder: Path = arguments.model_dir
    folder.mkdir(parents=True, exist_ok=True)
    # Beside its destination, since only within one file system is a move atomic.
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
        code = Path(partial, "code")
        code.mkdir()
        for name in SERVING_FILES:
            shutil.copyfile(Path(__file__).with_name(name), code / name)
        weights = {k: v.cpu().contiguous() for k, v in classifier.network.state_dict().items()}
        torch.save(weights, Path(partial, WEIGHTS_FILE))
        Path(partial, METADATA_FILE).write_text(json.dumps(metadata, indent=1) + "\n", "utf-8")
        (folder / "code").mkdir(exist_ok=True)
        for name in (*(f"code/{f}" for f in SERVING_FILES), METADATA_FILE, WEIGHTS_FILE):
            Path(partial, name).replace(folder / name)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; folders default to what a SageMaker container sets."""

    def from_environment(name: str) -> Path | None:
        return Path(os.environ[name]) if os.environ.get(name) else None

    parser = argparse.ArgumentParser(
        description="Train the picture classifier on folders of <class>/<picture>.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--train", type=Path, default=from_environment("SM_CHANNEL_TRAIN"),
        help="folder of the training pictures")  # fmt: skip
    add("--validation", type=Path, default=from_environment("SM_CHANNEL_VALIDATION"),
        help="folder of the validation pictures")  # fmt: skip
    add("--model-dir", type=Path, default=from_environment("SM_MODEL_DIR"),
        help="folder that gets the model")  # fmt: skip
    add("--output-data-dir", type=Path, default=from_environment("SM_OUTPUT_DATA_DIR"),
        help="folder that gets history.json with every epoch's figures")  # fmt: skip
    add("--epochs", type=positive_int, default=75, help="passes over the training pictures")
    add("--batch-size", type=positive_int, default=64, help="pictures a step")
    add("--learning-rate", type=float, default=3e-3, help="highest step size of AdamW")
    add("--weight-decay", type=float, default=0.05, help="shrinkage of AdamW")
    add("--label-smoothing", type=float, default=0.1, help="share of the target spread evenly")
    add("--input-size", type=positive_int, default=32, help="side of the network's input, pixels")
    add("--width", type=positive_int, default=64, help="channels at the first resolution")
    add("--seed", type=int, default=0, help="same seed and machine, same model")
    arguments = parser.parse_args(argv)
    if arguments.model_dir is None:
        parser.error("no folder for the model: pass --model-dir")
    return arguments


def positive_int(text: str) -> int:
    """Read a whole number above 0, or say why not (argparse prints it)."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Train; give the exit status: 0, 1 for bad data or a failed training, 130 for Ctrl-C."""
    arguments = parse_arguments(argv)
    try:
        train_classifier(arguments)
    except TrainingError as error:
        print(f"train.py: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train.py: interrupted, nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
