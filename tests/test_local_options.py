"""The options of a request to a local model: each reaches the model, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import DROPS_SYSTEM, NO_SYSTEM, TEMPLATE, WITH_TOOLS, make_tiny

from memedit import EditableLLM, EditMemory
from memedit.adapters._options import KNOWN
from memedit.adapters.causal import LocalLLM
from memedit.errors import RequestRejected, RequestTooLong
from memedit.llms import as_llm, join
from memedit.messages import as_request
from memedit.testing import HashEmbedder, NamedGate

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
GREEDY = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
TABLE: list[tuple[dict[str, Any], dict[str, Any] | str]] = [
    ({}, GREEDY | {"max_new_tokens": 128}),
    ({"max_tokens": 7}, {"max_new_tokens": 7}),
    ({"max_completion_tokens": 7}, {"max_new_tokens": 7}),
    ({"max_new_tokens": 7}, {"max_new_tokens": 7}),
    ({"max_tokens": 7, "max_new_tokens": 8}, "7 and 8"),
    ({"max_tokens": 0}, "`max_tokens` is 0"),
    ({"temperature": 0.7}, {"do_sample": True, "temperature": 0.7, "num_return_sequences": 1}),
    ({"temperature": 0}, GREEDY),
    ({"temperature": None, "stop": None}, GREEDY),
    ({"temperature": 0, "top_p": 0.5}, GREEDY),
    ({"top_p": 0.5}, {"do_sample": True, "top_p": 0.5, "temperature": 1.0}),
    ({"top_k": 3}, {"do_sample": True, "top_k": 3}),
    ({"min_p": 0.1}, {"do_sample": True, "min_p": 0.1}),
    ({"typical_p": 0.9}, {"do_sample": True, "typical_p": 0.9}),
    ({"repetition_penalty": 1.3}, GREEDY | {"repetition_penalty": 1.3}),
    ({"repetition_penalty": 1.3, "temperature": 1}, {"do_sample": True, "repetition_penalty": 1.3}),
    ({"no_repeat_ngram_size": 2}, {"no_repeat_ngram_size": 2}),
    ({"min_new_tokens": 2}, {"min_new_tokens": 2}),
    ({"n": 2}, {"do_sample": True, "num_return_sequences": 2}),
    ({"n": 2, "temperature": 0}, "all 2 answers are one"),
    ({"n": 0}, "`n` is 0"),
    ({"seed": 3}, GREEDY),
    ({"seed": "x"}, "`seed` is 'x'"),
    ({"stop": "a"}, {"stop_strings": ["a"]}),
    ({"stop": ["a", "b"]}, {"stop_strings": ["a", "b"]}),
    ({"stop": [""]}, "`stop` is"),
    ({"temperature": -1}, "`temperature` is -1"),
    ({"temperature": "0.5"}, "`temperature` is '0.5'"),
    ({"temperature": float("nan")}, "`temperature` is nan"),
    ({"temperature": float("inf")}, "`temperature` is inf"),
    ({"temperature": True}, "`temperature` is True"),
    ({"top_p": 1.5}, "`top_p` is 1.5"),
    ({"top_p": -0.1}, "`top_p` is -0.1"),
    ({"top_k": -3}, "`top_k` is -3"),
    ({"top_k": 2.5}, "`top_k` is 2.5"),
    ({"min_p": 2}, "`min_p` is 2"),
    ({"typical_p": 0}, "`typical_p` is 0"),
    ({"repetition_penalty": 0}, "`repetition_penalty` is 0"),
    ({"no_repeat_ngram_size": -1}, "`no_repeat_ngram_size` is -1"),
    ({"min_new_tokens": "x"}, "`min_new_tokens` is 'x'"),
    ({"tools": [TOOL], "tool_choice": "auto"}, "says nothing of tools"),
    ({"tools": [TOOL], "tool_choice": "none"}, GREEDY),
    ({"tools": [TOOL], "tool_choice": "required"}, "`tool_choice` 'required'"),
    ({"chat_template_kwargs": {"shouted": True}}, GREEDY),
    ({"logit_bias": {}}, "no option `logit_bias`"),
    ({"frequency_penalty": 0.5}, "no option `frequency_penalty`"),
    ({"response_format": {"type": "json_object"}}, "no option `response_format`"),
    ({"logprobs": True}, "no option `logprobs`"),
    ({"num_beams": 2}, "no option `num_beams`"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalLLM:
    return _llm(tmp_path_factory.mktemp("tiny"))


def _llm(folder: Path, **how: Any) -> LocalLLM:
    llm = as_llm(f"hf:{make_tiny(folder, **how)}")
    assert isinstance(llm, LocalLLM)
    return llm


def test_the_table_holds_every_option() -> None:
    assert {name for options, _ in TABLE for name in options} >= set(KNOWN)


@pytest.mark.parametrize(("options", "expected"), TABLE, ids=lambda value: repr(value)[:50])
@pytest.mark.parametrize("stream", [False, True])
def test_it_reaches_the_model_or_is_refused(
    tiny: LocalLLM, monkeypatch: pytest.MonkeyPatch, options: Any, expected: Any, stream: bool
) -> None:
    given: dict[str, Any] = {}
    real = tiny.model.generate

    def generate(**how: Any) -> Any:
        given.update(how)
        return real(**(how | {"max_new_tokens": 3}))

    monkeypatch.setattr(tiny.model, "generate", generate)
    request = as_request("Hi", options)
    if stream and options.get("n", 1) != 1 and not isinstance(expected, str):
        expected = "A stream has one answer"
    if isinstance(expected, str):
        with pytest.raises(RequestRejected, match=expected):
            _ = list(tiny.stream(request)) if stream else tiny.generate([request])
        assert not given
    else:
        _ = list(tiny.stream(request)) if stream else tiny.generate([request])
        assert {name: given.get(name) for name in expected} == expected


def test_a_limit_of_memedit_s_own_goes_before_the_caller_s(tiny: LocalLLM) -> None:
    options = {"max_completion_tokens": 9, "min_new_tokens": 2}
    assert tiny.generate([as_request("Hi", options).limited(2)])[0].usage["output"] == 2


def test_several_answers_are_told_apart(tiny: LocalLLM) -> None:
    reply = tiny.generate([as_request("Hi", {"n": 3, "temperature": 5.0, "max_tokens": 5, "seed": 1})])[0]
    assert len(reply.raw) == 3
    assert reply.raw[0] == reply.text
    assert len(set(reply.raw)) > 1
    assert reply.usage["output"] > 5


@pytest.mark.parametrize("name", ["temperature", "top_p", "repetition_penalty", "n"])
def test_decoding_of_mixed_contexts_is_greedy(tiny: LocalLLM, name: str) -> None:
    with pytest.raises(RequestRejected, match=f"without `{name}`"):
        tiny.decode([as_request("Hi", {name: 2 if name == "n" else 0.7})], lambda rows: rows[0])
    assert (
        tiny.decode([as_request("Hi", {"temperature": 0, "max_tokens": 2})], lambda rows: rows[0]).usage["output"] < 3
    )


def test_a_seed_says_the_same_alone_in_a_batch_and_streamed(tiny: LocalLLM) -> None:
    one = as_request("Hi", {"temperature": 3.0, "seed": 3, "max_tokens": 12})
    other = as_request("Ho", {"temperature": 3.0, "seed": 4, "max_tokens": 12})
    alone = tiny.generate([one])[0].text
    assert tiny.generate([other, one, one])[1].text == alone
    assert tiny.generate([other, one, one])[2].text == alone
    assert join(list(tiny.stream(one))).text == alone
    assert tiny.generate([as_request("Hi", {**one.options, "seed": 4})])[0].text != alone


def test_a_seed_leaves_the_process_s_own_draws_alone(tiny: LocalLLM) -> None:
    torch.manual_seed(11)
    plain = torch.rand(3)
    torch.manual_seed(11)
    tiny.generate([as_request("Hi", {"temperature": 1.0, "seed": 3, "max_tokens": 3})])
    assert torch.equal(torch.rand(3), plain)


# ---- chat templates -------------------------------------------------------------------------------------------------


def test_tools_reach_the_chat_template(tmp_path: Path) -> None:
    llm = _llm(tmp_path, template=TAGGED)
    text = llm.spell(llm.encode(as_request("Hi", {"tools": [TOOL]})))
    assert '"weather"' in text
    assert "weather" not in llm.spell(llm.encode(as_request("Hi", {"tools": [TOOL], "tool_choice": "none"})))


CALLED = '{"name": "weather", "arguments": {"place": "Ö"}}'
TAGGED = "{% if tools %}Call by <tool_call></tool_call>: {{ tools | tojson }}\n{% endif %}" + TEMPLATE
FORM = {
    "version": 1, "defaults": {"role": "assistant"}, "start_anchor": "[assistant] ",
    "fields": {
        "content": {},
        "tool_calls": {
            "open": "<<", "close": ">>", "content": "json", "repeats": True,
            "transform": {"type": "function", "function": "{content}"},
        },
    },
}  # fmt: skip


def _says(llm: LocalLLM, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have the model write this, and end."""
    written = [*llm._plain(text), llm.tokenizer.eos_token_id]
    monkeypatch.setattr(
        llm.model, "generate", lambda **how: torch.cat([how["input_ids"], torch.tensor([written])], dim=1)
    )


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("template", "text", "left", "names"),
    [
        (TAGGED, f"I look. <tool_call>\n{CALLED}\n</tool_call>", "I look.", 1),
        (TAGGED, f"<tool_call>{CALLED}</tool_call><tool_call>{CALLED}</tool_call>", "", 2),
        (TAGGED, f"<tool_call>[{CALLED}, {CALLED}]</tool_call>", "", 2),
        (TAGGED, "It is sunny.", "It is sunny.", 0),
        (TAGGED, "<tool_call>{weather}</tool_call>", "<tool_call>{weather}</tool_call>", 0),
        (TAGGED, "<tool_call>[3]</tool_call>", "<tool_call>[3]</tool_call>", 0),
        (TAGGED, f"<tool_call>{CALLED}", f"<tool_call>{CALLED}", 0),
        (FORM, f"I look. <<{CALLED}>>", "I look.", 1),
        (FORM, "It is sunny.", "It is sunny.", 0),
        (FORM, "<<weather>>", "<<weather>>", 0),
    ],
)
def test_calls_are_read_as_the_template_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Any, text: str, left: str, names: int, streamed: bool
) -> None:
    llm = _llm(tmp_path, template=template if isinstance(template, str) else WITH_TOOLS)
    if template is FORM:
        llm.tokenizer.response_template = FORM
    _says(llm, monkeypatch, text)
    request = as_request([{"role": "user", "content": "Hi"}], {"tools": [TOOL]})
    reply = join(list(llm.stream(request))) if streamed else llm.generate([request])[0]
    assert (reply.text, reply.finish_reason) == (left, "tool_calls" if names else "stop")
    functions = [call["function"] for call in reply.tool_calls]
    assert functions == [{"name": "weather", "arguments": '{"place": "Ö"}'}] * names
    assert len({call["id"] for call in reply.tool_calls}) == names
    _says(llm, monkeypatch, text)
    assert llm.generate([as_request("Hi")])[0].text == text  # nobody asked for calls


