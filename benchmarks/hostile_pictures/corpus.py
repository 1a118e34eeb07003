"""Pictures and names that nobody should send, and odd ones that cameras do send.

Each case states how its execution ends. Nothing here is downloaded: files are drawn, cut, patched
and padded by code, always to the same bytes on one version of Pillow.
"""

import base64
import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from benchmarks.hostile_pictures.files import (
    SIGNATURE,
    blank_png,
    chunk,
    deflated_zeros,
    encode,
    header,
    insert,
    scan_starts,
    scene,
    segment,
    with_scans,
    with_size,
)

# How an execution can end. CLASSIFIED: the endpoint answered, whatever it saw.
CLASSIFIED = "classified"
EMPTY = "EmptyPictureError"
NOT_A_PICTURE = "NotAPictureError"
TOO_LARGE = "PictureTooLargeError"
ANIMATED = "AnimatedPictureError"
REFUSED = "PictureRefusedError"  # by the endpoint: the header is sound, what follows is not

OUTCOMES = (CLASSIFIED, EMPTY, NOT_A_PICTURE, TOO_LARGE, ANIMATED, REFUSED)

MAX_BYTES = 6 * 1024 * 1024  # the body of InvokeEndpoint
ZEROS = 1024**3  # what a bomb inflates to: twice the function's memory


@dataclass(frozen=True)
class Case:
    """One object that is put into the bucket.

    Attributes:
        name: says what is odd about it.
        body: the object's bytes.
        outcome: CLASSIFIED, or the name of the error that the execution ends with.
        key: where it is put; made from the name unless the key is what is odd.
    """

    name: str
    body: bytes
    outcome: str
    key: str = ""

    def __post_init__(self) -> None:
        """Give a case without a key one of its own."""
        if not self.key:
            object.__setattr__(self, "key", f"inbox/{self.name.replace(' ', '-')}.png")


def of_the_function(case: Case) -> str:
    """Return what Serialize Image Data says: "passed", or the name of its error."""
    return "passed" if case.outcome in {CLASSIFIED, REFUSED} else case.outcome


def of_the_endpoint(case: Case) -> set[str]:
    """Return the HTTP statuses with which the endpoint may answer a client that sends it the case.

    Pillow overlooks two things that break the standard, and makes a picture of 96x64 pixels out of
    the rest; the function is stricter.
    """
    statuses = {
        CLASSIFIED: {"200"},
        EMPTY: {"400"},
        NOT_A_PICTURE: {"400", "413", "415"},
        TOO_LARGE: {"413"},
        ANIMATED: {"415"},
        REFUSED: {"400", "415"},
    }[case.outcome]
    overlooked = {"png with a chunk in front", "png that claims 4294967295 frames"}
    return {"200"} if case.name in overlooked else statuses


@functools.cache
def cases() -> tuple[Case, ...]:
    """Return every case; made once, in a few seconds."""
    parts = (
        *(other_formats(), cut_off(), pixel_bombs(), byte_bombs(), scan_bombs()),
        *(broken_pngs(), broken_jpegs(), polyglots(), frames(), kinds_of_png(), kinds_of_jpeg()),
        *(largest(), odd_keys()),
    )
    return tuple(case for part in parts for case in part)


def other_formats() -> Iterator[Case]:
    """Everything that is no PNG or JPEG, all of it named .png."""
    yield Case("empty", b"", EMPTY)
    yield Case("folder made in the console", b"", EMPTY, "inbox/folder/")
    texts = {
        "1 byte": b"\x89",
        "zero byte": b"\0",
        "only a PNG signature": SIGNATURE,
        "only a JPEG signature": b"\xff\xd8\xff",
        "html": b"<!DOCTYPE html><script>alert(1)</script>",
        "svg with a script": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "svg with an entity bomb": b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
        + b"]><svg>&j;</svg>",
        "json": b'{"image_data": "iVBORw0KGgo="}',
        "base64 of a picture": base64.b64encode(encode(scene())),
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "shell script": b"#!/bin/sh\nexit 1\n",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ",
        "mng": b"\x8aMNG\r\n\x1a\n" + chunk(b"MHDR", bytes(28)),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    }
    for name, body in texts.items():
        yield Case(name, body, NOT_A_PICTURE)
    for kind in ("GIF", "BMP", "TIFF", "WEBP", "ICO", "PPM", "TGA"):
        yield Case(f"{kind.lower()} named png", encode(scene(), kind), NOT_A_PICTURE)
    png = encode(scene())
    yield Case("zip", zipped(png), NOT_A_PICTURE)
    yield Case("png compressed again", zlib.compress(png), NOT_A_PICTURE)
    yield Case("png sent as text", png.replace(b"\r\n", b"\n"), NOT_A_PICTURE)
    yield Case("png behind a byte order mark", b"\xef\xbb\xbf" + png, NOT_A_PICTURE)


