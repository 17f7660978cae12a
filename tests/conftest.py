"""Settings of all tests: no network, and one thread, because two are far slower on a busy machine."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

from typing import TYPE_CHECKING, Any

import pytest
import servers
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from command_line import Run
    from servers import ChromaServer, PostgresServer
    from wire_server import WireServer

    from memedit.adapters.causal import LocalLLM
    from memedit.memory import EditMemory

settings.register_profile("many", max_examples=1_700)  # for `fuzzing`


@pytest.fixture
def upstream() -> Iterator[WireServer]:
    """A server that speaks the APIs of models."""
    from wire_server import running

    yield from running()


@pytest.fixture
def memory() -> EditMemory:
    """What a test file has of its own goes before it: a memory with the one Fact that `upstream` knows."""
    from wire_server import FACT

    from memedit.memory import EditMemory
    from memedit.testing import HashEmbedder

    made = EditMemory(embedder=HashEmbedder())
    made.add(FACT)
    return made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in an empty folder, with an embedder and a model that need nothing installed."""
    from command_line import runner

    return runner(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def smollm() -> LocalLLM:
    """The bundled SmolLM2-135M-Instruct, loaded once."""
    import torch

    from memedit.adapters.causal import LocalLLM
    from memedit.llms import as_llm

    torch.set_num_threads(1)
    model = as_llm("bundled")
    assert isinstance(model, LocalLLM)
    return model


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of the tiny model: a token a byte."""
    from tiny import make_tiny
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(make_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with pgvector, started once."""
    server = servers.postgres_server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def chroma() -> Iterator[ChromaServer]:
    """`chroma run`, started once."""
    server = servers.ChromaServer()
    yield server
    server.close()
