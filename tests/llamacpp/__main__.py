"""`python -m tests.llamacpp FOLDER`: serves a fresh model on a free port, until stdin is closed."""

import sys
from pathlib import Path

from .process import serve

serve(Path(sys.argv[1]))
