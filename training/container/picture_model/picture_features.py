"""Features of a picture apart from its content, for training and monitoring: light, focus, size, format."""

import numpy as np
from PIL import Image

# Sharpness is measured at no more than this many pixels along the longer side, so that it does not
# depend on the resolution of the camera.
SHARPNESS_SIDE = 256

NUMBERS = ("brightness", "contrast", "sharpness", "width", "height", "bytes")
_LEVELS = np.arange(256)
_SIGNATURES = ((b"\x89PNG", "PNG"), (b"\xff\xd8", "JPEG"))


def picture_features(data: bytes, picture: Image.Image) -> dict[str, float | str]:
    """Compute the features of a file and of the upright RGB picture in it.

    - brightness: mean luma (ITU-R BT.601), 0 to 1.
    - contrast: standard deviation of the luma, 0 to .5 (RMS contrast, Peli 1990).
    - sharpness: standard deviation of the luma's Laplacian (Pech-Pacheco and others 2000) divided
      by that of the luma, or darker pictures would look blurred. 0 for a flat picture, 4.5 for
      white noise.
    - width, height: pixels. bytes: of the file. format: "PNG", "JPEG" or "other".
    """
    grey = picture.convert("L")
    counts = np.array(grey.histogram(), np.float64)  # floats of 25 million pixels would be 100 MB
    counts /= counts.sum()
    mean = float(counts @ _LEVELS)
    return {
        "brightness": mean / 255,
        "contrast": float(np.sqrt(counts @ (_LEVELS - mean) ** 2)) / 255,
        "sharpness": _sharpness(grey),
        "width": float(picture.width),
        "height": float(picture.height),
        "bytes": float(len(data)),
        "format": next((name for start, name in _SIGNATURES if data.startswith(start)), "other"),
    }


def _sharpness(grey: Image.Image) -> float:
    if max(grey.size) > SHARPNESS_SIDE:
        # reducing_gap: large photos are first reduced by whole factors, several times faster.
        grey.thumbnail((SHARPNESS_SIDE, SHARPNESS_SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
    luma = np.asarray(grey, np.float32)
    deviation = float(luma.std())
    if not deviation or min(luma.shape) < 3:
        return 0.0
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    laplacian -= 4 * luma[1:-1, 1:-1]
    return float(laplacian.std()) / deviation
