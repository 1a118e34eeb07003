"""A command in the README or in docs/ is one that a test or the gate runs."""

import re

import pytest

from common.settings import ROOT
from tests.unit.template.test_consistency import STATES

README = (ROOT / "README.md").read_text()
PAGES = README + "".join(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")))
COMMANDS = [
    command.strip()
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", PAGES, re.DOTALL)
    for line in block.replace("\\\n", "").splitlines()
    for command in re.split(r"&&|\|", line.split("#")[0])
    if command.strip()
]

# What runs each command, by the words that it begins with: a file, and what stands in it.
RUN_BY = {
    "make demo DATA=": (".ci/run", "make demo DATA="),
    "make demo KEEP=1": ("tests/unit/demo/test_demo.py", '"--keep"'),
    "make demo": (".ci/run", "make demo"),
    "make test": (".ci/run", "make test"),
    "make soak": (".ci/run", "make soak"),
    ". .venv/bin/activate": ("README.md", "python -m"),  # what it is for; the gate calls .venv/bin
    "export AWS_DEFAULT_REGION": ("local/address.py", '"AWS_DEFAULT_REGION"'),
    'eval "$(python -m local env)"': ("tests/container/conftest.py", '"env"'),
    "python -m local docker": ("tests/container/conftest.py", '"docker", "start"'),
    "python -m local start": ("tests/integration/laptop_aws.py", '"start"'),
    "python -m local stop": ("tests/integration/laptop_aws.py", '"stop"'),
    "python -m local status": ("tests/integration/test_laptop_aws_server.py", '"status"'),
    "curl": ("tests/integration/test_laptop_aws_endpoints.py", "_local/faults"),
    "BUCKET=": ("README.md", "sed"),  # an assignment, used by the next line
    "sed ": ("tests/container/test_sam_local_invoke.py", "sed "),
    "python -m training.stage_data": ("demo/__main__.py", '"training.stage_data"'),
    "python -m training.create_endpoint": ("demo/__main__.py", '"training.create_endpoint"'),
    "python -m operations.send_pictures": ("demo/__main__.py", '"operations.send_pictures"'),
    "python -m training.evaluate": ("demo/__main__.py", '"training.evaluate"'),
    "python -m operations.monitor": ("demo/__main__.py", '"operations.monitor"'),
    "python -m operations.review": ("tests/integration/test_review.py", '"operations.review"'),
    "python -m training.cleanup": ("demo/__main__.py", '"training.cleanup"'),
    "python -m operations.restart_failed": (
        "tests/integration/test_restart_failed.py",
        '"operations.restart_failed"',
    ),
    "python -m operations.draw_workflow": (
        "tests/integration/test_draw_execution.py",
        "operations.draw_workflow",
    ),
    "aws ": ("tests/unit/docs/test_operations.py", "def test_an_aws_command_is_one"),
    "sam validate": ("Makefile", "sam validate"),
    "sam build": ("demo/session.py", '"sam", "build"'),
    "sam deploy": ("demo/session.py", '"sam", "deploy"'),
    "sam delete": ("demo/__main__.py", '"sam", "delete"'),
    "sam list": ("tests/integration/test_workflow.py", '"list", "stack-outputs"'),
    "sam logs": ("tests/integration/test_workflow.py", '"logs"'),
    "sam remote invoke": ("tests/integration/test_workflow.py", '"remote", "invoke"'),
    "sam local invoke": ("tests/container/test_sam_local_invoke.py", "sam local invoke"),
}


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_every_command_is_run_somewhere(command):
    runs = [run for begin, run in RUN_BY.items() if command.startswith(begin)]
    assert runs, "nothing runs it"
    file, words = runs[0]
    assert words in (ROOT / file).read_text()


def test_every_file_that_a_command_names_is_there():
    for path in re.findall(r"(?<![\w/])(?:events|docs|local)/[\w/-]+\.\w+", PAGES):
        assert (ROOT / path).exists(), path


def test_no_placeholder_was_left():
    assert not re.findall(r"^[A-Z_]{4,}$", README, re.MULTILINE)


def test_every_link_leads_somewhere():
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path


def test_the_first_screen_has_the_commands_and_the_drawn_workflow():
    first = README.split("\n## ")[0]
    assert "```sh\nmake demo\nmake test\n```" in first
    # tests/unit/operations/workflow_drawing/test_drawing.py fails when it is not what the state machine gives.
    assert "](docs/workflow.svg)" in first
    picture = (ROOT / "docs/workflow.svg").read_text()
    for state in STATES:
        assert state in picture


def test_every_error_that_an_execution_can_end_with_is_explained():
    raised = set()
    for handler in (ROOT / "functions").glob("*/app.py"):
        raised |= set(re.findall(r"^class (\w+Error)\(", handler.read_text(), re.MULTILINE))
    for definition in (ROOT / "statemachine").glob("*.json"):
        raised |= set(re.findall(r"Error.{2,4}['\"]([A-Z_]{4,})['\"]", definition.read_text()))
        raised |= set(re.findall(r"Error : '([A-Z_]{4,})'", definition.read_text()))
    assert {"THRESHOLD_CONFIDENCE_NOT_MET", "UNKNOWN_OUTCOME", "MAP_RUN_NOT_FOUND"} <= raised
    for error in raised:
        assert f"`{error}`" in README
