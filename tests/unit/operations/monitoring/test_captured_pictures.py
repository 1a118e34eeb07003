"""Captured pictures are fetched many at a time, decoded few at a time, and shown as thumbnails."""

import base64
import io
import threading
import time

import pytest
from PIL import Image

from common.pages.thumbnails import thumbnail
from operations.monitoring import captured_pictures
from operations.monitoring.captured_pictures import with_pictures
from tests.unit.operations.captures import SlowCaptures, drawn, line, named, read, write


def test_with_pictures_fetches_many_and_decodes_few_at_a_time(tmp_path):
    count = 3 * captured_pictures.THREADS
    write(tmp_path, [line(named(car=0.9, van=0.1), drawn(number)) for number in range(count)])
    found = read(tmp_path)
    held, most, counting = 0, 0, threading.Lock()

    def work(row, picture):
        nonlocal held, most
        with counting:
            held += 1
            most = max(most, held)
        time.sleep(0.02)  # let the other threads begin
        with counting:
            held -= 1
        return row, picture.size

    captures = SlowCaptures(tmp_path, captured_pictures.THREADS)
    results = with_pictures(captures, found.files, found.predictions, work, lambda *_: None)

    assert results == [(row, (32, 32)) for row in range(count)]
    assert most == captured_pictures.MOST_DECODED


def picture_in(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((32, 20), (32, 20)), ((128, 128), (128, 128)), ((900, 300), (128, 43)), ((2, 999), (1, 128))],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_thumbnail_is_small_and_leaves_the_picture_unchanged(size, expected, mode):
    picture = Image.new(mode, size)

    small = picture_in(thumbnail(picture))

    assert (small.mode, small.size) == ("RGB", expected)
    assert (picture.mode, picture.size) == (mode, size)


def test_thumbnail_of_large_picture_copies_nothing(monkeypatch):
    picture = Image.new("RGB", (600, 400))
    copies = []
    for method in ("copy", "convert"):
        monkeypatch.setattr(Image.Image, method, lambda *_, method=method: copies.append(method))

    assert picture_in(thumbnail(picture)).size == (128, 85)
    assert copies == []
