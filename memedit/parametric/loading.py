"""Changes of weights, and what lies beside them, read from files."""

from __future__ import annotations

import json
from pathlib import Path

from memedit.parametric.delta import Delta, form_of, read_tensors
from memedit.parametric.methods import find_attached
from memedit.parametric.slots import FORM, Change, SlotBank


def load_slots(file: str | Path) -> SlotBank:
    """What `SlotBank.save` wrote.

    Raises:
        FileRejected: It is missing, damaged, or something else.
        UnknownMethod: Its method is not known.
    """
    metadata, slots = read_tensors(file, FORM, holds="slots", made_by="an attached method")
    told = json.loads(metadata["told"])
    return SlotBank(find_attached(told["method"]).rule, told["layer"], slots, told["made"])


def load_change(file: str | Path) -> Change:
    """What `Delta.save` or `SlotBank.save` wrote.

    Raises:
        FileRejected: It is missing, damaged, or something else.
        UnknownMethod: It is of a method that is not known.
    """
    return load_slots(file) if form_of(file) == FORM else Delta.load(file)
