"""The baseline: decoding and the network's forward pass in this process."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.classifier import Classifier, decode_picture
from benchmarks.serving.subjects import Ask, Subject

# isort: split
from training.container.picture_model import inference
from training.container.picture_model.network import resize_picture

Forward = Callable[[Tensor], Tensor]  # uint8 [N, 3, S, S] to probabilities [N, classes]


def bare_subjects(classifier: Classifier) -> list[Subject]:
    """Return the classifier of network.py; the same with one view per picture; and traced, as inference.py runs it.

    A single view shows the cost of test-time augmentation. Sets this process to one thread per forward pass, as the
    endpoint does.
    """
    torch.set_num_threads(1)
    single_view = _subject("bare_one_look", "the same, one view per picture", classifier, one_view(classifier))
    return [
        _subject("bare", "bare forward pass and decoding", classifier, classifier.probabilities),
        replace(single_view, compared=False),
        _subject("bare_traced", "the first, traced", classifier, inference.traced(classifier)),
    ]


def one_view(classifier: Classifier) -> Forward:
    """Return `classifier.probabilities` without the mirrored and turned views of the picture."""

    def forward(pictures: Tensor) -> Tensor:
        classifier.ensemble.eval()
        x = classifier.normalise(pictures.to(classifier.device))
        each = [
            classifier.member_log_probabilities(network, x, upright_only=True)
            for network in classifier.ensemble.networks()
        ]
        return torch.logsumexp(torch.stack(each), 0).cpu().double().softmax(1)

    return forward


def _subject(name: str, title: str, classifier: Classifier, forward: Forward) -> Subject:
    def ask(picture: bytes) -> bytes:
        pixels = resize_picture(decode_picture(picture), classifier.input_size)
        with torch.inference_mode():  # as in inference.py
            [row] = forward(pixels[None]).tolist()
        return json.dumps({"labels": classifier.classes, "probabilities": row}).encode()

    @contextmanager
    def connect() -> Iterator[Ask]:
        yield ask

    return Subject(name, title, connect, clients=(1,))
