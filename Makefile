# `make` alone prints the targets. Each builds .venv from requirements.lock when that is needed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help repro complete test paper repository

help:
	@echo "make repro   run the whole pipeline: data, training, evaluation, tables (reports/index.html)"
	@echo "make complete   the same with every method of the tables, and the ablations of SPG"
	@echo "make test    run the tests"
	@echo "make paper   run a table of the papers on their own data: make paper TABLE=spn-2;"
	@echo "             VARIANT=vgg16 for one of its runs, DRY=1 to be told what it takes (TFLOPS=20)"

repro: $(READY) repository
	$(BIN)/dvc repro

complete: $(READY) repository
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m paper.complete

# Two workers, since each may take 2 GB. A file's tests stay on one, for the fixtures they share.
test: $(READY) repository
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# -B: a dry run writes nothing, not even bytecode.
paper: $(READY) $(if $(DRY),,repository)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -B -m paper $(if $(DRY),--dry) \
		$(if $(TFLOPS),--tflops "$(TFLOPS)") "$(TABLE)" $(VARIANT)

# DVC needs a git repository, and its experiments a commit: a downloaded ZIP has neither.
repository:
	@git rev-parse --is-inside-work-tree >/dev/null 2>&1 || { \
		echo "no git repository, which DVC needs: making one of this folder"; \
		git init --quiet && git add --all && \
		git -c user.name=make -c user.email=make@localhost commit --quiet -m "As downloaded"; }

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python >= 3.11 is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@
