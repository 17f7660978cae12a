"""`mcp`: the memory as a server of the Model Context Protocol."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import Command, Session
from memedit.cli._options import GATE
from memedit.cli._print import say

if TYPE_CHECKING:
    from mcp.server import MCPServer


@click.command(cls=Command)
@click.option("--http", "over_http", is_flag=True, help="Serve streamable HTTP instead of stdin and stdout.")
@click.option("--host", default="127.0.0.1", metavar="NAME", show_default=True,
              help="With --http: where to listen. Any but loopback needs --token-env.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="With --http; 0 takes a free one.")  # fmt: skip
@click.option("--token-env", metavar="NAME",
              help="With --http: the environment variable with the token that every request has to bear.")  # fmt: skip
@GATE
@click.option("--author", default="agent", metavar="NAME", show_default=True, help="Recorded with each change.")
@click.option("--propose", is_flag=True, help="What is corrected waits until you accept it with `memedit review`.")
@click.pass_obj
def mcp(
    session: Session, over_http: bool, host: str, port: int, token_env: str | None, gate: str | None, author: str,
    propose: bool,
) -> None:  # fmt: skip
    """Serve the memory to assistants that speak MCP: tools to recall, correct, retract, undo and explain.

    Memory, namespace, embedder and gate are those of the command line; no caller can name others. The memory is made
    where there is none. The assistant's own model answers, so --llm plays no part.

    Example:
        memedit mcp --namespace ann --propose
        memedit mcp --http --port 8000
        memedit mcp --http --host 0.0.0.0 --token-env MEMEDIT_TOKEN
    """
    if session.as_json:
        raise click.UsageError("`memedit mcp` has no --json: what it writes is the protocol's.")
    if not over_http and token_env:
        raise click.UsageError("--token-env goes with --http.")
    token = _token(token_env)

    from memedit.adapters.mcp import memory_server
    from memedit.gate import as_gate

    decides = as_gate(gate)  # what is misspelt is said before a memory is made
    with session.memory(create=True) as memory:
        server = memory_server(memory, namespace=session.namespace, gate=decides, author=author, proposes=propose)
        if os.environ.get("MEMEDIT_TRACEBACK"):
            logging.getLogger("mcp").addHandler(logging.StreamHandler())
        if over_http:
            _serve(server, host, port, token)
        else:
            server.run("stdio")


def _token(name: str | None) -> str | None:
    if name is None:
        return None
    token = os.environ.get(name, "").strip()
    if not token:
        raise click.BadParameter(f"The environment has no token in `{name}`.", param_hint="--token-env")
    return token


def _serve(server: MCPServer[Any], host: str, port: int, token: str | None) -> None:
    import uvicorn

    from memedit.adapters.mcp import http_app

    app = http_app(server, host=host, token=token)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise click.UsageError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from None
    with listening:
        shown = f"[{host}]" if ":" in host else host
        say(f"serving http://{shown}:{listening.getsockname()[1]}/mcp", err=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
