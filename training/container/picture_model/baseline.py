"""The baseline that monitoring compares later pictures with.

`baseline.json` has a sample of the pictures' features (picture_features.py), and the held-out answers
with their distances from the training pictures; see `baseline_sample`.

`baseline.pt` has for each network a Gaussian per class, all of one covariance, over the input of its
last layer (Lee and others, "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
Adversarial Attacks", 2018). Pictures that a network has learned from lie closer than any others, so
distances are compared only among pictures that it has not learned from.
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

# More pictures show no more about drift; 2,000 take 120 KB.
MOST_PICTURES = 2_000
# Enough for a covariance of 80 numbers; takes 2 s on a core.
MOST_FITTED = 5_000
BATCH = 64


@dataclass(frozen=True)
class Gaussians:
    """The Gaussians of an ensemble's networks.

    Attributes:
        means: of each class, float32 [members, classes, D].
        whiteners: float32 [members, D, D]; a vector times its whitener has identity covariance.
    """

    means: Tensor
    whiteners: Tensor

    @torch.inference_mode()
    def distances(self, classifier: Classifier, member: int, pictures: Tensor) -> Tensor:
        """Compute Mahalanobis distances [N] of uint8 pictures [N, 3, S, S] from the nearest class.

        `member` must not have learned from them.
        """
        vectors = member_vectors(classifier, classifier.ensemble.networks()[member], pictures)
        offsets = vectors[:, None] - self.means[member].double()
        squares: Tensor = (offsets @ self.whiteners[member].double()).square().sum(2)
        return squares.amin(1).sqrt().float()

    def save(self, file: Path) -> None:
        """Write the file that `load_gaussians` reads."""
        torch.save({"means": self.means, "whiteners": self.whiteners}, file)


def load_gaussians(folder: Path, classifier: Classifier) -> Gaussians:
    """Load the Gaussians of the classifier's networks from a model folder.

    Raises:
        ModelFilesError: the file is missing, damaged, or of another model.
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
    """Compute the input of the network's last layer, float64 [N, D] on the CPU, of uint8 [N, 3, S, S]."""
    network.eval()
    found = [
        network.features(classifier.normalise(batch.to(classifier.device))).double().cpu()
        for batch in torch.split(pictures, BATCH)
    ]
    return torch.cat(found)


def fit_gaussian(vectors: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Fit a Gaussian to float64 vectors [N, D] of the classes `labels` [N]; return means and whitener.

    The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf, "A
    well-conditioned estimator for large-dimensional covariance matrices", 2004).
    """
    means = torch.stack([vectors[labels == label].mean(0) for label in range(classes)])
    offsets = vectors - means[labels]
    count, size = offsets.shape
    covariance = offsets.T @ offsets / count
    variance = covariance.trace() / size
    identity = torch.eye(size, dtype=vectors.dtype)
    from_identity = (covariance - variance * identity).square().sum()
    uncertainty = offsets.square().sum(1).square().sum() / count - covariance.square().sum()
    share = (uncertainty / count / from_identity.clamp(min=1e-12)).clamp(0, 1)
    shrunk = share * variance * identity + (1 - share) * covariance
    variances, directions = torch.linalg.eigh(shrunk)
    # Without a floor, a direction of zero variance would make distances infinite.
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
    """Return the content of baseline.json; a sample if there are more than MOST_PICTURES.

    `features` are those of all pictures; `answers` (class, confidence) and `distances` those of the
    held-out ones. `answered_by` is "model", or "member" where the model is an ensemble.
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
