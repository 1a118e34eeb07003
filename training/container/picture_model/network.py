"""The network and the preprocessing of pictures, shared by training and serving.

`decode_picture` (bytes to RGB), `resize_picture` (RGB to uint8 tensor), `Classifier.probabilities`.
"""

import io
import json
import math
import pickle
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor, nn
from torch.nn import functional

# Decoding this many adds at most 320 MiB, whatever the kind of picture (python -m benchmarks.hostile).
# Pillow's own limit, 178.9 million, is more memory than a small endpoint instance has.
MAX_PIXELS = 25_000_000
# A progressive JPEG is decoded once per scan; editors write about 10. 6 MiB hold 98,000 scans of
# 25 million pixels, 10 ms each, and a container has to answer within 60 s. Nothing real needs over
# 100 (https://bugzilla.redhat.com/show_bug.cgi?id=1344214).
MAX_SCANS = 100

# Training uses each picture in 4 quarter turns, and the network predicts class and turn together.
TURNS = 4
# The turns that an answer is averaged over. With upside down, a member's held-out loss is .162 nats
# instead of .179; with all four turns, for twice the time, .166.
AVERAGED_TURNS = (0, 2)

# JPEG's markers (ITU-T T.81, table B.1). 0xff00 is a stuffed data byte and 0xffff a fill byte. The
# markers below SOF0 and RST0 to SOI stand alone; every other one is followed by a length.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])")
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_STAND_ALONE = {*range(0x01, 0xC0), *range(0xD0, _SOI + 1)}

# Principal components of a patch that are kept, those that vary most: all 27 for 3x3 pixels.
MOST_COMPONENTS = 48

WEIGHTS_FILE = "model.pt"
METADATA_FILE = "metadata.json"
HELD_OUT_FILE = "held_out.json"

# What Pillow's PNG and JPEG readers raise on damaged files, found by cutting and flipping bytes.
_DECODER_ERRORS = (
    AssertionError,  # a palette picture without its palette
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)
# What torch.load and reading its content raise for damaged or foreign files.
DAMAGE = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError)


class PictureError(ValueError):
    """The bytes cannot be used as a picture."""


class NotAPictureError(PictureError):
    """The content is neither PNG nor JPEG."""


class PictureTooLargeError(PictureError):
    """The picture has more than MAX_PIXELS pixels or MAX_SCANS scans."""


class AnimatedPictureError(PictureError):
    """The picture has several frames."""


class BrokenPictureError(PictureError):
    """The picture starts like a PNG or JPEG but cannot be decoded."""


class ModelFilesError(ValueError):
    """The model folder lacks a file, or its weights do not fit its metadata."""


def decode_picture(data: bytes) -> Image.Image:
    """Decode PNG or JPEG bytes to an upright RGB picture.

    EXIF orientation is applied, and transparent parts are laid on white.

    Raises:
        NotAPictureError, AnimatedPictureError, PictureTooLargeError: before a pixel is decoded.
        BrokenPictureError: see the class.
    """
    if not data:
        raise BrokenPictureError("the picture is empty (0 bytes): send a PNG or JPEG file")
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    except UnidentifiedImageError as error:
        raise NotAPictureError(
            f"{len(data)} bytes that are neither PNG nor JPEG, or are damaged at the beginning: "
            "convert the picture to one of them"
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureTooLargeError(_too_large(str(error))) from error
    except _DECODER_ERRORS as error:
        raise BrokenPictureError(f"the picture's header is damaged ({error})") from error
    _check_header(picture, data)
    try:
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)  # in place: upright pictures are not copied
        return _to_rgb(picture)
    except _DECODER_ERRORS as error:
        raise BrokenPictureError(
            f"the {picture.format} picture is cut off or damaged ({error}): send it again"
        ) from error


def _check_header(picture: Image.Image, data: bytes) -> None:
    """Reject an opened picture of which no pixel has been decoded yet.

    A JPEG may hold several pictures (MPF): the first is the photo, the others are its previews.
    """
    is_png = picture.format == "PNG"
    if is_png and (frames := getattr(picture, "n_frames", 1)) > 1:
        raise AnimatedPictureError(f"the picture has {frames:,} frames: send the one that counts")
    if picture.width * picture.height > MAX_PIXELS:
        raise PictureTooLargeError(_too_large(f"{picture.width}x{picture.height} pixels"))
    if not is_png and (scans := count_scans(data)) > MAX_SCANS:
        raise PictureTooLargeError(
            f"{scans:,} scans: at most {MAX_SCANS} are accepted, save the picture as ordinary JPEG"
        )


