"""All protocols on one port: `python -m tests.protocols`, as `python -m tests.provider` (see there), which it contains.

Each stands under its name (`/anthropic/v1/messages`), OpenAI's under `/v1`. The control endpoints are the provider's;
a record also says by which `protocol` a request came, and which rule of it it broke (`problem`).
"""

from aiohttp import web

from tests.provider.server import Provider

from .anthropic import Anthropic
from .base import Protocol
from .bedrock import Bedrock
from .deepseek import DeepSeek
from .gemini import Gemini
from .mistral import Mistral
from .ollama import Ollama
from .openrouter import OpenRouter
from .responses import Responses

PROTOCOLS: tuple[type[Protocol], ...] = (Anthropic, Gemini, Ollama, Responses, Mistral, DeepSeek, OpenRouter, Bedrock)


class Protocols(Provider):
    def __init__(self) -> None:
        super().__init__()
        self.protocols = [protocol(self) for protocol in PROTOCOLS]

    def app(self) -> web.Application:
        app = super().app()
        for protocol in self.protocols:
            app.add_routes(protocol.routes())
        return app

    async def reset(self, request: web.Request) -> web.Response:
        for protocol in self.protocols:
            protocol.forget()
        return await super().reset(request)
