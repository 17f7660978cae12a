"""postEdit's form of zsRE and CounterFact (Song et al. 2024, arXiv:2402.08631): edits, and one query a record.

A record without a query is an edit of the edits file; it makes the same case as the edit's naive query.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from memedit.eval.benchmarks.base import Form, Place, Record, digest
from memedit.eval.benchmarks.facts import fact_of, follows, stays, text
from memedit.eval.cases import Case, Kind, ask

KINDS = {"naive": Kind.EFFICACY, "paraphrase": Kind.PARAPHRASE, "neighbor": Kind.NEIGHBOURHOOD}


def read(benchmark: str, record: Record, place: Place) -> Case:
    """One query of an edit, or the edit alone. Edits are known by `edit_id`, which for CounterFact is its `case_id`."""
    prompt, new, old = (text(record, name) for name in ("requested_rewrite", "target_new", "target_old"))
    query = text(record, "query") if "query" in record else prompt
    kind = KINDS.get(record.get("query_type", "naive"))
    if kind is None:
        raise ValueError(f"{record['query_type']} is no type of query")
    fields: dict[str, Any] = {"source": "postEdit"}
    if benchmark == "counterfact":
        fields["id"] = f"counterfact-{record['edit_id']}"
    fact = fact_of(benchmark, prompt, None, new, (old,), **fields)
    told = follows(fact, rejected=(old,))
    if kind is Kind.NEIGHBOURHOOD:
        # CounterFact's neighbours share the old object; those of zsRE are unrelated questions.
        truth = record.get("query_target") or (old if benchmark == "counterfact" else None)
        told = stays(fact, (truth,)) if truth else {"form": "none"}
    if prompt.endswith("?") and not query.endswith("?"):
        query += "?"
    own = f"{benchmark}:postedit-{record['edit_id']}"
    case_id = own if kind is Kind.EFFICACY else f"{own}-{digest(kind, query)}"
    return Case(id=case_id, edits=(fact,), probes=tuple(ask(kind, query, **told)))


def form(benchmark: str) -> Form:
    """The form of record of postEdit, for `zsre` or `counterfact`."""
    return Form("postEdit", ("edit_id", "requested_rewrite", "target_new"), partial(read, benchmark))
