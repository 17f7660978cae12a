"""What is written for an edit, and at which token its subject ends."""

from __future__ import annotations

from typing import Any

import pytest

from memedit import Description, Fact
from memedit.errors import EditRejected, FileRejected, UnsupportedModel
from memedit.parametric.rewrites import Rewrite, as_rewrite, check_fast, read_tokens
from memedit.parametric.running_text import RunningText

TEXTS = [
    "The capital of Österreich is Wien.",
    "Ada Lovelace was born in London.",
    "Das naïve café of Ångström & Co.",
] * 9


@pytest.fixture(scope="module", params=["byte pairs", "pieces"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """Trained here: one whose offsets begin behind a blank, and one whose offsets hold it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    if request.param == "byte pairs":
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        alphabet = sorted({letter for text in TEXTS for letter in text})
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=["<pad>", "<s>"], initial_alphabet=alphabet)
    inner.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>")


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("The capital of {} is", "Österreich"),
        ("{} was born in", "Ada Lovelace"),
        ("{} was born in", "Ångström & Co"),
        ("Das café of {}", "Ada"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "Das naïve café. "])
def test_the_subjects_last_token_is_the_first_that_completes_it(
    tokenizer: Any, prompt: str, subject: str, prefix: str
) -> None:
    rewrite = Rewrite("id", prompt, subject, "London")
    read = rewrite.read(tokenizer, prefix)
    wanted = prefix + prompt[: prompt.index("{}")] + subject
    decoded = [tokenizer.decode(read.ids[: place + 1]) for place in range(len(read.ids))]
    first = next(place for place, text in enumerate(decoded) if len(text) >= len(wanted) and text.startswith(wanted))
    assert read.subject == first
    assert tokenizer.decode(read.ids[read.target :]).strip() == "London"
    assert tokenizer.decode(read.ids[: read.target]).strip() == (prefix + rewrite.text).strip()


def test_without_a_target_the_text_ends_where_it_would_stand(tokenizer: Any) -> None:
    read = Rewrite("id", "{} was born in", "Ada", "London").read(tokenizer, with_target=False)
    assert read.target == len(read.ids)


def test_no_special_token_can_be_spelled_out(tokenizer: Any) -> None:
    assert tokenizer.pad_token_id not in read_tokens(tokenizer, "Ada<pad> was", 3).ids


def test_a_fact_says_what_is_written() -> None:
    fact = Fact(subject="Acme", prompt="The head of {} is", object="Eve")
    assert as_rewrite(fact) == Rewrite(fact.id, "The head of {} is", "Acme", "Eve")
    plain = Fact("The capital of Australia is Sydney.")
    found = as_rewrite(plain)
    assert (found.text, found.target) == ("The capital of Australia is", "Sydney")
    assert found.subject in found.text


@pytest.mark.parametrize(
    "edit",
    [
        Fact(subject="Acme", relation="head", object="Eve", statement="It rains and rains and rains"),
        Description("Niran was a cyclone.", subject="Niran"),
    ],
)
def test_what_says_nothing_of_a_subject_is_refused(edit: Any) -> None:
    with pytest.raises(EditRejected, match="shall follow"):
        as_rewrite(edit)


def test_a_tokenizer_without_offsets_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="offsets"):
        check_fast(object())


def test_running_text_is_parted() -> None:
    texts = [f"text {place}" for place in range(50)]
    parted = RunningText.of(texts)
    assert parted.held == tuple(texts[::10])
    assert not set(parted.held) & set(parted.read)
    assert len(parted.held) + len(parted.read) == 50
    with pytest.raises(FileRejected):
        RunningText.of(["one"])


def test_running_text_comes_with_memedit() -> None:
    parted = RunningText.of()
    assert len(parted.held) == 24
    assert sum(map(len, parted.read)) > 200_000
