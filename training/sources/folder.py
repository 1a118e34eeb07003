"""Read photos from a folder of `<class>/<picture>`."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from training.container.picture_model.original_file import OriginalFile
from training.sources.source import LabelledPicture, Source, StageDataError, Unreadable, choose_classes, file_stem

# Decoding takes at least 3 bytes per pixel. The largest cameras have about 100 million pixels;
# Pillow's own limit against decompression bombs is 179 million.
MOST_PIXELS = 120_000_000

# The names that picture_features uses for Pillow's formats; MPO is a JPEG followed by previews.
FORMAT_NAMES = {"PNG": "PNG", "JPEG": "JPEG", "MPO": "JPEG"}
QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations with width and height exchanged

# Pillow's many readers raise different errors on damaged files.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class FolderError(StageDataError):
    """The folder does not exist or has no class folders."""


def folder_source(folder: Path, classes: Sequence[str] | None, long_side: int) -> Source:
    """Read all classes of the folder, or the given ones; shrink pictures to `long_side` pixels.

    A file that cannot be read is yielded as Unreadable. Raises FolderError, ClassNameError.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder} is not a folder.")
    available = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not available:
        raise FolderError(f"{folder} must hold one folder of pictures for each class.")
    chosen = choose_classes(available if classes is None else classes, available)
    files = {name: sorted(p for p in (folder / name).iterdir() if p.name[0] != ".") for name in chosen}

    def pictures() -> Iterator[LabelledPicture | Unreadable]:
        for class_name in chosen:
            used: set[str] = set()
            for path in files[class_name]:
                try:
                    with path.open("rb") as file:
                        image, original = read_photo(file, long_side)
                except DECODER_ERRORS as error:
                    yield Unreadable(class_name, str(path), why_unreadable(error))
                else:
                    name = _unused(file_stem(path.stem), used)
                    yield LabelledPicture(class_name, name, image, original=original)

    return Source(
        description={"kind": "folder", "name": folder.resolve().name, "long_side": long_side},
        classes=chosen,
        total=sum(len(paths) for paths in files.values()),
        has_test_split=False,
        pictures=pictures,
    )


def read_photo(file: BinaryIO, long_side: int) -> tuple[Image.Image, OriginalFile]:
    """Return the result of `read_picture`, and a description of the file."""
    image = read_picture(file, long_side)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    with warnings.catch_warnings(action="ignore"), Image.open(file) as opened:
        width, height = opened.size
        if opened.getexif().get(ExifTags.Base.Orientation) in QUARTER_TURNS:
            width, height = height, width
        return image, OriginalFile(width, height, size, FORMAT_NAMES.get(str(opened.format), "other"))


def read_picture(path: Path | BinaryIO, long_side: int) -> Image.Image:
    """Return a photo as a person sees it: upright, RGB, transparency on white, first frame.

    Raises one of DECODER_ERRORS.
    """
    # Pillow warns about invalid metadata, which does not change the pixels.
    with warnings.catch_warnings(action="ignore"), Image.open(path) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise ValueError(f"{opened.width} x {opened.height} pixels are too many")
        # A JPEG is decoded at a half, quarter or eighth of its size if that is enough.
        opened.draft("RGB", (2 * long_side, 2 * long_side))
        image = _rgb(ImageOps.exif_transpose(opened))
    image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which convert() would clip to white
        grey = np.clip(np.asarray(image, dtype=np.int64) >> 8, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _unused(stem: str, used: set[str]) -> str:
    """Return `stem`, or `stem-2` and so on: a.jpg and a.png would be the same PNG."""
    name, number = stem, 1
    while name.lower() in used:  # some disks ignore the case
        number += 1
        name = f"{stem}-{number}"
    used.add(name.lower())
    return name


def why_unreadable(error: Exception) -> str:
    """Return the reason why `read_picture` raised this error."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a kind that Pillow reads"
    if isinstance(error, IsADirectoryError):
        return "a folder within the class"
    return str(error) or type(error).__name__
