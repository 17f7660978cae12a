"""What is said of an error on the command line: its exit code, and what to do, in words of the shell."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass

import click

FINE, FAILED, WRONG, INTERNAL, NOT_FOUND, NETWORK, CORRUPT, STORAGE = range(8)
INTERRUPTED, PIPE_CLOSED = 130, 141

CODES: dict[int, tuple[str, tuple[str, ...]]] = {
    FINE: ("all is well", ()),
    FAILED: ("a check failed: a probe of `verify` or `test`, `doctor`, `systems`", ()),
    WRONG: ("wrong use: an argument, an option, a file or an edit that cannot be taken", ("MemeditError", "OSError")),
    INTERNAL: ("an error inside memedit", ("Exception",)),
    NOT_FOUND: (
        "what was named is not in the memory, or there is no memory",
        ("LedgerMissing", "NothingToUndo", "UnknownEdit", "UnknownRevision"),
    ),
    NETWORK: (
        "a server could not be reached, or failed",
        ("IndexUnreachable", "LedgerUnreachable", "ProviderError", "ConnectionError", "TimeoutError"),
    ),
    CORRUPT: (
        "what is stored is damaged, or of another version",
        ("EncoderUnusable", "IndexUnusable", "LedgerCorrupt", "LedgerTooNew"),
    ),
    STORAGE: (
        "the memory, or the output, cannot be written now: busy, read-only, or no space",
        ("LedgerBusy", "LedgerReadOnly", "StorageFull"),
    ),
    INTERRUPTED: ("Ctrl-C", ()),
    PIPE_CLOSED: ("who reads stdout has gone", ()),
}
"""Exit codes, what each means, and the classes of errors that end with it; the nearest base of an error counts."""
BY_CLASS = {name: code for code, (_, names) in CODES.items() for name in names}

PROVIDERS = ("openai", "anthropic", "httpx2", "httpx", "httpcore2", "httpcore")
REMEDIES = {
    "AuthenticationError": "check the key in OPENAI_API_KEY or ANTHROPIC_API_KEY",
    "PermissionDeniedError": "check what the key in OPENAI_API_KEY or ANTHROPIC_API_KEY may do",
    "NotFoundError": "check the model's name and --base-url",
    "RateLimitError": "wait a little, or check the account's limits",
    "BadRequestError": "check the model's name and the options",
    "APIConnectionError": "check the network and --base-url",
    "InternalServerError": "the server failed: look at its log, or try again later",
    "APITimeoutError": "try again, or check --base-url",
    "OpenAIError": "set OPENAI_API_KEY, or give the --base-url of a server that needs none",
}

KEYWORDS = "base_url|base|condition|consequence|embedder|gate|memory|method|namespace|object|prompt|subject"
"""Parameters of functions that are options of the command line under the same name."""
IN_SHELL = [
    (re.compile(python), shell)
    for python, shell in (
        (r" or `\w+\(\)`", ""),  # where the command stands beside it
        (r", `\w+=\w+`", ""),
        (r", or (pass|give) api_key=( \([^)]*\))?", ""),
        (r", or pass a model or a function", ""),
        (r", or use EditDistance\(\)", ""),
        (r"^(call invoke)$", "leave out --stream"),
        (r"^(call \.stream\(…\) or \.astream\(…\))$", "give --stream"),
        (r"give layout=.*", "keep the edits in memory: its layout can be given in Python only"),
        (r"give another folder: cache=FOLDER, or MEMEDIT_CACHE", "name another folder in MEMEDIT_CACHE"),
        (r"memedit\.gate\.learning\.cross_encoder", "`memedit gate train --kind cross-encoder`"),
        (r"rebuild_index\(embed=True\)", "`memedit reindex --embed`"),
        (r"`(baked|history)\(\)`", r"`memedit \1`"),
        (r"on_conflict='(\w+)' or '(\w+)'", r"--on-conflict \1 or \2"),
        (r"\bids= ", "ids "),
        (r"\b(tools|n|stop|temperature)=", r"--option \1="),
        (rf"\b({KEYWORDS})=", r"--\1"),
        (r"(?<!-)\bbase_url\b", "--base-url"),
        (r"--base_url", "--base-url"),
    )
]
"""How a remedy that is said of Python is said of the shell."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is said of an error: the exit code, the error's name, what happened, what to do."""

    code: int
    type: str
    message: str
    do: str | None = None


def fault_of(error: Exception) -> Fault:
    """What is said of an error."""
    from memedit.errors import MemeditError

    kind = type(error).__name__
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return Fault(WRONG, "UsageError", error.format_message())
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "memedit"
        do = f"see `{command} --help`"
        if isinstance(error, click.NoSuchOption) and context and not context.parent and _is_common(error.option_name):
            do = f"give it behind the command: `{command} list {error.option_name} …`"
        elif isinstance(error, click.NoSuchOption):
            do += f'; a text that begins with a dash goes last, behind two: `{command} … -- "-5 …"`'
        return Fault(WRONG, "UsageError", error.format_message(), do)
    if isinstance(error, MemeditError):
        return Fault(code_of(error), kind, error.what, in_shell(error.do))
    message = " ".join(str(error).split())[:300]
    if any(base.__module__.partition(".")[0] in PROVIDERS for base in type(error).__mro__):
        known = (base.__name__ for base in type(error).__mro__ if base.__name__ in REMEDIES)
        do = REMEDIES[next(known, "APIConnectionError")]
        return Fault(NETWORK, kind, f"The model's server failed: {kind}: {message}", do)
    if isinstance(error, OSError) and error.filename is not None:
        do = "check the name, and whether you may use it"
        return Fault(code_of(error), kind, f"{error.filename}: {error.strerror}.", do)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return Fault(STORAGE, kind, f"The output cannot be written: {error.strerror}.", "send it elsewhere")
    return Fault(INTERNAL, kind, f"internal error: {kind}: {message}", "set MEMEDIT_TRACEBACK=1 to see where")


def _is_common(option: str) -> bool:
    from memedit.cli._options import common_options

    return any(option in one.opts for one in common_options())


def code_of(error: Exception) -> int:
    """The exit code of an error: that of its class, or of the nearest base that has one."""
    return next(BY_CLASS[base.__name__] for base in type(error).__mro__ if base.__name__ in BY_CLASS)


def in_shell(do: str | None) -> str | None:
    """What to do, said of commands and options instead of functions and their parameters."""
    for python, shell in IN_SHELL:
        do = do and python.sub(shell, do)
    return do
