# Every way to build, run and check Salver. `make` alone lists them.

PYTHON ?= python3
CARGO ?= cargo

# Where things that are fetched or made go; all of it can be deleted at any time.
export CARGO_TARGET_DIR ?= target
LIB ?= .lib
VENV ?= .venv

# Engines whose libraries are fetched.
ENGINES := onnxruntime openvino litert pjrt

REPOSITORY ?= models/repository
SERVE_FLAGS ?=
# Such as --quick, --rounds 7, --only steady idle, --overload-minutes 10.
BENCH_FLAGS ?=

.PHONY: help build serve test test-rust test-edge test-loom test-clients test-drift test-balancer test-registry test-chart test-models lint bench \
	bench-pictures bench-models models $(ENGINES) docker-registry azurite haproxy java clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

build: ## Build the server and the load generator, optimised
	$(CARGO) build --release --locked -p server-app -p loadtest

serve: build ## Serve the sample models on ports 8000 (HTTP), 8001 (gRPC), 8002 (metrics)
	@$(MAKE) --no-print-directory onnxruntime || echo "ONNX Runtime could not be fetched: tract serves instead"
	$(CARGO_TARGET_DIR)/release/salver serve --model-repository $(REPOSITORY) $(SERVE_FLAGS)

test: test-rust test-edge test-loom test-clients test-drift test-registry test-airflow test-spark test-balancer test-models test-chart ## Run every test

test-rust: $(ENGINES) ## Unit, conformance, property and system tests
	$(CARGO) test --workspace --locked

test-edge: ## The server as small machines have it: what is there, and what is refused
	$(CARGO) test --locked -p server-app --no-default-features --features edge --lib --test it

test-loom: ## Every interleaving of the lane's threads
	$(CARGO) test --locked -p server-serving --features loom --test lane_loom

test-clients: $(ENGINES) $(VENV)/tests/ready ## The public clients against the real binary
	@# Built as `test-rust` builds it: another selection of crates would compile everything again.
	$(CARGO) test --workspace --locked --no-run --quiet
	SALVER_BIN=$(CARGO_TARGET_DIR)/debug/salver $(VENV)/tests/bin/python -m pytest -q server/app/tests/clients proto/tests

test-registry: docker-registry azurite $(VENV)/registry/ready ## Models from real registries: MLflow, S3, Azure, OCI, Olah, signatures
	@# Built as `test-rust` builds it: another selection of crates would compile everything again.
	$(CARGO) test --workspace --locked --no-run --quiet
	SALVER_BIN=$(CARGO_TARGET_DIR)/debug/salver LIB=$(LIB) $(VENV)/registry/bin/python -m pytest -q -rs server/app/tests/registry

test-airflow: $(VENV)/airflow/ready ## A trigger against a real Airflow 3
	$(CARGO) test --workspace --locked --no-run --quiet
	SALVER_BIN=$(CARGO_TARGET_DIR)/debug/salver $(VENV)/airflow/bin/python -m pytest -q server/app/tests/airflow

.PHONY: test-airflow

test-spark: java $(VENV)/spark/ready ## Spark over the prediction log of two servers
	$(CARGO) test --workspace --locked --no-run --quiet
	@# Where there is no Java the target before has said so; the tests themselves are never skipped.
	! command -v java >/dev/null || \
		SALVER_BIN=$(CARGO_TARGET_DIR)/debug/salver $(VENV)/spark/bin/python -m pytest -q server/app/tests/spark

.PHONY: test-spark

test-balancer: onnxruntime openvino haproxy $(VENV)/balancer/ready ## Real servers behind Envoy and HAProxy
	$(CARGO) test --workspace --locked --no-run --quiet
	SALVER_BIN=$(CARGO_TARGET_DIR)/debug/salver $(VENV)/balancer/bin/python -m pytest -q -rs server/app/tests/balancer

test-drift: $(VENV)/drift/ready ## The statistics of drift against the real Evidently
	$(CARGO) test --workspace --locked --no-run --quiet
	SALVER_BIN=$(CARGO_TARGET_DIR)/debug/salver $(VENV)/drift/bin/python -m pytest -q server/drift/tests/evidently

drift-power: ## Draw what thresholds of drift find and what they cry wolf about, for the documents
	SALVER_DRIFT_POWER=$(abspath server/pictures/drift-power.svg) \
		$(CARGO) test --locked -p server-monitor --lib -- --ignored --nocapture power_of_thresholds

.PHONY: drift-power

