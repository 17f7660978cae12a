"""`memedit eval`: what it prints, and one clear line for everything that goes wrong, with nothing computed lost."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from command_line import documented
from test_eval_run import COUNTERFACT, Point, ScoringLLM, contrast, lines, ready

from memedit.cli import WRONG, main
from memedit.cli._faults import STORAGE
from memedit.eval import runs
from memedit.eval.runs import PROBES, ROWS, RUN, load_run
from memedit.llms import LLM
from memedit.messages import Reply, Request
from memedit.plumbing.plugins import plugins
from memedit.testing import FakeLLM, HashEmbedder

INTERRUPTED = 130
Memedit = Callable[..., Result]


class Slow(ScoringLLM):
    """Says on stderr that it was asked; at the third call it waits for somebody to stop it."""

    calls = 0

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.calls += 1
        sys.stderr.write("asked\n")
        sys.stderr.flush()
        time.sleep(60 if self.calls == 3 else 0)
        return super().generate(requests)


class Stopped(ScoringLLM):
    """Ctrl-C at the third call."""

    calls = 0

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.calls += 1
        if self.calls == 3:
            raise KeyboardInterrupt
        return super().generate(requests)


def model(name: str) -> LLM:
    """`fake:scoring`, `fake:plain`, `fake:long`, `fake:slow` or `fake:stopped`."""
    made: LLM = {
        "scoring": ScoringLLM,
        "plain": FakeLLM,
        "long": lambda: ScoringLLM(lambda prompt: f"{prompt} " * 80),
        "slow": Slow,
        "stopped": Stopped,
    }[name]()  # type: ignore[operator]
    made.name = "fake"
    return made


def register(put: Callable[[Any, str, Any], None] = dict.__setitem__) -> None:
    """Make the doubles known to `--llm`, `--embedder` and `--method`."""
    put(plugins("llms"), "fake", Point(model))
    put(plugins("embedders"), "hash", Point(lambda name: HashEmbedder()))
    put(plugins("methods"), "ready", Point(ready))
    put(plugins("methods"), "contrast", Point(contrast))


IN_A_PROCESS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_eval_cli
test_eval_cli.register()
from memedit.cli import main
main()
"""


def arguments(*more: str, llm: str = "scoring", out: str = "run", data: str = str(COUNTERFACT)) -> list[str]:
    return [
        "eval", "counterfact", "--data", data, "--llm", f"fake:{llm}", "--embedder", "hash:", "--limit", "2",
        "--batch", "10", "--out", out, *more,
    ]  # fmt: skip


