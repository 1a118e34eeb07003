"""Models of the project's own network without training: their answers are always the same."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from training.container.picture_model import network

CLASSES = ("bicycle", "motorcycle")
INPUT_SIZE, WIDTH = 32, 8
CONFIDENCE = 0.9999  # at least; above any sensible threshold


def write_model(folder: Path, **metadata: object) -> None:
    """Write a model of one network that is sure of a bicycle; `metadata` is added to metadata.json."""
    torch.manual_seed(0)
    ensemble = network.Ensemble(1, len(CLASSES), INPUT_SIZE, WIDTH)
    head = ensemble.networks()[0].head
    head.weight.data.zero_()
    head.bias.data = torch.tensor([10.0] * network.TURNS + [0.0] * network.TURNS)
    _write(folder, ensemble, CLASSES, metadata)


def write_untrained_model(folder: Path, classes: Sequence[str] = CLASSES, **metadata: object) -> None:
    """Write a model of two networks with their initial weights; `metadata` is added to metadata.json."""
    torch.manual_seed(0)
    _write(folder, network.Ensemble(2, len(classes), INPUT_SIZE, WIDTH), classes, metadata)


def _write(folder: Path, ensemble: network.Ensemble, classes: Sequence[str], metadata: dict[str, object]) -> None:
    """Write weights and metadata, as train.py does."""
    torch.save(ensemble.state_dict(), folder / network.WEIGHTS_FILE)
    written = {
        "classes": classes,
        "input_size": INPUT_SIZE,
        "width": WIDTH,
        "members": len(ensemble.members),
        "normalisation": {"mean": [0.5] * 3, "std": [0.25] * 3},
        "temperature": 1.0,
        **metadata,
    }
    (folder / network.METADATA_FILE).write_text(json.dumps(written), encoding="utf-8")
