"""The endpoint's four functions: what is answered, and which requests are refused with what."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks.hostile_pictures.files import encode, scene, with_scans
from benchmarks.hostile_pictures.model import write_untrained_model
from training.container.picture_model import inference, network


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_untrained_model(folder)
    return folder


@pytest.fixture(scope="module")
def model(model_folder):
    threads = torch.get_num_threads()
    yield inference.model_fn(str(model_folder))
    torch.set_num_threads(threads)


def picture(kind="PNG", size=(40, 30)):
    return encode(Image.effect_mandelbrot(size, (-2, -1, 1, 1), 20).convert("RGB"), kind)


@pytest.mark.parity("endpoint-model")
@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        (picture(), "application/json", 415, "content type 'application/json' is not served"),
        (picture(), "", 415, "send one of image/png, image/jpeg, application/x-image"),
        (encode(scene(), "GIF"), "image/png", 415, "neither PNG nor JPEG"),
        (b"", "image/png", 400, "0 bytes"),
        (picture()[:-60], "image/png", 400, "cut off or damaged"),
        (picture("JPEG")[:-60], "image/jpeg", 400, "cut off or damaged"),
        (picture(size=(5000, 5001)), "image/png", 413, "5000x5001 pixels"),
        (bytes(6 * 1024 * 1024 + 1), "image/png", 413, "6,291,457 bytes"),
        (with_scans(encode(scene(), "JPEG", progressive=True), 100), "image/jpeg", 413, "110 scans"),
        (
            encode(scene(), save_all=True, append_images=[scene(9, 9)]),
            "image/png",
            415,
            "2 frames: send the one that counts",
        ),
        (None, "image/png", 400, "0 bytes"),
        ("", "image/png", 400, "0 bytes"),
    ],
    ids=[
        *("json", "no type", "gif", "empty", "cut png", "cut jpeg", "large", "too many bytes"),
        *("scans", "animated", "no body", "no text"),
    ],
)
def test_input_fn_with_bad_request_fails_with_its_status(body, content_type, status, message):
    with pytest.raises(inference.RequestError, match=message) as refused:
        inference.input_fn(body, content_type)
    assert refused.value.status_code == status
    assert refused.value.message == str(refused.value)
    assert refused.value.phrase.isascii()  # it goes into the status line
    base = vars(inference)["BaseInferenceToolkitError"]  # the container's own class, if it is there
    assert isinstance(refused.value, base)


@pytest.mark.parametrize("accept", ["image/png", "text/csv, text/plain"])
def test_output_fn_without_json_in_accept_fails(accept):
    with pytest.raises(inference.RequestError, match="application/json") as refused:
        inference.output_fn({"labels": ["a"], "probabilities": [1.0]}, accept)
    assert refused.value.status_code == 406


def test_predict_fn_with_nan_raises_model_output_error(model_folder):
    classifier = network.load_classifier(model_folder, torch.device("cpu"))
    broken = replace(classifier, mean=[float("nan")] * 3)
    with pytest.raises(inference.ModelOutputError, match="nan"):
        inference.predict_fn(inference.input_fn(picture(), "image/png"), inference.Model(broken, passes=1))


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("JPEG", "application/x-image"),
        ("JPEG", "image/png"),  # the content decides
        ("PNG", "IMAGE/PNG; name=a.png"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "*/*", "", "text/csv, application/*;q=0.5"])
def test_picture_gets_labels_and_probabilities(model, kind, content_type, accept):
    body: Any = bytearray(picture(kind))  # as the toolkit hands it over
    data = inference.input_fn(body, content_type)
    answer = json.loads(inference.output_fn(inference.predict_fn(data, model), accept))
    assert list(answer) == ["labels", "probabilities"]
    assert answer["labels"] == ["bicycle", "motorcycle"]
    assert all(0 < p < 1 for p in answer["probabilities"])
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-9)


class Gated:
    """A classifier whose forward passes wait for the test; a picture is answered by its colour."""

    classes = ("colour",)
    input_size = 8

    def __init__(self):
        self.passes = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.error = None

    def probabilities(self, pictures):
        assert torch.is_inference_mode_enabled()  # a forward pass keeps nothing for gradients
        self.passes.append(len(pictures))
        self.begun.release()
        assert self.go_on.acquire(timeout=10)
        if self.error is not None:
            raise self.error
        return pictures[:, 0, 0, :1].double()


def gated_model(passes):
    gated: Any = Gated()
    return gated, inference.Model(gated, passes)


def classify(gated, model, pool, colours):
    """Ask for pictures of one colour each, one after the other, each in a thread of its own."""
    asked = []
    for colour in colours:
        waiting = len(model._waiting)
        asked.append(pool.submit(model.probabilities, torch.full((3, 8, 8), colour, dtype=torch.uint8)))
        while not (gated.begun.acquire(timeout=0.001) or len(model._waiting) > waiting):
            pass
    return asked


def test_waiting_pictures_share_a_pass():
    gated, model = gated_model(passes=1)
    with ThreadPoolExecutor(8) as pool:
        asked = classify(gated, model, pool, [7, 1, 2, 3, 4, 5])
        for _ in range(3):
            gated.go_on.release()
        assert [one.result(10) for one in asked] == [[7], [1], [2], [3], [4], [5]]
    assert gated.passes == [1, 4, 1]  # the first at once, the others four at a time
    assert model._free == 1
    assert not model._waiting


def test_concurrent_passes_are_limited():
    gated, model = gated_model(passes=2)
    with ThreadPoolExecutor(8) as pool:
        asked = classify(gated, model, pool, [1, 2, 3])
        assert gated.passes == [1, 1]
        for _ in range(3):
            gated.go_on.release()
        assert [one.result(10) for one in asked] == [[1], [2], [3]]
    assert model._free == 2


def test_failed_pass_fails_only_its_own_pictures():
    gated, model = gated_model(passes=1)
    with ThreadPoolExecutor(8) as pool:
        first, *others = classify(gated, model, pool, [1, 2, 3])
        gated.go_on.release()
        assert first.result(10) == [1]
        assert gated.begun.acquire(timeout=10)
        gated.error = MemoryError("no room")
        gated.go_on.release()
        for other in others:
            with pytest.raises(MemoryError, match="no room"):
                other.result(10)
        gated.error = None
        gated.go_on.release()
        assert model.probabilities(torch.zeros(3, 8, 8, dtype=torch.uint8)) == [0]


def test_concurrent_and_single_calls_agree(model):
    pixels = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    alone = [model.probabilities(one) for one in pixels]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(model.probabilities, pixels, timeout=60))
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, abs=1e-5)  # the order of sums depends on the batch


def test_traced_matches_the_classifier(model_folder):
    classifier = network.load_classifier(model_folder, torch.device("cpu"))
    forward = inference.traced(classifier)
    assert forward != classifier.probabilities
    for pictures in (1, 2, 3, 4):
        pixels = torch.randint(0, 256, (pictures, 3, 32, 32), dtype=torch.uint8)
        assert torch.allclose(forward(pixels), classifier.probabilities(pixels), atol=1e-6)


def unless_traced(_, found):
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        raise TypeError("cannot be traced")
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pictures, found: found * (0.5 if len(pictures) == 2 else 1), "other probabilities"),
        (lambda pictures, found: found + torch.zeros(len(pictures), 2), "size of tensor"),
        (unless_traced, "cannot be traced"),
    ],
    ids=["another answer", "no answer", "no trace"],
)
def test_traced_with_wrong_trace_returns_the_classifier(model_folder, capsys, change, message):
    """A trace keeps the number of pictures that it was made with, where Python looks at it."""

    class Changed(network.Classifier):
        def probabilities(self, pictures):
            return change(pictures, super().probabilities(pictures))

    whole = network.load_classifier(model_folder, torch.device("cpu"))
    changed = Changed(**vars(whole))
    assert inference.traced(changed) == changed.probabilities
    assert message in capsys.readouterr().out
