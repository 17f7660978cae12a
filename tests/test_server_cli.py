"""`memedit serve`: what it refuses to start with, and a whole run of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

import httpx2
from click.testing import CliRunner
from test_server import OUT, URLS, body
from wire_server import running

from memedit.cli import main

ROOT = Path(__file__).parent.parent
KEY = "support-0123456789abcdef"


pytestmark = pytest.mark.timeout(60)  # a server that starts against expectation would run for ever


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "either --upstream URL or --llm SPEC"),
        (["--upstream", "http://x", "--llm", "bundled"], "either --upstream URL or --llm SPEC"),
        (["--upstream", "ftp://x"], "no http:// or https:// address"),
        (["--upstream", "http://[x"], "no URL"),
        (["--upstream", "http://u:secret@x"], "holds a user or password"),
        (["--upstream", "http://x", "--host", "0.0.0.0"], "Without --keys"),
        (["--upstream", "http://x", "--keys", "nowhere.yaml"], "cannot be read"),
        (["--upstream", "http://x", "--upstream-key-env", "NOT_SET"], "NOT_SET is not set"),
        (["--llm", "bundled", "--upstream-key-env", "HOME"], "goes with --upstream"),
        (["--llm", "nothing:x"], "No model `nothing:x`"),
        (["--llm", "nothing:x", "--workers", "2"], "No model `nothing:x`"),
        (["--upstream", "http://x", "--method", "context_aware"], "logprobs"),
        (["--upstream", "http://x", "--method", "nothing"], "No method `nothing`"),
        (["--upstream", "http://x", "--gate", "nothing"], "`nothing` is neither a gate's folder"),
        (["--upstream", "http://x", "--index", "nothing"], "not `nothing`"),
        (["--upstream", "http://x", "--embedder", "nothing"], "No embedder `nothing`"),
        (["--upstream", "http://x", "--namespace", ""], "A namespace is one line"),
    ],
)
def test_what_cannot_be_served_is_said(given: list[str], said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["serve", *given, "--memory", str(tmp_path / "memory")])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert "secret" not in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "memory").exists()


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        given = ["serve", "--upstream", "http://127.0.0.1:9", "--port", port, "--memory", str(tmp_path / "memory")]
        done = CliRunner().invoke(main, given)
    assert done.exit_code == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in done.output


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_is_ended_while_it_streams(tmp_path: Path, workers: str) -> None:
    port = _free_port()
    for upstream in running():
        upstream.wait_for.clear()
        command = [
            sys.executable, "-c", "from memedit.cli import main; main()", "serve", "--upstream", upstream.url,
            "--memory", str(tmp_path / "memory"), "--port", port, "--workers", workers,
        ]  # fmt: skip
        run = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            with httpx2.Client(timeout=30, base_url=f"http://127.0.0.1:{port}") as client:
                _until_ready(client, "/readyz")
                with client.stream("POST", URLS[0], json=body(URLS[0], OUT, stream=True)) as answer:
                    pieces = answer.iter_raw()
                    next(pieces)
                    run.send_signal(signal.SIGTERM)
                    time.sleep(0.5)
                    upstream.wait_for.set()
                    assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
        finally:
            run.terminate()
            _, log = run.communicate(timeout=30)
        assert run.returncode == 0, log
        assert "Traceback" not in log


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"keys: [{{name: support, key: {KEY}, namespace: default, role: admin}}]")
    url = f"http://127.0.0.1:{_free_port()}"
    for upstream in running():
        command = [
            sys.executable, "-c", "from memedit.cli import main; main()", "serve", "--upstream", upstream.url,
            "--keys", str(keys), "--memory", str(tmp_path / "memory"), "--port", url.rpartition(":")[2],
            "--upstream-key-env", "UPSTREAM_KEY",
        ]  # fmt: skip
        environment = os.environ | {"UPSTREAM_KEY": "sk-of-the-endpoint"}
        run = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            with httpx2.Client(headers={"authorization": f"Bearer {KEY}"}, timeout=60) as client:
                _until_ready(client, f"{url}/readyz")
                answer = client.post(f"{url}{URLS[0]}", json=body(URLS[0], OUT))
                assert answer.json()["choices"][0]["message"]["content"] == "nobody knows"
                assert client.get(f"{url}/memedit/me").json()["role"] == "admin"
        finally:
            run.send_signal(signal.SIGINT)
            _, log = run.communicate(timeout=30)
        assert run.returncode == 0
        assert upstream.seen[-1][1]["authorization"] == "Bearer sk-of-the-endpoint"
        assert "POST /v1/chat/completions 200" in log
        assert f"The page of its edits: {url}/memedit/\n" in log
        assert KEY not in log
        assert "sk-of" not in log


@pytest.mark.timeout(300)
@pytest.mark.model
def test_the_example_runs(tmp_path: Path) -> None:
    port = _free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PORT": port, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["sh", str(ROOT / "examples" / "08_proxy.sh")], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, _, rest = done.stdout.partition("corrected:")
    corrected, _, undone = rest.partition("undone:")
    assert "Carol Diaz" not in before
    assert corrected.count("Carol Diaz") >= 2  # in the receipt, and in the answer
    assert "x-memedit-edits" in corrected
    assert "x-memedit-edits" not in undone


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _until_ready(client: httpx2.Client, url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if client.get(url).status_code == 200:
                return
        except httpx2.TransportError:
            assert time.monotonic() < deadline
        time.sleep(0.05)
