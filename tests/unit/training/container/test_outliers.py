"""Outliers: every kind is made, from the batch's own colours, and shows none of its pictures."""

from unittest.mock import Mock

import pytest
import torch

from training.container.picture_model import outliers
from training.container.picture_model.outliers import KINDS

pytestmark = pytest.mark.slow

BATCH = 24


def batch(size=32, seed=0):
    """Pictures that are smooth with one sharp edge, each of other colours, from -2 to 2."""
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand((BATCH, 3, 4, 4), generator=generator) * 3 - 1.5
    pictures = torch.nn.functional.interpolate(pictures, (size, size), mode="bicubic").clamp(-2, 2)
    pictures[:, :, size // 3 :, size // 2] = 2.0
    return pictures.contiguous(memory_format=torch.channels_last)


def made_by(kind, pictures, seed=0):
    return kind(pictures, torch.arange(len(pictures)), torch.Generator().manual_seed(seed))


def likeness(one, other):
    """The correlation of each pair of pictures [N, 3, S, S], colour channels taken apart."""
    one, other = (x - x.mean((2, 3), keepdim=True) for x in (one, other))
    norms = (one.flatten(1).norm(dim=1) * other.flatten(1).norm(dim=1)).clamp(min=1e-6)
    return (one * other).flatten(1).sum(1) / norms


@pytest.mark.parametrize("size", [16, 32, 45, 96])
@pytest.mark.parametrize("kind", KINDS)
def test_kind_makes_finite_pictures_in_range(kind, size):
    pictures = batch(size)
    made = kind(pictures, torch.tensor([3, 5]), torch.Generator().manual_seed(0))
    assert made.shape == (2, 3, size, size)
    assert torch.isfinite(made).all()
    assert made.min() >= pictures.min() - 1e-5
    assert made.max() <= pictures.max() + 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_kind_does_not_resemble_its_source(kind):
    """Shown by correlation: nothing looks like the picture that it was made of.
    Blurred ones keep their large patches of light, which is all that this batch's pictures are.
    """
    pictures = batch()
    most = 0.97 if kind is outliers._blurred else 0.6
    assert likeness(made_by(kind, pictures), pictures).mean() < most


# How far pictures are blurred is drawn once a batch.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not outliers._blurred])
def test_kind_depends_on_picture_and_seed(kind):
    pictures = batch()[:1].expand(BATCH, -1, -1, -1)  # so that only chance can tell them apart
    made = made_by(kind, pictures)
    assert len(torch.unique(made.flatten(1), dim=0)) == BATCH
    assert not torch.equal(made, made_by(kind, pictures, seed=1))


def unchanged(pictures, places, _):
    return pictures[places]


def test_kinds_are_equally_frequent(monkeypatch):
    kinds = tuple(Mock(side_effect=unchanged) for _ in KINDS)
    monkeypatch.setattr(outliers, "KINDS", kinds)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        outliers.outliers(batch(16), generator)

    seen = torch.tensor([sum(len(call.args[1]) for call in kind.call_args_list) for kind in kinds])
    assert seen.sum() == 100 * BATCH
    assert (seen > 0.8 * 100 * BATCH / len(KINDS)).all()


def test_outliers_keep_the_positions_of_their_sources(monkeypatch):
    """Kinds work on parts of the batch: none may land in another's place."""
    monkeypatch.setattr(outliers, "KINDS", (unchanged,) * len(KINDS))
    monkeypatch.setattr(outliers, "_grainy", lambda made, _: made)
    made = outliers.outliers(batch(), torch.Generator().manual_seed(0))
    assert torch.equal(made, batch())


@pytest.mark.parametrize("count", [0, 1, 2, BATCH])
def test_outliers_are_seeded_and_leave_the_batch_unchanged(count):
    pictures = batch()[:count]
    before = pictures.clone()
    one, again = (outliers.outliers(pictures, torch.Generator().manual_seed(7)) for _ in range(2))
    assert one.shape == pictures.shape
    assert torch.equal(one, again)
    assert torch.equal(pictures, before)
    if count == BATCH:
        assert one.is_contiguous(memory_format=torch.channels_last)
        assert not torch.equal(one, outliers.outliers(pictures, torch.Generator().manual_seed(8)))


def test_enlarged_piece_is_at_most_a_sixth_of_the_picture():
    """A ramp from left to right spans as much of its range as the piece is wide."""
    ramp = torch.linspace(0, 1, 32).expand(BATCH, 3, 32, 32)
    made = made_by(outliers._enlarged, ramp)
    spans = made.amax((1, 2, 3)) - made.amin((1, 2, 3))
    assert (spans <= 0.41).all()
    assert spans.min() > 0.1


def test_scrambled_picture_keeps_its_amplitudes():
    # So weak that no value has to be clipped, which would add frequencies.
    pictures = torch.cat([batch() * 0.05, torch.tensor([-2.0, 2.0]).view(2, 1, 1, 1).expand(2, 3, 32, 32)])
    made = made_by(outliers._scrambled, pictures)[:BATCH]
    waves, turned = (torch.fft.rfft2(x).abs() for x in (pictures[:BATCH], made))
    # The half of the frequencies whose mirror image is not stored is enough.
    assert torch.allclose(turned[..., 1:16], waves[..., 1:16], atol=1e-3)
    assert torch.allclose(made.mean((2, 3)), pictures[:BATCH].mean((2, 3)), atol=1e-4)


def test_shapes_and_gradients_take_their_colours_from_the_batch():
    green = torch.zeros(BATCH, 3, 32, 32)
    green[:, 1] = 1.5
    for kind in (outliers._shapes, outliers._gradients):
        assert torch.allclose(made_by(kind, green), green)


def test_grain_is_added_to_half_of_the_pictures():
    grey = torch.zeros(400, 3, 16, 16)
    grain = outliers._grainy(grey, torch.Generator().manual_seed(0)).std((1, 2, 3))
    assert 0.4 < (grain == 0).double().mean() < 0.6
    assert 0.35 < grain.max() < 0.45


def test_shapes_are_often_symmetric():
    pictures = batch(33).repeat(10, 1, 1, 1)
    made = made_by(outliers._shapes, pictures)
    symmetric = (made == made.flip(3)).flatten(1).all(1)
    assert 0.3 < symmetric.double().mean() < 0.5
