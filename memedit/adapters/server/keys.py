"""Bearer keys: each belongs to one namespace, and says what its holder may do there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from memedit.errors import EditRejected, FileRejected
from memedit.memory.checks import checked_namespace

Role = Literal["ask", "read", "edit"]
"""`ask`: model calls alone; `read`: also to see edits and explanations; `edit`: also to change edits."""
ROLES: tuple[Role, ...] = get_args(Role)
SHORTEST = 16  # characters of a key


@dataclass(frozen=True, slots=True)
class Key:
    """What a caller may do.

    Args:
        namespace: Whose edits; no other one's can be reached with it.
        role: One of `ROLES`; each may what those before it may.
        name: Shown in logs and metrics, in place of the key.
    """

    namespace: str
    role: Role = "ask"
    name: str = ""

    def may(self, role: Role) -> bool:
        """Whether its role is this one, or one that may more."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Keys:
    """The keys that are known, by their hashes: a key itself is kept nowhere.

    Args:
        keys: By the key.
        open_to_all: What a caller without any key may do; None where a key is needed.
    """

    def __init__(self, keys: Mapping[str, Key], *, open_to_all: Key | None = None) -> None:
        self._known = {_hashed(key): owner for key, owner in keys.items()}
        self._open = open_to_all
        self.guarded = open_to_all is None

    def owner(self, authorization: str) -> Key | None:
        """Whose key a header `Authorization` holds; None where it is none of the known ones."""
        if not self.guarded:
            return self._open
        scheme, _, key = authorization.partition(" ")
        return self._known.get(_hashed(key.strip())) if scheme.lower() == "bearer" else None


def read_keys(path: str | Path) -> Keys:
    """The keys of a YAML or JSON file: a list of `{key: …, namespace: …, role: ask | read | edit, name: …}`.

    Raises:
        FileRejected: It cannot be read, or one of its entries is none; no message shows a key.
    """
    try:
        entries = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise FileRejected(f"The keys in {path} cannot be read: {why}.", do="give a YAML or JSON file") from error
    if not isinstance(entries, list) or not entries:
        raise FileRejected(f"{path} holds no list of keys.", do="write - {key: …, namespace: …, role: ask}")
    return Keys(dict(_entries(entries, path)))


def _entries(entries: Iterable[Any], path: str | Path) -> Iterable[tuple[str, Key]]:
    seen: set[str] = set()
    for number, entry in enumerate(entries, 1):
        try:
            key, role = entry["key"], entry.get("role", "ask")
            if not isinstance(key, str) or len(key) < SHORTEST:
                raise ValueError(f"its key is no text of {SHORTEST} characters at least")
            if key in seen:
                raise ValueError("its key stands there twice")
            if role not in ROLES:
                raise ValueError(f"its role is none of {', '.join(ROLES)}")
            seen.add(key)
            yield key, Key(checked_namespace(entry["namespace"]), role, str(entry.get("name") or f"key {number}"))
        except EditRejected as error:
            raise FileRejected(f"{path}, entry {number}: {error.what}", do=error.do) from error
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise FileRejected(
                f"{path}, entry {number}: {why}.", do="write {key: …, namespace: …, role: ask | read | edit}"
            ) from error


def _hashed(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()
