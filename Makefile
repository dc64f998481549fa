# The entry points; each is a script that also runs by itself.

# Outside the clone, so that a clean clone builds fast the second time.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/hawser/target

.PHONY: demo test check bench plugin deps

# Two volumes, two containers and a restart, told in plain words. Needs root.
# `make demo EC2=fake` shows volumes on Amazon EBS, with an EC2 of the tests' in place of Amazon's.
demo: deps
	$(if $(filter fake,$(EC2)),demo/ebs.sh,demo/demo.sh)

# All tests, those with a real Docker engine too. Needs root.
test: deps
	scripts/test.sh

# Formatting, lints, documentation, dependencies: all of them run, then the failures are listed.
check:
	scripts/check.sh

# What the calls and the data path cost, as Markdown on stdout. About five minutes; needs root.
bench: deps
	cargo bench --locked --bench plugin

# The managed plugin: a directory in the target directory, and `docker plugin create` from it.
plugin: deps
	plugin/build.sh

deps:
	scripts/install-deps.sh
