"""The endpoint's four functions: what is answered, and which requests are refused with what."""

import io
import json
from typing import Any

import inference
import network
import pytest
import torch
from PIL import Image

from tests.hostile.files import encode, scene, with_scans


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    torch.save(network.Network(2, 32, width=8).state_dict(), folder / "model.pt")
    metadata = {
        "classes": ["bicycle", "motorcycle"],
        "input_size": 32,
        "width": 8,
        "normalisation": {"mean": [0.5] * 3, "std": [0.25] * 3},
        "temperature": 1.0,
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


@pytest.fixture(scope="module")
def model(model_folder):
    threads = torch.get_num_threads()
    yield inference.model_fn(str(model_folder))
    torch.set_num_threads(threads)


def picture(kind="PNG", size=(40, 30)):
    file = io.BytesIO()
    Image.effect_mandelbrot(size, (-2, -1, 1, 1), 20).convert("RGB").save(file, kind)
    return file.getvalue()


@pytest.mark.parity("endpoint-model")
@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        (picture(), "application/json", 415, "content type 'application/json' is not served"),
        (picture(), "", 415, "send one of image/png, image/jpeg, application/x-image"),
        (b"GIF89a", "image/png", 415, "neither PNG nor JPEG"),
        (b"", "image/png", 400, "0 bytes"),
        (picture()[:-60], "image/png", 400, "cut off or damaged"),
        (picture("JPEG")[:-60], "image/jpeg", 400, "cut off or damaged"),
        (picture(size=(5000, 5001)), "image/png", 413, "5000x5001 pixels"),
        (bytes(6 * 1024 * 1024 + 1), "image/png", 413, "6,291,457 bytes"),
        (
            with_scans(encode(scene(), "JPEG", progressive=True), 100),
            "image/jpeg",
            413,
            "110 scans",
        ),
        (encode(scene(), save_all=True, append_images=[scene(9, 9)]), "image/png", 415, "2 frames"),
        (None, "image/png", 400, "0 bytes"),
        ("", "image/png", 400, "0 bytes"),
    ],
    ids=[
        *("json", "no type", "gif", "empty", "cut png", "cut jpeg", "large", "too many bytes"),
        *("scans", "animated", "no body", "no text"),
    ],
)
def test_a_bad_request_is_refused_with_its_status(body, content_type, status, message):
    with pytest.raises(inference.RequestError, match=message) as refused:
        inference.input_fn(body, content_type)
    assert refused.value.status_code == status
    assert refused.value.message == str(refused.value)
    assert refused.value.phrase.isascii()  # it goes into the status line
    base = vars(inference)["BaseInferenceToolkitError"]  # the container's own class, if it is there
    assert isinstance(refused.value, base)


@pytest.mark.parametrize("accept", ["image/png", "text/csv, text/plain"])
def test_an_answer_other_than_json_is_refused(accept):
    with pytest.raises(inference.RequestError, match="application/json") as refused:
        inference.output_fn({"labels": ["a"], "probabilities": [1.0]}, accept)
    assert refused.value.status_code == 406


def test_what_is_no_probability_is_never_answered(model):
    broken = network.Classifier(
        model.network, model.classes, 32, mean=[float("nan")] * 3, std=model.std
    )
    with pytest.raises(inference.ModelOutputError, match="nan"):
        inference.predict_fn(inference.input_fn(picture(), "image/png"), broken)


def test_a_model_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(network.ModelFilesError, match="is missing"):
        inference.model_fn(str(tmp_path))


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
def test_a_picture_is_answered_with_labels_and_probabilities(model, kind, content_type, accept):
    body: Any = bytearray(picture(kind))  # as the toolkit hands it over
    data = inference.input_fn(body, content_type)
    answer = json.loads(inference.output_fn(inference.predict_fn(data, model), accept))
    assert list(answer) == ["labels", "probabilities"]
    assert answer["labels"] == ["bicycle", "motorcycle"]
    assert all(0 < p < 1 for p in answer["probabilities"])
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-9)
