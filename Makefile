# A thin face on CMake and Ninja (CMakePresets.json). `make help` lists what there is.
PREFIX       ?= /usr/local
FUZZ_SECONDS ?= 60
WORKERS      ?= $(shell nproc)

.PHONY: all help setup demo test lint tidy format asan tsan ref nodeps onednn3 fuzz bench install clean

all: build/release/build.ninja ## build the library and the program (release)
	@ninja -C build/release -j $(WORKERS)

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /  make \1\t/p' Makefile | expand -t 18

setup: ## install what is missing (apt)
	@tools/setup.sh

demo: setup all ## train the tutorial network on real digits
	@tools/demo.sh build/release/glia

test: setup all ## build everything and run all tests
	@ctest --test-dir build/release --output-on-failure --no-tests=error -j $(WORKERS)

lint: ## formatting, floors, file sizes
	@tools/setup.sh lint
	@tools/lint.sh

tidy: ## clang-tidy over library and program
	@tools/setup.sh tidy
	@cmake --preset nodeps >/dev/null
	@git ls-files 'src/*.c' 'cli/*.c' | grep -v -e dnnl/ -e TEMPLATE | xargs -P $(WORKERS) -n 8 \
	    clang-tidy -p build/nodeps --quiet --extra-arg=-Wno-unknown-warning-option

format: ## clang-format every source
	@tools/setup.sh lint
	@clang-format -i $$(git ls-files '*.c' '*.h')

asan tsan ref: setup ## the tests under address+undefined or thread sanitizers, or without oneDNN
	@cmake --preset $@ >/dev/null && ninja -C build/$@ -j $(WORKERS)
	@ctest --test-dir build/$@ --output-on-failure --no-tests=error -j $(WORKERS)

onednn3: setup ## the tests with oneDNN 3.x, which it fetches from the Python package index
	@tools/fetch_onednn3.sh build/onednn3-package
	@cmake --preset $@ >/dev/null && ninja -C build/$@ -j $(WORKERS)
	@ctest --test-dir build/$@ --output-on-failure --no-tests=error -j $(WORKERS) -LE install

nodeps: setup ## build without any optional library
	@cmake --preset $@ >/dev/null && ninja -C build/$@ -j $(WORKERS)

fuzz: all ## run random graphs and every fuzzer for FUZZ_SECONDS
	@tools/setup.sh fuzz || true # without clang fuzz.sh says so
	@JOBS=$(WORKERS) tools/fuzz.sh $(FUZZ_SECONDS)

bench: all ## times beside PyTorch's, when it is there (JOBS=J1,J5: only these)
	@bench/run.sh $(JOBS)

install: all ## install to PREFIX (DESTDIR is honoured)
	@cmake --install build/release --prefix $(PREFIX)

clean: ## remove build/
	@rm -rf build

build/%/build.ninja: CMakeLists.txt CMakePresets.json
	@cmake --preset $* >/dev/null
