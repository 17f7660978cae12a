"""Anything at all given to the memory: only documented errors, and the memory stays whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml
from fuzzing import generated
from hypothesis import given
from hypothesis import strategies as st

from memedit.edits import Demonstration, Fact, Feedback, Patch, as_edit
from memedit.errors import EditRejected, FileRejected, MemeditError
from memedit.memory import EditMemory
from memedit.testing import HashEmbedder

many, some = generated(700), generated(300)

NASTY = [
    "", " ", "\n", "\x00", "\ud800", "a\udfffb", "\u200b", "\u202eabc", "\ufeff", "שלום עולם", "مرحبا", "می\u200cخواهم",
    "👩‍👩‍👧", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A", "a" * 8_001, "あ" * 9_000, "{}", "{} is {}", "%s %(x)s {0}", "'; DROP TABLE edits;--",
    "<|im_end|>", "<|endoftext|>", "[INST]", "</s>", '{"kind": "fact"}', "null", "NaN", "1e999", "P36", "P99999999",
    "\\u0000", "İstanbul ı ſ ß ﬁ", "\u0345", "ǅ", "\U0010ffff", "\u1160", "- a: b", "*x", "&x", "!!int x", "? |", "# c",
]  # fmt: skip
text = st.sampled_from(NASTY) | st.text(max_size=80) | st.text(st.characters(), max_size=20)
times = st.datetimes(timezones=st.just(UTC) | st.none()) | st.dates()
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text | times | st.binary(max_size=9)
values = st.recursive(
    scalars, lambda some: st.lists(some, max_size=4) | st.dictionaries(text, some, max_size=4), max_leaves=9
)
fields = sorted({name for kind in (Fact, Feedback, Patch, Demonstration) for name in kind.model_fields})
names = st.sampled_from(fields) | text
kinds = st.sampled_from(["fact", "feedback", "patch", "demonstration", "other"]) | values
plausible = st.fixed_dictionaries(
    {"statement": text},
    optional={
        "id": st.sampled_from("abc") | text, "subject": text, "relation": st.sampled_from(["CEO", "P36", "x"]) | text,
        "object": text, "prompt": st.just("{} is") | text, "aliases": st.lists(text, max_size=3), "author": text,
        "created_at": times, "expires_at": times, "valid_from": times, "valid_until": times, "kind": kinds,
        "probes": st.lists(st.fixed_dictionaries({"prompt": text}, optional={"expect": st.lists(text)}), max_size=2),
    },
)  # fmt: skip
mappings = plausible | st.dictionaries(names, values, max_size=6) | st.dictionaries(names | st.integers(), values)


def is_readable(error):
    assert str(error).encode()  # no half characters, so that it can be printed


@pytest.fixture(scope="module", params=["in memory", "in a folder"])
def memory(request, tmp_path_factory):
    path = None if request.param == "in memory" else tmp_path_factory.mktemp("memory")
    with EditMemory(path, embedder=HashEmbedder(32)) as memory:
        yield memory
        assert memory.check() == []
        count = len(memory.history())
        memory.revert(to=0)
        assert memory.edits() == []
        assert len(memory.history()) in (count, count + 1)
        assert memory.check() == []


@many
@given(mappings | values, st.dictionaries(st.sampled_from(fields), values, max_size=2))
def test_as_edit(value, defaults):
    try:
        edit = as_edit(value, **defaults)
    except EditRejected as error:
        is_readable(error)
        return
    assert as_edit(json.loads(json.dumps(edit.to_dict()))) == edit


@many
@given(mappings | values)
def test_add(memory, value):
    revision = memory.revision()
    try:
        receipt = memory.add(value)
    except MemeditError as error:
        is_readable(error)
        assert memory.revision() == revision
        return
    assert receipt.edit in memory.edits() or receipt.edit.expires_at is not None


@some
@given(text | st.text(max_size=2_000), st.integers(-5, 50))
def test_search_and_recall(memory, query, k):
    for found in (memory.search(query, k=k), memory.as_of(None).search(query, k=k)):
        assert len(found) <= max(k, 0)
    assert memory.recall(query, k=k).query == query


@some
@given(text, text, text)
def test_ids_namespaces_and_notes(memory, edit_id, namespace, note):
    for call in (
        lambda: memory.get(edit_id),
        lambda: memory.retract(edit_id, reason=note),
        lambda: memory.history(edit_id, namespace=namespace),
        lambda: memory.undo(namespace=namespace, author=note),
        lambda: memory.add("A is B", namespace=namespace, author=note, source=note, reason=note),
        lambda: memory.as_of(0, namespace=namespace).edits(tag=note, kind=note),
    ):
        try:
            call()
        except MemeditError as error:
            is_readable(error)


@some
@given(st.text(), st.datetimes(timezones=st.just(UTC) | st.none()))
def test_on_conflict_and_time(memory, way, when):
    if way not in ("supersede", "keep", "error"):
        with pytest.raises(ValueError, match="on_conflict is one of"):
            memory.add("A is B", on_conflict=way)
    assert len(memory.as_of(when)) <= len(memory.history()) * 9
    assert datetime.now(UTC)


def imported(memory, tmp_path_factory, name, content):
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(content)
    revision = memory.revision()
    try:
        receipts = memory.import_(file)
    except FileRejected as error:
        is_readable(error)
        assert memory.revision() == revision
    else:
        assert len({receipt.revision for receipt in receipts}) <= 1


@some
@given(st.lists(mappings, max_size=4), st.booleans())
def test_import_jsonl(memory, tmp_path_factory, entries, ascii_only):
    lines = "\n".join(json.dumps(_stringed(entry), default=str, ensure_ascii=ascii_only) for entry in entries)
    imported(memory, tmp_path_factory, "a.jsonl", lines.encode("utf-8", "surrogatepass"))


@some
@given(st.lists(mappings, max_size=4))
def test_import_yaml(memory, tmp_path_factory, entries):
    content = yaml.safe_dump({"edits": entries}, allow_unicode=True).encode("utf-8", "surrogatepass")
    imported(memory, tmp_path_factory, "a.yaml", content)


YAML_PIECES = ["- ", "a: ", "edits:", "\n", "  ", "!!int ", "!!timestamp ", "!!binary ", "!!set ", "&a ", "*a", "[",
               "]", "{", "}", "'", '"', "|\n", ">\n", "? ", "<<: ", "2020-01-01", "1:2:3", "0x", ".nan", "~",
               "statement: x", "%YAML 9\n", "---\n", "...\n", "\t", "=", "!!float ''", "!!bool x", "!x"]  # fmt: skip


@some
@given(st.lists(st.sampled_from(YAML_PIECES), max_size=12).map("".join).map(str.encode) | st.binary(max_size=60))
def test_import_of_anything(memory, tmp_path_factory, content):
    for name in ("b.yaml", "b.jsonl"):
        imported(memory, tmp_path_factory, name, content)


def _stringed(value):
    """JSON has text keys only."""
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else value