test-long: docker-registry azurite $(VENV)/registry/ready $(VENV)/tests/ready build ## What takes minutes: 200 kills of a process that logs and of the server, a receiver that hangs for ten minutes, 100 moves of an alias under load, false alarms of monitors
	SALVER_CRASH_ROUNDS=200 $(CARGO) test --locked -p server-feedback --test crash -- --nocapture
	$(CARGO) test --locked -p server-monitor --lib -- --ignored --nocapture
	SWAPS=100 SALVER_BIN=$(CARGO_TARGET_DIR)/release/salver LIB=$(LIB) \
		$(VENV)/registry/bin/python -m pytest -q -rs server/app/tests/registry/test_serve.py -k moves_under_load
	SALVER_HANG_S=600 SALVER_BIN=$(CARGO_TARGET_DIR)/release/salver LIB=$(LIB) \
		$(VENV)/registry/bin/python -m pytest -q -rs server/app/tests/registry/test_log_sinks.py -k receiver_that_hangs
	SALVER_CRASH_ROUNDS=200 SALVER_BIN=$(CARGO_TARGET_DIR)/release/salver \
		$(VENV)/tests/bin/python -m pytest -q -rs server/app/tests/clients/test_prediction_log.py -k kills_lose_nothing

.PHONY: test-long

test-models: $(VENV)/models/ready ## The committed models against a rebuild and their recorded answers
	cd models && $(abspath $(VENV))/models/bin/python -m train.build --check

test-chart: $(VENV)/helm/ready ## The chart and the Dockerfile
	$(VENV)/helm/bin/python -m pytest -q helm/tests

lint: ## Formatting and lints, warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --locked -p server-app --all-targets --no-default-features --features edge -- -D warnings

bench: bench-binaries ## Measure against the bare engine and the bare transport, and judge the targets
	$(PYTHON) loadtest/bench/run.py --bin $(CARGO_TARGET_DIR)/release $(BENCH_FLAGS)

bench-engines: bench-binaries litert pjrt $(VENV)/pjrt/ready $(VENV)/litert/ready ## Measure PJRT beside jax, LiteRT beside its Python package, candle beside ONNX Runtime
	$(CARGO) build --release --locked -p backend-pjrt --example raw-pjrt -p backend-litert --example raw-litert -p backend-candle --example raw-candle
	VENV=$(abspath $(VENV)) $(PYTHON) loadtest/bench/run.py --bin $(CARGO_TARGET_DIR)/release --only pjrt litert candle $(BENCH_FLAGS)

.PHONY: bench-engines

bench-pictures: bench-binaries ## Draw latency over throughput anew, for the documents
	$(PYTHON) loadtest/bench/run.py --bin $(CARGO_TARGET_DIR)/release --only curves $(BENCH_FLAGS)

.PHONY: bench-binaries
bench-binaries: build onnxruntime bench-models
	$(CARGO) build --release --locked -p backend-onnxruntime --example raw

demo-rollout: build onnxruntime $(VENV)/models/ready $(VENV)/balancer/ready ## Watch rollouts: a good candidate takes over, bad ones go back
	$(VENV)/models/bin/python loadtest/demo/rollout.py --bin $(CARGO_TARGET_DIR)/release/salver
	$(VENV)/balancer/bin/python loadtest/demo/balanced.py --bin $(CARGO_TARGET_DIR)/release/salver

demo-loop: build onnxruntime $(VENV)/registry/ready $(VENV)/airflow/ready ## Watch the loop close: drift, alarm, training in Airflow, rollout
	LIB=$(LIB) $(VENV)/registry/bin/python loadtest/demo/loop/loop.py --bin $(CARGO_TARGET_DIR)/release/salver \
		--airflow-python $(abspath $(VENV))/airflow/bin/python

.PHONY: demo-rollout demo-loop

models: $(VENV)/models/ready ## Train the sample models again
	cd models && $(abspath $(VENV))/models/bin/python -m train.build

bench-models: models/bench/ready ## Build the large models that benchmarks use

