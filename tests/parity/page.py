"""docs/parity.md, made from the behaviours and from what the tests prove of them."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from tests.parity.behaviours import Behaviour
from tests.parity.proofs import Proof

FILE = Path(__file__).parents[2] / "docs/parity.md"

INTRODUCTION = Path(__file__).with_name("introduction.md").read_text()


def render(behaviours: list[Behaviour], proofs: Iterable[Proof]) -> str:
    """Return the page."""
    by_behaviour: dict[str, list[Proof]] = {}
    for proof in sorted(proofs):
        by_behaviour.setdefault(proof.behaviour, []).append(proof)
    sections = [INTRODUCTION, _figures(behaviours, by_behaviour)]
    for service, entries in groupby(behaviours, key=lambda entry: entry.service):
        sections.append(f"## {service}\n\n" + _table(list(entries), by_behaviour))
    sections += [_only_on_aws(behaviours, by_behaviour), _gaps(behaviours, by_behaviour)]
    return "\n".join(sections)


def kinds(behaviour: Behaviour, proofs: Iterable[Proof]) -> list[str]:
    """Return where a behaviour is proved; "only on AWS" last, where something remains."""
    found = {proof.kind for proof in proofs} - {"gap"}
    here = [kind for kind in ("laptop", "container", "template", "unit") if kind in found]
    return here + (["only on AWS"] if behaviour.only_on_aws else [])


def _figures(behaviours: list[Behaviour], proofs: dict[str, list[Proof]]) -> str:
    found = {entry.id: kinds(entry, proofs.get(entry.id, ())) for entry in behaviours}
    counts = Counter(kind for where in found.values() for kind in where)
    rows = [f"| {kind} | {counts[kind]} |" for kind in ("laptop", "container", "template", "unit")]
    alone = sum(where == ["only on AWS"] for where in found.values())
    return "\n".join(
        [
            f"{len(behaviours)} behaviours, some of them proved in several ways:",
            "",
            "| proved | behaviours |",
            "|---|---|",
            *rows,
            f"| partly here, the rest only on AWS | {counts['only on AWS'] - alone} |",
            f"| nothing of it here, only on AWS | {alone} |",
            "",
        ]
    )


def _table(entries: list[Behaviour], proofs: dict[str, list[Proof]]) -> str:
    lines = ["| behaviour of AWS | what depends on it here | proved | by |", "|---|---|---|---|"]
    for entry in entries:
        own = proofs.get(entry.id, [])
        sentence = f'<a id="{entry.id}"></a>{_cell(entry.aws)}'
        if entry.source:
            sentence += f" ([source]({entry.source}))"
        where = ", ".join(
            f"[only on AWS](#{entry.id}-on-aws)" if kind == "only on AWS" else kind for kind in kinds(entry, own)
        )
        lines.append(f"| {sentence} | {_cell(entry.here)} | {where} | {_tests(own)} |")
    return "\n".join(lines) + "\n"


def _tests(proofs: list[Proof]) -> str:
    """Return the tests of a behaviour, by file; those of the gaps stand elsewhere."""
    files = groupby((proof for proof in proofs if proof.kind != "gap"), key=lambda p: p.file)
    return "<br>".join(
        f"[{Path(file).stem}](../{file}): " + ", ".join(_words(proof) for proof in tests) for file, tests in files
    )


def _words(proof: Proof) -> str:
    return proof.test.removeprefix("test_").replace("_", " ")


def _only_on_aws(behaviours: list[Behaviour], proofs: dict[str, list[Proof]]) -> str:
    lines = [
        "## Only on AWS",
        "",
        "| behaviour | why not here | how to see it on AWS |",
        "|---|---|---|",
    ]
    for entry in behaviours:
        if entry.only_on_aws:
            here = kinds(entry, proofs.get(entry.id, ()))[:-1]
            rest = f" (the rest: {', '.join(here)})" if here else ""
            name = f'<a id="{entry.id}-on-aws"></a>[{entry.id}](#{entry.id}){rest}'
            lines.append(f"| {name} | {_cell(entry.only_on_aws)} | {_cell(entry.check)} |")
    return "\n".join(lines) + "\n"


def _gaps(behaviours: list[Behaviour], proofs: dict[str, list[Proof]]) -> str:
    lines = [
        "## Where the laptop differs",
        "",
        "Each test passes while MiniStack differs from AWS, and fails when an upgrade closes the"
        " gap. What the project puts in front of MiniStack for it, and what it does without, is in"
        " [laptop-aws.md](laptop-aws.md).",
        "",
        "| behaviour | held by |",
        "|---|---|",
    ]
    for entry in behaviours:
        gaps = [proof for proof in proofs.get(entry.id, ()) if proof.kind == "gap"]
        if gaps or entry.laptop_differs:
            tests = ", ".join(_words(proof) for proof in gaps)
            lines.append(f"| [{entry.id}](#{entry.id}) | {tests or 'laptop-aws.md alone'} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return a text as it may stand in a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")
