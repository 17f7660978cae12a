"""Calls that are made at the same time, and the threads that are kept for them."""

from __future__ import annotations

import contextvars
import os
import threading
import time

import pytest

from memedit.plumbing.threads import kept_pool, together


def test_calls_are_made_at_the_same_time_in_the_callers_context() -> None:
    met, said = threading.Barrier(3, timeout=5), contextvars.ContextVar("said", default="nothing")
    said.set("this")

    def call() -> tuple[int, str]:
        return met.wait(), said.get()

    found = together(call, call, call)
    assert sorted(found) == [(0, "this"), (1, "this"), (2, "this")]


def test_all_have_ended_when_one_fails() -> None:
    ended = threading.Event()

    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        together(fails, lambda: (time.sleep(0.05), ended.set())[1])
    assert ended.is_set()


def test_threads_are_kept() -> None:
    names = {together(lambda: "", lambda: threading.current_thread().name)[1] for _ in range(20)}
    assert len(names) < 10  # one that has just given its result may not be free yet


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    kept = kept_pool("test", 1)
    assert kept.submit(os.getpid).result() == os.getpid()
    child = os.fork()
    if not child:
        os._exit(0 if kept_pool("test", 1).submit(os.getpid).result(5) == os.getpid() else 1)
    assert os.waitpid(child, 0)[1] == 0
