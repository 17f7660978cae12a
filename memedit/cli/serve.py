"""`serve`: an OpenAI-compatible server with the memory in front of an endpoint, or of a local model."""

from __future__ import annotations

import ipaddress
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from memedit.cli._common import Command, Session
from memedit.cli._print import busy, say
from memedit.errors import MissingExtra

if TYPE_CHECKING:
    import uvicorn

    from memedit.adapters.server.backend import Backend, Editing

GRACE = 30  # seconds that open requests have to end


@click.command(cls=Command)
@click.option("--upstream", metavar="URL", help="The endpoint that answers, such as http://localhost:11434/v1.")
@click.option("--llm", "local", metavar="SPEC", help="A model of this process instead, named as for --model.")
@click.option("--upstream-key-env", metavar="NAME", help="The variable that holds the endpoint's own key.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for a free one.")
@click.option("--keys", "keys_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Whose requests are taken: YAML or JSON. Without it, everybody's on this machine.")  # fmt: skip
@click.option("--gate", metavar="SPEC", help="Decides which edits are in scope; the default one if left out.")
@click.option("--method", metavar="NAME", default="auto", show_default=True, help="How edits change the answer.")
@click.option("--doubt", type=click.Choice(["leave", "show", "ask"]), help="What is done with edits that may bear.")
@click.option("--max-body", type=click.IntRange(1), default=20, show_default=True, metavar="MB", help="Of a request.")
@click.option("--rate", type=click.IntRange(1), metavar="N", help="Requests a minute of each key.")
@click.option("--timeout", type=click.FloatRange(1), default=600, show_default=True, metavar="SECONDS",
              help="How long the endpoint may be silent.")  # fmt: skip
@click.pass_obj
def serve(
    session: Session, upstream: str | None, local: str | None, upstream_key_env: str | None, host: str, port: int,
    keys_file: Path | None, gate: str | None, method: str, doubt: str | None, max_body: int, rate: int | None,
    timeout: float,
) -> None:  # fmt: skip
    """Serve OpenAI's API with the memory in front of an endpoint, or of a local model.

    Requests that no edit is in scope of go on as they came. With --keys, edits are managed under /memedit/, where there
    is also a page for people. Ctrl-C ends it, once open requests have ended.

    Example:
        memedit serve --upstream https://api.openai.com/v1
        memedit serve --llm bundled --port 9000
        memedit serve --upstream http://localhost:11434/v1 --keys keys.yaml --host 0.0.0.0
    """
    if (upstream is None) == (local is None):
        raise click.UsageError("Give either --upstream URL or --llm SPEC.")
    if keys_file is None and not _is_loopback(host):
        raise click.UsageError(f"Without --keys everybody may ask, so --host {host} has to be of this machine alone.")
    if upstream_key_env and upstream is None:
        raise click.UsageError("--upstream-key-env goes with --upstream.")
    try:
        import uvicorn

        from memedit.adapters.server.app import make_app
        from memedit.adapters.server.backend import Editing
        from memedit.adapters.server.guard import Limits
        from memedit.adapters.server.keys import read_keys
    except ImportError as error:
        raise MissingExtra("server", package=str(error.name)) from error

    keys = read_keys(keys_file) if keys_file else None
    key = _key_in(upstream_key_env)
    if upstream is not None:
        _check_url(upstream)
    with session.memory(create=True) as memory:
        editing = Editing.of(memory, gate, method, doubt)  # type: ignore[arg-type]
        backend = _backend(session, editing, upstream, local, key, passes_keys=keys is None, seconds=timeout)
        limits = Limits(body=max_body * 2**20, rate=rate)
        app = make_app(backend, memory, keys=keys, namespace=session.namespace, limits=limits)
        _log_to_stderr()
        server = uvicorn.Server(
            uvicorn.Config(
                app, host=host, port=port, access_log=False, log_config=None, server_header=False,
                timeout_graceful_shutdown=GRACE, timeout_keep_alive=75,
            )
        )  # fmt: skip
        whose = f"{len(keys)} keys" if keys else f"namespace {session.namespace}, no keys, managing off"
        say(f"memedit serves {upstream or local} with the memory in {session.storage.shown} ({whose})", err=True)
        with suppress(KeyboardInterrupt):  # raised once more when everything has ended
            _run(server, host, port)


def _run(server: uvicorn.Server, host: str, port: int) -> None:
    try:
        server.run()
    except SystemExit:  # uvicorn's way of saying so, after a line in the log
        raise click.ClickException(f"Cannot listen on {host}:{port}; name another --host or --port.") from None


def _backend(
    session: Session, editing: Editing, upstream: str | None, local: str | None, key: str | None, *,
    passes_keys: bool, seconds: float,
) -> Backend:  # fmt: skip
    if upstream is not None:
        from memedit.adapters.server.backend import Endpoint

        return Endpoint(upstream, editing, key=key, passes_keys=passes_keys, seconds=seconds)
    from memedit.adapters.server.local import LocalModel
    from memedit.cli._common import open_model

    with busy(f"loading {local}…"):
        return LocalModel(open_model(str(local), session.base_url), editing)


def _key_in(name: str | None) -> str | None:
    """The endpoint's key."""
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise click.UsageError(f"--upstream-key-env: the variable {name} is not set.")
    return key


def _check_url(url: str) -> None:
    """Refuse what is no address of a server, and one that holds a password: addresses stand in logs."""
    try:
        parsed = urlsplit(url)
        port = parsed.port
    except ValueError:
        raise click.UsageError("--upstream is no URL.") from None
    if "@" in parsed.netloc:
        raise click.UsageError("--upstream holds a user or password; name its key with --upstream-key-env.")
    if parsed.scheme not in ("http", "https") or not parsed.hostname or port == 0 or parsed.query or parsed.fragment:
        raise click.UsageError(f"--upstream {url:.80} is no http:// or https:// address.")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _log_to_stderr() -> None:
    """Lines of this server and of uvicorn on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("memedit.server", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
