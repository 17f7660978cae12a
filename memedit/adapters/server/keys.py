"""Bearer keys: each names a namespace and a role, and is kept as a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import yaml

from memedit.errors import EditRejected, FileRejected
from memedit.memory.checks import checked_namespace, checked_note

SHORTEST = 16  # characters of a key; fewer can be guessed
FIELDS = {"name", "key", "sha256", "namespace", "role", "rate"}
HEX = frozenset("0123456789abcdef")


class Role(IntEnum):
    """What a key may do; each role may do what those before it may, but for the first, which stands by itself."""

    METRICS = 0
    """Read the metrics, which count the requests of all namespaces; it has no namespace, and no other role may."""
    READ = 1
    """Ask the model, and read the edits, but for what an Erasure keeps."""
    PROPOSE = 2
    """Propose edits, which wait until a key of the role `edit` accepts them."""
    EDIT = 3
    """Change edits, decide on those that wait, and compare with the model as it is without them."""
    ADMIN = 4
    """Import, and go back to any revision."""


@dataclass(frozen=True, slots=True)
class Key:
    """Whose request it is.

    Args:
        name: Stands in the log, and as the author of changes.
        namespace: Whose edits it asks by, reads and changes.
        role: What it may do.
        rate: Requests a minute; None for the server's own limit.
    """

    name: str
    namespace: str
    role: Role
    rate: int | None = None


class Keys:
    """The keys of a server, found by their hashes: a key itself is not kept, and nothing is told by how long it takes.

    Args:
        keys: The SHA-256 of each key, in small hexadecimal digits, and what it may do.
    """

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._keys = dict(keys)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def namespaces(self) -> frozenset[str]:
        """Whose edits the keys ask by."""
        return frozenset(key.namespace for key in self._keys.values() if key.role > Role.METRICS)

    def of(self, authorization: str | None) -> Key | None:
        """The key of an `Authorization` header; None where it is none of these."""
        scheme, _, token = (authorization or "").partition(" ")
        return self._keys.get(_hash(token.strip())) if scheme.lower() == "bearer" else None


def read_keys(path: Path) -> Keys:
    """The keys of a YAML or JSON file: a list under `keys`, of `name`, `key` or `sha256`, `namespace`, `role`, `rate`.

    Raises:
        FileRejected: It cannot be read; the message names the entry, and never a key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise FileRejected(f"{path} cannot be read: {error.strerror}.", do="check the name") from error
    except (ValueError, yaml.YAMLError):  # what they say quotes the file, and so maybe a key
        raise FileRejected(f"{path} is neither YAML nor JSON.", do="write `keys:` followed by a list") from None
    entries = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries:
        raise FileRejected(f"{path} holds no keys.", do="write `keys:` followed by a list")
    return Keys(_read(path, entries))


def _read(path: Path, entries: Iterable[Any]) -> dict[str, Key]:
    keys: dict[str, Key] = {}
    for place, entry in enumerate(entries, start=1):
        try:
            digest, key = _entry(entry)
        except (ValueError, EditRejected) as error:
            said = error.what if isinstance(error, EditRejected) else str(error)
            raise FileRejected(f"{path}, key {place}: {said}", do="correct it; the server was not started") from None
        if digest in keys or key.name in {other.name for other in keys.values()}:
            raise FileRejected(f"{path}, key {place}: its name or its key stands there twice.", do="give another one")
        keys[digest] = key
    return keys


def _entry(entry: Any) -> tuple[str, Key]:
    if not isinstance(entry, dict):
        raise ValueError("It is no mapping.")
    if unknown := sorted(map(str, entry.keys() - FIELDS)):
        raise ValueError(f"It has no field `{unknown[0]:.40}`; there are {', '.join(sorted(FIELDS))}.")
    name, role, rate = entry.get("name"), entry.get("role", "read"), entry.get("rate")
    if not isinstance(name, str) or not name.strip():
        raise ValueError("It needs a `name`.")
    if not isinstance(role, str) or role.upper() not in Role.__members__:
        raise ValueError(f"Its `role` is none of {', '.join(one.name.lower() for one in Role)}.")
    if rate is not None and (type(rate) is not int or rate < 1):
        raise ValueError("Its `rate` is requests a minute, 1 or more.")
    level = Role[role.upper()]
    if ("namespace" in entry) == (level is Role.METRICS):
        raise ValueError("It needs a `namespace`, but for the role `metrics`, which has none.")
    where = checked_namespace(entry["namespace"]) if level > Role.METRICS else ""
    author, _ = checked_note(name, None)
    return _digest(entry), Key(author or name, where, level, rate)


def _digest(entry: Mapping[str, Any]) -> str:
    key, digest = entry.get("key"), entry.get("sha256")
    if (key is None) == (digest is None):
        raise ValueError("It needs either `key` or `sha256`.")
    if digest is not None:
        if not isinstance(digest, str) or len(digest) != 64 or set(digest.lower()) - HEX:
            raise ValueError("Its `sha256` is not 64 hexadecimal digits.")
        return digest.lower()
    if not isinstance(key, str) or len(key) < SHORTEST or not key.isascii() or any(map(str.isspace, key)):
        raise ValueError(f"Its `key` is text of {SHORTEST} characters or more, ASCII and without blanks.")
    return _hash(key)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
