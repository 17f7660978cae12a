"""An edited model as a step of a LangChain chain (pip install 'memedit[langchain]')."""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from memedit import EditableLLM


def main() -> None:
    editable = EditableLLM("bundled")
    prompt = ChatPromptTemplate.from_messages([("user", "Who is the CEO of {company}?")])
    chain = prompt | editable | StrOutputParser()

    editable.edit("The CEO of Tallis Robotics is Carol Diaz.")
    print(chain.invoke({"company": "Tallis Robotics"}))
    editable.undo()
    print(chain.invoke({"company": "Tallis Robotics"}))


if __name__ == "__main__":
    main()
