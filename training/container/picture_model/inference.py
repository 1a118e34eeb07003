"""Serve the model: the four functions that SageMaker's inference toolkit calls for each request.

A request is a picture (image/png, image/jpeg or application/x-image) of at most 6 MiB; the response
is `{"labels": ["bicycle", "motorcycle"], "probabilities": [0.98, 0.02]}`. Several threads may call:
pictures that arrive while every core is busy share the next forward pass.
"""

import json
import math
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from .network import (
    AnimatedPictureError,
    Classifier,
    NotAPictureError,
    PictureError,
    PictureTooLargeError,
    decode_picture,
    load_classifier,
    resize_picture,
)

try:  # In SageMaker's containers: a subclass of this sets the status code of the response.
    from sagemaker_inference.errors import (  # type: ignore[import-not-found,unused-ignore]
        BaseInferenceToolkitError,
    )
except ImportError:  # On the laptop: its server reads the same attributes.

    class BaseInferenceToolkitError(Exception):  # type: ignore[no-redef]
        """An error with the HTTP status and message of the response."""

        def __init__(self, status_code: int, message: str, phrase: str) -> None:
            """Set the same attributes as the toolkit's class."""
            super().__init__(status_code, message, phrase)
            self.status_code = status_code
            self.message = message
            self.phrase = phrase


# The limit of InvokeEndpoint, also for direct requests to the container.
MAX_PICTURE_BYTES = 6 * 1024 * 1024
CONTENT_TYPES = ("image/png", "image/jpeg", "application/x-image")
ACCEPTS = ("application/json", "application/*", "*/*")

# A larger pass saves little more, and every picture waits for the last (python -m benchmarks.serving).
MOST_PICTURES_PER_PASS = 4


class RequestError(BaseInferenceToolkitError):  # type: ignore[misc,unused-ignore]
    """The request is invalid; the client gets `status` (4xx) and the message."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        """Respond with `status` and `message`."""
        super().__init__(int(status), message, status.phrase)

    def __str__(self) -> str:
        """Return the message alone, which is the body of the laptop's response."""
        return str(self.message)


class ModelOutputError(ArithmeticError):
    """The network returned values that are not probabilities; the container responds 500."""


Forward = Callable[[Tensor], Tensor]  # uint8 [N, 3, S, S] to probabilities [N, classes]


@dataclass
class _Call:
    """A waiting picture; `woken` is held until it is answered, or has to run a pass itself."""

    pixels: Tensor  # uint8 [3, S, S]
    probabilities: list[float] = field(default_factory=list)
    error: BaseException | None = None
    answered: bool = False
    woken: threading.Lock = field(default_factory=threading.Lock)


class Model:
    """A classifier that threads share, with a limited number of concurrent forward passes.

    A thread that finds a pass free runs it. Any other waits until another thread's pass has included
    its picture, or until a pass ends and hands the next one to it.

    Attributes:
        classes: the names, in the order of the probabilities.
        input_size: pixels along each side of a picture.
    """

    def __init__(self, classifier: Classifier, passes: int, forward: Forward | None = None) -> None:
        """Allow `passes` concurrent passes of `forward`, by default `classifier.probabilities`."""
        self.classes = classifier.classes
        self.input_size = classifier.input_size
        self._forward = forward or classifier.probabilities
        self._free = passes
        self._waiting: deque[_Call] = deque()  # empty while a pass is free
        self._lock = threading.Lock()

    def probabilities(self, pixels: Tensor) -> list[float]:
        """Compute the probabilities of one uint8 picture [3, S, S], in the order of the classes."""
        call = _Call(pixels)
        with self._lock:
            runs = self._free > 0
            if runs:
                self._free -= 1
            else:
                call.woken.acquire()
                self._waiting.append(call)
        if not runs:
            call.woken.acquire()
        if not call.answered:
            self._run(call)
        if call.error is not None:
            raise call.error
        return call.probabilities

    def _run(self, own: _Call) -> None:
        """Answer `own` and the longest waiting calls; then hand the pass to the next one."""
        with self._lock:
            others = min(len(self._waiting), MOST_PICTURES_PER_PASS - 1)
            calls = [own, *(self._waiting.popleft() for _ in range(others))]
        try:
            with torch.inference_mode():  # a trace does not keep that of network.py
                rows = self._forward(torch.stack([call.pixels for call in calls]))
            for call, row in zip(calls, rows.tolist(), strict=True):
                call.probabilities = row
        except BaseException as error:  # noqa: BLE001  each caller raises it in its own thread
            for call in calls:
                call.error = error
        with self._lock:
            following = self._waiting.popleft() if self._waiting else None
            self._free += following is None
        if following is not None:
            following.woken.release()
        own.answered = True
        for call in calls[1:]:
            call.answered = True
            call.woken.release()


