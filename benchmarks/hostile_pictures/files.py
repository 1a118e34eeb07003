"""Build PNG and JPEG files from their parts, so that each part can be invalid."""

import io
import re
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MIB = 1024 * 1024


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """Return an RGB picture with edges, gradients and some noise."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 32, (height, width))
    channels = (x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), (x // 8 + y // 8) % 2)
    pixels = np.stack([channels[0], channels[1], channels[2] * 200 + noise], axis=2)
    return Image.fromarray(pixels.astype(np.uint8))


def encode(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the picture as a file, written by Pillow."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def flip_bits(body: bytes, index: int, bits: int) -> bytes:
    """Return the body with some bits of one byte flipped."""
    return body[:index] + bytes([body[index] ^ bits]) + body[index + 1 :]


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Return a PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def header(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    """Return signature and IHDR chunk; `colour` 0 is grey, 2 RGB, 3 palette, 6 RGBA."""
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def png_file(width: int, height: int, data: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """Return a PNG with this content of its only IDAT chunk."""
    return header(width, height, depth, colour) + chunk(b"IDAT", data) + chunk(b"IEND")


def insert(png: bytes, *chunks: bytes, before: bytes = b"IDAT") -> bytes:
    """Return the PNG with chunks in front of its first one of a kind."""
    index = png.index(before) - 4
    return png[:index] + b"".join(chunks) + png[index:]


def deflated_zeros(length: int) -> bytes:
    """Return a zlib stream of that many zeros; a thousandth of their size.

    After a full flush every block of a MiB deflates to the same bytes, so they are repeated.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(_MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = last.compress(bytes(length % _MIB)) + last.flush()
    checksum = (length % 65521 << 16) | 1  # Adler-32 of zeros
    return b"\x78\xda" + block * (length // _MIB) + rest + checksum.to_bytes(4)


def blank_png(width: int, height: int, depth: int = 8, colour: int = 0, more: bytes = b"") -> bytes:
    """Return a valid PNG whose pixels are all zero; the chunks `more` are in front of the pixels."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = 1 + (width * depth * samples + 7) // 8  # a filter type in front of each row
    return insert(png_file(width, height, deflated_zeros(row * height), depth, colour), more)


def segment(marker: int, data: bytes) -> bytes:
    """Return a JPEG segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def insert_segment(jpeg: bytes, data: bytes) -> bytes:
    """Return the JPEG with the data behind its first marker."""
    return jpeg[:2] + data + jpeg[2:]


def scan_starts(jpeg: bytes) -> list[int]:
    """Return where the scans of a JPEG written by Pillow begin (it has no FF DA elsewhere)."""
    return [found.start() for found in re.finditer(rb"\xff\xda", jpeg)]


def with_scans(jpeg: bytes, more: int) -> bytes:
    """Return a progressive JPEG with `more` copies of its last scan added."""
    return jpeg[:-2] + jpeg[scan_starts(jpeg)[-1] : -2] * more + jpeg[-2:]


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return the JPEG with another size in its frame header (SOF0 to SOF2)."""
    index = next(re.finditer(rb"\xff[\xc0-\xc2]\x00[\x0b\x11\x14]", jpeg)).end() + 1
    return jpeg[:index] + struct.pack(">HH", height, width) + jpeg[index + 4 :]


def exif_orientation(orientation: int) -> Image.Exif:
    """Return EXIF data with this orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
