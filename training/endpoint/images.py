"""AWS's PyTorch images for training and serving."""

from typing import Literal

from common.errors import ExpectedError

# The newest version with images for both, so that a model is served by the PyTorch that trained it:
# training has up to 2.10, inference up to 2.6 (SageMaker SDK 3.27, 2026-07).
PYTORCH_VERSION = "2.6.0"
PYTHON_VERSION = "py312"


class NoImageError(ExpectedError):
    """AWS has no PyTorch image for this region or instance type."""


def image_uri(region: str, instance_type: str, scope: Literal["training", "inference"]) -> str:
    """Return the image's address, with CUDA for a type with a GPU. Raises NoImageError."""
    from sagemaker.core import image_uris

    try:
        uri = image_uris.retrieve(
            framework="pytorch",
            region=region,
            version=PYTORCH_VERSION,
            py_version=PYTHON_VERSION,
            instance_type=instance_type,
            image_scope=scope,
        )
    except ValueError as error:
        raise NoImageError(
            f"No PyTorch {PYTORCH_VERSION} image for {scope} on {instance_type} in {region}"
            f" ({error}): choose another instance type or region."
        ) from error
    if f"pytorch-{scope}" not in uri:  # for ARM training, the SDK returns the inference image
        raise NoImageError(f"No PyTorch image for {scope} on {instance_type}: choose another type.")
    return str(uri)
