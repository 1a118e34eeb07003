"""Unpickle a dictionary of lists, texts, numbers and uint8 arrays, and nothing else.

A pickle may name any function to call. This one may name the four that such a dictionary needs,
and gets stand-ins that can build nothing but that.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PickleRefusedError(Exception):
    """The pickle asks for something that plain data does not need, or is damaged."""


def load_pickle(content: bytes) -> dict[str, Any]:
    """Return the pickled dictionary, its keys as text. Texts of Python 2 pickles stay bytes.

    Raises PickleRefusedError.
    """
    try:
        loaded = _PlainDataUnpickler(io.BytesIO(content), encoding="bytes").load()
    except PickleRefusedError:
        raise
    # A damaged pickle can fail in any operation of the unpickler, with nearly any exception.
    except Exception as error:
        raise PickleRefusedError(f"damaged pickle ({type(error).__name__}: {error})") from error
    if not isinstance(loaded, dict):
        raise PickleRefusedError(f"the pickle holds a {type(loaded).__name__}, not a dictionary")
    return {key.decode("latin-1") if isinstance(key, bytes) else key: loaded[key] for key in loaded}


class _Ndarray:
    """Stands for the class numpy.ndarray, which the pickle names but never gets."""


def _reconstruct(*_: object) -> NDArray[np.int8]:
    """Make the empty array that the pickle then fills with type, shape and bytes."""
    return np.ndarray((0,), "b")


def _uint8(name: str | bytes, *_: object) -> "np.dtype[np.uint8]":
    """Stand for numpy.dtype: a copy, since the pickle then sets its state."""
    if name not in ("u1", b"u1", "uint8", b"uint8"):
        raise PickleRefusedError(f"the pickle holds an array of {name!r}, not of uint8")
    return np.dtype("u1", copy=True)


def _latin1(text: str, encoding: str) -> bytes:
    """Stand for _codecs.encode, with which protocol 2 writes the bytes of Python 3."""
    if encoding not in ("latin1", b"latin1"):
        raise PickleRefusedError(f"the pickle uses the encoding {encoding!r}")
    return text.encode("latin-1")


_ADMITTED: dict[tuple[str, str], type | Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # written by numpy 1
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # written by numpy 2
    ("numpy", "ndarray"): _Ndarray,
    ("numpy", "dtype"): _uint8,
    ("_codecs", "encode"): _latin1,
}


class _PlainDataUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the stand-in for an admitted name. Raises PickleRefusedError for any other."""
        try:
            return _ADMITTED[module_name, global_name]
        except KeyError:
            raise PickleRefusedError(
                f"the pickle names {module_name}.{global_name}, which plain data does not need:"
                " do not use this file"
            ) from None
