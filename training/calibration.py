"""The container's calibration for the commands of the laptop: the one door to it."""

from training import container_path  # noqa: F401  finds the module below

# isort: split
from calibration import (
    CONFIDENCE_LEVEL,
    MAX_ERROR,
    HeldOutError,
    Recommendation,
    ReliabilityBin,
    accepted_and_errors,
    error_bound,
    expected_calibration_error,
    held_out_answers,
    recommend_threshold,
    reliability_bins,
    simultaneous_level,
)

__all__ = [
    "CONFIDENCE_LEVEL",
    "MAX_ERROR",
    "HeldOutError",
    "Recommendation",
    "ReliabilityBin",
    "accepted_and_errors",
    "error_bound",
    "expected_calibration_error",
    "held_out_answers",
    "recommend_threshold",
    "reliability_bins",
    "simultaneous_level",
]
