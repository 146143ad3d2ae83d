"""A file on disk -> chunks of UTF-8: opened with care, hashed, unpacked and decoded on the way.

Where records begin and end in the text is left to `ml2021.data.csv.scan`.
"""

import codecs
import gzip
import hashlib
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ml2021.errors import DataError, ResourceError, is_of_machine
from ml2021.formatting import printable

CHUNK = 1 << 20
"""Bytes read at a time: with this many, the arrays of the scan fit the cache."""

_NOT_TEXT = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook; save it as CSV"),
    (b"PAR1", "Parquet; give its name the ending .parquet"),
    (b"BZh", "a bzip2 file; unpack it, or pack it with gzip"),
    (b"\xfd7zXZ\0", "an xz file; unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file; unpack it, or pack it with gzip"),
    (b"%PDF-", "a PDF; save its table as CSV"),
)


def show_path(path: Path) -> str:
    """Return a path for a message: whole, its control characters escaped."""
    return printable(str(path))


def file_error(path: Path, what: str) -> DataError:
    """Return the error that says `what` about a file as a whole."""
    return DataError(f"{show_path(path)}: {what}")


def _refused(path: Path, done: str, error: OSError) -> DataError | ResourceError:
    """Return the error for a file that the system does not let be opened or read."""
    kind = ResourceError if is_of_machine(error) else DataError
    return kind(f"{show_path(path)}: cannot be {done}: {error.strerror}")


def changed_error(path: Path) -> DataError:
    """Return the error for a file that is not what it was when reading began."""
    return file_error(path, "changed while it was read; try again once it is complete")


class HashedFile:
    """A regular file whose bytes are hashed as they are read; `state` tells its versions apart.

    Raises:
        DataError: not found, not a regular file (and never waited for), or not readable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # without O_NONBLOCK, opening a FIFO would wait until somebody writes to it
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise file_error(path.absolute(), "no such file; check the path") from None
        except OSError as error:
            raise _refused(path, "opened", error) from None
        except ValueError as error:
            raise file_error(path, f"cannot be opened: {error}") from None
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            if stat.S_ISDIR(mode):
                raise file_error(path, "a directory; name a file in it")
            raise file_error(path, "not a regular file; write its content to a file and name that")
        self._file = io.FileIO(descriptor)
        self._hash = hashlib.sha256()
        self.state = self._stat()

    def _stat(self) -> tuple[int, int, int, int]:
        now = os.fstat(self._file.fileno())
        return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns

    @property
    def share_read(self) -> float:
        """How much of the file has been read, above 0 and at most 1."""
        size = self.state[2]
        return min(1.0, max(1, self._file.tell()) / size) if size else 1.0

    def head(self, size: int = 4096) -> bytes:
        """Return the first bytes; only before any other reading."""
        data = self._file.read(size)
        self._file.seek(0)
        return data or b""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size` of them; none at the end."""
        try:
            data = self._file.read(size) or b""
        except OSError as error:
            raise _refused(self.path, "read", error) from None
        self._hash.update(data)
        return data

    def seek(self, offset: int) -> int:
        """Refuse: a stream that is hashed goes forward only (`gzip` asks for the method)."""
        raise io.UnsupportedOperation("seek")

    def finish(self) -> str:
        """Read what is left and return the SHA-256 of it all.

        Raises:
            DataError: the file is not what it was when it was opened.
        """
        while self.read(CHUNK):
            pass
        if self._stat() != self.state:
            raise changed_error(self.path)
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class UndecodableError(Exception):
    """Bytes that are no text in the encoding; `before` is the text of their chunk before them."""

    def __init__(self, before: bytes, what: str) -> None:
        super().__init__(what)
        self.before = before
        self.what = what


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def codec_name(encoding: str) -> str:
    """Return the one name of a text encoding.

    Raises:
        DataError: there is no such encoding, or it is not one of text.
    """
    try:
        name = codecs.lookup(encoding).name
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    except (LookupError, ValueError):
        raise DataError(
            f"data.encoding: no encoding is called {encoding!r}; utf-8 is the usual one"
        ) from None
    return "utf-8" if name == "utf-8-sig" else name


def text_chunks(file: HashedFile, encoding: str) -> Iterator[bytes]:
    """Yield a file's text as UTF-8, without byte order mark; a chunk may end inside a character.

    `encoding` is as `codec_name` gives it.

    Raises:
        DataError: damaged, or a format that is not text.
        UndecodableError: not text in this encoding.
    """
    stream = _unpacked(file)
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    utf8 = encoding == "utf-8"
    first = True
    chunk = b"-"
    while chunk:
        try:
            chunk = stream.read(CHUNK)
        except (EOFError, OSError, zlib.error) as error:
            raise file_error(file.path, f"damaged gzip: {error}; get it again") from None
        state = decoder.getstate()
        text = chunk
        if not (utf8 and chunk and chunk.isascii() and not state[0]):
            try:
                decoded = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                decoder.setstate(state)
                before = decoder.decode(chunk[: max(0, error.start - len(state[0]))])
                what = _encoding_message(encoding, error)
                raise UndecodableError(before.encode(errors="replace"), what) from None
            if not utf8:
                # utf-7 lets lone surrogates through, which UTF-8 cannot hold
                text = decoded.encode(errors="replace")
        if first:
            text = text.removeprefix(codecs.BOM_UTF8)
            first = False
        if text:
            yield text


def _unpacked(file: HashedFile) -> _Readable:
    head = file.head()
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if file.path.suffix == ".gz":
        raise file_error(file.path, "not gzip, though its name ends in .gz; rename or replace it")
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head or b"[Content_Types].xml" in head:
            raise file_error(file.path, "an Excel workbook; save it as CSV")
        raise file_error(file.path, "a zip archive; unpack it")
    for signature, what in _NOT_TEXT:
        if head.startswith(signature):
            raise file_error(file.path, what)
    return file


def _encoding_message(encoding: str, error: UnicodeDecodeError) -> str:
    data = bytes(error.object)
    if encoding != "utf-8":
        return f"not {encoding} ({error.reason}); set data.encoding to what the file was saved in"
    likely = _likely_encoding(data, error.start)
    return f"not UTF-8, it looks like {likely}; set data.encoding: {likely.lower()}"


def _likely_encoding(data: bytes, start: int) -> str:
    """Guess from the bytes around the first one that is not UTF-8."""
    for mark, name in (
        (codecs.BOM_UTF32_LE, "UTF-32"),
        (codecs.BOM_UTF32_BE, "UTF-32"),
        (codecs.BOM_UTF16_LE, "UTF-16"),
        (codecs.BOM_UTF16_BE, "UTF-16"),
    ):
        if data.startswith(mark):
            return name
    sample = data[start : start + 65536]
    runs = re.findall(rb"[\x80-\xff]+", sample)
    # accented letters stand alone between ASCII ones; two-byte characters come in runs
    if 2 * sum(len(run) == 1 for run in runs) < len(runs):
        for name in ("GBK", "Big5"):
            decoder = codecs.getincrementaldecoder(name)("strict")
            try:
                decoder.decode(sample)
            except UnicodeDecodeError:
                continue
            if name != "GBK" or all(len(run) % 2 == 0 for run in runs[:-1]):
                return name
    return "cp1252" if re.search(rb"[\x80-\x9f]", sample) else "Latin-1"
