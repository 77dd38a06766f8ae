"""Values as bytes and back: numbers, texts, arrays, tables, containers, and records of this package's own dataclasses.

Reading executes nothing that the bytes contain: they name classes of this package, and nothing else is constructed.
"""

from __future__ import annotations

import io
import json
import math
import struct
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

LENGTH = struct.Struct("<Q")
PACKAGE = __name__.partition(".")[0]


class UnencodableError(TypeError):
    """A value has a part that is neither data nor a record of this package."""


def encode(value: Any) -> bytes:
    """A value as bytes.

    Numbers keep every bit. A subclass of float or int becomes a float or an int.

    Raises
    ------
    UnencodableError
        If it contains anything that :func:`decode` could not construct.

    Examples
    --------
    >>> decode(encode({"a": (1, 0.1), "b": np.arange(2.0)}))
    {'a': (1, 0.1), 'b': array([0., 1.])}
    """
    binary: list[bytes] = []
    tree = json.dumps(_flattened(value, binary)).encode()
    return b"".join(LENGTH.pack(len(part)) + part for part in (tree, *binary))


def decode(content: bytes) -> Any:
    """The value that :func:`encode` turned into these bytes.

    Raises
    ------
    ValueError
        If the bytes are none that it writes.
    """
    tree, *binary = _parts(content)
    try:
        return _value(json.loads(tree), binary)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _parts(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        (length,) = LENGTH.unpack_from(content, at)
        at += LENGTH.size
        if at + length > len(content):
            raise ValueError("a part is cut off")
        yield content[at : at + length]
        at += length


def _flattened(value: Any, binary: list[bytes]) -> Any:
    """A value as JSON: plain values as they are, all others as a list that begins with their kind."""
    if value is None or isinstance(value, bool | np.bool_ | str):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcSU":
        file = io.BytesIO()
        np.lib.format.write_array(file, value, allow_pickle=False)
        binary.append(file.getvalue())
        return ["array", len(binary) - 1]
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else ["float", str(float(value))]
    if isinstance(value, list | tuple | set | frozenset):
        kind = next(one for one in ("list", "tuple", "set", "frozenset") if type(value).__name__ == one)
        return [kind, *(_flattened(part, binary) for part in value)]
    if isinstance(value, dict):
        return ["dict", *([_flattened(key, binary), _flattened(part, binary)] for key, part in value.items())]
    if is_dataclass(value) and type(value).__module__.partition(".")[0] == PACKAGE:
        kept = {one.name: _flattened(getattr(value, one.name), binary) for one in fields(value) if one.compare}
        return ["record", type(value).__module__, type(value).__qualname__, kept]
    kind = type(value).__module__.partition(".")[0], type(value).__name__
    if kind in (("pandas", "DataFrame"), ("pyarrow", "Table")):
        binary.append(_table_bytes(value))
        return ["table", kind[0], len(binary) - 1]
    raise UnencodableError(f"a value of type {type(value).__name__}")


def _value(tree: Any, binary: list[bytes]) -> Any:
    if not isinstance(tree, list):
        return tree
    kind, *parts = tree
    if kind == "array":
        return np.lib.format.read_array(io.BytesIO(binary[parts[0]]), allow_pickle=False)
    if kind == "float":
        return float(parts[0])
    if kind in ("list", "tuple", "set", "frozenset"):
        made = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind]
        return made(_value(part, binary) for part in parts)
    if kind == "dict":
        return {_value(key, binary): _value(part, binary) for key, part in parts}
    if kind == "table":
        table = _table(binary[parts[1]])
        return table.to_pandas() if parts[0] == "pandas" else table
    if kind != "record":
        raise ValueError(f"there are no values of the kind {kind!r}")
    module, name, kept = parts
    return _record(module, name, kept, binary)


def _record(module: str, name: str, kept: dict[str, Any], binary: list[bytes]) -> Any:
    """A record with its fields as they were. Fields that comparisons ignore are caches, and begin anew."""
    found = getattr(sys.modules.get(module), name, None)
    if module.partition(".")[0] != PACKAGE or not (isinstance(found, type) and is_dataclass(found)):
        raise ValueError(f"there is no record {module}.{name}")
    return found(**{name: _value(part, binary) for name, part in kept.items()})


def _table_bytes(table: Any) -> bytes:
    import pyarrow as pa

    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as file:
        file.write_table(table)
    return sink.getvalue().to_pybytes()


def _table(content: bytes) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(content).read_all()
