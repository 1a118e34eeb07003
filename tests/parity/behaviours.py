"""The behaviours of AWS that the project depends on: behaviours.toml, read and checked."""

import tomllib
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("behaviours.toml")
TEXTS = ("id", "service", "aws", "here")
FIELDS = {*TEXTS, "source", "covers", "laptop_differs", "only_on_aws", "check"}


class BehaviourFileError(Exception):
    """behaviours.toml does not say what a behaviour needs to say."""


@dataclass(frozen=True)
class Behaviour:
    """One thing that AWS does, and that something here would break without.

    Attributes:
        id: its name in `@pytest.mark.parity(...)`.
        service: the heading that it stands under.
        aws: what AWS does, in a sentence.
        here: what in the project depends on it.
        source: address of AWS's documentation, or "".
        covers: the names that tests/parity/sources.py has for what the project asks of AWS.
        laptop_differs: words of docs/laptop-aws.md's table that tell of the difference.
        only_on_aws: why nothing here proves all of it; "" where the tests do.
        check: how a person sees it on AWS; not empty where `only_on_aws` is not.
    """

    id: str
    service: str
    aws: str
    here: str
    source: str = ""
    covers: tuple[str, ...] = ()
    laptop_differs: tuple[str, ...] = ()
    only_on_aws: str = ""
    check: str = ""


def read_behaviours() -> list[Behaviour]:
    """Return all behaviours, in the order of the file.

    Raises:
        BehaviourFileError: a field is missing or unknown, an id is given twice, or a service's
            behaviours do not stand together.
    """
    entries: list[dict[str, Any]] = tomllib.loads(FILE.read_text())["behaviour"]
    for entry in entries:
        name = entry.get("id", entry)
        if missing := [field for field in TEXTS if not str(entry.get(field, "")).strip()]:
            raise BehaviourFileError(f"{name} lacks {', '.join(missing)}")
        if unknown := sorted(set(entry) - FIELDS):
            raise BehaviourFileError(f"{name} has the unknown fields {', '.join(unknown)}")
        if bool(entry.get("only_on_aws")) != bool(entry.get("check")):
            raise BehaviourFileError(f"{name} needs both only_on_aws and check, or neither")
    headings = [service for service, _ in groupby(entry["service"] for entry in entries)]
    if len(headings) != len(set(headings)):
        raise BehaviourFileError(f"a service's behaviours must stand together: {headings}")
    twice = [name for name, count in Counter(e["id"] for e in entries).items() if count > 1]
    if twice:
        raise BehaviourFileError(f"{', '.join(twice)}: given twice")
    return [_behaviour(entry) for entry in entries]


def _behaviour(entry: dict[str, Any]) -> Behaviour:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value.strip() for name, value in entry.items()
    }
    return Behaviour(**fields)
