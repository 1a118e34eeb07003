"""Train the picture classifier: runs inside a SageMaker training job, or with plain `python`.

    python training/container/train.py --train data/staged/train \
        --validation data/staged/validation --model-dir data/model

Both folders hold one folder per class with its pictures (PNG or JPEG). The model folder gets
`model.pt` (weights), `metadata.json` (all else that serving needs), `held_out.json` (answers about
pictures that were not trained on), `baseline.json` and `baseline.pt` (what later pictures are
compared with, see baseline.py) and `code/` (the serving script), written only when training has
succeeded.

What is trained is a network or a small ensemble. The pictures are dealt out into parts, and each
network learns from all parts but its own, so that those pictures are answered once by a network
that has never seen them. Such answers say how good the model is, how far its confidence can be
trusted, and from which threshold on. With as many networks as parts every picture has one.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
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

# For 800 pictures of 32x32 on two cores: two minutes, and ten. In two minutes one network is
# trained for long rather than several for short, on seven eighths of the pictures. As many as six
# fit 4 MB, and their parts hold out every picture.
PRESETS: dict[str, dict[str, int]] = {
    "fast": {"epochs": 125, "members": 1, "parts": 8},
    "best": {"epochs": 140, "members": 6, "parts": 6},
}

# Two blocks halve the picture; 4x4 must be left for a 3x3 convolution.
MIN_INPUT_SIZE = 16
ROWS = 20  # at most so many times the held-out pictures are looked at while training goes on


class NonFiniteLossError(Exception):
    """The loss became infinite or not a number, so that the weights are worthless."""


@dataclass
class Epoch:
    """The figures after some passes over the training pictures; losses in nats a picture."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float  # since training began, those before an interruption included


class Training:
    """The ensemble's members, each with a part of the pictures that it is not shown."""

    def __init__(self, classifier: Classifier, data: Pictures, arguments: argparse.Namespace):
        """Deal out the pictures, and make a member for each part."""
        self.classifier = classifier
        self.arguments = arguments
        self.pixels = data.pixels.to(classifier.device)
        self.labels = data.labels.to(classifier.device)
        self.parts = deal_out(data, arguments.parts, arguments.seed).to(classifier.device)
        self.held_out = (self.parts < arguments.members).nonzero()[:, 0]
        cores = torch.get_num_threads() if classifier.device.type == "cpu" else 1
        self.members = [
            Member(
                classifier,
                number,
                (self.parts != number).nonzero()[:, 0],
                arguments,
                threads=cores // arguments.members,
            )
            for number in range(arguments.members)
        ]
        self.epochs: list[Epoch] = []
        self.epoch = 0
        self.seconds = 0.0  # in epochs
        self.seconds_before = 0.0  # of these, the ones before an interruption
        # A thread to a member, since they meet but once an epoch; with fewer members than cores,
        # one to a part of each batch.
        self._pool = ThreadPoolExecutor(min(cores, len(self.members)), initializer=torch.set_num_threads, initargs=(1,))
        torch.set_num_threads(1)  # here too: the optimizers' small matrices need none

    def run(self, saved: checkpoint.Checkpoint) -> None:
        """Train to the end, printing a row now and then.

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
        """Log probabilities [H, classes] of the held-out pictures, and their labels [H].

        Each is answered by the member that has not seen it. `upright_only` takes one look at each
        instead of all: a quarter of the time.
        """
        made = torch.empty(len(self.labels), len(self.classifier.classes))

        def answer(number: int) -> None:
            network = self.members[number].network.eval()
            for batch in torch.split((self.parts == number).nonzero()[:, 0], 64):
                made[batch.cpu()] = self.classifier.member_log_probabilities(
                    network, self.classifier.normalise(self.pixels[batch]), upright_only=upright_only
                ).cpu()

        list(self._pool.map(answer, range(len(self.members))))
        return made[self.held_out.cpu()], self.labels[self.held_out].cpu()

    def gaussians(self) -> baseline.Gaussians:
        """Say, for each member, where the pictures lie that it has learned from."""

        def fit(number: int) -> tuple[Tensor, Tensor]:
            member, classes = self.members[number], len(self.classifier.classes)
            labels = self.labels[member.learned_from]
            of_classes = [member.learned_from[labels == label] for label in range(classes)]
            most = math.ceil(baseline.MOST_FITTED / classes)
            some = torch.cat([places[:: math.ceil(len(places) / most)] for places in of_classes])
            vectors = baseline.member_vectors(self.classifier, member.network, self.pixels[some])
            return baseline.fit_gaussian(vectors, self.labels[some].cpu(), classes)

        means, whiteners = zip(*self._pool.map(fit, range(len(self.members))), strict=True)
        return baseline.Gaussians(torch.stack(means), torch.stack(whiteners))

    def held_out_distances(self, gaussians: baseline.Gaussians) -> Tensor:
        """Give the distances [H] of the held-out pictures, each by the one that has not seen it."""
        made = torch.empty(len(self.labels))

        def measure(number: int) -> None:
            places = (self.parts == number).nonzero()[:, 0]
            found = gaussians.distances(self.classifier, number, self.pixels[places])
            made[places.cpu()] = found

        list(self._pool.map(measure, range(len(self.members))))
        return made[self.held_out.cpu()]

    def state(self) -> dict[str, Any]:
        """Give all that changes in training, for a checkpoint."""
        return {
            "members": [member.state() for member in self.members],
            "epochs": [asdict(row) for row in self.epochs],
            "epoch": self.epoch,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state` gave."""
        for member, former in zip(self.members, state["members"], strict=True):
            member.restore(former)
        self.epochs = [Epoch(**row) for row in state["epochs"]]
        self.epoch = state["epoch"]
        self.seconds = self.seconds_before = state["seconds"]


