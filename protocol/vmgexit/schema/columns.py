"""Many records at once: a buffer of equal structures to numpy columns by field path, and back.

    >>> from vmgexit.schema.columns import columns
    >>> found = columns(ExtIntDescriptor, dump, ["status.pending_vector", "irr"])
    >>> np.flatnonzero(found["status.pending_vector"] == 0x61)

Only the fields that are asked for are touched. A field of whole bytes is a view into the buffer, with
the structure's size as its stride; bit fields are shifted out of their words, each word read once and
in pieces that stay in the processor's cache. Needs numpy: the extra `batch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import DecodeError, EncodeError, UsageError, VmgexitError
from .structure import Bits, Kind, Structure
from .walk import Place, locate, walk
from .whole import Whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Column = NDArray[Any]

# Records whose words are in the cache together; with fewer, the calls themselves take the time.
_CHUNK = 1 << 16


def columns(
    cls: type[Structure], buffer: Any, paths: Iterable[str] | None = None
) -> dict[str, Column]:
    """The fields at `paths` of every `cls` in `buffer`, one array of N values each; None is all.

    Integers and enums are unsigned integers of the fewest bytes, flags are bools; bytes and bitmaps
    are N rows of uint8. The path of a structure or an array stands for all that it holds. Fields
    of whole bytes are views of the buffer, the others copies.

    Of a structure of any length, the buffer is one, and the columns are those of its list's elements:
    `entries.frame`. Raises DecodeError unless the buffer holds whole records, UsageError for an unknown
    path.
    """
    np = _numpy()
    if issubclass(cls, Whole) and cls.declaration.any_length:
        return _of_list(cls, buffer, paths)
    records = _records(cls, buffer, np)
    asked = list(_asked(cls, paths))
    room = _empty([place for place in asked if not _is_whole(place)], len(records), np)
    found: dict[str, Column] = {}
    words: dict[tuple[int, int], list[Place]] = {}
    for place in asked:
        if _is_whole(place):
            found[place.path] = _whole(place, records)
        else:
            found[place.path] = room[place.path]
            words.setdefault(_word(place), []).append(place)
    for (byte, size), places in words.items():
        _split(_integers(records, byte, size), places, found, np)
    return found


def _of_list(cls: type[Whole], buffer: Any, paths: Iterable[str] | None) -> dict[str, Column]:
    """The columns of the elements of a list, under the list's name: `entries.frame`."""
    view = memoryview(buffer).cast("B")
    field = cls.shape_of(view).list_field()
    assert field.of is not None
    prefix = f"{field.name}."
    for path in paths or ():
        if not path.startswith(prefix):
            raise UsageError(f"{path}: columns of {cls.declaration.name} are of its {field.name}")
    inner = None if paths is None else [path.removeprefix(prefix) for path in paths]
    held = view[field.byte_offset : field.byte_offset + field.size]
    found = columns(field.of, held, inner)
    return {f"{prefix}{path}": column for path, column in found.items()}


def write(cls: type[Structure], buffer: Any, values: Mapping[str, ArrayLike]) -> None:
    """Put columns into the records of `buffer`, in place; all other bits stay as they are.

    A column is what `columns` gives for the path, or one value for all records. Raises EncodeError
    for a value out of range, with its path and record, before anything is written.
    """
    np = _numpy()
    records = _records(cls, buffer, np)
    checked = [
        (place, _checked(place, values[place.path], len(records), np))
        for place in _leaves_only(cls, values)
    ]
    for place, column in checked:
        if _is_whole(place):
            _whole(place, records)[...] = column
            continue
        byte, size = _word(place)
        word = _integers(records, byte, size)
        ones = (1 << place.field.width) - 1
        word &= word.dtype.type((1 << 8 * size) - 1 ^ ones << place.field.bit_offset)
        word |= column.astype(word.dtype) << word.dtype.type(place.field.bit_offset)


def pack(cls: type[Structure], values: Mapping[str, ArrayLike], count: int) -> bytearray:
    """`count` records of `cls` that hold `values`, and zero wherever none are given."""
    buffer = bytearray(count * cls.size)
    write(cls, buffer, values)
    return buffer


def _numpy() -> ModuleType:
    try:
        import numpy
    except ImportError:
        raise VmgexitError(
            "columns need numpy, which is not installed; the extra has it: vmgexit[batch]"
        ) from None
    return numpy


def _records(cls: type[Structure], buffer: Any, np: ModuleType) -> Column:
    """The buffer as rows of bytes."""
    view = memoryview(buffer)
    if view.nbytes % cls.size:
        raise DecodeError(
            f"{cls.declaration.name}: {view.nbytes} bytes are not whole records of {cls.size}",
            offset=view.nbytes - view.nbytes % cls.size,
        )
    rows: Column = np.frombuffer(view.cast("B") if view.nbytes else b"", np.uint8)
    return rows.reshape(-1, cls.size)


# --- Which fields ---------------------------------------------------------------------------------


_known: dict[type[Structure], dict[str, Place]] = {}


def _places(cls: type[Structure]) -> dict[str, Place]:
    """Every field by its path; kept, as a walk takes longer than a few hundred records."""
    if cls not in _known:
        _known[cls] = {place.path: place for place in walk(cls)}
    return _known[cls]


