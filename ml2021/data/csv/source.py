"""Read a file as chunks of UTF-8: hash, decompress and decode it on the way."""

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

from ml2021.errors import DataError, ResourceError, is_of_machine
from ml2021.files import missing_file
from ml2021.formatting import printable

CHUNK = 1 << 20
"""Bytes to read at a time, few enough for the arrays of the scan to fit in the cache."""

_SPREADSHEET = (
    "this is a spreadsheet; in Excel or LibreOffice, save it as CSV (File > Save As > CSV UTF-8) "
    "and give that file"
)
_IN_SPREADSHEETS = (b"xl/", b"[Content_Types].xml", b"opendocument.spreadsheet")
_NOT_TEXT = (
    (b"\xd0\xcf\x11\xe0", _SPREADSHEET),
    (b"PK\x03\x04", "this is a zip archive; extract the table"),
    (b"PAR1", "this is a Parquet file; rename it to end in .parquet"),
    (b"BZh", "this is a bzip2 file; decompress it or use gzip"),
    (b"\xfd7zXZ\0", "this is an xz file; decompress it or use gzip"),
    (b"\x28\xb5\x2f\xfd", "this is a Zstandard file; decompress it or use gzip"),
    (b"%PDF-", "this is a PDF; save its table as CSV"),
)


def show_path(path: Path) -> str:
    """Return the whole path for a message, control characters escaped."""
    return printable(str(path))


def file_error(path: Path, what: str) -> DataError:
    """Return the error `what` about the whole file."""
    return DataError(f"{show_path(path)}: {what}")


def os_error(path: Path, action: str, error: OSError) -> DataError | ResourceError:
    """Return the error for a file that the system cannot open or read."""
    kind = ResourceError if is_of_machine(error) else DataError
    return kind(f"{show_path(path)}: cannot be {action}: {error.strerror}")


def changed_error(path: Path) -> DataError:
    """Return the error for a file that changed after reading began."""
    return file_error(path, "the file changed while being read; retry once it is complete")


def file_state(descriptor: int) -> tuple[int, int, int, int]:
    """Return what changes when an open file does."""
    now = os.fstat(descriptor)
    return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns


class HashedFile:
    """A regular file that is hashed as it is read; `state` changes when the file does.

    Raises DataError if it does not exist, is not a regular file, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # without O_NONBLOCK, opening a FIFO would block until another process writes to it
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise DataError(missing_file(path)) from None
        except OSError as error:
            raise os_error(path, "opened", error) from None
        except ValueError as error:
            raise file_error(path, f"cannot be opened: {error}") from None
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            if stat.S_ISDIR(mode):
                raise file_error(path, "this is a directory; give the path of a file")
            raise file_error(path, "not a regular file; give the path of a CSV or Parquet file")
        self._file = io.FileIO(descriptor)
        self._hash = hashlib.sha256()
        self.state = self._stat()

    def _stat(self) -> tuple[int, int, int, int]:
        return file_state(self._file.fileno())

    @property
    def share_read(self) -> float:
        """The share of the file that has been read, above 0 and at most 1."""
        size = self.state[2]
        return min(1.0, max(1, self._file.tell()) / size) if size else 1.0

    def head(self, size: int = 4096) -> bytes:
        """Return the first bytes without consuming them; call it before any `read`."""
        data = self._file.read(size)
        self._file.seek(0)
        return data or b""

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` more bytes, empty at the end."""
        try:
            data = self._file.read(size) or b""
        except OSError as error:
            raise os_error(self.path, "read", error) from None
        self._hash.update(data)
        from ml2021.disk import uses_disk

        if uses_disk() and hasattr(os, "posix_fadvise"):  # memory is for the rows, not for these
            os.posix_fadvise(self._file.fileno(), 0, self._file.tell(), os.POSIX_FADV_DONTNEED)
        return data

    def seek(self, offset: int) -> int:
        """Not supported, as the bytes are hashed in order; `gzip` needs the method to exist."""
        raise io.UnsupportedOperation("seek")

    def finish(self) -> str:
        """Read the rest and return the SHA-256 of the file; DataError if it has changed."""
        while self.read(CHUNK):
            pass
        if self._stat() != self.state:
            raise changed_error(self.path)
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class UndecodableError(Exception):
    """Bytes that cannot be decoded; `before` is the text before them in their chunk.

    likely: the encoding that the file probably has, None if it cannot be guessed.
    """

    def __init__(self, before: bytes, what: str, likely: str | None) -> None:
        super().__init__(what)
        self.before = before
        self.likely = likely


