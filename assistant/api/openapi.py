"""The API's schema: each call has a short name, and says what it may be refused for."""

from __future__ import annotations

from http.client import responses
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.operation import Operation

from assistant.api import schemas
from assistant.api.problems import MEANINGS, problems_of

RETRY_AFTER = {
    "Retry-After": {"description": "Seconds after which it may go well.", "schema": {"type": "integer"}},
}


def answers(schemas_by_type: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """For `openapi_extra` of a call that answers with a file."""
    return {"responses": {200: {"content": {type_: {"schema": schema} for type_, schema in schemas_by_type.items()}}}}


A_FILE = answers({"application/octet-stream": {"type": "string", "format": "binary"}})


class DocumentedAPI(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The view's name: what generated clients call the call."""
        return operation.view_func.__name__

    def get_openapi_schema(self, *, path_prefix: str | None = None, path_params: Any = None) -> OpenAPISchema:
        prefix = self.get_root_path(path_params or {}) if path_prefix is None else path_prefix
        return _Schema(self, prefix)


class _Schema(OpenAPISchema):
    def responses(self, operation: Operation) -> dict[int, dict[str, Any]]:
        self.add_schema_definitions({"Problem": schemas.Problem.model_json_schema(ref_template=REF_TEMPLATE)})
        refused = {status: _problem(status, codes) for status, codes in problems_of(operation).items()}
        return super().responses(operation) | refused


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    """A response with a problem: its codes in words, and as `x-codes` for programs."""
    meanings = "\n".join(f"- `{code}`: {MEANINGS[code]}" for code in codes)
    found: dict[str, Any] = {
        "description": f"{responses[status]}\n\n{meanings}",
        "content": {"application/json": {"schema": {"$ref": REF_TEMPLATE.format(model="Problem")}}},
        "x-codes": codes,
    }
    return found | ({"headers": RETRY_AFTER} if status in (429, 503) else {})
