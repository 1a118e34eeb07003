"""What the laptop's AWS answers below `/_local/`: its health, and how it misbehaves on purpose."""

import json
import re
from collections.abc import Callable
from typing import Any

from local.ministack.upload_duplicates import Duplicates, DuplicatesRequestError, parse_duplicates
from local.sagemaker.faults import FaultRequestError, Faults, parse_faults
from local.sagemaker.interruptions import (
    InterruptionRequestError,
    Interruptions,
    parse_interruption,
)

HEALTH_PATH = "/_local/health"
UPLOADS_PATH = "/_local/uploads"
_FAULTS = re.compile(r"/_local/faults/([^/]+)")
_INTERRUPTIONS = re.compile(r"/_local/interruptions/([^/]+)")
_Answer = tuple[int, dict[str, Any]]


class Controls:
    """The requests that are no AWS API."""

    def __init__(
        self,
        about: dict[str, Any],
        faults: Faults,
        duplicates: Duplicates,
        interruptions: Interruptions,
    ) -> None:
        """Set up the answers.

        Args:
            about: what the health is.
            faults: of the endpoints.
            duplicates: of S3's events.
            interruptions: of training jobs on spot instances.
        """
        self._about = about
        self._faults = faults
        self._duplicates = duplicates
        self._interruptions = interruptions

    def answer(self, method: str, path: str, body: bytes) -> _Answer:
        """Return the HTTP status and the JSON object that answer one request."""
        faults, interruptions = _FAULTS.fullmatch(path), _INTERRUPTIONS.fullmatch(path)
        answers: dict[str, Callable[[], dict[str, Any]]] = {}
        if path == HEALTH_PATH:
            answers = {"GET": lambda: self._about}
        elif path == UPLOADS_PATH:
            answers = {
                "PUT": lambda: self._put_duplicates(body),
                "GET": self._duplicates.get,
                "DELETE": self._delete_duplicates,
            }
        elif faults:
            endpoint = faults.group(1)
            answers = {
                "PUT": lambda: self._put_faults(endpoint, body),
                "GET": lambda: self._faults.get(endpoint),
                "DELETE": lambda: self._delete_faults(endpoint),
            }
        elif interruptions:
            name = interruptions.group(1)
            answers = {
                "PUT": lambda: self._put_interruption(name, body),
                "GET": lambda: self._interruptions.get(name),
                "DELETE": lambda: self._delete_interruption(name),
            }
        if method not in answers:
            return 404, {"error": f"No {method} {path}; see docs/laptop-aws.md"}
        try:
            return 200, answers[method]()
        except (FaultRequestError, DuplicatesRequestError, InterruptionRequestError) as error:
            return 400, {"error": str(error)}
        except ValueError as error:
            return 400, {"error": f"The body is no JSON: {error}"}

    def _put_faults(self, endpoint: str, body: bytes) -> dict[str, Any]:
        request = parse_faults(json.loads(body))
        self._faults.put(endpoint, *request.faults, seed=request.seed)
        return self._faults.get(endpoint)

    def _delete_faults(self, endpoint: str) -> dict[str, Any]:
        self._faults.clear(endpoint)
        return self._faults.get(endpoint)

    def _put_interruption(self, name: str, body: bytes) -> dict[str, Any]:
        self._interruptions.put(name, parse_interruption(json.loads(body)))
        return self._interruptions.get(name)

    def _delete_interruption(self, name: str) -> dict[str, Any]:
        self._interruptions.clear(name)
        return self._interruptions.get(name)

    def _put_duplicates(self, body: bytes) -> dict[str, Any]:
        self._duplicates.put(parse_duplicates(json.loads(body)))
        return self._duplicates.get()

    def _delete_duplicates(self) -> dict[str, Any]:
        self._duplicates.clear()
        return self._duplicates.get()
