"""The HTTP API below `/_local/`: health and fault injection."""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from local.control_request import ControlRequestError, parse_setting
from local.ministack.upload_events import Duplicates, DuplicatesSetting
from local.sagemaker.faults import Faults, parse_faults
from local.sagemaker.interruptions import Interruption, Interruptions

HEALTH_PATH = "/_local/health"
_SETTINGS = re.compile(r"/_local/(uploads|faults/[^/]+|interruptions/[^/]+)")


class Controls:
    """Answers the requests of this API."""

    def __init__(
        self, health: dict[str, Any], faults: Faults, duplicates: Duplicates, interruptions: Interruptions
    ) -> None:
        """Set up the answers; `health` is that of the health check."""
        self._health = health
        self._settings: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "uploads": (duplicates, partial(parse_setting, DuplicatesSetting, '{"duplicates": 0.1}')),
            "faults": (faults, parse_faults),
            "interruptions": (interruptions, partial(parse_setting, Interruption, '{"times": 1}')),
        }

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the JSON object that answer one request."""
        if (method, path) == ("GET", HEALTH_PATH):
            return 200, self._health
        matched = _SETTINGS.fullmatch(path)
        if matched is None or method not in ("PUT", "GET", "DELETE"):
            return 404, {"error": f"No {method} {path}; see docs/laptop-aws.md"}
        kind, *name = matched.group(1).split("/")  # no name for `uploads`
        setting, parse = self._settings[kind]
        try:
            if method == "PUT":
                setting.put(*name, parse(json.loads(body)))
            elif method == "DELETE":
                setting.clear(*name)
        except ControlRequestError as error:
            return 400, {"error": str(error)}
        except ValueError as error:
            return 400, {"error": f"The body is not JSON: {error}"}
        return 200, setting.get(*name)
