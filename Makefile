# What people do with Iris every day. Bare `make` prints this list.

SHELL := /bin/sh
# The first Python that will do; `make up PYTHON=python3.13` names another.
WILL_DO := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	$$name $(WILL_DO) 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# What Iris is measured against lives apart.
PEERS := .venv-bench
# So do programs of others that know Iris from openapi.json alone.
STRANGERS := .venv-described
# And Patroni, which looks after PostgreSQL where there is more than one machine.
WATCHED := .venv-ha
# Of npm's swagger-ui-dist.
SWAGGER := 5.35.0
# Of npm's axe-core.
AXE := 4.14.1

.DEFAULT_GOAL := help
.PHONY: help up test slow kills hooks heard lives fuzz trackers crowd reads ha apart described swagger axe pages pictures lint bench growth scale places moving psql revision fresh lock

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(READY)  ## start a PostgreSQL of its own and serve; Ctrl-C stops both
	@exec $(BIN)/iris up

test: $(READY)  ## run the tests on a throw-away PostgreSQL (ARGS='-k links' for some)
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m 'not slow' $(ARGS)

slow: $(READY)  ## run the tests that take long and that `make test` leaves out: what is killed, moved or large
	@$(BIN)/python -m pytest -m slow $(ARGS)

kills: $(READY)  ## kill -9 everything in turn under load, and see that nothing is lost (ROUNDS=20 SEED=1)
	@exec $(BIN)/python -W ignore tests/kills.py --rounds $(or $(ROUNDS),20) --seed $(or $(SEED),0)

hooks: $(READY)  ## tell a receiver that is down while everything is killed, and see that all arrives (EVENTS=1000 KILLS=10)
	@exec $(BIN)/python -W ignore tests/told.py --events $(or $(EVENTS),1000) --kills $(or $(KILLS),10)

heard: $(READY)  ## how soon hooks hear of an edit in psql: one, then a hundred, beside dead ones (HOOKS=100 SECONDS=20)
	@exec $(BIN)/python -W ignore tests/heard.py --hooks $(or $(HOOKS),100) --seconds $(or $(SECONDS),20)

lives: $(READY)  ## live at random through both doors, then ask for each moment, beside a model (STEPS=1000 SEED=1)
	@exec $(BIN)/python -W ignore tests/lives.py --steps $(or $(STEPS),1000) $(if $(SEED),--seed $(SEED))

fuzz: $(READY)  ## send hostile requests to an Iris of its own (REQUESTS=200000 SEED=7)
	@exec $(BIN)/python -W ignore tests/fuzz.py --requests $(or $(REQUESTS),20000) $(if $(SEED),--seed $(SEED)) $(ARGS)

trackers: $(READY)  ## many trackers on two servers under load, and one moves there and back (TRACKERS=50 MOVES=4); needs pgbouncer
	@exec $(BIN)/python -W ignore tests/trackers.py --trackers $(or $(TRACKERS),50) --moves $(or $(MOVES),4)

described: $(READY) $(STRANGERS)/ready  ## let schemathesis look for answers that openapi.json lacks (SECONDS=120 SEED=7)
	@exec $(BIN)/python -W ignore tests/strangers.py --seconds $(or $(SECONDS),120) $(if $(SEED),--seed $(SEED))

swagger:  ## fetch the files of /docs anew (SWAGGER=5.35.0); needs npm
	@cd iris/described/swagger && npm pack --silent swagger-ui-dist@$(SWAGGER) > /dev/null && \
		sed 's/^[0-9a-f]*  //' SHA256SUMS > names && tar -xzf swagger-ui-dist-*.tgz --strip-components=1 \
		$$(sed 's/^/package\//' names) && sha256sum $$(cat names) > SHA256SUMS && rm names swagger-ui-dist-*.tgz
	@git diff --stat -- iris/described/swagger

axe:  ## fetch axe-core, by which the pages are tested, anew (AXE=4.14.1); needs npm
	@cd tests/axe && npm pack --silent axe-core@$(AXE) > /dev/null && sed 's/^[0-9a-f]*  //' SHA256SUMS > names && \
		tar -xzf axe-core-*.tgz --strip-components=1 $$(sed 's/^/package\//' names) && \
		sha256sum $$(cat names) > SHA256SUMS && rm names axe-core-*.tgz
	@git diff --stat -- tests/axe

