import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jsonata.parser import Parser  # type: ignore[import-untyped]  # has no types
from ministack.services import stepfunctions as sfn

from common.settings import ROOT
from local.ministack import jsonata_parsing

WORDS = "$merge([$states.input, {'upper': $uppercase($states.input.word), 'n': [1..3]}])"


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
    assert all(a["n"] == [1, 2, 3] for a in answers)
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


def expressions(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("{%"):
        yield value.removeprefix("{%").removesuffix("%}").strip()
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from expressions(part)


@pytest.mark.parametrize("machine", ["MyStateMachine", "MyBatchStateMachine"])
def test_deployed_expressions_have_the_same_results_with_and_without_the_patch(install_for_test, machine):
    definition = json.loads((ROOT / f"statemachine/{machine}.asl.json").read_text())
    given = {
        "s3_bucket": "b",
        "s3_key": 'a"\n',
        "label": "x",
        "confidence": 0.5,
        "threshold": 0.9,
        "accepted": False,
        "error": {"Error": "E", "Cause": "C"},
        "pictures": [{"s3_key": "a", "outcome": "accepted", "label": "x"}],
        "batch": "arn",
    }
    now = {"Id": "arn:me", "EnteredTime": "2026-01-01T00:00:00Z"}
    result = {"Status": "FAILED", "Error": "E", "Cause": "C", "Payload": given, "Items": []}

    def answer(text: str) -> str:
        context = {"Execution": now, "State": now}
        try:
            return repr(sfn._evaluate_jsonata(text, given, context, result, given["error"]))
        except sfn._ExecutionError as error:
            return repr((error.error, error.cause))

    texts = sorted(set(expressions(definition)))
    without = [answer(text) for text in texts]
    install_for_test(jsonata_parsing.patches)
    assert len(texts) > 10
    for _ in range(2):
        assert [answer(text) for text in texts] == without
    assert sum("QueryEvaluationError" in each for each in without) < len(texts) / 2
