"""IDX, the format of MNIST: a header that gives type and shape, then the values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyrocausal.errors import DataError


def read_idx(content: bytes, name: str, shape: tuple[int, ...]) -> Tensor:
    """The uint8 values of an IDX file that must have this shape; `name` is for errors.

    The header is two zero bytes, the type (8: uint8), the number of dimensions, and each dimension as a
    big-endian 32-bit integer.

    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]), "labels", (3,))
    tensor([5, 0, 4], dtype=torch.uint8)
    """
    start = 4 + 4 * len(shape)
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    if content[:start] != header or len(content) != start + math.prod(shape):
        raise DataError(
            f"{name} is not an IDX file of {math.prod(shape):,} bytes in the shape {shape}",
            why=_what_it_is(content),
            fix="put the published file in its place",
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).reshape(shape)


def _what_it_is(content: bytes) -> str:
    if content[:3] != bytes([0, 0, 8]) or len(content) < 4:
        return f"it starts with {content[:4]!r}, and an IDX file of bytes with two zeros and an 8"
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    return f"its header says {shape}, and {max(len(content) - start, 0):,} bytes follow"
