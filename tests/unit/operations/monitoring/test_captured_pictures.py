"""Going back to captured pictures: many are fetched at a time, few are held decoded."""

import base64
import io
import threading

import pytest
from PIL import Image

from common.pages.thumbnails import thumbnail
from operations.monitoring import captured_pictures
from operations.monitoring.capture_locations import FolderCaptures
from operations.monitoring.captured_pictures import with_pictures
from tests.unit.operations.captures import drawn, line, named, read, write


class Together(FolderCaptures):
    """Captures whose reads wait until as many as there are threads have begun."""

    def __init__(self, path):
        super().__init__(path)
        self._everyone = threading.Barrier(captured_pictures.THREADS, timeout=30)

    def read(self, file, start, stop):
        self._everyone.wait()
        return super().read(file, start, stop)


def test_many_are_fetched_at_a_time_and_few_are_held_decoded(tmp_path):
    count = 3 * captured_pictures.THREADS
    write(tmp_path, [line(named(car=0.9, van=0.1), drawn(number)) for number in range(count)])
    found = read(tmp_path)
    held, most, counting = 0, 0, threading.Lock()

    def work(row, picture):
        nonlocal held, most
        with counting:
            held += 1
            most = max(most, held)
        everyone_else_had_a_chance.wait(0.02)
        with counting:
            held -= 1
        return row, picture.size

    everyone_else_had_a_chance = threading.Event()  # never set: it ends a wait early, not late

    results = with_pictures(Together(tmp_path), found.files, found.predictions, work, lambda *_: None)

    assert results == [(row, (32, 32)) for row in range(count)]
    assert most == captured_pictures.MOST_DECODED


def picture_of(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((32, 20), (32, 20)), ((128, 128), (128, 128)), ((900, 300), (128, 43)), ((2, 999), (1, 128))],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_a_thumbnail_is_small_and_its_picture_left_alone(size, expected, mode):
    picture = Image.new(mode, size)

    small = picture_of(thumbnail(picture))

    assert (small.mode, small.size) == ("RGB", expected)
    assert (picture.mode, picture.size) == (mode, size)


def test_a_large_picture_is_not_copied_for_its_thumbnail(monkeypatch):
    picture = Image.new("RGB", (600, 400))
    copies = []
    for way in ("copy", "convert"):
        monkeypatch.setattr(Image.Image, way, lambda *_, way=way: copies.append(way))

    assert picture_of(thumbnail(picture)).size == (128, 85)
    assert copies == []
