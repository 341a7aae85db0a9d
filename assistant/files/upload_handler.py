"""How an upload comes in: without a named temporary file, so that nothing is left behind whatever dies.

Django's own handler makes a named file in the temporary folder and deletes it when the request ends; a web process that
is killed leaves it there. A file without a name goes with its process.
"""

from __future__ import annotations

import tempfile
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

IN_MEMORY_BYTES = 1024 * 1024


class UnnamedFileUploadHandler(FileUploadHandler):
    """For FILE_UPLOAD_HANDLERS: a small file stays in memory, a larger one is an unnamed file."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115  closed with the request

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._file.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile:
        self._file.seek(0)
        return UploadedFile(
            file=self._file, name=self.file_name, content_type=self.content_type, size=file_size,
            charset=self.charset, content_type_extra=self.content_type_extra,
        )  # fmt: skip

    def upload_interrupted(self) -> None:
        if file := getattr(self, "_file", None):
            file.close()
