"""The yardstick: decoding and the network's forward pass in this process, nothing around them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.classifier import Classifier, decode_picture
from benchmarks.serving.subjects import Ask, Subject

# isort: split
from training.container.picture_model import inference
from training.container.picture_model.network import resize_picture

Forward = Callable[[Tensor], Tensor]  # uint8 [N, 3, S, S] to probabilities [N, classes]


def bare_subjects(classifier: Classifier) -> list[Subject]:
    """Return the classifier as it is in network.py, with a single look, and traced.

    A single look is faster and right less often: what the others cost, beside it. Tracing is what
    inference.py does when it loads.

    Sets this process to one thread per forward pass, as the endpoint has it.
    """
    torch.set_num_threads(1)
    return [
        _subject("bare", "bare forward pass and decoding", classifier, classifier.probabilities),
        _subject(
            *("bare_one_look", "the same, one look at each picture", classifier),
            one_look(classifier),
            compared=False,
        ),
        _subject("bare_traced", "the first, traced", classifier, inference.traced(classifier)),
    ]


def one_look(classifier: Classifier) -> Forward:
    """Return `classifier.probabilities` without the looks at the picture mirrored and turned."""

    def forward(pictures: Tensor) -> Tensor:
        classifier.ensemble.eval()
        x = classifier.normalise(pictures.to(classifier.device))
        each = [
            classifier.member_log_probabilities(network, x, upright_only=True)
            for network in classifier.ensemble.networks()
        ]
        return torch.logsumexp(torch.stack(each), 0).cpu().double().softmax(1)

    return forward


def _subject(name: str, title: str, classifier: Classifier, forward: Forward, *, compared: bool = True) -> Subject:
    def ask(picture: bytes) -> bytes:
        pixels = resize_picture(decode_picture(picture), classifier.input_size)
        with torch.inference_mode():  # as inference.py has it
            [row] = forward(pixels[None]).tolist()
        return json.dumps({"labels": classifier.classes, "probabilities": row}).encode()

    @contextmanager
    def connect() -> Iterator[Ask]:
        yield ask

    return Subject(name, title, connect, clients=(1,), compared=compared)
