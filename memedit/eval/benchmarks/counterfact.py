"""CounterFact (Meng et al. 2022, arXiv:2202.05262): official schema, EasyEdit's flat one, and postEdit's queries.

CounterFact+ (Hoelscher-Obermaier et al. 2023, arXiv:2305.17553) is made from the official schema: the edit's statement
stands before each neighbourhood prompt.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

from memedit.edits import Fact
from memedit.eval.benchmarks import postedit
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, read
from memedit.eval.cases import Case, Kind, ask

PUBLISHED = "https://rome.baulab.info/data/dsets/counterfact.json"


def official(record: Record, place: Place) -> Case:
    """A record with paraphrases, neighbours and generation prompts."""
    rewrite = record["requested_rewrite"]
    new, old = rewrite["target_new"]["str"], rewrite["target_true"]["str"]
    subject, relation = rewrite["subject"], rewrite["relation_id"]
    fact = Fact(
        id=f"counterfact-{record['case_id']}",
        subject=subject,
        relation=relation,
        prompt=rewrite["prompt"],
        object=new,
        previous_object=old,
        source="CounterFact",
    )
    told = {"answers": (new,), "rejected": (old,), "rests_on": ((subject, relation, new),)}
    probes = [
        *ask(Kind.EFFICACY, fact.cloze or fact.statement, **told),
        *ask(Kind.PARAPHRASE, record["paraphrase_prompts"], **told),
        *ask(Kind.NEIGHBOURHOOD, record["neighborhood_prompts"], answers=(old,), rejected=(new,), relation=relation),
        *ask(Kind.FLUENCY, dict.fromkeys(record.get("generation_prompts", ())), form="none", max_tokens=60),
    ]
    return Case(id=f"counterfact:{record['case_id']}", edits=(fact,), probes=tuple(probes))


def flat(record: Record, place: Place) -> Case:
    """A record of EasyEdit's flat schema. Its rephrase is often a generation prompt: free form, not paraphrase."""
    subject, new, old = record["subject"], record["target_new"], record["ground_truth"]
    template = record["prompt"].replace(subject, "{}", 1)
    template = template if template.count("{}") == 1 else None
    fact = Fact(
        id=f"counterfact-{record['case_id']}",
        subject=subject,
        prompt=template,
        object=new,
        statement=None if template else f"{record['prompt']} {new}",
        previous_object=old,
        source="CounterFact",
    )
    relation = template or record["prompt"]
    told = {"answers": (new,), "rejected": (old,), "rests_on": ((subject, relation, new),)}
    probes = ask(Kind.EFFICACY, record["prompt"], **told)
    if record.get("rephrase_prompt"):
        probes += ask(Kind.FREE_FORM, record["rephrase_prompt"], **told)
    if record.get("locality_prompt"):
        truth = record["locality_ground_truth"]
        probes += ask(
            Kind.NEIGHBOURHOOD, record["locality_prompt"], answers=(truth,), rejected=(new,), relation=relation
        )
    return Case(id=f"counterfact:{record['case_id']}", edits=(fact,), probes=tuple(probes))


def plus(record: Record, place: Place) -> Case:
    """A CounterFact+ case: the edit's statement, and so its subject, stands before each neighbourhood prompt."""
    case = official(record, place)
    said = f"{case.edits[0].text.rstrip('.')}. "
    probes = (
        replace(probe, prompt=said + probe.prompt, relation=None) if probe.kind is Kind.NEIGHBOURHOOD else probe
        for probe in case.probes
        if probe.kind is not Kind.FLUENCY
    )
    return replace(case, probes=tuple(probes))


def bundled_cases() -> tuple[Case, ...]:
    """The 150 cases that come with memedit."""
    with resources.as_file(resources.files("memedit.data").joinpath("counterfact_150.jsonl")) as file:
        return read(COUNTERFACT, [file]).cases


OFFICIAL = ("case_id", "requested_rewrite", "paraphrase_prompts", "neighborhood_prompts")
FLAT = ("case_id", "prompt", "target_new", "subject", "ground_truth")

COUNTERFACT = Benchmark(
    name="counterfact",
    title="CounterFact",
    measures="efficacy, paraphrase, neighbourhood and fluency of counterfactual edits",
    paper="Meng et al. 2022, arXiv:2202.05262",
    published=PUBLISHED,
    licence="MIT",
    forms=(Form("official", OFFICIAL, official), Form("flat", FLAT, flat), postedit.form("counterfact")),
)
COUNTERFACT_PLUS = Benchmark(
    name="counterfact_plus",
    title="CounterFact+",
    measures="neighbourhood prompts that begin with the edit's own statement",
    paper="Hoelscher-Obermaier et al. 2023, arXiv:2305.17553",
    published=PUBLISHED,
    licence="MIT",
    forms=(Form("official", OFFICIAL, plus),),
)
