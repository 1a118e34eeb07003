"""The project's names, prefixes and folders, with the settings of samconfig.toml, the one file that a user edits."""

import re
import shlex
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from common.errors import ExpectedError

ROOT = Path(__file__).resolve().parent.parent
SAMCONFIG = ROOT / "samconfig.toml"

# The longest name of a training bucket, <name>-training-<12 digits>-ap-southeast-1, has 63 characters.
PROJECT_NAME_LENGTH = 26
PROJECT_TAG_KEY = "Project"  # on every resource that the project creates, for clean-up

# In the training bucket.
STAGED_PREFIX = "staged"
JOBS_PREFIX = "jobs"
CHECKPOINTS_PREFIX = "checkpoints"
CAPTURES_PREFIX = "captures"
LABELS_PREFIX = "review-labels"  # people's decisions on the review page

# On disk, relative to the folder that a command is started in.
STAGED_FOLDER = Path("data/staged")
REPORTS_FOLDER = Path("reports")

# SageMaker's own pattern and limit for names, in lower case as the template asks.
ENDPOINT_NAME_PATTERN = r"[a-z0-9](-*[a-z0-9])*"
ENDPOINT_NAME_LENGTH = 63
# Jobs, models and endpoint configurations are named <endpoint>-<time of 14 digits>.
MADE_ENDPOINT_NAME_LENGTH = ENDPOINT_NAME_LENGTH - 15


class SettingsError(ExpectedError):
    """samconfig.toml is missing, unreadable, or has an invalid value."""


@dataclass(frozen=True)
class Project:
    """The settings in samconfig.toml.

    `name` is the value of the tag `Project`, `confidence_threshold` is in [0, 1], `parameters` has all overrides.
    """

    name: str
    stack_name: str
    endpoint_name: str
    confidence_threshold: float
    parameters: dict[str, str]

    @property
    def tag(self) -> dict[str, str]:
        """Return the tag of every resource of the project."""
        return {"Key": PROJECT_TAG_KEY, "Value": self.name}


@cache
def project() -> Project:
    """Return the settings of the repository. Raises SettingsError."""
    return read_project(SAMCONFIG)


def read_project(path: Path) -> Project:
    """Read `[default.deploy.parameters]` of a samconfig.toml. Raises SettingsError."""
    try:
        parameters: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["default"]["deploy"]["parameters"]
        overrides = _pairs(parameters["parameter_overrides"])
        stack, endpoint = parameters["stack_name"], overrides["EndpointName"]
        if not isinstance(stack, str):
            raise TypeError(f"{stack!r} is not text")
        threshold = overrides["ConfidenceThreshold"]
        name = _pairs(parameters["tags"])[PROJECT_TAG_KEY]
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}).") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error
    except KeyError as error:
        raise SettingsError(
            f"{path} lacks {error} in [default.deploy.parameters]: it must give stack_name,"
            f' tags = ["{PROJECT_TAG_KEY}=..."] and'
            ' parameter_overrides = ["EndpointName=...", "ConfidenceThreshold=..."].'
        ) from error
    except (AttributeError, TypeError, ValueError) as error:  # a number for a list, an open quote, not UTF-8
        raise SettingsError(
            f"{path} has a value of the wrong form in [default.deploy.parameters] ({error}): stack_name is text,"
            ' tags and parameter_overrides are lists such as ["Name=value"].'
        ) from error
    check_endpoint_name(endpoint, f"{path}, EndpointName")
    _check_name(
        name,
        f"{path}, tag {PROJECT_TAG_KEY}",
        "the name of the project, which is part of a bucket's name",
        PROJECT_NAME_LENGTH,
    )
    return Project(name, stack, endpoint, _threshold(threshold, path), overrides)


def default_bucket(account: str, region: str) -> str:
    """Return the name of the training bucket of an account (12 digits) and region."""
    return f"{project().name}-training-{account}-{region}"


def check_endpoint_name(name: str, where: str, longest: int = ENDPOINT_NAME_LENGTH) -> None:
    """Raise SettingsError, which begins with `where`, unless `name` can be an endpoint's name."""
    _check_name(name, where, "the name of an endpoint", longest)


def _check_name(name: str, where: str, what: str, longest: int) -> None:
    if len(name) > longest or not re.fullmatch(ENDPOINT_NAME_PATTERN, name):
        raise SettingsError(
            f"{where}: {name!r} cannot be {what}. Use 1 to {longest} lower-case letters, digits and hyphens, with a"
            " letter or digit at both ends."
        )


def _pairs(value: list[str] | str) -> dict[str, str]:
    """Return the pairs of `["Name=value", ...]`, or of the one string that SAM accepts too."""
    pairs = shlex.split(value) if isinstance(value, str) else value
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _threshold(text: str, path: Path) -> float:
    try:
        threshold = float(text)
    except ValueError:
        threshold = float("nan")
    if not 0 <= threshold <= 1:  # false for NaN too
        raise SettingsError(f"{path} gives ConfidenceThreshold={text!r}: it must be a number from 0 to 1.")
    return threshold
