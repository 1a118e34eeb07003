"""Train the picture classifier: runs inside a SageMaker training job, or with plain `python`.

    python training/container/train.py --train data/staged/train \
        --validation data/staged/validation --model-dir data/model

Both folders hold one folder per class with its pictures (PNG or JPEG). The model folder gets
`model.pt` (weights), `metadata.json` (all else that serving needs) and `code/` (the serving
script), written only when training has succeeded.

Measured on the 800 training pictures of CIFAR-100's bicycle and motorcycle, five-fold, so 640 at a
time: the defaults reach .918 (standard error .010) in about 150 CPU-seconds. Each default was
chosen there, in runs of equal length: batches of 32 .886, of 64 .869; width 48 for 50 epochs .888,
width 64 for 30 epochs .869; 90 epochs .910. Colour changes lost 2 points, shifts between pixels 5.
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
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from dataset import DataError, Pictures, read_channels
from muon import Muon
from network import METADATA_FILE, TURNS, WEIGHTS_FILE, Classifier, Network
from replicas import Replicas
from torch import Tensor
from torch.nn import functional

SERVING_FILES = ("inference.py", "network.py")

# Both optimizers' steps grow from zero over this share of the training, while the batch statistics
# settle, then shrink to zero in a straight line.
WARM_UP = 0.2

# The first layer and one block halve the picture twice; 4x4 must be left for a 3x3 convolution.
MIN_INPUT_SIZE = 16


class NonFiniteLossError(Exception):
    """The loss became infinite or not a number, so that the weights are worthless."""


@dataclass
class Epoch:
    """The figures of one pass over the training pictures; losses in nats a picture."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float  # since training began


