"""`serve`: the HTTP proxy."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import Command, Session, open_model
from memedit.cli._print import busy, say
from memedit.errors import MissingExtra

if TYPE_CHECKING:
    from memedit.adapters.server.backends import Backend
    from memedit.memory import EditMemory

MEGABYTE = 2**20


@click.command(cls=Command, short_help="An OpenAI-compatible endpoint with the memory applied.")
@click.option("--upstream", metavar="URL", help="The endpoint that answers, such as https://api.example.com/v1.")
@click.option("--llm", metavar="SPEC", help="A model in this process instead: bundled, hf:FOLDER, gguf:FILE.")
@click.option("--keys", type=click.Path(path_type=Path), metavar="FILE",
              help="Who may ask: a list of {key, namespace, role: ask | read | edit}.")  # fmt: skip
@click.option("--upstream-key-env", metavar="NAME",
              help="The environment variable with the upstream's key; the caller's is sent if left out.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Another than this machine needs --keys.")
@click.option("--port", type=click.IntRange(0, 65535), default=8321, show_default=True)
@click.option("--gate", metavar="FOLDER|NAME", help="What decides which edits are in scope.")
@click.option("--method", default="auto", show_default=True, help="How edits change the answer.")
@click.option("--max-body", type=click.IntRange(1), default=10, show_default=True, metavar="MB",
              help="Of a request, at most.")  # fmt: skip
@click.option("--per-minute", type=click.FloatRange(0, min_open=True), metavar="N",
              help="Calls a minute of one key. [default: any number]")  # fmt: skip
@click.pass_obj
def serve(
    session: Session, /, upstream: str | None, llm: str | None, keys: Path | None, upstream_key_env: str | None,
    host: str, port: int, gate: str | None, method: str, max_body: int, per_minute: float | None,
) -> None:  # fmt: skip
    """Serve an OpenAI-compatible endpoint in front of another one, or of a local model, with the memory applied.

    Point any client at http://HOST:PORT/v1. What no edit is in scope of goes on as it came. Edits are managed under
    /memedit/ (see /memedit/openapi.json) by keys whose role is `edit`; without --keys only this machine is
    listened to, and the management is off.

    Example:
        memedit serve --upstream https://api.example.com/v1
        memedit serve --llm bundled --keys keys.yaml --host 0.0.0.0
    """
    if (upstream is None) == (llm is None):
        raise click.UsageError("Give one of --upstream URL and --llm SPEC.")
    if upstream is not None and not upstream.startswith(("http://", "https://")):
        raise click.BadParameter(f"`{upstream:.80}` is no http address.", param_hint="--upstream")
    try:
        import uvicorn

        from memedit.adapters.server import Key, Keys, application, read_keys
        from memedit.adapters.server.app import is_loopback
    except ModuleNotFoundError as missing:
        raise MissingExtra("server", package=missing.name or "starlette") from missing
    if keys is None and not is_loopback(host):
        raise click.UsageError(f"--host {host} is reached by others: give --keys FILE.")
    upstream_key = os.environ.get(upstream_key_env) if upstream_key_env else None
    if upstream_key_env and not upstream_key:
        raise click.UsageError(f"{upstream_key_env} is not set, which --upstream-key-env names.")
    known = read_keys(keys) if keys else Keys({}, open_to_all=Key(session.namespace, "ask"))
    with ExitStack() as open_:
        memory = open_.enter_context(session.memory(create=True))
        session.load_embedder(memory)
        backend = _backend(memory, upstream, llm, upstream_key, gate=gate, method=method)
        app = application(backend, known, max_body=max_body * MEGABYTE, per_minute=per_minute)
        say(("✓ ", "green"), f"http://{host}:{port}/v1 answers by {upstream or llm}", err=True)
        uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=30, server_header=False)


def _backend(
    memory: EditMemory, upstream: str | None, llm: str | None, key: str | None, *, gate: str | None, method: str
) -> Backend:
    from memedit.adapters.server.backends import Model, Upstream
    from memedit.gate import as_gate
    from memedit.methods.base import find_method

    how: dict[str, Any] = {"gate": as_gate(gate), "method": find_method(method)}
    if upstream is not None:
        return Upstream(upstream, memory, key=key, **how)
    with busy(f"loading {llm}…"):
        return Model(open_model(str(llm), None), memory, **how)
