"""The web server's threads share their memory: what one has freed is room for another."""

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, runpy, sys, threading

def when_serving(self, arguments):  # instead of serving: threads as requests have them, and what malloc says of itself
    held, together = [], threading.Barrier(9)
    def work():
        together.wait()
        held.append(bytes(100_000))
        together.wait()
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    together.wait()
    together.wait()
    libc = ctypes.CDLL(None)
    libc.fdopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fdopen(1, b"w"))
    libc.malloc_info(0, file)
    libc.fflush(file)

from daphne.cli import CommandLineInterface
CommandLineInterface.run = when_serving
sys.argv = ["assistant.web"]
runpy.run_module("assistant.web", run_name="__main__")
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="it is of glibc")
def test_the_threads_of_the_web_server_have_two_arenas(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[1], capture_output=True, text=True,
        env={"ASSISTANT_DATA_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 1 <= len(re.findall("<heap nr=", done.stdout)) <= 2, done.stdout
