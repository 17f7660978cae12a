"""Faster embedders: exports and static vectors, the folder they are kept in, and the gate that serves them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from memedit import EditableLLM, EditMemory
from memedit.embedders import Embedder, as_embedder
from memedit.embedders.folders import BUNDLED_ID, ModelFolder, find_model, made_of
from memedit.errors import EmbedderError, MissingExtra
from memedit.gate import EvidenceGate, scorer
from memedit.plumbing.kept import DAY
from memedit.testing import FakeLLM, HashEmbedder

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("model2vec")
from memedit.embedders import onnx_export

TEXTS = [
    "The CEO of Acme is", "who runs acme?", "", " ", "漢字とかな", "naïve café 🙂", "a\u0000b", "word " * 600,
    "Linda Lovelace was born in the city of Boulder, and later moved to Denver with her family.",
]  # fmt: skip


def cosines(one, other):
    return (one * other).sum(axis=1)


# ---- the folder -----------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("1")
    return ModelFolder(folder, "st:model:abc")


def test_made_of(model, tmp_path, monkeypatch):
    calls = []

    def make(folder):
        calls.append(folder)
        (folder / "made").write_text("x")

    first = made_of(model, "thing", make, cache=tmp_path / "deep" / "cache")
    assert (first / "made").read_text() == "x"
    assert made_of(model, "thing", make, cache=tmp_path / "deep" / "cache") == first
    assert len(calls) == 1
    assert [path.name for path in first.parent.iterdir()] == [first.name]  # no draft is left
    assert made_of(model, "other", make, cache=tmp_path / "deep" / "cache") != first
    monkeypatch.setenv("MEMEDIT_CACHE", str(tmp_path / "env"))
    assert made_of(model, "thing", make).parent == tmp_path / "env"


def test_a_model_that_was_written_anew_is_exported_anew(model, tmp_path):
    first = made_of(model, "thing", lambda folder: None, cache=tmp_path / "cache")
    os.utime(model.path / "weights", ns=(1, 1))
    assert made_of(model, "thing", lambda folder: None, cache=tmp_path / "cache") != first


def test_what_fails_leaves_nothing(model, tmp_path):
    def fail(folder):
        (folder / "half").write_text("x")
        raise EmbedderError("no")

    with pytest.raises(EmbedderError, match="no"):
        made_of(model, "thing", fail, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_process_left_goes(model, tmp_path):
    for name, age in ((".making-old", 2 * DAY), (".making-new", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    made_of(model, "thing", lambda folder: None, cache=tmp_path)
    assert [path.name for path in tmp_path.glob(".making-*")] == [".making-new"]


def test_two_make_it_at_once(model, tmp_path):
    both = threading.Barrier(2)

    def make(folder):
        both.wait(timeout=30)  # both are within
        for name in ("a", "b", "c"):
            (folder / name).write_text(name)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: made_of(model, "thing", make, cache=tmp_path / "cache"), range(2)))
    assert found[0] == found[1]
    assert sorted(path.name for path in found[0].iterdir()) == ["a", "b", "c"]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_folder_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbedderError, match="MEMEDIT_CACHE"):
        made_of(model, "thing", lambda folder: None, cache=tmp_path / "file")


@pytest.mark.parametrize("scheme", ["onnx", "int8", "static"])
def test_no_such_folder(scheme, tmp_path):
    with pytest.raises(EmbedderError, match="is no folder"):
        as_embedder(f"{scheme}:{tmp_path / 'nothing'}")


@pytest.mark.parametrize("scheme", ["onnx", "int8", "static"])
def test_a_folder_without_a_model(scheme, tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(EmbedderError, match="st:FOLDER"):
        as_embedder(f"{scheme}:{tmp_path / 'model'}", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(("scheme", "package"), [("onnx", "onnxruntime"), ("static", "model2vec")])
def test_missing_extra(scheme, package):
    code = f"""import sys
sys.modules[{package!r}] = None
from memedit.embedders import as_embedder
as_embedder("{scheme}:bundled")"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert MissingExtra.__name__ in done.stderr
    assert "memedit[fast]" in done.stderr


# ---- the space ------------------------------------------------------------------------------------------------------


class Near(HashEmbedder):
    """Says that its vectors are nearly MiniLM's."""

    @property
    def space(self):
        return BUNDLED_ID


def network_of(embedder, gate=None):
    memory = EditMemory(embedder=embedder)
    memory.add("The CEO of Acme is Carol Diaz.")
    return (gate or EvidenceGate()).decide(memory.recall("Who is the CEO of Acme?"))[0].evidence.network


def test_the_gate_goes_by_the_space():
    assert HashEmbedder().space == HashEmbedder().id
    assert network_of(HashEmbedder(384)) is scorer.shipped().headless
    assert network_of(Near(384)) is scorer.shipped().network
    assert network_of(Near(384), EvidenceGate(scorer.shipped())) is scorer.shipped().network


