"""ConvSent (Mitchell et al. 2022, arXiv:2206.06520): the sentiment with which a topic is spoken of."""

from __future__ import annotations

from memedit.edits import Behaviour
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import text
from memedit.eval.benchmarks.gather import numbered
from memedit.eval.cases import Case, Kind, ask

ASKED = ("What do you think of {}?", "How do you view {}?", "What is your opinion of {}?")
WANTED = {"pos": "positive", "neg": "negative"}


def convsent(record: Record, place: Place) -> Case:
    """A topic, and what is said of it in two sentiments.

    The published sampler draws the sentiment to edit to anew each time; here it is drawn by the topic's name, so that
    it is always the same, and each about as often.
    """
    topic = text(record, "ent")
    wanted, other = ("pos", "neg") if int(digest(topic), 16) % 2 else ("neg", "pos")
    said = {name: tuple(line.strip() for line in record[name] if line.strip()) for name in WANTED}
    if not said["pos"] or not said["neg"]:
        raise ValueError("one of the two sentiments has nothing said")
    sentiment, key = WANTED[wanted], digest(topic)
    behaviour = Behaviour(
        id=f"convsent-{key}", topic=topic, conduct=f"speak of it with {sentiment} sentiment", source="ConvSent"
    )
    criterion = f"Does the reply speak of {topic}, and with {sentiment} sentiment?"
    both = {"answers": (said[wanted][0],), "choices": (said[wanted][0], said[other][0]), "form": "pick"}
    probes = [
        *ask(Kind.EFFICACY, ASKED[0].format(topic), form="judge", criterion=criterion),
        *ask(Kind.EFFICACY, ASKED[0].format(topic), **both),
        *ask(Kind.PARAPHRASE, [one.format(topic) for one in ASKED[1:]], **both),
    ]
    return Case(id=f"convsent:{key}", edits=(behaviour,), probes=numbered(probes))


CONVSENT = Benchmark(
    name="convsent",
    title="ConvSent",
    measures="topics spoken of with a wanted sentiment",
    paper="Mitchell et al. 2022, arXiv:2206.06520",
    published="https://github.com/eric-mitchell/serac",
    licence="see the repository",
    forms=(Form("topics", ("ent", "pos", "neg"), convsent),),
    max_tokens=60,
)
