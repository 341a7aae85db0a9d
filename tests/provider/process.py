"""The provider as a process of its own, for tests and benchmarks."""

import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from .script import script_name

_ROOT = Path(__file__).resolve().parents[2]
# The environment may name a proxy; the provider is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ProviderProcess:
    """`with ProviderProcess() as provider:` serves at `provider.base_url` until the block ends.

    `stop()` and `start()` again take the same port: a provider that is away for a while.
    """

    module = "tests.provider"  # what is run

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self.process: subprocess.Popen[str] | None = None

    @property
    def base_url(self) -> str:
        """What OPENAI_API_BASE must be: `http://127.0.0.1:PORT/v1`."""
        return f"http://{self.host}:{self.port}/v1"

    def start(self) -> "ProviderProcess":
        """Returns when it listens. Raises RuntimeError if it doesn't start (its reason is on stderr)."""
        command = [
            sys.executable,
            "-m",
            self.module,
            "--host",
            self.host,
            "--port",
            str(self.port),
            "--with-stdin",
        ]
        self.process = subprocess.Popen(
            command,
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("provider on "):
            self.stop()
            raise RuntimeError(f"The provider did not start: {line!r}")
        self.port = int(line.strip().removesuffix("/v1").rpartition(":")[2])
        return self

    def stop(self, seconds: float = 10.0) -> None:
        """Ends the process; open streams are cut. Does nothing if it isn't running."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()

    def requests(self, model: str | None = None, times: bool = False) -> list[dict[str, Any]]:
        """The requests seen since the last reset, oldest first (tests/provider/records.py has the fields)."""
        query: dict[str, str] = {"times": "1"} if times else {}
        if model:
            query["model"] = script_name(model)
        found: list[dict[str, Any]] = self.control("requests?" + urllib.parse.urlencode(query))["requests"]
        return found

    def active(self) -> int:
        """How many requests are being answered now."""
        return int(self.control("active")["open"])

    def held(self) -> int:
        """How many streams wait at their `hold`."""
        return int(self.control("active")["held"])

    def release(self, model: str | None = None) -> None:
        """Lets streams go on that wait at `hold`: of one model, also later ones; or all that wait now."""
        self.control("release", {"model": model} if model else {})

    def script(self, name: str, steps: list[Any], per_question: bool = False) -> str:
        """Posts a script of one step for each request; returns the model id for litellm, `openai/<name>`."""
        self.control("scripts", {"name": name, "steps": steps, "per_question": per_question})
        return f"openai/{name}"

    def reset(self) -> None:
        self.control("reset", {})

    def wait_for(self, condition: Callable[["ProviderProcess"], Any], seconds: float = 20.0) -> Any:
        """Asks until the condition gives something true, and returns it. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while not (found := condition(self)):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"The provider saw {[(r['model'], r['tokens'], r['ended']) for r in self.requests()]}"
                )
            time.sleep(0.01)
        return found

    def control(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """GET, or POST if there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://{self.host}:{self.port}/control/{path}", data, {"Content-Type": "application/json"}
        )
        with _OPENER.open(request, timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def __enter__(self) -> "ProviderProcess":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
