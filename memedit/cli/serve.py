"""`serve`: an OpenAI-compatible server with the memory in front of an endpoint, or of a local model."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import click

from memedit.cli._common import Command, Session
from memedit.cli._options import GATE, METHOD
from memedit.cli._print import say
from memedit.errors import MissingExtra


@click.command(cls=Command)
@click.option("--upstream", metavar="URL", help="The endpoint that answers, such as http://localhost:11434/v1.")
@click.option("--llm", "local", metavar="SPEC", help="A model of this process instead, named as for `ask`.")
@click.option("--upstream-key-env", metavar="NAME", help="The variable that holds the endpoint's own key.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for a free one.")
@click.option("--keys", "keys_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Whose requests are taken: YAML or JSON. Without it, everybody's on this machine.")  # fmt: skip
@GATE
@METHOD
@click.option("--doubt", type=click.Choice(["leave", "show", "ask"]), help="What is done with edits that may bear.")
@click.option("--max-body", type=click.IntRange(1), default=20, show_default=True, metavar="MB", help="Of a request.")
@click.option("--rate", type=click.IntRange(1), metavar="N", help="Requests a minute of each key.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="Processes that answer; each loads models of its own, and counts --rate by itself.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(1), default=600, show_default=True, metavar="SECONDS",
              help="How long the endpoint may be silent.")  # fmt: skip
@click.option(
    "--otel", is_flag=True, help="Tell of each call by OpenTelemetry, to where OTEL_EXPORTER_OTLP_ENDPOINT says."
)
@click.pass_obj
def serve(
    session: Session, upstream: str | None, local: str | None, upstream_key_env: str | None, host: str, port: int,
    keys_file: Path | None, gate: str | None, method: str, doubt: str | None, max_body: int, rate: int | None,
    workers: int, timeout: float, otel: bool,
) -> None:  # fmt: skip
    """Serve OpenAI's API with the memory in front of an endpoint, or of a local model.

    Requests that no edit is in scope of go on as they came. With --keys, edits are managed under /memedit/, where there
    is also a page for people. Ctrl-C ends it, once open requests have ended.

    Example:
        memedit serve --upstream https://api.openai.com/v1
        memedit serve --llm bundled --port 9000
        memedit serve --upstream http://localhost:11434/v1 --keys keys.yaml --host 0.0.0.0
        memedit serve --upstream http://vllm:8000/v1 --memory postgresql://ann@db/memories --workers 4 --keys keys.yaml
    """
    if session.as_json:
        raise click.UsageError("`memedit serve` has no --json: what it prints is for people.")
    if (upstream is None) == (local is None):
        raise click.UsageError("Give either --upstream URL or --llm SPEC.")
    if keys_file is None and not _is_loopback(host):
        raise click.UsageError(f"Without --keys everybody may ask, so --host {host} has to be of this machine alone.")
    if upstream_key_env and upstream is None:
        raise click.UsageError("--upstream-key-env goes with --upstream.")
    try:
        import uvicorn  # noqa: F401

        from memedit.adapters.server.keys import read_keys
        from memedit.cli import _serving
    except ImportError as error:
        raise MissingExtra("server", package=str(error.name)) from error

    served = _serving.Served(
        session.place, session.index, session.embedder, session.namespace, upstream, local, session.base_url,
        upstream_key_env, None if keys_file is None else str(keys_file), gate, method, doubt, max_body * 2**20, rate,
        timeout, otel,
    )  # fmt: skip
    keys = read_keys(keys_file) if keys_file else None
    served.key()
    if upstream is not None:
        _check_url(upstream)
    _serving.check_free(host, port)
    llm = served.model() if workers == 1 else None
    served.check(llm)  # so that no memory is made for what cannot be served
    with session.memory(create=True) as memory:
        app = served.app(memory, llm) if workers == 1 else None
        _serving.log_to_stderr()
        whose = f"{len(keys)} keys" if keys else f"namespace {session.namespace}, no keys, managing off"
        whose += f", {workers} workers" if workers > 1 else ""
        say(f"memedit serves {upstream or local} with the memory in {session.storage.shown} ({whose})", err=True)
        if keys and port:  # a free port is not known yet
            say(f"The page of its edits: {_address(host, port)}/memedit/", err=True)
        with suppress(KeyboardInterrupt):  # raised once more when everything has ended
            if app is not None:
                _serving.run_one(app, host, port)
            else:
                memory.close()
                _serving.run_many(served, workers, host, port)


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


def _address(host: str, port: int) -> str:
    """Where it is found from this machine."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        host = "localhost" if address.is_unspecified else f"[{host}]" if address.version == 6 else host
    return f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
