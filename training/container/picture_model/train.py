"""Train the picture classifier: runs inside a SageMaker training job, or with plain `python`.

The model is one network or a small ensemble. The pictures are split into parts, and each network
learns from all parts but its own: those held-out pictures are what calibrates the model. The model
folder is written only when training has succeeded; see `write_model` for its files.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from . import baseline, calibration, checkpoint
from .dataset import DataError, Pictures, read_channels
from .member import Member
from .network import HELD_OUT_FILE, METADATA_FILE, WEIGHTS_FILE, Classifier, Ensemble
from .serving_code import copy_serving_code

# For 800 pictures of 32x32 on two cores: two minutes, and ten. In two minutes one network trained for
# long beats several trained for short. Six fit into 4 MB, and their parts hold out every picture.
PRESETS: dict[str, dict[str, int]] = {
    "fast": {"epochs": 125, "members": 1, "parts": 8},
    "best": {"epochs": 140, "members": 6, "parts": 6},
}

# Two blocks halve the picture; 4x4 must be left for a 3x3 convolution.
MIN_INPUT_SIZE = 16
ROWS = 20  # most evaluations on the held-out pictures during training


class NonFiniteLossError(Exception):
    """The loss became infinite or not a number."""


@dataclass
class Epoch:
    """The metrics after an epoch; losses in nats per picture."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float  # of training, including the time before an interruption


