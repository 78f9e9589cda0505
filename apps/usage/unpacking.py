"""Unpack gzip files into the work folder before they are read, and learn on the way what can be learnt of them.

One pass hashes a file, proves its checksums and its sane size, and leaves it as plain text, which the engine reads on
all cores; packed text it unpacks slowly, on one core, and once more for the proof. Where the disk has no room to
spare, files stay packed and are read all the same.
"""

import hashlib
import shutil
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import BinaryIO

from isal import isal_zlib

from apps.usage.reading import NO_SPACE, FileError, Guards, Layout, truncated
from apps.usage.task import Task

CHUNK_BYTES = 1 << 18
UNPACK_BYTES = 1 << 22
SMALL_BYTES = 64 << 20  # what a file may unpack to whatever its own size
GZIP_WINDOW = 31
GZIP_MAGIC = b"\x1f\x8b"
SPARED = 2  # of what is free on the disk, files may fill one part in so many: the database lives there too
TELL_EVERY = 64  # chunks


class NoRoom(Exception):
    """The disk has no room to spare for an unpacked file."""


class Gunzip:
    """Unpacks the bytes of one gzip file; raises FileError where it is damaged, or grows beyond what logs do."""

    def __init__(self, name: str, guards: Guards) -> None:
        self.name = name
        self.guards = guards
        self.packed = self.unpacked = 0
        self.member: isal_zlib.Decompress | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The text in these bytes, a few MiB at a time."""
        self.packed += len(chunk)
        while chunk:
            if self.member is None or self.member.eof:
                if not chunk.strip(b"\x00"):
                    return  # tapes and block devices fill up with zeros
                self.member = isal_zlib.decompressobj(GZIP_WINDOW)
            chunk = yield from self._member(self.member, chunk)

    @property
    def whole(self) -> bool:
        """Whether the bytes so far end where the data do."""
        return self.member is not None and bool(self.member.eof)

    def _member(self, member: "isal_zlib.Decompress", chunk: bytes) -> Generator[bytes, None, bytes]:
        """The text of one of the streams that a gzip file is made of; returns the bytes behind its end."""
        while True:
            text = self._some(member, chunk)
            yield text
            chunk = member.unconsumed_tail
            # A full buffer says that there may be more of it, even where all bytes are taken in.
            if member.eof or (not chunk and len(text) < UNPACK_BYTES):
                return member.unused_data if member.eof else b""

    def _some(self, member: "isal_zlib.Decompress", chunk: bytes) -> bytes:
        try:
            text = member.decompress(chunk, UNPACK_BYTES)
        except isal_zlib.error:  # type: ignore[misc]  # its stubs call the class an instance
            raise FileError(f"{self.name} is damaged: its gzip data do not add up.", "Copy it again.") from None
        self.unpacked += len(text)
        if self.unpacked > SMALL_BYTES + self.guards.max_gzip_ratio * self.packed:
            raise FileError(
                f"{self.name} unpacks to more than {self.guards.max_gzip_ratio} times its size.",
                "Logs never do; if it is one all the same, unpack it first.",
            )
        return text


def unpacked(task: Task) -> tuple[Task, dict[int, str]]:
    """The task with its gzip files unpacked, and SHA-256 by place of those files, as they came. Raises FileError."""
    digests: dict[int, str] = {}
    layouts = list(task.layouts)
    for place, layout in enumerate(layouts):
        if layout.gzip:
            try:
                layouts[place], digests[place] = _unpack(layout, task)
            except NoRoom:
                break
    return replace(task, layouts=layouts), digests


def _unpack(layout: Layout, task: Task) -> tuple[Layout, str]:
    target = layout.path.with_suffix("")  # in000000.txt beside the link in000000.txt.gz
    try:
        with layout.path.open("rb") as source, target.open("wb") as out:
            digest = _write(Gunzip(layout.name, task.job.guards), source, out, layout, task)
    except (OSError, NoRoom) as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno not in NO_SPACE:
            raise
        raise NoRoom from None
    return replace(layout, path=target, gzip=False), digest


def _write(gunzip: Gunzip, source: BinaryIO, out: BinaryIO, layout: Layout, task: Task) -> str:
    digest = hashlib.sha256()
    room = shutil.disk_usage(task.work_dir).free // SPARED
    for number, chunk in enumerate(iter(lambda: source.read(CHUNK_BYTES), b"")):
        if number % TELL_EVERY == 0:
            task.tell(1, "unpacking", source.tell() / layout.path.stat().st_size)
        digest.update(chunk)
        out.writelines(gunzip.feed(chunk))
        if gunzip.unpacked > room:
            raise NoRoom
    if not gunzip.whole:
        raise truncated(layout.name)
    return digest.hexdigest()
