"""Make small archives with the layout of CIFAR-100: noise with labels."""

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

LABELS = ["bicycle", "bus", "motorcycle", "pickup_truck"]


_Pickler: Any = pickle._Pickler  # type: ignore[attr-defined]  # the one in Python, to extend


class Python2Pickler(_Pickler):  # type: ignore[misc]
    """Writes texts and bytes as Python 2 wrote its strings, as in the official archive."""

    dispatch: ClassVar[dict] = dict(_Pickler.dispatch)

    def save_string(self, text):
        content = text.encode("latin-1") if isinstance(text, str) else text
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)
        self.memoize(text)

    dispatch[str] = save_string
    dispatch[bytes] = save_string


def python2_pickle(value):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def noise(count, seed=0):
    """Return `count` pictures as rows of 3,072 bytes, no two alike."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def members(per_class=20, tests_per_class=4):
    """Return the pickles of an archive with equally many pictures of each of LABELS."""
    pickles = {"meta": python2_pickle({"fine_label_names": LABELS, "coarse_label_names": ["vehicles"]})}
    for seed, (name, count) in enumerate((("train", per_class), ("test", tests_per_class))):
        labels = list(range(len(LABELS))) * count
        fields = {
            "data": noise(len(labels), seed),
            "fine_labels": labels,
            # Every name says "bike": the class must come from the label.
            "filenames": [f"bike_s_{number:06d}.png" for number in range(len(labels))],
        }
        pickles[name] = python2_pickle(fields)
    return pickles


def write_archive(path: Path, pickles: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in pickles.items():
            facts = tarfile.TarInfo(f"cifar-100-python/{name}")
            facts.size = len(content)
            archive.addfile(facts, io.BytesIO(content))
    return path