class Training:
    """The ensemble's members, each with its own held-out part of the pictures."""

    def __init__(self, classifier: Classifier, data: Pictures, arguments: argparse.Namespace):
        """Split the pictures into parts, and create the members."""
        self.classifier = classifier
        self.arguments = arguments
        self.pixels = data.pixels.to(classifier.device)
        self.labels = data.labels.to(classifier.device)
        self.parts = split_into_parts(data, arguments.parts, arguments.seed).to(classifier.device)
        self.held_out = (self.parts < arguments.members).nonzero()[:, 0]
        cores = torch.get_num_threads() if classifier.device.type == "cpu" else 1
        threads = cores // arguments.members
        self.members = [
            Member(classifier, number, (self.parts != number).nonzero()[:, 0], arguments, threads=threads)
            for number in range(arguments.members)
        ]
        self.epochs: list[Epoch] = []
        self.epoch = 0
        self.seconds = 0.0  # in epochs
        self.seconds_before = 0.0  # of these, the ones before an interruption
        # One thread per member: members synchronise only once an epoch.
        self._pool = ThreadPoolExecutor(min(cores, len(self.members)), initializer=torch.set_num_threads, initargs=(1,))
        torch.set_num_threads(1)  # the optimizers' matrices are too small for more

    def run(self, saved: checkpoint.Checkpoint) -> None:
        """Train to the end, printing at most ROWS lines of metrics.

        Raises:
            NonFiniteLossError: the loss became infinite or not a number.
            TrainingInterruptedError: SIGTERM came; the state has been saved.
        """
        if state := saved.load():
            self.restore(state)
        began, total = time.perf_counter() - self.seconds, self.arguments.epochs
        while self.epoch < total:
            list(self._pool.map(lambda m: m.run_epoch(self.pixels, self.labels), self.members))
            self.epoch += 1
            loss = sum(member.loss for member in self.members) / len(self.members)
            if not math.isfinite(loss):
                raise NonFiniteLossError(
                    f"the training loss became {loss} in epoch {self.epoch}: lower"
                    f" --learning-rate (now {self.arguments.learning_rate})"
                )
            if self.epoch * ROWS // total > (self.epoch - 1) * ROWS // total:
                figures = loss_and_accuracy(*self.held_out_answers(upright_only=True))
                row = Epoch(self.epoch, loss, *figures, seconds=time.perf_counter() - began)
                self.epochs.append(row)
                print(f"{row.epoch:5d}/{total} {row.seconds:7.1f} s  {metrics_line(row)}", flush=True)
            self.seconds = time.perf_counter() - began
            saved.step(self.state)

    def held_out_answers(self, *, upright_only: bool = False) -> tuple[Tensor, Tensor]:
        """Compute log probabilities [H, classes] of the held-out pictures, and return their labels [H].

        `upright_only` uses one view of each picture instead of all: a quarter of the time.
        """

        def answer(number: int, places: Tensor) -> Tensor:
            network = self.members[number].network.eval()
            answers = [
                self.classifier.member_log_probabilities(
                    network, self.classifier.normalise(self.pixels[batch]), upright_only=upright_only
                ).cpu()
                for batch in torch.split(places, 64)
            ]
            return torch.cat(answers)

        return self._by_unseen_member(answer, (len(self.classifier.classes),)), self.labels[self.held_out].cpu()

    def gaussians(self) -> baseline.Gaussians:
        """Fit the Gaussians of each member to the pictures that it has learned from."""

        def fit(member: Member) -> tuple[Tensor, Tensor]:
            classes = len(self.classifier.classes)
            labels = self.labels[member.learned_from]
            by_class = [member.learned_from[labels == label] for label in range(classes)]
            most = math.ceil(baseline.MOST_FITTED / classes)
            sample = torch.cat([places[:: math.ceil(len(places) / most)] for places in by_class])
            vectors = baseline.member_vectors(self.classifier, member.network, self.pixels[sample])
            return baseline.fit_gaussian(vectors, self.labels[sample].cpu(), classes)

        means, whiteners = zip(*self._pool.map(fit, self.members), strict=True)
        return baseline.Gaussians(torch.stack(means), torch.stack(whiteners))

    def held_out_distances(self, gaussians: baseline.Gaussians) -> Tensor:
        """Compute the distances [H] of the held-out pictures."""
        return self._by_unseen_member(
            lambda number, places: gaussians.distances(self.classifier, number, self.pixels[places])
        )

    def _by_unseen_member(self, compute: Callable[[int, Tensor], Tensor], shape: tuple[int, ...] = ()) -> Tensor:
        """Compute [H, *shape] for the held-out pictures, each by the member that has not seen it.

        `compute` gets a member's number and the positions [n] of its pictures; it returns [n, *shape].
        """
        result = torch.empty(len(self.labels), *shape)

        def fill(number: int) -> None:
            places = (self.parts == number).nonzero()[:, 0]
            result[places.cpu()] = compute(number, places)

        list(self._pool.map(fill, range(len(self.members))))
        return result[self.held_out.cpu()]

    def state(self) -> dict[str, Any]:
        """Return the state of the training for a checkpoint."""
        return {
            "members": [member.state() for member in self.members],
            "epochs": [asdict(row) for row in self.epochs],
            "epoch": self.epoch,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from what `state` returned."""
        for member, former in zip(self.members, state["members"], strict=True):
            member.restore(former)
        self.epochs = [Epoch(**row) for row in state["epochs"]]
        self.epoch = state["epoch"]
        self.seconds = self.seconds_before = state["seconds"]


def split_into_parts(data: Pictures, parts: int, seed: int) -> Tensor:
    """Assign each picture to one of `parts` parts, int64 [N], evenly per class.

    Near-duplicates stay together, so that no picture is held out while its twin is learned from,
    unless there are more of them than a part has room for.
    """
    generator = torch.Generator().manual_seed(seed)
    room = (data.labels.bincount() / parts).ceil()
    groups: list[list[int]] = []
    for group in data.groups():
        fits = len(group) <= room[data.labels[group[0]]]
        groups += [group] if fits else [[place] for place in group]
    part_of = torch.empty_like(data.labels)
    filled = torch.zeros(int(data.labels.max()) + 1, parts)
    for number in torch.randperm(len(groups), generator=generator).tolist():
        of_class = filled[data.labels[groups[number][0]]]
        part = int(of_class.argmin())
        part_of[groups[number]] = part
        of_class[part] += len(groups[number])
    return part_of


def loss_and_accuracy(log_probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean loss in nats and the accuracy."""
    loss = functional.nll_loss(log_probabilities, labels).item()
    return loss, (log_probabilities.argmax(1) == labels).double().mean().item()


def metrics_line(row: Epoch) -> str:
    """Format the metrics as the training job's metric definitions expect them."""
    return (
        f"train:loss={row.train_loss:.4f} validation:loss={row.validation_loss:.4f}"
        f" validation:accuracy={row.validation_accuracy:.4f}"
    )


def train_classifier(arguments: argparse.Namespace) -> None:
    """Read the pictures, train, calibrate on the held-out answers, and write the model folder.

    Raises:
        DataError, NonFiniteLossError: with the reason; nothing has been written.
        TrainingInterruptedError: SIGTERM came; a checkpoint has been written.
    """
    started = time.perf_counter()
    torch.manual_seed(arguments.seed)
    torch.backends.cudnn.deterministic = True
    classes, data = read_channels(arguments.train, arguments.validation, arguments.input_size)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for folder in (arguments.model_dir, arguments.output_data_dir):
        if folder:  # fail before the training, not after it
            folder.mkdir(parents=True, exist_ok=True)
    print(
        f"{len(data.labels)} pictures of {', '.join(classes)}; {arguments.members} networks of"
        f" width {arguments.width}, {arguments.epochs} epochs; {device.type},"
        f" {torch.get_num_threads()} threads, torch {torch.__version__}",
        flush=True,
    )
    classifier = make_classifier(classes, data, arguments, device)
    training = Training(classifier, data, arguments)
    needed = calibration.fewest_pictures(arguments.max_error, arguments.confidence_level)
    if len(training.held_out) < needed:
        print(
            f"{len(training.held_out)} pictures are held out: it takes {needed} to show an error of"
            f" {100 * arguments.max_error:g}%. --preset best holds out all of them.",
            flush=True,
        )
    saved = checkpoint.Checkpoint(
        arguments.checkpoint_dir,
        checkpoint.fingerprint(vars(arguments), data.digest, device.type),
        arguments.checkpoint_every,
    )
    with saved:
        training.run(saved)
    # The last epoch's weights, not those with the best held-out metrics: the best of many
    # evaluations is luck.
    classifier.ensemble.round_to_half()
    uncalibrated, labels = training.held_out_answers()
    classifier.temperature = calibration.fit_temperature(uncalibrated, labels)
    logs = (uncalibrated / classifier.temperature).log_softmax(1)
    truth, probabilities = labels.tolist(), logs.double().softmax(1).tolist()
    confidences, correct = calibration.held_out_answers(truth, probabilities)
    recommended = calibration.recommend_threshold(confidences, correct, arguments.max_error, arguments.confidence_level)
    gaussians = training.gaussians()
    sample = baseline.baseline_sample(
        data.features,
        [(classes[row.index(max(row))], max(row)) for row in probabilities],
        training.held_out_distances(gaussians).tolist(),
        answered_by="model" if arguments.members == 1 else "member",
        seed=arguments.seed,
    )
    served = Epoch(
        arguments.epochs,
        training.epochs[-1].train_loss,
        *loss_and_accuracy(logs, labels),
        seconds=training.seconds_before + time.perf_counter() - started,
    )
    learned = sum(len(member.learned_from) for member in training.members)
    metrics = {
        **asdict(served),
        "images_per_second": arguments.epochs * learned / training.seconds,
        "pictures": len(data.labels),
        "held_out_pictures": len(labels),
    }
    calibrated = {
        "temperature": classifier.temperature,
        "expected_calibration_error": calibration.expected_calibration_error(confidences, correct),
        **asdict(recommended),
    }
    held_out = {"source": "cross-validation", "classes": classes, "truth": truth, "probabilities": probabilities}
    measured = {"metrics": metrics, "calibration": calibrated, "data_sha256": data.digest}
    write_model(classifier, arguments, measured, held_out, sample=sample, gaussians=gaussians)
    if arguments.output_data_dir:
        history = json.dumps([asdict(epoch) for epoch in training.epochs], indent=1)
        (arguments.output_data_dir / "history.json").write_text(history + "\n", "utf-8")
    saved.delete()
    print(
        f"held-out answers, each by one network: {metrics_line(served)}\n{recommended}\n"
        f"temperature {classifier.temperature:.2f}, calibration error"
        f" {calibrated['expected_calibration_error']:.3f}, {served.seconds:.1f} s in all,"
        f" {metrics['images_per_second']:.0f} images/s, written to {arguments.model_dir}",
        flush=True,
    )


def make_classifier(
    classes: list[str], data: Pictures, arguments: argparse.Namespace, device: torch.device
) -> Classifier:
    """Create a classifier with untrained networks, whose normalisation and first layer fit the pictures."""
    mean, std = [], []
    for colour in data.pixels.unbind(1):  # all at once, floats take four times the memory
        floats = colour.float() / 255
        mean.append(floats.mean().item())
        std.append(max(floats.std().item(), 1e-3))  # for pictures of one flat colour
    ensemble = Ensemble(arguments.members, len(classes), arguments.input_size, arguments.width)
    classifier = Classifier(
        ensemble=ensemble.to(device=device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        classes=classes,
        input_size=arguments.input_size,
        mean=mean,
        std=std,
    )
    sample = torch.randperm(len(data.labels))[:200]  # of 32 pixels a side: 45,000 patches
    first, *others = ensemble.networks()
    first.whiten(classifier.normalise(data.pixels[sample].to(device)))
    for network in others:
        network.whitening.load_state_dict(first.whitening.state_dict())
    return classifier


def write_model(
    classifier: Classifier,
    arguments: argparse.Namespace,
    measured: dict[str, Any],
    held_out: dict[str, Any],
    *,
    sample: dict[str, Any],
    gaussians: baseline.Gaussians,
) -> None:
    """Write weights, metadata, held-out answers, baseline and serving code, each file atomically.

    `measured` joins the metadata.
    """
    metadata = {
        "classes": classifier.classes,
        "input_size": classifier.input_size,
        "width": arguments.width,
        "members": arguments.members,
        "normalisation": {"mean": classifier.mean, "std": classifier.std},
        "temperature": classifier.temperature,
        "arguments": {
            name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()
        },
        **measured,
        "torch": torch.__version__,
    }
    folder: Path = arguments.model_dir
    # Inside its destination: a move is atomic only within one file system.
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
        code = copy_serving_code(Path(partial, "code"))
        torch.save(classifier.ensemble.half_weights(), Path(partial, WEIGHTS_FILE))
        for name, content in ((METADATA_FILE, metadata), (HELD_OUT_FILE, held_out)):
            Path(partial, name).write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        text = json.dumps(sample, separators=(",", ":"))  # in one line: 800 pictures have 6,400 numbers
        Path(partial, baseline.BASELINE_FILE).write_text(text + "\n", "utf-8")
        gaussians.save(Path(partial, baseline.GAUSSIANS_FILE))
        files = (HELD_OUT_FILE, baseline.BASELINE_FILE, baseline.GAUSSIANS_FILE, METADATA_FILE, WEIGHTS_FILE)
        for file in (*(Path("code", copy) for copy in code), *map(Path, files)):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            Path(partial, file).replace(folder / file)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; folders default to what a SageMaker container sets."""

    def from_environment(name: str) -> Path | None:
        return Path(os.environ[name]) if os.environ.get(name) else None

    parser = argparse.ArgumentParser(
        description="Train the picture classifier on folders of <class>/<picture>.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    for name, folder, text in (
        ("train", from_environment("SM_CHANNEL_TRAIN"), "folder of the training pictures"),
        ("validation", from_environment("SM_CHANNEL_VALIDATION"), "folder of more pictures, which join the others"),
        ("model-dir", from_environment("SM_MODEL_DIR"), "folder that gets the model"),
        ("output-data-dir", from_environment("SM_OUTPUT_DATA_DIR"), "folder that gets history.json"),
        ("checkpoint-dir", checkpoint.default_folder(), "folder of the checkpoint that training resumes from"),
    ):
        add(f"--{name}", type=Path, default=folder, help=text)
    add("--preset", choices=list(PRESETS), default="fast", help=f"defaults of the next three options: {PRESETS}")
    for name, text in (
        ("epochs", "passes over the training pictures"),
        ("members", "networks of the ensemble"),
        ("parts", "parts of the pictures, at least as many as members: each leaves one out"),
    ):
        add(f"--{name}", type=positive_int, default=argparse.SUPPRESS, help=text)
    for name, kind, default, text in (
        ("checkpoint-every", positive_float, 10.0, "seconds between two checkpoints, which are made between epochs"),
        # The next three: five-fold cross-validation over CIFAR-100's bicycles and motorcycles, one run each: half
        # a point is luck. 16-bit products are fast with multiples of 16.
        ("width", positive_int, 32, "channels at the first resolution"),
        # 64 with twice the learning rate does as well as 32, in two thirds of the time.
        ("batch-size", positive_int, 64, "pictures per step"),
        # .03 to .05 are alike, .08 is too large.
        ("learning-rate", positive_float, 0.04, "peak learning rate of Muon, for the convolutions"),
        ("adam-learning-rate", positive_float, 3e-3, "peak learning rate of Adam, for the other weights"),
        ("label-smoothing", float, 0.1, "share of the target that is spread evenly"),
        # An eighth costs no accuracy; with a quarter fewer outliers are accepted, for a tenth more time.
        ("outlier-share", float, 0.125, "outliers per training picture"),
        ("max-error", float, calibration.MAX_ERROR, "largest error rate among accepted answers, for the threshold"),
        ("confidence-level", float, calibration.CONFIDENCE_LEVEL, "confidence that the error rate is not exceeded"),
        ("input-size", positive_int, 32, "side of the network's input, pixels"),
        ("seed", int, 0, "same seed and machine, same model"),
    ):
        add(f"--{name}", type=kind, default=default, help=text)
    arguments = parser.parse_args(argv, argparse.Namespace())
    for name, value in PRESETS[arguments.preset].items():
        if name not in arguments:
            setattr(arguments, name, value)
    if arguments.model_dir is None:
        parser.error("no folder for the model: pass --model-dir")
    if arguments.input_size < MIN_INPUT_SIZE:
        parser.error(f"--input-size: at least {MIN_INPUT_SIZE} pixels")
    if not arguments.members <= arguments.parts >= 2:
        parser.error("--parts: at least 2, and as many as --members")
    for name in ("label_smoothing", "outlier_share"):
        if not 0 <= getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: must be at least 0 and below 1")
    for name in ("max_error", "confidence_level"):
        if not 0 < getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: must be between 0 and 1")
    return arguments


def positive_int(text: str) -> int:
    """Parse a whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive_float(text: str) -> float:
    """Parse a finite number above 0, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def main(argv: list[str] | None = None) -> int:
    """Train; return 0, 1 for bad data or a failed training, 130 for Ctrl-C, 143 for SIGTERM."""
    arguments = parse_arguments(argv)
    try:
        train_classifier(arguments)
    except (DataError, NonFiniteLossError, calibration.HeldOutError, OSError) as error:
        print(f"train.py: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except checkpoint.TrainingInterruptedError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return checkpoint.EXIT_STATUS
    except KeyboardInterrupt:
        print("train.py: interrupted, no model was written", file=sys.stderr)
        return 130
    return 0
