# Two commands do all the set-up on a fresh machine: `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := rtserver tests bench tools setup.py rtserver.py conftest.py
# Two cores: as many tests at once.
JOBS ?= 2

export PYTHONWARNINGS = default

.PHONY: run test lint types unit accept networks sabotage simulate bench clean

# A demonstration: a server, a conversation that goes on by itself, and lines to paste.
run: $(VENV)/run.done
	$(BIN)/rtserver demo

# Everything that must hold before a change is kept.
test: lint types unit

lint: $(VENV)/test.done
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check --quiet $(CODE)

types: $(VENV)/test.done
	$(BIN)/mypy -p rtserver

unit: $(VENV)/test.done
	$(BIN)/python -m pytest -q -n $(JOBS) $(ARGS)

# What is promised, line by line, each with its figure from a real run; PART=core for one part.
accept: $(VENV)/test.done $(VENV)/bench.done
	$(BIN)/python -m tests.accept $(PART)

# The clients through every network there is, by the real clock (a quarter of an hour), into docs/networks-table.rst.
networks: $(VENV)/test.done
	$(BIN)/python -m tests.networks --quiet --table docs/networks-table.rst $(ARGS)

# One planted defect per promise; each must turn its named test red.
sabotage: $(VENV)/test.done
	$(BIN)/python -m tests.sabotage $(ARGS)

# Simulated schedules beyond those of the tests: make simulate FIRST=10000 COUNT=5000
FIRST ?= 10000
COUNT ?= 2000
simulate: $(VENV)/test.done
	$(BIN)/python -m tests.simulation --first $(FIRST) --count $(COUNT)

# How fast it is beside nginx's nchan and others, written to docs/benchmarks.rst: make bench ROUNDS=3 ONLY='hundred idle'
ROUNDS ?= 7
bench: $(VENV)/bench.done build/load build/slowsync.so
	$(BIN)/python -m bench --rounds $(ROUNDS) $(if $(ONLY),--only $(ONLY))

build/load: $(wildcard bench/generator/*) | $(VENV)/bench.done
	mkdir -p build
	gcc -O2 -Wall -Wextra -o $@ $(filter %.c,$^)

build/slowsync.so: bench/slowsync.c | $(VENV)/bench.done
	mkdir -p build
	gcc -O2 -shared -fPIC -o $@ $< -ldl

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/run.done: setup.py tools/venv.sh
	tools/venv.sh $(VENV) $(PYTHON)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/test.done: setup.py tools/venv.sh tools/system-packages.sh
	tools/venv.sh $(VENV) $(PYTHON)
	tools/system-packages.sh strace curl iproute2 chromium nodejs nginx-core squid haproxy apache2-bin caddy
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@ $(VENV)/run.done

$(VENV)/bench.done: $(VENV)/run.done bench/requirements.txt
	tools/system-packages.sh --must gcc libc6-dev nginx-core libnginx-mod-nchan
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	touch $@
