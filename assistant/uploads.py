"""Moved to `assistant.files.upload_handler`. This path works until 1.0, for projects whose FILE_UPLOAD_HANDLERS name it."""

from assistant.files.upload_handler import UnnamedFileUploadHandler as UnnamedFileUploadHandler