def augment(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift, mirror and turn normalised pictures [N, 3, S, S] at random, and cover a part of each.

    Returns the pictures and their quarter turns, int64 [N] in [0, TURNS).
    """
    count, size = len(x), x.shape[-1]
    # Whole pixels, an eighth of the side: shifts between pixels blur so small a picture.
    reach = size // 8
    padded = functional.pad(x, (reach,) * 4, mode="reflect")
    top, left = torch.randint(2 * reach + 1, (2, count, 1), generator=generator)
    mirrored = torch.randint(2, (count, 1), generator=generator, dtype=torch.bool)
    turns = torch.randint(TURNS, (count,), generator=generator)
    side = torch.arange(size)
    rows, columns = top + side, left + torch.where(mirrored, side.flip(0), side)
    picture = torch.arange(count)[:, None, None]
    # Indexing leaves the channels last, as the convolutions want them.
    moved = padded[picture, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    for turn in range(1, TURNS):
        chosen = turns == turn
        moved[chosen] = torch.rot90(moved[chosen], turn, (2, 3))
    # A grey square, a quarter of the side (cutout, DeVries and Taylor 2017): no single part may
    # decide. In a long training it leaves accuracy as it is and makes confidence more deserved.
    row, column = torch.randint(size, (2, count, 1), generator=generator)
    covered_rows, covered_columns = ((side - at).abs() <= size // 8 for at in (row, column))
    covered = covered_rows[:, None, :, None] & covered_columns[:, None, None, :]
    return moved.masked_fill_(covered, 0.0), turns


def fit_temperature(log_probabilities: Tensor, labels: Tensor) -> float:
    """Find the temperature that makes the log probabilities [N, classes] fit the labels best.

    It divides them: above 1 it takes confidence away, below 1 it adds some. Not far below: a few
    pictures that are all right do not prove that none will be wrong.
    """
    candidates = torch.logspace(math.log10(0.5), math.log10(5), 100)
    losses = [functional.cross_entropy(log_probabilities / t, labels) for t in candidates]
    return float(candidates[int(torch.stack(losses).argmin())])


def fit(
    classifier: Classifier,
    replicas: Replicas,
    train: Pictures,
    validation: Pictures,
    arguments: argparse.Namespace,
) -> list[Epoch]:
    """Train the classifier's network in place and print one line per epoch.

    Raises:
        NonFiniteLossError: the loss became infinite or not a number.
    """
    device = classifier.device
    generator = torch.Generator().manual_seed(arguments.seed)
    learned = [p for p in classifier.network.parameters() if p.requires_grad]
    optimizers = [
        # 2 points of accuracy above Adam on the convolutions, for a fifth more time.
        Muon([p for p in learned if p.ndim == 4], lr=arguments.learning_rate, momentum=0.95),
        torch.optim.Adam([p for p in learned if p.ndim < 4], lr=arguments.adam_learning_rate),
    ]
    steps_per_epoch = math.ceil(len(train.labels) / arguments.batch_size)
    steps = arguments.epochs * steps_per_epoch
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: min((step + 1) / WARM_UP, (steps - step) / (1 - WARM_UP)) / steps,
        )
        for optimizer in optimizers
    ]

    def loss(network: Network, pictures: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            scores = network(pictures.to(device)).flatten(1)
        return functional.cross_entropy(
            scores.float(), labels.to(device), label_smoothing=arguments.label_smoothing
        )

    epochs: list[Epoch] = []
    started = time.perf_counter()
    for epoch in range(1, arguments.epochs + 1):
        total_loss = torch.zeros((), device=device)
        order = torch.randperm(len(train.labels), generator=generator)
        for batch in order.tensor_split(steps_per_epoch):
            pictures, turns = augment(classifier.normalise(train.pixels[batch]), generator)
            # A class and a turn together are one label: telling turns apart teaches shapes too.
            labels = train.labels[batch] * TURNS + turns
            total_loss += replicas.backward(loss, pictures, labels) * len(batch)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
        train_loss = total_loss.item() / len(train.labels)
        if not math.isfinite(train_loss):
            raise NonFiniteLossError(
                f"the training loss became {train_loss} in epoch {epoch}: lower --learning-rate"
                f" (now {arguments.learning_rate})"
            )
        logs = replicas.map(classifier.log_probabilities, validation.pixels)
        row = Epoch(
            epoch,
            train_loss,
            *loss_and_accuracy(logs, validation.labels),
            seconds=time.perf_counter() - started,
        )
        epochs.append(row)
        print(
            f"{epoch:5d}/{arguments.epochs} {row.seconds:7.1f} s  {metrics_line(row)}", flush=True
        )
    return epochs


def loss_and_accuracy(log_probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Give the mean loss in nats and the share of right answers."""
    loss = functional.nll_loss(log_probabilities, labels).item()
    return loss, (log_probabilities.argmax(1) == labels).double().mean().item()


def metrics_line(row: Epoch) -> str:
    """Write the figures the way the training job's metric definitions look for them."""
    return (
        f"train:loss={row.train_loss:.4f} validation:loss={row.validation_loss:.4f}"
        f" validation:accuracy={row.validation_accuracy:.4f}"
    )


def train_classifier(arguments: argparse.Namespace) -> None:
    """Read the pictures, train, calibrate on the validation pictures, and write the model folder.

    Raises:
        DataError, NonFiniteLossError: with the reason; nothing has been written then.
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
        std=floats.std((0, 2, 3)).clamp(min=1e-3).tolist(),  # for pictures of one flat colour
    )
    sample = torch.randperm(len(train.labels))[:1000]  # at 32 pixels these give 225,000 patches
    network.whiten(classifier.normalise(train.pixels[sample]).to(device))
    # A thread per core, but at least 16 pictures in each one's part, for its batch statistics.
    threads = max(1, min(torch.get_num_threads(), arguments.batch_size // 16))
    replicas = Replicas(network, threads if device.type == "cpu" else 1)
    epochs = fit(classifier, replicas, train, validation, arguments)

    # The weights of the last epoch are served, not those that did best on the validation pictures:
    # the best of many looks at a hundred pictures is luck, and would not be seen again.
    logs = replicas.map(classifier.log_probabilities, validation.pixels)
    classifier.temperature = fit_temperature(logs, validation.labels)
    logs = replicas.map(classifier.log_probabilities, validation.pixels)
    served = Epoch(
        arguments.epochs,
        epochs[-1].train_loss,
        *loss_and_accuracy(logs, validation.labels),
        seconds=time.perf_counter() - started,
    )
    metrics = {
        **asdict(served),
        "images_per_second": arguments.epochs * len(train.labels) / epochs[-1].seconds,
        "train_pictures": len(train.labels),
        "validation_pictures": len(validation.labels),
    }
    data_sha256 = hashlib.sha256((train.digest + validation.digest).encode()).hexdigest()
    write_model(classifier, arguments, metrics, data_sha256)
    if arguments.output_data_dir:
        arguments.output_data_dir.mkdir(parents=True, exist_ok=True)
        history = json.dumps([asdict(epoch) for epoch in epochs], indent=1)
        (arguments.output_data_dir / "history.json").write_text(history + "\n", "utf-8")
    print(
        f"served model: {metrics_line(served)}\n"
        f"temperature {classifier.temperature:.2f}, {served.seconds:.1f} s in all,"
        f" {metrics['images_per_second']:.0f} images/s, written to {arguments.model_dir}",
        flush=True,
    )


def write_model(
    classifier: Classifier,
    arguments: argparse.Namespace,
    metrics: dict[str, float],
    data_sha256: str,
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
    # Inside its destination, since only within one file system is a move atomic.
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
    add("--epochs", type=positive_int, default=120, help="passes over the training pictures")
    add("--batch-size", type=positive_int, default=32, help="pictures a step")
    add("--learning-rate", type=positive_float, default=0.02,
        help="largest step of the convolutions' optimizer, Muon")  # fmt: skip
    add("--adam-learning-rate", type=positive_float, default=3e-3,
        help="largest step of the other weights' optimizer, Adam")  # fmt: skip
    add("--label-smoothing", type=float, default=0.1, help="share of the target spread evenly")
    add("--input-size", type=positive_int, default=32, help="side of the network's input, pixels")
    add("--width", type=positive_int, default=48, help="channels at the first resolution")
    add("--seed", type=int, default=0, help="same seed and machine, same model")
    arguments = parser.parse_args(argv)
    if arguments.model_dir is None:
        parser.error("no folder for the model: pass --model-dir")
    if arguments.input_size < MIN_INPUT_SIZE:
        parser.error(f"--input-size: at least {MIN_INPUT_SIZE} pixels")
    if not 0 <= arguments.label_smoothing < 1:
        parser.error("--label-smoothing: a share from 0 up to, but not, 1")
    return arguments


def positive_int(text: str) -> int:
    """Read a whole number above 0, or say why not (argparse prints it)."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive_float(text: str) -> float:
    """Read a finite number above 0, or say why not (argparse prints it)."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def main(argv: list[str] | None = None) -> int:
    """Train; give the exit status: 0, 1 for bad data or a failed training, 130 for Ctrl-C."""
    arguments = parse_arguments(argv)
    try:
        train_classifier(arguments)
    except (DataError, NonFiniteLossError) as error:
        print(f"train.py: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train.py: interrupted, nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
