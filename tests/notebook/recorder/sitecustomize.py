"""Record every call of AWS as a line of JSON in the file RECORDED_CALLS. Python imports this at its start."""

import contextlib
import json
import os
import sys
from typing import Any

CONTENT = {"Body", "Payload", "TemplateBody"}  # large


def record(params: dict[str, Any], model: Any, **_: Any) -> None:
    """Append one call."""
    call = {
        "service": model.service_model.service_name,
        "operation": model.name,
        "parameters": {k: v for k, v in params.items() if k not in CONTENT},
        "program": sys.argv[0],
    }
    with open(os.environ["RECORDED_CALLS"], "a") as file:
        file.write(json.dumps(call, default=str) + "\n")


def watch(session: Any) -> None:
    """Record the calls of every session of this class."""
    initialise = session.__init__

    def initialise_watched(self: Any, *arguments: Any, **named: Any) -> None:
        initialise(self, *arguments, **named)
        self.register("before-parameter-build", record)

    session.__init__ = initialise_watched


if "RECORDED_CALLS" in os.environ:
    with contextlib.suppress(ImportError):  # a Python of another environment
        import botocore.session

        watch(botocore.session.Session)
