"""Where bytes lie: uploads, work folders of a run, rejected rows, and the folders that may be read.

Everything is kept below TOLLGATE_HOME. Files of a live folder and of the command line are read where they are.
"""

import errno
import glob
import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from apps.core.errors import BadInput

SUFFIXES = (
    ".csv",
    ".csv.gz",
    ".tsv",
    ".tsv.gz",
    ".jsonl",
    ".jsonl.gz",
    ".ndjson",
    ".ndjson.gz",
    ".json",
    ".json.gz",
    ".parquet",
)
_CHUNK = 1 << 20
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes on this machine: `size` in bytes, `sha256` of them."""

    path: Path
    size: int
    sha256: str


def upload_folder(pull_id: int) -> Path:
    return Path(settings.UPLOAD_FOLDER) / str(pull_id)


def work_folder(pull_id: int, attempt: int) -> Path:
    """A folder of this attempt alone: what an earlier attempt left there, or still writes, is never read."""
    return Path(settings.TOLLGATE_HOME) / "work" / f"{pull_id}-{attempt}"


def rejected_file(pull_id: int) -> Path:
    return Path(settings.TOLLGATE_HOME) / "rejected" / f"{pull_id}.csv.gz"


def fresh_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700, parents=True)
    return path


def remove(path: Path) -> None:
    """Take away a file or a folder; what is gone already is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def store(chunks: Iterable[bytes], *, folder: Path, name: str, limit: int) -> Stored:
    """Write what arrives to a file of a folder, at most `limit` bytes; nothing is left behind when it fails."""
    target = fresh_folder(folder) / safe_name(name)
    try:
        return _write(chunks, target, limit)
    except OSError as error:
        remove(folder)
        raise BadInput(f"The file could not be stored: {error.strerror}.", hint=_room_hint(error)) from None
    except BadInput:
        remove(folder)
        raise


def safe_name(name: str) -> str:
    """The last part of a name, without anything that a path or a terminal would act on."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(char for char in last if char.isprintable() and char not in '<>:"|?*').strip(". ")
    if len(printable.encode()) > 200:
        printable = printable.encode()[-200:].decode(errors="ignore")
    return printable or "upload"


def digest_of(paths: Iterable[Path]) -> tuple[str, int]:
    """SHA-256 and size of one file; of several, the SHA-256 of their names and digests in order."""
    found = [(path.name, *_digest(path)) for path in paths]
    size = sum(item[2] for item in found)
    if len(found) == 1:
        return found[0][1], size
    listing = "".join(f"{sha256}  {name}\n" for name, sha256, _ in found)
    return hashlib.sha256(listing.encode()).hexdigest(), size


def expand(path: str) -> list[Path]:
    """The files behind a file, a folder or a glob, in order of name; an error says what is missing."""
    whole = Path(path)
    if whole.is_file():
        return [whole]
    found = sorted(_below(whole) if whole.is_dir() else _matching(path))
    if not found:
        raise BadInput(f"There is no file at {path}.", hint="Give a file, a folder or a glob such as 'logs/*.csv.gz'.")
    return found


def allowed_folder(path: str) -> Path:
    """The folder with all links resolved, refused outside the folders that the installation opens."""
    resolved = Path(path).resolve()
    roots = [Path(root).resolve() for root in settings.IMPORT_ROOTS]
    if not any(resolved == root or root in resolved.parents for root in roots):
        allowed = " or ".join(str(root) for root in roots)
        raise BadInput(
            f"{path} may not be read.", hint=f"Choose a folder in {allowed}, or add it to TOLLGATE_IMPORT_ROOTS."
        )
    return resolved


def room_hint() -> str:
    return f"Free some space where {settings.TOLLGATE_HOME} lies, then try again."


def _room_hint(error: OSError) -> str:
    return room_hint() if error.errno in NO_SPACE else ""


def _write(chunks: Iterable[bytes], target: Path, limit: int) -> Stored:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as handle:
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise BadInput(
                    f"The file is larger than {limit // 1024**2:,} MB.", hint="Split it, or use `manage.py ingest`."
                )
            digest.update(chunk)
            handle.write(chunk)
    if not size:
        raise BadInput("The file is empty.")
    return Stored(path=target, size=size, sha256=digest.hexdigest())


def _digest(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and path.name.lower().endswith(SUFFIXES) and not path.name.startswith("."):
            yield path


def _matching(pattern: str) -> Iterator[Path]:
    for name in glob.glob(pattern, recursive=True):  # noqa: PTH207 - the pattern may be absolute, which Path.glob refuses
        if Path(name).is_file():
            yield Path(name)