def codec_name(encoding: str) -> str:
    """Return the canonical name of a text encoding; DataError if there is none of that name."""
    try:
        name = codecs.lookup(encoding).name
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    except (LookupError, ValueError):
        what = f"unknown encoding {encoding!r}; the usual one is utf-8"
        raise DataError(f"data.encoding: {what}") from None
    return "utf-8" if name == "utf-8-sig" else name


def text_chunks(file: HashedFile, encoding: str) -> Iterator[bytes]:
    """Yield a file's text as UTF-8 without a byte order mark; a chunk may end inside a character.

    `encoding` is a name returned by `codec_name`. Raises DataError if the file is damaged or not a
    text file, and UndecodableError if it is not in this encoding.
    """
    stream = _unpacked(file)
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    removes_mark = encoding in ("utf-16", "utf-32")
    utf8 = encoding == "utf-8"
    first = True
    chunk = b"-"
    while chunk:
        try:
            chunk = stream.read(CHUNK)
        except (EOFError, OSError, zlib.error) as error:
            raise file_error(file.path, f"damaged gzip file: {error}; get a new copy") from None
        state = decoder.getstate()
        text = chunk
        if not (utf8 and chunk and chunk.isascii() and not state[0]):
            try:
                decoded = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                decoder.setstate(state)
                before = decoder.decode(chunk[: max(0, error.start - len(state[0]))])
                what, likely = _explain(encoding, error)
                raise UndecodableError(before.encode(errors="replace"), what, likely) from None
            if not utf8:
                # utf-7 allows lone surrogates, which UTF-8 cannot encode
                text = decoded.encode(errors="replace")
        if first and text:
            first = False
            text = text if removes_mark else text.removeprefix(codecs.BOM_UTF8)
        if text:
            yield text


def _unpacked(file: HashedFile) -> HashedFile | gzip.GzipFile:
    head = file.head()
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if file.path.suffix == ".gz":
        raise file_error(file.path, "not a gzip file despite its name; rename or replace it")
    is_named_so = file.path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb", ".ods")
    is_within = any(name in head for name in _IN_SPREADSHEETS)
    if head.startswith(b"PK\x03\x04") and (is_named_so or is_within):
        raise file_error(file.path, _SPREADSHEET)
    for signature, what in _NOT_TEXT:
        if head.startswith(signature):
            raise file_error(file.path, what)
    return file


def _explain(encoding: str, error: UnicodeDecodeError) -> tuple[str, str | None]:
    """Return what is wrong, and the likely encoding."""
    if encoding != "utf-8":
        return f"not {encoding} ({error.reason})", None
    likely = _likely_encoding(bytes(error.object), error.start)
    return f"not UTF-8 (probably {likely})", likely.lower()


def _likely_encoding(data: bytes, start: int) -> str:
    """Guess the encoding from the first bytes that are not UTF-8."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    sample = data[start : start + 65536]
    words = re.findall(
        rb"([a-zA-Z]?)([\x80-\xff]+)(?=([a-zA-Z]?))", data[max(0, start - 1) : start + 65536]
    )
    runs = [run for _, run, _ in words]
    # accented letters occur singly, or few within a word; two-byte characters occur in runs
    accented = [len(run) == 1 or (len(run) < 4 and first and last) for first, run, last in words]
    if 2 * sum(map(bool, accented)) < len(runs):
        for name in ("GBK", "Big5"):
            decoder = codecs.getincrementaldecoder(name)("strict")
            try:
                decoder.decode(sample)
            except UnicodeDecodeError:
                continue
            if name != "GBK" or all(len(run) % 2 == 0 for run in runs[:-1]):
                return name
    return "cp1252" if re.search(rb"[\x80-\x9f]", sample) else "Latin-1"