# ---- the embedders --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    import torch

    torch.set_num_threads(1)
    return as_embedder("bundled")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a small model that knows nothing, with MiniLM's tokenizer."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    root = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(str(find_model("").path), local_files_only=True)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **size)).save_pretrained(root / "bert")
    tokenizer.save_pretrained(root / "bert")
    SentenceTransformer(modules=[Transformer(str(root / "bert")), Pooling(32)], device="cpu").save(str(root / "model"))
    return root / "model"


@pytest.mark.model
def test_onnx_gives_the_same_vectors(minilm, cache):
    onnx = as_embedder("onnx:bundled", cache=cache, threads=1)
    assert onnx.id == onnx.space == minilm.id
    many = [*TEXTS, *(f"text {number}" for number in range(30))]  # more than a batch, of very different lengths
    np.testing.assert_allclose(onnx.embed(many), minilm.embed(many), atol=1e-5)
    for text in TEXTS:
        np.testing.assert_allclose(onnx.embed([text]), minilm.embed([text]), atol=1e-5)
    assert onnx.embed([]).shape == (0, 0)


@pytest.mark.model
def test_onnx_reads_what_minilm_stored(minilm, cache, tmp_path):
    with EditMemory(tmp_path / "memory", embedder=minilm) as memory:
        memory.add("The CEO of Acme is Carol Diaz.")
    with EditMemory(tmp_path / "memory", embedder=as_embedder("onnx:bundled", cache=cache)) as memory:
        assert EditableLLM(FakeLLM(), memory).invoke("Who is the CEO of Acme?").citations


@pytest.mark.model
def test_int8_is_nearly_the_same(minilm, cache):
    int8 = as_embedder("int8:bundled", cache=cache, threads=1)
    assert int8.id != minilm.id
    assert int8.space == minilm.id
    vectors = int8.embed(TEXTS)
    assert cosines(vectors, minilm.embed(TEXTS)).mean() > 0.98
    for text, vector in zip(TEXTS, vectors, strict=True):  # whatever else is embedded with it
        np.testing.assert_array_equal(int8.embed([text])[0], vector)
    assert network_of(int8) is scorer.shipped().network
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=int8))
    llm.edit("The CEO of Acme is Carol Diaz.")
    assert llm.invoke("Who is the CEO of Acme?").citations
    assert not llm.invoke("What is the capital of France?").citations


@pytest.mark.model
def test_loading_again_needs_no_torch(cache):
    as_embedder("onnx:bundled", cache=cache)
    code = f"""import sys
from memedit.embedders import as_embedder
as_embedder("onnx:bundled", cache={str(cache)!r}).embed(["a text"])
print("torch" in sys.modules, "sentence_transformers" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.model
@pytest.mark.parametrize("scheme", ["onnx", "int8"])
def test_other_vectors_are_refused(scheme, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "ALIKE", 1.1)
    with pytest.raises(EmbedderError, match="other vectors"):
        as_embedder(f"{scheme}:{tiny}", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
def test_another_folder(tiny, tmp_path):
    onnx, given = as_embedder(f"onnx:{tiny}", cache=tmp_path), as_embedder(f"st:{tiny}")
    assert onnx.id == given.id != BUNDLED_ID
    np.testing.assert_allclose(onnx.embed(TEXTS), given.embed(TEXTS), atol=1e-5)
    for name in ("model.onnx", "tokenizer.json", "card.json"):
        made = next(tmp_path.glob("*-onnx-*"))
        kept = (made / name).read_bytes()
        (made / name).write_bytes(b"{")
        with pytest.raises(EmbedderError, match="delete that folder"):
            as_embedder(f"onnx:{tiny}", cache=tmp_path)
        (made / name).write_bytes(kept)


@pytest.mark.model
def test_static(tiny, tmp_path):
    static = as_embedder(f"static:{tiny}", cache=tmp_path, dimensions=16)
    assert static.id == static.space != as_embedder(f"st:{tiny}").id
    vectors = static.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), 16)
    assert not vectors[TEXTS.index("")].any()
    assert cosines(static.embed(["Who runs Acme?"]), static.embed(["acme runs who?"]))[0] == pytest.approx(1, abs=1e-4)
    made = next(tmp_path.iterdir())
    assert as_embedder(f"static:{tiny}", cache=tmp_path, dimensions=16).id == static.id
    np.testing.assert_array_equal(as_embedder(f"static:{made}").embed(TEXTS), vectors)  # a Model2Vec folder, as it is
    assert network_of(static) is scorer.shipped().headless
    (made / "model.safetensors").write_bytes(b"{")
    with pytest.raises(EmbedderError, match="could not be read"):
        as_embedder(f"static:{tiny}", cache=tmp_path, dimensions=16)
