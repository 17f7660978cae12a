"""A LangChain agent, corrected in one conversation, knows better in the next (pip install 'memedit[langchain]').

python examples/06_langchain_agent.py                 with a scripted model
python examples/06_langchain_agent.py openai:gpt-5.5  with any model of LangChain's `init_chat_model`
"""

import sys
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from memedit import EditMemory
from memedit.adapters.langchain import EditMiddleware, memory_tools

QUESTION = "Who is the CEO of Tallis Robotics?"


class Scripted(BaseChatModel):
    """Stands in for a hosted model: keeps what it is corrected with, and answers by what it is shown."""

    _llm_type = "scripted"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self.bind(tools=tools)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **options: Any
    ) -> ChatResult:
        last = messages[-1]
        if last.type == "human" and last.text.startswith("No, "):
            call = {"id": "1", "name": "correct", "args": {"statement": last.text.removeprefix("No, ")}}
            said = AIMessage("", tool_calls=[call])
        elif last.type == "tool":
            said = AIMessage("Thank you, I will keep that.")
        else:
            shown = any("Carol Diaz" in message.text for message in messages)
            said = AIMessage("Carol Diaz." if shown else "Bob Ray.")
        return ChatResult(generations=[ChatGeneration(message=said)])


def main() -> None:
    memory = EditMemory()
    agent = create_agent(
        sys.argv[1] if len(sys.argv) > 1 else Scripted(),
        memory_tools(memory, namespace="ann"),
        middleware=[EditMiddleware(memory, namespace="ann")],
    )

    def ask(text: str) -> None:
        last = agent.invoke({"messages": [("user", text)]})["messages"][-1]
        used = last.response_metadata.get("memedit", {}).get("edits", [])
        print(f"{text}\n  {last.text}   [{len(used)} edit(s) used]")

    ask(QUESTION)
    ask("No, the CEO of Tallis Robotics is Carol Diaz.")
    ask(QUESTION)  # a new conversation
    for change in memory.history(namespace="ann"):
        print(f"revision {change.revision}: {change.kind} by {change.author}, {change.reason}")
    memory.undo(namespace="ann")
    ask(QUESTION)


if __name__ == "__main__":
    main()
