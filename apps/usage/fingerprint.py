"""SHA-256 of files, and whether their gzip data are whole, found out while the engine reads them.

Most gzip files come here unpacked already, with their digest. Of those that stay packed the engine notices data that
end too early, but neither a wrong checksum nor a file that unpacks to a thousand times its size; both are looked for
here, in a thread beside it.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from apps.usage.job import Watch
from apps.usage.reading import FileError, Guards
from apps.usage.unpacking import CHUNK_BYTES, GZIP_MAGIC, Gunzip


@contextmanager
def fingerprint(
    paths: list[Path], known: Mapping[int, str], guards: Guards, watch: Watch
) -> Iterator[Callable[[], str]]:
    """Hash the files beside the body; the yielded function gives the result once the body is through, or raises.

    `known` are digests by place that need not be found out again. One file: the SHA-256 of its bytes. Several: that of
    the list of their digests and names, in the order given. A file that is not whole stops the body.
    """
    digests: list[str] = []
    failures: list[BaseException] = []
    worker = threading.Thread(target=_read_all, args=(paths, known, guards, watch, digests, failures), daemon=True)
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
    paths: list[Path],
    known: Mapping[int, str],
    guards: Guards,
    watch: Watch,
    digests: list[str],
    failures: list[BaseException],
) -> None:
    try:
        digests.extend(known.get(place) or _digest(path, guards, watch) for place, path in enumerate(paths))
    except (FileError, OSError) as error:
        failures.append(error)
        watch.stop.set()


def _digest(path: Path, guards: Guards, watch: Watch) -> str:
    digest = hashlib.sha256()
    gunzip: Gunzip | None = None
    with path.open("rb") as file:
        while not watch.stop.is_set() and (chunk := file.read(CHUNK_BYTES)):
            if file.tell() == len(chunk) and chunk.startswith(GZIP_MAGIC):
                gunzip = Gunzip(path.name, guards)
            digest.update(chunk)
            for _ in gunzip.feed(chunk) if gunzip else ():
                pass
    return digest.hexdigest()