models/bench/ready: $(VENV)/models/ready $(wildcard models/train/*.py)
	cd models && $(abspath $(VENV))/models/bin/python -m train.bench
	touch $@

onnxruntime: ## Fetch ONNX Runtime's library, pinned
openvino: ## Fetch OpenVINO's libraries, pinned
litert: ## Fetch LiteRT's library, pinned
pjrt: ## Fetch the PJRT plugin for processors, pinned
$(ENGINES):
	@$(PYTHON) backends/fetch.py $@ $(LIB)/$@

docker-registry: ## Fetch Debian's OCI registry for the tests, if apt has it
	@test -x $(LIB)/docker-registry/usr/bin/docker-registry || { \
		mkdir -p $(LIB)/docker-registry && cd $(LIB)/docker-registry && \
		apt-get download -qq docker-registry 2>/dev/null && dpkg -x docker-registry_*.deb . ; \
	} || echo "docker-registry could not be fetched: the tests of oci:// against it are skipped"

AZURITE := server/app/tests/registry/azurite

azurite: ## Fetch Azure's blob service for the tests, pinned, if npm has it
	@cmp -s $(AZURITE)/package-lock.json $(LIB)/azurite/fetched || { \
		mkdir -p $(LIB)/azurite && cp $(AZURITE)/package.json $(AZURITE)/package-lock.json $(LIB)/azurite && \
		npm ci --prefix $(LIB)/azurite --ignore-scripts --silent >/dev/null 2>&1 && \
		cp $(AZURITE)/package-lock.json $(LIB)/azurite/fetched ; \
	} || echo "Azurite could not be fetched: the tests of az:// against it are skipped"

haproxy: # Debian's, if it may be installed; without it its tests are skipped
	@command -v haproxy >/dev/null || test -x /usr/sbin/haproxy || { \
		test "$$(id -u)" = 0 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq haproxy >/dev/null; \
	} || echo "HAProxy is not installed, and cannot be from here: its tests are skipped"

java: # Debian's runtime, if it may be installed; without one `test-spark` runs nothing, and says so
	@command -v java >/dev/null || { \
		test "$$(id -u)" = 0 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq openjdk-17-jre-headless >/dev/null; \
	} || echo "there is no Java runtime, and none can be installed from here: test-spark runs nothing"

# Such as --only driver pjrt, --minutes 5, --device cpu; `loadtest/gpu/run.py --help` lists the rest.
GPU_FLAGS ?=

test-gpu: ## The suites and the speed on an NVIDIA GPU; says what is missing where there is none
	@# Nothing checked is no failure where there is no GPU, and one where there is.
	@$(PYTHON) loadtest/gpu/run.py --lib $(LIB) $(GPU_FLAGS) || { code=$$?; test $$code = 77 && ! nvidia-smi -L >/dev/null 2>&1; }

test-gpu-prepare: onnxruntime-gpu ## Build, strip and split what `make test-gpu` needs where there is no compiler and no network
	$(PYTHON) loadtest/gpu/run.py --prepare --lib $(LIB)

onnxruntime-gpu: ## Fetch ONNX Runtime's libraries for NVIDIA GPUs, pinned
	@$(PYTHON) backends/fetch.py $@ $(LIB)/$@

candle-cuda: ## Build the server in which candle knows NVIDIA GPUs; fetches a CUDA toolkit, needs no GPU
	@$(PYTHON) backends/fetch.py cuda-toolkit $(LIB)/cuda-toolkit
	$(PYTHON) backends/candle/cuda.py --toolkit $(LIB)/cuda-toolkit --target $(CARGO_TARGET_DIR)/candle-cuda

edge: ## Build the server for small machines: tract and LiteRT, models from folders and web servers; hold it to its size
	$(PYTHON) loadtest/edge.py

edge-arm: ## That, for 64-bit ARM; asks it for a prediction under qemu, where that is
	@# Without a cross compiler nothing is built, and that is said.
	$(PYTHON) loadtest/edge.py --arm --lib $(LIB) || { code=$$?; test $$code = 77; }

.PHONY: test-gpu test-gpu-prepare onnxruntime-gpu candle-cuda edge edge-arm

fixtures: $(VENV)/models/ready $(VENV)/pjrt/ready ## Make the test models of LiteRT, candle and PJRT again
	cd models && $(abspath $(VENV))/models/bin/python ../backends/litert/fixtures/make.py
	cd models && $(abspath $(VENV))/models/bin/python ../backends/candle/fixtures/make.py
	cd backends/pjrt/fixtures && JAX_PLATFORMS=cpu $(abspath $(VENV))/pjrt/bin/python make.py

.PHONY: fixtures

# A virtual environment for each set of requirements: they do not agree with one another.
$(VENV)/tests/ready: server/app/tests/clients/requirements.txt
$(VENV)/balancer/ready: server/app/tests/balancer/requirements.txt server/app/tests/clients/requirements.txt
$(VENV)/drift/ready: server/drift/tests/evidently/requirements.txt
$(VENV)/models/ready: models/requirements.txt
$(VENV)/helm/ready: helm/tests/requirements.txt
$(VENV)/airflow/ready: server/app/tests/airflow/requirements.txt
$(VENV)/spark/ready: server/app/tests/spark/requirements.txt
$(VENV)/registry/ready: server/app/tests/registry/requirements.txt
$(VENV)/pjrt/ready: backends/pjrt/requirements.txt
$(VENV)/litert/ready: backends/litert/requirements.txt
$(VENV)/%/ready:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean: ## Delete everything that was built or fetched
	rm -rf $(CARGO_TARGET_DIR) $(LIB) $(VENV) models/bench