@pytest.mark.parametrize("template", [WITH_TOOLS, TAGGED + "<function=name>"])
def test_calls_in_a_form_that_is_not_known_are_refused(tmp_path: Path, template: str) -> None:
    llm = _llm(tmp_path, template=template)
    for ask in (lambda request: llm.generate([request]), lambda request: list(llm.stream(request))):
        with pytest.raises(RequestRejected, match="writes calls of tools is not known"):
            ask(as_request("Hi", {"tools": [TOOL]}))


def test_settings_reach_the_chat_template(tmp_path: Path) -> None:
    llm = _llm(tmp_path, template="{{ mood }}" + TEMPLATE)
    assert llm.spell(llm.encode(as_request("Hi", {"chat_template_kwargs": {"mood": "gay"}}))).startswith("gay")


def test_a_model_without_a_template_takes_no_tools(tmp_path: Path) -> None:
    llm = _llm(tmp_path, template=None)
    assert llm.kind == "base"
    with pytest.raises(RequestRejected, match="`tools` is for chat templates"):
        llm.generate([as_request("Hi", {"tools": [TOOL]})])


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM], ids=["refuses", "drops"])
def test_a_system_message_that_the_template_has_no_place_for_comes_before_the_user_s(
    tmp_path: Path, template: str
) -> None:
    llm = _llm(tmp_path, template=template)
    said = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert llm.spell(llm.encode(as_request(said))) == "[user] Be brief.\n\nHi\n[assistant] "
    assert llm.spell(llm.encode(as_request(said[:1]))) == "[user] Be brief.\n[assistant] "


