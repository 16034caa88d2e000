# Parrotpark: `make` lists what there is to do.
SHELL := /bin/bash -eu -o pipefail
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

INVENTORY ?= inventories/local
# A hub name (org/name@commit) or a folder; empty keeps the one that an earlier run named.
MODEL ?=
HOST ?= entry:gpu
UNIT ?=
PERSON ?=
NAME ?=
GROUP ?=
ROUNDS ?= 5
LINES ?= 100
# Only the scenarios that are affected by what has changed since this commit.
SINCE ?=
TESTS ?=
# Scenarios of molecule, and unit tests, at a time: one more than there are processors, as each waits at times. The largest
# scenarios take 3 GB of memory.
JOBS ?= $(shell echo $$(($$(nproc) + 1)))
MOLECULE_LOGS := .ansible/molecule-logs
SAMPLES ?= 60
SEED ?= 1
YES ?=
OFF ?=
LOCKS ?= $(filter $(patsubst %.in,%.txt,$(wildcard requirements/*.in roles/*/files/*.in)), \
  $(wildcard requirements/*.txt roles/*/files/*.txt)) \
  $(wildcard roles/*/files/*/package-lock.json src/localcloud/demo/stand_ins/*/package-lock.json)
# A hijacked release is mostly noticed in its first days. A fix that cannot wait: COOLING_OFF='0 days'.
COOLING_OFF ?= 14 days
# Anything keeps the versions there are: the locks then change only where they are not what their sources make.
KEEP ?=
COMPILE := uv pip compile --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header

# Two hosts that install vLLM each take a quarter of an hour, and LiteLLM with Debian's npm takes its minutes a second
# time: only by name, and where the role has changed.
BY_NAME := litellm-alternative vllm-alternative
SCENARIOS := $(filter-out $(BY_NAME),$(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))
# Any number: of the second shapes of roles only the one whose turn it is.
TURN ?=
ALTERNATIVES := $(filter %-alternative,$(SCENARIOS))
CHOSEN = $(word $(shell echo $$(($(TURN) % $(words $(ALTERNATIVES)) + 1))),$(ALTERNATIVES))
ROLES = $(if $(TURN),$(filter-out $(ALTERNATIVES),$(SCENARIOS)) $(CHOSEN),$(SCENARIOS))

# Debian's packages that the tests need on top of what the doctor names.
TEST_PACKAGES := chromium hcloud-cli libnss3-tools

export UV_SYSTEM_CERTS := 1
# Python keeps what it compiles, or each run compiles all of Ansible again: a fifth of its time.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Named for the verbs, as Ansible does not look for it in a folder that everybody may write to.
up status logs invite export erase people password check site plan wake sleep sweep sweeper: export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
PLAYBOOK = ansible-playbook -i $(INVENTORY)
NAME_OF_INVENTORY = $(notdir $(INVENTORY:%/=%))
SWEEPER = python -m parrotpark.control.sweeper_timer
# One line a step on the screen, and all that Ansible says in the log; VERBOSE=1 for all of it on the screen.
RUN_LOG := $(CURDIR)/.ansible/run.log
ifdef VERBOSE
up site wake sleep sweep sweeper: export ANSIBLE_CALLBACKS_ENABLED := ansible.posix.timer,ansible.posix.profile_tasks
else
up site wake sleep sweep sweeper: export ANSIBLE_STDOUT_CALLBACK := parrotpark_progress
endif
up site wake sleep sweep sweeper: export ANSIBLE_LOG_PATH := $(RUN_LOG)
up site wake sleep sweep sweeper: start-log
start-log:
	@install -D --mode=0600 /dev/null $(RUN_LOG)

##@ Use it
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

doctor: ## Say whether this machine can run the local default, and what up will change
	@python3 src/localcloud/demo/doctor.py

up: ## Bring up everything on this machine [MODEL=org/name@commit or /folder, VERBOSE=1]
	@start=$$(python3 src/localcloud/demo/meter.py) && \
	python3 src/localcloud/demo/doctor.py && \
	$(MAKE) packages .venv/run && \
	python -m localcloud.demo.up --since "$$start" $(if $(MODEL),--model '$(MODEL)')

stop: only-local .venv/run ## Shut the machines down; their data stays
	@python -m localcloud stop

start: only-local .venv/run ## Boot the machines again
	@python -m localcloud start

down: only-local .venv/run ## Delete everything that up made [YES=1 does not ask]
	@python -m localcloud down $(if $(YES),--yes)
	@$(SWEEPER) off $(NAME_OF_INVENTORY) >/dev/null
	@rm -rf inventories/local/.state

# A slip must not take the machines of another inventory for those of this machine.
only-local:
	$(if $(filter-out inventories/local,$(INVENTORY)),$(error $(MAKECMDGOALS) is for inventories/local, not for $(INVENTORY)))

status: .venv/run ## Show machines and services
	@$(if $(filter inventories/local,$(INVENTORY)),python -m localcloud status)
	@$(SWEEPER) status $(NAME_OF_INVENTORY)
	@ansible-playbook -i $(INVENTORY) playbooks/status.yml

logs: .venv/run ## Show the journal [HOST=entry UNIT=litellm LINES=100]
	@ansible-playbook -i $(INVENTORY) playbooks/logs.yml -e logs_hosts='$(HOST)' -e logs_unit='$(UNIT)' -e logs_lines='$(LINES)'

invite: .venv/run ## Invite somebody, or invite them again [PERSON=ada@example.org NAME='Ada Lovelace' GROUP=staff]
	@ansible-playbook -i $(INVENTORY) playbooks/invite.yml -e person='$(PERSON)' -e group_of_person='$(GROUP)' \
	  $(if $(NAME),-e '{"name_of_person": "$(NAME)"}')

export: .venv/run ## Copy all data kept about somebody here, as one archive [PERSON=ada@example.org]
	@ansible-playbook -i $(INVENTORY) playbooks/export.yml -e person='$(PERSON)'

erase: .venv/run ## Delete all data kept about somebody, for good [PERSON=ada@example.org, YES=1 does not ask]
	@ansible-playbook -i $(INVENTORY) playbooks/erase.yml -e person='$(PERSON)' $(if $(YES),-e sure=yes)

people: .venv/run ## Show who may sign in
	@ansible-playbook -i $(INVENTORY) playbooks/people.yml

password: .venv/run ## Let somebody into the chat while sign-on is down; site ends that [PERSON=the administrator's]
	@ansible-playbook -i $(INVENTORY) playbooks/password.yml $(if $(PERSON),-e person='$(PERSON)')

##@ Run it
check: .venv/run ## Say whether the inventory will work and what it costs; touches nothing [HOURS=160 a month]
	@ansible-playbook -i $(INVENTORY) playbooks/check.yml $(if $(HOURS),-e hours_a_month='$(HOURS)')

site: .venv/run ## Converge everything to the inventory [INVENTORY=inventories/production, VERBOSE=1]
	$(PLAYBOOK) site.yml

plan: .venv/run ## Show what site would change
	$(PLAYBOOK) site.yml --check --diff

wake: .venv/run ## Create the GPU hosts and serve
	$(PLAYBOOK) playbooks/wake.yml

sleep: .venv/run ## Delete the GPU hosts; chat, login and history stay
	$(PLAYBOOK) playbooks/sleep.yml

sweep: .venv/run ## Delete what has no valid lease in the GPU hosts' project
	$(PLAYBOOK) playbooks/sweep.yml

sweeper: .venv/run ## Let this machine sweep, too, every ten minutes; for the day when the entry server cannot [OFF=1 ends it]
	$(if $(OFF),@$(SWEEPER) off $(NAME_OF_INVENTORY),$(PLAYBOOK) playbooks/sweeper.yml -e sweeper_inventory=$(NAME_OF_INVENTORY))

##@ Develop it
test: ## Unit tests, then the whole stack and its tests
	@$(MAKE) unit
	@$(MAKE) up
	@$(MAKE) e2e

# Python's tests use packages of Node, too. Node leaves a pipe that it writes to non-blocking, with which Ansible refuses to
# work: so it gets one of its own.
unit: packages .venv/dev ## Unit tests, of Python and of the stand-ins in Node
	set -e; for stand_in in src/localcloud/demo/stand_ins/*/package.json; do \
	  npm --prefix "$$(dirname "$$stand_in")" ci --ignore-scripts --silent; \
	  npm --prefix "$$(dirname "$$stand_in")" test; \
	done 2>&1 | cat
	pytest --numprocesses=$(JOBS) --dist=worksteal

e2e: packages test-packages .venv/dev ## Use the running stack as its users do
	pytest tests/e2e --ignore=tests/e2e/drills --durations=30

screenshots: packages test-packages .venv/dev ## Take the pictures of docs/people.md again
	pytest tests/e2e/test_people.py tests/e2e/test_budgets.py --screenshots docs/screenshots

conformance: packages test-packages .venv/dev ## Test the local cloud, by its API's own clients and in its machines [TESTS='not power_cut']
	@python -m localcloud start
	@python -m localcloud.demo.stand_ins.versitygw /var/lib/parrotpark/localcloud/artifacts/versitygw conformance
	pytest tests/conformance $(if $(TESTS),-k '$(TESTS)')

openstack: packages test-packages .venv/dev ## Test the OpenStack provider, and the running stack on it, against a real OpenStack built from packages; not in CI
	@python3 src/localcloud/demo/doctor.py --install mariadb-server rabbitmq-server
	pytest tests/openstack tests/unit/parrotpark/cloud/test_openstack.py --openstack
	pytest tests/e2e/drills/test_clouds.py --openstack --durations=0

# A quarter of an hour each, about: CI runs one of them in turn. What leaves the stack asleep comes last.
SHARE_0 := broken_chat leaks serving
SHARE_1 := fleet
SHARE_2 := golden_image boxes
SHARE_3 := librechat services
SHARE_4 := rebuild
SHARE_5 := tools clouds
ASLEEP := boxes clouds
DRILLS := $(filter-out $(ASLEEP),$(foreach share,0 1 2 3 4 5,$(SHARE_$(share)))) $(ASLEEP)

drills: packages test-packages .venv/dev ## Lose servers of the running stack, kill runs, refuse everything; see it recover [SHARE=0 to 5]
	@: $(if $(SHARE),$(or $(SHARE_$(SHARE)),$(error SHARE=$(SHARE): there are the shares 0 to 5)))
	pytest --durations=0 $(patsubst %,tests/e2e/drills/test_%.py,$(or $(SHARE_$(SHARE)),$(DRILLS)))

bench: .venv/run ## Measure a wake of the running stack beside a start by hand [ROUNDS=5]
	python -m tests.bench.wake $(ROUNDS)

audit: .venv/dev ## Let Lynis, ssh-audit and systemd-analyze judge the hosts; fail below the bounds of docs/audit.md
	python tests/audit/audit.py $(INVENTORY)

scenarios: packages test-packages .venv/dev # What each stands on; some need what `make up` makes, too.
	@python -m localcloud start
	@ANSIBLE_INVENTORY_ENABLED=host_list ansible-playbook -i , molecule/shared/image.yml
	@python -m localcloud.demo.stand_ins.librechat /var/lib/parrotpark/localcloud/artifacts

molecule: scenarios ## Test roles alone, on machines of the local cloud [ROLE=postgresql, SINCE=origin/main, JOBS=3]
	@rm -rf $(MOLECULE_LOGS)
	@chosen="$(or $(ROLE),$(if $(SINCE),$$(python -m tests.scenarios '$(SINCE)'),$(ROLES)))" && \
	$(MAKE) --jobs=$(JOBS) --keep-going --output-sync=target $${chosen:+$$(printf 'molecule-%s ' $$chosen)} no-more || \
	  { grep -E '(FAILED|ERROR).*::|fatal: ' $(MOLECULE_LOGS)/*.failed; exit 2; }

no-more: # Where no scenario is chosen, make would otherwise build its first target.

molecule-%: # One of them: a line where it passes, else all that it said; the lines that failed come once more at the end.
	@mkdir -p $(MOLECULE_LOGS); start=$$SECONDS; log=$(MOLECULE_LOGS)/$*; \
	COLUMNS=150 molecule test --scenario-name $* >$$log.log 2>&1 || { mv $$log.log $$log.failed && cat $$log.failed; exit 1; }; \
	echo "$* took $$((SECONDS - start)) s"

mutants: scenarios ## Delete lines of roles at random, and see whether a test turns red [SAMPLES=60 SEED=1 JOBS=2 GREEN=1]
	python -m tests.mutation.mutants --samples $(SAMPLES) --seed $(SEED) --jobs $(JOBS) $(if $(GREEN),--green)

lint: .venv/dev ## ansible-lint, mypy, ruff, generated docs, the changelog's form
	ruff check .
	ruff format --check .
	mypy
	python -m parrotpark.docs.roles --check
	python -m parrotpark.control.upgrade
	ansible-lint

# A lock of Python comes from the .in beside it, by the command that this names or, where it names none, the common one.
lock: .venv/bin/uv ## Resolve all locks again, with nothing younger than two weeks [LOCKS=requirements/run.txt]
	@for lock in $(LOCKS); do \
	  echo "$$lock"; cd "$(CURDIR)/$$(dirname "$$lock")"; name=$$(basename "$$lock" .txt); \
	  case $$lock in \
	    *.json) npm $(if $(KEEP),install,update) --package-lock-only --ignore-scripts --silent \
	      --before="$$(date --utc --date='$(COOLING_OFF) ago' +%FT%TZ)" ;; \
	    *) command=$$(sed -n 's/^# \(uv pip compile .*\)/\1/p' "$$name.in"); \
	      $${command:-$(COMPILE) $$name.in -o $$name.txt} --quiet $(if $(KEEP),,--upgrade) \
	        --exclude-newer '$(COOLING_OFF)' ;; \
	  esac; \
	done

.PHONY: help doctor up stop start down status logs invite export erase people password check site plan wake sleep sweep sweeper test unit e2e screenshots conformance openstack drills bench audit scenarios molecule no-more mutants lint lock packages only-local start-log test-packages

# Install only what is missing: a second run touches neither apt nor the network.
packages:
	@python3 src/localcloud/demo/doctor.py --install

test-packages:
	@python3 src/localcloud/demo/doctor.py --install $(TEST_PACKAGES)

# Where pyenv has a new enough Python but its shim is inactive, uv skips it: name the real ones last.
# A Python that works is kept: with another one, that a later uv may prefer, all that is installed would be missing.
.venv/bin/uv: requirements/uv.txt
	@python3 -m venv --clear .venv/uv && .venv/uv/bin/pip install --quiet --require-hashes -r requirements/uv.txt
	@.venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || { \
	  find .venv -mindepth 1 -maxdepth 1 ! -name uv -exec rm -rf {} + && \
	  PATH="$$PATH:$$(echo $$HOME/.pyenv/versions/3.1[2-9]*/bin | tr ' ' :)" \
	  .venv/uv/bin/uv venv --quiet --allow-existing --python '>=3.12' .venv; }
	@ln -sf ../uv/bin/uv .venv/bin/uv && touch .venv/bin/uv

.venv/run: .venv/bin/uv requirements/run.txt pyproject.toml
	@echo "Installing Ansible and its collections into .venv"
	@uv pip install --quiet --python .venv --require-hashes -r requirements/run.txt
	@uv pip install --quiet --python .venv --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/run requirements/dev.txt
	@echo "Installing the tools of the tests into .venv"
	@uv pip install --quiet --python .venv --require-hashes -r requirements/dev.txt
	@touch $@
