"""Models of the project's own network that need no training: their answers are always the same."""

import json
from pathlib import Path

import torch

from training.container.picture_model import network

CLASSES = ["bicycle", "motorcycle"]
INPUT_SIZE, WIDTH = 32, 8
CONFIDENCE = 0.9999  # at least; above any threshold that makes sense


def write_model(folder: Path) -> None:
    """Write the model of a network that is sure of a bicycle."""
    torch.manual_seed(0)
    ensemble = network.Ensemble(1, len(CLASSES), INPUT_SIZE, WIDTH)
    head = ensemble.networks()[0].head
    head.weight.data.zero_()
    head.bias.data = torch.tensor([10.0] * network.TURNS + [0.0] * network.TURNS)
    _write(folder, ensemble)


def write_untrained_model(folder: Path) -> None:
    """Write the model of two networks with the weights that they begin with."""
    torch.manual_seed(0)
    _write(folder, network.Ensemble(2, len(CLASSES), INPUT_SIZE, WIDTH))


def _write(folder: Path, ensemble: network.Ensemble) -> None:
    """Write weights and metadata, as train.py does."""
    torch.save(ensemble.state_dict(), folder / network.WEIGHTS_FILE)
    metadata = {
        "classes": CLASSES,
        "input_size": INPUT_SIZE,
        "width": WIDTH,
        "members": len(ensemble.members),
        "normalisation": {"mean": [0.5] * 3, "std": [0.25] * 3},
        "temperature": 1.0,
    }
    (folder / network.METADATA_FILE).write_text(json.dumps(metadata), encoding="utf-8")
