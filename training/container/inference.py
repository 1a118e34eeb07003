"""Serve the model: the four functions that SageMaker's inference toolkit calls for each request.

A request is a picture (image/png, image/jpeg or application/x-image) of at most 6 MiB; the answer
is `{"labels": ["bicycle", "motorcycle"], "probabilities": [0.98, 0.02]}`.
"""

import json
import math
import os
from http import HTTPStatus
from pathlib import Path
from typing import Any

import torch
from network import (
    AnimatedPictureError,
    Classifier,
    NotAPictureError,
    PictureError,
    PictureTooLargeError,
    decode_picture,
    load_classifier,
    resize_picture,
)
from PIL.Image import Image
from torch import Tensor

try:  # In SageMaker's containers: whatever derives from this answers with its own status code.
    from sagemaker_inference.errors import (  # type: ignore[import-not-found,unused-ignore]
        BaseInferenceToolkitError,
    )
except ImportError:  # On the laptop: the host reads the same attributes.

    class BaseInferenceToolkitError(Exception):  # type: ignore[no-redef]
        """An error that carries the HTTP status and message to answer with."""

        def __init__(self, status_code: int, message: str, phrase: str) -> None:
            """Keep the three as attributes, as the toolkit's class does."""
            super().__init__(status_code, message, phrase)
            self.status_code = status_code
            self.message = message
            self.phrase = phrase


# The body of InvokeEndpoint ends there; whoever reaches the container by another way is held to it.
MAX_PICTURE_BYTES = 6 * 1024 * 1024
CONTENT_TYPES = ("image/png", "image/jpeg", "application/x-image")
ACCEPTS = ("application/json", "application/*", "*/*")


class RequestError(BaseInferenceToolkitError):  # type: ignore[misc,unused-ignore]
    """The request cannot be answered as sent; the client gets `status` (4xx) and the message."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        """Answer with `status` and `message`."""
        super().__init__(int(status), message, status.phrase)

    def __str__(self) -> str:
        """Read as the message alone, which is what the laptop's host answers with."""
        return str(self.message)


class ModelOutputError(ArithmeticError):
    """The network gave something that is not a probability; the container answers 500."""


def model_fn(model_dir: str) -> Classifier:
    """Load the classifier from `model_dir` and answer one blank picture, so that none waits later.

    Raises:
        ModelFilesError: a file is missing, or the weights do not fit the metadata.
    """
    # One picture of 32x32 is too little work to share out, so threads serve requests instead: a
    # server runs a worker per core. Larger inputs gain from them.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classifier = load_classifier(Path(model_dir), device)
    blank = torch.zeros(1, 3, classifier.input_size, classifier.input_size, dtype=torch.uint8)
    classifier.probabilities(blank)
    return classifier


def input_fn(request_body: bytes, content_type: str) -> Image:
    """Decode the request's picture to upright RGB.

    Raises:
        RequestError: 415 for another content type or file type and for an animation, 413 for too
            many bytes, pixels or scans, 400 for a broken picture. All but a broken picture is found
            out before a pixel is decoded.
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


def predict_fn(picture: Image, model: Classifier) -> dict[str, list[Any]]:
    """Classify one RGB picture as `{"labels": [str], "probabilities": [float]}`.

    Raises:
        ModelOutputError: the probabilities are not finite.
    """
    pixels: Tensor = resize_picture(picture, model.input_size)
    probabilities: list[float] = model.probabilities(pixels[None])[0].tolist()
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
        raise RequestError(
            HTTPStatus.NOT_ACCEPTABLE, f"answers are application/json, which {accept!r} rules out"
        )
    return json.dumps(prediction)
