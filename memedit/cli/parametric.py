"""`memedit parametric`: what the methods that write edits into weights are given beforehand."""

from __future__ import annotations

import click

from memedit.cli._editor_training import train


@click.group()
def parametric() -> None:
    """Train editors, which write edits into weights afterwards.

    \b
        memedit parametric train mend --data counterfact=counterfact.json --out my-editor
        memedit bake --method mend:my-editor
    """  # noqa: D301 - click's mark for lines that stay as they are


parametric.add_command(train)
