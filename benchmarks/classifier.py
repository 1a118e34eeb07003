"""Load a trained classifier into this process, and classify with it as the endpoint does."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from common.errors import ExpectedError
from training.container.picture_model.network import (
    METADATA_FILE,
    WEIGHTS_FILE,
    Classifier,
    ModelFilesError,
    decode_picture,
    load_classifier,
    resize_picture,
)
from training.endpoint.model_artifact import MissingModelError, ModelArtifactError, extracted_members

__all__ = ["Classifier", "LoadedModel", "NoModelError", "decode_picture", "load_model", "png"]

BATCH = 64  # pictures per forward pass: at 224 pixels they need about 1 GB


class NoModelError(ExpectedError):
    """The path holds neither a model folder nor a model.tar.gz."""


@dataclass(frozen=True)
class LoadedModel:
    """A classifier and its metadata.json."""

    classifier: Classifier
    metadata: dict[str, Any]

    def probabilities(self, pictures: Sequence[bytes]) -> list[list[float]]:
        """Classify PNG or JPEG files; return a row of probabilities for each."""
        size = self.classifier.input_size
        rows: list[list[float]] = []
        for start in range(0, len(pictures), BATCH):
            pixels = [resize_picture(decode_picture(data), size) for data in pictures[start : start + BATCH]]
            rows += self.classifier.probabilities(torch.stack(pixels)).tolist()
        return rows

    def correct(self, rows: Sequence[Sequence[float]], truths: Iterable[str]) -> list[bool]:
        """Return for each row of probabilities whether its most likely class is the true one."""
        classes = self.classifier.classes
        return [classes[row.index(max(row))] == truth for row, truth in zip(rows, truths, strict=True)]


def load_model(path: Path) -> LoadedModel:
    """Load the model in a folder of train.py's, or in a model.tar.gz. Raises NoModelError."""
    try:
        with extracted_members(path, (METADATA_FILE, WEIGHTS_FILE)) as folder:
            classifier = load_classifier(folder, torch.device("cpu"))
            return LoadedModel(classifier, json.loads((folder / METADATA_FILE).read_text("utf-8")))
    except (OSError, ModelFilesError, MissingModelError, ModelArtifactError) as error:
        raise NoModelError(f"{path} holds no model that can be loaded: {error}") from error


def png(picture: Image.Image) -> bytes:
    """Return the picture as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
