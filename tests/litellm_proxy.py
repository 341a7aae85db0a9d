"""The LiteLLM proxy as a process of its own: a gateway that many people put between their tools and their models."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.product import free_port

KEY = "sk-proxy-of-the-tests-0123456789"
START_SECONDS = 120.0
# The gateway's own answers, without a model behind them; an exception's name makes it raise that one.
MOCKED = {
    "mocked": "A mocked answer.",
    "busy": "litellm.RateLimitError",
    "overflowing": "litellm.ContextWindowExceededError",
    "broken": "litellm.InternalServerError",
}


class LiteLLMProxy:
    """`with LiteLLMProxy(models) as proxy:` serves at `proxy.base_url` until the block ends.

    `models`: {name: (model at the server behind it, that server's base_url)}; those of MOCKED are there too.
    """

    def __init__(self, models: dict[str, tuple[str, str]]) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix="parley-proxy-"))
        self._config = {
            "model_list": [
                *(_model(name, model=f"openai/{model}", api_base=url) for name, (model, url) in models.items()),
                *(_model(name, model="openai/none", mock_response=answer) for name, answer in MOCKED.items()),
            ],
            "general_settings": {"master_key": KEY},
            "litellm_settings": {"num_retries": 0},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Returns when it answers. Raises RuntimeError, with what it said, if it doesn't start."""
        config = self._folder / "config.yaml"
        config.write_text(json.dumps(self._config))  # JSON is YAML
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("litellm")),
                    *("--config", str(config), "--host", "127.0.0.1", "--port", str(self.port)),
                ],
                env=kept | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_DOCS": "True", "DISABLE_ADMIN_UI": "True"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while not self._is_answering():
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self._folder / "log").read_text()
                self.__exit__(None, None, None)
                raise RuntimeError(f"The LiteLLM proxy did not start: {said[-2000:]}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(20)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_answering(self) -> bool:
        try:
            return (
                httpx.get(f"{self.base_url}/health/liveliness", trust_env=False, timeout=5, verify=False).status_code
                == 200
            )
        except httpx.TransportError:
            return False


def _model(name: str, **parameters: str) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"api_key": "x", **parameters}}
