"""Every hostile picture: what the function and the endpoint's program do with it, and at what cost.

Here each of the two gets every case on its own; tests/integration/test_hostile_pictures.py uploads
them all into the deployed workflow.
"""

from collections import Counter

import inference
import network
import numpy as np
import pytest

from functions.image_classification import app as image_classification
from functions.serialize_image_data import app
from tests.hostile.apart import Told, run
from tests.hostile.corpus import (
    ANIMATED,
    CLASSIFIED,
    EMPTY,
    MAX_BYTES,
    NOT_A_PICTURE,
    REFUSED,
    TOO_LARGE,
    cases,
)
from tests.hostile.files import encode, scene
from tests.unit.test_drift import RESOURCES

MEMORY_MIB = RESOURCES["SerializeImageDataFunction"]["Properties"]["MemorySize"]
# Which statuses of the endpoint go with the outcome of the workflow.
STATUSES = {
    CLASSIFIED: {"200"},
    EMPTY: {"400"},
    NOT_A_PICTURE: {"400", "413", "415"},
    TOO_LARGE: {"413"},
    ANIMATED: {"415"},
    REFUSED: {"400", "415"},
}


@pytest.fixture(scope="module")
def function() -> list[Told]:
    return list(run("function", cases()))


@pytest.fixture(scope="module")
def endpoint() -> list[Told]:
    pictures = {case.body: case for case in cases()}  # it knows no keys
    return list(run("endpoint", pictures.values()))


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
    assert set(outcomes) == set(STATUSES)
    assert {EMPTY, ANIMATED} == {outcome for outcome, count in outcomes.items() if count < 10}


def test_the_function_ends_every_case_as_stated(function):
    beyond_the_gate = {CLASSIFIED, REFUSED}
    stated = {c.name: "passed" if c.outcome in beyond_the_gate else c.outcome for c in cases()}
    assert {told.name: told.outcome for told in function} == stated


def test_the_endpoint_holds_the_line_on_its_own(endpoint):
    stated = {case.name: STATUSES[case.outcome] for case in cases()}
    wrong = {t.name: t.outcome for t in endpoint if t.outcome not in stated[t.name]}
    assert not wrong


def test_no_case_takes_more_memory_than_the_function_has(function):
    worst = max(function, key=lambda told: told.peak_mib)
    assert worst.peak_mib < MEMORY_MIB, worst


def test_no_case_takes_more_memory_than_25_million_pixels_need(endpoint):
    # Decoded, turned and laid on white: 3 pictures of 4 bytes a pixel, beside 400 MiB of torch.
    worst = max(endpoint, key=lambda told: told.peak_mib)
    assert worst.peak_mib < 400 + 3 * 4 * network.MAX_PIXELS / 2**20 * 1.25, worst


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
        except (app.NotAPictureError, app.PictureTooLargeError, app.AnimatedPictureError) as error:
            seen[type(error).__name__] += 1
        else:
            seen["passed"] += 1
            assert 0 < header.width * header.height <= app.MAX_PIXELS
    assert seen["passed"] > 100
    assert seen["NotAPictureError"] > 100
