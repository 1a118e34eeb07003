"""Unpickle a dictionary of lists, texts, numbers and uint8 arrays, and refuse everything else.

A pickle can name any function to call, and set the state of the objects that it builds. Here it can
name only the functions that such a dictionary needs, and gets substitutes for them, which refuse or
ignore a state; an array takes its shape and its bytes.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np


class PickleRefusedError(Exception):
    """The pickle needs more than plain data, or is damaged."""


def load_pickle(content: bytes) -> dict[str, Any]:
    """Return the pickled dictionary, its keys as text. Texts of Python 2 pickles stay bytes.

    Raises PickleRefusedError.
    """
    try:
        loaded = _PlainDataUnpickler(io.BytesIO(content), encoding="bytes").load()
    except PickleRefusedError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly any exception in the unpickler
        raise PickleRefusedError(f"damaged pickle ({type(error).__name__}: {error})") from error
    if not isinstance(loaded, dict):
        raise PickleRefusedError(f"the pickle holds a {type(loaded).__name__}, not a dictionary")
    return {key.decode("latin-1") if isinstance(key, bytes) else key: loaded[key] for key in loaded}


class _Uint8:
    """Substitute for the dtype of an array."""

    def __setstate__(self, _state: object) -> None:
        """Ignore byte order, fields and the rest: the array always gets uint8."""


class _Array(np.ndarray[Any, np.dtype[np.uint8]]):
    """An array that takes only its shape and its bytes from the pickle."""

    def __setstate__(self, state: Any, /) -> None:
        """Fill the empty array. Raises PickleRefusedError."""
        version, shape, kind, fortran_order, content = state
        if not isinstance(kind, _Uint8) or not isinstance(content, bytes):
            raise PickleRefusedError("the pickle holds an array whose type or bytes are missing")
        super().__setstate__((version, shape, np.dtype("u1"), fortran_order, content))


class _Callable:
    """A function that the pickle can call, but not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, _state: object) -> None:
        """Raise PickleRefusedError."""
        raise PickleRefusedError("the pickle changes a function: do not use this file")


def _reconstruct(*_: object) -> _Array:
    """Return the empty array that the pickle then fills."""
    return _Array((0,), "u1")


def _uint8(name: str | bytes, *_: object) -> _Uint8:
    """Substitute numpy.dtype."""
    if name not in ("u1", b"u1", "uint8", b"uint8"):
        raise PickleRefusedError(f"the pickle holds an array of {name!r}, not of uint8")
    return _Uint8()


def _latin1(text: str, encoding: str) -> bytes:
    """Substitute _codecs.encode, with which protocol 2 writes the bytes of Python 3."""
    if encoding not in ("latin1", b"latin1"):
        raise PickleRefusedError(f"the pickle uses the encoding {encoding!r}")
    return text.encode("latin-1")


_ADMITTED: dict[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): _Callable(_reconstruct),  # written by numpy 1
    ("numpy._core.multiarray", "_reconstruct"): _Callable(_reconstruct),  # written by numpy 2
    ("numpy", "ndarray"): object(),  # an argument of _reconstruct, which ignores it
    ("numpy", "dtype"): _Callable(_uint8),
    ("_codecs", "encode"): _Callable(_latin1),
}


class _PlainDataUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the substitute for an admitted name. Raises PickleRefusedError for any other."""
        try:
            return _ADMITTED[module_name, global_name]
        except KeyError:
            raise PickleRefusedError(
                f"the pickle names {module_name}.{global_name}, which plain data does not need: do not use this file"
            ) from None
