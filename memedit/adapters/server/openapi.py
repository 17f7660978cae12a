"""The OpenAPI description of the management API, made of its operations."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pydantic.json_schema import models_json_schema

from memedit.adapters.server.operations import OPERATIONS, Operation

REFS = "#/components/schemas/{model}"
ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
                "do": {"type": "string"},
            },
        }
    },
}


def described() -> dict[str, Any]:
    """The description, in OpenAPI 3.1."""
    kinds = dict.fromkeys(one.takes for one in OPERATIONS)
    _, known = models_json_schema([(kind, "validation") for kind in kinds], ref_template=REFS)
    schemas = known["$defs"]
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(f"/memedit{one.path}", {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "memedit", "version": version("memedit"),
            "description": "The edits of a memory. A key names the namespace and the role of whoever sends it.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas | {"Error": ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _operation(one: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    fields = schemas[one.takes.__name__].get("properties", {})
    in_path = [name for name in fields if f"{{{name}}}" in one.path]
    parameters = [_parameter(one, name, fields[name], "path") for name in in_path]
    said: dict[str, Any] = {"operationId": one.run.__name__, "summary": one.says}
    if one.method == "POST":
        said["requestBody"] = {"required": False, "content": {"application/json": {"schema": _body(one, in_path)}}}
    else:
        parameters += [_parameter(one, name, fields[name], "query") for name in fields if name not in in_path]
    failed = {"description": "What is wrong.", "content": {"application/json": {"schema": {"$ref": _ref("Error")}}}}
    done = {"description": "Done.", "content": {"application/json": {"schema": {"type": "object"}}}}
    return said | {
        "description": f"For keys of the role `{one.role.name.lower()}` and above.",
        "parameters": parameters,
        "responses": {"200": done, "default": failed},
    }


def _body(one: Operation, in_path: list[str]) -> dict[str, Any]:
    """What the body holds: everything that does not stand in the path."""
    if not in_path:
        return {"$ref": _ref(one.takes.__name__)}
    schema = one.takes.model_json_schema(ref_template=REFS)
    fields = {name: field for name, field in schema["properties"].items() if name not in in_path}
    return {"type": "object", "additionalProperties": False, "properties": fields}


def _parameter(one: Operation, name: str, schema: dict[str, Any], place: str) -> dict[str, Any]:
    required = one.takes.model_fields[name].is_required()
    return {"name": name, "in": place, "required": required, "schema": schema}


def _ref(name: str) -> str:
    return REFS.format(model=name)
