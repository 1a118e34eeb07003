"""Which test proves which behaviour: read off the markers of the tests, which are not run."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ("tests/unit", "tests/integration", "tests/container")
# Of the unit tests, those that look at the template and at the state machines' definitions.
GAPS = "test_ministack_gaps.py"


class CollectionError(Exception):
    """pytest could not collect the tests."""


@dataclass(frozen=True, order=True)
class Proof:
    """A test and what it proves.

    Attributes:
        kind: "laptop", "container", "template", "unit", or "gap" for a test that only shows that
            the laptop differs from AWS: such a test proves nothing of AWS.
        file: of the test, from the repository's root.
        test: name of its function.
        behaviour: id of what it proves.
    """

    kind: str
    file: str
    test: str
    behaviour: str


@dataclass(frozen=True)
class Collected:
    """What the tests say: the proofs, and every test of the gaps with or without a behaviour."""

    proofs: list[Proof]
    gap_tests: set[str]


class _Items:
    """A plugin of pytest's that keeps what was collected."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = list(session.items)


def collect() -> Collected:
    """Have pytest collect all tests, and read their markers.

    Raises:
        CollectionError: a test module could not be imported.
    """
    plugin = _Items()
    options = ["--collect-only", "-qq", "-s", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        ended = pytest.main([*options, *(str(ROOT / folder) for folder in TESTS)], [plugin])
    if ended != pytest.ExitCode.OK:
        raise CollectionError(f"pytest --collect-only ended with {ended!r}:\n{said.getvalue()}")
    found = {proof for item in plugin.items for proof in _proofs(item)}
    gaps = {_function(item) for item in plugin.items if item.path.name == GAPS}
    return Collected(sorted(found), gaps)


def _proofs(item: pytest.Item) -> Iterator[Proof]:
    file = item.path.relative_to(ROOT)
    of_function = getattr(getattr(item, "obj", None), "pytestmark", ())
    for marker in item.iter_markers("parity"):
        # A marker of one case only (pytest.param) is proved by that case.
        whole = marker in of_function or marker not in item.own_markers
        for behaviour in marker.args:
            name = _function(item) if whole else item.name
            yield Proof(kind_of(file), str(file), name, behaviour)


def _function(item: pytest.Item) -> str:
    return item.name.partition("[")[0]


def kind_of(file: Path) -> str:
    """Return what a test in this file proves something by."""
    if file.name == GAPS:
        return "gap"
    if file.parts[1:3] == ("unit", "template"):
        return "template"
    return {"integration": "laptop", "container": "container", "unit": "unit"}[file.parts[1]]
