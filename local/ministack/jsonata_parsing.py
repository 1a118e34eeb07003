"""JSONata expressions that are parsed once.

MiniStack 1.5.33 parses each expression again for each evaluation: 23 times for one picture of a
batch, 3 ms, a sixth of all that its process computes for it. A parsed expression is never
changed by evaluating it, so all evaluations of the same text may share it.
"""

import functools
from typing import Any

from jsonata.parser import Parser  # type: ignore[import-untyped]  # has no types

from local.ministack.ministack_source import check_source

_MOST_EXPRESSIONS = 1024  # those of a few definitions; a deployed stack has about 150


def install() -> None:
    """Change the parser of JSONata in this process; call once, at first.

    Raises:
        MiniStackChangedError: when the package has changed.
    """
    original = Parser.parse
    check_source(original, "6133c00f", "local/ministack/jsonata_parsing.py")

    @functools.lru_cache(_MOST_EXPRESSIONS)
    def parse_once(text: str, *engine: Any) -> Any:
        return original(Parser(), text, *engine)

    def parse(_self: Parser, text: str, *engine: Any) -> Any:
        return parse_once(text, *engine)

    Parser.parse = parse
