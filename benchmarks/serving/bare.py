"""The yardstick: decoding and the network's forward pass in this process, nothing around them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.classifier import Classifier, decode_picture
from benchmarks.serving.subjects import Ask, Subject


def bare_subjects(classifier: Classifier) -> list[Subject]:
    """Return the classifier as it is in network.py, and as inference.py traces it when it loads.

    Sets this process to one thread per forward pass, as the endpoint has it.
    """
    import inference  # noqa: PLC0415  benchmarks.classifier has put its folder on the path
    import torch  # noqa: PLC0415  --help does without

    torch.set_num_threads(1)
    return [
        _subject("bare", "bare forward pass and decoding", classifier, classifier.probabilities),
        _subject("bare_traced", "the same, traced", classifier, inference.traced(classifier)),
    ]


def _subject(
    name: str, title: str, classifier: Classifier, forward: "Callable[..., object]"
) -> Subject:
    from network import resize_picture  # noqa: PLC0415  as above

    def ask(picture: bytes) -> bytes:
        pixels = resize_picture(decode_picture(picture), classifier.input_size)
        [row] = forward(pixels[None]).tolist()  # type: ignore[attr-defined]
        return json.dumps({"labels": classifier.classes, "probabilities": row}).encode()

    @contextmanager
    def connect() -> Iterator[Ask]:
        yield ask

    return Subject(name, title, connect, clients=(1,))
