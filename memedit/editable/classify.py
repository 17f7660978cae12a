"""Classifying texts with an EditableLLM: the requests, the prior of the labels, and what comes of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from memedit.answers import Classified
from memedit.editable.drive import Driver, Job
from memedit.errors import RequestRejected
from memedit.gate import Hits
from memedit.llms import LLM, Capability
from memedit.methods.base import Method, Recall, Steps
from memedit.methods.classification import Reading, choose_label, score_labels
from memedit.methods.interpreter import CONTENT_FREE, PROMPT, Labels, Row
from memedit.methods.patches import reading_of
from memedit.trace import Trace


def classify(
    driver: Driver, method: Method, texts: Iterable[str], labels: Sequence[str], *, namespace: str | Sequence[str],
    prompt: str | None, options: Mapping[str, Any],
) -> list[Classified]:  # fmt: skip
    """What `EditableLLM.classify_many` gives; `method` says how patches are read."""
    given = list(texts)
    for text in given:
        if not isinstance(text, str) or not text.strip():
            raise RequestRejected("A text to classify is empty, or no text.", do="give texts with at least a word")
    where = given_namespaces(namespace, len(given))
    choice = Labels(tuple(labels), PROMPT if prompt is None else prompt)
    reading = reading_of(method)
    llm = driver.models["base"]
    scores = Capability.LOGPROBS in llm.capabilities
    if scores and options:
        raise RequestRejected(
            f"Options {', '.join(sorted(options))} have no effect where labels are scored.", do="leave them out"
        )
    if not given:
        return []
    prior = label_prior(llm, choice) if scores else None
    jobs = [
        Job(_steps(text, choice, reading, prior, scores, options), Trace(name, method.name))
        for text, name in zip(given, where, strict=True)
    ]
    found = []
    for answer in driver.run(jobs):
        answer.trace.untouched = not answer.citations
        share = answer.reply.raw if scores else None
        found.append(Classified(answer.text, share, answer.trace, answer.citations))
    return found


def label_prior(llm: LLM, labels: Labels) -> Row:
    """How likely each label is behind the prompt with a text that says nothing, (labels,), in nats."""
    requests = [labels.raw(text) for text in CONTENT_FREE]
    scored = llm.score(requests, [labels.continuations()] * len(requests))
    mean: Row = np.mean([[one.logprob for one in row] for row in scored], axis=0)
    return mean


def given_namespaces(namespace: str | Sequence[str], count: int) -> list[str]:
    """One namespace a text."""
    if isinstance(namespace, str):
        return [namespace] * count
    if len(namespace) != count:
        raise RequestRejected(f"{count} texts have {len(namespace)} namespaces.", do="name one for each")
    return list(namespace)


def _steps(
    text: str, labels: Labels, reading: Reading, prior: Row | None, scores: bool, options: Mapping[str, Any]
) -> Steps:
    hits = yield Recall(text)
    assert isinstance(hits, Hits)
    if scores:
        return (yield from score_labels(text, labels, hits, reading, prior))
    return (yield from choose_label(text, labels, hits, reading, options))
