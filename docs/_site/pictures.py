"""The pictures of concepts.md, drawn of the functions that are called; `python docs/_site/pictures.py` writes them.

Every box names a function; tests/test_docs.py follows a request and an edit, and compares.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import NamedTuple

WIDTH, HIGH, GAP, MARGIN = 680, 62, 30, 16


class Step(NamedTuple):
    """One box.

    Args:
        name: Of the function, from `memedit.` on.
        does: What it does.
        gives: What goes on from it, beside the arrow to the next.
    """

    name: str
    does: str
    gives: str


REQUEST = (
    Step("messages.as_request", "a text, messages of a client or a prompt value become one form", "Request"),
    Step(
        "gate.conversation.read_conversation", "what of it is looked up: the query, and the whole conversation", "query"
    ),
    Step("memory.reading.Reads.recall", "the index proposes, the ledger says what is in force", "candidates"),
    Step("gate.port.Gate.decide_many", "which of them are in scope, with a probability and reasons", "hits, or none"),
    Step("methods.frames.with_notes", "the method shows the edits; without a hit nothing is touched", "Final(request)"),
    Step("editable.drive.Driver._ask", "the one place that asks the model", "Reply"),
    Step("editable.drive._answer", "text, citations, revision and trace", "Answer"),
)
EDIT = (
    Step("editable.editing.Edits.edit", "a statement, a Fact, a Behaviour, …", "what was given"),
    Step("edits.as_edit", "checked, and frozen", "Edit"),
    Step("memory.ledger.Ledger.writing", "one transaction: all of the change or nothing", "lock"),
    Step("memory.conflicts.Slots.judge", "does it take the place of another?", "superseded"),
    Step("memory.ledger.Writer.append", "events, with checksums; durable when the call returns", "Receipt"),
    Step(
        "memory.ledger_reading.Reader.states_since", "the next look-up of any process reads what is new", "new events"
    ),
    Step("memory.indexing.Indexing.update", "the index follows the ledger, never the other way round", "in scope"),
)
STYLE = (
    ".box{fill:#f5f6fb;stroke:#3f51b5}.name{font:600 13px monospace;fill:#283593}.does{font:13px sans-serif;fill:#222}"
    ".gives{font:italic 12px sans-serif;fill:#444}.arrow{stroke:#3f51b5;stroke-width:1.5;marker-end:url(#tip)}"
    ".paper{fill:#fff}.tip{fill:#3f51b5}"
    "@media(prefers-color-scheme:dark){.paper{fill:#1e2129}.box{fill:#2a2e3a;stroke:#8c9eff}.name{fill:#b3bfff}"
    ".does{fill:#ddd}.gives{fill:#bbb}.arrow{stroke:#8c9eff}.tip{fill:#8c9eff}}"
)


def drawn(title: str, steps: tuple[Step, ...]) -> str:
    """An SVG of the steps, from top to bottom."""
    high = 2 * MARGIN + len(steps) * (HIGH + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>',
        f'<rect class="paper" width="{WIDTH}" height="{high}"/>',
    ]
    for number, step in enumerate(steps):
        top = MARGIN + number * (HIGH + GAP)
        middle, end = WIDTH // 2, top + HIGH
        lines += [
            f'<rect class="box" x="{MARGIN}" y="{top}" width="{WIDTH - 2 * MARGIN}" height="{HIGH}" rx="6"/>',
            f'<text class="name" x="{2 * MARGIN}" y="{top + 25}">{escape(step.name)}</text>',
            f'<text class="does" x="{2 * MARGIN}" y="{top + 47}">{escape(step.does)}</text>',
            f'<path class="arrow" d="M{middle} {end}V{end + GAP - 1}"/>',
            f'<text class="gives" x="{middle + 10}" y="{end + GAP // 2 + 5}">{escape(step.gives)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


PICTURES = {"request.svg": drawn("The way of a request", REQUEST), "edit.svg": drawn("The way of an edit", EDIT)}

if __name__ == "__main__":
    for file, picture in PICTURES.items():
        (Path(__file__).parents[1] / "pictures" / file).write_text(picture, encoding="utf-8")
