"""Odd pictures: what each kind is, and which sources cannot be made odd."""

import io
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, UnidentifiedImageError

from operations.sending.arrivals import SourcePicture
from operations.sending.odd_pictures import HUGE_PIXELS, UnreadableSourceError, corrupt, make_odd, make_odd_pictures


@pytest.fixture
def source(tmp_path: Path) -> SourcePicture:
    picture = Image.linear_gradient("L").resize((40, 20)).convert("RGB")
    picture.save(tmp_path / "a.png")
    return SourcePicture("bicycle/a.png", tmp_path / "a.png", "bicycle")


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  a load, not a secret


def opened(content: Any) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("kind", ["rotated", "tiny", "huge"])
def test_source_that_is_not_a_picture_is_an_error(tmp_path, kind):
    (tmp_path / "a.png").write_bytes(b"<html>")
    source = SourcePicture("a.png", tmp_path / "a.png", None)
    with pytest.raises(UnreadableSourceError, match=rf"a\.png cannot be made {kind}.*--odd-kinds"):
        make_odd(kind, source, chance(0))


@pytest.mark.parametrize("content", [b"", b"x"])
def test_shortest_files_can_be_corrupted(content):
    assert corrupt(content, chance(0)) == b""


def test_corrupt_picture_is_truncated_or_changed_and_seldom_readable(source):
    whole = source.body.read_bytes()
    made: list[Any] = [make_odd("corrupt", source, chance(seed)).body for seed in range(200)]
    assert whole not in made
    assert b"ab" not in {corrupt(b"ab", chance(seed)) for seed in range(2000)}
    assert {len(content) < len(whole) for content in made} == {True, False}
    unreadable = 0
    for content in made[:50]:
        try:
            opened(content).load()
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
            unreadable += 1
    assert unreadable > 40


def test_rotated_picture_is_turned_by_quarters(source):
    original = Image.open(source.body)
    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    made = [make_odd("rotated", source, chance(seed)) for seed in range(20)]
    assert {opened(one.body).tobytes() for one in made} == {original.transpose(turn).tobytes() for turn in turns}
    assert (made[0].name, made[0].truth) == ("rotated-a.png", "bicycle")


def test_tiny_picture_has_1_to_4_pixels_a_side(source):
    sizes = {opened(make_odd("tiny", source, chance(seed)).body).size for seed in range(60)}
    assert {side for size in sizes for side in size} == {1, 2, 3, 4}


def test_huge_picture_has_many_megapixels_and_keeps_its_shape(source):
    made = make_odd("huge", source, chance(0))
    width, height = opened(made.body).size
    assert HUGE_PIXELS[0] * 0.99 <= width * height <= HUGE_PIXELS[1] * 1.01
    assert width / height == pytest.approx(2, rel=0.01)
    assert made.name == "huge-a.jpg"


def test_few_of_each_kind_are_made_and_the_seed_decides(source):
    seen: list[tuple[int, int | None]] = []
    wanted = {"corrupt": 1000, "tiny": 2}
    made = make_odd_pictures(wanted, [source], 0, lambda *now: seen.append(now))
    assert {kind: len(pictures) for kind, pictures in made.items()} == {"corrupt": 16, "tiny": 2}
    assert seen[-1] == (18, 18)
    assert made == make_odd_pictures(wanted, [source], 0, lambda *_: None)
