"""What adding edits did, as it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memedit.cli._common import Session, cited, day
from memedit.cli._print import say, short, show_json

if TYPE_CHECKING:
    from memedit.edits import AnyEdit
    from memedit.memory import EditMemory, Receipt

SHOWN = 10  # edits that are listed one by one


def show_receipts(session: Session, memory: EditMemory, receipts: Sequence[Receipt]) -> None:
    """What adding many edits did: in numbers, and which edits were replaced."""
    kinds = ("added", "known", *(["proposed"] if any(one.status == "proposed" for one in receipts) else []))
    count = {status: sum(receipt.status == status for receipt in receipts) for status in kinds}
    replaced = sum(len(receipt.superseded) for receipt in receipts)
    doubtful = [receipt for receipt in receipts if receipt.possible_conflicts]
    standing = [receipt.edit for receipt in receipts if _is_standing(receipt.edit) and receipt.status == "added"]
    if session.as_json:
        values = [receipt.to_dict() for receipt in receipts]
        show_json({**count, "superseded": replaced, "possible_conflicts": len(doubtful), "receipts": values})
        return
    if not receipts:
        say(("! ", "yellow"), "no edits were given; nothing was changed")
        return
    waits = f", {count['proposed']} proposed (see `memedit review`)" if "proposed" in count else ""
    say(("✓ ", "green"), f"{count['added']} added, {count['known']} known already, {replaced} replaced{waits}")
    for edit in standing[:SHOWN]:
        say(("→ ", "cyan"), cited(edit), ("  is a standing instruction: it governs every answer", "dim"))
    if len(standing) > SHOWN:
        say((f"  and {len(standing) - SHOWN} more that govern every answer; `memedit list --kind behaviour`", "dim"))
    gone = [(receipt.edit, one) for receipt in receipts for one in receipt.superseded]
    texts = memory.recorded([one for _, one in gone[:SHOWN]], namespace=session.namespace)
    for edit, one in gone[:SHOWN]:
        say(("− ", "red"), cited(texts[one]), (f"  replaced by {short(edit.id)}", "dim"))
    if len(gone) > SHOWN:
        say((f"  and {len(gone) - SHOWN} more were replaced; --json lists them", "dim"))
    for receipt in doubtful[:SHOWN]:
        others = ", ".join(short(edit_id) for edit_id in receipt.possible_conflicts)
        say(("! ", "yellow"), f"{cited(receipt.edit)}", (f"  may contradict {others}", "dim"))
    if len(doubtful) > SHOWN:
        say((f"  and {len(doubtful) - SHOWN} more that may contradict others; --json lists them", "dim"))


def _is_standing(edit: AnyEdit) -> bool:
    from memedit.edits import Behaviour

    return isinstance(edit, Behaviour) and edit.standing


def show_receipt(memory: EditMemory, receipt: Receipt, namespace: str) -> None:
    """What adding one edit did, what it replaced and what it may contradict."""
    if receipt.status == "known" and not receipt.superseded:
        say(("· ", "yellow"), "known already: ", cited(receipt.edit))
        return
    say(("✓ ", "green"), f"{receipt.status} ", cited(receipt.edit))
    if _is_standing(receipt.edit):
        say(("  → a standing instruction: it governs every answer", "dim"))
    if receipt.edit.expires_at:
        say((f"  until {day(receipt.edit.expires_at)}", "dim"))
    texts = {edit.id: edit for edit in memory.edits(namespace=namespace)} if receipt.possible_conflicts else {}
    for edit_id in receipt.superseded:
        say(("  − replaces ", "red"), cited(memory.as_of(receipt.revision - 1, namespace=namespace).get(edit_id)))
    for edit_id in receipt.possible_conflicts:
        say(("  ! may contradict ", "yellow"), cited(texts[edit_id]) if edit_id in texts else short(edit_id))
    if receipt.possible_conflicts and receipt.status == "added":
        other = short(receipt.possible_conflicts[0])
        say((f"  both hold now; where the older one does not: `memedit retract {other}`", "dim"))
    then = "`memedit review` decides on it" if receipt.status == "proposed" else "`memedit undo` takes it back"
    say((f"  namespace {namespace}, revision {receipt.revision}; {then}", "dim"))
