"""What a memory embeds and reads with, each loaded when it is first needed."""

from __future__ import annotations

from typing import Any, Literal

from memedit.embedders import Embedder, as_embedder, default_embedder, installed_languages, loader, shipped_finder
from memedit.embedders.folders import BUNDLED_ID
from memedit.encoder import lacking
from memedit.memory.governing import Governing, shipped_governing
from memedit.memory.standing import Standing, shipped_standing
from memedit.memory.statements import StatementJudge, shipped_statement_judge


class Encoders:
    """The encoders of a memory; see `EditMemory` for what each is.

    Args:
        embedder, finder, languages, judge: As they were given.

    Raises:
        EmbedderError: The embedder is named, and there is none of that name.
    """

    def __init__(
        self, embedder: Any, finder: Embedder | Literal["auto"] | None, languages: Embedder | Literal["auto"] | None,
        judge: StatementJudge | Literal["auto"] | None,
    ) -> None:  # fmt: skip
        if isinstance(embedder, str):
            loader(embedder)  # what is misspelt is said at once, and not when the first text is embedded
        self._given = embedder
        self._embedder: Embedder | None = None
        self._finder = finder
        self._languages = languages
        self._judge = judge

    @property
    def embedder(self) -> Embedder:
        """Of edits and questions.

        Raises:
            EmbedderError: None is given and the default is not installed; the message names the choices.
        """
        if self._embedder is None:
            self._embedder = default_embedder() if self._given is None else as_embedder(self._given)
        return self._embedder

    @property
    def finder(self) -> Embedder:
        """Of whole conversations: the embedder itself, where no finder fits it."""
        if self._finder == "auto":
            found = shipped_finder()
            self._finder = found if found is not None and found.space == self.embedder.space else None
        return self._finder or self.embedder

    @property
    def languages(self) -> Embedder | None:
        """Of statements and whole conversations in many languages; None where there is none.

        The one of the extra stands beside MiniLM, which reads English alone; another embedder may read more.
        """
        if self._languages == "auto":
            self._languages = installed_languages() if self.embedder.space == BUNDLED_ID else None
        return self._languages

    @property
    def standing(self) -> Standing | None:
        """What standing instructions look like to the embedder; None where that is not known."""
        return shipped_standing() if self.embedder.space == BUNDLED_ID else None

    @property
    def governing(self) -> Governing | None:
        """Tells texts that govern every answer; None where nothing can, or no statement is to be read."""
        return shipped_governing() if self.judge is not None and self.embedder.space == BUNDLED_ID else None

    @property
    def judge(self) -> StatementJudge | None:
        """Reads statements against earlier ones; None where nothing can.

        The one that comes with memedit learned from the cosines of MiniLM's space, and serves no other.
        """
        if self._judge == "auto":
            fits = not lacking() and self.embedder.space == BUNDLED_ID
            self._judge = shipped_statement_judge() if fits else None
        return self._judge
