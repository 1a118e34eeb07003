"""Short and full texts of the conditions of a Choice state."""

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_LENGTH = 46  # characters: two lines beside an arrow

_EXPRESSION = re.compile(r"^\{%\s*|\s*%\}$")
_ABBREVIATIONS = (
    (r"\$states\.context\.State\.EnteredTime", "now"),
    (r"\$states\.(input|context|result)\.", ""),
    (r"\$not\(\s*\$exists\(([^()]*)\)\s*\)", r"no \1"),
    (r"\$exists\(([^()]*)\)", r"there is \1"),
    (r"\$not\b", "not"),
    (r"\$(toMillis|number|string)\(([^()]*)\)", r"\2"),
    (r"\$([A-Za-z_]\w*)\b(?!\s*\()", r"\1"),  # a variable of Assign, but no function
    (r"^true$", "otherwise"),
    (r"\s+", " "),
)


def full_condition(rule: Mapping[str, Any]) -> str:
    """Return a rule's whole condition: its JSONata expression, or JSONPath's comparison as JSON."""
    if "Condition" in rule:
        return _EXPRESSION.sub("", str(rule["Condition"]))
    return json.dumps({name: rule[name] for name in rule if name not in {"Next", "Comment", "Assign", "Output"}})


def short_condition(rule: Mapping[str, Any]) -> str:
    """Return a rule's Comment, or else its condition in at most `MAX_LENGTH` characters."""
    if rule.get("Comment"):
        return str(rule["Comment"])
    condition = full_condition(rule)
    for pattern, replacement in _ABBREVIATIONS:
        condition = re.sub(pattern, replacement, condition)
    return condition if len(condition) <= MAX_LENGTH else condition[: MAX_LENGTH - 1].rstrip() + "…"
