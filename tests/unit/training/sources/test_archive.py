"""Archives: safe unpickling, layout, labels; and the choice of classes."""

import codecs
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.training.cifar_archives import members, noise, python2_pickle, write_archive
from training.sources.archive import ArchiveError, archive_source
from training.sources.safe_pickle import PickleRefusedError, load_pickle
from training.sources.source import ClassNameError, choose_classes

CLASSES = ["bicycle", "motorcycle"]


class Reduced:
    """Pickles as this call, with a state that the pickle sets afterwards."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def malicious(function, *arguments):
    return Reduced(function, arguments)


def with_state(value, state):
    return Reduced(*value.__reduce__()[:2], state)


def array_with_state(state):
    return pickle.dumps({"data": with_state(np.zeros(4, np.uint8), state)}, 2)


def function_with_state(name, state):
    return b"\x80\x02" + name + pickle.dumps(state, 2)[2:-1] + b"b."


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (pickle.dumps({"data": malicious(print, "owned")}), "builtins.print"),
        (pickle.dumps({"data": malicious(os.system, "true")}), "posix.system"),
        (pickle.dumps({"data": malicious(np.load, "x.npy")}, 2), "numpy"),
        (pickle.dumps({"data": np.array([Reduced])}), "dtype|'O8'"),
        (pickle.dumps({"data": np.zeros(3, np.float64)}), "f8"),
        (pickle.dumps({"x": malicious(codecs.encode, "a" * 9, "zlib_codec")}, 2), "zlib_codec"),
        (pickle.dumps(["a list"]), "a list, not a dictionary"),
        (pickle.dumps({"data": 1})[:-4], "damaged pickle"),
        (b"", "damaged pickle"),
        (array_with_state((1, (4,), np.dtype("u1"), False, [1, 2, 3, 4])), "type or bytes are missing"),
        (array_with_state((1, (4,), "u1", False, b"abcd")), "type or bytes are missing"),
        (array_with_state((1, (2**40,), np.dtype("u1"), False, b"abcd")), "damaged pickle"),
        (array_with_state((1, (-4,), np.dtype("u1"), False, b"abcd")), "damaged pickle"),
        (array_with_state((1, (4,))), "damaged pickle"),
        (array_with_state({"shape": (4,)}), "damaged pickle"),
        *(
            (function_with_state(name, state), "changes a function|damaged pickle")
            for name in (b"cnumpy\ndtype\n", b"c_codecs\nencode\n", b"cnumpy\nndarray\n")
            for state in ({"__defaults__": 7}, (None, {"__defaults__": 7, "_function": 7}))
        ),
    ],
)
def test_load_pickle_of_more_than_plain_data_fails(content, named):
    with pytest.raises(PickleRefusedError, match=named):
        load_pickle(content)
    assert load_pickle(pickle.dumps({"data": noise(2)}, 2))["data"].shape == (2, 3072)


HOSTILE_DTYPE = with_state(np.dtype("u1"), (3, "<", None, ("f",), {"f": (np.dtype("u1"), 9)}, 9, 1, 0))


def test_load_pickle_ignores_the_state_of_a_dtype():
    data = load_pickle(array_with_state((1, (4,), HOSTILE_DTYPE, False, b"abcd")))["data"]

    assert (data.dtype, data.tolist()) == (np.dtype("u1"), [97, 98, 99, 100])
    assert np.array_equal(data + 1, [98, 99, 100, 101])


@pytest.mark.parametrize("dump", [python2_pickle, pickle.dumps, lambda value: pickle.dumps(value, protocol=2)])
def test_load_pickle_reads_pickles_of_python_2_and_3(dump):
    data = noise(2)
    fields = load_pickle(dump({"data": data, "fine_labels": [1, 2], "batch_label": b"one"}))

    assert (fields["data"] == data).all()
    assert fields["fine_labels"] == [1, 2]
    assert fields["batch_label"] == b"one"


@pytest.mark.parametrize("kept", [0, 1, 30, 500, 0.5, 0.99])
def test_truncated_archive_is_named(tmp_path: Path, kept):
    whole = write_archive(tmp_path / "whole.tar.gz", members()).read_bytes()
    path = tmp_path / "cut.tar.gz"
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])

    with pytest.raises(ArchiveError, match=r"cut\.tar\.gz is not a whole tar archive"):
        archive_source(path, CLASSES)


def test_archive_source_with_missing_file_or_member_fails(tmp_path: Path):
    with pytest.raises(ArchiveError, match="does not exist"):
        archive_source(tmp_path / "none.tar.gz", CLASSES)
    pickles = members()
    del pickles["test"]
    with pytest.raises(ArchiveError, match="lacks test"):
        archive_source(write_archive(tmp_path / "a.tar.gz", pickles), CLASSES)


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("train", pickle.dumps({"data": malicious(print, "owned")}), r"a\.tar\.gz: the pickle names builtins\.print"),
        ("meta", python2_pickle({"label_names": ["a"]}), "no list fine_label_names"),
        ("train", python2_pickle({"data": noise(2), "fine_labels": [0]}), "one fine label for each"),
        ("train", python2_pickle({"data": noise(2), "fine_labels": [0, 4]}), "label outside 0 to 3"),
        ("test", python2_pickle({"data": noise(2)[:, :99].copy(), "fine_labels": [0, 1]}), r"uint8 \[pictures, "),
        ("test", python2_pickle({"data": noise(1), "fine_labels": [0], "filenames": ["a", "b"]}), "one file name"),
        ("test", python2_pickle({"data": noise(1), "fine_labels": [0], "filenames": [1]}), "not a list of texts"),
        ("test", python2_pickle({"data": noise(1), "fine_labels": [0], "filenames": 1}), "not a list of texts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "pickle",
)
def test_archive_with_an_unusable_member_fails(tmp_path: Path, member, content, message):
    path = write_archive(tmp_path / "a.tar.gz", members() | {member: content})

    with pytest.raises(ArchiveError, match=message):
        archive_source(path, CLASSES)


def test_archive_pictures_have_the_class_of_their_label_and_the_pixels_of_their_row(tmp_path: Path):
    pickles = members(per_class=3, tests_per_class=1)
    source = archive_source(write_archive(tmp_path / "a.tar.gz", pickles), ["motorcycle", "bus"])
    pictures: list[Any] = list(source.pictures())

    assert source.classes == ["bus", "motorcycle"]
    assert source.total == len(pictures) == 2 * 3 + 2 * 1
    assert [p.class_name for p in pictures[:4]] == ["bus", "motorcycle", "bus", "motorcycle"]
    assert [p.split for p in pictures] == [None] * 6 + ["test"] * 2
    red, green, blue = noise(12)[1].reshape(3, 32, 32)  # row 1 is the first bus
    assert (np.asarray(pictures[0].image) == np.stack([red, green, blue], axis=2)).all()


def test_archive_with_repeated_or_unsafe_file_names_makes_them_unique_and_safe(tmp_path: Path):
    fields = {
        "data": noise(4),
        "fine_labels": [0, 2, 0, 2],
        "filenames": ["../../x.png", "../../x.png", "a b.png", "é.png"],
    }
    path = write_archive(tmp_path / "a.tar.gz", members() | {"train": python2_pickle(fields)})
    pictures: list[Any] = list(archive_source(path, CLASSES).pictures())
    names = [p.name for p in pictures if p.split is None]

    assert names == ["train-x-0", "train-x-1", "train-a_b", "train-picture"]


@pytest.mark.parametrize(
    ("wanted", "available", "message"),
    [
        (["motorbicycle", "bus"], ["bicycle", "bus", "motorcycle"], "did you mean motorcycle"),
        (["zzz"], ["bus", "bicycle"], "there are bicycle, bus"),
        (["bus", "Bus"], ["bus", "bicycle"], "at least two"),
        (["Car", "bus"], ["Car", "bus", "car"], "'Car' and 'car' differ only in case"),
        (["a,b", "bus"], ["a,b", "bus"], "rename it"),
    ],
)
def test_choose_classes_with_unusable_names_fails(wanted, available, message):
    with pytest.raises(ClassNameError, match=message):
        choose_classes(wanted, available)


@pytest.mark.parametrize(
    ("wanted", "available", "chosen"),
    [
        (["van", "bus"], ["Car", "bus", "car", "van"], ["bus", "van"]),
        (["Pickup Truck", "bus"], ["bus", "pickup_truck"], ["bus", "pickup_truck"]),
    ],
    ids=["ambiguous class not wanted", "case and spaces"],
)
def test_choose_classes_returns_the_names_of_the_source(wanted, available, chosen):
    assert choose_classes(wanted, available) == chosen
