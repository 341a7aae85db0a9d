"""All protocols as one process."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.provider import ProviderProcess

KEY = "sk-very-secret-key"


class ProtocolsProcess(ProviderProcess):
    """`with ProtocolsProcess() as protocols:`; where each protocol stands is in `environment`."""

    module = "tests.protocols"

    @property
    def root(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What litellm must find in the environment to ask here, whichever provider it asks."""
        root = self.root
        return {
            "OPENAI_API_BASE": self.base_url,
            "OPENAI_API_KEY": KEY,
            "ANTHROPIC_API_BASE": f"{root}/anthropic",
            "ANTHROPIC_API_KEY": KEY,
            "GEMINI_API_BASE": f"{root}/gemini/v1beta",
            "GEMINI_API_KEY": KEY,
            "OLLAMA_API_BASE": f"{root}/ollama",
            "MISTRAL_AZURE_API_BASE": f"{root}/mistral/v1",  # the only one that litellm looks at for chats
            "MISTRAL_API_KEY": KEY,
            "DEEPSEEK_API_BASE": f"{root}/deepseek",
            "DEEPSEEK_API_KEY": KEY,
            "OPENROUTER_API_BASE": f"{root}/openrouter/api/v1",
            "OPENROUTER_API_KEY": KEY,
            "AWS_BEDROCK_RUNTIME_ENDPOINT": f"{root}/bedrock",
            "AWS_BEARER_TOKEN_BEDROCK": KEY,
            "AWS_REGION_NAME": "us-east-1",
        }

    def vertex_environment(self) -> dict[str, str]:
        """The same for `vertex_ai/...`, with a service account that the fake takes for good."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        account = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": key.private_bytes(*form).decode(),
            "client_email": "fake@example.org",
            "token_uri": f"{self.root}/google/token",
        }
        return {
            "VERTEXAI_API_BASE": self.root,
            "VERTEXAI_PROJECT": "project",
            "VERTEXAI_LOCATION": "us-central1",
            "VERTEXAI_CREDENTIALS": json.dumps(account),
        }

    def requests(self, model: str | None = None, times: bool = False) -> list[dict[str, Any]]:
        """What models were asked; without the questions about them."""
        return [record for record in super().requests(model, times) if not record["is_lookup"]]

    def lookups(self, model: str | None = None) -> list[dict[str, Any]]:
        """What was asked about models (Ollama's /api/show)."""
        return [record for record in super().requests(model) if record["is_lookup"]]

    def problems(self) -> list[str]:
        """The rules that requests broke, in the providers' words."""
        return [f"{record['protocol']}: {record['problem']}" for record in self.requests() if record["problem"]]

    def last(self) -> dict[str, Any]:
        """The newest request."""
        return self.requests()[-1]
