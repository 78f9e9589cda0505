"""Uploads go straight to where they are kept, chunk by chunk: nothing of them is held in memory or copied."""

import hashlib
import uuid
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.core.files.base import File
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest

from apps.sources import files
from apps.sources.files import Stored


class KeptFile(UploadedFile[bytes]):
    """A file of the request that lies where it will stay."""

    def __init__(self, stored: Stored, content_type: str) -> None:
        super().__init__(File(None), stored.path.name, content_type, stored.size)
        self.stored = stored


class KeepingHandler(FileUploadHandler):
    """Writes the first file of a request to the upload folder, up to the limit. `problem` says why it could not."""

    chunk_size = 1 << 20

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.problem = ""
        self._folder = Path(settings.UPLOAD_FOLDER) / f"arriving-{uuid.uuid4().hex}"
        self._digest = hashlib.sha256()
        self._size = 0
        self._out: BinaryIO | None = None

    def new_file(self, *args: object, **kwargs: object) -> None:
        super().new_file(*args, **kwargs)  # type: ignore[arg-type]
        if self._out is not None:
            raise StopUpload(connection_reset=True)
        try:
            files.fresh_folder(self._folder)
            self._out = (self._folder / files.safe_name(self.file_name or "")).open("wb")
        except OSError as error:
            self._fail(f"The file could not be stored: {error.strerror}. {files.room_hint()}")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:  # noqa: ARG002
        if self.problem or self._out is None:
            return
        self._size += len(raw_data)
        if self._size > settings.UPLOAD_MAX_BYTES:
            self._fail(too_large())
            return
        self._digest.update(raw_data)
        try:
            self._out.write(raw_data)
        except OSError as error:
            self._fail(f"The file could not be stored: {error.strerror}. {files.room_hint()}")

    def file_complete(self, file_size: int) -> UploadedFile[bytes] | None:  # noqa: ARG002
        if self.problem or self._out is None:
            return None
        try:
            self._out.close()
        except OSError as error:
            self._fail(f"The file could not be stored: {error.strerror}. {files.room_hint()}")
            return None
        path = Path(self._out.name)
        return KeptFile(Stored(path, self._size, self._digest.hexdigest()), self.content_type or "")

    def upload_interrupted(self) -> None:
        self.discard()

    def discard(self) -> None:
        """Remove what arrived, where nothing came of it."""
        if self._out is not None:
            self._out.close()
        files.remove(self._folder)

    def _fail(self, problem: str) -> None:
        self.problem = problem
        self.discard()


def too_large() -> str:
    limit = settings.UPLOAD_MAX_BYTES // 1024**2
    return f"The file is larger than {limit:,} MB. Split it, or read it with `manage.py ingest` on the machine itself."
