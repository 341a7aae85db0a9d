"""The server as a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

_ROOT = Path(__file__).resolve().parents[2]
_LISTENING = "llama.cpp on "


class LlamaServer:
    """`with LlamaServer() as server:` serves at `server.base_url` until the block ends."""

    def __init__(self) -> None:
        self.base_url = ""  # with /v1, as OPENAI_API_BASE wants it
        self._folder = Path(tempfile.mkdtemp(prefix="parley-llama-"))
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Returns when it listens. Raises RuntimeError, with what it said, if it doesn't start."""
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.llamacpp", str(self._folder)],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(_LISTENING):
                self.base_url = f"{line.removeprefix(_LISTENING).strip()}/v1"
                return self
        said = (self._folder / "log").read_text()
        self.__exit__(None, None, None)
        raise RuntimeError(f"llama.cpp did not start: {said[-2000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(20)
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def is_generating(self) -> bool:
        """Whether one of its slots is at work."""
        return any(slot["is_processing"] for slot in self._get("slots"))

    def tokens(self) -> int:
        """How many tokens it has generated since its start."""
        name = "llamacpp:tokens_predicted_total "
        lines = httpx.get(self._url("metrics"), trust_env=False, timeout=20, verify=False).text.splitlines()
        return int(next(float(line.removeprefix(name)) for line in lines if line.startswith(name)))

    def _get(self, path: str) -> Any:
        return httpx.get(self._url(path), trust_env=False, timeout=20, verify=False).raise_for_status().json()

    def _url(self, path: str) -> str:
        return f"{self.base_url.removesuffix('/v1')}/{path}"


def serve(folder: Path) -> None:
    """Says where it listens, and serves until its stdin is closed."""
    import xllamacpp

    from .model import CONTEXT, write

    write(folder / "model.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(folder / "model.gguf")
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = 2 * CONTEXT
    parameters.n_parallel = 2  # slots; each has CONTEXT tokens
    parameters.ctx_shift = True  # without it an answer that goes on and on ends where the context does
    parameters.use_jinja = True
    parameters.endpoint_slots = True
    parameters.endpoint_metrics = True
    parameters.warmup = False
    parameters.cpuparams.n_threads = 1
    server = xllamacpp.Server(parameters)
    print(f"{_LISTENING}{server.listening_address}", flush=True)
    sys.stdin.read()
    os._exit(0)  # its threads don't end with the interpreter
