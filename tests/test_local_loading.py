"""How local models are loaded: options in arguments and behind the name, devices, quantised weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_tiny
from transformers import AutoModelForCausalLM, AutoTokenizer

from memedit.adapters import transformers as transformers_loading
from memedit.adapters.counterfactual import Lesson, train
from memedit.errors import CapabilityMissing, UnsupportedModel
from memedit.llms import Capability, as_llm
from memedit.messages import as_request
from memedit.plumbing.plugins import read_spec

SHORT = {"max_tokens": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What transformers was told when tokenizer and model were loaded."""
    said: dict[str, dict[str, Any]] = {}
    for of, loader in (("tokenizer", AutoTokenizer), ("model", AutoModelForCausalLM)):
        real = loader.from_pretrained

        def load(source: str, _of: str = of, _real: Any = real, **given: Any) -> Any:
            said[_of] = given
            return _real(source, **({"dtype": given["dtype"]} if _of == "model" else {}))

        monkeypatch.setattr(loader, "from_pretrained", load)
    return said


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("hf:a/b", ("hf", "a/b", {})),
        ("bundled", ("bundled", "", {})),
        ("bundled?dtype=bfloat16", ("bundled", "", {"dtype": "bfloat16"})),
        ("hf:a?device=cuda&trust_remote_code=true", ("hf", "a", {"device": "cuda", "trust_remote_code": True})),
        ("hf:a?batch_size=4&revision=0012", ("hf", "a", {"batch_size": 4, "revision": "0012"})),
        ("hf:a?revision=12e4567", ("hf", "a", {"revision": "12e4567"})),
        (
            'hf:a?quantization_config={"load_in_4bit":true}',
            ("hf", "a", {"quantization_config": {"load_in_4bit": True}}),
        ),
        ("openai:m?base_url=http%3A//x/v1%3Fa%3Db", ("openai", "m", {"base_url": "http://x/v1?a=b"})),
    ],
)
def test_options_may_stand_behind_the_name(spec: str, expected: Any) -> None:
    assert read_spec(spec) == expected


@pytest.mark.parametrize("how", ["arguments", "spec"])
def test_every_option_reaches_transformers(folder: str, told: dict[str, dict[str, Any]], how: str) -> None:
    shared = {"revision": "main", "trust_remote_code": False}
    own = {"dtype": "bfloat16", "attn_implementation": "eager", "device_map": "cpu"}
    if how == "spec":
        llm = as_llm(
            f"hf:{folder}?dtype=bfloat16&attn_implementation=eager&device_map=cpu&revision=main&trust_remote_code=false"
        )
    else:
        llm = as_llm(f"hf:{folder}", **shared, **own, quantization_config=None)
    assert told["tokenizer"] == shared
    assert {name: told["model"][name] for name in (*shared, *own)} == {**shared, **own, "dtype": torch.bfloat16}
    assert llm.model.dtype == torch.bfloat16  # type: ignore[attr-defined]


def test_a_quantisation_is_placed_as_it_is_loaded(folder: str, told: dict[str, dict[str, Any]]) -> None:
    as_llm(f'hf:{folder}?device=cpu&quantization_config={{"load_in_8bit":true}}')
    assert told["model"]["quantization_config"] == {"load_in_8bit": True}
    assert told["model"]["device_map"] == {"": "cpu"}


def test_torch_dtype_is_the_older_name(folder: str) -> None:
    assert as_llm(f"hf:{folder}", torch_dtype=torch.float64).model.dtype == torch.float64  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("?devise=cuda", "no option `devise`.*\n.*device, "),
        ("?device", "`device` behind the `\\?`"),
        ("?device=abacus", "no device `abacus`"),
        ("?dtype=float3", "no dtype `float3`"),
        ("?device=cpu&device_map=auto", "were both given"),
        ("?attn_implementation=none_such", "No model could be loaded"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(folder: str, spec: str, says: str) -> None:
    with pytest.raises(UnsupportedModel, match=says):
        as_llm(f"hf:{folder}{spec}")


def test_an_option_is_given_once(folder: str) -> None:
    with pytest.raises(UnsupportedModel, match="`dtype` was given twice"):
        as_llm(f"hf:{folder}?dtype=float32", dtype="float32")


def test_a_device_that_is_not_there_is_refused(folder: str) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UnsupportedModel, match="no device `cuda` here"):
        as_llm(f"hf:{folder}", device="cuda")