crowd: $(READY)  ## 2,000 idle connections and 50 slow bodies: how long do others wait? (ARGS='--turns 2')
	@exec $(BIN)/python -W ignore tests/crowd.py $(ARGS)

reads: $(READY)  ## write, and read what is heavy right after, on standbys that are late (ROUNDS=1000)
	@exec env PYTHONPATH=tests $(BIN)/python -W ignore tests/ha/reads.py --rounds $(or $(ROUNDS),1000)

ha: $(READY) $(WATCHED)/ready  ## 20 failovers of a cluster under Patroni, under load (ROUNDS=4); needs etcd and haproxy
	@exec env PYTHONPATH=tests $(BIN)/python -W ignore tests/ha/failover.py --rounds $(or $(ROUNDS),20)

apart: $(READY)  ## measure what heavy reads cost the primary, and on a standby (ARGS='--rounds 3 --seconds 10')
	@exec env PYTHONPATH=tests:tests/ha $(BIN)/python -W ignore bench/standbys.py $(ARGS)

pages: $(READY)  ## how soon a change is seen, how fast a large board is, what its readers take (ARGS='--cards 100'); needs Chromium
	@exec $(BIN)/python -W ignore tests/pages.py $(ARGS)

pictures: $(READY)  ## draw docs/pictures/ anew (ARGS='--all FOLDER': each page, light and dark, at four widths); needs Chromium
	@exec $(BIN)/python -W ignore tests/pictures.py $(ARGS)

lint: $(READY)  ## look for mistakes and untidy code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

bench: $(READY) $(PEERS)/ready  ## measure Iris and its peers (ARGS='--rounds 2 --only one,page'); needs wrk
	@exec env PYTHONPATH=tests $(BIN)/python bench/run.py $(ARGS)

growth: $(READY)  ## measure Iris at 1,000 to 1,000,000 tickets (ARGS='--sizes 1000,5000 --svg growth.svg'); needs wrk
	@exec $(BIN)/python bench/growth.py $(ARGS)

scale: $(READY)  ## what breaks first as tickets and readers become more (ARGS='--measure' measures what things cost)
	@exec $(BIN)/python bench/scale.py $(ARGS)

places: $(READY)  ## what it costs to give events their places in the feed, beside revision 0008 (ARGS='--tickets 100000')
	@exec $(BIN)/python bench/places.py $(ARGS)

moving: $(READY)  ## import 10,000 tickets of Jira, twice, and measure (ARGS='--rows 100000')
	@exec $(BIN)/python -W ignore bench/moving.py $(ARGS)

psql: $(READY)  ## open psql on the database in use
	@exec $(BIN)/iris psql

revision: $(READY)  ## begin a revision of the schema (NAME=add_severity), before anything under postgres/ is changed
	@test -n "$(NAME)" || { echo 'What will it do? make revision NAME=add_severity' >&2; exit 1; }
	@$(BIN)/python -m iris.migrations $(NAME)

fresh:  ## throw away .venv (never your data, which is in .iris)
	rm -rf $(VENV)

lock:  ## pin the newest versions of everything anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --all-extras --upgrade pyproject.toml -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --constraint requirements.txt pyproject.toml -o iris/requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --upgrade bench/requirements.in -o bench/requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --upgrade tests/described/requirements.in -o tests/described/requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --upgrade ha/requirements.in -o ha/requirements.txt

$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Iris needs Python 3.11, 3.12 or 3.13; none was found. Name one: make PYTHON=…' >&2; exit 1; }
	@$(PYTHON) $(WILL_DO) || { echo "Iris needs Python 3.11, 3.12 or 3.13; PYTHON=$(PYTHON) is none of them" \
		"($$($(PYTHON) --version 2>&1 | tail -1))" >&2; exit 1; }
	@$(PYTHON) .ci/install.py $(VENV) requirements.txt .

$(STRANGERS)/ready: tests/described/requirements.txt
	@$(PYTHON) .ci/install.py $(STRANGERS) tests/described/requirements.txt

$(WATCHED)/ready: ha/requirements.txt
	@$(PYTHON) .ci/install.py $(WATCHED) ha/requirements.txt

$(PEERS)/ready: bench/requirements.txt
	@$(PYTHON) .ci/install.py $(PEERS) bench/requirements.txt
