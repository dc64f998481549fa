# The entry points; each is a script that also runs by itself.

# Outside the clone, so that a clean clone builds fast the second time.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/hawser/target

.PHONY: demo test lab check bench plugin deps lab-image

# Two volumes, two containers and a restart, told in plain words. Needs root.
# `make demo EC2=fake` shows volumes on Amazon EBS, with an EC2 of the tests' in place of Amazon's.
demo: deps
	$(if $(filter fake,$(EC2)),demo/ebs.sh,demo/demo.sh)

# All tests, those with a real Docker engine and with virtual machines too. Needs root.
test: deps lab-image
	scripts/test.sh

# All that is tested in virtual machines, step by step: docs/lab.md. Needs root.
lab: deps lab-image
	cargo test --locked --all-features --test lab -- --include-ignored --nocapture --test-threads=1 --skip measure_

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

# The virtual machines' disk: made once, in one to five minutes, and kept outside the clone.
lab-image: deps
	scripts/lab-image.sh
