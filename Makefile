# The project's verbs. Each installs what it needs: Node 24 and the packages come from npm, the rest
# is built or installed by test/cluster and kept under ~/.cache/kiln.

SHELL := /bin/bash
# Programs of packages begin with `env node`: that has to be ours, whatever the machine has.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
node := node_modules/.bin/node
# Written by npm ci; older than the lock file means that packages changed.
installed := node_modules/.package-lock.json

.PHONY: demo test fuzz bench up down check generate clean

## demo: from a fresh clone to an image in a registry
demo: $(installed)
	$(node) test/demo/main.ts

## test: the checks and every suite; SUITES="unit integration" runs some
test: $(installed)
	$(node) scripts/test.ts $(SUITES)

## fuzz: the fuzz suite alone; FUZZ_CASES=1000000 for a long run
fuzz: $(installed)
	$(node) scripts/test.ts fuzz

## bench: the BuildKit client against buildctl; CASES="noop 1g-file" runs some
bench: $(installed)
	$(node) bench/client/main.ts $(CASES)

## up: start the demo's cluster alone; CLUSTER=kind takes Docker and kind instead
up: $(installed)
	$(node) test/cluster/main.ts up

## down: end it and leave nothing
down: $(installed)
	$(node) test/cluster/main.ts down

## check: types, lint, format, generated files
check: $(installed)
	$(node) scripts/test.ts checks

## generate: write everything that is generated
generate: $(installed)
	$(node) scripts/generate.ts

$(installed): package-lock.json
	npm ci --no-audit --no-fund
	touch $@
