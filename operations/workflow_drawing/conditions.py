"""A choice's condition in few words: the rule's own Comment, or its expression made short."""

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_LENGTH = 46  # characters: two lines beside an arrow

_EXPRESSION = re.compile(r"^\{%\s*|\s*%\}$")
# What every JSONata expression of a state machine contains, and nobody needs to read.
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
# JSONPath's operators, such as NumericGreaterThanEquals, without the type in front.
_OPERATORS = {
    "Equals": "=",
    "LessThan": "<",
    "LessThanEquals": "≤",
    "GreaterThan": ">",
    "GreaterThanEquals": "≥",
    "Matches": "matches",
}


def full_condition(rule: Mapping[str, Any]) -> str:
    """Return a rule's whole condition: JSONata unchanged, JSONPath's as an expression."""
    return _EXPRESSION.sub("", str(rule["Condition"])) if "Condition" in rule else _jsonpath(rule)


def short_condition(rule: Mapping[str, Any]) -> str:
    """Return a rule's Comment, or else its condition in at most `MAX_LENGTH` characters."""
    if rule.get("Comment"):
        return str(rule["Comment"])
    condition = full_condition(rule)
    for pattern, replacement in _ABBREVIATIONS:
        condition = re.sub(pattern, replacement, condition)
    return condition if len(condition) <= MAX_LENGTH else condition[: MAX_LENGTH - 1].rstrip() + "…"


def _jsonpath(rule: Mapping[str, Any]) -> str:
    for name in ("And", "Or"):
        if name in rule:
            return f" {name.lower()} ".join(map(_jsonpath, rule[name]))
    if "Not" in rule:
        return f"not ({_jsonpath(rule['Not'])})"
    variable = str(rule.get("Variable", "")).removeprefix("$.")
    for name, value in rule.items():
        if name in {"Variable", "Next", "Comment", "Assign", "Output"}:
            continue
        if name.startswith("Is"):  # IsPresent, IsNull, IsString ...
            return f"{variable} is {'' if value else 'not '}{name.removeprefix('Is').lower()}"
        operator = re.sub("^(String|Numeric|Boolean|Timestamp)", "", name.removesuffix("Path"))
        operand = str(value).removeprefix("$.") if name.endswith("Path") else json.dumps(value)
        return f"{variable} {_OPERATORS.get(operator, operator)} {operand}"
    return variable
