# The README's commands. Everything happens in one virtual environment, made on first use and reused.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
WORKERS ?= logical
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs bench calibration laws essay bench-picture bench-strategies mutants bench-peers bench-serve fuzz-serve upstream campaign-kill ladder record distill selfplay rl defence monitor cards inspect clean

help:
	@echo "make demo     measure a small model on this machine: a table, a picture, a report"
	@echo "make test     lint, types, import contracts, tests"
	@echo "make lint     the first three alone"
	@echo "make docs     regenerate the pages that are made from code"
	@echo "make bench    the figures in benchmarks/"
	@echo "make calibration  whether the laws' intervals keep their promise, on made-up data"
	@echo "make laws     apply the laws to the ladder and to the embedded model: docs/findings.md, in minutes"
	@echo "make essay    the calculators and pictures of docs/inference-and-governance.md: a minute"
	@echo "make ladder   train the ladder of small reasoners: two hours on two cores; continues"
	@echo "make record   draw what is missing of the ladder's recordings: hours; continues"
	@echo "make distill  teach students by teachers from the ladder; make selfplay, make rl: learn from own replies"
	@echo "make defence  whether compute catches wrong solutions: docs/defence.md, in minutes"
	@echo "make monitor  what a monitor catches from the chain, the summary, the answer: docs/monitor.md, in minutes"
	@echo "make cards    the compute cards of the embedded model and of a checkpoint of the ladder"
	@echo "make bench-peers  ponder beside its_hub and optillm"
	@echo "make bench-serve  the server under attack and under load; make fuzz-serve: its hostile requests alone"
	@echo "make upstream   the server in front of llama.cpp and vLLM"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "installing ponder into $(VENV) ..."
	@$(PIP) -e '.[all]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing ponder and its development tools into $(VENV) ..."
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run
	@$(BIN)/ponder models pull smollm2
	@$(BIN)/ponder measure --demo

lint: $(VENV)/.dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m docs.generate --check

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

test: lint
	@$(BIN)/ponder models pull smollm2
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

docs: $(VENV)/.dev
	@$(BIN)/python -m docs.generate

bench: $(VENV)/.dev
	@$(BIN)/ponder models pull smollm2
	@$(BIN)/python benchmarks/replay.py
	@$(BIN)/python benchmarks/start_up.py
	@$(BIN)/python benchmarks/throughput.py
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.law_speed

calibration: $(VENV)/.dev
	@OMP_NUM_THREADS=1 nice $(BIN)/python -m benchmarks.calibration

laws: $(VENV)/.dev
	@OMP_NUM_THREADS=1 nice $(BIN)/python -m benchmarks.laws
	@$(BIN)/python -m benchmarks.essay --only index --only complement
	@$(BIN)/python -m docs.generate
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m campaign tests/laws/test_laws_page.py

essay: $(VENV)/.dev
	@OMP_NUM_THREADS=1 nice $(BIN)/python -m benchmarks.essay
	@$(BIN)/python -m docs.generate

bench-picture: $(VENV)/.run
	@$(BIN)/ponder models pull smollm2
	@$(BIN)/python benchmarks/picture.py

bench-peers: $(VENV)/.dev
	@$(BIN)/ponder models pull smollm2
	@nice $(BIN)/python -m benchmarks.peers

bench-serve: $(VENV)/.dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.serve

fuzz-serve: $(VENV)/.dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.serve hostile

INSPECT := build/inspect
inspect: $(VENV)/.dev
	@test -x $(INSPECT)/bin/inspect || { $(PYTHON) -m venv $(INSPECT) && $(INSPECT)/bin/pip install -q inspect-ai==0.3.285 openai; }
	@PONDER_INSPECT=$(abspath $(INSPECT))/bin/inspect $(BIN)/python -m pytest tests/serve/test_inspect.py

upstream: $(VENV)/.dev
	@$(BIN)/ponder models pull smollm2
	@OMP_NUM_THREADS=1 nice $(BIN)/python -m benchmarks.upstream

bench-strategies: $(VENV)/.run
	@$(BIN)/ponder models pull smollm2
	@$(BIN)/python benchmarks/strategies.py

ladder: $(VENV)/.dev
	@nice $(BIN)/ponder train ladder