@pytest.mark.parametrize(("cuda", "mps", "best"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_the_best_device_is_taken(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, best: str) -> None:
    from memedit.adapters._loading import best_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert best_device() == best


def test_a_loaded_model_takes_no_options_of_loading(folder: str) -> None:
    llm = as_llm(f"hf:{folder}")
    with pytest.raises(UnsupportedModel, match="no option `dtype`"):
        as_llm(llm.model, tokenizer=llm.tokenizer, dtype="bfloat16")  # type: ignore[attr-defined]


def test_all_that_is_made_is_made_on_the_model_s_device(folder: str) -> None:
    """With another default device, a tensor that is made on none in particular cannot meet the model's."""
    llm = as_llm(f"hf:{folder}")
    requests = [as_request("x" * size, SHORT).raw("x" * size) for size in (60, 62)]

    def said() -> Any:
        return (
            [reply.text for reply in llm.generate(requests)],
            llm.score(requests, [["a", "bc"], ["d"]]),
            llm.decode(requests, lambda rows: rows[0]).text,
            llm.decode_with([llm], requests, lambda rows: rows[1]).text,
        )

    plain = said()
    with torch.device("meta"):
        assert said() == plain


def test_a_quantised_model_answers_and_scores_but_gives_no_weights(folder: str, tmp_path: Path) -> None:
    plain = as_llm(f"hf:{folder}")
    plain.model.quantization_method = "bitsandbytes"  # type: ignore[attr-defined]
    llm: Any = as_llm(plain.model, tokenizer=plain.tokenizer)  # type: ignore[attr-defined]
    assert llm.capabilities == {Capability.TEXT, Capability.LOGPROBS}
    assert llm.generate([as_request("Hi", SHORT)])[0].usage["output"] <= 4
    assert llm.score([as_request("Hi")], [["a"]])[0][0].logprob < 0
    lessons = [Lesson(f"edit {place}", f"q{place}", f"a{place}", f"{place}") for place in range(4)]
    with pytest.raises(CapabilityMissing, match="quantised"):
        train(llm, lessons, out=tmp_path / "out")


def test_what_a_gguf_file_needs_is_made_once_while_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import gguf

    from memedit.adapters._loading import _read_once

    read: list[str] = []
    monkeypatch.setattr(gguf, "GGUFReader", lambda path: read.append(path) or object())
    reader, names = gguf.GGUFReader, gguf.get_tensor_name_map
    with _read_once():
        assert gguf.GGUFReader("x") is gguf.GGUFReader("x")
        llama = gguf.MODEL_ARCH.LLAMA
        assert gguf.get_tensor_name_map(llama, 2) is gguf.get_tensor_name_map(llama, 2)
        assert gguf.get_tensor_name_map(llama, 2).get_name("model.embed_tokens") == "token_embd"
    assert read == ["x"]
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == (reader, names)


def test_the_bundled_model_is_read_once_and_opened_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMEDIT_CACHE", str(tmp_path))
    read = transformers_loading.load_gguf
    monkeypatch.setattr(transformers_loading, "load_gguf", lambda *given, **options: kept.append(1) or read(*given))
    kept: list[int] = []
    first: Any = as_llm("bundled")
    first.model.get_input_embeddings().weight.data.zero_()  # what was kept stays
    again: Any = as_llm("bundled")
    assert kept == [1]
    assert again.name == "SmolLM2-135M-Instruct"
    weights = again.model.get_input_embeddings().weight
    assert weights.dtype == torch.float32
    assert weights.abs().sum() > 0
    assert [folder.name.startswith("SmolLM2-135M-Instruct-") for folder in tmp_path.iterdir()] == [True]
    assert again.model.config.to_dict().get("quantization_config") is None
    as_it_is: Any = read(str(transformers_loading.bundled_file()))
    assert torch.equal(as_it_is.model.get_input_embeddings().weight, weights)
    hello = as_request("Héllo 👍\n\nWho are  you?")
    assert as_it_is.encode(hello) == again.encode(hello)


def test_what_was_kept_and_is_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setenv("MEMEDIT_CACHE", str(tmp_path))
    tiny: Any = as_llm(f"hf:{folder}")
    monkeypatch.setattr(transformers_loading, "load_gguf", lambda source, **options: tiny)
    as_llm("bundled")
    (kept,) = tmp_path.iterdir()
    weights = kept / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UnsupportedModel, match=kept.name) as told:
        as_llm("bundled")
    assert told.value.do == "delete that folder; it is made anew"
    with pytest.raises(UnsupportedModel, match="no option `nothing`") as other:
        as_llm("bundled", nothing=1)
    assert "delete" not in (other.value.do or "")


def test_where_the_bundled_model_cannot_be_kept_its_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEMEDIT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(transformers_loading, "load_gguf", lambda source, **options: (Path(source).suffix, options))
    assert transformers_loading.load_bundled(device="cpu") == (
        ".gguf", {"name": "SmolLM2-135M-Instruct", "device": "cpu"}
    )  # fmt: skip
