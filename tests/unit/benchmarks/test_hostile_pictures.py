"""What the function and the endpoint's program do with every hostile picture, each on its own.

What it costs them, and what the deployed workflow does, is in
tests/integration/test_hostile_pictures.py; there too is what takes seconds to decode.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.hostile_pictures import apart
from benchmarks.hostile_pictures.corpus import (
    MAX_BYTES,
    OUTCOMES,
    Case,
    cases,
    of_the_endpoint,
    of_the_function,
)
from benchmarks.hostile_pictures.files import encode, scene
from functions.image_classification import app as image_classification
from functions.serialize_image_data import app
from training.container.picture_model import inference, network

NAMED = (app.NotAPictureError, app.PictureTooLargeError, app.AnimatedPictureError)


def is_quick(case: Case) -> bool:
    """Tell whether a picture is decoded, or refused undecoded, in a few hundredths of a second."""
    try:
        header = app.read_header(case.body, "it")
        app.check_header(header, "it")
    except NAMED:
        return True
    return header.width * header.height < 5_000_000 and len(case.body) < 1024 * 1024


def test_the_limits_are_the_same_wherever_a_picture_is_looked_at():
    assert (app.MAX_PIXELS, app.MAX_SCANS) == (network.MAX_PIXELS, network.MAX_SCANS)
    assert app.MAX_PICTURE_BYTES == inference.MAX_PICTURE_BYTES == MAX_BYTES
    assert app.MAX_PICTURE_BYTES == image_classification.MAX_PICTURE_BYTES


def test_every_case_has_a_name_and_a_key_of_its_own_and_every_outcome_has_cases():
    assert len({case.name for case in cases()}) == len({case.key for case in cases()})
    assert len(cases()) == len({case.key for case in cases()}) > 250
    assert all(case.key.startswith("inbox/") for case in cases())
    assert max(len(case.key.encode()) for case in cases()) == 1024
    outcomes = Counter(case.outcome for case in cases())
    assert set(outcomes) == set(OUTCOMES)
    assert min(outcomes.values()) > 5


def test_the_function_ends_every_case_as_stated(tmp_path):
    work = apart.function(str(tmp_path))
    ended = {case.name: work(case.key, case.body) for case in cases()}
    assert ended == {case.name: of_the_function(case) for case in cases()}


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[apart.Work]:
    threads = torch.get_num_threads()
    yield apart.endpoint(str(tmp_path))
    torch.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of broken EXIF data, which it ignores
def test_the_endpoint_holds_the_line_on_its_own(endpoint):
    quick = [case for case in cases() if is_quick(case)]
    assert len(quick) > 0.9 * len(cases())
    ended = {case.name: endpoint(case.key, case.body) for case in quick}
    assert {c.name: ended[c.name] for c in quick if ended[c.name] not in of_the_endpoint(c)} == {}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_gate_ends_flipped_bytes_with_a_name_and_lets_nothing_large_through(kind):
    whole = encode(scene(), kind)
    generator = np.random.default_rng(0)
    seen: Counter[str] = Counter()
    for _ in range(3000):
        damaged = bytearray(whole)
        for place in generator.integers(2, min(len(whole), 300), 3):
            damaged[place] = generator.integers(256)
        try:
            header = app.read_header(bytes(damaged), "it")
            app.check_header(header, "it")
        except NAMED as error:
            seen[type(error).__name__] += 1
        else:
            seen["passed"] += 1
            assert 0 < header.width * header.height <= app.MAX_PIXELS
    assert seen["passed"] > 100
    assert seen["NotAPictureError"] > 100
