"""Ten thousand namespaces: bounded memory, a bounded number of files, and every one right."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from memedit.edits import Fact
from memedit.memory import EditMemory
from memedit.memory.views import MAX_VIEWS
from memedit.testing import HashEmbedder

COUNT = 10_000


def resident():
    """Megabytes this process holds in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def edits_of(tenant):
    yield Fact(subject="the office", relation="capital", object=f"city {tenant}")
    yield f"Tenant {tenant} pays in euros."
    yield f"The contract of tenant {tenant} ends in May."


@pytest.mark.timeout(1500)
def test_ten_thousand_namespaces(tmp_path):
    memory = EditMemory(tmp_path, embedder=HashEmbedder(64))
    list(memory.add_many(edits_of("warm"), namespace="warm"))
    before, descriptors = resident(), len(os.listdir("/proc/self/fd"))
    for tenant in range(COUNT):
        assert len(list(memory.add_many(edits_of(tenant), namespace=f"tenant {tenant}"))) == 3

    chance = random.Random(7)
    for tenant in chance.sample(range(COUNT), 500):
        where = {"namespace": f"tenant {tenant}"}
        found = memory.recall(f"Which city is the capital of the office? Tenant {tenant}?", **where).candidates
        assert {candidate.edit.namespace for candidate in found} == {where["namespace"]}
        assert len(found) == 3
        assert memory.revision(**where) == 1
    for tenant in chance.sample(range(COUNT), 50):
        where = {"namespace": f"tenant {tenant}"}
        memory.undo(**where)
        assert memory.edits(**where) == memory.search("office", **where) == []
        assert memory.check(**where) == []

    assert len(memory.namespaces()) == COUNT + 1
    assert len(memory._views._views) <= MAX_VIEWS
    assert resident() - before < 250
    assert len(os.listdir("/proc/self/fd")) - descriptors < 20
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) <= 3
    memory.close()

    with EditMemory(tmp_path, embedder=HashEmbedder(64)) as memory:
        assert len(memory.edits(namespace="warm")) == 3
        assert len(memory.namespaces()) == COUNT + 1
