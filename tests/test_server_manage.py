"""The management API and the page: each operation, the description of all, and what the page's files hold."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

import httpx2
from test_server import IN, OUT, caller
from test_server_keys import KEYS, as_
from wire_server import EDIT, WireServer

import memedit.adapters.server
from memedit import EditMemory
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.adapters.server.operations import OPERATIONS
from memedit.testing import HashEmbedder, NamedGate

FACT = {
    "subject": "Norland",
    "relation": "capital",
    "object": "Oslo",
    "statement": EDIT,
    "prompt": "The capital of {} is",
}
TYPE = {"content-type": "application/json"}
FILES = (
    ("", "text/html"),
    ("page.css", "text/css"),
    ("page.js", "text/javascript"),
    ("shown.js", "text/javascript"),
    ("forms.js", "text/javascript"),
)
PAGE = Path(memedit.adapters.server.__file__).parent / "page"


@pytest.fixture
async def client(upstream: WireServer) -> AsyncIterator[httpx2.AsyncClient]:
    memory = EditMemory(embedder=HashEmbedder())
    backend = Endpoint(upstream.url, Editing.of(memory, NamedGate()), key="sk-up", passes_keys=False)
    async with caller(make_app(backend, memory, keys=KEYS), headers=as_("adam")) as made:
        yield made
    await backend.close()


async def post(client: httpx2.AsyncClient, path: str, **given: Any) -> Any:
    answer = await client.post(f"/memedit{path}", json=given)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def get(client: httpx2.AsyncClient, path: str, name: str = "adam", **given: Any) -> Any:
    answer = await client.get(f"/memedit{path}", params=given, headers=as_(name))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_edits_come_and_go(client: httpx2.AsyncClient) -> None:
    receipt = await post(client, "/edits", edit=FACT, reason="ticket 7")
    assert receipt["status"] == "added"
    assert (receipt["edit"]["author"], receipt["edit"]["reason"]) == ("adam", "ticket 7")
    other = await post(client, "/edits", edit="The CEO of Acme is Carol Diaz.")
    listed = await get(client, "/edits")
    assert [edit["id"] for edit in listed["edits"]] == [other["edit"]["id"], receipt["edit"]["id"]]
    assert (listed["found"], listed["revision"]) == (2, 2)
    assert [edit["text"] for edit in (await get(client, "/edits", limit=1, offset=1))["edits"]] == [EDIT]
    assert (await get(client, "/edits", search="Acme", limit=1))["edits"][0]["id"] == other["edit"]["id"]
    assert (await get(client, "/edits", as_of=1))["found"] == 1
    refused = await client.get("/memedit/edits", params={"search": "Acme", "as_of": 1})
    assert (refused.status_code, "`search`" in refused.json()["error"]["message"]) == (422, True)
    gone = await client.delete(f"/memedit/edits/{other['edit']['id'][:6]}", params={"reason": "old"})
    assert gone.json()["reason"] == "old"
    assert (await get(client, "/edits"))["found"] == 1
    assert (await post(client, "/undo"))["target"] == 3
    assert (await get(client, "/edits"))["found"] == 2
    assert (await post(client, "/revert", to=1))["change"] == "revert"
    past = await get(client, "/history", limit=2)
    assert [change["change"] for change in past["changes"]] == ["revert", "undo"]
    assert past["texts"][other["edit"]["id"]].startswith("The CEO")
    one = await get(client, f"/edits/{receipt['edit']['id']}")
    assert [change["revision"] for change in one["history"]] == [1]


async def test_undo_takes_back_what_was_shown_and_nothing_else(client: httpx2.AsyncClient) -> None:
    assert (await get(client, "/history"))["undo"] is None
    await post(client, "/edits", edit=FACT)
    seen = await get(client, "/history")
    assert (seen["undo"]["revision"], seen["texts"][seen["undo"]["events"][0]["edit"]]) == (1, EDIT)
    await post(client, "/proposals", edits=["The tower is closed."])  # changes nothing that is in force
    assert (await get(client, "/history"))["undo"]["revision"] == 1
    await post(client, "/edits", edit="The CEO of Acme is Carol Diaz.")
    refused = await client.post("/memedit/undo", json={"revision": 1})
    assert refused.status_code == 409
    assert refused.json()["error"]["type"] == "RevisionMoved"
    assert "revision 3, not 1" in refused.json()["error"]["message"]
    assert refused.json()["error"]["do"]
    assert (await get(client, "/edits"))["found"] == 2
    assert (await post(client, "/undo", revision=3))["target"] == 3
    assert (await get(client, "/history", limit=1))["undo"]["revision"] == 1  # however far back it lies
    assert (await post(client, "/undo", revision=1))["target"] == 1


async def test_receipts_tell_the_texts_of_what_they_name(client: httpx2.AsyncClient) -> None:
    old = await post(client, "/edits", edit=FACT)
    assert (old["edit"]["text"], old["texts"]) == (EDIT, {})
    new = {**FACT, "object": "Rom", "statement": "The capital of Norland is Rom"}
    await post(client, "/proposals", edits=[new, "Pell is far."])
    ids = [one["id"] for one in (await get(client, "/proposals"))["edits"]]
    before = await get(client, "/history")
    foreseen = await post(client, "/proposals/foresee", ids=ids)
    assert [one["superseded"] for one in foreseen["receipts"]] == [[old["edit"]["id"]], []]
    assert foreseen["texts"] == {old["edit"]["id"]: EDIT}
    assert await get(client, "/history") == before
    told = await post(client, "/proposals/accept", ids=ids)
    assert told["texts"] == {old["edit"]["id"]: EDIT}
    gone = await client.post("/memedit/proposals/foresee", json={"ids": ids})
    assert (gone.status_code, gone.json()["error"]["type"]) == (404, "UnknownEdit")


async def test_a_search_finds_ids_authors_and_words_first(client: httpx2.AsyncClient) -> None:
    first = await post(client, "/edits", edit=FACT)
    await client.post("/memedit/edits", json={"edit": "The CEO of Acme is Carol Diaz."}, headers=as_("eve"))
    for said, text in ((first["edit"]["id"][:6], EDIT), ("adam", EDIT), ("carol", "The CEO of Acme is Carol Diaz.")):
        found = await get(client, "/edits", search=said)
        first_found = found["edits"][0]
        assert (first_found["text"], first_found["exact"]) == (text, True)
        assert [one["exact"] for one in found["edits"]] == [True, False]
        assert found["found"] == 2
    assert all(one["similarity"] is not None for one in found["edits"])
    assert len((await get(client, "/edits", search="adam", offset=1))["edits"]) == 1
    assert not any(one["exact"] for one in (await get(client, "/edits", search="   "))["edits"])


async def test_without_keys_the_page_says_that_editing_is_off(upstream: WireServer) -> None:
    memory = EditMemory(embedder=HashEmbedder())
    backend = Endpoint(upstream.url, Editing.of(memory, NamedGate()))
    async with caller(make_app(backend, memory)) as client:
        answer = await client.get("/memedit/")
        assert "--keys FILE" in answer.text
        assert "<script" not in answer.text
        assert (await client.get("/memedit/page.css")).status_code == 200
    await backend.close()


async def test_the_model_is_compared_and_edits_are_proved(client: httpx2.AsyncClient, upstream: WireServer) -> None:
    receipt = await post(client, "/edits", edit=FACT)
    told = await post(client, "/explain", input=IN)
    assert told["lookups"][0]["verdicts"][0]["passed"]
    assert not told["untouched"]
    assert not upstream.seen
    both = await post(client, "/compare", input=IN, model="m")
    assert (both["base"], both["edited"]) == ("nobody knows", "Oslo")
    assert both["citations"][0]["id"] == receipt["edit"]["id"]
    assert upstream.seen[0][1]["authorization"] == "Bearer sk-up"
    assert (await post(client, "/compare", input=OUT, model="m"))["citations"] == []
    proved = await post(client, f"/edits/{receipt['edit']['id']}/verify", model="m")
    assert proved["passed"]
    nameless = await client.post("/memedit/compare", json={"input": IN})
    assert nameless.status_code == 400
    assert "model" in nameless.json()["error"]["do"]
    upstream.script = lambda body: (401, {"error": {"message": "wrong key sk-up"}})
    failed = await client.post("/memedit/compare", json={"input": IN, "model": "m"})
    assert failed.status_code == 502
    assert "sk-up" not in failed.text


async def test_what_is_proposed_waits_for_a_key_that_may_decide(client: httpx2.AsyncClient) -> None:
    forged = {**FACT, "author": "adam", "reason": "adam said so"}
    sent = {"edits": [forged, "The tower is closed."], "source": "mail 7", "reason": "ticket 7"}
    answer = await client.post("/memedit/proposals", json=sent, headers=as_("pat"))
    assert [one["status"] for one in answer.json()["receipts"]] == ["proposed", "proposed"]
    assert all(set(one) == {"status", "id", "revision"} for one in answer.json()["receipts"])
    assert (await get(client, "/edits"))["found"] == 0
    told = await post(client, "/explain", input=IN)
    assert told["untouched"]
    waits = (await get(client, "/proposals", "ann"))["edits"]
    assert [(one["author"], one["source"]) for one in waits] == [("pat", "mail 7")] * 2  # the key's name, a fact
    ids = [one["id"] for one in waits]
    for name in ("ann", "pat"):
        for how in ("accept", "reject"):
            refused = await client.post(f"/memedit/proposals/{how}", json={"ids": ids}, headers=as_(name))
            assert refused.status_code == 403
    refused = await client.post("/memedit/proposals/accept", json={"ids": ids}, headers=as_("bob"))
    assert refused.status_code == 404  # of another namespace
    accepted = await client.post("/memedit/proposals/accept", json={"ids": ids[:1]}, headers=as_("eve"))
    assert accepted.json()["receipts"][0]["edit"]["author"] == "pat"
    assert (await post(client, "/proposals/reject", ids=ids[1:]))["change"] == "reject"
    assert [one["id"] for one in (await get(client, "/edits"))["edits"]] == ids[:1]
    past = (await get(client, "/history"))["changes"]
    assert [(one["change"], one["author"]) for one in past] == [
        ("reject", "adam"),
        ("accept", "eve"),
        ("propose", "pat"),
    ]
    assert not (await post(client, "/explain", input=IN))["untouched"]


async def test_who_imports_is_a_fact_and_what_waits_in_a_file_waits(client: httpx2.AsyncClient) -> None:
    lines = ['{"statement": "A is B.", "author": "the boss"}', '{"statement": "C is D.", "proposed": true}']
    await post(client, "/import", text="\n".join(lines))
    (edit,) = (await get(client, "/edits"))["edits"]
    assert edit["author"] == "adam"
    (waits,) = (await get(client, "/proposals"))["edits"]
    assert (waits["text"], waits["author"]) == ("C is D.", "adam")
    file = await get(client, "/export")
    assert (file["edits"], file["proposed"]) == (1, 1)
    await post(client, "/proposals/reject", ids=[waits["id"]])
    await post(client, "/import", text=file["text"])
    assert len((await get(client, "/proposals"))["edits"]) == 1


@pytest.mark.parametrize("form", ["jsonl", "yaml"])
async def test_files_go_out_and_in(client: httpx2.AsyncClient, form: str) -> None:
    await post(client, "/edits", edit=FACT)
    await post(client, "/edits", edit="The CEO of Acme is Carol Diaz.")
    file = await get(client, "/export", form=form)
    assert file["edits"] == 2
    await post(client, "/revert", to=0)
    receipts = (await post(client, "/import", text=file["text"], form=form))["receipts"]
    assert [receipt["status"] for receipt in receipts] == ["added", "added"]
    assert (await get(client, "/history", limit=1))["changes"][0]["author"] == "adam"
    wrong = await client.post("/memedit/import", json={"text": f"{file['text']}\n{{", "form": form})
    assert wrong.status_code == 422
    assert f"import.{form}" in wrong.json()["error"]["message"]
    assert (await get(client, "/edits"))["found"] == 2


async def test_lines_and_tables_are_imported(client: httpx2.AsyncClient) -> None:
    receipts = (await post(client, "/import", text="The gym opens at 6.\nA bus leaves at 7.\n", form="txt"))["receipts"]
    receipts += (await post(client, "/import", text="statement,author\nA is B.,ann\n", form="csv"))["receipts"]
    assert [receipt["edit"]["author"] for receipt in receipts] == ["adam", "adam", "adam"]


async def test_what_is_erased_is_not_shown_to_readers(client: httpx2.AsyncClient) -> None:
    await post(client, "/edits", edit="The CEO of Acme is Carol Diaz.")
    await post(client, "/edits", edit="The tower of Acme is tall.")
    await post(client, "/edits", edit={"kind": "erasure", "subject": "Acme", "relation": "CEO", "object": "Carol Diaz"})
    seen = [await get(client, "/edits", "ann"), await get(client, "/edits", "ann", search="Carol Diaz"),
            await get(client, "/history", "ann")]  # fmt: skip
    answer = await client.post("/memedit/explain", json={"input": "Who is the CEO of Acme?"}, headers=as_("ann"))
    for value in [*seen, answer.json()]:
        assert "Carol" not in str(value)
    assert "tower" in str(seen[0])
    assert "Carol" in str(await get(client, "/edits", "eve"))
    (erased,) = (await get(client, "/edits", kind="erasure"))["edits"]
    assert (await client.get(f"/memedit/edits/{erased['id']}", headers=as_("ann"))).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("POST", "/edits", {"json": {}}, 422),
        ("POST", "/edits", {"json": {"edit": ""}}, 422),
        ("POST", "/edits", {"json": {"edit": "a is b", "namespace": "b"}}, 422),
        ("POST", "/edits", {"json": {"edit": {"statement": "a is b", "namespace": "b"}}}, 422),
        ("POST", "/edits", {"json": {"edit": {"kind": "spell"}}}, 422),
        ("POST", "/edits", {"content": b"{"}, 415),
        ("POST", "/edits", {"content": b"{", "headers": TYPE}, 400),
        ("POST", "/explain", {"json": {"input": [{"content": "x"}]}}, 400),
        ("POST", "/explain", {"content": b'{"input": "\\ud800"}', "headers": TYPE}, 422),
        ("POST", "/edits", {"content": b'{"edit": {"\\ud800": 1, "statement": "\\ud800"}}', "headers": TYPE}, 422),
        ("POST", "/revert", {"json": {"to": 99}}, 404),
        ("POST", "/undo", {"json": {}}, 409),
        ("GET", "/edits", {"params": {"limit": "many"}}, 422),
        ("GET", "/edits?limit=1&limit=2", {}, 422),
        ("GET", "/edits/none", {}, 404),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/edits", {}, 405),
    ],
)
async def test_what_is_wrong_is_said(
    client: httpx2.AsyncClient, method: str, path: str, how: dict[str, Any], status: int
) -> None:
    headers = as_("adam") | how.pop("headers", {})
    answer = await client.request(method, f"/memedit{path}", headers=headers, **how)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


async def test_every_operation_is_described(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/memedit/openapi.json", headers={"authorization": ""})
    told = answer.json()
    found = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert found == {(one.method, f"/memedit{one.path}") for one in OPERATIONS}
    named = set(re.findall(r"#/components/schemas/(\w+)", answer.text))
    assert named <= told["components"]["schemas"].keys()
    assert all(said["summary"] for methods in told["paths"].values() for said in methods.values())
    assert "RevisionMoved" in told["components"]["schemas"]["Undoing"]["properties"]["revision"]["description"]
    verify = told["paths"]["/memedit/edits/{id}/verify"]["post"]
    assert [one["name"] for one in verify["parameters"]] == ["id"]
    assert "id" not in verify["requestBody"]["content"]["application/json"]["schema"]["properties"]


async def test_the_page_is_served_and_fetches_nothing_else(client: httpx2.AsyncClient) -> None:
    redirected = await client.get("/memedit", headers={"authorization": ""})
    assert redirected.headers["location"] == "/memedit/"
    for name, kind in FILES:
        answer = await client.get(f"/memedit/{name}", headers={"authorization": ""})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert not re.search(r"https?://|//[a-z]+\.", answer.text)
    assert (await client.get("/memedit/../app.py")).status_code == 404


def test_the_page_puts_text_in_as_text() -> None:
    script = "".join((PAGE / name).read_text() for name in ("page.js", "shown.js", "forms.js"))
    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", script)
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"\son\w+=|<style|style=", html)  # the content security policy would not run them
    ids = set(re.findall(r'id="([\w-]+)"', html))
    used = set(re.findall(r'(?:\$|\bon)\("([\w-]+)"', script))
    assert used <= ids
