"""What the project's own files ask of AWS, read off them: no list of it is kept by hand.

Each thing has a name such as `asl:resource:dynamodb:putItem` or `call:s3.GetObject`. A behaviour
in behaviours.toml says which of them it is about; tests/unit/docs/test_parity.py finds those that none
is about.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samcli.yamlhelper import yaml_parse

from tests.aws_calls import calls_of, services_of

ROOT = Path(__file__).parents[2]

PROGRAMS = ("functions", "common", "training", "operations")
# For people to read; AWS does nothing with them.
WORDS = {"AlarmDescription", "Comment", "Description"}


def needs() -> dict[str, str]:
    """Return everything that the project asks of AWS, by name, with the file that asks for it."""
    found: dict[str, str] = {}
    for reader in (_state_machines, _template, _programs, _role, _environment, _commands):
        for name, place in reader():
            found.setdefault(name, place)
    return dict(sorted(found.items()))


def gaps_of_the_laptop() -> list[str]:
    """Return each difference that docs/laptop-aws.md tells of, as `area: difference`."""
    text = (ROOT / "docs/laptop-aws.md").read_text()
    table = text.partition("## Where it differs from AWS")[2]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    return [
        f"{area}: {difference.strip()}"
        for area, differences in rows
        if area != "area" and not set(area) <= set("-")
        for difference in differences.removesuffix("(MiniStack)").split(";")
    ]


# --- State machines ---


def _state_machines() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "statemachine").glob("*.asl.json")):
        text = path.read_text()
        for name in _definition(json.loads(text)):
            yield name, path.name
        own = set(re.findall(r"(\$\w+) := function", text))
        for function in set(re.findall(r"\$[a-z]\w*(?=\()", text)) - own:
            yield f"jsonata:{function}", path.name
        for variable in re.findall(r"\$states\.(context(?:\.\w+)+|\w+)", text):
            yield f"asl:variable:{variable}", path.name
        for variable in re.findall(r'"\$\$((?:\.\w+)+)"', text):
            yield f"asl:variable:context{variable}", path.name


def _definition(node: Any, field: str = "") -> Iterator[str]:
    """Walk a definition; names of states, arguments and selected items are the project's own."""
    if isinstance(node, list):
        for item in node:
            yield from _definition(item, field)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if field != "States" and key not in WORDS:
            yield f"asl:field:{key.removesuffix('.$')}"
        if key == "Resource":
            yield f"asl:resource:{value.removeprefix('arn:aws:states:::')}"
        elif key == "Type":
            yield f"asl:type:{value}"
        elif key == "ErrorEquals":
            # Without a dot it is an exception of the functions, which the drift test looks after.
            yield from (f"asl:error:{error}" for error in value if "." in error)
        elif key in {"Mode", "ExecutionType", "QueryLanguage", "JitterStrategy"}:
            yield f"asl:{key}:{value}"
        elif key == "Assign":
            continue  # the names of variables are the project's own
        elif key == "Arguments":
            yield from (f"asl:argument:{_service(node)}:{name}" for name in value)
        if key not in {"Arguments", "Parameters", "ItemSelector", "BatchInput", "Output"}:
            yield from _definition(value, key)


def _service(task: dict[str, Any]) -> str:
    return str(task["Resource"].removeprefix("arn:aws:states:::"))


# --- Template ---


def _template() -> Iterator[tuple[str, str]]:
    template: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    resources = template["Resources"].values()
    common = template["Globals"]["Function"]
    for resource in resources:
        kind, properties = resource["Type"], resource["Properties"]
        yield f"template:{kind}", "template.yaml"
        if kind == "AWS::Serverless::Function":
            properties = common | properties
        for name in sorted(set(properties) - WORDS):
            yield f"template:{kind}.{name}", "template.yaml"
        if kind == "AWS::CloudWatch::Alarm":
            space = properties["Namespace"]
            space = space if isinstance(space, str) else "stack"
            yield f"metric:{space}/{properties['MetricName']}", "template.yaml"
        for pattern in [properties["EventPattern"]] if "EventPattern" in properties else []:
            yield f"event:{pattern['source'][0]}/{pattern['detail-type'][0]}", "template.yaml"
            operators = re.findall(r'"(prefix|suffix|anything-but|exists|wildcard|\$or)":', json.dumps(pattern))
            yield from ((f"event:operator:{name}", "template.yaml") for name in operators)
        for target in properties.get("Targets", []):
            yield from ((f"event:target:{name}", "template.yaml") for name in target)
        yield from ((name, "template.yaml") for name in _statements(properties))
    for name in common["Environment"]["Variables"]:
        yield f"env:{name}", "template.yaml"


