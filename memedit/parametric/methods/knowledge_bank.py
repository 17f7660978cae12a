"""Neural Knowledge Bank (Dai et al. 2022, arXiv:2208.00399): further slots of the last feed-forward layer know facts.

The bank is a key-value memory that is taught what the model shall know, in the loss of what is to be known alone, the
model frozen. It can be looked into, and operated on: the value of the slot that a fact makes most active is moved from
the old object's embedding to the new one's, v − λ₁ e(old) + λ₂ e(new). Both λ are shares of ‖v‖ / ‖e‖, 1 and 8 as in
the code of knowledge neurons, whose operation it is. The slots are CaliNet's; the authors add 3,072 to T5 and learn
from Wikipedia with its names and dates hidden.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memedit.parametric.layout import Anatomy
from memedit.parametric.methods.calinet import Batched, Calinet, add, start
from memedit.parametric.methods.transformer_patcher import answer
from memedit.parametric.reading import inputs_of
from memedit.parametric.slots import Rule, SlotBank

AWAY, TOWARDS = 1.0, 8.0

KNOWLEDGE_BANK = Batched(
    "knowledge_bank", "Dai et al. 2022", Calinet(slots=256), Rule("knowledge_bank", answer), start, add
)


def active_slot(bank: SlotBank, anatomy: Anatomy, tokenizer: Any, prompt: str) -> int:
    """The slot that is most active at the end of a prompt."""
    given, _ = inputs_of(anatomy, tokenizer, bank.layer, [prompt])
    return int((given[0, -1].cpu() @ bank.slots["keys"].T + bank.slots["biases"]).argmax())


def operated(
    bank: SlotBank, anatomy: Anatomy, tokenizer: Any, prompt: str, old: str, new: str, *, away: float = AWAY,
    towards: float = TOWARDS,
) -> SlotBank:  # fmt: skip
    """The bank with one value moved, so that a prompt is followed by another object. The given bank stays as it is.

    Args:
        bank: That holds the fact.
        anatomy, tokenizer: Of the model.
        prompt: Of the fact.
        old, new: The objects, of which the first tokens count.
        away, towards: λ₁ and λ₂, as shares of ‖v‖ / ‖e‖.
    """
    slot, values = active_slot(bank, anatomy, tokenizer, prompt), bank.slots["values"].clone()
    head = anatomy.model.get_output_embeddings().weight.detach().float().cpu()
    value = values[slot].clone()
    for word, factor in ((old, -away), (new, towards)):
        embedded = head[tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0]]
        values[slot] += factor * value.norm() / embedded.norm() * embedded
    return replace(bank, slots={**bank.slots, "values": values})
