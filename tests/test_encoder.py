"""The encoders that come with memedit, and what finds with them."""

import subprocess
import sys

import numpy as np
import pytest

from memedit import EditableLLM, EditMemory
from memedit.embedders import as_embedder, default_embedder, shipped_finder
from memedit.encoder.graph import CARD, Encoder, shipped_folder
from memedit.errors import EncoderUnusable
from memedit.plumbing.onnx import InferenceSession, session_options
from memedit.testing import FakeLLM, HashEmbedder

TEXTS = ["The gym opens at 6 am.", "hi", "What time does the gym open?", "Staging runs on port 5433, not 5432. " * 30]


def test_a_text_has_the_same_vector_alone_and_among_others():
    minilm = default_embedder()
    together = minilm.embed(TEXTS * 8)
    assert together.shape == (len(TEXTS) * 8, 384)
    for row, text in zip(together, TEXTS, strict=False):
        assert np.array_equal(row, minilm.embed([text])[0])


def test_int8_products_are_summed_without_overflow(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = np.full((64, 8), 127, dtype=np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["given", "weights"], ["summed"])],
        "sums",
        [helper.make_tensor_value_info("given", TensorProto.UINT8, [1, 64])],
        [helper.make_tensor_value_info("summed", TensorProto.INT32, [1, 8])],
        [numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "g.onnx")
    session = InferenceSession(tmp_path / "g.onnx", session_options(1), providers=["CPUExecutionProvider"])
    given = np.full((1, 64), 255, dtype=np.uint8)
    assert np.array_equal(session.run(None, {"given": given})[0], given.astype(np.int32) @ weights.astype(np.int32))


def test_the_finder_gives_vectors_in_the_space_of_the_default_embedder():
    finder, minilm = shipped_finder(), default_embedder()
    assert finder is not None
    assert finder.space == minilm.space
    assert finder.id != minilm.id
    (asked,) = finder.embed(["Hey, quick one before I pack my bag: can I work out at half past five tomorrow morning?"])
    gym, port = minilm.embed(["The gym opens at 6 am.", "The staging database runs on port 5433."])
    assert asked @ gym > asked @ port


def test_a_conversation_is_looked_up_by_the_finder_and_a_question_by_the_embedder():
    memory = EditMemory()
    memory.add("The gym opens at 6 am.")
    message = "can I work out at half past five tomorrow morning?"
    (alone,) = memory.recall(message).candidates
    (whole,) = memory.recall(message, whole=message).candidates
    assert alone.similarity != whole.similarity
    assert whole.vector is not None
    assert whole.similarity == pytest.approx(float(shipped_finder().embed([message])[0] @ whole.vector), abs=1e-5)


def test_another_embedder_serves_without_the_finder():
    memory = EditMemory(embedder=HashEmbedder())
    memory.add("The gym opens at 6 am.")
    assert memory.recall("When does the gym open?", whole="hi < user: When does the gym open?").candidates
    assert EditableLLM(FakeLLM(), memory).invoke("hi").text == "echo: hi"


def test_a_finder_can_be_left_out():
    memory = EditMemory(finder=None)
    memory.add("The gym opens at 6 am.")
    (found,) = memory.recall("the gym", whole="the gym").candidates
    assert found.similarity == pytest.approx(float(default_embedder().embed(["the gym"])[0] @ found.vector), abs=1e-5)


def test_a_folder_without_encoders_is_named(tmp_path):
    with pytest.raises(EncoderUnusable, match=str(tmp_path)):
        as_embedder(f"minilm:{tmp_path}")


def test_encoders_of_another_version_are_refused(tmp_path):
    for file in shipped_folder().iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / CARD).unlink()
    (tmp_path / CARD).write_text('{"format": 99, "made": {"finder": "x"}}')
    with pytest.raises(EncoderUnusable, match="format 99"):
        Encoder(tmp_path, "finder", tokens=64)


def test_the_default_needs_neither_torch_nor_transformers():
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'sentence_transformers'): sys.modules[name] = None\n"
        "from memedit import EditableLLM\n"
        "llm = EditableLLM(lambda prompt: 'asked: ' + prompt)\n"
        "llm.edit('The CEO of Acme is Carol Diaz.')\n"
        "answer = llm.invoke('Who is the CEO of Acme?')\n"
        "print(answer.edited, llm.gate.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "True judge\n", done.stderr
