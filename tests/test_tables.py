"""Edits from tables: CSV files on the command line, rows and DataFrames in Python; and what an import would do."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run, value

from memedit.edits import Fact, Feedback
from memedit.edits.table import from_table
from memedit.errors import EditRejected, FileRejected
from memedit.memory.files import read_entries

TABLE = '''Subject,Relation,Object,Aliases,Valid from,Kind,Situation,Clarification,Proposed
Australia,capital,Sydney,Oz | Down Under,2026-01-01,,,,
,,,,,feedback,"the ""deadline""","that of the
tax office",
Chad,capital,Moundou,,,,,,yes

'''


def test_a_table_is_read_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(TABLE)
    found = read_entries(path)
    fact, feedback = found.edits
    assert isinstance(fact, Fact)
    assert isinstance(feedback, Feedback)
    assert (fact.subject, fact.object, fact.aliases) == ("Australia", "Sydney", ("Oz", "Down Under"))
    assert fact.valid_from is not None
    assert fact.valid_from.year == 2026
    assert feedback.situation == 'the "deadline"'
    assert [edit.subject for edit in found.proposed if isinstance(edit, Fact)] == ["Chad"]
    for between, name in ((";", "y.csv"), ("\t", "y.tsv")):
        (tmp_path / name).write_bytes(f"\ufeffstatement{between}tags\r\nA, or B, is C.{between}t|u\r\n".encode())
        (edit,) = read_entries(tmp_path / name).edits
        assert (edit.text, edit.tags) == ("A, or B, is C.", ("t", "u"))
    (tmp_path / "wide.csv").write_bytes("statement\r\nKöln is open.\r\n".encode("utf-16"))
    assert [edit.text for edit in read_entries(tmp_path / "wide.csv").edits] == ["Köln is open."]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("statement,Statement\nA is B.,C is D.\n", encoding="utf-8")
    with pytest.raises(FileRejected, match="Two of its columns are `statement`"):
        read_entries(table)


def test_stdin_is_read_as_files_are(run: Run) -> None:
    assert "Köln is open." in run("add", "-", input="Köln is open.\r\n".encode("utf-16")).stdout + run("list").stdout
    assert "not UTF-8" in run("add", "-", input=b"\xff\xfe\xfa", code=2).stderr


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("statement,colour\nA is B.,red\n", "line 1: The column “colour” is no field"),
        ("statement\nA is B.,red\n", "line 2: It has 2 cells under 1 columns"),
        ("statement\n\nA is B.\n,\n", "line 4: It has 2 cells"),
        ("subject,object\nA,\n", "line 2"),
        ("statement,probes\nA is B.,[{\n", "line 2: `probes` begins like JSON and is none"),
        ('statement\n"A is B.\n', "line 2: it is no table"),
        (f"statement\n{'a' * 140_000}\n", "line 2: a cell has more than 131,072 characters"),
    ],
)
def test_what_is_no_table_of_edits_names_the_line(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(FileRejected, match=r"x\.csv") as told:
        read_entries(path)
    assert what in told.value.what


def test_rows_and_a_frame_say_the_same() -> None:
    pandas = pytest.importorskip("pandas")
    rows = [{"Subject": "Australia", "relation": "capital", "object": "Sydney", "expires_at": None},
            {"Subject": None, "statement": "A is B."}]  # fmt: skip
    frame = pandas.DataFrame(rows)
    frame["expires_at"] = [pandas.Timestamp("2030-01-01", tz="UTC"), pandas.NaT]
    plain, framed = from_table(rows, tags=("t",)), from_table(frame, tags=("t",))
    assert [edit.content_hash for edit in plain] == [edit.content_hash for edit in framed]
    assert framed[0].expires_at.year == 2030
    assert framed[1].expires_at is None
    assert framed[1].tags == ("t",)
    with pytest.raises(EditRejected, match="Row 2: The column “nonsense”"):
        from_table([{"statement": "A is B."}, {"nonsense": 1}])


def test_a_plan_shows_what_an_import_would_do_and_does_nothing(run: Run) -> None:
    Path("x.csv").write_text("subject,relation,object\nAustralia,capital,Sydney\nOslo,country,Norway\n")
    assert "2 to add" in run("import", "x.csv", "--plan").stdout
    assert not Path(".memedit").exists()
    run("add", "--subject", "Australia", "--relation", "capital", "--object", "Perth")
    run("add", "--subject", "Oslo", "--relation", "country", "--object", "Norway")
    plan = value(run("import", "x.csv", "--plan", "--json"))
    assert [edit["object"] for edit in plan["added"]] == ["Sydney"]
    assert [edit["object"] for edit in plan["replaced"]] == ["Perth"]
    assert plan["unchanged"] == 1
    assert "contradicts" in run("import", "x.csv", "--plan", "--on-conflict", "error", code=2).stderr
    assert len(value(run("list", "--json"))) == 2
    done = value(run("import", "x.csv", "--json"))
    assert (done["added"], done["known"], done["superseded"]) == (1, 1, 1)
    assert value(run("export", "y.csv", "--json", code=2))["error"]["message"].endswith("a table is only read.")
