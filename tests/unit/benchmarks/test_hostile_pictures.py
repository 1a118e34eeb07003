"""The outcome of every hostile picture in the function's handler and in the endpoint's program.

tests/integration/test_hostile_pictures.py has the deployed workflow, the costs, and what takes seconds to decode.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.hostile_pictures import corpus, isolation
from benchmarks.hostile_pictures.corpus import Case, cases, endpoint_outcomes, function_outcome
from functions.image_classification import app as image_classification
from functions.serialize_image_data import app
from training.container.picture_model import inference, network

NAMED_ERRORS = (app.NotAPictureError, app.PictureTooLargeError, app.AnimatedPictureError)


def is_quick(case: Case) -> bool:
    """Return whether the endpoint decodes or refuses the picture in a few hundredths of a second."""
    try:
        header = app.read_header(case.body, "it")
        app.check_header(header, "it")
    except NAMED_ERRORS:
        return True
    return header.width * header.height < 5_000_000 and len(case.body) < 1024 * 1024


def test_limits_of_functions_endpoint_and_corpus_are_equal():
    assert (app.MAX_PIXELS, app.MAX_SCANS) == (network.MAX_PIXELS, network.MAX_SCANS)
    assert app.MAX_PICTURE_BYTES == inference.MAX_PICTURE_BYTES == corpus.MAX_BYTES
    assert app.MAX_PICTURE_BYTES == image_classification.MAX_PICTURE_BYTES


def test_cases_have_unique_names_and_keys_and_cover_every_outcome():
    keys = {case.key for case in cases()}
    assert len({case.name for case in cases()}) == len(cases()) == len(keys) > 250
    assert all(key.startswith("inbox/") for key in keys)
    assert max(len(key.encode()) for key in keys) == 1024
    outcomes = Counter(case.outcome for case in cases())
    assert set(outcomes) == set(corpus.ENDPOINT_STATUSES)
    assert min(outcomes.values()) > 5


def test_function_ends_every_case_as_stated(tmp_path):
    handle = isolation.function(str(tmp_path))
    ended = {case.name: handle(case.key, case.body) for case in cases()}
    assert ended == {case.name: function_outcome(case) for case in cases()}


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[isolation.Handler]:
    threads = torch.get_num_threads()
    yield isolation.endpoint(str(tmp_path))
    torch.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of broken EXIF data, which it ignores
def test_endpoint_without_function_ends_quick_cases_as_stated(endpoint):
    quick = [case for case in cases() if is_quick(case)]
    assert len(quick) > 0.9 * len(cases())
    ended = {case.name: endpoint(case.key, case.body) for case in quick}
    assert {c.name: ended[c.name] for c in quick if ended[c.name] not in endpoint_outcomes(c)} == {}


@pytest.mark.parametrize("body", [corpus.PNG, corpus.JPEG], ids=["png", "jpeg"])
def test_header_check_of_changed_bytes_raises_named_errors_and_passes_nothing_large(body):
    generator = np.random.default_rng(0)
    seen: Counter[str] = Counter()
    for _ in range(3000):
        damaged = bytearray(body)
        for index in generator.integers(2, min(len(body), 300), 3):
            damaged[index] = generator.integers(256)
        try:
            header = app.read_header(bytes(damaged), "it")
            app.check_header(header, "it")
        except NAMED_ERRORS as error:
            seen[type(error).__name__] += 1
        else:
            seen["passed"] += 1
            assert 0 < header.width * header.height <= app.MAX_PIXELS
    assert seen["passed"] > 100
    assert seen["NotAPictureError"] > 100
