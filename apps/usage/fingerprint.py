"""SHA-256 of files, and whether their gzip data are whole, found out while the engine reads them."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from apps.usage.job import Watch

CHUNK_BYTES = 1 << 20


@contextmanager
def fingerprint(paths: list[Path], watch: Watch) -> Iterator[Callable[[], str]]:
    """Hash the files in a thread beside the body; the yielded function gives the result once the body is through.

    One file: the SHA-256 of its bytes. Several: that of the list of their digests and names, in the order given.
    """
    digests: list[str] = []
    worker = threading.Thread(target=_hash_all, args=(paths, watch, digests), daemon=True)
    worker.start()

    def combined() -> str:
        worker.join()
        if len(digests) == 1:
            return digests[0]
        listing = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, paths, strict=True))
        return hashlib.sha256(listing.encode()).hexdigest()

    yield combined


def _hash_all(paths: Iterable[Path], watch: Watch, digests: list[str]) -> None:
    for path in paths:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while not watch.stop.is_set() and (chunk := file.read(CHUNK_BYTES)):
                digest.update(chunk)
        digests.append(digest.hexdigest())