@pytest.fixture
def memedit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memedit:
    """Runs a command line in an empty folder, with doubles; an error is one line, and one that says what to do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEMEDIT_TRACEBACK", raising=False)
    register(monkeypatch.setitem)

    def run(*args: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, args)
        assert result.exit_code == code, f"{args}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        assert "Traceback" not in result.output
        if code == WRONG and "--json" not in args:
            said = result.stderr.splitlines()
            assert said[0].startswith("memedit: ")
            assert len(said) == 1 or (len(said) == 2 and said[1].startswith("  → "))
            assert not result.stdout
        return result

    return run


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The rows of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken")
    done = process(*arguments("--method", "bm25"), cwd=folder)
    assert done.returncode == 0, done.stderr
    return lines(folder / "run")


def process(*args: str, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", IN_A_PROCESS, *args], text=True, capture_output=True, **how)


# ---- what it prints -------------------------------------------------------------------------------------------------


def test_scores_stand_side_by_side(memedit: Memedit) -> None:
    shown = memedit(*arguments("--method", "in_context, bm25", "--method", "dense_top1")).stdout
    assert shown.startswith("CounterFact, fake: 2 cases, ")
    for part in ("Free generation", "Likelihood (teacher forcing, ranking)", "Gate", "Cost of an answer"):
        assert part in shown
    header = next(line for line in shown.splitlines() if line.startswith("probe"))
    assert header.split() == ["probe", "metric", "n", "unedited", "in_context", "bm25", "dense_top1"]
    assert "rows and run.json are in run" in shown


def test_json_gives_the_run_and_its_scores(memedit: Memedit) -> None:
    value = documented("eval", memedit(*arguments("--json")).stdout)
    assert value["run"]["methods"] == ["unedited", "auto"]
    assert value["folder"] == "run"
    assert {score["protocol"] for score in value["scores"]} == {"generation", "likelihood", "gate", "cost"}


def test_the_json_of_a_single_case_is_json(memedit: Memedit) -> None:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    json.loads(memedit(*arguments("--json", "--limit", "1")).stdout, parse_constant=refuse)


def test_run_json_says_how_to_repeat_it(memedit: Memedit, tmp_path: Path) -> None:
    memedit(*arguments("--seed", "5", "--max-tokens", "9", "--edits-in-memory", "1", "--no-likelihood"))
    about = json.loads((tmp_path / "run" / RUN).read_text())
    assert about["settings"] == about["settings"] | {
        "max_tokens": 9, "likelihood": False, "generate": True, "batch": 10
    }  # fmt: skip
    assert (about["seed"], about["limit"], about["edits_in_memory"]) == (5, 2, 1)
    assert len(about["data"][0]["sha256"]) == 64
    assert about["memedit"]
    assert about["ended"] >= about["began"]
    assert len(about["cases"]) == 2


@pytest.mark.parametrize("as_json", [False, True])
def test_list_names_every_benchmark(memedit: Memedit, as_json: bool) -> None:
    shown = memedit("eval", "--list", *["--json"] * as_json).stdout
    for name in plugins("benchmarks"):
        assert name in shown
    if as_json:
        assert {"name", "paper", "published", "licence", "forms"} <= set(json.loads(shown)["items"][0])


def test_a_dry_run_asks_nothing_and_counts_what_is_set_aside(memedit: Memedit, tmp_path: Path) -> None:
    record = json.loads(COUNTERFACT.read_text(encoding="utf-8").splitlines()[3])
    other = json.loads(json.dumps(record)) | {"case_id": 10**6}
    other["requested_rewrite"]["target_new"]["str"] = "Atlantis"
    broken = {name: value for name, value in record.items() if name != "neighborhood_prompts"}
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, (record, other, record, broken))))
    args = ("eval", "counterfact", "--data", "data.jsonl", "--dry-run")
    value = documented("eval --dry-run", memedit(*args, "--json").stdout)
    assert (value["cases"], value["edits"], value["memories"], value["repeated"]) == (2, 2, 1, 1)
    assert {(each["case"], each["probe"]) for each in value["set_aside"]} >= {("counterfact:1000000", "efficacy-0")}
    assert [each["number"] for each in value["malformed"]] == [4]
    shown = memedit(*args).stdout
    assert f"{len(value['set_aside'])} probes set aside" in shown
    assert "data.jsonl, record 4: " in shown
    assert "1 records repeat a case" in shown
    assert not (tmp_path / "eval-runs").exists()


def test_records_that_cannot_be_read_are_counted_and_the_rest_is_asked(memedit: Memedit, tmp_path: Path) -> None:
    good = COUNTERFACT.read_text(encoding="utf-8").splitlines()[:2]
    (tmp_path / "data.jsonl").write_text("\n".join([good[0], "{]", "7", good[1], '{"case_id": 3}']))
    shown = memedit(*arguments(data="data.jsonl")).stdout
    assert "3 records could not be read" in shown
    assert [one["number"] for one in load_run(tmp_path / "run").about["malformed"]] == [2, 3, 5]


def test_a_model_without_log_probabilities_has_no_likelihood_table(memedit: Memedit) -> None:
    shown = memedit(*arguments("--method", "bm25", llm="plain")).stdout
    assert "Free generation" in shown
    assert "Likelihood" not in shown


def test_what_a_method_cannot_be_scored_by_reads_not_scored(memedit: Memedit) -> None:
    shown = memedit(*arguments("--method", "ready")).stdout
    ranking = next(line for line in shown.splitlines() if line.split()[:2] == ["efficacy", "ranking"])
    assert ranking.endswith("not scored")


def test_rows_as_parquet(memedit: Memedit, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    memedit(*arguments("--method", "bm25,ready", "--parquet"))
    table = parquet.read_table(tmp_path / "run" / "rows.parquet").to_pylist()
    rows = [row for rows in load_run(tmp_path / "run").rows.values() for row in rows]
    assert [(row["method"], row["case"], row["probe"], row["text"]) for row in table] == [
        (row.method, row.case, row.probe, row.text) for row in rows
    ]
    assert {row["kind"] for row in table} >= {"efficacy", "neighbourhood"}
    edit = next(row["gate"][0] for row in table if row["method"] == "bm25")
    assert set(edit) == {"edit", "probability", "passed"}


def test_a_report_of_runs_also_of_one_that_was_stopped(memedit: Memedit, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    memedit(*arguments("--method", "bm25"))
    memedit(*arguments(llm="stopped", out="half"), code=INTERRUPTED)
    written = documented("report", memedit("report", "run", "half", "--out", "page", "--json").stdout)["written"]
    assert [Path(file).name for file in written] == ["report.html", "report.md"]
    assert "did not come to its end" in (tmp_path / "page/report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", ["absent", ".", "file"])
def test_a_report_of_what_is_no_run(memedit: Memedit, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("x")
    assert f"{folder} holds no run" in memedit("report", folder, code=WRONG).stderr


# ---- what is refused ------------------------------------------------------------------------------------------------


REFUSED: dict[str, tuple[list[str], str]] = {
    "no benchmark": (["eval"], "BENCHMARK is missing"),
    "no data": (["eval", "counterfact"], "--data FILE is missing"),
    "unknown benchmark": (["eval", "counterfct", "--data", "x"], "Did you mean `counterfact`?"),
    "missing file": (arguments(data="absent.json"), "absent.json cannot be read: No such file"),
    "a folder": (arguments(data="."), "cannot be read: Is a directory"),
    "empty data": (arguments(data="empty"), "it is empty"),
    "blank data": (arguments(data="blank"), "it is empty"),
    "an empty array": (arguments(data="array"), "it is empty"),
    "wrong schema": (arguments(data="schema"), "no form of CounterFact"),
    "all malformed": (arguments(data="malformed"), "holds no record of CounterFact"),
    "cut-off array": (arguments(data="cut"), "is no valid JSON"),
    "no text": (arguments(data="binary"), "is not UTF-8 text"),
    "unknown method": (arguments("--method", "in_contxt"), "No method or baseline `in_contxt`"),
    "unknown option": (arguments("--limt", "3"), "No such option '--limt'"),
    "limit 0": (arguments("--limit", "0"), "0 is not in the range x>=1"),
    "limit of letters": (arguments("--limit", "ten"), "'ten' is not a valid integer"),
    "no edits in memory": (arguments("--edits-in-memory", "0"), "neither `all`, `group` nor a number from 1 on"),
    "edits of letters": (arguments("--edits-in-memory", "many"), "neither `all`, `group` nor a number from 1 on"),
    "feedback": (arguments("--feedback", "1.5"), "is not in the range"),
    "batch 0": (arguments("--batch", "0"), "0 is not in the range x>=1"),
    "unknown model": (arguments("--llm", "gpt"), "No model `gpt`"),
    "unknown embedder": (arguments("--embedder", "vec"), "No embedder `vec`"),
    "half an option": (arguments("--llm-option", "dtype"), "NAME=VALUE, not `dtype`"),
    "missing ids": (arguments("--ids", "absent"), "absent cannot be read"),
    "other ids": (arguments("--ids", "numbers"), "are cases of"),
    "no ids": (arguments("--ids", "schema"), "lists no case ids"),
    "log-probabilities": (arguments("--method", "contrast", llm="plain"), "needs `logprobs`"),
    "out is a file": (arguments(out="empty"), "empty"),
    "out is in a file": (arguments(out="empty/run"), "empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_said_in_one_line(memedit: Memedit, tmp_path: Path, name: str) -> None:
    record = json.loads(COUNTERFACT.read_text(encoding="utf-8").splitlines()[0])
    for file, content in {
        "empty": "",
        "blank": "\n \n",
        "array": "[]",
        "schema": '{"question": "?", "answer": "!"}',
        "malformed": "\n".join(json.dumps(record | {"requested_rewrite": value}) for value in (None, 7, {}, [], "x")),
        "cut": COUNTERFACT.read_text(encoding="utf-8").replace("{", "[{", 1),
        "numbers": "[999999]",
    }.items():
        Path(file).write_text(content, encoding="utf-8")
    Path("binary").write_bytes(b"\xff\xfe\x00{")
    args, why = REFUSED[name]
    again = [] if "out" in name or "no " in name[:3] or name == "unknown benchmark" else ["--out", "again"]
    said = memedit(*args, code=WRONG).stderr
    assert why in " ".join(said.split())
    error = json.loads(memedit(*args, "--json", *again, code=WRONG).stdout)["error"]
    assert set(error) == {"type", "message", "do"}
    assert why in " ".join(error["message"].split())
    assert not (tmp_path / "run" / ROWS).exists() or not (tmp_path / "run" / ROWS).read_bytes()


def test_an_option_that_the_model_does_not_take(memedit: Memedit) -> None:
    assert "colour" in memedit(*arguments("--llm-option", "colour=red"), code=WRONG).stderr


def test_half_a_character_in_a_record_makes_it_a_malformed_one(memedit: Memedit, tmp_path: Path) -> None:
    good, bad = map(json.loads, COUNTERFACT.read_text(encoding="utf-8").splitlines()[:2])
    bad["paraphrase_prompts"][0] += " \ud83d"
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, (good, bad))))
    memedit(*arguments(data="data.jsonl"))
    (malformed,) = load_run(tmp_path / "run").about["malformed"]
    assert malformed["number"] == 2


def test_a_null_where_a_relation_should_stand_makes_a_malformed_record(memedit: Memedit, tmp_path: Path) -> None:
    good, bad = map(json.loads, COUNTERFACT.read_text(encoding="utf-8").splitlines()[:2])
    bad["requested_rewrite"]["relation_id"] = None
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, (good, bad))))
    memedit(*arguments(data="data.jsonl"))
    (malformed,) = load_run(tmp_path / "run").about["malformed"]
    assert malformed["number"] == 2


def test_data_that_is_nested_too_deeply(memedit: Memedit, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert "deep.json" in memedit(*arguments(data="deep.json"), code=WRONG).stderr


def test_a_refused_command_can_be_given_again_correctly(memedit: Memedit) -> None:
    for wrong in (["--ids", "absent"], ["--method", "nope"], ["--llm", "gpt"]):
        memedit(*arguments(*wrong), code=WRONG)
    memedit(*arguments())


@pytest.mark.parametrize("wrong", [["--embedder", "vec"], ["--method", "contrast"]])
def test_a_refused_command_leaves_no_run(memedit: Memedit, wrong: list[str]) -> None:
    memedit(*arguments(*wrong, llm="plain"), code=WRONG)
    memedit(*arguments(llm="plain"))


# ---- runs that are there --------------------------------------------------------------------------------------------


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (RUN, PROBES, ROWS)}


def test_a_folder_that_holds_a_run_is_left_alone(memedit: Memedit, tmp_path: Path) -> None:
    memedit(*arguments())
    before = content(tmp_path / "run")
    assert "run holds a run already. → go on with it by --resume" in " ".join(
        memedit(*arguments(), code=WRONG).stderr.split()
    )
    for other in (["--limit", "3"], ["--seed", "1"], ["--raw"], ["--no-likelihood"], ["--batch", "9"]):
        said = memedit(*arguments(*other, "--resume"), code=WRONG).stderr
        assert "is another one" in said
        assert other[0].strip("-").replace("no-", "") in said
    assert content(tmp_path / "run") == before
    memedit(*arguments("--resume"))
    assert (tmp_path / "run" / ROWS).read_bytes() == before[ROWS]


@pytest.mark.parametrize(
    ("file", "damage"), [(RUN, b"{"), (RUN, b""), (PROBES, b"{}\n"), (ROWS, b"{}\n"), (PROBES, b"\xff\n")]
)
def test_a_damaged_run_is_refused_and_left_as_it_is(memedit: Memedit, tmp_path: Path, file: str, damage: bytes) -> None:
    memedit(*arguments())
    (tmp_path / "run" / file).write_bytes(damage)
    before = content(tmp_path / "run")
    result = CliRunner().invoke(main, arguments("--resume"))
    assert result.exit_code == WRONG
    assert "is damaged" in result.stderr
    assert content(tmp_path / "run") == before


def test_a_run_json_of_another_kind_is_refused(memedit: Memedit, tmp_path: Path) -> None:
    memedit(*arguments())
    (tmp_path / "run" / RUN).write_text("[]")
    memedit(*arguments("--resume"), code=WRONG)


def test_a_damaged_run_is_said_in_one_line(memedit: Memedit, tmp_path: Path) -> None:
    memedit(*arguments())
    (tmp_path / "run" / ROWS).write_bytes(b"{}\n")
    memedit(*arguments("--resume"), code=WRONG)


def test_resume_where_there_is_no_run_begins_one(memedit: Memedit, tmp_path: Path) -> None:
    memedit(*arguments("--resume"))
    assert load_run(tmp_path / "run").complete


# ---- ctrl-c ---------------------------------------------------------------------------------------------------------


def test_ctrl_c_keeps_what_is_answered(memedit: Memedit, tmp_path: Path, unbroken: list[bytes]) -> None:
    said = memedit(*arguments("--method", "bm25", llm="stopped"), code=INTERRUPTED).stderr
    assert "Go on with --out run --resume" in said
    assert lines(tmp_path / "run") == unbroken[:20]
    memedit(*arguments("--method", "bm25", "--resume"))
    assert lines(tmp_path / "run") == unbroken


def test_ctrl_c_with_json(memedit: Memedit) -> None:
    stdout = memedit(*arguments("--json", llm="stopped"), code=INTERRUPTED).stdout
    assert json.loads(stdout)["error"]["type"] == "Interrupted"


def test_a_real_ctrl_c(memedit: Memedit, tmp_path: Path, unbroken: list[bytes]) -> None:
    args = [sys.executable, "-c", IN_A_PROCESS, *arguments("--method", "bm25", llm="slow")]
    heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which what runs in the background ignores
    with subprocess.Popen(args, stderr=subprocess.PIPE, text=True, cwd=tmp_path, preexec_fn=heeds) as child:
        assert child.stderr is not None
        for _ in range(3):
            assert child.stderr.readline() == "asked\n"
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
    assert child.returncode == INTERRUPTED
    assert "Traceback" not in rest
    kept = lines(tmp_path / "run")
    assert len(kept) == 20
    assert kept == unbroken[:20]
    memedit(*arguments("--method", "bm25", "--resume"))
    assert lines(tmp_path / "run") == unbroken


# ---- disks that are full, and folders that cannot be written --------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_in_the_middle(
    memedit: Memedit, tmp_path: Path, unbroken: list[bytes], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    written, write = 0, runs._rows

    def full(rows: Any) -> bytes:
        nonlocal written
        listed = list(rows)
        written += bool(listed)
        if written == 4:
            raise OSError(code, os.strerror(code))
        return write(listed)

    monkeypatch.setattr(runs, "_rows", full)
    no_space = code in (errno.ENOSPC, errno.EDQUOT)
    said = memedit(*arguments("--method", "bm25"), code=STORAGE if no_space else WRONG).stderr
    assert "run" in said
    assert ("No space is left" in said) is no_space
    monkeypatch.setattr(runs, "_rows", write)
    kept = lines(tmp_path / "run")
    assert len(kept) > 20
    assert kept == unbroken[: len(kept)]
    memedit(*arguments("--method", "bm25", "--resume"))
    assert lines(tmp_path / "run") == unbroken


def test_a_file_that_may_not_grow_further(memedit: Memedit, tmp_path: Path) -> None:
    """As under `ulimit -f`."""
    limit = 300_000
    args = arguments("--method", "bm25", "--no-likelihood", "--limit", "4", llm="long")
    done = process(*args, cwd=tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert done.returncode == WRONG, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    kept = lines(tmp_path / "run")
    assert kept
    memedit(*args, "--resume")
    after = lines(tmp_path / "run")
    assert after[: len(kept)] == kept
    assert len(after) > len(kept)


MOUNT = """
mount -t tmpfs -o size=$1 none "$2" || exit 77
cd "$2"; shift 2
[ "$1" != "ro" ] || mount -o remount,ro "$PWD" || exit 77
keep="$2"; shift 2
"$@"
code=$?
cp -r run "$keep" 2>/dev/null
exit $code
"""


def on_a_small_disk(tmp_path: Path, size: str, *args: str, mode: str = "rw") -> subprocess.CompletedProcess[str]:
    """Runs a command line in a file system of its own, and copies what it left to `tmp_path / "run"`."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    (tmp_path / "disk").mkdir(exist_ok=True)
    command = [
        "unshare", "-rm", "sh", "-c", MOUNT, "sh", size, str(tmp_path / "disk"), mode, str(tmp_path / "run"),
        sys.executable, "-c", IN_A_PROCESS, *args,
    ]  # fmt: skip
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip("no file system may be mounted here")
    return done


@pytest.mark.parametrize("size", ["60k", "480k", "800k"])
def test_a_real_disk_that_is_full(memedit: Memedit, tmp_path: Path, size: str) -> None:
    args = arguments("--method", "bm25", "--no-likelihood", "--limit", "4", llm="long")
    done = on_a_small_disk(tmp_path, size, *args)
    assert done.returncode == STORAGE, done.stderr
    assert done.stderr.startswith("memedit: ")
    assert len(done.stderr.splitlines()) <= 2
    folder = tmp_path / "run"
    kept = lines(folder) if (folder / ROWS).exists() else []
    assert kept or size != "800k"
    memedit(*args, "--resume")
    after = lines(folder)
    assert after[: len(kept)] == kept
    assert load_run(folder).complete


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    done = on_a_small_disk(tmp_path, "1m", *arguments(), mode="ro")
    assert done.returncode == WRONG, done.stderr
    assert done.stderr.startswith("memedit: ")
    assert "Read-only file system" in done.stderr
    assert len(done.stderr.splitlines()) <= 2