def zipped(body: bytes) -> bytes:
    """Return a zip archive with one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("bicycle.png"), body)
    return file.getvalue()


def cut_off() -> Iterator[Case]:
    """Uploads that ended early: in the header, in the pixels, behind them."""
    png = insert(encode(scene()), chunk(b"pHYs", bytes(9)))
    pixels, end = png.index(b"IDAT") + 4, png.index(b"IEND") - 8
    for length in (9, 12, 16, 20, 24, 28, 29, 32, 33, 40, 45, pixels - 5, pixels - 1):
        yield Case(f"png cut at byte {length} in its header", png[:length], NOT_A_PICTURE)
    for length in (pixels, pixels + 1, *range(pixels + 97, end - 40, (end - pixels) // 8)):
        yield Case(f"png cut at byte {length} in its pixels", png[:length], REFUSED)
    jpegs = {
        "jpeg": encode(scene(), "JPEG"),
        "progressive jpeg": encode(scene(), "JPEG", progressive=True),
    }
    for kind, jpeg in jpegs.items():
        pixels = scan_starts(jpeg)[0] + 14
        for length in (4, 12, 20, 25, 89, 158, 160, 165, 200, pixels - 13, pixels - 1):
            yield Case(f"{kind} cut at byte {length} in its header", jpeg[:length], NOT_A_PICTURE)
        for length in (pixels, *range(pixels + 1, len(jpeg) - 2, (len(jpeg) - pixels) // 8)):
            yield Case(f"{kind} cut at byte {length} in its pixels", jpeg[:length], REFUSED)


def pixel_bombs() -> Iterator[Case]:
    """Small files, gigantic pictures."""
    yield Case("png bomb of 400 million pixels", blank_png(20_000, 20_000), TOO_LARGE)
    yield Case("png bomb of one bit a pixel", blank_png(60_000, 60_000, depth=1), TOO_LARGE)
    yield Case("png of one row too many", blank_png(5000, 5001), TOO_LARGE)
    for width, height in ((2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (1, 2**31 - 1), (65_536, 65_536)):
        body = header(width, height) + chunk(b"IDAT", deflated_zeros(1000)) + chunk(b"IEND")
        yield Case(f"png that claims {width}x{height}", body, TOO_LARGE)
    for width, height in ((0, 0), (0, 64), (64, 0), (2**31, 64), (2**32 - 1, 2**32 - 1)):
        body = header(width, height) + chunk(b"IDAT", deflated_zeros(1000)) + chunk(b"IEND")
        yield Case(f"png of impossible {width}x{height}", body, NOT_A_PICTURE)
    jpeg = encode(scene(), "JPEG")
    yield Case("jpeg that claims 65535x65535", with_size(jpeg, 65_535, 65_535), TOO_LARGE)
    yield Case("jpeg of no height", with_size(jpeg, 96, 0), NOT_A_PICTURE)
    yield Case("jpeg of no width", with_size(jpeg, 0, 64), NOT_A_PICTURE)
    yield Case("jpeg with two sizes", two_sizes(jpeg), NOT_A_PICTURE)
    other = header(20_000, 20_000)[len(SIGNATURE) :]
    yield Case("png with two sizes", insert(encode(scene()), other), NOT_A_PICTURE)


def two_sizes(jpeg: bytes) -> bytes:
    """Return the JPEG with a second frame header, of 65,535x65,535, behind its own."""
    place = jpeg.index(b"\xff\xc0\x00\x11")
    large = with_size(jpeg, 65_535, 65_535)[place : place + 19]
    return jpeg[: place + 19] + large + jpeg[place + 19 :]


def byte_bombs() -> Iterator[Case]:
    """Sound headers with something behind them that inflates, or never ends."""
    png, jpeg = encode(scene()), encode(scene(), "JPEG")
    zeros = deflated_zeros(ZEROS)
    text = chunk(b"zTXt", b"Comment\0\0" + zeros)
    unicode_text = chunk(b"iTXt", b"Comment\0\1\0\0\0" + zeros)
    profile = chunk(b"iCCP", b"icc\0\0" + zeros)
    many = chunk(b"zTXt", b"Comment\0\0" + deflated_zeros(1024 * 1024)) * 100
    yield Case("png with a zTXt bomb", insert(png, text), REFUSED)
    yield Case("png with an iTXt bomb", insert(png, unicode_text), REFUSED)
    yield Case("png with an iCCP bomb", insert(png, profile), REFUSED)
    yield Case("png with 100 zTXt bombs", insert(png, many), REFUSED)
    yield Case("png with a zTXt bomb behind its pixels", insert(png, text, before=b"IEND"), REFUSED)
    more = header(64, 64) + chunk(b"IDAT", zeros) + chunk(b"IEND")
    yield Case("png whose pixels go on for a gigabyte", more, CLASSIFIED)
    room = MAX_BYTES - len(png)
    tiny = chunk(b"prIv") * (room // 12)
    yield Case("png with half a million chunks", insert(png, tiny), CLASSIFIED)
    slices = b"".join(chunk(b"IDAT", bytes([byte])) for byte in deflated_zeros(64 * 65))
    empty = chunk(b"IDAT") * ((room - len(slices)) // 12)
    body = header(64, 64) + empty + slices + chunk(b"IEND")
    yield Case("png with half a million empty pieces", body, CLASSIFIED)
    comments = segment(0xFE, b"") * ((MAX_BYTES - len(jpeg)) // 4)
    yield Case("jpeg with a million comments", jpeg[:2] + comments + jpeg[2:], CLASSIFIED)
    fill = b"\xff" * (MAX_BYTES - len(jpeg))
    yield Case("jpeg with 6 MiB of fill bytes", jpeg[:2] + fill + jpeg[2:], CLASSIFIED)
    yield Case("jpeg of fill bytes alone", b"\xff\xd8" + b"\xff" * 1_000_000, NOT_A_PICTURE)
    yield Case("jpeg signature and stuffed bytes", b"\xff\xd8" + b"\xff\0" * 9999, NOT_A_PICTURE)
    yield Case("jpeg signature and fill bytes", b"\xff\xd8" + b"\xff\xff\0" * 9999, NOT_A_PICTURE)
    yield Case("png of exactly 6 MiB", png.ljust(MAX_BYTES, b"\0"), CLASSIFIED)
    yield Case("png of 6 MiB and a byte", png.ljust(MAX_BYTES + 1, b"\0"), TOO_LARGE)
    yield Case("6 MiB of zeros", bytes(MAX_BYTES), NOT_A_PICTURE)
    yield Case("7 MiB of zeros", bytes(7 * 1024 * 1024), TOO_LARGE)


def scan_bombs() -> Iterator[Case]:
    """Progressive JPEGs that make a decoder go over all pixels again and again, for minutes."""
    flat = encode(Image.new("RGB", (5000, 5000), "grey"), "JPEG", progressive=True, quality=30)
    scans = len(scan_starts(flat))
    room = (MAX_BYTES - len(flat)) // (len(flat) - scan_starts(flat)[-1] - 2)
    yield Case("jpeg of 25 million pixels 100 times", with_scans(flat, 100 - scans), CLASSIFIED)
    yield Case("jpeg of 25 million pixels 101 times", with_scans(flat, 101 - scans), TOO_LARGE)
    yield Case("jpeg of 25 million pixels 98000 times", with_scans(flat, room), TOO_LARGE)
    small = encode(scene(), "JPEG", progressive=True)
    # A marker without a length that claims one, to hide the scans from who steps over it.
    hidden = with_scans(small, 500)
    place = scan_starts(hidden)[1]
    hidden = hidden[:place] + b"\xff\x02\xff\xff" + hidden[place:]
    yield Case("jpeg that hides its scans", hidden, TOO_LARGE)
    # Scans of an embedded preview, or in bytes behind the end, are no scans of the picture.
    preview = b"Exif\0\0" + b"\xff\xda\0\x0c" * 200
    yield Case("jpeg with scans in its preview", small[:2] + segment(0xE1, preview) + small[2:], CLASSIFIED)
    yield Case("jpeg with scans behind its end", small + b"\xff\xda\0\x0c" * 200, CLASSIFIED)


def broken_pngs() -> Iterator[Case]:
    """PNGs whose chunks are wrong."""
    png = encode(scene())
    body = png.index(b"IDAT") + 4
    flipped = bytearray(png)
    flipped[29] ^= 1
    yield Case("png with a bad checksum of its header", bytes(flipped), NOT_A_PICTURE)
    flipped = bytearray(png)
    flipped[body + int.from_bytes(png[body - 8 : body - 4])] ^= 1
    # zlib has a checksum of its own below this one, and that one is right.
    yield Case("png with a bad checksum of its pixels", bytes(flipped), CLASSIFIED)
    flipped = bytearray(png)
    flipped[body + 100] ^= 0xFF
    yield Case("png with a flipped byte in its pixels", bytes(flipped), REFUSED)
    garbage = np.random.default_rng(0).bytes(5000)
    yield Case("png of garbage", header(64, 64) + chunk(b"IDAT", garbage) + chunk(b"IEND"), REFUSED)
    yield Case("png with no pixels", header(64, 64) + chunk(b"IEND"), NOT_A_PICTURE)
    yield Case("png with too few pixels", header(64, 64) + chunk(b"IDAT", deflated_zeros(9)) + chunk(b"IEND"), REFUSED)
    yield Case("png with an empty IDAT", header(9, 9) + chunk(b"IDAT") + chunk(b"IEND"), REFUSED)
    yield Case("png with garbage in front", SIGNATURE + garbage, NOT_A_PICTURE)
    yield Case("png with a chunk in front", insert(png, chunk(b"tEXt", b"a\0b"), before=b"IHDR"), NOT_A_PICTURE)
    yield Case("png with a chunk of 4 GiB", insert(png, b"\xff\xff\xff\xfftEXt"), NOT_A_PICTURE)
    yield Case("png palette without a palette", blank_png(9, 9, colour=3), REFUSED)
    yield Case("png of unknown colours", header(9, 9, colour=5) + png[33:], REFUSED)
    yield Case("png of 3 bits", header(9, 9, depth=3) + png[33:], REFUSED)
    yield Case("png of 255 bits", header(9, 9, depth=255, colour=255) + png[33:], REFUSED)
    filters = zlib.compress(b"".join(b"\x09" + bytes(64) for _ in range(64)))
    yield Case("png with unknown filters", header(64, 64) + chunk(b"IDAT", filters) + chunk(b"IEND"), REFUSED)
    yield Case("png with an unknown needed chunk", insert(png, chunk(b"NEED", b"x")), CLASSIFIED)
    yield Case("png with a bad checksum of its text", insert(png, chunk(b"tEXt", b"a\0b")[:-1] + b"!"), REFUSED)
    yield Case("png with an empty gamma", insert(png, chunk(b"gAMA")), REFUSED)
    yield Case("png without its end", png[:-12], CLASSIFIED)


def broken_jpegs() -> Iterator[Case]:
    """JPEGs whose segments are wrong."""
    jpeg = encode(scene(), "JPEG")
    pixels = scan_starts(jpeg)[0] + 14
    garbage = np.random.default_rng(0).bytes(5000).replace(b"\xff", b"\xfe")
    yield Case("jpeg without tables", jpeg.replace(b"\xff\xdb", b"\xff\xfe"), REFUSED)
    yield Case("jpeg without huffman tables", jpeg.replace(b"\xff\xc4", b"\xff\xfe"), CLASSIFIED)
    yield Case("jpeg with garbage between segments", jpeg[:20] + b"garbage" + jpeg[20:], CLASSIFIED)
    yield Case("jpeg of garbage", jpeg[:pixels] + garbage + b"\xff\xd9", CLASSIFIED)
    yield Case("jpeg without pixels", jpeg[:pixels] + b"\xff\xd9", CLASSIFIED)
    yield Case("jpeg without scans", jpeg[: pixels - 14] + b"\xff\xd9", NOT_A_PICTURE)
    yield Case("jpeg without its end", jpeg[:-2], REFUSED)
    yield Case("jpeg with a segment of no length", jpeg[:2] + b"\xff\xfe\0\0" + jpeg[2:], CLASSIFIED)
    twelve_bits = jpeg.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c")
    yield Case("jpeg of 12 bits", twelve_bits, REFUSED)
    yield Case("jpeg of lossless kind", jpeg.replace(b"\xff\xc0\x00\x11", b"\xff\xc3\x00\x11"), REFUSED)
    yield Case("jpeg-ls", b"\xff\xd8\xff\xf7\x00\x0b\x08\0\x40\0\x40\1\1\x11\0", NOT_A_PICTURE)
    no_part = jpeg.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x08\x08")
    yield Case("jpeg of a short frame header", no_part, REFUSED)
    broken_exif = segment(0xE1, b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")
    yield Case("jpeg with EXIF that points nowhere", jpeg[:2] + broken_exif + jpeg[2:], CLASSIFIED)
    loop = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08"
    yield Case("jpeg with EXIF in a circle", jpeg[:2] + segment(0xE1, loop) + jpeg[2:], CLASSIFIED)
    mpf = segment(0xE2, b"MPF\0MM\0\x2a\0\0\0\x08" + b"\xff" * 64)
    yield Case("jpeg with a broken list of pictures", jpeg[:2] + mpf + jpeg[2:], CLASSIFIED)


def polyglots() -> Iterator[Case]:
    """Sound pictures that are something else as well; only their pixels are ever read."""
    png, jpeg = encode(scene()), encode(scene(), "JPEG")
    html = b"<html><script>alert(1)</script></html>"
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", html.decode())
    yield Case("png and zip", png + zipped(png), CLASSIFIED)
    yield Case("png and html", encode(scene(), pnginfo=info), CLASSIFIED)
    yield Case("jpeg and zip", jpeg + zipped(jpeg), CLASSIFIED)
    yield Case("jpeg and html", encode(scene(), "JPEG", comment=html), CLASSIFIED)
    yield Case("jpeg and another jpeg", jpeg + jpeg, CLASSIFIED)
    yield Case("html and png", html + png, NOT_A_PICTURE)
    yield Case("gif and jpeg", encode(scene(), "GIF") + jpeg, NOT_A_PICTURE)


def frames() -> Iterator[Case]:
    """Several pictures in one file."""
    two: dict[str, Any] = {"save_all": True, "append_images": [scene().rotate(90)], "duration": 100}
    moving = encode(scene(), **two)
    yield Case("animated png", moving, ANIMATED)
    yield Case("animated png with a still", encode(scene(), **two, default_image=True), ANIMATED)
    yield Case("animated gif", encode(scene(), "GIF", **two), NOT_A_PICTURE)
    yield Case("animated webp", encode(scene(), "WEBP", **two), NOT_A_PICTURE)
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 96, 64, 0, 0, 1, 10, 0, 0))
    png = encode(scene())
    for count in (0, 1, 2, 2**31, 2**32 - 1):
        body = insert(png, chunk(b"acTL", struct.pack(">II", count, 0)), frame)
        yield Case(f"png that claims {count} frames", body, ANIMATED if count > 1 else CLASSIFIED)
    body = insert(png, chunk(b"acTL", struct.pack(">II", 1, 0)))
    yield Case("png with a still and a frame", body, ANIMATED)
    yield Case("png with an empty acTL", insert(png, chunk(b"acTL")), REFUSED)
    late = insert(png, chunk(b"acTL", struct.pack(">II", 2, 0)), before=b"IEND")
    yield Case("png with frames behind its pixels", late, CLASSIFIED)
    # As cameras write it: the picture, and a preview behind it.
    yield Case("jpeg with a preview", encode(scene(), "MPO", save_all=True, append_images=[scene(24, 16)]), CLASSIFIED)


def kinds_of_png() -> Iterator[Case]:
    """All that a PNG may be."""
    picture = scene()
    grey = np.asarray(picture.convert("L"), np.uint16)
    palette = picture.quantize(16)
    yield Case("1x1 png", encode(Image.new("RGB", (1, 1), "red")), CLASSIFIED)
    yield Case("10000x1 png", encode(scene(10_000, 1)), CLASSIFIED)
    yield Case("1x10000 png", encode(scene(1, 10_000)), CLASSIFIED)
    yield Case("1000000x25 png", blank_png(1_000_000, 25), CLASSIFIED)
    for mode in ("1", "L", "LA", "RGB", "RGBA", "P"):
        yield Case(f"png of mode {mode}", encode(picture.convert(mode)), CLASSIFIED)
    yield Case("16-bit grey png", encode(Image.fromarray(grey * 257)), CLASSIFIED)
    for name, colour in (("RGB", 2), ("grey and alpha", 4), ("RGBA", 6)):
        body = blank_png(64, 64, depth=16, colour=colour)
        yield Case(f"16-bit {name} png", body, CLASSIFIED)
    for depth in (1, 2, 4):
        yield Case(f"{depth}-bit grey png", blank_png(33, 9, depth=depth), CLASSIFIED)
    yield Case("palette png with a transparent colour", encode(palette, transparency=3), CLASSIFIED)
    yield Case("palette png with transparencies", encode(palette, transparency=bytes(range(16))), CLASSIFIED)
    yield Case("rgb png with a transparent colour", encode(picture, transparency=(0, 0, 0)), CLASSIFIED)
    short = blank_png(64, 64, colour=3, more=chunk(b"PLTE", b"\xff\0\0")).replace(
        chunk(b"IDAT", deflated_zeros(64 * 65)), chunk(b"IDAT", zlib.compress(b"\0" + b"\xff" * 64))
    )
    yield Case(
        "palette png with colours off its palette",
        short.replace(header(64, 64, colour=3), header(64, 1, colour=3)),
        CLASSIFIED,
    )
    yield Case("interlaced png", interlaced(), CLASSIFIED)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield Case("png on its side", encode(picture, exif=exif), CLASSIFIED)
    profile = b"not a colour profile" * 20
    yield Case("png with an odd colour profile", encode(picture, icc_profile=profile), CLASSIFIED)


def interlaced() -> bytes:
    """Return a PNG of 8x8 black pixels in Adam7 order: 15 rows of the seven passes."""
    rows = b"".join(
        (b"\0" + bytes(width)) * height for width, height in ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
    )
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1))
    return SIGNATURE + ihdr + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def kinds_of_jpeg() -> Iterator[Case]:
    """All that a JPEG may be."""
    picture = scene()
    yield Case("jpeg named png", encode(picture, "JPEG"), CLASSIFIED)
    yield Case("png named jpg", encode(picture), CLASSIFIED, "inbox/png-named-jpg.jpg")
    yield Case("png without a suffix", encode(picture), CLASSIFIED, "inbox/png-without-a-suffix")
    yield Case("png named exe", encode(picture), CLASSIFIED, "inbox/png-named.exe")
    yield Case("1x1 jpeg", encode(Image.new("RGB", (1, 1), "red"), "JPEG"), CLASSIFIED)
    yield Case("65500x1 jpeg", encode(scene(65_500, 1), "JPEG"), CLASSIFIED)
    yield Case("progressive jpeg", encode(picture, "JPEG", progressive=True), CLASSIFIED)
    yield Case("jpeg with restart markers", encode(picture, "JPEG", restart_marker_blocks=1), CLASSIFIED)
    for mode in ("L", "CMYK"):
        yield Case(f"{mode} jpeg", encode(picture.convert(mode), "JPEG"), CLASSIFIED)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        body = encode(picture, "JPEG", subsampling=subsampling)
        yield Case(f"jpeg sampled {subsampling}", body, CLASSIFIED)
    for orientation in (*range(10), 65_535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        body = encode(picture, "JPEG", exif=exif)
        yield Case(f"jpeg of orientation {orientation}", body, CLASSIFIED)
    yield Case("jpeg with a trailer", encode(picture, "JPEG") + bytes(range(256)) * 99, CLASSIFIED)
    yield Case("jpeg with a large colour profile", encode(picture, "JPEG", icc_profile=bytes(200_000)), CLASSIFIED)
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    yield Case("jpeg of noise", encode(Image.fromarray(noise), "JPEG", quality=100), CLASSIFIED)


def largest() -> Iterator[Case]:
    """25 million pixels, the most that is taken, in the kinds that take most memory to decode."""
    for name, depth, colour in (
        ("grey", 8, 0),
        ("RGB", 8, 2),
        ("RGBA", 8, 6),
        ("grey and alpha", 8, 4),
        ("16-bit grey", 16, 0),
        ("16-bit RGB", 16, 2),
        ("16-bit RGBA", 16, 6),
    ):
        body = blank_png(5000, 5000, depth, colour)
        yield Case(f"largest {name} png", body, CLASSIFIED)
    clear = chunk(b"PLTE", bytes(3)) + chunk(b"tRNS", b"\0")
    body = blank_png(5000, 5000, colour=3, more=clear)
    yield Case("largest transparent palette png", body, CLASSIFIED)
    exif = Image.Exif()
    exif[0x0112] = 6
    side = chunk(b"eXIf", exif.tobytes()[6:])
    yield Case("largest RGBA png on its side", blank_png(5000, 5000, 8, 6, side), CLASSIFIED)
    for mode in ("RGB", "CMYK"):
        body = encode(Image.new(mode, (5000, 5000)), "JPEG", exif=exif)
        yield Case(f"largest {mode} jpeg on its side", body, CLASSIFIED)


def odd_keys() -> Iterator[Case]:
    """Sound pictures, and empty ones, with names that break out of quotes, paths and URLs."""
    keys = {
        "1024 bytes": "inbox/" + "k" * (1024 - 6),
        "1024 bytes of three each": "inbox/12" + "車" * ((1024 - 8) // 3) + "--",
        "double quotes": 'inbox/a "quoted" name.png',
        "a closing quote and brace": 'inbox/","s3_bucket":"other"}.png',
        "a single quote": "inbox/it's.png",
        "a backslash": "inbox/back\\slash.png",
        "a backslash at the end": "inbox/end\\",
        "a backslash and a quote": 'inbox/\\".png',
        "an escape": "inbox/\\u0000\\n.png",
        "a newline": "inbox/two\nlines.png",
        "carriage return and newline": "inbox/two\r\nHost: other.png",
        "a tab": "inbox/a\ttab.png",
        "control characters": "inbox/\x01\x08\x1b[31m\x1f\x7f.png",
        "dots and slashes": "inbox/../../etc/passwd.png",
        "two dots": "inbox/..",
        "one dot": "inbox/./a.png",
        "an emoji": "inbox/🚲.png",
        "a family of emoji": "inbox/👩‍👩‍👧.png",
        "right to left": "inbox/\u202egnp.exe",
        "not a character": "inbox/\ufffe\uffff.png",
        "zero width": "inbox/a\u200b.png",
        "composed": "inbox/é.png",
        "decomposed": "inbox/e\u0301.png",
        "upper case": "inbox/PNG.PNG",
        "lower case": "inbox/png.png",
        "percent": "inbox/100%.png",
        "an encoded slash": "inbox/a%2Fb.png",
        "an encoded null": "inbox/a%00b.png",
        "plus": "inbox/a+b.png",
        "blank": "inbox/a b.png",
        "blanks around": "inbox/ a.png ",
        "a blank alone": "inbox/ ",
        "two slashes": "inbox//a.png",
        "a slash at the end": "inbox/a.png/",
        "the prefix alone": "inbox/",
        "a query": "inbox/a.png?versionId=null&x=y",
        "a fragment": "inbox/a.png#b",
        "ampersands": "inbox/&amp;<Key>.png",
        "a script": "inbox/<script>alert(1)</script>.png",
        "an expression": "inbox/{% $states.input %}.png",
        "a path": "inbox/$.detail.bucket.name",
        "a substitution": "inbox/${EndpointName}.png",
        "a placeholder": "inbox/<bucket>.png",
        "a format": "inbox/{}{0}%s.png",
        "a wildcard": "inbox/*?[a-z].png",
        "a pipe": "inbox/a|b;c`d`$(e).png",
        "a colon": "inbox/s3://other/a:b.png",
    }
    body = encode(scene(24, 16))
    for name, key in keys.items():
        yield Case(f"key with {name}", body, CLASSIFIED, key)
        # The same way out of the workflow that a failure takes, where the key goes into a message.
        if len(key.encode()) < 1000:
            yield Case(f"no bytes, key with {name}", b"", EMPTY, f"inbox/empty/{key[6:]}")
