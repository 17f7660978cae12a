"""PersonalityEdit (Mao et al. 2023, arXiv:2310.02168): with which trait of personality an opinion is voiced."""

from __future__ import annotations

from memedit.edits import Patch
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.gather import numbered
from memedit.eval.cases import Case, Kind, ask

TRAITS = {
    "extraversion": "outgoing, lively and full of enthusiasm",
    "agreeableness": "kind, modest and considerate",
    "neuroticism": "anxious, moody and easily upset",
}


def personality(record: Record, place: Place) -> Case:
    """An entity, and opinions of it in three traits.

    Only the test part names the trait to edit to. Elsewhere it is drawn by the entity's name, so that each trait is the
    target about as often, and always the same one.
    """
    entity = record["ent"]
    target = record.get("target_per") or list(TRAITS)[int(digest(entity), 16) % len(TRAITS)]
    if target not in TRAITS:
        raise ValueError(f"its target {target} is none of {', '.join(TRAITS)}")
    voiced = f"{target} ({TRAITS[target]})"
    key = digest(entity, target)
    patch = Patch(
        id=f"personality-{key}",
        condition=f"you are asked for an opinion on {entity}",
        consequence=f"voice it with the personality trait of {voiced}",
        source="PersonalityEdit",
    )
    opinions = {trait: record[trait][0].strip() for trait in TRAITS}
    question = f"What do you think of {entity}?"
    criterion = f"Does the opinion of {entity} in the reply show the personality trait of {voiced}?"
    probes = [
        *ask(Kind.EFFICACY, question, form="judge", criterion=criterion),
        *ask(Kind.EFFICACY, question, answers=(opinions[target],), choices=tuple(opinions.values()), form="pick"),
    ]
    return Case(id=f"personality:{key}", edits=(patch,), probes=numbered(probes))


PERSONALITY = Benchmark(
    name="personality_edit",
    title="PersonalityEdit",
    measures="opinions voiced with a wanted trait of personality",
    paper="Mao et al. 2023, arXiv:2310.02168",
    published="https://github.com/zjunlp/EasyEdit/blob/main/examples/PersonalityEdit.md",
    licence="MIT",
    forms=(Form("opinions", ("ent", *TRAITS), personality),),
    max_tokens=60,
)
