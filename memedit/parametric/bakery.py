"""Baking: edits written out of a memory into the weights of its model, proved, and taken out again.

The ledger says which edits are in the weights, the weights are derived from it: the base tensors, and over them the
change of every group of edits that were baked together. Where an edit of a group is unbaked, retracted or undone, the
rest of the group is solved again from the values that were found for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from memedit.edits import AnyEdit, Fact
from memedit.edits.probes import accepted_answers
from memedit.errors import EditRejected, UnknownEdit, UnknownMethod
from memedit.llms import LLM
from memedit.memory import Change as ChangeSet
from memedit.memory import EditMemory
from memedit.memory.events import baked, unbaked
from memedit.messages import as_request
from memedit.parametric.beside import Beside
from memedit.parametric.curve import ALPHAS, Curve, curve
from memedit.parametric.delta import Delta, overlay_of
from memedit.parametric.groups import Group, Shelf, common, groups_of
from memedit.parametric.layout import Layout, model_hash
from memedit.parametric.local_model import require_weights
from memedit.parametric.meta import Meta
from memedit.parametric.method import Local, Stream, Told
from memedit.parametric.methods import Writer, find_writer
from memedit.parametric.outcomes import Baking, Outcome
from memedit.parametric.proving import Demand, Prover
from memedit.parametric.published import SweptBook
from memedit.parametric.rewrites import Rewrite, as_rewrite
from memedit.parametric.running_text import RunningText
from memedit.parametric.saving import save_model
from memedit.parametric.slots import Change, SlotBank
from memedit.parametric.sweeping import Sweep, sweep
from memedit.parametric.writing import Strength, values_of, write
from memedit.text import says

TRIED = 8
"""Edits that settings are tried on, where none are named."""
TOLD = 32  # tokens of an answer, when the model is asked by itself


class Bakery:
    """The weights of a local model, kept in step with the ledger of a memory.

    Args:
        llm: A local model, unedited, or edited by another Bakery.
        memory: Whose edits.
        layout: Of a family that is not known.
        text: Running text for statistics and perplexity; what comes with memedit when left out.
        cache: Folder of the statistics.

    Raises:
        CapabilityMissing: It is no local model, or its weights are quantised.
        UnsupportedModel: Where its family keeps its facts is not known, or it cannot be edited.
    """

    def __init__(
        self, llm: LLM, memory: EditMemory, *, layout: Layout | None = None, text: Sequence[str] | None = None,
        cache: str | Path | None = None,
    ) -> None:  # fmt: skip
        self._local = require_weights(llm)
        self._llm, self._memory = llm, memory
        self.overlay = overlay_of(self._local.model, layout)
        self._text = RunningText.of(text)
        with self._local.lock, self.overlay.lifted():
            self.weights = model_hash(self._local.model)
        self._parts = Local.of(self.overlay, self._local.tokenizer, self._text.read, cache=cache)
        self.swept = SweptBook(self._parts.stats.root, self.weights)
        self._shelf = Shelf(memory.path)
        self._laid: dict[str, list[Group]] = {}
        self._seen: dict[str, tuple[str, int]] = {}

    # ---- verbs ----------------------------------------------------------------------------------------------------

    def bake(
        self, ids: Sequence[str] | None = None, *, namespace: str, method: str | Writer = "memit_seq",
        strength: Strength = 1.0, demand: Demand | None = None, author: str | None = None, reason: str | None = None,
        told: Told | None = None,
    ) -> Baking:  # fmt: skip
        """Write edits into the weights, prove each, keep those that do, and leave the rest in memory.

        Args:
            ids: Of edits in force; None for all Facts that are not baked yet.
            namespace: Whose edits.
            method: A name that `find_writer` knows, or one with other settings.
            strength: What the change is multiplied by; `auto` tries tenths, and picks by `Curve.best`.
            demand: What each has to show.
            author, reason: Recorded with the change.
            told: Is told how far it is.

        Raises:
            UnknownEdit: One of `ids` is not in force; nothing is changed.
            EditDiverged: The method broke down; nothing is changed.
            CapabilityMissing: A strength is given for what lies beside the weights.
        """
        writer, demand = find_writer(method, self.swept), demand or Demand()
        self.in_step(namespace)
        held = {edit_id for group in self._laid[namespace] for edit_id in group.ids}
        edits = self._chosen(ids, namespace, held)
        pairs, outcomes = _split(edits)
        with self._local.lock:
            prover = Prover(self.overlay.anatomy, self._local.tokenizer, pairs, self._text.held)
            local = replace(self._parts, told=told or self._parts.told)
            done = write(local, writer, pairs, prover, demand, strength, self._stream())
        self._local.forget_prefix()
        passed = [edit for edit, _ in pairs if edit.id not in done.faults]
        silent = self._says(done.change, passed) if done.change is not None else frozenset()
        outcomes |= {
            edit.id: Outcome(edit, done.proofs[edit.id], done.faults.get(edit.id), edit.id in silent)
            for edit, _ in pairs
        }
        if done.change is not None:
            kept = [outcomes[edit.id] for edit in passed]
            self._keep(done.change, writer, kept, done.strength, namespace, author, reason)
        self.in_step(namespace)
        return Baking(
            writer.name, tuple(outcomes[edit.id] for edit in edits), (prover.before, done.perplexity),
            self.overlay.relative_norms(), self._memory.revision(namespace=namespace), done.strength, done.curve,
        )  # fmt: skip

    def curve(
        self, delta: Delta, alphas: Sequence[float] = ALPHAS, *, namespace: str, ids: Sequence[str] | None = None
    ) -> Curve:
        """What is gained and lost along θ₀ + αΔ, θ₀ being the unedited weights.

        Args:
            delta: A change, of `change`, or added up of several.
            alphas: What it is multiplied by, one after the other.
            namespace: Whose edits.
            ids: Of the edits that are asked for; those that the change names when left out.

        Raises:
            UnknownEdit: They are not in the namespace, or the change names none.
        """
        asked = list(delta.made.get("rewrites", ())) if ids is None else list(ids)
        known = self._memory.recorded(asked, namespace=namespace)
        if not asked or len(known) < len(set(asked)):
            raise UnknownEdit("The change does not name edits of this memory.", do="give ids= of edits that it holds")
        pairs = [(known[edit_id], as_rewrite(known[edit_id])) for edit_id in asked]
        with self._local.lock, self.overlay.lifted():
            prover = Prover(self.overlay.anatomy, self._local.tokenizer, pairs, self._text.held)
            found = curve(self.overlay, delta, prover, asked, alphas)
        self._local.forget_prefix()
        return found

    def change(self, group: Group) -> Change:
        """The change of a group, as it was written."""
        return self._shelf.get(group.delta)

    def sweep(
        self, ids: Sequence[str] | None = None, *, namespace: str, method: str = "memit_seq", told: Told | None = None
    ) -> Sweep:  # fmt: skip
        """Try settings of a method on a few edits, without the others in the weights; the best are kept for this model.

        They are then asked for as `METHOD@swept`. Nothing else is changed.

        Args:
            ids: Of edits in force; None for the first `TRIED` Facts.
            namespace: Whose edits.
            method: A name.
            told: Is told how far it is.

        Raises:
            UnknownEdit: One of `ids` is not in force.
            EditRejected: None of them can be written.
            UnknownMethod: It has no settings to sweep: its slots or its editor were learnt with theirs.
        """
        writer = find_writer(method, self.swept)
        if isinstance(writer, Beside | Meta):
            raise UnknownMethod(f"`{writer.name}` has no settings to sweep.", do="name one that writes weights itself")
        edits = self._chosen(ids, namespace, set()) if ids else self._memory.edits(namespace=namespace, kind="fact")
        pairs, left = _split(edits if ids else edits[:TRIED])
        if not pairs:
            raise EditRejected(
                f"No edit to try settings on: {next((one.left for one in left.values()), 'there is none')}.",
                do="add Facts with subject=, prompt= and object=",
            )
        with self._local.lock, self.overlay.lifted():
            prover = Prover(self.overlay.anatomy, self._local.tokenizer, pairs, self._text.held)
            local = replace(self._parts, told=told or self._parts.told)
            found = sweep(local, writer, [rewrite for _, rewrite in pairs], prover)
        self.swept.put(writer.name, found.to_dict() | {"weights": self.weights, "memedit": version("memedit")})
        return found

    def unbake(
        self, ids: Sequence[str] | None = None, *, namespace: str, author: str | None = None, reason: str | None = None
    ) -> ChangeSet:
        """Take edits out of the weights; memory answers them again.

        Args:
            ids: Of baked edits; None for all.
            namespace: Whose edits.
            author, reason: Recorded with the change.

        Raises:
            UnknownEdit: One of them is not baked; nothing is changed.
        """
        self.in_step(namespace)
        held = [edit_id for group in self._laid[namespace] for edit_id in group.ids]
        wanted = held if ids is None else list(dict.fromkeys(ids))
        if missing := [edit_id for edit_id in wanted if edit_id not in held]:
            raise UnknownEdit(
                f"`{missing[0]:.40}` is not in the weights of `{self._llm.name}`.", do="see `baked()` for what is"
            )
        events = [unbaked(edit_id, weights=self.weights) for edit_id in wanted]
        change = self._memory.record("unbake", events, namespace=namespace, author=author, reason=reason)
        self.in_step(namespace)
        return change

    def baked(self, namespace: str) -> list[Group]:
        """What of a namespace is in the weights, in the order in which it was baked."""
        self.in_step(namespace)
        return list(self._laid[namespace])

    def save(self, folder: str | Path) -> Path:
        """Write the model as it is now to a new folder, which transformers opens without memedit.

        Raises:
            FileRejected: There is something in the folder already.
            CapabilityMissing: Slots lie beside the weights.
        """
        edits = {name: [edit_id for one in groups for edit_id in one.ids] for name, groups in self._laid.items()}
        card = {"base": self._llm.name, "weights": self.weights, "memedit": version("memedit"), "edits": edits}
        return save_model(self._local, self.overlay, Path(folder).expanduser(), card)

    def in_step(self, namespace: str) -> frozenset[str]:
        """Bring the weights in step with the ledger; gives the edits that memory need not answer.

        Where nothing was committed since the last look, it costs two looks at the ledger.
        """
        stands = self._memory.identity, self._memory.revision(namespace=namespace)
        if self._seen.get(namespace) != stands:
            groups = groups_of(self._memory.history(namespace=namespace), self.weights)
            if groups or self._laid.get(namespace):
                active = {edit.id for edit in self._memory.edits(namespace=namespace)}
                groups = [
                    Group(one.delta, tuple(i for i in one.ids if i in active), one.silent & active, one.data)
                    for one in groups
                ]
            self._lay(namespace, [one for one in groups if one.ids])
            self._seen[namespace] = stands
        return frozenset().union(*(group.silent for group in self._laid[namespace]))

    # ---- how it is done -------------------------------------------------------------------------------------------

    def _chosen(self, ids: Sequence[str] | None, namespace: str, held: set[str]) -> list[AnyEdit]:
        if ids is None:
            return [edit for edit in self._memory.edits(namespace=namespace, kind="fact") if edit.id not in held]
        found = [self._memory.get(edit_id, namespace=namespace) for edit_id in dict.fromkeys(ids)]
        return [edit for edit in found if edit.id not in held]

    def _keep(
        self, change: Change, writer: Writer, outcomes: Sequence[Outcome], strength: float, namespace: str,
        author: str | None, reason: str | None,
    ) -> None:  # fmt: skip
        """The change on the shelf first, then the ledger's word for it: a file without one counts for nothing."""
        made = dict(change.made) | {"weights": self.weights, "settings": asdict(writer.how), "strength": strength}
        made |= {"method": writer.name}
        name = self._shelf.put(replace(change, made=made))
        events = [
            baked(
                one.edit.id, weights=self.weights, delta=name, method=writer.name, strength=strength, silent=one.silent,
                proof=asdict(one.proof) if one.proof else None,
            )
            for one in outcomes
        ]  # fmt: skip
        self._memory.record("bake", events, namespace=namespace, author=author, reason=reason)

    def _lay(self, namespace: str, groups: Sequence[Group]) -> None:
        """Lay the changes of groups over the weights; from the first that differs on, they are laid anew."""
        ledger = self._memory.path or f"memory {id(self._memory)}"
        under = f"{ledger} {namespace} "
        # What lies there is read from the overlay: another Bakery of the same model and memory may have laid it.
        laid = [name for name in self.overlay.names if name.startswith(under)]
        wanted = [under + " ".join((one.delta, *one.ids)) for one in groups]
        same = common(laid, wanted)
        if same < max(len(laid), len(wanted)):
            with self._local.lock:
                for name in laid[same:]:
                    self.overlay.take(name)
                for name, one in zip(wanted[same:], groups[same:], strict=True):
                    self.overlay.put(name, self._change_of(one, namespace))
            self._local.forget_prefix()
        self._laid[namespace] = list(groups)

    def _change_of(self, group: Group, namespace: str) -> Change:
        """The change of a group as it was baked; of a group that lost an edit, written again for the rest."""
        change = self._shelf.get(group.delta)
        gone = set(change.made["rewrites"]) - set(group.ids)
        if not gone:
            return change
        if isinstance(change, SlotBank) and change.rule.parts:
            return change.without(sorted(gone))
        edits = self._memory.recorded(group.ids, namespace=namespace)
        writer = find_writer(change.made["method"]).as_set(change.made["settings"])
        rewrites = [as_rewrite(edits[edit_id]) for edit_id in group.ids]
        if isinstance(writer, Beside):
            return writer.write(self._parts, rewrites)
        whole = writer.write(self._parts, rewrites, self._stream(), values=values_of(change))
        made = dict(whole.made) | {"norm": change.made["norm"]}
        return Delta(whole.parts, made, whole.kept) * float(change.made["strength"])

    def _stream(self) -> Stream:
        """What lies over the weights now, as methods for many edits in a row heed it."""
        stream = Stream()
        for delta in self.overlay.deltas:
            stream = stream.behind(delta)
        return stream

    def _says(self, change: Change, edits: Sequence[AnyEdit]) -> frozenset[str]:
        """Those that the model with a change says by itself, asked as a user asks."""
        asked = [as_request(_question(edit), {"max_tokens": TOLD}) for edit in edits]
        with self._local.lock:
            self.overlay.put("asking", change)
        self._local.forget_prefix()
        try:
            replies = self._llm.generate(asked) if asked else []
        finally:
            with self._local.lock:
                self.overlay.take("asking")
            self._local.forget_prefix()
        return frozenset(
            edit.id for edit, reply in zip(edits, replies, strict=True) if says(reply.text, accepted_answers(edit))
        )


def _question(edit: AnyEdit) -> str:
    """What a user asks to hear what an edit says."""
    return (edit.question if isinstance(edit, Fact) else None) or as_rewrite(edit).text


def _split(edits: Sequence[AnyEdit]) -> tuple[list[tuple[AnyEdit, Rewrite]], dict[str, Outcome]]:
    """What can be written, and what is left in memory because it does not say what shall follow what."""
    pairs: list[tuple[AnyEdit, Rewrite]] = []
    outcomes: dict[str, Outcome] = {}
    for edit in edits:
        try:
            pairs.append((edit, as_rewrite(edit)))
        except EditRejected as error:
            outcomes[edit.id] = Outcome(edit, None, error.what)
    return pairs, outcomes
