"""SHA-256 of files, and whether their gzip data are whole, found out while the engine reads them.

The engine notices data that end too early, but neither a wrong checksum nor a file that unpacks to a thousand times
its size; both are looked for here, in a thread beside it.
"""

import hashlib
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from apps.usage.job import Watch
from apps.usage.reading import FileError, Guards

CHUNK_BYTES = 1 << 18
UNPACK_BYTES = 1 << 22
SMALL_BYTES = 64 << 20  # what a file may unpack to whatever its own size
GZIP_WINDOW = 31


@contextmanager
def fingerprint(paths: list[Path], guards: Guards, watch: Watch) -> Iterator[Callable[[], str]]:
    """Hash the files beside the body; the yielded function gives the result once the body is through, or raises.

    One file: the SHA-256 of its bytes. Several: that of the list of their digests and names, in the order given. A
    file that is not whole stops the body.
    """
    digests: list[str] = []
    failures: list[BaseException] = []
    worker = threading.Thread(target=_read_all, args=(paths, guards, watch, digests, failures), daemon=True)
    worker.start()

    def combined() -> str:
        worker.join()
        if failures:
            raise failures[0]
        if len(digests) == 1:
            return digests[0]
        listing = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, paths, strict=True))
        return hashlib.sha256(listing.encode()).hexdigest()

    try:
        yield combined
    except BaseException:
        watch.stop.set()
        worker.join()
        if failures:
            raise failures[0] from None
        raise


def _read_all(
    paths: list[Path], guards: Guards, watch: Watch, digests: list[str], failures: list[BaseException]
) -> None:
    try:
        digests.extend(_digest(path, guards, watch) for path in paths)
    except (FileError, OSError) as error:
        failures.append(error)
        watch.stop.set()


def _digest(path: Path, guards: Guards, watch: Watch) -> str:
    digest = hashlib.sha256()
    gzip = _Gzip(path.name, guards)
    with path.open("rb") as file:
        while not watch.stop.is_set() and (chunk := file.read(CHUNK_BYTES)):
            digest.update(chunk)
            gzip.feed(chunk)
    return digest.hexdigest()


class _Gzip:
    """Unpacks a gzip file to nowhere, to see that its checksums hold and its size is sane; other files pass by."""

    def __init__(self, name: str, guards: Guards) -> None:
        self.name = name
        self.guards = guards
        self.packed = self.unpacked = 0
        self.unpacker: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> None:
        if self.packed == 0 and not chunk.startswith(b"\x1f\x8b"):
            self.guards = Guards(max_gzip_ratio=0)
        self.packed += len(chunk)
        while chunk and self.guards.max_gzip_ratio:
            chunk = self._unpack(chunk)

    def _unpack(self, chunk: bytes) -> bytes:
        if self.unpacker is None or self.unpacker.eof:
            if not chunk.strip(b"\x00"):
                return b""  # tapes and block devices fill up with zeros
            self.unpacker = zlib.decompressobj(GZIP_WINDOW)
        try:
            self.unpacked += len(self.unpacker.decompress(chunk, UNPACK_BYTES))
        except zlib.error:
            raise FileError(f"{self.name} is damaged: its gzip data do not add up.", "Copy it again.") from None
        if self.unpacked > SMALL_BYTES + self.guards.max_gzip_ratio * self.packed:
            raise FileError(
                f"{self.name} unpacks to more than {self.guards.max_gzip_ratio} times its size.",
                "Logs never do; if it is one all the same, unpack it first.",
            )
        return self.unpacker.unconsumed_tail or self.unpacker.unused_data
