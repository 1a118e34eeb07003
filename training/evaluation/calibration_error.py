"""What few pictures show of the calibration error: its interval, and what luck alone would show."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.container.picture_model.calibration import expected_calibration_error

RESAMPLES = 1000  # the ends of a 95 % interval are then the 25th values from both ends


def calibration_error_interval(confidences: Sequence[float], correct: Sequence[bool]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval (percentiles) of the expected calibration error.

    Drawn from the pictures with replacement (B. Efron, "Bootstrap methods", 1979). Each draw adds
    the luck of the draw to that of the pictures, so that the interval lies somewhat too high.
    """
    values, right = np.asarray(confidences), np.asarray(correct)
    generator = np.random.default_rng(0)  # the same pictures, the same interval
    drawn = (generator.integers(len(values), size=len(values)) for _ in range(RESAMPLES))
    return _middle_95([_error(values[places], right[places]) for places in drawn])


def calibration_error_of_luck(confidences: Sequence[float]) -> float:
    """Return the mean calibration error of perfectly calibrated answers of these confidences.

    It is what this many pictures show of a classifier that deserves exactly its confidence (J.
    Bröcker and L. A. Smith, "Increasing the reliability of reliability diagrams", 2007).
    """
    values = np.asarray(confidences)
    generator = np.random.default_rng(0)
    drawn = (generator.random(len(values)) < values for _ in range(RESAMPLES))
    return float(np.mean([_error(values, right) for right in drawn]))


def _error(values: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    return expected_calibration_error(values.tolist(), right.tolist())


def _middle_95(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
