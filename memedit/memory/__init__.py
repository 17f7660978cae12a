"""The edit memory: a ledger that is the truth, and an index derived from it."""

from memedit.memory.backups import Backup
from memedit.memory.conflicts import Receipt
from memedit.memory.events import Change, Event
from memedit.memory.memory import EditMemory
from memedit.memory.purging import Purge
from memedit.memory.recall import Candidate, Recalled
from memedit.memory.snapshot import Snapshot

__all__ = ["Backup", "Candidate", "Change", "EditMemory", "Event", "Purge", "Receipt", "Recalled", "Snapshot"]
