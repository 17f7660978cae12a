"""The report of runs: whole, self-contained, accessible, and deaf to what models say."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from memedit.eval.cases import Kind, Probe
from memedit.eval.report import write_report
from memedit.eval.report.about import command_of, edits_of, facts_of, visible, warnings_of
from memedit.eval.report.compare import MOST_ENTRIES, compare_methods, compare_runs, differing
from memedit.eval.report.curves import gate_curves, growths, spent
from memedit.eval.report.grid import DASH, tables
from memedit.eval.runs import Asked, Row, Run, load_run, write_about, write_asked, write_rows
from memedit.eval.scores import Score, score_run
from memedit.llms import Likelihood

pytest.importorskip("matplotlib")

KINDS = (Kind.EFFICACY, Kind.PARAPHRASE, Kind.NEIGHBOURHOOD, Kind.LOCALITY, Kind.PORTABILITY)
SKILL = {"unedited": 0.05, "in_context": 0.95, "counterfactual": 0.85, "bm25": 0.75}
HOSTILE = "<script>alert(1)</script> \u202egnp.exe\x07"
ABOUT: dict[str, Any] = {
    "benchmark": "counterfact", "title": "CounterFact", "paper": "Meng et al. 2022, arXiv:2202.05262",
    "command": ["memedit", "eval", "counterfact", "--data", "counter fact.json", "--limit", "40"],
    "memedit": "0.1.0", "python": "3.11.7", "packages": {"torch": "2.13.0", "transformers": "5.23.0"},
    "llm": "SmolLM2-135M-Instruct", "methods": list(SKILL), "edits_in_memory": "all", "edits": 1000, "seed": 0,
    "limit": 40, "data": [{"file": "counter fact.json", "sha256": "ab" * 32, "records": {"official": 1000}}],
    "malformed": [{"file": "counter fact.json", "number": 7, "why": "the field 'subject' is missing"}],
    "set_aside": [{"case": "c1", "probe": "p", "why": "another case says: X is Y"}] * 3,
    "began": "2026-01-01T10:00:00+00:00", "ended": "2026-01-01T10:20:00+00:00", "seconds": {"total": 1200.5},
}  # fmt: skip


def make_run(
    folder: Path, *, cases: int = 40, seed: int = 0, about: dict[str, Any] | None = None, **changed: Any
) -> Run:
    """A run of made-up answers, by way of its files."""
    rng = random.Random(seed)
    asked = [
        Asked(
            case=f"case-{number}",
            namespace="all",
            edits=(f"edit-{number}",),
            probe=Probe(
                id=str(kind),
                kind=kind,
                prompt=f"The mother tongue of person {number} is",
                answers=("Finnish",),
                rejected=("French",),
            ),
        )
        for number in range(cases)
        for kind in KINDS
    ]
    rows = [_row(method, skill, one, rng) for method, skill in SKILL.items() for one in asked]
    folder.mkdir(parents=True)
    write_about(folder, {**ABOUT, "cases": [f"case-{n}" for n in range(cases)], **changed} if about is None else about)
    write_asked(folder, asked)
    write_rows(folder, rows)
    return load_run(folder)


def _row(method: str, skill: float, one: Asked, rng: random.Random) -> Row:
    in_scope, is_right = one.probe.kind.in_scope is not False, rng.random() < skill
    fires = method != "unedited" and (in_scope if rng.random() < skill else not in_scope)
    own = round(min(1.0, max(0.0, rng.gauss(0.8 if fires else 0.3, 0.15))), 4)
    asked_about = one.edits[0] if in_scope else "edit-of-another"
    tokens = 1 + 2 * is_right
    return Row(
        method=method,
        case=one.case,
        probe=one.probe.id,
        text="Finnish, of course." if is_right else "French." if in_scope else f"{method} says Swedish.",
        edited=fires,
        cited=(asked_about,) if fires else (),
        gate=() if method == "unedited" else ((asked_about, own, fires), ("edit-far", 0.02, False)),
        own=own if in_scope and method != "unedited" else None,
        hit=fires and in_scope,
        fired=fires,
        likelihoods=(Likelihood(-1.0 if is_right else -6.0, (True,) * tokens), Likelihood(-3.0, (True,))),
        untouched=not fires,
        tokens_in=30 + 130 * fires,
        tokens_out=6,
        calls=1,
        seconds=0.1 + 0.2 * fires,
        peak_mb=900,
    )


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="module")
def html(run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("report")
    files = write_report([run], out)
    assert [file.name for file in files] == ["report.html", "report.md"]
    return files[0].read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(html: str) -> None:
    page = Page(html)
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "object", "embed")]
    addresses = [attrs.get(name) or "" for _, attrs in page.tags for name in ("src", "href", "xlink:href", "action")]
    assert all(address.startswith("#") for address in addresses if address)
    assert "@import" not in html
    assert all(found.startswith("url(#") for found in re.findall(r"url\(.{2}", html))
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_page_is_accessible(html: str) -> None:
    page = Page(html)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in cell for cell in page.all("th"))
    images = [attrs for attrs in page.all("div") if attrs.get("role") == "img"]
    assert len(images) == len(page.all("svg")) >= 10
    assert all(len(attrs["aria-label"] or "") > 30 for attrs in images)
    assert len(page.ids) == len(set(page.ids))
    assert page.all("html") == [{"lang": "en"}]


def test_the_page_says_what_was_run(html: str, run: Run) -> None:
    for text in ("CounterFact", "SmolLM2-135M-Instruct", "40 cases, 200 probes", "1,000 (all at once)", "20 min 0 s"):
        assert text in html
    assert "3 probes (another case says: 3)" in html
    assert "memedit eval counterfact --data &#39;counter fact.json&#39; --limit 40" in html
    assert "ab" * 32 in html
    assert "Not complete." not in html
    assert command_of(run) == "memedit eval counterfact --data 'counter fact.json' --limit 40"


def test_an_unfinished_run_is_marked(tmp_path: Path) -> None:
    whole = make_run(tmp_path / "cut", ended=None)
    cut = replace(whole, rows={**whole.rows, "bm25": whole.rows["bm25"][:50]})
    html, markdown = (file.read_text(encoding="utf-8") for file in write_report([cut], tmp_path / "out"))
    assert "Not complete." in html
    assert "bm25 50 of 200" in html
    assert "did not come to its end" in markdown


@pytest.mark.parametrize("about", [{}, {"cases": 3, "seconds": None, "data": None, "methods": None, "command": "x"}])
def test_every_key_may_be_missing(tmp_path: Path, about: dict[str, Any]) -> None:
    run = make_run(tmp_path / "bare", cases=3, about=about)
    html, _ = (file.read_text(encoding="utf-8") for file in write_report([run], tmp_path / "out"))
    assert "Unnamed benchmark" in html
    assert warnings_of(run)
    assert dict(facts_of(run))["Sample"].startswith("3 cases")


def test_a_run_without_answers_gives_a_page(tmp_path: Path) -> None:
    run = replace(make_run(tmp_path / "empty", cases=2), rows={})
    assert "in_context 0 of 10" in write_report([run], tmp_path / "out")[0].read_text(encoding="utf-8")


def test_what_models_and_data_say_stays_text(tmp_path: Path) -> None:
    run = make_run(tmp_path / "hostile", cases=4)
    about = {**run.about, "title": HOSTILE, "llm": HOSTILE, "command": ["memedit", HOSTILE, "```"]}
    asked = tuple(
        replace(one, probe=replace(one.probe, prompt=HOSTILE, answers=(HOSTILE,)), edits=(HOSTILE,))
        for one in run.asked
    )
    rows = {
        method + HOSTILE * (method == "counterfactual"): [
            replace(row, method=method + HOSTILE * (method == "counterfactual"), text=f"{row.text} {HOSTILE} {method}")
            for row in rows
        ]
        for method, rows in run.rows.items()
    }
    rows["in_context"] = [replace(row, text=HOSTILE, cited=(HOSTILE,)) for row in rows["in_context"]]
    rows["bm25"] = [replace(row, text="no") for row in rows["bm25"]]
    hostile = replace(run, about=about, asked=asked, rows=rows)
    html, markdown = (file.read_text(encoding="utf-8") for file in write_report([hostile], tmp_path / "out"))
    assert html.count("<script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "⟨U+202E⟩" in html
    for text in (html, markdown):
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]", text)
    outside_fence = markdown[: markdown.index("````")]
    assert "<script" not in outside_fence.replace("\\<script", "")


def test_visible_keeps_what_languages_need() -> None:
    assert visible("نمی\u200cخواهم 👩\u200d👧 \u200f") == "نمی\u200cخواهم 👩\u200d👧 \u200f"
    assert visible("a\u2066b\u0000\nc\ud800") == "a⟨U+2066⟩b⟨U+0000⟩\nc⟨U+D800⟩"


def test_best_is_marked_only_where_intervals_are_apart() -> None:
    def score(method: str, value: float, half: float, metric: str = "contains") -> Score:
        return Score(
            method=method, kind="efficacy", protocol="generation", metric=metric, value=value, low=value - half,
            high=value + half, n=50,
        )  # fmt: skip

    def best(*scores: Score) -> str | None:
        return tables(scores, [])[0].columns[0].best

    assert best(score("a", 0.9, 0.02), score("b", 0.8, 0.02)) == "a"
    assert best(score("a", 0.9, 0.06), score("b", 0.8, 0.06)) is None
    assert best(score("a", 0.9, 0.02), score("b", 0.8, 0.02), score("in_context_oracle", 1.0, 0.0)) == "a"
    assert best(score("a", 0.9, 0.02)) is None
    assert best(score("a", 9, 0.2, "perplexity"), score("b", 8, 0.2, "perplexity")) == "b"
    assert best(score("a", 9, 0.2, "n-gram entropy"), score("b", 8, 0.2, "n-gram entropy")) is None


def test_protocols_are_never_mixed(run: Run) -> None:
    found = tables(score_run(run), [])
    assert [table.protocol for table in found] == ["generation", "likelihood", "gate", "cost"]
    for table in found:
        assert {column.protocol for column in table.columns} == {table.protocol}
        assert [column for band in table.bands() for group in band for column in group] == list(table.columns)
    assert found[0].columns[0].value("no such method") == DASH


def test_methods_are_compared_on_the_same_probes(run: Run, tmp_path: Path) -> None:
    found = {(each.first, each.second): each.differences for each in compare_methods(run)}
    assert len(found) == 5
    assert ("unedited", "bm25") not in found
    better = found["in_context", "bm25"]["efficacy", "right"]
    assert better.n == 40
    assert better.low > 0
    assert better.p < 0.05
    other = make_run(tmp_path / "second", seed=1)
    between = compare_runs({"first": run, "second": other})
    assert [(each.first, each.second) for each in between] == [
        (f"{method}: first", "second") for method in ("in_context", "counterfactual", "unedited", "bm25")
    ]
    foreign = make_run(tmp_path / "foreign", seed=1, benchmark="zsre")
    assert compare_runs({"first": run, "foreign": foreign}) == []


def test_differing_answers_are_a_fixed_sample(tmp_path: Path) -> None:
    run = make_run(tmp_path / "large", cases=120)
    entries, left_out = differing(run)
    assert len(entries) == MOST_ENTRIES
    assert left_out > 20
    assert (entries, left_out) == differing(run)
    html = write_report([run], tmp_path / "out")[0].read_text(encoding="utf-8")
    assert f"{left_out:,} more are left out" in html
    shown = {reply.method: reply for reply in entries[0].replies}
    assert (
        shown["in_context"].right != shown["bm25"].right or shown["in_context"].right != shown["counterfactual"].right
    )


def test_the_gate_curve_ends_where_everything_is_let_through(run: Run) -> None:
    curves = gate_curves(run)
    assert [curve.methods for curve in curves] == [("in_context",), ("counterfactual",), ("bm25",)]
    for curve in curves:
        recalls = [recall for recall, _ in curve.points]
        assert recalls == sorted(recalls)
        assert recalls[-1] == 1.0
        assert all(0 <= precision <= 1 for _, precision in curve.points)
    same = replace(run, rows={"in_context": run.rows["in_context"], "serac": run.rows["in_context"]})
    assert [curve.methods for curve in gate_curves(same)] == [("in_context", "serac")]


def test_cost_stands_against_right_answers(run: Run) -> None:
    tokens = {point.method: point for point in spent(run, "tokens")}
    assert tokens["in_context"].spent > tokens["unedited"].spent == 36
    assert tokens["in_context"].right.value > 0.8


def test_runs_of_several_sizes_are_plotted_together(run: Run, tmp_path: Path) -> None:
    sizes = [run, *(make_run(tmp_path / f"n{size}", seed=size, edits_in_memory=size) for size in (1, 100))]
    assert [edits_of(each) for each in sizes] == [1000, 1, 100]
    scores = {each.folder: score_run(each) for each in sizes}
    (growth,) = growths(sizes, scores)
    assert len(growth.lines) == 11
    assert {tuple(line.sizes) for line in growth.lines} == {(1, 100, 1000)}
    html, markdown = (file.read_text(encoding="utf-8") for file in write_report(sizes, tmp_path / "out", scores=scores))
    assert "Across the runs" in html
    assert len(Page(html).ids) == len(set(Page(html).ids))
    assert markdown.count("## Free generation") == 3


def test_markdown_holds_one_table_a_protocol(run: Run, tmp_path: Path) -> None:
    markdown = write_report([run], tmp_path)[1].read_text(encoding="utf-8")
    assert [line for line in markdown.splitlines() if line.startswith("## ")] == [
        "## Free generation", "## Likelihood", "## Gate", "## Cost", "## How to repeat it",
    ]  # fmt: skip
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {7 + 1, 7}
    assert "```sh\nmemedit eval counterfact" in markdown


def test_the_same_runs_give_the_same_page(run: Run, html: str, tmp_path: Path) -> None:
    assert write_report([run], tmp_path)[0].read_text(encoding="utf-8") == html
