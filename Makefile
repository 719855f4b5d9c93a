# make call: set up and start a voice call on this machine.  make test: set up and run every check.  make help: the rest.

.DEFAULT_GOAL := help
PYTHON ?=

.PHONY: call test test-phone test-deploy test-k8s test-fault test-soak unit lint setup vibevoice vibevoice-cpu doctor lock clean help

call:
	@$(find_python); exec "$$python" -m worker.setup $(if $(PHONE),phone,call)

test test-phone test-deploy test-k8s test-fault test-soak unit lint setup vibevoice vibevoice-cpu doctor clean:
	@$(find_python); exec "$$python" -m worker.setup $@

lock:
	@$(find_python); exec "$$python" -m worker.setup lock $(if $(UPGRADE),--upgrade)

help:
	@echo 'make call      set up what is missing and start a whole voice agent; Ctrl-C ends it'
	@echo 'make call PHONE=1  the same with redis and a SIP bridge: any softphone on this machine can dial the agent'
	@echo 'make test      set up what is missing and run everything: lint, types, unit, system, faults, browser, phone, deploy'
	@echo 'make test-fault  every row of the fault suite: what is killed, frozen or starved, and what the caller hears'
	@echo 'make test-soak   a call of 300 turns, a fifth of them broken off: nothing may grow'
	@echo 'make test-phone  only the phone: a real SIP bridge and real telephones'
	@echo 'make test-deploy only chart, images, dashboards and alerts'
	@echo 'make test-k8s    autoscaling on a real Kubernetes control plane, built here: 10 minutes and 9 GB at first'
	@echo 'make unit      only the tests that start no servers'
	@echo 'make lint      only lint, format, types and import rules'
	@echo 'make setup     only set up'
	@echo 'make vibevoice set up what VibeVoice needs as well: torch, 3 GB on Linux'
	@echo 'make vibevoice-cpu  the same for a CPU alone: no torch, 0.1 GB more than for a call'
	@echo 'make doctor    what is there, what is missing, and the command that mends it'
	@echo 'make lock      compile requirements/*.txt again (UPGRADE=1: to the newest versions)'
	@echo 'make clean     remove .venv, .tools and build'
	@echo 'PYTHON=python3.12 chooses the Python'

# The first Python from 3.11 to 3.14, or one line that says what was found.
define find_python
python=; seen=; \
for name in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	version=$$("$$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	case $$version in 3.11|3.12|3.13|3.14) python=$$name; break;; esac; \
	seen="$$seen $$name is $$version,"; \
done; \
if [ -z "$$python" ]; then \
	echo "make: no Python from 3.11 to 3.14:$${seen:- none found,} install one (Debian and Ubuntu: apt install python3.11 python3.11-venv; macOS: brew install python@3.13)" >&2; \
	exit 1; \
fi
endef
