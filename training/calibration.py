"""The container's calibration for the commands of the laptop: the one door to it.

The modules of training/container import each other by their bare names, as SageMaker's containers
find them. Here their folder comes last, so that none of them hides another module.
"""

import sys

from training.training_job import SOURCE_DIR

sys.path.append(str(SOURCE_DIR))

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
    risk_coverage,
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
    "risk_coverage",
    "simultaneous_level",
]
