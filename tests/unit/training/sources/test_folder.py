"""Photos from a folder: upright, RGB, shrunk; unreadable files are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from training.sources import folder as folder_module
from training.sources.folder import FolderError, folder_source, read_photo, read_picture
from training.sources.source import ClassNameError, LabelledPicture, Unreadable


def save(path: Path, image: Image.Image, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def plain(color="red", size=(40, 20), mode="RGB") -> Image.Image:
    return Image.new(mode, size, color)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def test_folder_source_without_class_folders_fails(tmp_path: Path):
    with pytest.raises(FolderError, match="none is not a folder"):
        folder_source(tmp_path / "none", None, 640)
    save(tmp_path / "a.png", plain())
    with pytest.raises(FolderError, match="one folder of pictures for each class"):
        folder_source(tmp_path, None, 640)


def test_folder_source_with_an_unknown_class_fails(tmp_path: Path):
    for name in ("car", "van"):
        (tmp_path / name).mkdir()
    with pytest.raises(ClassNameError, match="vans"):
        folder_source(tmp_path, ["vans", "car"], 640)


def test_folder_source_names_unreadable_files_and_reads_the_others(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(folder_module, "MOST_PIXELS", 1000)
    whole = save(tmp_path / "car" / "a.jpg", plain()).read_bytes()
    (tmp_path / "car" / "b.jpg").write_bytes(whole[:-200])
    (tmp_path / "car" / "c.txt").write_text("not a picture")
    (tmp_path / "car" / "d").mkdir()
    (tmp_path / "car" / "e.png").write_bytes(b"")
    save(tmp_path / "car" / "f.png", plain(size=(100, 11)))
    (tmp_path / "car" / ".DS_Store").write_bytes(b"hidden")
    save(tmp_path / "van" / "a.webp", plain())
    source = folder_source(tmp_path, None, 640)
    items = list(source.pictures())

    assert [(i.class_name, i.name) for i in items if isinstance(i, LabelledPicture)] == [("car", "a"), ("van", "a")]
    reasons = {Path(i.path).name: i.reason for i in items if isinstance(i, Unreadable)}
    assert "truncated" in reasons["b.jpg"].lower()
    assert reasons["c.txt"] == "not a picture of a kind that Pillow reads"
    assert reasons["d"] == "a folder within the class"
    assert reasons["f.png"] == "100 x 11 pixels are too many"
    assert source.total == len(items) == len(reasons) + 2


def test_read_picture_applies_the_exif_orientation(tmp_path: Path):
    image = plain("white", (40, 20))
    image.paste((0, 0, 0), (0, 0, 20, 20))  # the left half is black
    path = save(tmp_path / "a.jpg", image, exif=turned(6), quality=95)  # the left is the scene's top
    pixels = np.asarray(read_picture(path, 640))

    assert pixels.shape == (40, 20, 3)
    assert pixels[:15].mean() < 20
    assert pixels[25:].mean() > 235


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA", "RGBA", "I;16"])
def test_read_picture_of_any_mode_is_rgb_of_the_same_brightness(tmp_path: Path, mode):
    image = Image.fromarray(np.full((20, 40), 65535, np.uint16)) if mode == "I;16" else plain("white").convert(mode)
    suffix = "tif" if mode == "CMYK" else "png"
    pixels = np.asarray(read_picture(save(tmp_path / f"a.{suffix}", image), 640))

    assert pixels.shape == (20, 40, 3)
    assert pixels.min() >= 250


def test_read_picture_puts_transparency_on_white(tmp_path: Path):
    path = save(tmp_path / "a.png", Image.new("RGBA", (4, 4), (10, 20, 30, 0)))

    assert read_picture(path, 640).getpixel((0, 0)) == (255, 255, 255)


def test_read_picture_shrinks_a_large_photo_and_does_not_enlarge_a_small_one(tmp_path: Path):
    large = save(tmp_path / "l.jpg", plain(size=(2000, 1000)))
    small = save(tmp_path / "s.jpg", plain(size=(30, 60)))

    assert read_picture(large, 320).size == (320, 160)
    assert read_picture(small, 320).size == (30, 60)


def test_folder_source_gives_files_with_one_stem_different_names(tmp_path: Path):
    for name in ("a.jpg", "a.png", "A.bmp", "a b.png"):
        save(tmp_path / "car" / name, plain())
    save(tmp_path / "van" / "a.png", plain())
    items: list[Any] = list(folder_source(tmp_path, None, 640).pictures())
    names = [item.name for item in items]

    assert names == ["A", "a_b", "a-2", "a-3", "a"]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.jpg", {}, (900, 600, "JPEG")),
        ("a.jpg", {"exif": turned(6)}, (600, 900, "JPEG")),
        ("a.jpg", {"exif": turned(3)}, (900, 600, "JPEG")),
        ("a.jpg", {"format": "MPO"}, (900, 600, "JPEG")),  # of many cameras
        ("a.png", {}, (900, 600, "PNG")),
        ("a.webp", {}, (900, 600, "other")),
    ],
)
def test_picture_of_a_folder_describes_the_original_file(tmp_path: Path, name, options, expected):
    path = save(tmp_path / "car" / name, plain(size=(900, 600)), **options)
    save(tmp_path / "van" / name, plain())

    picture = next(iter(folder_source(tmp_path, None, 160).pictures()))

    assert isinstance(picture, LabelledPicture)
    assert max(picture.image.size) == 160
    width, height, kind = expected
    assert picture.original == (width, height, path.stat().st_size, kind)
    with path.open("rb") as file:
        assert read_photo(file, 160)[1] == picture.original
