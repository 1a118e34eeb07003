"""A model of the project's own network that needs no training: its answer is always the same."""

import json
from pathlib import Path

import network
import torch

CLASSES = ["bicycle", "motorcycle"]
CONFIDENCE = 0.9999  # at least; above any threshold that makes sense


def write_model(folder: Path) -> None:
    """Write weights and metadata, as train.py does, of a network that is sure of a bicycle."""
    torch.manual_seed(0)
    ensemble = network.Ensemble(1, len(CLASSES), 32, width=8)
    head = ensemble.networks()[0].head
    head.weight.data.zero_()
    head.bias.data = torch.tensor([10.0] * network.TURNS + [0.0] * network.TURNS)
    torch.save(ensemble.half_weights(), folder / network.WEIGHTS_FILE)
    metadata = {
        "classes": CLASSES,
        "input_size": 32,
        "width": 8,
        "members": 1,
        "normalisation": {"mean": [0.5] * 3, "std": [0.25] * 3},
        "temperature": 1.0,
    }
    (folder / network.METADATA_FILE).write_text(json.dumps(metadata), encoding="utf-8")
