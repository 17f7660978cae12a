"""How well the gate knows what a text speaks of: Behaviours and Descriptions of everyday topics, all in one memory.

    python bench/topics.py          what is let through; MEMEDIT_DATA names a folder with `personality_edit/`
    python bench/topics.py --fit      the weights in memedit/gate/topics.py, each topic judged by those of the others

Each topic has a description and four questions: two with its name, two without. In scope of a question is its topic and
no other. PersonalityEdit's entities are asked about in three wordings.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from memedit import Behaviour, Description, EditMemory
from memedit.embedders import default_embedder
from memedit.eval.stats import Share
from memedit.gate.likeness import with_the_others
from memedit.gate.topics import Topic

Told = tuple[str, str, tuple[str, ...], tuple[str, ...]]
TOPICS: tuple[Told, ...] = (
    ("refunds", "Goods can be sent back within 30 days; the money is paid back to the card that was used.",
     ("How do refunds work?", "Who pays for postage with refunds?"),
     ("I want my money back for a jacket.", "Can I return a broken kettle?")),
    ("football", "Football is played by two teams of eleven, who try to kick a ball into the other side's goal.",
     ("Is football popular in Brazil?", "Explain the offside rule in football."),
     ("Who won the last World Cup?", "How many players may a coach substitute in a match?")),
    ("home cooking", "Home cooking is the making of meals in one's own kitchen, mostly from fresh ingredients.",
     ("Why is home cooking cheaper?", "Give me tips for home cooking."),
     ("How long do I boil an egg?", "What can I make for dinner with rice and beans?")),
    ("electric cars", "Electric cars run on a battery and a motor in place of fuel and an engine.",
     ("Are electric cars worth it?", "How long do batteries of electric cars last?"),
     ("Should I buy a Tesla or a petrol car?", "Where can I charge my vehicle on the motorway?")),
    ("gardening", "Gardening is the growing of flowers, herbs and vegetables around a house.",
     ("What do I need for gardening?", "Is gardening a good hobby for children?"),
     ("When should tomatoes be planted?", "How do I get rid of slugs on my lettuce?")),
    ("Tallis Robotics", "Tallis Robotics is a maker of warehouse robots with its seat in Leeds.",
     ("Is Tallis Robotics a good employer?", "What does Tallis Robotics sell?"),
     ("Which firm in Leeds makes robots for warehouses?", "Who builds warehouse robots in Leeds?")),
    ("the weather", "The weather is the state of the air at a place: warm or cold, wet or dry.",
     ("What do you think of the weather?", "Talk to me about the weather."),
     ("Will it rain tomorrow?", "How hot does it get in Seville in August?")),
    ("vaccines", "Vaccines train the immune system against a disease before one catches it.",
     ("Are vaccines safe?", "How are vaccines tested?"),
     ("Should my baby be immunised against measles?", "Do I need a flu shot this year?")),
    ("remote work", "Remote work is done from home, or from anywhere else but the office.",
     ("What are the drawbacks of remote work?", "Does remote work make people lonely?"),
     ("Is it better to work from home than in an office?", "How do I run a team whose members never meet?")),
    ("chess", "Chess is a game for two on a board of 64 squares; who mates the other's king wins.",
     ("Is chess hard to learn?", "How old is chess?"),
     ("What is the best reply to the Sicilian Defence?", "How does a knight move?")),
    ("opera", "Opera is theatre whose words are sung, to the music of an orchestra.",
     ("Why do people like opera?", "Where was opera invented?"),
     ("What is La Traviata about?", "Which arias did Puccini write for a tenor?")),
    ("nuclear power", "Nuclear power is electricity made from the heat of splitting atoms.",
     ("Is nuclear power dangerous?", "What does nuclear power cost?"),
     ("How is the waste of reactors stored?", "Should Germany reopen its atomic plants?")),
    ("tax returns", "Tax returns state a year's income and what may be deducted from it.",
     ("When are tax returns due?", "Who has to file tax returns?"),
     ("Can I deduct my desk from my income?", "How do I declare what I earned as a freelancer?")),
    ("coffee", "Coffee is brewed from the roasted beans of a tropical shrub.",
     ("Is coffee healthy?", "How much coffee is too much?"),
     ("How do I make a good espresso?", "What is the difference between arabica and robusta?")),
    ("dogs", "Dogs are descended from wolves and have lived with people for more than 15,000 years.",
     ("Do dogs dream?", "Are dogs smarter than cats?"),
     ("How often should I walk my puppy?", "Which breed suits a family with a poodle?")),
    ("climate change", "Climate change is the warming of the earth by gases such as carbon dioxide.",
     ("Is climate change real?", "How does climate change affect farmers?"),
     ("Why are the glaciers melting?", "How can we bring down carbon emissions?")),
    ("Lake Orrin", "Lake Orrin is a deep lake in the north of Pell, known for its trout.",
     ("What do you think of Lake Orrin?", "Can one swim in Lake Orrin?"),
     ("Which lake in Pell has trout?", "Where in the north of Pell is deep water?")),
    ("jazz", "Jazz is a music with swing and improvisation that arose in New Orleans.",
     ("Where does jazz come from?", "Is jazz still popular?"),
     ("Who played the trumpet on Kind of Blue?", "What makes a bebop solo hard to play?")),
    ("mortgages", "Mortgages are loans for which a house is the security.",
     ("How do mortgages work?", "Are fixed mortgages better?"),
     ("How much may I borrow to buy a flat?", "What happens if I can't pay back the loan on my house?")),
    ("sleep", "Sleep is the rest in which body and mind recover, about a third of a life.",
     ("How much sleep does a child need?", "Why is sleep important?"),
     ("I lie awake at night. What helps?", "Is it bad to nap in the afternoon?")),
)  # fmt: skip
ASKED = ("What do you think of {}?", "Tell me what you like or dislike about {}.", "Write a line on {}.")
MADE_OF = {"behaviour": ("behaviour", "erasure"), "description": ("description",)}


Row = tuple[str, bool, Topic, bool]
"""Topic asked about, whether it is named, what was measured of a topic, and whether it is the same."""


def entities(limit: int) -> tuple[Told, ...]:
    """PersonalityEdit's, drawn; they have no description, and are asked about by name only."""
    path = Path(os.environ["MEMEDIT_DATA"]) / "personality_edit" / "personality_edit.jsonl"
    names = sorted({json.loads(line)["ent"] for line in path.read_text(encoding="utf-8").splitlines()})
    return tuple(
        (name, "", tuple(one.format(name) for one in ASKED), ()) for name in random.Random(0).sample(names, limit)
    )


