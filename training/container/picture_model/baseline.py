"""What training knew: a sample of its pictures in numbers, to tell later whether others are alike.

`baseline.json` has each picture's features (picture_features.py), and of the held-out pictures the
answers and their distances from what the network had learned. Monitoring compares the pictures that
an endpoint gets with it, and reads the shape that `baseline_sample` gives.

`baseline.pt` has what such a distance takes: for each network a Gaussian for each class, all of one
covariance, over the vectors that its last layer gets (Lee and others, "A Simple Unified Framework
for Detecting Out-of-Distribution Samples and Adversarial Attacks", 2018). It is fitted on pictures
that the network has learned from, and those lie closer than any others. Distances are therefore
compared only among pictures that the network in question has not learned from.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .network import DAMAGE, Classifier, ModelFilesError, Network
from .picture_features import NUMBERS

BASELINE_FILE = "baseline.json"
GAUSSIANS_FILE = "baseline.pt"

# More say no more about drift, and 2,000 have some 120 KB.
MOST_PICTURES = 2_000
# For a covariance of 80 numbers; one look at each takes 2 s on a core.
MOST_FITTED = 5_000
BATCH = 64


@dataclass(frozen=True)
class Gaussians:
    """For each of an ensemble's networks, where the vectors of its last layer lie.

    Attributes:
        means: of each class, float32 [members, classes, D].
        whiteners: float32 [members, D, D]; a vector times them has the identity as its covariance.
    """

    means: Tensor
    whiteners: Tensor

    @torch.inference_mode()
    def distances(self, classifier: Classifier, member: int, pictures: Tensor) -> Tensor:
        """Mahalanobis distances [N] of uint8 pictures [N, 3, S, S] from the nearest class.

        Seen by one member, which is not to have learned from them.
        """
        vectors = member_vectors(classifier, classifier.ensemble.networks()[member], pictures)
        apart = vectors[:, None] - self.means[member].double()
        squares: Tensor = (apart @ self.whiteners[member].double()).square().sum(2)
        return squares.amin(1).sqrt().float()

    def save(self, file: Path) -> None:
        """Write what `load_gaussians` reads."""
        torch.save({"means": self.means, "whiteners": self.whiteners}, file)


def load_gaussians(folder: Path, classifier: Classifier) -> Gaussians:
    """Load those of the classifier's networks from a model folder.

    Raises:
        ModelFilesError: there are none, or they are another model's.
    """
    file = folder / GAUSSIANS_FILE
    try:
        found = Gaussians(**torch.load(file, map_location="cpu", weights_only=True))
        networks = classifier.ensemble.networks()
        size = networks[0].head.in_features
        fits = found.means.shape == (len(networks), len(classifier.classes), size)
        fits = fits and found.whiteners.shape == (len(networks), size, size)
    except FileNotFoundError as error:
        raise ModelFilesError(f"{file} is missing: train the model again") from error
    except DAMAGE as error:
        raise ModelFilesError(f"{file} cannot be loaded: {error}") from error
    if not fits:
        raise ModelFilesError(f"{file} does not fit the model beside it: train it again")
    return found


@torch.inference_mode()
def member_vectors(classifier: Classifier, network: Network, pictures: Tensor) -> Tensor:
    """What a network's last layer gets of uint8 pictures [N, 3, S, S]: float64 [N, D], on the CPU.

    One upright look at each.
    """
    network.eval()
    found = [
        network.features(classifier.normalise(some.to(classifier.device))).double().cpu()
        for some in torch.split(pictures, BATCH)
    ]
    return torch.cat(found)


def fit_gaussian(vectors: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Fit float64 vectors [N, D] of the classes `labels` [N]; give means and whitener.

    See Gaussians. The covariance is shrunk towards a multiple of the identity, by as much as its
    own uncertainty asks for (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
    covariance matrices", 2004).
    """
    means = torch.stack([vectors[labels == label].mean(0) for label in range(classes)])
    apart = vectors - means[labels]
    count, size = apart.shape
    covariance = apart.T @ apart / count
    variance = covariance.trace() / size
    identity = torch.eye(size, dtype=vectors.dtype)
    from_identity = (covariance - variance * identity).square().sum()
    uncertainty = apart.square().sum(1).square().sum() / count - covariance.square().sum()
    share = (uncertainty / count / from_identity.clamp(min=1e-12)).clamp(0, 1)
    shrunk = share * variance * identity + (1 - share) * covariance
    variances, directions = torch.linalg.eigh(shrunk)
    # A direction in which nothing varies would make any other picture infinitely far.
    floor = variance * 1e-6 + 1e-12
    return means.float(), (directions / variances.clamp(min=floor).sqrt()).float()


def baseline_sample(
    features: Sequence[dict[str, float | str]],
    answers: Sequence[tuple[str, float]],
    distances: Sequence[float],
    *,
    answered_by: str,
    seed: int,
) -> dict[str, Any]:
    """Give the content of baseline.json; of more than MOST_PICTURES a sample.

    `features` are those of all pictures; `answers`, classes and confidences, and `distances` those
    of the held-out ones. `answered_by` is "model" where the model would answer just so, and
    "member" where its networks would answer together.
    """
    generator = random.Random(seed)  # noqa: S311  a sample, not a secret

    def sample(count: int) -> list[int]:
        return sorted(generator.sample(range(count), min(count, MOST_PICTURES)))

    pictures, held_out = sample(len(features)), sample(len(answers))
    return {
        "source": "training",
        "answered_by": answered_by,
        "labels": [answers[place][0] for place in held_out],
        "confidences": [round(answers[place][1], 5) for place in held_out],
        "features": {name: [_short(features[place][name]) for place in pictures] for name in NUMBERS},
        "formats": [str(features[place]["format"]) for place in pictures],
        "distances": [_short(distances[place]) for place in held_out],
    }


def _short(value: float | str) -> float:
    return float(f"{value:.5g}") if isinstance(value, float) else float(value)
