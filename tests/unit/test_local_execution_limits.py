import json
from typing import Any

import pytest

from local.execution_limits import _seconds


@pytest.mark.parity("states-express-5-minutes")
@pytest.mark.parametrize(
    ("kind", "members", "seconds"),
    [
        ("STANDARD", {}, None),
        ("STANDARD", {"TimeoutSeconds": 900}, 900),
        ("EXPRESS", {}, 300),
        ("EXPRESS", {"TimeoutSeconds": 240}, 240),
        ("EXPRESS", {"TimeoutSeconds": 900}, 300),
    ],
)
def test_the_limit_of_a_machine(kind: str, members: dict[str, Any], seconds: float | None) -> None:
    assert _seconds({"type": kind, "definition": json.dumps(members)}) == seconds


def test_a_machine_that_is_gone_or_broken_has_none() -> None:
    assert _seconds(None) is None
    assert _seconds({"type": "EXPRESS", "definition": "{"}) is None