def rows(kind: str, told: Sequence[Told]) -> list[Row]:
    memory = EditMemory(embedder=default_embedder())
    for name, description, _, _ in told:
        edit = (
            Description(description, subject=name)
            if kind == "description"
            else Behaviour(topic=name, conduct="be kind")
        )
        memory.add(edit.with_(id=name))
    found = []
    for name, _, with_name, without in told:
        for query in (*with_name, *without):
            for verdict in with_the_others(memory.recall(query), ()):
                found.append((name, query in with_name, verdict.evidence, verdict.edit.id == name))
    return found


def fit(kind: str, found: list[Row]) -> None:
    """Of what is not named; each topic is judged by the weights of the others."""
    unnamed = [row for row in found if row[2].named < 1]
    features = np.array([(row[2].similarity, row[2].other_name) for row in unnamed], dtype=float)
    truth = np.array([row[3] for row in unnamed])
    owners = np.array([row[0] for row in unnamed])
    passed = np.zeros(len(unnamed), dtype=bool)
    for name in sorted(set(owners)):
        kept = owners != name
        passed[~kept] = LogisticRegression(C=10).fit(features[kept], truth[kept]).predict(features[~kept])
    report(f"{kind}, by the weights of the other topics", unnamed, passed)
    model = LogisticRegression(C=10).fit(features, truth)
    print(kind, [round(float(one), 2) for one in (model.intercept_[0], *model.coef_[0])])


def report(title: str, found: Sequence[Row], passed: Sequence[bool]) -> None:
    judged = list(zip(found, map(bool, passed), strict=True))
    parts = {
        "its own, named": [ok for row, ok in judged if row[3] and row[1]],
        "its own, not named": [ok for row, ok in judged if row[3] and not row[1]],
        "another's": [ok for row, ok in judged if not row[3]],
    }
    for name, part in parts.items():
        if part:
            print(f"{title}: {name}, let through: {Share(sum(part), len(part))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--limit", type=int, default=100, help="entities of PersonalityEdit")
    options = parser.parse_args()
    named = rows("behaviour", entities(options.limit))
    for kind in ("behaviour", "description"):
        found = rows(kind, TOPICS)
        if options.fit:
            fit(kind, found + named)
        else:
            report(kind, found, [row[2].probability(kind) >= 0.5 for row in found])
    if not options.fit:
        report("PersonalityEdit", named, [row[2].probability("behaviour") >= 0.5 for row in named])


if __name__ == "__main__":
    main()
