"""The parity ledger is complete: every behaviour of AWS is proved, or says why it is not."""

from pathlib import Path

import pytest

from tests.parity import behaviours, sources
from tests.parity.behaviours import Behaviour, BehaviourFileError, read_behaviours
from tests.parity.page import FILE, kinds, render
from tests.parity.proofs import Collected, Proof, collect, kind_of

BEHAVIOURS = read_behaviours()
IDS = {behaviour.id for behaviour in BEHAVIOURS}
MAKE = "run `python -m tests.parity`"


@pytest.fixture(scope="module")
def collected() -> Collected:
    """The markers of all tests, collected without running any."""
    return collect()


# --- The ledger ---


def test_page_is_current(collected):
    assert FILE.read_text() == render(BEHAVIOURS, collected.proofs), f"docs/parity.md is old: {MAKE}"


def test_markers_name_existing_behaviours(collected):
    wrong = {(p.file, p.test, p.behaviour) for p in collected.proofs if p.behaviour not in IDS}
    assert not wrong


def test_every_behaviour_has_a_test_or_a_reason(collected):
    proofs = collected.proofs
    unproved = [b.id for b in BEHAVIOURS if not kinds(b, [p for p in proofs if p.behaviour == b.id])]
    assert not unproved


def test_every_test_of_a_difference_has_a_behaviour(collected):
    marked = {proof.test for proof in collected.proofs if proof.kind == "gap"}
    # Two that are about MiniStack itself and not about AWS.
    own = {
        "test_gaps_are_those_of_the_pinned_version",
        "test_its_own_server_listens_on_every_interface",
    }
    assert collected.gap_tests - marked == own


def test_everything_that_the_project_uses_of_aws_has_a_behaviour():
    asked = sources.needs()
    covered = {name for behaviour in BEHAVIOURS for name in behaviour.covers}
    assert not {name: place for name, place in asked.items() if name not in covered}
    assert not covered - set(asked), "nothing asks for these any more"


def test_every_documented_difference_of_the_laptop_has_a_behaviour():
    gaps = sources.gaps_of_the_laptop()
    words = {(b.id, words) for b in BEHAVIOURS for words in b.laptop_differs}
    assert len(gaps) > 10
    assert not [gap for gap in gaps if not any(phrase in gap for _, phrase in words)]
    assert not {(i, phrase) for i, phrase in words if not any(phrase in gap for gap in gaps)}


# --- How it is made ---


def entry(**fields: str) -> str:
    given = {"id": "x", "service": "S3", "aws": "does", "here": "needs"} | fields
    lines = "\n".join(f'{name} = "{value}"' for name, value in given.items())
    return f"[[behaviour]]\n{lines}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (entry(aws=""), "x lacks aws"),
        (entry(proved="yes"), "x has the unknown fields proved"),
        (entry(only_on_aws="no quotas here"), "x needs both only_on_aws and check"),
        (entry(check="look"), "x needs both only_on_aws and check"),
        (entry() + entry(), "x: given twice"),
        (entry() + entry(id="y", service="SQS") + entry(id="z"), "must stand together"),
    ],
)
def test_broken_behaviour_file_raises(monkeypatch, tmp_path, text, says):
    file = tmp_path / "behaviours.toml"
    file.write_text(text)
    monkeypatch.setattr(behaviours, "FILE", file)
    with pytest.raises(BehaviourFileError, match=says):
        read_behaviours()


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("tests/integration/test_workflow.py", "laptop"),
        ("tests/integration/test_ministack_gaps.py", "gap"),
        ("tests/container/test_sam_local_invoke.py", "container"),
        ("tests/unit/template/test_consistency.py", "template"),
        ("tests/unit/training/endpoint/test_role.py", "unit"),
    ],
)
def test_kind_of_proof_follows_from_the_tests_folder(file, kind):
    assert kind_of(Path(file)) == kind


def test_test_of_a_difference_proves_nothing():
    gap = Proof("gap", "tests/integration/test_ministack_gaps.py", "test_gap", "x")
    assert kinds(Behaviour("x", "S3", "does", "needs"), [gap]) == []
    remaining = Behaviour("x", "S3", "does", "needs", only_on_aws="why", check="how")
    assert kinds(remaining, [gap]) == ["only on AWS"]


def test_page_separates_checks_on_aws_differences_and_proofs():
    proof = Proof("laptop", "tests/integration/test_workflow.py", "test_it_does", "x")
    gap = Proof("gap", "tests/integration/test_ministack_gaps.py", "test_gap", "y")
    page = render(
        [
            Behaviour("w", "S3", "Does it; much more.", "Needs it.", only_on_aws="No key here.", check="`aws s3 ls`"),
            Behaviour("x", "S3", "Does that.", "Needs it."),
            Behaviour("y", "SQS", "Does this.", "Needs it."),
        ],
        [proof, gap],
    )
    on_aws, rest = page.split("## Where the laptop's AWS differs")
    differs, proved = rest.split("## Proved here")
    assert "- Does it. **Check:** `aws s3 ls`" in on_aws
    assert "- Does this." in differs
    assert "### S3\n\n- Does that. (L)" in proved


def test_page_is_at_most_30_kilobytes():
    assert len(FILE.read_bytes()) <= 30_000
