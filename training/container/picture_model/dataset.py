"""Labelled pictures from SageMaker's training channels: folders of `<class>/<picture>`."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from .near_duplicates import difference_hash, near_groups
from .network import PictureError, decode_picture, resize_picture
from .original_file import OriginalFileError, read_original
from .picture_features import picture_features


class DataError(Exception):
    """The training data cannot be used."""


class ChannelError(DataError):
    """The folder of a training channel is missing or has no class folders."""


class ClassFolderError(DataError):
    """A class has no pictures, or the classes of the two channels do not match."""


class UnreadablePictureError(DataError):
    """A picture of the training data cannot be used."""


@dataclass
class Pictures:
    """Labelled pictures in memory."""

    pixels: Tensor  # uint8 [N, 3, S, S]
    labels: Tensor  # int64 [N], positions in the sorted class list
    hashes: list[int]  # difference hashes, 64 bits
    digest: str  # SHA-256 over names and contents, hex
    features: list[dict[str, float | str]] = field(default_factory=list)  # of the original files

    def groups(self) -> list[list[int]]:
        """Group the positions of near-duplicates, class by class."""
        found = []
        for label in range(int(self.labels.max()) + 1):
            places = (self.labels == label).nonzero()[:, 0].tolist()
            near = near_groups([self.hashes[place] for place in places])
            found += [[places[position] for position in group] for group in near]
        return found


def open_channel(channel: str, folder: Path | None) -> tuple[Path, list[str]]:
    """Return a channel's folder and its sorted class names, which are its folders' names.

    Raises:
        ChannelError: the folder is not given, missing, or has no class folders.
    """
    if folder is None:
        raise ChannelError(f"no folder for the {channel} pictures: pass --{channel}")
    if not folder.is_dir():
        raise ChannelError(f"{folder} is not a folder: --{channel} needs <class>/<picture> in it")
    names = sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not names:
        raise ChannelError(f"{folder} has no class folders: put pictures into {folder}/<class>/")
    return folder, names


def read_pictures(folder: Path, classes: list[str], input_size: int, found: list[str] | None = None) -> Pictures:
    """Read `<class>/<picture>`, scaled to `input_size`, without hidden files.

    `found` are the classes in the folder, by default all.

    Raises:
        ClassFolderError: a class has no pictures.
        UnreadablePictureError: a file cannot be decoded.
    """
    files: list[Path] = []
    labels: list[int] = []
    for name in found or classes:
        pictures = sorted(f for f in (folder / name).glob("*") if not f.name.startswith("."))
        if not pictures:
            raise ClassFolderError(f"{folder / name} has no pictures: every class needs some")
        files += pictures
        labels += [classes.index(name)] * len(pictures)

    def read(file: Path) -> tuple[Tensor, int, bytes, dict[str, float | str]]:
        try:
            data = file.read_bytes()
            picture = decode_picture(data)
            original = read_original(data)
        except (PictureError, OriginalFileError, OSError) as error:
            raise UnreadablePictureError(f"{file}: {error}") from error
        digest = hashlib.sha256(f"{file.relative_to(folder)}\n".encode() + data).digest()
        pixels = resize_picture(picture, input_size)
        features = picture_features(data, picture)
        if original is not None:
            features |= original.features()
        return pixels, difference_hash(picture), digest, features

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding releases Python's lock
        pixels, hashes, digests, features = zip(*pool.map(read, files), strict=True)
    return Pictures(
        pixels=torch.stack(pixels),
        labels=torch.tensor(labels),
        hashes=list(hashes),
        digest=hashlib.sha256(b"".join(digests)).hexdigest(),
        features=list(features),
    )


def read_channels(train: Path | None, validation: Path | None, input_size: int) -> tuple[list[str], Pictures]:
    """Read the class names and the pictures of both channels; training itself holds pictures out.

    Raises:
        ChannelError, ClassFolderError, UnreadablePictureError: see each class.
    """
    train, classes = open_channel("train", train)
    if len(classes) < 2:
        raise ClassFolderError(f"{train} has one class, {classes[0]}: at least two are needed")
    pictures = read_pictures(train, classes, input_size)
    if validation:
        validation, found = open_channel("validation", validation)
        unknown = sorted(set(found) - set(classes))
        if unknown:
            raise ClassFolderError(f"{validation} has classes that {train} lacks: {', '.join(unknown)}")
        more = read_pictures(validation, classes, input_size, found)
        pictures = Pictures(
            torch.cat([pictures.pixels, more.pixels]),
            torch.cat([pictures.labels, more.labels]),
            pictures.hashes + more.hashes,
            hashlib.sha256((pictures.digest + more.digest).encode()).hexdigest(),
            pictures.features + more.features,
        )
    for label, count in enumerate(pictures.labels.bincount(minlength=len(classes)).tolist()):
        if count < 2:
            raise ClassFolderError(
                f"{classes[label]} has one picture: at least two are needed, so that one can be held out"
            )
    return classes, pictures
