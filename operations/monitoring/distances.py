"""How far pictures are from what a model has learned, and what one of its networks says of them.

Training has measured the same of the pictures that it held out, each by a network that had not
learned from it. Here each picture is seen by one network, too, whose turn it is by the picture's
position, so that both samples come about alike. The endpoint's own answers come from all networks
together, which are right more often and less sure.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from operations.monitoring.model_files import DamagedModelError, read_members
from operations.monitoring.sample import NoBaselineError
from operations.monitoring.two_samples import Numbers

if TYPE_CHECKING:
    from training.container.picture_model.baseline import Gaussians
    from training.container.picture_model.network import Classifier

MOST_PICTURES = 1_000  # that are worth the seconds: some 3 ms each
BATCH = 64


@dataclass(frozen=True)
class Seen:
    """What one network a picture says; all arrays are as long as there were pictures.

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
    """A model's networks, each with what it takes to tell a distance."""

    classifier: "Classifier"
    gaussians: "Gaussians"

    @property
    def members(self) -> int:
        """How many networks the model has."""
        return len(self.classifier.ensemble.networks())

    @property
    def input_size(self) -> int:
        """Side that pictures get in the end, pixels: who keeps many had better scale them before.

        That is `picture.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)`.
        """
        return self.classifier.input_size

    def look(
        self,
        pictures: Sequence[Image.Image],
        report: Callable[[int], None] = lambda _: None,
    ) -> Seen:
        """Look at upright RGB pictures; `report` gets how many have been looked at."""
        distances, confidences = np.zeros(len(pictures)), np.zeros(len(pictures))
        labels = np.zeros(len(pictures), np.int64)
        done = 0
        for member, some in _turns(len(pictures), self.members):
            with _one_thread():
                distances[some], confidences[some], labels[some] = self._look(
                    member, [pictures[place] for place in some]
                )
            done += len(some)
            report(done)
        return Seen(distances, [self.classifier.classes[label] for label in labels], confidences)

    def _look(self, member: int, pictures: list[Image.Image]) -> tuple[Any, Any, Any]:
        import torch

        from training.container.picture_model.network import resize_picture

        classifier = self.classifier
        classifier.ensemble.eval()
        pixels = torch.stack([resize_picture(p, classifier.input_size) for p in pictures])
        logs = classifier.member_log_probabilities(classifier.ensemble.networks()[member], classifier.normalise(pixels))
        confidences, labels = logs.double().softmax(1).max(1)
        distances = self.gaussians.distances(classifier, member, pixels)
        return distances.numpy(), confidences.numpy(), labels.numpy()


def _turns(pictures: int, members: int) -> Iterator[tuple[int, range]]:
    """Deal out the places of the pictures to the members, at most BATCH at a time."""
    for member in range(members):
        places = range(member, pictures, members)
        for start in range(0, len(places), BATCH):
            yield member, places[start : start + BATCH]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: its own meet in every operation, which on busy cores takes long.

    On two busy cores, five times as long as one thread alone.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def load_observer(place: str | Path, s3: Any = None) -> Observer:
    """Load the networks of a model; see model_files.read_members for the places.

    Raises NoBaselineError for a model without what distances take, MissingModelError,
    DamagedModelError, and botocore's ClientError where S3 refuses it.
    """
    import torch

    from training.container.picture_model.baseline import GAUSSIANS_FILE, load_gaussians
    from training.container.picture_model.network import (
        METADATA_FILE,
        WEIGHTS_FILE,
        ModelFilesError,
        load_classifier,
    )

    found = read_members(place, (GAUSSIANS_FILE, METADATA_FILE, WEIGHTS_FILE), s3)
    if GAUSSIANS_FILE not in found:
        raise NoBaselineError(
            f"{place} has no {GAUSSIANS_FILE}: the model is older than monitoring, or not this"
            " project's. Without it nothing can be said about distances."
        )
    with tempfile.TemporaryDirectory() as folder:
        for name, content in found.items():
            Path(folder, name).write_bytes(content)
        try:
            classifier = load_classifier(Path(folder), torch.device("cpu"))
            return Observer(classifier, load_gaussians(Path(folder), classifier))
        except ModelFilesError as error:
            raise DamagedModelError(f"{place} cannot be loaded: {error}") from error
