"""Pictures and names that a workflow must refuse or survive, and unusual ones that cameras write.

Each case states how its execution ends. Code draws, cuts, patches and pads the files; on one version of Pillow they
always have the same bytes.
"""

import base64
import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from benchmarks.hostile_pictures.files import (
    SIGNATURE,
    blank_png,
    chunk,
    deflated_zeros,
    encode,
    exif_orientation,
    flip_bits,
    header,
    insert,
    insert_segment,
    png_file,
    scan_starts,
    scene,
    segment,
    with_scans,
    with_size,
)

# How an execution can end. CLASSIFIED: the endpoint answered, with whatever class.
CLASSIFIED = "classified"
EMPTY = "EmptyPictureError"
NOT_A_PICTURE = "NotAPictureError"
TOO_LARGE = "PictureTooLargeError"
ANIMATED = "AnimatedPictureError"
REFUSED = "PictureRefusedError"  # by the endpoint: the header is valid, what follows is not

# The HTTP statuses with which the endpoint may answer a client that sends it the case, by outcome.
ENDPOINT_STATUSES = {
    CLASSIFIED: {"200"},
    EMPTY: {"400"},
    NOT_A_PICTURE: {"400", "413", "415"},
    TOO_LARGE: {"413"},
    ANIMATED: {"415"},
    REFUSED: {"400", "415"},
}
# Pillow, unlike the function, ignores what these two violate, and decodes a picture of 96x64 pixels.
DECODED_BY_PILLOW = {"png with a chunk in front", "png that claims 4294967295 frames"}

MAX_BYTES = 6 * 1024 * 1024  # the body of InvokeEndpoint
ZEROS = 1024**3  # the inflated size of a bomb: twice the function's memory

PNG = encode(scene())
JPEG = encode(scene(), "JPEG")
PROGRESSIVE_JPEG = encode(scene(), "JPEG", progressive=True)


class Case(NamedTuple):
    """One object that is put into the bucket."""

    name: str  # what is unusual about it
    body: bytes
    outcome: str  # CLASSIFIED, or the name of the error that the execution ends with
    own_key: str = ""  # the key, unless the name makes it

    @property
    def key(self) -> str:
        """Return the object's key."""
        return self.own_key or f"inbox/{self.name.replace(' ', '-')}.png"


def function_outcome(case: Case) -> str:
    """Return the expected outcome of Serialize Image Data: "passed", or the name of its error."""
    return "passed" if case.outcome in {CLASSIFIED, REFUSED} else case.outcome


def endpoint_outcomes(case: Case) -> set[str]:
    """Return the HTTP statuses with which the endpoint may answer a client that sends it the case."""
    return ENDPOINT_STATUSES[CLASSIFIED if case.name in DECODED_BY_PILLOW else case.outcome]


@functools.cache
def cases() -> tuple[Case, ...]:
    """Return every case; made once, in a few seconds."""
    bombs = chain(pixel_bombs(), byte_bombs(), scan_bombs())
    broken = chain(cut_off(), broken_pngs(), broken_jpegs())
    unusual = chain(polyglots(), frames(), kinds_of_png(), kinds_of_jpeg(), largest(), odd_keys())
    return tuple(chain(other_formats(), bombs, broken, unusual))


def other_formats() -> Iterator[Case]:
    """Return what is neither PNG nor JPEG, all of it named .png."""
    yield Case("empty", b"", EMPTY)
    yield Case("folder made in the console", b"", EMPTY, "inbox/folder/")
    bodies = {
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
        "base64 of a picture": base64.b64encode(PNG),
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "shell script": b"#!/bin/sh\nexit 1\n",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ",
        "mng": b"\x8aMNG\r\n\x1a\n" + chunk(b"MHDR", bytes(28)),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "zip": zipped(PNG),
        "png compressed again": zlib.compress(PNG),
        "png sent as text": PNG.replace(b"\r\n", b"\n"),
        "png behind a byte order mark": b"\xef\xbb\xbf" + PNG,
    }
    for name, body in bodies.items():
        yield Case(name, body, NOT_A_PICTURE)
    for kind in ("GIF", "BMP", "TIFF", "WEBP", "ICO", "PPM", "TGA"):
        yield Case(f"{kind.lower()} named png", encode(scene(), kind), NOT_A_PICTURE)