def _statements(node: Any) -> Iterator[str]:
    """Walk all policies for the actions that are allowed, to whom, and under which conditions."""
    if isinstance(node, list):
        for item in node:
            yield from _statements(item)
    if not isinstance(node, dict):
        return
    if "Effect" in node:
        actions = node["Action"] if isinstance(node["Action"], list) else [node["Action"]]
        yield from (f"iam:{node['Effect'].lower()}:{action}" for action in actions)
        principal = node.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        for service in services if isinstance(services, list) else [services]:
            yield f"iam:principal:{service}"
        for operator, condition in node.get("Condition", {}).items():
            yield from (f"iam:condition:{operator}:{key}" for key in condition)
        return
    for value in node.values():
        yield from _statements(value)


# --- Programs ---


def _programs() -> Iterator[tuple[str, str]]:
    paths = [path for folder in PROGRAMS for path in sorted((ROOT / folder).rglob("*.py"))]
    services = services_of(paths)
    for path in paths:
        place = str(path.relative_to(ROOT))
        yield from ((f"call:{call.service}.{call.operation}", place) for call, _ in calls_of(path, services))
        yield from ((f"error:{code}", place) for node in ast.walk(ast.parse(path.read_text())) for code in _codes(node))


# An AWS error code is compared under one of these names, or is in a set that is called after them.
CODE = re.compile(r"\bcode\b|_code\(|\['Code'\]|\.get\('Code'|\bstatus\(", re.IGNORECASE)
CODE_SETS = re.compile(r"_CODES$|^DENIED$|^BUSY_STATUSES$")


def _codes(node: ast.AST) -> Iterator[str]:
    """Yield the codes of AWS's errors that an expression tells apart."""
    holders: list[ast.AST] = []
    if isinstance(node, ast.Compare) and CODE.search(ast.unparse(node.left)):
        holders = list(node.comparators)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("code.startswith"):
        holders = list(node.args)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "none_if_missing":
        holders = list(node.args[1:])
    elif isinstance(node, ast.Assign) and CODE_SETS.search(ast.unparse(node.targets[0])):
        holders = [node.value]
    elif isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith(".exceptions"):
        yield node.attr.removesuffix("Exception")
    for constant in (c for holder in holders for c in ast.walk(holder)):
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
            yield constant.value


def _role() -> Iterator[tuple[str, str]]:
    """Yield what SageMaker's role may do, from the policies that training/endpoint/role.py makes."""
    place = "training/endpoint/role.py"
    for node in ast.walk(ast.parse((ROOT / place).read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"(?!aws:)[a-z0-9]+:[A-Z]\w+", node.value):
                yield f"iam:allow:{node.value}", place
            if re.fullmatch(r"\w+\.amazonaws\.com", node.value):
                yield f"iam:principal:{node.value}", place


# --- Environment and commands ---


def _environment() -> Iterator[tuple[str, str]]:
    """Yield the variables that SageMaker's containers, Lambda and the SDKs are asked to know."""
    for path in sorted(path for folder in PROGRAMS for path in (ROOT / folder).rglob("*.py")):
        names = re.findall(r'"((?:SM|SAGEMAKER|AWS|OMP)_[A-Z_]+)"', path.read_text())
        yield from ((f"env:{name}", str(path.relative_to(ROOT))) for name in names)


def _commands() -> Iterator[tuple[str, str]]:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        if path.name == "parity.md":
            continue
        for command in re.findall(r"\bsam ((?:local|remote) invoke|[a-z]+)\b", path.read_text()):
            if command in {"build", "deploy", "logs", "delete", "local invoke", "remote invoke"}:
                yield f"sam:{command}", path.name
