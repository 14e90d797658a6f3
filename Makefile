# What people and CI call. `make` alone lists it. Everything runs in .venv, which `make setup` makes.

PYTHON ?= python3.11
BIN := .venv/bin
LOCK := $(shell cat requirements/dev.lock pyproject.toml | sha256sum | cut -c1-16)
READY := .venv/ready-$(LOCK)
ARGS ?=
BROKER ?=
N ?= 10000
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup test docs prism axe asyncapi kafka faults simulate mutants mutate check demo disaster bench bench-kafka lock reference pictures schema clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything; at once when nothing has changed
	@echo "setup: .venv is up to date"

$(READY):
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "setup: found no $(PYTHON); Python 3.11 would be right (Debian: apt-get install python3.11 python3.11-venv)," >&2; \
		echo "setup: or name another one: make setup PYTHON=/path/to/python3.11" >&2; exit 3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "setup: found $$($(PYTHON) -V); Python 3.11 or newer would be right" >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "setup: found $(PYTHON) without venv; it would be right (Debian: apt-get install python3.11-venv)" >&2; exit 3; }
	@test -x $(BIN)/python || { echo "setup: making .venv with $$($(PYTHON) -V)"; $(PYTHON) -m venv .venv; }
	@echo "setup: installing $$(grep -cE '^[a-z]' requirements/dev.lock) packages, each checked against its hash (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@echo "setup: installing linkstream itself, as it stands here"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f .venv/ready-* && touch $@

test: $(READY) ## run the tests, two at a time (JOBS=0: one by one); one of them: make test ARGS="tests/core -k echo"
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

prism: $(READY) ## install Stoplight Prism, which reads the vendors' OpenAPI files for tests/fidelity; needs Node
	@test -x .venv/prism/node_modules/.bin/prism || npm install --silent --no-audit --no-fund --no-package-lock \
		--prefix .venv/prism @stoplight/prism-cli@5.14.2

pictures: $(READY) ## take the pictures of the page that the documentation shows; needs chromium
	@$(BIN)/python -m tests.worker.pictures

axe: $(READY) ## install axe-core, which judges the page for people who see or move otherwise; needs npm
	@test -d .venv/axe/node_modules/axe-core || npm install --silent --no-audit --no-fund --no-package-lock \
		--ignore-scripts --prefix .venv/axe axe-core@4.14.1

asyncapi: $(READY) ## install AsyncAPI's own schema, by which tests/formats checks our document; needs npm
	@test -d .venv/asyncapi/node_modules/@asyncapi/specs || npm install --silent --no-audit --no-fund --no-package-lock \
		--ignore-scripts --prefix .venv/asyncapi @asyncapi/specs@6.11.1

kafka: $(READY) ## fetch Apache Kafka for the tests that need one (they would themselves); needs Java 17 and Maven
	@$(BIN)/python -m tests.kafka.jars

faults: $(READY) ## kill, freeze and restart workers and brokers of Kafka again and again, and say how long it was felt
	@LINKSTREAM_FAULTS=1 $(BIN)/python -m pytest -q -s -n 0 -p no:cacheprovider \
		tests/engine/test_kafka_workers.py tests/engine/test_kafka_faults.py tests/worker/test_kafka_moves.py $(ARGS)

simulate: $(READY) ## random histories with fresh seeds, and what they compared: make simulate N=10000
	@$(BIN)/python -m tests.simulation.run $(N) $(ARGS)

mutate: $(READY) ## turn around every line of the core, and list what no test notices; takes an hour
	@test -x .venv-mutate/bin/mutmut || { $(PYTHON) -m venv .venv-mutate \
		&& .venv-mutate/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.lock \
		&& .venv-mutate/bin/python -m pip install --quiet mutmut==3.8.1; } # it asks for a newer click than Faust takes
	@CI=1 .venv-mutate/bin/mutmut run $(ARGS) && .venv-mutate/bin/mutmut results # CI: Hypothesis draws the same, at any pace

mutants: $(READY) ## turn every rule off in random histories, and say which of them notice
	@$(BIN)/python -m tests.simulation.mutants $(ARGS)

check: $(READY) ## lint, format, imports, types, pins; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy
	@$(BIN)/python requirements/lock.py --check

demo: $(READY) ## six systems on this machine, kept in step before your eyes; two workers on Kafka: make demo BROKER=kafka
ifeq ($(BROKER),kafka)
	@$(BIN)/python -m tests.kafka.lend $(BIN)/linkstream demo --broker kafka://{} $(ARGS)
else
	@$(BIN)/linkstream demo $(if $(BROKER),--broker $(BROKER)) $(ARGS)
endif

disaster: $(READY) ## lose the table of all twenty statements, make it anew, and count what is written then
	@$(BIN)/python -m tests.worker.disaster

bench: $(READY) ## measure all, side by side with stock Faust; writes docs/benchmarks.md
	@$(BIN)/python benchmarks/all.py $(ARGS)

bench-kafka: $(READY) ## the same on Kafka, beside Kafka Streams, Quix and stock Faust; small: ARGS="--rounds 1"
	@$(BIN)/python benchmarks/kafka/engines.py $(ARGS)

lock: $(READY) ## pin every package anew; newer versions: make lock ARGS=--upgrade
	@$(BIN)/python requirements/lock.py $(ARGS)

reference: $(READY) ## write docs/cli.md from the commands, docs/topics.md from the schema
	@$(BIN)/python -m stream.cli.reference > docs/cli.md
	@$(BIN)/python -m stream.cli.settings > docs/topics.md

docs: $(READY) ## build docs/ as a site in var/site; a link that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

schema: $(READY) ## write schema/topics.schema.json and schema/connector.schema.json
	@$(BIN)/linkstream schema > schema/topics.schema.json
	@$(BIN)/linkstream connector schema > schema/connector.schema.json

clean: ## remove .venv, caches and builds; var/ with its links stays
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage coverage.xml
	find stream connectors tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
