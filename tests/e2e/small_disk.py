"""The product's settings, with a database file that may not become larger than SMALL_DISK_PAGES."""

import os

from project.settings import *  # noqa: F403
from project.settings import DATABASES

_options = DATABASES["default"]["OPTIONS"]
_options["init_command"] = (
    f"{_options.get('init_command', '')};PRAGMA max_page_count={int(os.environ['SMALL_DISK_PAGES'])};".lstrip(";")
)
