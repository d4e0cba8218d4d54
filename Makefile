DEMO := pipelines/deploy.yaml
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: demo test lint bench faults format lock images clean help

demo: $(READY) images ## run the demo pipeline
	@$(BIN)/pipe run $(DEMO)

test: lint images ## check everything: style, types, tests
	@tests/machine/database
	@tests/machine/redis
	@tests/machine/ssh
	$(BIN)/pytest -n 2 --dist worksteal -m "not faults"

lint: $(READY) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) images ## measure against named baselines
	@$(BIN)/python -m benchmarks

faults: $(READY) images ## long runs that kill processes at every point
	@tests/machine/database
	@tests/machine/redis
	@tests/machine/ssh
	$(BIN)/pytest -m faults --timeout 3600

format: $(READY) ## format the code, fix what can be fixed
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock: $(READY) ## choose the newest versions of all dependencies
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev \
		--custom-compile-command "make lock" --output-file requirements-dev.lock pyproject.toml

# Nothing to make when the tests that need Docker are left out.
images:
ifneq ($(PIPE_TEST_WITHOUT_DOCKER),1)
	@tests/machine/engine
	@tests/images/build
endif

$(READY): pyproject.toml requirements-dev.lock tests/machine/python
	@command -v git >/dev/null || tests/machine/packages git
	@tests/machine/python
	@touch $@

clean: ## remove what the other targets made here
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

help: ## show this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10
