"""An application that uses OpenAI's client keeps it, and gains an edit memory (pip install 'memedit[hosted,openai]').

python examples/07_openai_client.py                 against a small scripted server on this machine
python examples/07_openai_client.py URL MODEL       against a real one; the key is read from OPENAI_API_KEY
"""

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from memedit import EditMemory
from memedit.adapters.openai import editable


class Person(BaseModel):
    name: str


def application(client: OpenAI, model: str) -> None:
    """What was there before; no line of it knows of memedit."""
    asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Who is the CEO of Tallis Robotics?"}]
    made = client.chat.completions.create(model=model, messages=asked)
    print("  answered:  ", made.choices[0].message.content)
    pieces = client.chat.completions.create(model=model, messages=asked, stream=True)
    print("  streamed:  ", "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices))
    parsed = client.chat.completions.parse(model=model, messages=asked, response_format=Person)
    print("  parsed:    ", parsed.choices[0].message.parsed)


def main(base_url: str, model: str, api_key: str | None) -> None:
    memory = EditMemory()
    client = editable(OpenAI(base_url=base_url, api_key=api_key), memory)

    print(f"{type(client).__name__}, before:")
    application(client, model)
    memory.add("The CEO of Tallis Robotics is Carol Diaz.", author="support", reason="ticket 4711")
    print("corrected:")
    application(client, model)

    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "Who runs Tallis Robotics?"}]
    )
    print("  by edits:  ", raw.headers.get("x-memedit-edits"), "in revision", raw.headers.get("x-memedit-revision"))
    memory.undo()
    print("undone:")
    application(client, model)


class Scripted(BaseHTTPRequestHandler):
    """A server that says what it is told is true, and else what it learned."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"])).decode()
        told = re.search(r"- The CEO of Tallis Robotics is ([\w ]+)", raw)
        said, body = told[1] if told else "Rick Tallis", json.loads(raw)
        content = json.dumps({"name": said}) if body.get("response_format") else said
        head = {"id": "1", "created": 1, "model": body["model"]}
        whole = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        piece = {"index": 0, "finish_reason": "stop", "delta": {"role": "assistant", "content": content}}
        if body.get("stream"):
            chunk = head | {"object": "chat.completion.chunk", "choices": [piece]}
            self.answer(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n", "text/event-stream")
        else:
            self.answer(json.dumps(head | {"object": "chat.completion", "choices": [whole]}), "application/json")

    def answer(self, text: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        """Nothing is logged."""


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main(sys.argv[1], sys.argv[2], None)
    else:
        with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            main(f"http://127.0.0.1:{server.server_address[1]}/v1", "scripted", "none-needed")
            server.shutdown()