def test_a_conversation_that_the_template_refuses_is_refused_in_words(tmp_path: Path) -> None:
    llm = _llm(tmp_path, template=NO_SYSTEM)
    said = [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}]
    with pytest.raises(RequestRejected, match="System role not supported"):
        llm.generate([as_request(said)])


def test_parts_are_read_as_text_and_images_are_refused(tiny: LocalLLM) -> None:
    text = {"type": "text", "text": "Hi"}
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    assert tiny.encode(as_request([{"role": "user", "content": [text]}])) == tiny.encode(as_request("Hi"))
    with pytest.raises(RequestRejected, match="part of type `image_url`"):
        tiny.generate([as_request([{"role": "user", "content": [text, image]}])])


# ---- the context ----------------------------------------------------------------------------------------------------


def test_a_request_longer_than_the_context_is_refused_with_both_numbers(tmp_path: Path) -> None:
    llm = _llm(tmp_path, template=None, context=32)
    long = as_request("x" * 40)
    for ask in (
        lambda: llm.generate([long]),
        lambda: list(llm.stream(long)),
        lambda: llm.score([long], [["a"]]),
        lambda: llm.decode([long], lambda rows: rows[0]),
    ):
        with pytest.raises(RequestTooLong, match=r"40 tokens.*reads 32") as refused:
            ask()
        assert (refused.value.tokens, refused.value.context) == (40, 32)


def test_an_answer_ends_where_the_context_does(tmp_path: Path) -> None:
    llm = _llm(tmp_path, template=None, context=32)
    options = {"max_tokens": 100, "min_new_tokens": 9}
    longer, shorter = llm.generate([as_request("x" * 30, {"max_tokens": 100}), as_request("x" * 20, options)])
    assert longer.usage["output"] <= 2
    assert 9 <= shorter.usage["output"] <= 12


def test_one_that_is_too_long_leaves_the_others_of_a_batch_alone(tmp_path: Path) -> None:
    editable = EditableLLM(
        _llm(tmp_path, template=None, context=32), EditMemory(embedder=HashEmbedder()), gate=NamedGate()
    )
    first, second, third = editable.batch(["a" * 5, "b" * 50, "c" * 6], max_tokens=3, return_exceptions=True)
    assert isinstance(second, RequestTooLong)
    assert [first.text, third.text] == [editable.invoke(text, max_tokens=3).text for text in ("a" * 5, "c" * 6)]
