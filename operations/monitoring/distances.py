"""Classify captured pictures with single ensemble members, and measure how far they are from what those have learned.

Training measured the same of the pictures it held out, each with a member that had not learned from it. Here, too, one
member classifies each picture, by turns, so that the two samples are comparable. The endpoint's own answers come from
all members together, which are right more often and less confident.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from operations.monitoring.sample import NoBaselineError
from operations.monitoring.two_samples import Numbers
from training.endpoint.model_artifact import ModelArtifactError, extracted_members

if TYPE_CHECKING:
    from training.container.picture_model.baseline import Gaussians
    from training.container.picture_model.network import Classifier

MOST_PICTURES = 1_000  # each takes about 3 ms
BATCH = 64


@dataclass(frozen=True)
class Observation:
    """The result of one ensemble member per picture.

    Attributes:
        distances: from the nearest class, in deviations (training/container/picture_model/baseline.py).
        labels: the most probable class.
        confidences: its probability, in [0, 1].
    """

    distances: Numbers
    labels: list[str]
    confidences: Numbers


@dataclass(frozen=True)
class Observer:
    """A model's ensemble members, with the Gaussians that distances are measured from."""

    classifier: "Classifier"
    gaussians: "Gaussians"

    @property
    def members(self) -> int:
        """The number of ensemble members."""
        return len(self.classifier.ensemble.networks())

    @property
    def input_size(self) -> int:
        """The side that pictures are resized to, in pixels."""
        return self.classifier.input_size

    def observe(self, pictures: Sequence[Image.Image], report: Callable[[int], None] = lambda _: None) -> Observation:
        """Classify upright RGB pictures; `report` gets how many are done."""
        distances, confidences = np.zeros(len(pictures)), np.zeros(len(pictures))
        labels = np.zeros(len(pictures), np.int64)
        done = 0
        for member in range(self.members):
            of_member = range(member, len(pictures), self.members)
            for start in range(0, len(of_member), BATCH):
                batch = of_member[start : start + BATCH]
                distances[batch], confidences[batch], labels[batch] = self._classify(
                    member, [pictures[position] for position in batch]
                )
                done += len(batch)
                report(done)
        return Observation(distances, [self.classifier.classes[label] for label in labels], confidences)

    def _classify(self, member: int, pictures: list[Image.Image]) -> tuple[Any, Any, Any]:
        import torch

        from training.container.picture_model.network import resize_picture

        classifier = self.classifier
        classifier.ensemble.eval()
        with _one_thread():
            pixels = torch.stack([resize_picture(picture, classifier.input_size) for picture in pictures])
            network = classifier.ensemble.networks()[member]
            logs = classifier.member_log_probabilities(network, classifier.normalise(pixels))
            confidences, labels = logs.double().softmax(1).max(1)
            distances = self.gaussians.distances(classifier, member, pixels)
        return distances.numpy(), confidences.numpy(), labels.numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: its own synchronise in every operation, five times as slow on two busy cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def load_observer(location: str | Path, s3: Any = None) -> Observer:
    """Load the ensemble members of a model; `location` is as `model_artifact.read_members` takes it.

    Raises NoBaselineError for a model without Gaussians, MissingModelError, ModelArtifactError, and botocore's
    ClientError where S3 refuses it.
    """
    import torch

    from training.container.picture_model.baseline import GAUSSIANS_FILE, load_gaussians
    from training.container.picture_model.network import METADATA_FILE, WEIGHTS_FILE, ModelFilesError, load_classifier

    with extracted_members(location, (GAUSSIANS_FILE, METADATA_FILE, WEIGHTS_FILE), s3) as folder:
        if not (folder / GAUSSIANS_FILE).exists():
            raise NoBaselineError(
                f"{location} has no {GAUSSIANS_FILE}: the model is older than monitoring, or not this"
                " project's. Distances cannot be measured without it."
            )
        try:
            classifier = load_classifier(folder, torch.device("cpu"))
            return Observer(classifier, load_gaussians(folder, classifier))
        except ModelFilesError as error:
            raise ModelArtifactError(f"{location} cannot be loaded: {error}") from error
