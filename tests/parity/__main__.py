"""Write docs/parity.md: `python -m tests.parity`. No test is run."""

import argparse
import sys

from tests.parity.behaviours import BehaviourFileError, read_behaviours
from tests.parity.page import FILE, kinds, render
from tests.parity.proofs import CollectionError, collect


def main(argv: list[str] | None = None) -> int:
    """Write the page; return 0, or 1 where the file of behaviours or a test is broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.parity",
        description="Write docs/parity.md from tests/parity/behaviours.toml and from the tests.",
    )
    parser.parse_args(argv)
    try:
        behaviours, collected = read_behaviours(), collect()
    except (BehaviourFileError, CollectionError) as error:
        print(f"parity: {error}", file=sys.stderr)
        return 1
    FILE.write_text(render(behaviours, collected.proofs))
    proved = {proof.behaviour for proof in collected.proofs if proof.kind != "gap"}
    alone = [b.id for b in behaviours if kinds(b, ()) and b.id not in proved]
    print(f"Wrote {FILE}: {len(behaviours)} behaviours, {len(alone)} proved on AWS only")
    return 0


if __name__ == "__main__":
    sys.exit(main())