def model_fn(model_dir: str) -> Model:
    """Load the classifier from `model_dir` and warm it up.

    Raises:
        ModelFilesError: a file is missing, or the weights do not fit the metadata.
    """
    # One picture is too little work for several cores: parallelise over requests instead. SageMaker's
    # containers run a process per core.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    on_gpu = torch.cuda.is_available()
    classifier = load_classifier(Path(model_dir), torch.device("cuda" if on_gpu else "cpu"))
    if on_gpu:
        forward: Forward = classifier.probabilities
        forward(torch.zeros(1, 3, classifier.input_size, classifier.input_size, dtype=torch.uint8))
    else:
        forward = traced(classifier)  # which warms it up too
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    passes = 1 if on_gpu else max(1, (cores or 1) // torch.get_num_threads())
    return Model(classifier, passes, forward)


def traced(classifier: Classifier) -> Forward:
    """Return `classifier.probabilities` as a trace that runs outside the Python interpreter.

    That saves a fifth for one picture and one network of 32x32, and no thread waits for Python's
    lock. A trace whose probabilities differ from the classifier's is not used.
    """
    for part in vars(classifier).values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)  # trainable weights cannot be traced
    size = classifier.input_size
    pictures = torch.randint(0, 256, (MOST_PICTURES_PER_PASS, 3, size, size), dtype=torch.uint8)
    expected = classifier.probabilities(pictures)
    try:
        with warnings.catch_warnings():
            # PyTorch 2.13 recommends torch.compile instead, which needs a C++ compiler.
            warnings.simplefilter("ignore")
            forward: Forward = torch.jit.trace(  # type: ignore[no-untyped-call,unused-ignore]
                classifier.probabilities, pictures[:2], check_trace=False
            )
        # Each batch size has its own kernels, so its first pass is slow.
        for count in range(1, MOST_PICTURES_PER_PASS + 1):
            with torch.inference_mode():  # as in Model
                answer = forward(pictures[:count])
            if not torch.allclose(answer, expected[:count], atol=1e-5):
                raise ValueError("other probabilities")
    except Exception as error:  # noqa: BLE001  a trace may raise anything, and is only an optimisation
        print(f"inference.py: the network is used as it is, since its trace fails: {error}")
        return classifier.probabilities
    return forward


def input_fn(request_body: bytes, content_type: str) -> Image:
    """Decode the request's picture to upright RGB.

    Raises:
        RequestError: 415 for another content type or file type and for an animation, 413 for too
            many bytes, pixels or scans, 400 for a broken picture.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type not in CONTENT_TYPES:
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"content type {content_type!r} is not served: send one of {', '.join(CONTENT_TYPES)}",
        )
    if len(request_body or b"") > MAX_PICTURE_BYTES:
        raise RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"{len(request_body):,} bytes: at most {MAX_PICTURE_BYTES:,} are accepted",
        )
    try:
        return decode_picture(bytes(request_body or b""))  # the toolkit gives None for no body
    except (NotAPictureError, AnimatedPictureError) as error:
        raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error)) from error
    except PictureTooLargeError as error:
        raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error)) from error
    except PictureError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, str(error)) from error


def predict_fn(picture: Image, model: Model) -> dict[str, list[Any]]:
    """Classify one RGB picture as `{"labels": [str], "probabilities": [float]}`.

    Raises:
        ModelOutputError: the probabilities are not finite.
    """
    pixels = resize_picture(picture, model.input_size)
    del picture  # it may be large, and this thread may wait
    probabilities = model.probabilities(pixels)
    if not all(math.isfinite(p) for p in probabilities):
        raise ModelOutputError(f"the network answered {probabilities}: train the model again")
    return {"labels": model.classes, "probabilities": probabilities}


def output_fn(prediction: dict[str, list[Any]], accept: str) -> str:
    """Write the prediction as JSON text.

    Raises:
        RequestError: 406 where the client accepts no JSON.
    """
    accepted = [part.partition(";")[0].strip().lower() for part in (accept or "*/*").split(",")]
    if not any(media_type in ACCEPTS for media_type in accepted):
        raise RequestError(HTTPStatus.NOT_ACCEPTABLE, f"answers are application/json, which {accept!r} rules out")
    return json.dumps(prediction)
