"""docs/parity.md, rendered from the behaviours and from the markers of the tests."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from tests.parity.behaviours import Behaviour
from tests.parity.proofs import Proof

FILE = Path(__file__).parents[2] / "docs/parity.md"

INTRODUCTION = Path(__file__).with_name("introduction.md").read_text()
LETTERS = {"laptop": "L", "container": "C", "template": "T", "unit": "U"}


def render(behaviours: list[Behaviour], proofs: Iterable[Proof]) -> str:
    """Return the page: what only AWS can show, where the emulation differs, and the rest by service."""
    by_behaviour: dict[str, list[Proof]] = {}
    for proof in proofs:
        by_behaviour.setdefault(proof.behaviour, []).append(proof)
    differs = {name for name, found in by_behaviour.items() if any(proof.kind == "gap" for proof in found)}

    def line(entry: Behaviour) -> str:
        letters = "".join(LETTERS[kind] for kind in kinds(entry, by_behaviour.get(entry.id, ())) if kind in LETTERS)
        return f"- {_summary(entry.aws)}{f' ({letters})' if letters else ''}"

    on_aws = [entry for entry in behaviours if entry.only_on_aws]
    elsewhere = [
        entry for entry in behaviours if not entry.only_on_aws and (entry.laptop_differs or entry.id in differs)
    ]
    proved = [entry for entry in behaviours if entry not in on_aws and entry not in elsewhere]
    parts = [INTRODUCTION, f"## What only AWS can show ({len(on_aws)} of {len(behaviours)}), and how to check it\n"]
    parts += [f"{line(entry)} **Check:** {entry.check}" for entry in on_aws]
    parts += [
        "\n## Where the laptop's AWS differs\n",
        "Tests and [laptop-aws.md](laptop-aws.md) hold each difference.\n",
    ]
    parts += [line(entry) for entry in elsewhere]
    parts += ["\n## Proved here"]
    for service, entries in groupby(proved, key=lambda entry: entry.service):
        parts += [f"\n### {service}\n", *map(line, entries)]
    return "\n".join(parts) + "\n"


def kinds(behaviour: Behaviour, proofs: Iterable[Proof]) -> list[str]:
    """Return where a behaviour is proved; "only on AWS" last, where something remains."""
    found = {proof.kind for proof in proofs} - {"gap"}
    return [kind for kind in LETTERS if kind in found] + (["only on AWS"] if behaviour.only_on_aws else [])


def _summary(sentence: str) -> str:
    """Return the first clause of a behaviour, as a sentence."""
    return sentence.partition(";")[0].rstrip(".") + "."
