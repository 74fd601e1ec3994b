# Everything a fresh machine needs besides Python >= 3.11 (with venv) and a C++20 compiler is installed
# into .venv by the first target that needs it. Changed Python sources are picked up as they are; changed
# native sources rebuild.

PYTHON ?= python3
BIN := .venv/bin
NATIVE := pyproject.toml CMakeLists.txt $(wildcard cpp/*)
CPP := $(wildcard cpp/* tests/native/*.cc benchmarks/*.cc benchmarks/peers/*.cc benchmarks/peers/*.h)
OLDEST := $(shell sed -n 's/^OLDEST = "\(.*\)"/\1/p' src/elimax/_primitive/jax_version.py)

.PHONY: demo test slow lint format sanitize tsan oldest aarch64 instructions bench clean help

help: ## List the targets.
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: .venv/installed ## Fit mixed models to three data sets, beside lme4.
	$(BIN)/python examples/mixed_model.py

test: lint ## Everything CI runs: lint, then the test suite, but for what is slow.
	$(BIN)/pytest -n 2 -m "not slow"

slow: .venv/installed ## The slow tests: large references, threads under ThreadSanitizer, packages, every case twice.
	$(BIN)/pytest -n 2 -m slow

lint: .venv/installed ## Style and types, Python and C++.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CPP)

format: .venv/installed ## Format all sources in place.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CPP)

# CPython itself is not instrumented: its leaks are not ours, and libasan must be loaded before it.
sanitize: .venv-sanitize/installed ## The suite under AddressSanitizer and UndefinedBehaviorSanitizer.
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	.venv-sanitize/bin/python -m pytest -n 2 -m "not slow"

# Only our library is instrumented; what the others do among themselves is theirs.
tsan: .venv-tsan/installed ## What runs on many threads, under ThreadSanitizer.
	TSAN_OPTIONS=ignore_noninstrumented_modules=1 LD_PRELOAD="$$($(CXX) -print-file-name=libtsan.so)" \
	.venv-tsan/bin/python -m pytest tests/test_threads.py tests/transform/test_batch.py
	.venv-tsan/bin/python -m pytest tests/native/test_threads.py

oldest: .venv-oldest/installed ## The suite on the oldest supported JAX.
	.venv-oldest/bin/pytest -n 2 -m "not slow"

# Needs cmake, ninja, g++-aarch64-linux-gnu and qemu-user; minutes, as the emulated processor is slow.
aarch64: .venv/installed ## The library for 64-bit ARM, and its dense kernels on an emulated one.
	cmake -S . -B build/aarch64 -G Ninja -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
	  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DPython3_EXECUTABLE=$(CURDIR)/$(BIN)/python
	cmake --build build/aarch64
	CXX=aarch64-linux-gnu-g++ ELIMAX_CHECK_FLAGS=-O2 ELIMAX_CHECK_RUN="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
	  $(BIN)/pytest tests/native/test_dense.py -k naive

instructions: .venv/installed ## Record how many instructions the kernels execute.
	$(BIN)/python -m tests.native.instructions

bench: .venv/installed ## Time Elimax next to its peers; see benchmarks/README.md.
	$(BIN)/pip install --quiet --editable '.[benchmark]'
	$(BIN)/python -m benchmarks

clean: ## Remove everything that was built or installed here.
	rm -rf .venv .venv-sanitize .venv-tsan .venv-oldest build dist output

.venv/installed: $(NATIVE)
	$(call install)

.venv-sanitize/installed: $(NATIVE)
	$(call install,--config-settings=cmake.define.ELIMAX_SANITIZE=address --config-settings=build-dir=build/sanitize)

.venv-tsan/installed: $(NATIVE)
	$(call install,--config-settings=cmake.define.ELIMAX_SANITIZE=thread --config-settings=build-dir=build/tsan)

.venv-oldest/installed: $(NATIVE) src/elimax/_primitive/jax_version.py
	$(call install,jax==$(OLDEST) jaxlib==$(OLDEST))

# $(call install,options): this package, editable, into the virtual environment of the target.
define install
test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
$(@D)/bin/pip install --quiet --disable-pip-version-check $(1) --editable '.[test,lint]'
touch $@
endef
