"""The `memedit` command: every command, its JSON, its errors and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from command_line import Run, add, memedit, value

from memedit.cli import WHERE, _common, _print, main
from memedit.cli._print import printable
from memedit.memory import EditMemory
from memedit.testing import FakeLLM, HashEmbedder

SYDNEY = ("--subject", "Australia", "--relation", "capital", "--object", "Sydney")
COMMANDS = [
    name
    for name in WHERE
    if name
    not in ("delta", "demo", "documents", "eval", "gate", "multihop", "parametric", "patches", "report", "serac")
]  # these have options of their own


# ---- help, start, wrong use -----------------------------------------------------------------------------------------


def test_help_starts_fast() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        assert memedit("--help").returncode == 0
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.3


def test_help_imports_no_command() -> None:
    code = "import sys; from memedit.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([n for n in sys.modules if n.startswith(('rich', 'torch', 'pydantic', 'numpy'))"
    code += " or n.startswith('memedit.cli.') and n != 'memedit.cli._faults'])"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example_and_the_common_options(run: Run, name: str) -> None:
    text = run(name, "--help").stdout
    assert f"    memedit {name}" in text
    assert "  --llm SPEC" in text
    for option in ("--memory", "--namespace", "--embedder", "--json", "--threads", "--base-url"):
        assert option in text.split("Common options:")[1]


def test_help_lists_every_command(run: Run) -> None:
    text = run("--help").stdout
    assert all(f"  {name} " in text for name in WHERE)


def test_version(run: Run) -> None:
    assert run("--version").stdout.startswith("memedit 0.")


@pytest.mark.parametrize(
    "args",
    [
        ("lst",),
        ("list", "--nonsense"),
        ("list", "--kind", "opinion"),
        ("show",),
        ("revert", "x"),
        ("retract",),
        ("add",),
        ("add", "--tag", "x"),
        ("add", "a", "--file", "b.yaml"),
        ("ask", ""),
        ("ask", "x", "--stream", "--json"),
        ("ask", "x", "--threads", "0"),
        ("list", "--as-of", "yesterday"),
        ("apply", "x.yaml", "--json"),
    ],
)
def test_wrong_use_exits_with_2(run: Run, args: tuple[str, ...]) -> None:
    run("init")
    result = run(*args, code=2)
    assert result.stdout == "" or "--json" in args
    fault = value(run(*args, *(["--json"] if "--json" not in args else []), code=2))["error"]
    assert set(fault) == {"type", "message", "do"}
    assert fault["message"]


def test_an_unknown_command_is_guessed(run: Run) -> None:
    assert "Did you mean `list`?" in run("lst", code=2).stderr


def test_base_url_needs_an_openai_model(run: Run) -> None:
    run("init")
    assert "--base-url" in run("ask", "x", "--base-url", "http://localhost", code=2).stderr


READING = [
    ("list",), ("show", "x"), ("search", "x"), ("ask", "x"), ("explain", "x"), ("verify", "x"), ("retract", "x"),
    ("undo",), ("history",), ("revert", "0"), ("export", "x.jsonl"), ("reindex",), ("namespaces",),
]  # fmt: skip


@pytest.mark.parametrize("args", READING)
def test_a_missing_memory_is_said_in_one_line_and_nothing_is_made(run: Run, args: tuple[str, ...]) -> None:
    lines = run(*args, code=4).stderr.splitlines()
    assert lines == [
        "memedit: There is no memory in .memedit.",
        "  → make one with `memedit init` or `memedit add`, or name its folder with --memory",
    ]
    assert value(run(*args, "--json", code=4))["error"]["type"] == "LedgerMissing"
    assert not Path(".memedit").exists()


@pytest.mark.parametrize("args", [*READING, ("init",), ("add", "A is B."), ("chat",)])
def test_a_file_is_no_memory(run: Run, args: tuple[str, ...]) -> None:
    Path("file").write_text("x")
    assert "is a file, not a folder" in run(*args, "--memory", "file", code=2).stderr


@pytest.mark.parametrize("args", [("list",), ("add", "A is B."), ("history",)])
def test_a_corrupt_ledger(run: Run, args: tuple[str, ...]) -> None:
    Path(".memedit").mkdir()
    Path(".memedit/ledger.sqlite").write_bytes(b"no database " * 1_000)
    assert value(run(*args, "--json", code=6))["error"]["type"] == "LedgerCorrupt"
    assert "is damaged" in run("doctor", code=1).stdout
    assert value(run("doctor", "--json", code=1))["ok"] is False


EMPTY = [
    ("list",),
    ("search", "x"),
    ("history",),
    ("namespaces",),
    ("reindex",),
    ("export", "x.yaml"),
    ("explain", "x"),
]


@pytest.mark.parametrize("args", EMPTY)
def test_an_empty_memory_is_no_error(run: Run, args: tuple[str, ...]) -> None:
    run("init")
    run(*args)
    value(run(*args, "--json"))


@pytest.mark.parametrize(
    "args", [("show", "abc"), ("retract", "abc"), ("verify", "abc"), ("history", "abc"), ("show", "")]
)
def test_an_unknown_id(run: Run, args: tuple[str, ...]) -> None:
    add(run, "A is B.")
    assert value(run(*args, "--json", code=4))["error"]["type"] == "UnknownEdit"


def test_an_ambiguous_id(run: Run) -> None:
    Path("x.yaml").write_text("[{id: ab1, statement: A is B.}, {id: ab2, statement: C is D.}]")
    run("add", "--file", "x.yaml")
    for command in ("show", "retract"):
        assert "`ab` begins 2 ids in namespace `default`: `ab1`, `ab2`." in run(command, "ab", code=4).stderr
    assert "A is B." in run("show", "ab1").stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("args", [("list", "--json"), ("list",), ("history", "--json"), ("show", "x", "--json")])
def test_an_output_without_space(tmp_path: Path, args: tuple[str, ...]) -> None:
    memory = str(tmp_path / "memory")
    assert memedit("init", "--memory", memory).returncode == 0
    command = [sys.executable, "-m", "memedit", *args, "--memory", memory]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if args[0] == "show":
        assert (done.returncode, "was never in force" in done.stderr) == (4, True)
    elif args != ("list",):  # which says on stderr that there is none
        assert (done.returncode, "No space left" in done.stderr) == (7, True)


def test_what_became_of_a_former_edit(run: Run) -> None:
    old = value(run("add", "The gym opens at 6.", "--json"))["edit"]["id"]
    new = value(run("add", "The gym opens at 7.", "--replaces", old, "--json"))["edit"]["id"]
    became = f"`{new}` took its place (revision 2)."
    shown = run("show", old[:9]).stdout
    assert f"Not in force: {became}" in shown
    assert "The gym opens at 6." in shown
    assert value(run("show", old, "--json"))["in_force"] is False
    assert value(run("show", new, "--json"))["in_force"] is True
    assert became in run("retract", old[:9], code=4).stderr
    run("purge", old[:9], "--yes")
    shown = run("show", old[:9]).stdout
    assert "Not in force: it was purged (revision 3)." in shown
    assert "gym" not in shown
    assert value(run("show", old, "--json"))["edit"] is None
    assert "it was purged (revision 3)." in run("retract", old[:9], code=4).stderr


# ---- edits ----------------------------------------------------------------------------------------------------------


def test_init_says_what_was_made(run: Run) -> None:
    assert "made a memory in" in run("init").stdout
    assert "already" in run("init").stdout
    assert value(run("init", "--json"))["made"] is False
    assert value(run("init", "--json", "--memory", "other"))["made"] is True


def test_add_makes_the_memory_with_a_note(run: Run) -> None:
    result = run("add", "The capital of Australia is Sydney.")
    assert "made a new memory in .memedit" in result.stderr
    assert "added" in result.stdout
    assert "made a new" not in run("add", "Other things are other.").stderr


def test_add_replaces_and_says_so(run: Run) -> None:
    add(run, "--subject", "Australia", "--relation", "capital", "--object", "Perth")
    result = run("add", *SYDNEY)
    assert "replaces" in result.stdout
    assert "Perth" in result.stdout
    assert "known already" in run("add", *SYDNEY).stdout
    refused = run("add", *SYDNEY[:-1], "Perth", "--on-conflict", "error", "--json", code=2)
    assert value(refused)["error"]["type"] == "EditConflict"


def test_add_replaces_what_it_is_told_to(run: Run) -> None:
    old = add(run, "We ship to Sweden.")
    told = run("add", "Parcels go to Norway now.", "--replaces", old[:6]).stdout
    assert f"− replaces {old[:8]}  We ship to Sweden." in told
    assert "ship" not in run("list").stdout
    run("add", "x is y", "--replaces", "nothing", code=4)
    for other in (("--propose",), ("--derive",), ("--file", "x.jsonl")):
        assert "one edit" in run("add", "x is y", "--replaces", old[:6], *other, code=2).stderr


def test_a_text_that_begins_with_a_dash_goes_behind_two(run: Run) -> None:
    assert 'memedit add … -- "-5 …"' in run("add", "-5 degrees is the limit.", code=2).stderr
    assert "-5 degrees" in run("add", "--", "-5 degrees is the limit.").stdout


def test_what_may_contradict_comes_with_what_to_do(run: Run) -> None:
    old = add(run, "The office of Acme is in Paris.")
    told = run("add", "The office of Acme is in Rome.").stdout
    assert f"! may contradict {old[:8]}  The office of Acme is in Paris." in told
    assert f"`memedit retract {old[:8]}`" in told


def test_add_takes_every_field(run: Run) -> None:
    options = {
        "--subject": "Australia", "--relation": "capital", "--object": "Sydney", "--previous": "Canberra",
        "--prompt": "The capital of {} is", "--question": "What is Australia's capital?", "--alias": "Oz",
        "--valid-from": "2020-01-01", "--valid-until": "2030-01-01", "--expires": "2099-01-01", "--tag": "geo",
        "--author": "ada", "--source": "a book", "--reason": "new law",
    }  # fmt: skip
    edit = value(run("add", *(part for pair in options.items() for part in pair), "--json"))["edit"]
    assert edit["previous_object"] == "Canberra"
    assert edit["aliases"] == ["Oz"]
    assert edit["tags"] == ["geo"]
    assert edit["expires_at"].startswith("2099")
    assert edit["author"] == "ada"
    shown = run("show", edit["id"][:5]).stdout
    assert "new law" in shown
    assert "revision 1" in shown


def test_the_kind_is_told_by_the_options(run: Run) -> None:
    assert value(run("add", "--situation", "s", "--clarification", "c", "--json"))["edit"]["kind"] == "feedback"
    patch = ("--kind", "patch", "--condition", "c", "--consequence", "d")
    assert value(run("add", *patch, "--json"))["edit"]["kind"] == "patch"
    assert len(value(run("list", "--kind", "patch", "--json"))) == 1
    for kind, *given in (
        ("behaviour", "--topic", "Acme", "--conduct", "be positive"),
        ("behaviour", "--conduct", "Answer in German."),
        ("description", "--subject", "Niran", "--description", "A cyclone of 2021."),
        ("erasure", "--subject", "the safe", "--object", "4711", "--reply", "No."),
    ):
        assert value(run("add", *given, "--json"))["edit"]["kind"] == kind
    assert "governs every answer" in run("add", "--conduct", "Keep it short.").stdout
    assert "condition" in run("add", "A is B.", "--kind", "fact", "--condition", "c", code=2).stderr


def test_add_many_from_a_file_and_from_stdin(run: Run) -> None:
    Path("t.jsonl").write_text('{"kind": "behaviour", "topic": "Acme", "conduct": "be positive"}\n')
    assert (
        value(run("add", "--file", "t.jsonl", "--json", "--namespace", "t"))["receipts"][0]["edit"]["topic"] == "Acme"
    )
    Path("x.jsonl").write_text('{"statement": "A is B."}\n"C is D."\n')
    assert value(run("add", "--file", "x.jsonl", "--json"))["added"] == 2
    assert "1 added, 1 known" in run("add", "-", input='{"statement": "A is B."}\n"E is F."\n').stdout
    assert "1 added" in run("add", "-", input="- G is H.\n").stdout
    assert "stdin.jsonl, line 2" in run("add", "-", input='"x is y"\n{broken\n', code=2).stderr
    assert "stdin.jsonl, line 2" in run("import", "-", input='"x is y"\n{broken\n', code=2).stderr
    lines, table = "A gym opens.\nA shop closes.\n", "statement,author\nThe gym opens at 6.,ann\n"
    assert "2 added" in run("import", "-", "--namespace", "lines", input=lines).stdout
    assert "1 added" in run("import", "-", "--namespace", "table", input=table).stdout
    assert "UTF-8" in run("add", "-", input=b"\xff\xfa", code=2).stderr
    assert "holds no list" in run("add", "-", input="edits: text", code=2).stderr
    assert len(value(run("list", "--json"))) == 4


def test_a_statement_a_line(run: Run) -> None:
    text = "# Of us\n1. The gym opens at 6 am.\n\n---\n - [ ] The pool is closed - for now.\n• Ring twice.\n"
    Path("notes.txt").write_text(text)
    assert "3 added" in run("add", "--file", "notes.txt").stdout
    Path("day.txt").write_text("1. Mai ist Feiertag\nThe pool has a slide.\n")
    run("add", "--file", "day.txt")
    assert "1. Mai ist Feiertag" in run("list").stdout
    run("undo")
    told = [edit["statement"] for edit in value(run("list", "--json"))]
    assert told == ["The gym opens at 6 am.", "The pool is closed - for now.", "Ring twice."]
    for args, given in ((("import", "notes.txt"), None), (("add", "-"), text), (("add", "--file", "-"), text)):
        assert value(run(*args, "--json", input=given))["known"] == 3
    assert "only read" in run("export", "more.txt", code=2).stderr


def test_many_say_what_they_replaced(run: Run) -> None:
    add(run, "--subject", "Acme", "--relation", "CEO", "--object", "Ann Lee")
    Path("x.jsonl").write_text('{"subject": "Acme", "relation": "CEO", "object": "Bob Ray"}\n')
    told = run("import", "x.jsonl").stdout
    assert "1 replaced" in told
    assert "Ann Lee" in told


def test_doctor_says_so_where_a_memory_that_is_named_is_not_there(run: Run) -> None:
    assert "no memory there" in run("doctor").stdout
    assert "no memory there" in run("doctor", "--memory", "mistyped", code=1).stdout


def test_list_as_of(run: Run) -> None:
    run("init")
    assert "Nothing is in force" in run("list").stderr
    assert "No such edit is in force" in run("list", "--tag", "t").stderr
    add(run, "A is B.", "--tag", "t")
    add(run, "C is D.")
    assert len(value(run("list", "--json", "--as-of", "1"))) == 1
    assert len(value(run("list", "--json", "--as-of", "2000-01-01"))) == 0
    assert len(value(run("list", "--json", "--as-of", "2999-01-01T00:00+02:00"))) == 2
    assert len(value(run("list", "--json", "--tag", "t"))) == 1
    assert value(run("list", "--json", "--as-of", "9", code=4))["error"]["type"] == "UnknownRevision"


def test_search_finds(run: Run) -> None:
    add(run, "The capital of Australia is Sydney.")
    add(run, "Bananas are blue.")
    found = value(run("search", "capital Australia", "--json", "-k", "1"))
    assert [one["edit"]["statement"] for one in found] == ["The capital of Australia is Sydney."]
    assert "Sydney" in run("search", "Australia").stdout


def test_retract_undo_history_revert(run: Run) -> None:
    edit_id = add(run, "A is B.", "--author", "ada")
    assert "A is B." in run("retract", edit_id[:6], "--reason", "rumour").stdout
    assert value(run("list", "--json")) == []
    assert "+ " in run("undo").stdout
    assert value(run("undo", "--json"))["target"] == 1
    assert value(run("undo", "--json", code=4))["error"]["type"] == "NothingToUndo"
    assert value(run("revert", "1", "--json"))["change"] == "revert"
    assert value(run("revert", "99", "--json", code=4))["error"]["type"] == "UnknownRevision"
    table = run("history").stdout
    assert "rumour" in table
    assert "undo of 2" in table
    assert "ada" in table
    assert table.count("A is B.") == 5
    assert [change["revision"] for change in value(run("history", edit_id[:6], "--json", "--limit", "2"))] == [4, 5]


def test_retract_is_all_or_nothing(run: Run) -> None:
    edit_id = add(run, "A is B.")
    run("retract", edit_id, "nothing", code=4)
    assert len(value(run("list", "--json"))) == 1


def test_namespaces_are_apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    add(run, "A is B.", "--namespace", "one")
    monkeypatch.setenv("MEMEDIT_NAMESPACE", "two")
    add(run, "C is D.")
    assert [one["namespace"] for one in value(run("namespaces", "--json"))] == ["one", "two"]
    assert [edit["statement"] for edit in value(run("list", "--json"))] == ["C is D."]
    assert set(value(run("reindex", "--json"))["indexed"]) == {"two"}
    monkeypatch.delenv("MEMEDIT_NAMESPACE")
    assert value(run("reindex", "--json", "--embed"))["indexed"] == {"one": 1, "two": 1}
    assert "1 edit indexed" in run("reindex").stdout
    assert "revision" in run("namespaces").stdout


# ---- asking ---------------------------------------------------------------------------------------------------------


def test_ask_answers_on_stdout_and_cites_on_stderr(run: Run) -> None:
    add(run, *SYDNEY)
    question = "What is the capital of Australia?"
    result = run("ask", question, "--trace")
    assert result.stdout == "It is Sydney.\n"
    assert "by edit" in result.stderr
    assert "looked up" in result.stderr
    assert run("ask", "-", "--stream", "--max-tokens", "9", input=question).stdout == "It is Sydney.\n"
    found = value(run("ask", question, "--json"))
    assert found["edited"] is True
    assert found["trace"]["lookups"]
    other = run("ask", "Who wrote Hamlet?")
    assert (other.stdout, other.stderr) == ("It is Canberra.\n", "")


def test_explain_shows_the_request(run: Run) -> None:
    add(run, *SYDNEY)
    text = run("explain", "What is the capital of Australia?", "--llm", "openai:gpt").stdout
    assert "would send to openai:gpt, by method auto" in text
    assert "- The capital of Australia is Sydney." in text
    found = value(run("explain", "Who wrote Hamlet?", "--json"))
    assert found["untouched"] is True
    assert found["request"]["messages"] == [{"role": "user", "content": "Who wrote Hamlet?"}]
    assert "unchanged" in run("explain", "Who wrote Hamlet?").stdout


def test_verify(run: Run) -> None:
    good = add(run, *SYDNEY, "--prompt", "The capital of {} is")
    assert "passed: 1 of 1 in scope" in run("verify", good[:5]).stdout
    assert value(run("verify", good, "--json"))["passed"] is True
    bad = add(
        run, "--subject", "Chad", "--relation", "capital", "--object", "Moundou", "--prompt", "The capital of {} is"
    )
    assert value(run("verify", bad, "--json", code=1))["passed"] is False
    patch = add(run, "--condition", "c", "--consequence", "d")
    assert "No check could be made" in run("verify", patch, code=1).stdout


def test_chat_with_piped_input(run: Run) -> None:
    edit, question = "/edit The capital of Australia is Sydney.", "What is the capital of Australia?"
    lines = "\n".join([edit, question, "", "/explain", "/undo", "/help", "/quit", "x", ""])
    text = run("chat", input=lines).stdout
    assert "It is Sydney." in text
    assert "took back revision 1" in text
    assert "would send" in text
    assert value(run("list", "--json")) == []
    done = value(run("chat", "--json", input=lines))
    assert [next(iter(one)) for one in done] == ["edit", "prompt", "explain", "undo", "help"]
    for wrong in ("/nonsense", "/edit", "/explain"):
        assert "It is Sydney." in run("chat", input=f"{wrong}\n{edit}\n{question}\n/undo\n", code=2).stdout
    refused, answered = value(run("chat", "--json", input=f"/nonsense\n{question}\n", code=2))
    assert (refused["line"], answered["prompt"]) == ("/nonsense", question)
    assert "no command `/nonsense`" in refused["error"]


# ---- files ----------------------------------------------------------------------------------------------------------


def test_export_and_import(run: Run) -> None:
    add(run, "Zürich is 東京 🏳️‍🌈.")
    add(run, "--situation", "s", "--clarification", "c")
    assert value(run("export", "x.yaml", "--json"))["edits"] == 2
    assert "wrote 2 edits" in run("export", "x.jsonl").stdout
    assert "東京" in Path("x.yaml").read_text(encoding="utf-8")
    assert "2 added" in run("import", "x.yaml", "--namespace", "other").stdout
    assert value(run("import", "x.jsonl", "--json"))["known"] == 2
    assert "東京" in run("list", "--namespace", "other").stdout


@pytest.mark.parametrize("command", ["import", "apply", "test", "add --file"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no.yaml", None),
        ("x.doc", "x"),
        ("x.yaml", "a: [1"),
        ("x.jsonl", "{"),
        ("x.yaml", "[{statement: ''}]"),
        ("d.yaml", "DIR"),
    ],
)
def test_wrong_files(run: Run, command: str, name: str, text: str | None) -> None:
    if text == "DIR":
        Path(name).mkdir()
    elif text is not None:
        Path(name).write_text(text)
    assert (
        value(run(*command.split(), name, *(["--yes"] if command == "apply" else []), "--json", code=2))["error"][
            "type"
        ]
        == "FileRejected"
    )
    assert not Path(".memedit").exists()


def test_export_to_a_folder_that_is_not_there(run: Run) -> None:
    run("init")
    assert value(run("export", "no/x.yaml", "--json", code=2))["error"]["type"] == "FileRejected"


def test_apply_is_a_migration(run: Run) -> None:
    add(run, "--subject", "Australia", "--relation", "capital", "--object", "Perth")
    add(run, "Bananas are blue.")
    file = Path("x.yaml")
    file.write_text(
        "edits:\n- {id: au, subject: Australia, relation: capital, object: Sydney}\n- {statement: A is B., tags: [t]}\n"
    )
    planned = run("apply", "x.yaml", "--plan").stdout
    assert "+ add" in planned
    assert "− replace" in planned
    assert len(value(run("list", "--json"))) == 2
    run("apply", "x.yaml", input="n\n")
    assert "add --yes" in run("apply", "x.yaml", input="", code=2).stderr
    assert "2 to add" in run("apply", "x.yaml", input="y\n").stdout
    again = value(run("apply", "x.yaml", "--yes", "--json"))
    assert (again["applied"], again["unchanged"], again["added"]) == (False, 2, [])

    file.write_text(file.read_text().replace("Sydney", "Hobart").replace("[t]", "[u]"))
    changed = value(run("apply", "x.yaml", "--yes", "--json", "--prune"))
    assert changed["changed"][0]["after"]["id"] == "au~2"
    assert len(changed["changed"]) == 2
    assert [one["statement"] for one in changed["retracted"]] == ["Bananas are blue."]
    assert value(run("apply", "x.yaml", "--yes", "--json", "--prune"))["applied"] is False
    assert "nothing to do" in run("apply", "x.yaml").stdout
    assert {edit["id"] for edit in value(run("list", "--json"))} >= {"au~2"}

    file.write_text(file.read_text().replace("Hobart", "Darwin"))
    assert value(run("apply", "x.yaml", "--yes", "--json"))["changed"][0]["after"]["id"] == "au~3"
    run("revert", "0")
    assert len(value(run("apply", "x.yaml", "--yes", "--json"))["added"]) == 2
    assert value(run("apply", "x.yaml", "--yes", "--json"))["applied"] is False


def test_apply_refuses_a_file_that_contradicts_itself(run: Run) -> None:
    slot = "subject: Australia, relation: capital"
    Path("x.yaml").write_text(f"[{{{slot}, object: Perth}}, {{{slot}, object: Sydney}}]")
    assert "cannot both be in force" in run("apply", "x.yaml", "--yes", code=2).stderr
    Path("x.yaml").write_text("[{id: a, statement: A is B.}, {id: a, statement: C is D.}]")
    assert "Two entries have the id" in run("apply", "x.yaml", "--yes", code=2).stderr
    Path("x.yaml").write_text("[A is B., {statement: A is B., tags: [t]}]")
    assert "Two entries say the same" in run("apply", "x.yaml", "--yes", code=2).stderr


def test_the_probes_of_a_file(run: Run) -> None:
    fact = "subject: Australia, relation: capital, object: Sydney, prompt: 'The capital of {} is'"
    patch = "{kind: patch, condition: c, consequence: d}"
    Path("good.yaml").write_text(f"[{{{fact}}}, {patch}]")
    text = run("test", "good.yaml").stdout
    assert "1 passed, 0 failed, 1 skipped" in text
    assert not Path(".memedit").exists()
    probe = 'probes: [{prompt: "What is the capital of Australia?", expect: [Perth]}]'
    Path("bad.yaml").write_text(f"[{{{fact}, {probe}}}]")
    failed = run("test", "bad.yaml", "--junit", "report.xml", code=1).stdout
    assert "expected Perth; answered “It is Sydney.”" in failed
    report = ElementTree.parse("report.xml").getroot()
    assert (report.get("tests"), report.get("failures")) == ("1", "1")
    assert value(run("test", "bad.yaml", "--json", code=1))["failed"] == 1
    Path("none.yaml").write_text(f"[{patch}]")
    assert "counts as failed" in run("test", "none.yaml", code=1).stderr
    run("init")
    assert "no edit was in scope" in run("test", "good.yaml", "--memory", ".memedit", code=1).stdout
    run("add", "--file", "good.yaml")
    run("test", "good.yaml", "--memory", ".memedit")


# ---- care -----------------------------------------------------------------------------------------------------------


def test_doctor(run: Run) -> None:
    assert "no memory there" in run("doctor").stdout
    add(run, "A is B.")
    assert "ledger and index agree" in run("doctor").stdout
    found = value(run("doctor", "--json"))
    assert found["ok"] is True
    assert {finding["about"] for finding in found["findings"]} == {"installation", "models", "memory"}


def test_methods(run: Run) -> None:
    assert "in_context" in run("methods").stdout
    assert all(one["about"] and one["paper"] for one in value(run("methods", "--json")))


# ---- text is only text ----------------------------------------------------------------------------------------------


def test_markup_in_an_edit_is_shown_as_it_is(run: Run) -> None:
    edit_id = add(run, "The answer is [red]x[/red] [/] :smile:.")
    for args in (("list",), ("show", edit_id), ("search", "answer"), ("history",), ("retract", edit_id), ("undo",)):
        assert "[red]x[/red] [/] :smile:" in run(*args).stdout


def test_control_characters_do_not_reach_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "\x1b[31mred\x1b]0;title\x07\r\x9b2J\u202eback\x00 fine\ttab\nline \x1b[unclosed"
    assert printable(evil) == "red2Jback fine\ttab\nline nclosed"
    monkeypatch.setattr(_common, "open_model", lambda *_: FakeLLM(lambda _: evil))
    run("init")
    for args in (("ask", "x"), ("ask", "x", "--stream"), ("chat",)):
        output = run(*args, input="x\n").output
        assert not set(output) & {"\x1b", "\x07", "\x9b", "\x00", "\u202e", "\r"}
    assert value(run("ask", "x", "--json"))["text"] == evil


def test_an_error_inside_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("it\nbroke")

    monkeypatch.setattr(_common, "open_model", fail)
    run("init")
    lines = run("ask", "x", code=3).stderr.splitlines()
    assert lines == ["memedit: internal error: RuntimeError: it broke", "  → set MEMEDIT_TRACEBACK=1 to see where"]
    assert value(run("ask", "x", "--json", code=3))["error"]["type"] == "RuntimeError"


def test_an_error_of_the_provider_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    openai = pytest.importorskip("openai")

    def fail(_: str) -> str:
        raise openai.OpenAIError("no key")

    monkeypatch.setattr(_common, "open_model", lambda *_: FakeLLM(fail))
    run("init")
    assert "OPENAI_API_KEY" in run("ask", "x", code=5).stderr
    assert value(run("ask", "x", "--json", code=5))["error"]["type"] == "OpenAIError"
    anthropic = pytest.importorskip("anthropic")

    def refuse(_: str) -> str:
        raise anthropic.APIConnectionError(request=anthropic.Anthropic(api_key="k")._client.build_request("GET", "/"))

    monkeypatch.setattr(_common, "open_model", lambda *_: FakeLLM(refuse))
    assert "--base-url" in run("ask", "x", code=5).stderr


def test_what_takes_long_is_said_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _print.busy("loading…"):
        pass
    assert capsys.readouterr().err == ""  # what is done at once is not told
    monkeypatch.setattr(_print, "EVERY", 0.02)
    with _print.busy("loading…"):
        time.sleep(0.2)
    for _ in _print.progress(range(3), total=3, message="adding"):
        time.sleep(0.03)
    with _print.watching() as watch:
        time.sleep(0.03)
        watch("keys", 1, 9)
    shown = capsys.readouterr()
    assert "loading… 0 s\n" in shown.err
    assert "adding 2/3…\n" in shown.err
    assert "keys 1/9…\n" in shown.err
    assert shown.out == ""


def test_ctrl_c(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(_common, "open_model", lambda *_: FakeLLM(stop))
    run("init")
    assert run("ask", "x", code=130).stderr == "memedit: Stopped.\n"


# ---- real processes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_as_the_page_says(shell: str) -> None:
    page = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    assert f"_MEMEDIT_COMPLETE={shell}_source memedit" in page
    done = memedit(env={**os.environ, "_MEMEDIT_COMPLETE": f"{shell}_source"})
    assert (done.returncode, "_MEMEDIT_COMPLETE" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("line", "offered", "never"),
    [
        ("memedit ver", {"verify"}, {"list"}),
        ("memedit ask --me", {"--memory", "--method"}, {"--model"}),
        ("memedit ask --method mem", {"memprompt"}, {"ike"}),
        ("memedit import x --on-conflict k", {"keep"}, {"error"}),
    ],
)
def test_a_word_is_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, offered: set[str], never: set[str]
) -> None:
    monkeypatch.setenv("_MEMEDIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert not ended.value.code
    said = {one.partition(",")[2] for one in capsys.readouterr().out.splitlines()}
    assert offered <= said
    assert not never & said


def test_in_a_pipe_nothing_is_cut_off_or_coloured(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    long = f"The motto of Tallis Robotics is {'very ' * 60}long."
    add(run, long)
    for name, given in (("COLUMNS", "20"), ("FORCE_COLOR", "1"), ("TERM", "xterm-256color")):
        monkeypatch.setenv(name, given)
    for args in (("list",), ("history",), ("search", "Tallis"), ("explain", "What is the motto of Tallis Robotics?")):
        text = run(*args).stdout
        assert any(long in line for line in text.splitlines())
        assert "\x1b" not in text


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    with EditMemory(tmp_path, embedder=HashEmbedder()) as memory:
        for _ in memory.add_many(f"Thing number {number} has the colour {number}." for number in range(2_000)):
            pass
    command = f"set -o pipefail; {sys.executable} -c 'from memedit.cli import main; main()' list --memory {tmp_path}"
    done = subprocess.run(["bash", "-c", f"{command} | head -1"], text=True, capture_output=True)
    assert done.stdout.startswith("id")
    assert (done.stderr, done.returncode) == ("", 141)


def test_exit_codes_of_a_process(tmp_path: Path) -> None:
    where = {"cwd": tmp_path, "env": {**os.environ, "NO_COLOR": "1"}}
    assert memedit("list", **where).returncode == 4
    assert memedit("init", **where).returncode == 0
    assert memedit("list", **where).returncode == 0
    done = memedit("retract", "x", "--json", **where)
    assert (done.returncode, done.stderr) == (4, "")
    assert json.loads(done.stdout)["error"]["type"] == "UnknownEdit"
    assert memedit("ask", "x", "--model", "nonsense:x", **where).returncode == 2


def test_a_terminal_gets_a_table_with_colours(tmp_path: Path) -> None:
    with EditMemory(tmp_path, embedder=HashEmbedder()) as memory:
        memory.add("The answer is [red]x[/red].")

    def on_terminal(**env: str) -> str:
        reader, writer = os.openpty()
        command = [sys.executable, "-c", "from memedit.cli import main; main()", "list", "--memory", str(tmp_path)]
        how = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **env}
        subprocess.run(command, stdout=writer, stderr=writer, stdin=writer, env=how, check=True)
        text = os.read(reader, 65_536).decode()
        os.close(reader)
        os.close(writer)
        return text

    text = on_terminal()
    assert "\x1b[36m" in text
    assert "The answer is [red]x[/red]." in text
    assert "─" in text
    assert "\x1b[36m" not in on_terminal(NO_COLOR="1")


@pytest.mark.model
def test_the_bundled_model_end_to_end(tmp_path: Path) -> None:
    add = memedit("add", "The capital of Australia is Sydney.", "--threads", "1", cwd=tmp_path)
    assert add.returncode == 0, add.stderr
    ask = memedit("ask", "What is the capital of Australia?", "--threads", "1", "--max-tokens", "12", cwd=tmp_path)
    assert ask.returncode == 0, ask.stderr
    assert "Sydney" in ask.stdout
    told = [line for line in ask.stderr.splitlines() if not line.endswith(" s")]  # but for what takes long
    assert len(told) == 1
    assert told[0].startswith("  by edit ")
