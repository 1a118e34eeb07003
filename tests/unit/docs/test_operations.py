"""docs/operations.md has a section for each alarm, and its links and commands lead somewhere."""

import re
import shlex
from typing import Any

import pytest
from botocore import xform_name

from common.settings import ROOT
from tests.unit.aws_stubs import SHARED
from tests.unit.docs.test_readme import COMMANDS
from tests.unit.template.test_alarms import ALARMS

PAGE = (ROOT / "docs/operations.md").read_text()
CHAPTERS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SECTIONS = {
    chapter: dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL))
    for chapter, text in CHAPTERS.items()
}
AWS_COMMANDS = sorted({command for command in COMMANDS if command.startswith("aws ")})


def anchor(heading: str) -> str:
    """Return what GitHub makes of a heading."""
    return "#" + re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_each_alarm_has_its_section_and_each_section_its_alarm():
    assert list(SECTIONS) == ["Alarms", "Procedures"]
    assert sorted(SECTIONS["Alarms"]) == sorted(ALARMS)


@pytest.mark.parametrize("name", ALARMS)
def test_a_section_says_what_to_do_and_where_the_edge_is(name):
    section, alarm = SECTIONS["Alarms"][name], ALARMS[name]
    if section.startswith("\nAs "):  # its neighbour's
        section += SECTIONS["Alarms"][section.split()[1].rstrip(",")]
    assert re.search(r"\]\(#[\w-]+\)|`(?:python|sam|aws) ", section), "nothing to do"
    edges = {"Average": "half", "Maximum": "day", "p90": f"{alarm['Threshold'] / 1e6:g} s"}
    edge = edges.get(alarm.get("Statistic", "p90"), str(alarm["Threshold"]))
    if alarm["Threshold"] != 1:  # whatever there is
        assert edge in section


def test_every_procedure_is_led_to():
    links = set(re.findall(r"\]\((#[\w-]+)\)", PAGE))
    assert links == {anchor(heading) for heading in SECTIONS["Procedures"]}


def test_every_link_leads_to_a_file():
    for path in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / path).exists(), path


@pytest.mark.parametrize("command", AWS_COMMANDS)
def test_an_aws_command_is_one(command):
    """AWS makes its command line from the model that botocore has."""
    _, service, operation, *rest = shlex.split(command)
    client: Any = SHARED.client("s3" if service == "s3api" else service)
    model = client.meta.service_model
    [name] = [n for n in model.operation_names if xform_name(n, "-") == operation]
    shape = model.operation_model(name).input_shape
    options = {xform_name(member, "-"): member for member in shape.members}
    given = {word.removeprefix("--") for word in rest if word.startswith("--")}
    assert given <= set(options)
    assert set(shape.required_members) <= {options[option] for option in given}


def test_there_are_aws_commands_to_look_at():
    assert len(AWS_COMMANDS) > 5
