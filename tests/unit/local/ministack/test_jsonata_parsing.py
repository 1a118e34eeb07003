from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jsonata.parser import Parser  # type: ignore[import-untyped]  # has no types
from ministack.services import stepfunctions as sfn

from local.ministack import jsonata_parsing

WORDS = """(
    $double := function($n) { $n * 2 };
    $merge([$states.input, {'upper': $uppercase($states.input.word), 'n': $map([1..3], $double)}])
)"""


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that reach MiniStack's parser."""
    original = Parser.parse
    texts: list[str] = []

    def parse(self: Parser, text: str, *engine: Any) -> Any:
        texts.append(text)
        return original(self, text, *engine)

    monkeypatch.setattr(Parser, "parse", jsonata_parsing.cached(parse))
    return texts


def evaluate(expression: str, given: Any) -> Any:
    return sfn._evaluate_jsonata(expression, given)


def test_expression_evaluated_in_parallel_is_parsed_once_and_has_own_results(parsed):
    def answer(number: int) -> Any:
        return evaluate(WORDS, {"word": f"a{number}"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(answer, range(200)))
    assert [a["upper"] for a in answers] == [f"A{number}" for number in range(200)]
    assert all(a["n"] == [2, 4, 6] for a in answers)
    assert 1 <= parsed.count(WORDS) <= 8  # each thread may start before the first parse ends
    before = parsed.count(WORDS)
    answer(0)
    assert parsed.count(WORDS) == before


def test_invalid_expression_fails_each_time(parsed):
    for _ in range(2):
        with pytest.raises(sfn._ExecutionError) as failed:
            evaluate("$merge([", {})
        assert failed.value.error == "States.QueryEvaluationError"


def test_evaluation_after_a_failed_one_succeeds(parsed):
    for _ in range(2):
        with pytest.raises(sfn._ExecutionError):
            evaluate("$number($states.input)", "x")
        assert evaluate("$number($states.input)", "7") == 7
