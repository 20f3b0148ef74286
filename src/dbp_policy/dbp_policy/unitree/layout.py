"""One message, two layouts: DDS's CDR on the wire, and the C struct that Unitree's CRC is computed over.

CDR aligns each number to its own size but no struct to anything, so a byte that begins a struct may sit in what is
padding in C. Both layouts follow from one list of fields, and one is a permutation of the other's bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dbp_policy.errors import DbpError
from dbp_policy.unitree.crc import crc32_big_endian

CDR_LITTLE_ENDIAN = b"\x00\x01\x00\x00"
"""Encapsulation header that begins every CDR payload: representation CDR_LE, no options (DDSI-RTPS 2.2, 10.2)."""
HEADER_SIZE = len(CDR_LITTLE_ENDIAN)


class WireError(DbpError):
    """Bytes that are not the message they should be: length, encoding, checksum or fixed bytes."""


def _leaves(dtype: np.dtype, offset: int = 0, path: str = "") -> Iterator[tuple[str, int, int]]:
    """Yields (path, offset in the C struct, size) of each number in declaration order, such as `motor_state.3.q`."""
    if dtype.subdtype is not None:
        item, shape = dtype.subdtype
        for i in range(int(np.prod(shape))):
            yield from _leaves(item, offset + i * item.itemsize, f"{path}.{i}")
    elif dtype.names is not None:
        for name in dtype.names:
            field, start = dtype.fields[name][:2]
            yield from _leaves(field, offset + start, f"{path}.{name}" if path else name)
    else:
        yield path, offset, dtype.itemsize


class Layout:
    """The two layouts of a message that ends in a `crc` word.

    Args:
        name: What error messages call it.
        fields: numpy structured type description, nested, with the IDL's order and types.
    """

    def __init__(self, name: str, fields: list) -> None:
        self.name = name
        self.struct = np.dtype(fields, align=True)
        """C layout, natural alignment."""
        self._places: dict[str, tuple[int, int, int]] = {}  # position in CDR, offset in the struct, size
        # The header's first byte is always 0, so it stands in for every padding byte of the C struct.
        cdr_of_struct = np.zeros(self.struct.itemsize, np.intp)
        position = 0
        for path, offset, size in _leaves(self.struct):
            position += -position % size
            self._places[path] = HEADER_SIZE + position, offset, size
            cdr_of_struct[offset : offset + size] = HEADER_SIZE + position + np.arange(size)
            position += size
        self.cdr_size = HEADER_SIZE + position
        """Bytes on the wire, encapsulation header included."""
        crc_order = cdr_of_struct[:-4].reshape(-1, 4)[:, ::-1].ravel()
        self._crc_order = crc_order
        self._crc_offset = self._places["crc"][0]
        self._struct_bytes = np.flatnonzero(cdr_of_struct)
        self._cdr_bytes = cdr_of_struct[self._struct_bytes]
        self._struct_plan = self.plan(cdr_of_struct)

    def positions(self, *paths: str, width: int = 4) -> np.ndarray:
        """Where the numbers of these paths lie in the payload, `width` bytes each, shape (len(paths) * width,).

        A number smaller than `width` is filled up with zero bytes, which widens an unsigned integer.
        """
        found = np.zeros((len(paths), width), np.intp)  # position 0 holds a zero
        for row, path in zip(found, paths, strict=True):
            position, _, size = self._places[path]
            row[: min(size, width)] = position + np.arange(min(size, width))
        return found.ravel()

    def words(self, *paths: str) -> tuple[np.ndarray, np.ndarray]:
        """Where 4-byte numbers lie, counted in 32-bit words: in the payload, and in the C struct."""
        places = np.array([self._places[path] for path in paths])
        return places[:, 0] // 4, places[:, 1] // 4

    def plan(self, positions: np.ndarray) -> np.ndarray:
        """What `gather` needs to check a payload's CRC and fetch the bytes at `positions`, all in one pass."""
        return np.concatenate((self._crc_order, positions))

    def gather(self, cdr: bytes, plan: np.ndarray) -> np.ndarray:
        """The bytes a `plan` asks for, after the payload's length, encoding and CRC were found right.

        Raises:
            WireError: Any of them is wrong.
        """
        if len(cdr) != self.cdr_size:
            raise WireError(f"{self.name}: expected {self.cdr_size} bytes, got {len(cdr)}")
        if cdr[:2] != CDR_LITTLE_ENDIAN[:2]:
            raise WireError(f"{self.name}: expected CDR little-endian (0001), got encoding {cdr[:2].hex()}")
        gathered = np.frombuffer(cdr, np.uint8)[plan]
        computed = crc32_big_endian(gathered[: self._crc_order.size])
        received = int.from_bytes(cdr[self._crc_offset :], "little")
        if computed != received:
            raise WireError(f"{self.name}: expected CRC 0x{computed:08X}, got 0x{received:08X}")
        return gathered[self._crc_order.size :]

    def blank(self) -> np.ndarray:
        """A message of zeros, shape (), to be filled by field names."""
        return np.zeros((), self.struct)

    def to_record(self, cdr: bytes) -> np.ndarray:
        """A checked payload as a record with all fields by name, shape (), in the C layout.

        Raises:
            WireError: As `gather`.
        """
        return self.gather(cdr, self._struct_plan).view(self.struct).reshape(())

    def to_cdr(self, record: np.ndarray) -> bytes:
        """Payload of a record, its `crc` replaced by the right one."""
        cdr = np.zeros(self.cdr_size, np.uint8)
        cdr[:HEADER_SIZE] = np.frombuffer(CDR_LITTLE_ENDIAN, np.uint8)
        cdr[self._cdr_bytes] = np.frombuffer(record.tobytes(), np.uint8)[self._struct_bytes]
        crc = crc32_big_endian(cdr.take(self._crc_order))
        cdr[self._crc_offset :] = np.frombuffer(crc.to_bytes(4, "little"), np.uint8)
        return cdr.tobytes()