def _asked(cls: type[Structure], paths: Iterable[str] | None) -> Iterator[Place]:
    known = _places(cls)
    if paths is None:
        yield from (place for place in known.values() if place.is_leaf)
        return
    for path in dict.fromkeys(paths):
        place = known.get(path) or locate(cls, path)  # which says what is near
        if place.is_leaf:
            yield place
        else:
            inside = (f"{path}.", f"{path}[")
            held = (each for each in known.values() if each.path.startswith(inside))
            yield from (each for each in held if each.is_leaf)


def _leaves_only(cls: type[Structure], paths: Iterable[str]) -> Iterator[Place]:
    known = _places(cls)
    for path in paths:
        place = known.get(path) or locate(cls, path)
        if not place.is_leaf:
            raise EncodeError(f"{path}: holds fields; give their columns", path=path)
        yield place


def _is_whole(place: Place) -> bool:
    """Whether the field is bytes of its own that numpy has a type for."""
    if place.field.kind in (Kind.BYTES, Kind.BITMAP):
        return True
    whole = place.bit_offset % 8 == 0 and place.field.width in (8, 16, 32, 64)
    return whole and place.field.kind is Kind.UINT


def _word(place: Place) -> tuple[int, int]:
    """First byte and size of the word that a bit field is in."""
    assert issubclass(place.owner, Bits)
    return (place.bit_offset - place.field.bit_offset) // 8, place.owner.size


def _dtype(place: Place, np: ModuleType) -> Any:
    if place.field.kind is Kind.FLAG:
        return np.dtype(np.bool_)
    return np.dtype(f"u{_bytes_for(place.field.width)}")


def _bytes_for(width: int) -> int:
    return next(size for size in (1, 2, 4, 8) if width <= 8 * size)


# --- Bytes to columns -----------------------------------------------------------------------------


def _integers(records: Column, byte: int, size: int) -> Column:
    """The integers of `size` bytes at `byte` of each record, in place."""
    integers: Column = records[:, byte : byte + size].view(f"<u{size}")[:, 0]
    return integers


def _whole(place: Place, records: Column) -> Column:
    byte, size = place.bit_offset // 8, place.field.size
    if place.field.kind is Kind.UINT:
        return _integers(records, byte, size)
    return records[:, byte : byte + size]


def _empty(places: list[Place], count: int, np: ModuleType) -> dict[str, Column]:
    """Columns to fill, in one piece of memory: fresh pages cost more than what is done with them."""
    sizes = [-(-count * _dtype(place, np).itemsize // 64) * 64 for place in places]
    block, start = np.empty(sum(sizes), np.uint8), 0
    found: dict[str, Column] = {}
    for place, size in zip(places, sizes, strict=True):
        kind = _dtype(place, np)
        found[place.path] = block[start : start + count * kind.itemsize].view(kind)
        start += size
    return found


def _split(words: Column, places: list[Place], found: dict[str, Column], np: ModuleType) -> None:
    """Fill the columns of bit fields that share a word."""
    size = min(_CHUNK, len(words))
    word, scratch = np.empty(size, words.dtype), np.empty(size, words.dtype)
    kind = words.dtype.type
    for start in range(0, len(words), _CHUNK):
        stop = min(start + _CHUNK, len(words))
        held, shifted = word[: stop - start], scratch[: stop - start]
        held[...] = words[start:stop]
        for place in places:
            field, column = place.field, found[place.path][start:stop]
            low, ones = field.bit_offset, (1 << field.width) - 1
            if field.kind is Kind.FLAG:
                np.bitwise_and(held, kind(1 << low), out=shifted)
                np.not_equal(shifted, 0, out=column)
                continue
            np.right_shift(held, kind(low), out=shifted)
            if low + field.width < 8 * words.itemsize:
                np.bitwise_and(shifted, kind(ones), out=shifted)
            column[...] = shifted


# --- Columns to bytes -----------------------------------------------------------------------------


def _checked(place: Place, values: ArrayLike, count: int, np: ModuleType) -> Column:
    """The values as an array that can be stored; every one is known to fit."""
    path, field = place.path, place.field
    column: Column = np.asarray(values)
    if column.size and not (np.issubdtype(column.dtype, np.integer) or column.dtype == np.bool_):
        raise EncodeError(f"{path}: {column.dtype} values are not integers", path=path)
    rows = field.kind in (Kind.BYTES, Kind.BITMAP)
    shape = (count, field.size) if rows else (count,)
    try:
        column = np.broadcast_to(column, shape)
    except ValueError:
        raise EncodeError(
            f"{path}: an array of {column.shape} found, {shape} expected", path=path
        ) from None
    width = 8 if rows else field.width
    wrong = column < 0
    if column.dtype.itemsize * 8 > width and column.dtype != np.bool_:
        wrong = wrong | (column >> width != 0)
    if wrong.any():
        record = int(np.argwhere(wrong)[0][0])
        value = int(column[wrong].flat[0])
        bits = f"{width} bit{'s' * (width > 1)}"
        raise EncodeError(f"{path}: record {record}: {value} does not fit {bits}", path=path)
    return column
