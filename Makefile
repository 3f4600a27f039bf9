# Each target does all its own set-up. Choose another interpreter by PYTHON=..., another environment by VENV=...
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TEXT ?=
SEED ?=
RETRAIN ?=
RUN ?= runs/quickstart
DATA ?= embedded
# By way of the environment, so that quotes and dollar signs in a sentence stay what they are.
export QUICKSTART_TEXT = $(value TEXT)
PYTEST_WORKERS ?= auto

export TOKENIZERS_PARALLELISM ?= false
export HF_HUB_DISABLE_TELEMETRY ?= 1

.PHONY: help quickstart bench-model test test-oldest lint format clean

help:
	@echo "make quickstart        train a small English-German model here and now, and translate with it"
	@echo "make quickstart TEXT=\"The old farmer closed the door.\"   ... a sentence of yours"
	@echo "make bench-model       make a model of base size to measure decoding with, in runs/bench_base"
	@echo "make bench-model DATA=FOLDER        ... for real sentences: from train.en and train.de in a folder"
	@echo "make test              the whole suite"
	@echo "make test-oldest       the whole suite on the oldest supported libraries"
	@echo "make lint              style, imports and types"
	@echo "make clean             remove what these made, except trained models (runs/)"

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[training,hub,dev]'
	touch $@

.venv-oldest/installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --upgrade pip
	.venv-oldest/bin/python -m pip install --quiet --constraint constraints-oldest.txt --editable '.[training,hub,dev]'
	touch $@

# The German dictionary that the corpus is checked against. Where it cannot be installed here, the test says how.
.PHONY: hunspell
hunspell:
	@hunspell -D 2>&1 </dev/null | grep -q de_DE || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -qq -y hunspell hunspell-de-de >/dev/null || true; fi

# The browser that the pages are tested in, and fonts for what they say. As above.
.PHONY: chromium
chromium:
	@{ command -v chromium >/dev/null && fc-list 2>/dev/null | grep -qi cjk; } || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium fontconfig fonts-dejavu-core \
	      fonts-noto-cjk >/dev/null || true; fi

quickstart: $(VENV)/installed
	@$(BIN)/python -m training.quickstart --output "$(RUN)" $(if $(SEED),--seed $(SEED)) \
	  $(if $(RETRAIN),--retrain) $(if $(value TEXT),--text="$$QUICKSTART_TEXT")
	@printf 'Its attention to the source while it translates: '
	@$(BIN)/python -m hub_card.figures -o "$(RUN)/cross_attention.png" -- "$(RUN)/model" "$$(cat "$(RUN)/sentence.txt")"
	@echo 'A sentence on its way through the model, step by step, a page for the browser:'
	@$(BIN)/python -m hub_card.walk --example -o "$(RUN)/walk.html" "$(RUN)/model"

# Few passes, so small batches, a fast start and little dropout: lengths have to be realistic, not words.
BENCH_TRAINING := --max_epochs 4 --max_updates null --vocab_size 8000 --tokens_per_batch 2048 --max_shapes null \
  --dropout 0.1 --warmup_steps 800 --peak_learning_rate 0.002 --save_every 125 --average_last 5 --length_penalty 0.6

bench-model: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m training.train configuration/recipes/multi30k_en_de.yaml --data "$(DATA)" $(BENCH_TRAINING) \
	  --validation null --test null --output runs/bench_small --resume auto
	$(BIN)/python -m tests.benchmarks.decoding_model runs/bench_small/model runs/bench_base

# By files, so that what a file's tests share is made once; those with slow tests first, as tests/conftest.py orders them.
test: $(VENV)/installed hunspell chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

test-oldest: .venv-oldest/installed hunspell chromium
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -q -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-oldest build dist .pytest_cache .ruff_cache .mypy_cache