def count_scans(jpeg: bytes) -> int:
    """Count the scans of a JPEG without decoding any pixel.

    Scans inside a segment (the preview in the EXIF data) or after the picture's end do not count.
    """
    scans, position = 0, 2
    while (found := _JPEG_MARKER.search(jpeg, position)) and (marker := found[1][0]) != _EOI:
        position = found.end()
        if marker not in _STAND_ALONE:
            position += int.from_bytes(jpeg[position : position + 2])
            scans += marker == _SOS
    return scans


def _too_large(what: str) -> str:
    return f"{what}: at most {MAX_PIXELS:,} pixels are accepted, scale the picture down"


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip them instead of scaling
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        on_white = Image.new("RGB", picture.size, "white")
        on_white.paste(picture, mask=picture.getchannel("A"))
        return on_white
    return picture.convert("RGB")


def resize_picture(picture: Image.Image, size: int) -> Tensor:
    """Resize an RGB picture to a uint8 tensor [3, size, size].

    The aspect ratio is not kept: a crop would cut the wheels off a wide picture.
    """
    if picture.size != (size, size):
        # reducing_gap: large photos are first reduced by whole factors, several times faster.
        picture = picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut: the basic residual block (He et al., 2015)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Create a block from `inputs` to `outputs` channels; `stride` 2 halves the resolution."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return functional.relu(y + self.shortcut(x), inplace=True)


