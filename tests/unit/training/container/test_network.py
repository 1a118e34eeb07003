"""Pictures reach the network through one gate, and its answer is a probability."""

import json
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.hostile_pictures.files import blank_png, encode, segment, with_scans
from training.container.picture_model import network

RED = (255, 0, 0)


def noise(width=48, height=32):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def classifier(classes=3, input_size=32, **settings):
    torch.manual_seed(0)
    names = [f"class {i}" for i in range(classes)]
    net = network.Ensemble(2, classes, input_size, width=8)
    return network.Classifier(net, names, input_size, [0.5] * 3, [0.25] * 3, **settings)


NOT_SUPPORTED = (network.NotAPictureError, "neither PNG nor JPEG")


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"hello", *NOT_SUPPORTED),
        (encode(noise(), "BMP"), *NOT_SUPPORTED),
        (encode(noise(), "TIFF"), *NOT_SUPPORTED),
        (b"\x89PNG", *NOT_SUPPORTED),
        (blank_png(9, 9, colour=3), network.BrokenPictureError, "the PNG picture is cut off or damaged"),
    ],
    ids=["text", "bmp", "tiff", "only a signature", "no palette"],
)
def test_decode_picture_refuses_other_content(data, error, message):
    with pytest.raises(error, match=message):
        network.decode_picture(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_decode_picture_cut_off_anywhere_fails(kind):
    whole = encode(noise(), kind)
    for length in range(1, len(whole) - 12, 97):
        with pytest.raises(network.PictureError):
            network.decode_picture(whole[:length])
    with pytest.raises(network.BrokenPictureError, match=f"the {kind} picture is cut off"):
        network.decode_picture(whole[: len(whole) // 2])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_decode_picture_with_flipped_bytes_raises_only_picture_errors(kind):
    whole = encode(noise(), kind)
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in generator.integers(0, min(len(whole), 600), 3):
            damaged[place] = generator.integers(256)
        try:
            network.decode_picture(bytes(damaged))
        except network.PictureError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("side", [5001, 20_000])  # the latter is over Pillow's own limit too
def test_decode_picture_with_too_many_pixels_fails(side):
    small = encode(Image.new("1", (side, 1)))
    header = small.index(b"IHDR") + 8  # the height follows; the checksum after it must fit
    chunk = small[header - 8 : header] + side.to_bytes(4) + small[header + 4 : header + 9]
    data = small[: header - 8] + chunk + zlib.crc32(chunk).to_bytes(4) + small[header + 13 :]
    with pytest.raises(network.PictureTooLargeError, match=r"at most 25,000,000 pixels"):
        network.decode_picture(data)


@pytest.mark.parametrize(
    ("picture", "kind", "expected"),
    [
        (Image.new("RGB", (4, 4), RED), "PNG", RED),
        (Image.new("L", (4, 4), 90), "PNG", (90, 90, 90)),
        (Image.new("1", (4, 4), 1), "PNG", (255, 255, 255)),
        (Image.new("LA", (4, 4), (0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 255)), "PNG", RED),
        (Image.new("RGB", (4, 4), RED).convert("P"), "PNG", RED),
        (Image.fromarray(np.full((4, 4), 0x5AFF, np.uint16)), "PNG", (90, 90, 90)),
        (Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "JPEG", (0, 0, 0)),
    ],
    ids=["rgb", "grey", "bit", "grey clear", "clear", "opaque", "palette", "16 bit", "cmyk"],
)
def test_decode_picture_converts_every_mode_to_rgb(picture, kind, expected):
    decoded = network.decode_picture(encode(picture, kind))
    assert decoded.mode == "RGB"
    assert np.abs(np.asarray(decoded).astype(int) - expected).max() <= 1


def test_decode_picture_with_too_many_scans_fails_before_decoding(monkeypatch):
    progressive = encode(noise(), "JPEG", progressive=True)
    scans = network.count_scans(progressive)
    assert scans == progressive.count(b"\xff\xda") > 5
    assert network.count_scans(encode(noise(), "JPEG")) == 1
    most = with_scans(progressive, network.MAX_SCANS - scans)
    assert network.decode_picture(most).size == (48, 32)
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(network.PictureTooLargeError, match="101 scans: at most 100"):
        network.decode_picture(with_scans(progressive, 101 - scans))


def test_count_scans_ignores_previews_and_trailing_data():
    progressive = encode(noise(), "JPEG", progressive=True)
    scans = network.count_scans(progressive)
    preview = segment(0xE1, b"Exif\0\0" + b"\xff\xda\0\x0c" * 200)
    inside = progressive[:2] + preview + progressive[2:]
    assert network.count_scans(inside) == scans
    assert network.count_scans(progressive + progressive) == scans
    # What the decoder skips byte by byte is not to hide a scan from the one who counts.
    hidden = progressive.replace(b"\xff\xda", b"\xff\x02\xff\xff\xff\xda")
    assert network.count_scans(hidden) == scans


def test_decode_picture_of_mpo_returns_the_first_picture():
    data = encode(noise(), "MPO", save_all=True, append_images=[noise(9, 9)])
    assert network.decode_picture(data).size == (48, 32)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_picture_applies_every_exif_orientation(orientation):
    upright = noise(48, 32)
    # From upright to how the sensor saw it: the inverse of what each orientation asks for.
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    seen = upright.transpose(Image.Transpose(turns[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = network.decode_picture(encode(seen, exif=exif))
    assert decoded.tobytes() == upright.tobytes()
    assert network.decode_picture(encode(seen, "JPEG", exif=exif)).size == upright.size


def test_decode_picture_lays_transparency_on_white():
    picture = Image.new("RGB", (4, 4), RED).convert("P")
    data = encode(picture, transparency=picture.getpixel((0, 0)))
    assert network.decode_picture(data).getpixel((0, 0)) == (255, 255, 255)
    picture = Image.new("RGBA", (4, 4), (255, 0, 0, 51))  # a fifth of red
    assert network.decode_picture(encode(picture)).getpixel((0, 0)) == (255, 204, 204)


def test_resize_picture_does_not_crop():
    wide = Image.new("RGB", (400, 100))
    wide.paste(RED, (0, 0, 20, 100))  # a crop of the middle would lose it
    pixels = network.resize_picture(wide, 32)
    assert (pixels.shape, pixels.dtype) == ((3, 32, 32), torch.uint8)
    assert pixels[0, :, 0].min() == 255
    assert pixels[0, :, 4:].max() == 0


def test_resize_picture_of_the_right_size_changes_nothing():
    picture = noise(32, 32)
    assert np.array_equal(network.resize_picture(picture, 32).permute(1, 2, 0), np.asarray(picture))


def test_whiten_gives_components_of_equal_variance():
    net = classifier().ensemble.members[0]
    pictures = torch.randn(64, 3, 32, 32).cumsum(3)  # neighbours alike, as in real pictures
    net.whiten(pictures)
    responses = net.whitening(pictures)[:, :, 1:-1, 1:-1]
    variances = responses.var((0, 2, 3))
    assert variances.max() / variances.min() < 3
    assert not net.whitening.weight.requires_grad


@pytest.mark.parametrize(("classes", "input_size"), [(2, 16), (5, 32), (3, 50), (2, 96)])
def test_probabilities_of_any_classes_and_size_sum_to_one(classes, input_size):
    model = classifier(classes, input_size)
    answer = model.probabilities(torch.randint(256, (4, 3, input_size, input_size)).byte())
    assert answer.shape == (4, classes)
    assert torch.allclose(answer.sum(1), torch.ones(4, dtype=torch.float64), atol=1e-9)


def test_mirrored_picture_has_the_same_probabilities():
    model = classifier()
    pictures = torch.randint(256, (4, 3, 32, 32)).byte()
    assert torch.allclose(model.probabilities(pictures), model.probabilities(pictures.flip(3)), atol=1e-6)


def test_higher_temperature_lowers_confidence_and_keeps_the_order():
    pictures = torch.randint(256, (8, 3, 32, 32)).byte()
    plain, cooler = (classifier(temperature=t).probabilities(pictures) for t in (1.0, 2.0))
    assert (cooler.amax(1) < plain.amax(1)).all()
    assert torch.equal(cooler.argsort(1), plain.argsort(1))


def write(folder, **changes):
    model = classifier(2)
    torch.save(model.ensemble.half_weights(), folder / "model.pt")
    metadata = {
        "classes": model.classes,
        "input_size": 32,
        "width": 8,
        "members": 2,
        "normalisation": {"mean": model.mean, "std": model.std},
        "temperature": 1.0,
    }
    (folder / "metadata.json").write_text(json.dumps(metadata | changes))


@pytest.mark.parametrize("name", ["model.pt", "metadata.json"])
def test_load_classifier_without_file_names_it(tmp_path, name):
    write(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(network.ModelFilesError, match=f"{name} is missing"):
        network.load_classifier(tmp_path, torch.device("cpu"))


@pytest.mark.parametrize("changes", [{"classes": ["a", "b", "c"]}, {"width": 16}, {"members": 3}])
def test_load_classifier_with_weights_of_another_shape_fails(tmp_path, changes):
    write(tmp_path, **changes)
    with pytest.raises(network.ModelFilesError, match="cannot be loaded"):
        network.load_classifier(tmp_path, torch.device("cpu"))


@pytest.mark.parametrize("weights", ["code", b"", b"text"])
def test_load_classifier_with_damaged_or_executable_weights_fails(tmp_path, weights):
    write(tmp_path)
    if weights == "code":
        torch.save(print, tmp_path / "model.pt")
    else:
        (tmp_path / "model.pt").write_bytes(weights)
    with pytest.raises(network.ModelFilesError, match="cannot be loaded"):
        network.load_classifier(tmp_path, torch.device("cpu"))
