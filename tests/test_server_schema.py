"""The management API against its own description: schemathesis makes requests of it, right ones and wrong ones."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")
pytest.importorskip("schemathesis")

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_schema_conformance,
    unsupported_method,
)
from test_server_keys import KEYS, SECRET, THEIRS, as_

from memedit import EditMemory
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing
from memedit.adapters.server.local import LocalModel
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

CHECKS = [
    not_a_server_error, response_schema_conformance, content_type_conformance, negative_data_rejection, ignored_auth,
    unsupported_method,
]  # fmt: skip


def app() -> object:
    memory = EditMemory(embedder=HashEmbedder())
    memory.add(THEIRS, namespace="b")
    for subject in ("Norland", "Acme"):
        memory.add(f"The tower of {subject} is tall.", namespace="a")
    return make_app(LocalModel(FakeLLM(), Editing.of(memory, NamedGate())), memory, keys=KEYS)


schema = schemathesis.openapi.from_asgi("/memedit/openapi.json", app())


@schema.parametrize()
@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_it_does_as_it_says(case: schemathesis.Case) -> None:
    answer = case.call(headers=as_("adam"))
    case.validate_response(answer, checks=CHECKS, headers=as_("adam"))
    assert SECRET not in answer.text
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"]
        assert not re.search(r"Traceback|site-packages|\bFile \"", answer.text)
