"""Record every call of AWS as a line of JSON in the file RECORDED_CALLS. Python imports this at its start."""

import importlib.abc
import importlib.util
import json
import os
import sys
from typing import Any

CONTENT = {"Body", "Payload", "TemplateBody"}  # large


class _WatchSessions(importlib.abc.MetaPathFinder):
    """Watch botocore's sessions once it is imported, which few processes do."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:  # noqa: ARG002  the interface
        if name != "botocore.session":
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def run_and_watch(module: Any) -> None:
            run(module)
            watch(module.Session)

        spec.loader.exec_module = run_and_watch
        return spec


def watch(session: Any) -> None:
    """Record the calls of every session of this class."""
    begin = session.__init__

    def begin_watched(self: Any, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self.register("before-parameter-build", record)

    session.__init__ = begin_watched


def record(params: dict[str, Any], model: Any, **_: Any) -> None:
    """Append one call."""
    line = json.dumps(
        {
            "service": model.service_model.service_name,
            "operation": model.name,
            "parameters": {k: v for k, v in params.items() if k not in CONTENT},
            "program": sys.argv[0],
        },
        default=str,
    )
    with open(os.environ["RECORDED_CALLS"], "a") as file:
        file.write(line + "\n")


if "RECORDED_CALLS" in os.environ:
    sys.meta_path.insert(0, _WatchSessions())
