"""A choice's condition in few words: the rule's own Comment, or its expression made short."""

import json
import re
from collections.abc import Mapping
from typing import Any

LONGEST = 46  # characters: two lines beside an arrow

# What every JSONata expression of a state machine says, and nobody needs to read.
_SHORTER = (
    (r"^\{%\s*|\s*%\}$", ""),
    (r"\$states\.context\.State\.EnteredTime", "now"),
    (r"\$states\.(input|context)\.", ""),
    (r"\$not\(\s*\$exists\(([^()]*)\)\s*\)", r"no \1"),
    (r"\$exists\(([^()]*)\)", r"there is \1"),
    (r"\$not\b", "not"),
    (r"\$(toMillis|number|string)\(([^()]*)\)", r"\2"),
    (r"^true$", "otherwise"),
    (r"\s+", " "),
)
# JSONPath's operators, such as NumericGreaterThanEquals, without the type in front.
_OPERATORS = {
    "Equals": "=",
    "LessThan": "<",
    "LessThanEquals": "≤",
    "GreaterThan": ">",
    "GreaterThanEquals": "≥",
    "Matches": "matches",
}
_TYPES = ("String", "Numeric", "Boolean", "Timestamp")


def full_condition(rule: Mapping[str, Any]) -> str:
    """Return a rule's whole condition: JSONata as it stands, JSONPath's as an expression."""
    if "Condition" in rule:
        return re.sub(r"^\{%\s*|\s*%\}$", "", str(rule["Condition"]))
    return _jsonpath(rule)


def short_condition(rule: Mapping[str, Any]) -> str:
    """Return a rule's Comment, or else its condition in at most `LONGEST` characters."""
    if rule.get("Comment"):
        return str(rule["Comment"])
    words = full_condition(rule)
    for pattern, short in _SHORTER:
        words = re.sub(pattern, short, words)
    return words if len(words) <= LONGEST else words[: LONGEST - 1].rstrip() + "…"


def _jsonpath(rule: Mapping[str, Any]) -> str:
    for name in ("And", "Or"):
        if name in rule:
            return f" {name.lower()} ".join(_jsonpath(part) for part in rule[name])
    if "Not" in rule:
        return f"not ({_jsonpath(rule['Not'])})"
    variable = str(rule.get("Variable", "")).removeprefix("$.")
    for name, value in rule.items():
        if name in {"Variable", "Next", "Comment", "Assign", "Output"}:
            continue
        if name.startswith("Is"):  # IsPresent, IsNull, IsString ...
            what = name.removeprefix("Is").lower()
            return f"{variable} is {'' if value else 'not '}{what}"
        bare = name.removesuffix("Path")
        kind = next((kind for kind in _TYPES if bare.startswith(kind)), "")
        operator = _OPERATORS.get(bare.removeprefix(kind), bare)
        shown = str(value).removeprefix("$.") if name.endswith("Path") else json.dumps(value)
        return f"{variable} {operator} {shown}"
    return variable
