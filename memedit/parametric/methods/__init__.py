"""The methods that write edits into weights, or put them beside, by name: one file a method."""

from __future__ import annotations

from memedit.errors import UnknownMethod
from memedit.parametric.beside import Beside
from memedit.parametric.locate import Located
from memedit.parametric.meta import Meta
from memedit.parametric.methods.alphaedit import ALPHAEDIT
from memedit.parametric.methods.calinet import CALINET
from memedit.parametric.methods.emmet import EMMET
from memedit.parametric.methods.enn import ENN
from memedit.parametric.methods.fine_tuning import FT_L, FT_M
from memedit.parametric.methods.grace import GRACE
from memedit.parametric.methods.ke import KE
from memedit.parametric.methods.knowledge_bank import KNOWLEDGE_BANK
from memedit.parametric.methods.lime import LIME
from memedit.parametric.methods.lora import LORA
from memedit.parametric.methods.melo import MELO
from memedit.parametric.methods.memit import MEMIT
from memedit.parametric.methods.memit_seq import ENCORE, MEMIT_SEQ, NAS
from memedit.parametric.methods.memoir import MEMOIR
from memedit.parametric.methods.mend import MEND
from memedit.parametric.methods.pmet import PMET
from memedit.parametric.methods.rome import ROME
from memedit.parametric.methods.slag import SLAG
from memedit.parametric.methods.transformer_patcher import PATCHER
from memedit.parametric.methods.ultraedit import ULTRAEDIT, UltraEdit
from memedit.parametric.methods.wise import WISE
from memedit.parametric.published import SWEPT, SweptBook, published_for
from memedit.parametric.trained import Trained

Settable = Located | UltraEdit | Trained
"""What writes weights by its settings alone."""
Writer = Settable | Meta | Beside
METHODS: dict[str, Located] = {one.name: one for one in (ROME, MEMIT, MEMIT_SEQ, EMMET, PMET, ALPHAEDIT, ENCORE, NAS)}
"""That solve for a change of weights, at the subject's last token."""
FREE = {one.name: one for one in (ULTRAEDIT,)}
"""That solve for one without a subject."""
TRAINED = {one.name: one for one in (FT_L, FT_M, LORA)}
"""That train one."""
META = {one.name: one for one in (MEND, KE, ENN, SLAG, LIME)}
"""Whose editor is trained first: `mend:FOLDER`."""

ATTACHED = {one.name: one for one in (GRACE, MEMOIR, WISE, MELO, PATCHER)}
"""That leave the weights as they are."""
SHARED = {one.name: one for one in (CALINET, KNOWLEDGE_BANK)}
"""The same, by slots that all edits share and that may fire anywhere."""


def find_writer(method: str | Writer, swept: SweptBook | None = None) -> Writer:
    """The method of this name that changes weights or puts slots beside them, or the one that is given.

    Args:
        method: A name; `NAME:FOLDER` with the editor of a folder, `NAME@MODEL` with the settings that were published
            for a model, `NAME@swept` with those that a sweep found for this one.
        swept: What sweeps found.

    Raises:
        UnknownMethod: There is none of this name, or there are no such settings.
        FileRejected: What a sweep found is damaged.
    """
    if not isinstance(method, str):
        return method
    name, colon, folder = method.partition(":")
    if colon and folder and name in META:
        return META[name].with_(folder=folder)
    known: dict[str, Writer] = {**METHODS, **FREE, **TRAINED, **META, **ATTACHED, **SHARED}
    name, at, model = method.partition("@")
    if name not in known:
        raise UnknownMethod(f"No method `{name:.80}` writes weights.", do=f"use one of {', '.join(known)}")
    if not at:
        return known[name]
    if model != SWEPT:
        return known[name].as_set(published_for(name, model))
    if swept is None:
        raise UnknownMethod(f"`{method}` is of a model's weights.", do="give it to `bake`, which has a model")
    return known[name].as_set(swept.get(name))


def find_attached(method: str | Beside) -> Beside:
    """The attached method of this name, or the one that is given.

    Raises:
        UnknownMethod: There is none of this name.
    """
    if not isinstance(method, str):
        return method
    known = ATTACHED | SHARED
    if method not in known:
        raise UnknownMethod(f"No method `{method:.80}` is attached.", do=f"use one of {', '.join(known)}")
    return known[method]
