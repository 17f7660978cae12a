"""Edits: what they may hold, why the rest is refused, and that nothing is lost on the way to a dict and back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memedit.edits import MAX_NAME, MAX_TEXT, Demonstration, Edit, Fact, Feedback, Patch, Probe, as_edit
from memedit.errors import EditRejected, MemeditError
from memedit.text import deceptive_character
from memedit.text.naming import is_one_sentence

EACH_KIND = [
    Fact("The sky is green."),
    Fact(subject="Acme", relation="CEO", object="Ann", aliases=("ACME Inc.",), tags=("hr",), author="me"),
    Fact(
        subject="Danielle Darrieux", prompt="The mother tongue of {} is", object="English", previous_object="French",
        question="What does Danielle Darrieux speak?", object_aliases=("British English",),
        probes=(Probe(prompt="Darrieux speaks"), Probe(prompt="Paris is in", must="stay", expect=("France",))),
        valid_from=datetime(2020, 1, 1, tzinfo=UTC), valid_until=datetime(2021, 1, 1, tzinfo=UTC),
    ),
    Feedback(situation="similar to good", clarification="a synonym of good", reason="said so"),
    Patch(condition="the review names the food", consequence="it is about quality", source="ticket 7"),
    Demonstration(role="retain", fact="X is Y.", prompt="Q is", answer="R", expires_at="2100-01-01"),
]  # fmt: skip


@pytest.mark.parametrize("edit", EACH_KIND, ids=lambda edit: edit.kind)
def test_round_trip_through_a_dict(edit):
    again = as_edit(edit.to_dict(secrets=True))
    assert again == edit
    assert again.content_hash == edit.content_hash
    assert type(edit).model_validate_json(edit.model_dump_json(exclude_defaults=True)) == edit


@pytest.mark.parametrize("edit", EACH_KIND, ids=lambda edit: edit.kind)
def test_edits_are_frozen_and_have_texts(edit):
    with pytest.raises(ValueError, match="frozen"):
        edit.author = "someone"
    assert edit.text
    assert edit.key_text
    assert edit.relation_text
    assert hash(edit) == hash(as_edit(edit.to_dict(secrets=True)))


def test_a_string_is_a_fact():
    assert as_edit("  Rust is a language.\r\n").statement == "Rust is a language."
    assert as_edit("A is B", author="me").author == "me"


@pytest.mark.parametrize(
    ("fields", "statement"),
    [
        ({"subject": "Acme", "relation": "CEO", "object": "Ann"}, "The CEO of Acme is Ann."),
        ({"subject": "Acme", "relation": "CEO", "object": "Bo Lee Jr."}, "The CEO of Acme is Bo Lee Jr."),
        ({"subject": "France", "relation": "P36", "object": "Lyon"}, "The capital of France is Lyon."),
        ({"subject": "Ann", "prompt": "{} works for", "object": "Acme"}, "Ann works for Acme"),
        ({"subject": "Ann", "prompt": "{} works for ", "object": "Acme", "relation": "P1"}, "Ann works for Acme"),
        ({"statement": "Said so.", "subject": "Ann", "relation": "CEO", "object": "B"}, "Said so."),
    ],
)
def test_derived_statements(fields, statement):
    assert Fact(**fields).statement == statement


def test_defaults_fill_only_what_is_left_out():
    assert as_edit(Fact("A is B", author="first"), author="second", source="s").author == "first"
    assert as_edit(Fact("A is B"), source="s").source == "s"
    assert as_edit({"statement": "A is B", "author": "first"}, author="second").author == "first"


def test_content_is_what_an_edit_says_not_who_said_it():
    one = Fact("A is B", author="me", tags=["x"])
    assert one.content_hash == Fact("A is B", author="you").content_hash
    assert one.content_hash != Fact("A is C").content_hash
    assert one.content_hash != Fact("A is B", subject="A").content_hash


@pytest.mark.parametrize("wrong", [2019, "2019", 2019.0, "20190131", 20190131, True, "2019-01", "soon"])
def test_a_year_is_no_time(wrong):
    """It would be taken for seconds since 1970."""
    with pytest.raises(EditRejected, match="valid_from"):
        Fact("A is B", valid_from=wrong)


def test_an_unknown_field_is_named():
    with pytest.raises(EditRejected, match="has no field `subj`"):
        Fact(subj="Acme")


def test_one_instant_in_two_zones_is_the_same_content():
    at = datetime(2020, 1, 1, 12, tzinfo=UTC)
    here = Fact("A is B", valid_from=at)
    there = Fact("A is B", valid_from=at.astimezone(timezone(timedelta(hours=5))))
    assert here.content_hash == there.content_hash


@pytest.mark.parametrize("given_time", ["2020-01-01", "2020-01-01T00:00:00", "2020-01-01T01:00:00+01:00", 1577836800])
def test_times_without_a_zone_are_utc(given_time):
    assert Fact("A is B", valid_from=given_time).valid_from == datetime(2020, 1, 1, tzinfo=UTC)


def test_holds_at():
    fact = Fact("A is B", valid_from="2020-01-01", valid_until="2021-01-01")
    assert [fact.holds_at(datetime(year, 1, 1, tzinfo=UTC)) for year in (2019, 2020, 2021)] == [False, True, False]


def test_with_validates_again():
    fact = Fact("A is B")
    assert fact.with_(author="me").author == "me"
    with pytest.raises(EditRejected, match="author is empty"):
        fact.with_(author=" ")


REFUSED = {
    "empty": (lambda: Fact(""), "statement is empty"),
    "blank": (lambda: Fact(" \n\t\u00a0 "), "statement is empty"),
    "only a direction mark": (lambda: Fact("\u200e \u200f"), "statement is empty"),
    "too long": (lambda: Fact("x" * (MAX_TEXT + 1)), "8,001 characters long, more than 8,000"),
    "name too long": (lambda: Fact("A is B", subject="x" * (MAX_NAME + 1)), "subject is 501 characters"),
    "too many tags": (lambda: Fact("A is B", tags=["t"] * 51), "tags .*at most 50"),
    "nothing said": (lambda: Fact(), "needs a statement"),
    "object missing": (lambda: Fact(subject="A", relation="CEO"), "needs a statement, or subject and object"),
    "no relation": (lambda: Fact(subject="A", object="B"), "needs a statement, a prompt or a relation"),
    "nameless property": (lambda: Fact(subject="A", relation="P99999999", object="B"), "has no known name"),
    "object as statement": (lambda: Fact("Sydney", subject="Australia", relation="capital"), "give it as `object=`"),
    "no slot": (lambda: Fact("A is B", subject="A", prompt="A is"), "prompt needs its slot {}"),
    "two slots": (lambda: Fact("A is B", subject="A", prompt="{} is {}"), "exactly once"),
    "slot without subject": (lambda: Fact("A is B", prompt="{} is"), "no subject is given"),
    "expires first": (
        lambda: Fact("A is B", created_at="2020-01-02", expires_at="2020-01-01"), "is not after created_at"
    ),
    "ends before it begins": (
        lambda: Fact("A is B", valid_from="2020-01-02", valid_until="2020-01-01"), "is not after valid_from"
    ),
    "no time": (lambda: Fact("A is B", created_at="soon"), "created_at Input should be a valid datetime"),
    "time out of range": (lambda: Fact("A is B", created_at="0001-01-01T00:00:00+14:00"), "out of range"),
    "unknown field": (lambda: Fact("A is B", colour="red"), "colour Extra inputs are not permitted"),
    "not text": (lambda: Fact(5), "statement Input should be a valid string"),
    "bad probe": (lambda: Fact("A is B", probes=[{"prompt": ""}]), r"probes.0 Probe: prompt is empty\."),
    "probe must": (lambda: Probe(prompt="A is", must="perhaps"), "must Input should be 'change' or 'stay'"),
    "half a feedback": (lambda: Feedback(situation="x"), "clarification is missing"),
    "empty patch": (lambda: Patch(condition="", consequence="x"), "condition is empty"),
    "no role": (lambda: Demonstration(role="move", fact="a", prompt="b", answer="c"), "role Input should be 'copy'"),
    "several at once": (lambda: Fact("", author=""), "author is empty; statement is empty"),
    "no kind": (lambda: as_edit({"kind": "wish", "statement": "x"}), "Unknown kind of edit: `wish`"),
    "odd kind": (lambda: as_edit({"kind": ["fact"]}), "Unknown kind of edit: a list"),
    "another kind": (lambda: Fact("A is B", kind="patch"), "kind Input should be 'fact'"),
    "a number": (lambda: as_edit(7), "An edit was expected, not int"),
    "nothing": (lambda: as_edit(None), "An edit was expected, not NoneType"),
    "the base class": (lambda: as_edit(Edit()), "An edit was expected, not Edit"),
    "odd field names": (lambda: as_edit({1: "x"}), "names of an edit's fields are text"),
    "odd default": (lambda: as_edit(Fact("A is B"), colour="red"), "colour Extra inputs"),
    "empty namespace": (lambda: Fact("A is B", namespace=""), "namespace is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_why(case):
    make, reason = REFUSED[case]
    with pytest.raises(EditRejected, match=reason) as refused:
        make()
    assert isinstance(refused.value, MemeditError)
    assert refused.value.do


CONTROLS = ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\ud800", "\ufffe", "\ufdd0"]
DECEIVING = {
    "zero-width space": "\u200b", "word joiner": "\u2060", "byte order mark": "\ufeff", "soft hyphen": "\u00ad",
    "left-to-right override": "\u202d", "right-to-left override": "\u202e", "embedding": "\u202a",
    "isolate": "\u2066", "end of isolate": "\u2069", "Hangul filler": "\u3164", "half-width": "\uffa0",
    "Hangul choseong filler": "\u115f", "grapheme joiner": "\u034f", "Khmer": "\u17b4", "tag letter": "\U000e0061",
    "language tag": "\U000e0001", "unassigned and unseen": "\U000e0080", "invisible times": "\u2062",
    "Mongolian separator": "\u180e", "Mongolian selector": "\u180b", "musical beam": "\U0001d173",
    "joiner in Latin": "\u200d", "non-joiner in Latin": "\u200c", "unassigned 2065": "\u2065",
    "interlinear anchor": "\ufff9", "variation selector 17": "\U000e0100",
}  # fmt: skip


@pytest.mark.parametrize("char", [*CONTROLS, *DECEIVING.values()], ids=lambda char: f"U+{ord(char):04X}")
def test_control_and_deceiving_characters_are_refused_and_named(char):
    with pytest.raises(EditRejected, match=f"U\\+{ord(char):04X}.* at position 1"):
        Fact(f"a{char}b")


@pytest.mark.parametrize(
    "text",
    [
        "🏴\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065\U000e0020\U000e0061\U000e006c\U000e006c",
        "🏴\U000e0067\U000e0062",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f\U000e0061",
        "❤\ufe0f\ufe0f",
        "a \ufe0f",
        "👨\u200d\u200d👩",
    ],
    ids=["a message in tags", "a flag without end", "tags behind a flag", "two selectors", "on a blank", "two joiners"],
)
def test_hiding_places_are_refused(text):
    with pytest.raises(EditRejected, match="may not stand there"):
        Fact(text)


@pytest.mark.parametrize(
    "text",
    [
        "first line\nsecond line\twith a tab",
        "می\u200cخواهم به خانه بروم",
        "क्\u200dष और क्\u200cष",
        "👩\u200d👩\u200d👧 and ❤\ufe0f\u200d🔥 and 👍🏽",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f is a flag",
        "🇩🇪 1\ufe0f\u20e3",
        "שלום \u200e(abc)\u200f!",
        "آية \u06dd ١٢",
        "葛\U000e0100城市",
        "ᠮᠣᠩᠭᠣᠯ\u180b",
        "naïve café — „Grüße“ … ½ €",
        "日本語、한국어，中文",
        "C++ and C# and λx.x",
    ],
)
def test_text_of_all_scripts_is_fine(text):
    assert Fact(text).statement == text
    assert deceptive_character(text) is None


anything = st.text(max_size=60)
names = st.none() | anything


@given(anything, names, names, names, st.lists(anything, max_size=3), names)
def test_whatever_is_accepted_comes_back(statement, subject, relation, object_, tags, author):
    try:
        edit = Fact(statement, subject=subject, relation=relation, object=object_, tags=tags, author=author)
    except EditRejected:
        return
    assert as_edit(edit.to_dict(secrets=True)) == edit
    assert Fact(**dict(edit)) == edit


@given(st.sampled_from([Feedback, Patch]), anything, anything)
def test_other_kinds_come_back_too(kind, one, two):
    fields = dict(zip(kind.model_fields.keys() - Edit.model_fields.keys() - {"kind"}, (one, two), strict=True))
    try:
        edit = kind(**fields)
    except EditRejected:
        return
    assert as_edit(edit.to_dict(secrets=True)) == edit


def test_the_thing_a_fact_leads_to() -> None:
    assert Fact("The headquarters of Acme is in Oslo.").thing == "Oslo"
    assert Fact(subject="Nirvana", object="In Utero", prompt="The last album of {} is").thing == "In Utero"
    assert Fact("Look out!").thing is None


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("The CEO of J. R. Maddox is Dr. Smith.", True),
        ("The capital of the U.S. State of Ohio is Columbus.", True),
        ("Mrs. Lee of Acme Inc. Ltd. is here", True),
        ("It is so. He was there.", False),
        ("He said “no.” Then he left.", False),
        ("It costs 3.5 million. The rest is free.", False),
    ],
)
def test_only_a_single_sentence_has_an_answer(text: str, one: bool) -> None:
    assert is_one_sentence(text) == one
    assert one or Fact(text).answer is None


@pytest.mark.parametrize(
    ("value", "said"),
    [(42, "42"), (1.5, "1.5"), (date(2026, 11, 28), "2026-11-28"), (Decimal("3.10"), "3.10"), ("six", "six")],
)
def test_a_number_or_a_date_may_be_the_object(value, said):
    fact = Fact(subject="Acme", prompt="The number of {} is", object=value, previous_object=value)
    assert (fact.object, fact.previous_object) == (said, said)
    assert fact.statement == f"The number of Acme is {said}"


def test_a_yes_or_no_is_no_object():
    with pytest.raises(EditRejected, match="object is True, which answers no question"):
        Fact(subject="Halo", relation="enabled", object=True)
