"""How many inputs a test is given: its own number, or as many times as many as the profile says.

`pytest --hypothesis-profile many` makes some 100,000 of the files named in part `durability` of the sweep.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

ORDINARY = 100  # what hypothesis gives a test that says nothing


def generated(examples: int, **given: Any) -> settings:
    """Settings of a test of so many generated inputs, however long each takes."""
    times = settings().max_examples // ORDINARY
    return settings(max_examples=times * examples, deadline=None, suppress_health_check=list(HealthCheck), **given)
