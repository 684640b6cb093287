"""Reads and checks the header of a safetensors file, without the weights and without torch."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

from registry.errors import NotACheckpoint
from registry.values import parse_json

_MAX_HEADER = 100_000_000
"""The bound of the safetensors library."""
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One entry of a header. ``start`` and ``end`` are offsets in bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, whose bytes they must fill without a gap.

    Raises:
        NotACheckpoint: not a safetensors file, a truncated one, or one that the library would refuse.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise NotACheckpoint(path, f"it is not a complete safetensors file: {size:,} bytes, header truncated")
        if length > _MAX_HEADER:
            raise NotACheckpoint(path, f"it is not a safetensors file: a header of {length:,} bytes")
        try:
            header = parse_json(file.read(length))
            if not isinstance(header, dict):
                raise TypeError("not a JSON object")
            tensors = {name: _tensor(name, entry) for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise NotACheckpoint(path, f"it is not a safetensors file: its header cannot be read ({error})") from error
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != end:
            raise NotACheckpoint(path, f"it is not a safetensors file: tensor {name!r} does not follow the one before")
        end = tensor.end
    if size != 8 + length + end:
        raise NotACheckpoint(path, f"it is truncated: {size:,} bytes, but its header declares {8 + length + end:,}")
    return tensors


def _tensor(name: str, entry: dict[str, object]) -> Tensor:
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        raise TypeError(f"tensor {name!r} has no shape or offsets")
    if not all(type(number) is int and 0 <= number < 2**63 for number in [*shape, *offsets]) or len(shape) > 64:
        raise ValueError(f"tensor {name!r} has a negative or broken size")
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise ValueError(f"tensor {name!r} has the unknown type {dtype!r}")
    if prod(shape) * _BITS[dtype] != (offsets[1] - offsets[0]) * 8:
        raise ValueError(f"tensor {name!r} of shape {shape} does not fill its bytes")
    return Tensor(dtype=dtype, shape=tuple(shape), start=offsets[0], end=offsets[1])