LADDER := benchmarks/results/ladder
RECORDED := char_countdown:numbers=4 char_countdown:numbers=4,search=true char_countdown:numbers=3 \
	char_chain:operations=6 char_facts:given=false char_facts:given=true
# Of the two smallest sizes all plain ones that have a law of coverage from 32 draws, and two of the next.
DRAWN_MORE := $(addprefix 8k-steps-random-,0/6 1/4 1/5 1/6) $(addprefix 154k-steps-random-,0/4 0/6) \
	$(addprefix 28k-steps-random-,0/4 0/5 0/6 1/3 1/4 1/5 1/6)

record: $(VENV)/.dev
	@for task in $(RECORDED); do \
		nice $(BIN)/ponder train record $(LADDER)/checkpoints --task $$task --out $(LADDER)/recorded || exit; done
	@for name in $(DRAWN_MORE); do \
		nice $(BIN)/ponder train record $(LADDER)/checkpoints/$$name --draws 4096 --out \
		$(LADDER)/recorded/$$(echo $$name | tr / -).char-countdown-numbers-4.jsonl.xz || exit; done
	@$(BIN)/ponder figure o1 --runs $(LADDER) --out src/ponder/data/o1.json
	@$(BIN)/ponder figure o1 --out $(LADDER)/o1.png

distill selfplay: $(VENV)/.dev
	@OMP_NUM_THREADS=1 nice $(BIN)/python -m benchmarks.training_campaigns $@

rl: $(VENV)/.dev
	@OMP_NUM_THREADS=1 nice $(BIN)/python -m benchmarks.training_campaigns pretrain
	@OMP_NUM_THREADS=1 nice $(BIN)/python -m benchmarks.rl
	@$(BIN)/python -m benchmarks.rl_figure
	@OMP_NUM_THREADS=1 nice $(BIN)/ponder train rl --from $(LADDER)/checkpoints/154k-steps-random-0/4 --steps 300 \
		--lr 3e-4 --eval-problems 300 --out $(LADDER)/rl/154k-steps-random-0-4 --run 154k-steps-random-0-4-rl

defence: $(VENV)/.dev
	@OMP_NUM_THREADS=1 nice $(BIN)/python -m benchmarks.defence
	@$(BIN)/python -m docs.generate

monitor: $(VENV)/.dev
	@$(BIN)/ponder models pull smollm2
	@OMP_NUM_THREADS=1 nice $(BIN)/python -m benchmarks.monitor
	@$(BIN)/python -m docs.generate

# A card is written as a whole: its document is moved to its place when it is done.
CARDS := benchmarks/results/cards
CARDS_LEDGER ?= .ponder/cards.sqlite
CARD_OF_LADDER := 448k-steps-random-0/5
CARD_TASKS := char_countdown:numbers=4 char_countdown:numbers=3 char_facts:given=false char_facts:given=true
CARD := OMP_NUM_THREADS=1 nice $(BIN)/ponder card --draws 100000
cards: $(VENV)/.run
	@$(BIN)/ponder models pull smollm2
	@nice $(BIN)/ponder measure --task products --task addition2 --task countdown --task lcm --problems 90 --samples 64 \
		--seed 11 --strategy vote --strategy best:by=likelihood --no-report --run peers-bank-90 --ledger $(CARDS_LEDGER)
	@$(CARD) peers-bank-90 --ledger $(CARDS_LEDGER) --json --out $(CARDS)/smollm2.html > $(CARDS)/.card.part
	@mv $(CARDS)/.card.part $(CARDS)/smollm2.json
	@$(CARD) $(LADDER)/checkpoints/$(CARD_OF_LADDER) $(addprefix --task ,$(CARD_TASKS)) --json \
		--out $(CARDS)/$(subst /,-,$(CARD_OF_LADDER)).html \
		> $(CARDS)/.card.part
	@mv $(CARDS)/.card.part $(CARDS)/$(subst /,-,$(CARD_OF_LADDER)).json

mutants: $(VENV)/.dev
	@$(BIN)/python benchmarks/mutants.py

campaign-kill: $(VENV)/.dev
	@$(BIN)/ponder models pull smollm2
	@$(BIN)/python benchmarks/kill_and_rerun.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