class Network(nn.Module):
    """A compact residual network: normalised pictures [N, 3, S, S] to scores [N, classes, TURNS].

    The first layer is frozen: it splits patches into principal components of equal variance
    (`whiten`), which 800 pictures cannot teach as well. Its stride leaves about 32x32 of any picture.
    """

    whitening: nn.Conv2d

    def __init__(self, classes: int, input_size: int, width: int = 32) -> None:
        """Create an untrained network; `width` is the channels at the first resolution."""
        super().__init__()
        self.classes = classes
        stride = max(1, round(input_size / 32))
        patch = stride + 2  # neighbours overlap by a pixel at each side
        components = min(3 * patch * patch, MOST_COMPONENTS)
        self.whitening = nn.Conv2d(3, components, patch, stride, padding=1, bias=False)
        self.whitening.weight.requires_grad_(False)
        self.stem = nn.Sequential(
            nn.Conv2d(components, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        last = 5 * width // 2  # with 3 * width six networks would not fit 4 MB
        self.blocks = nn.Sequential(
            Block(width, width, stride=1),  # 32x32
            Block(width, 2 * width, stride=2),  # 16x16
            Block(2 * width, last, stride=2),  # 8x8
            Block(last, last, stride=1),
        )
        self.head = nn.Linear(last, classes * TURNS)

    @torch.no_grad()
    def whiten(self, pictures: Tensor) -> None:
        """Set the frozen first layer from normalised `pictures` [N, 3, S, S]."""
        count, _, size, _ = self.whitening.weight.shape
        # Every other patch in each direction saves memory.
        patches = functional.unfold(pictures, size, stride=max(2, self.whitening.stride[0]))
        patches = patches.transpose(1, 2).flatten(0, 1).double()
        patches = patches - patches.mean(0)
        variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
        # Without a floor the faintest components, mostly noise, would grow a hundredfold.
        filters = components / torch.sqrt(variances + 0.01)
        # eigh sorts by variance, ascending.
        self.whitening.weight.copy_(filters.T[-count:].reshape(self.whitening.weight.shape))

    def features(self, x: Tensor) -> Tensor:
        """Map normalised pictures [N, 3, S, S] to the vectors [N, D] that `head` scores."""
        x = self.blocks(self.stem(self.whitening(x)))
        # Average and maximum: how much of a feature there is, and whether it is anywhere.
        return x.mean((2, 3)) + x.amax((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Score normalised pictures [N, 3, S, S] as [N, classes, TURNS]."""
        scores: Tensor = self.head(self.features(x))
        return scores.view(-1, self.classes, TURNS)


class Ensemble(nn.Module):
    """Networks of one shape, each trained on other pictures."""

    def __init__(self, members: int, classes: int, input_size: int, width: int) -> None:
        """Create an ensemble of untrained networks; see Network."""
        super().__init__()
        self.members = nn.ModuleList(Network(classes, input_size, width) for _ in range(members))

    def networks(self) -> list[Network]:
        """Return the members in their order."""
        return [network for network in self.members if isinstance(network, Network)]

    @torch.no_grad()
    def round_to_half(self) -> None:
        """Round the kernels to 16 bits, as `half_weights` stores them.

        The few one-dimensional weights stay as they are.
        """
        for weights in self.state_dict().values():
            if weights.ndim > 1:
                weights.copy_(weights.half())

    def half_weights(self) -> dict[str, Tensor]:
        """Return the state dict on the CPU with 16-bit kernels."""
        return {
            name: (weights.half() if weights.ndim > 1 else weights).cpu().contiguous()
            for name, weights in self.state_dict().items()
        }


@dataclass
class Classifier:
    """An ensemble with the settings that turn its scores into probabilities of classes."""

    ensemble: Ensemble
    classes: list[str]
    input_size: int
    mean: list[float]  # of each colour channel of the training pictures, in [0, 1]
    std: list[float]
    temperature: float = 1.0

    @property
    def device(self) -> torch.device:
        """The device of the networks' weights."""
        return next(self.ensemble.parameters()).device

    def normalise(self, pictures: Tensor) -> Tensor:
        """Map uint8 pictures [N, 3, S, S] to floats of about mean 0 and deviation 1."""
        mean = torch.tensor(self.mean, device=pictures.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=pictures.device).view(1, 3, 1, 1)
        floats = (pictures.float() / 255 - mean) / std
        return floats.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def log_probabilities(self, pictures: Tensor) -> Tensor:
        """Compute the log of the members' mean probabilities, [N, classes] on the CPU, of uint8 [N, 3, S, S]."""
        self.ensemble.eval()
        x = self.normalise(pictures.to(self.device))
        each = [self.member_log_probabilities(network, x) for network in self.ensemble.networks()]
        return (torch.logsumexp(torch.stack(each), 0) - math.log(len(each))).cpu()

    @torch.inference_mode()
    def member_log_probabilities(self, network: Network, x: Tensor, *, upright_only: bool = False) -> Tensor:
        """Compute one member's log probabilities [N, classes] of normalised pictures [N, 3, S, S].

        They are averaged over the picture and its mirror image, each upright and upside down (Lee,
        Hwang and Shin, "Self-supervised Label Augmentation via Input Transformations", 2020), and
        divided by the temperature. `upright_only` uses one of these four views.
        """
        turns = (0,) if upright_only else AVERAGED_TURNS
        sides = (x,) if upright_only else (x, x.flip(3))
        # One batch takes two thirds of the time of separate ones.
        views = torch.cat([torch.rot90(side, turn, (2, 3)) for turn in turns for side in sides])
        scores = network(views.contiguous(memory_format=torch.channels_last)).float()
        by_turn = zip(scores.chunk(len(turns)), turns, strict=True)
        logs = torch.cat([part[:, :, turn] for part, turn in by_turn]).log_softmax(1)
        # x.shape[0] and not len(x), which a trace would take for a constant.
        logs = logs.view(len(turns) * len(sides), x.shape[0], len(self.classes))
        averaged = torch.logsumexp(logs, 0) - math.log(logs.shape[0])
        return (averaged / self.temperature).log_softmax(1)

    def probabilities(self, pictures: Tensor) -> Tensor:
        """Compute probabilities [N, classes] of uint8 pictures [N, 3, S, S]; each row sums to 1."""
        return self.log_probabilities(pictures).double().softmax(1)


def load_classifier(folder: Path, device: torch.device) -> Classifier:
    """Load the classifier that `train.py` wrote to `folder`.

    Raises:
        ModelFilesError: a file is missing, or the weights do not fit the metadata.
    """
    try:
        metadata: dict[str, Any] = json.loads((folder / METADATA_FILE).read_text("utf-8"))
        shape = (metadata["input_size"], metadata["width"])
        ensemble = Ensemble(metadata["members"], len(metadata["classes"]), *shape)
        weights = torch.load(folder / WEIGHTS_FILE, map_location=device, weights_only=True)
        ensemble.load_state_dict(weights)
    except FileNotFoundError as error:
        raise ModelFilesError(f"{error.filename} is missing: train the model again") from error
    except DAMAGE as error:
        raise ModelFilesError(f"the model in {folder} cannot be loaded: {error}") from error
    ensemble = ensemble.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return Classifier(
        ensemble=ensemble,
        classes=metadata["classes"],
        input_size=metadata["input_size"],
        mean=metadata["normalisation"]["mean"],
        std=metadata["normalisation"]["std"],
        temperature=metadata["temperature"],
    )