def deal_out(data: Pictures, parts: int, seed: int) -> Tensor:
    """Put each picture into one of `parts` parts, int64 [N]: each class evenly, from the first on.

    Near-duplicates stay together: a picture is not held out while its twin is learned from. Only
    more of them than a part has room for are dealt out one by one.
    """
    generator = torch.Generator().manual_seed(seed)
    room = (data.labels.bincount() / parts).ceil()
    groups: list[list[int]] = []
    for group in data.groups():
        fits = len(group) <= room[data.labels[group[0]]]
        groups += [group] if fits else [[place] for place in group]
    dealt = torch.empty_like(data.labels)
    filled = torch.zeros(int(data.labels.max()) + 1, parts)
    for number in torch.randperm(len(groups), generator=generator).tolist():
        of_class = filled[data.labels[groups[number][0]]]
        part = int(of_class.argmin())
        dealt[groups[number]] = part
        of_class[part] += len(groups[number])
    return dealt


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
    """Read the pictures, train, calibrate on held-out answers, and write the model folder.

    Raises:
        DataError, NonFiniteLossError: with the reason; nothing has been written then.
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
    # The weights of the last epoch are served, not those that did best on held-out pictures: the
    # best of many evaluations is luck, and would not repeat.
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
    trust = {
        "temperature": classifier.temperature,
        "expected_calibration_error": calibration.expected_calibration_error(confidences, correct),
        **asdict(recommended),
    }
    held_out = {
        "source": "cross-validation",
        "classes": classes,
        "truth": truth,
        "probabilities": probabilities,
    }
    measured = {"metrics": metrics, "calibration": trust, "data_sha256": data.digest}
    write_model(classifier, arguments, measured, held_out, sample=sample, gaussians=gaussians)
    if arguments.output_data_dir:
        arguments.output_data_dir.mkdir(parents=True, exist_ok=True)
        history = json.dumps([asdict(epoch) for epoch in training.epochs], indent=1)
        (arguments.output_data_dir / "history.json").write_text(history + "\n", "utf-8")
    saved.delete()
    print(
        f"held-out answers, each by one network: {metrics_line(served)}\n{recommended}\n"
        f"temperature {classifier.temperature:.2f}, calibration error"
        f" {trust['expected_calibration_error']:.3f}, {served.seconds:.1f} s in all,"
        f" {metrics['images_per_second']:.0f} images/s, written to {arguments.model_dir}",
        flush=True,
    )


def make_classifier(
    classes: list[str], data: Pictures, arguments: argparse.Namespace, device: torch.device
) -> Classifier:
    """Make a classifier with fresh networks, fitted to the pictures' colours and small patterns."""
    mean, std = [], []
    for colour in data.pixels.unbind(1):  # all at once, as floats they take four times their room
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
    """Write weights, metadata, held-out answers, baseline and serving code.

    Each file is written whole or not at all.

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
    folder.mkdir(parents=True, exist_ok=True)
    # Inside its destination, since only within one file system is a move atomic.
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
        code = copy_serving_code(Path(partial, "code"))
        torch.save(classifier.ensemble.half_weights(), Path(partial, WEIGHTS_FILE))
        for name, content in ((METADATA_FILE, metadata), (HELD_OUT_FILE, held_out)):
            Path(partial, name).write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        # In one line: 800 pictures have 6,400 numbers.
        text = json.dumps(sample, separators=(",", ":"))
        Path(partial, baseline.BASELINE_FILE).write_text(text + "\n", "utf-8")
        gaussians.save(Path(partial, baseline.GAUSSIANS_FILE))
        code_files = [Path("code", copy) for copy in code]
        for file in code_files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
        beside = (HELD_OUT_FILE, baseline.BASELINE_FILE, baseline.GAUSSIANS_FILE)
        for file in (*code_files, *map(Path, (*beside, METADATA_FILE, WEIGHTS_FILE))):
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
    add("--train", type=Path, default=from_environment("SM_CHANNEL_TRAIN"), help="folder of the training pictures")
    add(
        "--validation",
        type=Path,
        default=from_environment("SM_CHANNEL_VALIDATION"),
        help="folder of more pictures, which join the others",
    )
    add("--model-dir", type=Path, default=from_environment("SM_MODEL_DIR"), help="folder that gets the model")
    add(
        "--output-data-dir",
        type=Path,
        default=from_environment("SM_OUTPUT_DATA_DIR"),
        help="folder that gets history.json with every row's figures",
    )
    add(
        "--checkpoint-dir",
        type=Path,
        default=checkpoint.default_folder(),
        help="folder of the checkpoint, from which an interrupted training goes on",
    )
    add(
        "--checkpoint-every",
        type=positive_float,
        default=10.0,
        help="seconds between two checkpoints, which are made between epochs",
    )
    add("--preset", choices=list(PRESETS), default="fast", help=f"what is not given below: {PRESETS}")
    for name, text in (
        ("epochs", "passes over the training pictures"),
        ("members", "networks of the ensemble"),
        ("parts", "parts of the pictures, at least as many as members: each leaves one out"),
    ):
        add(f"--{name}", type=positive_int, default=argparse.SUPPRESS, help=text)
    # Chosen by five-fold cross-validation over CIFAR-100's bicycles and motorcycles, one run each:
    # half a point is luck. A multiple of 16 is what 16-bit products are quick with.
    add("--width", type=positive_int, default=32, help="channels at the first resolution")
    # 64 with twice the step does as well as 32, in two thirds of the time.
    add("--batch-size", type=positive_int, default=64, help="pictures a step")
    # Steps of .03 to .05 are alike, .08 is too large.
    add("--learning-rate", type=positive_float, default=0.04, help="largest step of the convolutions' optimizer, Muon")
    add(
        "--adam-learning-rate",
        type=positive_float,
        default=3e-3,
        help="largest step of the other weights' optimizer, Adam",
    )
    add("--label-smoothing", type=float, default=0.1, help="share of the target spread evenly")
    # An eighth costs no accuracy; with a quarter still fewer pictures of no class are accepted, for
    # a tenth more time.
    add(
        "--outlier-share",
        type=float,
        default=0.125,
        help="pictures of no class for each of a class: what they teach is doubt",
    )
    add(
        "--max-error",
        type=float,
        default=calibration.MAX_ERROR,
        help="wanted share of wrong answers among those accepted, for the threshold",
    )
    add(
        "--confidence-level",
        type=float,
        default=calibration.CONFIDENCE_LEVEL,
        help="how sure the held-out pictures must make us of that share",
    )
    add("--input-size", type=positive_int, default=32, help="side of the network's input, pixels")
    add("--seed", type=int, default=0, help="same seed and machine, same model")
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
            parser.error(f"--{name.replace('_', '-')}: a share from 0 up to, but not, 1")
    for name in ("max_error", "confidence_level"):
        if not 0 < getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: a share between 0 and 1")
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
    """Train; give the exit status: 0, 1 for bad data or a failed training, 130 for Ctrl-C.

    143 for SIGTERM, SageMaker's notice that it takes a spot instance back.
    """
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


if __name__ == "__main__":
    sys.exit(main())