def zipped(body: bytes) -> bytes:
    """Return a zip archive with one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("bicycle.png"), body)
    return file.getvalue()


def cut_off() -> Iterator[Case]:
    """Return truncated uploads: in the header, in the pixels, behind them."""
    png = insert(PNG, chunk(b"pHYs", bytes(9)))
    pixels, end = png.index(b"IDAT") + 4, png.index(b"IEND") - 8
    for length in (9, 12, 16, 20, 24, 28, 29, 32, 33, 40, 45, pixels - 5, pixels - 1):
        yield Case(f"png cut at byte {length} in its header", png[:length], NOT_A_PICTURE)
    for length in (pixels, pixels + 1, *range(pixels + 97, end - 40, (end - pixels) // 8)):
        yield Case(f"png cut at byte {length} in its pixels", png[:length], REFUSED)
    for kind, jpeg in (("jpeg", JPEG), ("progressive jpeg", PROGRESSIVE_JPEG)):
        pixels = scan_starts(jpeg)[0] + 14
        for length in (4, 12, 20, 25, 89, 158, 160, 165, 200, pixels - 13, pixels - 1):
            yield Case(f"{kind} cut at byte {length} in its header", jpeg[:length], NOT_A_PICTURE)
        for length in (pixels, *range(pixels + 1, len(jpeg) - 2, (len(jpeg) - pixels) // 8)):
            yield Case(f"{kind} cut at byte {length} in its pixels", jpeg[:length], REFUSED)


def pixel_bombs() -> Iterator[Case]:
    """Return small files of gigantic or impossible pictures."""
    yield Case("png bomb of 400 million pixels", blank_png(20_000, 20_000), TOO_LARGE)
    yield Case("png bomb of one bit a pixel", blank_png(60_000, 60_000, depth=1), TOO_LARGE)
    yield Case("png of one row too many", blank_png(5000, 5001), TOO_LARGE)
    data = deflated_zeros(1000)
    for width, height in ((2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (1, 2**31 - 1), (65_536, 65_536)):
        yield Case(f"png that claims {width}x{height}", png_file(width, height, data), TOO_LARGE)
    for width, height in ((0, 0), (0, 64), (64, 0), (2**31, 64), (2**32 - 1, 2**32 - 1)):
        yield Case(f"png of impossible {width}x{height}", png_file(width, height, data), NOT_A_PICTURE)
    large = with_size(JPEG, 65_535, 65_535)
    yield Case("jpeg that claims 65535x65535", large, TOO_LARGE)
    yield Case("jpeg of no height", with_size(JPEG, 96, 0), NOT_A_PICTURE)
    yield Case("jpeg of no width", with_size(JPEG, 0, 64), NOT_A_PICTURE)
    end = JPEG.index(b"\xff\xc0\x00\x11") + 19  # of the frame header
    yield Case("jpeg with two sizes", JPEG[:end] + large[end - 19 : end] + JPEG[end:], NOT_A_PICTURE)
    yield Case("png with two sizes", insert(PNG, header(20_000, 20_000)[len(SIGNATURE) :]), NOT_A_PICTURE)


def byte_bombs() -> Iterator[Case]:
    """Return valid headers followed by what inflates, or never ends."""
    zeros = deflated_zeros(ZEROS)
    text = chunk(b"zTXt", b"Comment\0\0" + zeros)
    many = chunk(b"zTXt", b"Comment\0\0" + deflated_zeros(1024 * 1024)) * 100
    yield Case("png with a zTXt bomb", insert(PNG, text), REFUSED)
    yield Case("png with an iTXt bomb", insert(PNG, chunk(b"iTXt", b"Comment\0\1\0\0\0" + zeros)), REFUSED)
    yield Case("png with an iCCP bomb", insert(PNG, chunk(b"iCCP", b"icc\0\0" + zeros)), REFUSED)
    yield Case("png with 100 zTXt bombs", insert(PNG, many), REFUSED)
    yield Case("png with a zTXt bomb behind its pixels", insert(PNG, text, before=b"IEND"), REFUSED)
    yield Case("png whose pixels go on for a gigabyte", png_file(64, 64, zeros), CLASSIFIED)
    room = MAX_BYTES - len(PNG)
    yield Case("png with half a million chunks", insert(PNG, chunk(b"prIv") * (room // 12)), CLASSIFIED)
    slices = b"".join(chunk(b"IDAT", bytes([byte])) for byte in deflated_zeros(64 * 65))
    empty = chunk(b"IDAT") * ((room - len(slices)) // 12)
    body = header(64, 64) + empty + slices + chunk(b"IEND")
    yield Case("png with half a million empty pieces", body, CLASSIFIED)
    room = MAX_BYTES - len(JPEG)
    yield Case("jpeg with a million comments", insert_segment(JPEG, segment(0xFE, b"") * (room // 4)), CLASSIFIED)
    yield Case("jpeg with 6 MiB of fill bytes", insert_segment(JPEG, b"\xff" * room), CLASSIFIED)
    yield Case("jpeg of fill bytes alone", b"\xff\xd8" + b"\xff" * 1_000_000, NOT_A_PICTURE)
    yield Case("jpeg signature and stuffed bytes", b"\xff\xd8" + b"\xff\0" * 9999, NOT_A_PICTURE)
    yield Case("jpeg signature and fill bytes", b"\xff\xd8" + b"\xff\xff\0" * 9999, NOT_A_PICTURE)
    yield Case("png of exactly 6 MiB", PNG.ljust(MAX_BYTES, b"\0"), CLASSIFIED)
    yield Case("png of 6 MiB and a byte", PNG.ljust(MAX_BYTES + 1, b"\0"), TOO_LARGE)
    yield Case("6 MiB of zeros", bytes(MAX_BYTES), NOT_A_PICTURE)
    yield Case("7 MiB of zeros", bytes(7 * 1024 * 1024), TOO_LARGE)


def scan_bombs() -> Iterator[Case]:
    """Return progressive JPEGs that make a decoder go over all pixels again and again, for minutes."""
    flat = encode(Image.new("RGB", (5000, 5000), "grey"), "JPEG", progressive=True, quality=30)
    scans = len(scan_starts(flat))
    room = (MAX_BYTES - len(flat)) // (len(flat) - scan_starts(flat)[-1] - 2)
    yield Case("jpeg of 25 million pixels 100 times", with_scans(flat, 100 - scans), CLASSIFIED)
    yield Case("jpeg of 25 million pixels 101 times", with_scans(flat, 101 - scans), TOO_LARGE)
    yield Case("jpeg of 25 million pixels 98000 times", with_scans(flat, room), TOO_LARGE)
    # A marker without a length that claims one hides the scans from a reader that skips it.
    hidden = with_scans(PROGRESSIVE_JPEG, 500)
    second = scan_starts(hidden)[1]
    yield Case("jpeg that hides its scans", hidden[:second] + b"\xff\x02\xff\xff" + hidden[second:], TOO_LARGE)
    # Scans of an embedded preview, or behind the end, are not scans of the picture.
    scans_elsewhere = b"\xff\xda\0\x0c" * 200
    preview = segment(0xE1, b"Exif\0\0" + scans_elsewhere)
    yield Case("jpeg with scans in its preview", insert_segment(PROGRESSIVE_JPEG, preview), CLASSIFIED)
    yield Case("jpeg with scans behind its end", PROGRESSIVE_JPEG + scans_elsewhere, CLASSIFIED)


def broken_pngs() -> Iterator[Case]:
    """Return PNGs with invalid chunks."""
    pixels = PNG.index(b"IDAT") + 4
    checksum = pixels + int.from_bytes(PNG[pixels - 8 : pixels - 4])
    garbage = np.random.default_rng(0).bytes(5000)
    filters = zlib.compress(b"".join(b"\x09" + bytes(64) for _ in range(64)))
    yield Case("png with a bad checksum of its header", flip_bits(PNG, 29, 1), NOT_A_PICTURE)
    # zlib's own checksum of the pixels is right.
    yield Case("png with a bad checksum of its pixels", flip_bits(PNG, checksum, 1), CLASSIFIED)
    yield Case("png with a flipped byte in its pixels", flip_bits(PNG, pixels + 100, 0xFF), REFUSED)
    yield Case("png of garbage", png_file(64, 64, garbage), REFUSED)
    yield Case("png with no pixels", header(64, 64) + chunk(b"IEND"), NOT_A_PICTURE)
    yield Case("png with too few pixels", png_file(64, 64, deflated_zeros(9)), REFUSED)
    yield Case("png with an empty IDAT", png_file(9, 9, b""), REFUSED)
    yield Case("png with garbage in front", SIGNATURE + garbage, NOT_A_PICTURE)
    yield Case("png with a chunk in front", insert(PNG, chunk(b"tEXt", b"a\0b"), before=b"IHDR"), NOT_A_PICTURE)
    yield Case("png with a chunk of 4 GiB", insert(PNG, b"\xff\xff\xff\xfftEXt"), NOT_A_PICTURE)
    yield Case("png palette without a palette", blank_png(9, 9, colour=3), REFUSED)
    yield Case("png of unknown colours", header(9, 9, colour=5) + PNG[33:], REFUSED)
    yield Case("png of 3 bits", header(9, 9, depth=3) + PNG[33:], REFUSED)
    yield Case("png of 255 bits", header(9, 9, depth=255, colour=255) + PNG[33:], REFUSED)
    yield Case("png with unknown filters", png_file(64, 64, filters), REFUSED)
    yield Case("png with an unknown needed chunk", insert(PNG, chunk(b"NEED", b"x")), CLASSIFIED)
    yield Case("png with a bad checksum of its text", insert(PNG, chunk(b"tEXt", b"a\0b")[:-1] + b"!"), REFUSED)
    yield Case("png with an empty gamma", insert(PNG, chunk(b"gAMA")), REFUSED)
    yield Case("png without its end", PNG[:-12], CLASSIFIED)


def broken_jpegs() -> Iterator[Case]:
    """Return JPEGs with invalid segments."""
    scan = scan_starts(JPEG)[0]
    pixels = scan + 14
    garbage = np.random.default_rng(0).bytes(5000).replace(b"\xff", b"\xfe")
    yield Case("jpeg without tables", JPEG.replace(b"\xff\xdb", b"\xff\xfe"), REFUSED)
    yield Case("jpeg without huffman tables", JPEG.replace(b"\xff\xc4", b"\xff\xfe"), CLASSIFIED)
    yield Case("jpeg with garbage between segments", JPEG[:20] + b"garbage" + JPEG[20:], CLASSIFIED)
    yield Case("jpeg of garbage", JPEG[:pixels] + garbage + b"\xff\xd9", CLASSIFIED)
    yield Case("jpeg without pixels", JPEG[:pixels] + b"\xff\xd9", CLASSIFIED)
    yield Case("jpeg without scans", JPEG[:scan] + b"\xff\xd9", NOT_A_PICTURE)
    yield Case("jpeg without its end", JPEG[:-2], REFUSED)
    yield Case("jpeg with a segment of no length", insert_segment(JPEG, b"\xff\xfe\0\0"), CLASSIFIED)
    frame = b"\xff\xc0\x00\x11\x08"
    yield Case("jpeg of 12 bits", JPEG.replace(frame, b"\xff\xc1\x00\x11\x0c"), REFUSED)
    yield Case("jpeg of lossless kind", JPEG.replace(frame, b"\xff\xc3\x00\x11\x08"), REFUSED)
    yield Case("jpeg of a short frame header", JPEG.replace(frame, b"\xff\xc0\x00\x08\x08"), REFUSED)
    yield Case("jpeg-ls", b"\xff\xd8\xff\xf7\x00\x0b\x08\0\x40\0\x40\1\1\x11\0", NOT_A_PICTURE)
    nowhere = segment(0xE1, b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")
    yield Case("jpeg with EXIF that points nowhere", insert_segment(JPEG, nowhere), CLASSIFIED)
    loop = segment(0xE1, b"Exif\0\0MM\0\x2a\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08")
    yield Case("jpeg with EXIF in a circle", insert_segment(JPEG, loop), CLASSIFIED)
    mpf = segment(0xE2, b"MPF\0MM\0\x2a\0\0\0\x08" + b"\xff" * 64)
    yield Case("jpeg with a broken list of pictures", insert_segment(JPEG, mpf), CLASSIFIED)


def polyglots() -> Iterator[Case]:
    """Return valid pictures that are something else as well; the workflow reads only their pixels."""
    html = b"<html><script>alert(1)</script></html>"
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", html.decode())
    yield Case("png and zip", PNG + zipped(PNG), CLASSIFIED)
    yield Case("png and html", encode(scene(), pnginfo=info), CLASSIFIED)
    yield Case("jpeg and zip", JPEG + zipped(JPEG), CLASSIFIED)
    yield Case("jpeg and html", encode(scene(), "JPEG", comment=html), CLASSIFIED)
    yield Case("jpeg and another jpeg", JPEG + JPEG, CLASSIFIED)
    yield Case("html and png", html + PNG, NOT_A_PICTURE)
    yield Case("gif and jpeg", encode(scene(), "GIF") + JPEG, NOT_A_PICTURE)


def frames() -> Iterator[Case]:
    """Return several pictures in one file."""
    two: dict[str, Any] = {"save_all": True, "append_images": [scene().rotate(90)], "duration": 100}
    yield Case("animated png", encode(scene(), **two), ANIMATED)
    yield Case("animated png with a still", encode(scene(), **two, default_image=True), ANIMATED)
    yield Case("animated gif", encode(scene(), "GIF", **two), NOT_A_PICTURE)
    yield Case("animated webp", encode(scene(), "WEBP", **two), NOT_A_PICTURE)
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 96, 64, 0, 0, 1, 10, 0, 0))
    for count in (0, 1, 2, 2**31, 2**32 - 1):
        body = insert(PNG, claimed_frames(count), frame)
        yield Case(f"png that claims {count} frames", body, ANIMATED if count > 1 else CLASSIFIED)
    yield Case("png with a still and a frame", insert(PNG, claimed_frames(1)), ANIMATED)
    yield Case("png with an empty acTL", insert(PNG, chunk(b"acTL")), REFUSED)
    yield Case("png with frames behind its pixels", insert(PNG, claimed_frames(2), before=b"IEND"), CLASSIFIED)
    # As cameras write it: the picture, and a preview behind it.
    yield Case("jpeg with a preview", encode(scene(), "MPO", save_all=True, append_images=[scene(24, 16)]), CLASSIFIED)


def claimed_frames(count: int) -> bytes:
    """Return the chunk that says how many frames an animated PNG has."""
    return chunk(b"acTL", struct.pack(">II", count, 0))


def kinds_of_png() -> Iterator[Case]:
    """Return all that a PNG may be."""
    picture = scene()
    grey = np.asarray(picture.convert("L"), np.uint16)
    palette = picture.quantize(16)
    row = png_file(64, 1, zlib.compress(b"\0" + b"\xff" * 64), colour=3)  # of colour 255
    bodies = {
        "1x1 png": encode(Image.new("RGB", (1, 1), "red")),
        "10000x1 png": encode(scene(10_000, 1)),
        "1x10000 png": encode(scene(1, 10_000)),
        "1000000x25 png": blank_png(1_000_000, 25),
        **{f"png of mode {mode}": encode(picture.convert(mode)) for mode in ("1", "L", "LA", "RGB", "RGBA", "P")},
        "16-bit grey png": encode(Image.fromarray(grey * 257)),
        "16-bit RGB png": blank_png(64, 64, depth=16, colour=2),
        "16-bit grey and alpha png": blank_png(64, 64, depth=16, colour=4),
        "16-bit RGBA png": blank_png(64, 64, depth=16, colour=6),
        **{f"{depth}-bit grey png": blank_png(33, 9, depth=depth) for depth in (1, 2, 4)},
        "palette png with a transparent colour": encode(palette, transparency=3),
        "palette png with transparencies": encode(palette, transparency=bytes(range(16))),
        "rgb png with a transparent colour": encode(picture, transparency=(0, 0, 0)),
        "palette png with colours off its palette": insert(row, chunk(b"PLTE", b"\xff\0\0")),
        "interlaced png": interlaced(),
        "png on its side": encode(picture, exif=exif_orientation(6)),
        "png with an odd colour profile": encode(picture, icc_profile=b"not a colour profile" * 20),
    }
    for name, body in bodies.items():
        yield Case(name, body, CLASSIFIED)


def interlaced() -> bytes:
    """Return a PNG of 8x8 black pixels in Adam7 order: 15 rows of the seven passes."""
    passes = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
    rows = b"".join((b"\0" + bytes(width)) * height for width, height in passes)
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1))
    return SIGNATURE + ihdr + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def kinds_of_jpeg() -> Iterator[Case]:
    """Return all that a JPEG may be, and pictures whose names do not fit them."""
    yield Case("png named jpg", PNG, CLASSIFIED, "inbox/png-named-jpg.jpg")
    yield Case("png without a suffix", PNG, CLASSIFIED, "inbox/png-without-a-suffix")
    yield Case("png named exe", PNG, CLASSIFIED, "inbox/png-named.exe")
    yield Case("jpeg named png", JPEG, CLASSIFIED)
    yield Case("progressive jpeg", PROGRESSIVE_JPEG, CLASSIFIED)
    yield Case("jpeg with a trailer", JPEG + bytes(range(256)) * 99, CLASSIFIED)
    picture = scene()
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    pictures: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "1x1 jpeg": (Image.new("RGB", (1, 1), "red"), {}),
        "65500x1 jpeg": (scene(65_500, 1), {}),
        "jpeg with restart markers": (picture, {"restart_marker_blocks": 1}),
        **{f"{mode} jpeg": (picture.convert(mode), {}) for mode in ("L", "CMYK")},
        **{f"jpeg sampled {kind}": (picture, {"subsampling": kind}) for kind in ("4:4:4", "4:2:2", "4:2:0")},
        **{f"jpeg of orientation {n}": (picture, {"exif": exif_orientation(n)}) for n in (*range(10), 65_535)},
        "jpeg with a large colour profile": (picture, {"icc_profile": bytes(200_000)}),
        "jpeg of noise": (Image.fromarray(noise), {"quality": 100}),
    }
    for name, (image, options) in pictures.items():
        yield Case(name, encode(image, "JPEG", **options), CLASSIFIED)


def largest() -> Iterator[Case]:
    """Return 25 million pixels, the most that is accepted, in the kinds that take most memory to decode."""
    colours = {"grey": 0, "RGB": 2, "RGBA": 6, "grey and alpha": 4}
    on_its_side = exif_orientation(6)
    clear = chunk(b"PLTE", bytes(3)) + chunk(b"tRNS", b"\0")
    exif = chunk(b"eXIf", on_its_side.tobytes()[6:])
    bodies = {
        **{f"{name} png": blank_png(5000, 5000, 8, colour) for name, colour in colours.items()},
        **{f"16-bit {name} png": blank_png(5000, 5000, 16, colours[name]) for name in ("grey", "RGB", "RGBA")},
        "transparent palette png": blank_png(5000, 5000, colour=3, more=clear),
        "RGBA png on its side": blank_png(5000, 5000, 8, 6, exif),
        "RGB jpeg on its side": encode(Image.new("RGB", (5000, 5000)), "JPEG", exif=on_its_side),
        "CMYK jpeg on its side": encode(Image.new("CMYK", (5000, 5000)), "JPEG", exif=on_its_side),
    }
    for name, body in bodies.items():
        yield Case(f"largest {name}", body, CLASSIFIED)


def odd_keys() -> Iterator[Case]:
    """Return valid pictures, and empty ones, with names that break out of quotes, paths and URLs."""
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
        # A failure puts the key into a notification.
        if len(key.encode()) < 1000:
            yield Case(f"no bytes, key with {name}", b"", EMPTY, f"inbox/empty/{key[6:]}")
