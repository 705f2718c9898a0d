# The front door.  The build itself is CMake's: see CMakePresets.json, cmake/README.md.

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
# Also named in the test preset arm64.
ARM_TESTS = base_hash base_rng base_str tensor_kernels tensor_quant infer_blocks infer_forward infer_matrix \
	infer_models infer_panels
JOBS ?= $(shell nproc)
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)
export CTEST_PARALLEL_LEVEL ?= $(JOBS)

.PHONY: help demo demo-foundation test test-slow test-clang test-threads bench bench-peers peers fuzz tidy interop \
	vocabularies install release dev test-arm clean
.NOTPARALLEL:

help:
	@echo 'make demo         build, then take a manual from HTML to an answering model (examples/postgres-manual)'
	@echo 'make demo-foundation  the same with a foundation model: fetch, compare, review, serve (examples/foundation)'
	@echo 'make test         build with sanitizers and run the fast tests'
	@echo 'make test-slow    the tests labelled slow, in the release build'
	@echo 'make test-clang   the fast tests, built with clang'
	@echo 'make test-threads the fast tests under ThreadSanitizer'
	@echo 'make test-arm     kernels and forward pass, cross-compiled for 64-bit ARM, tested with qemu'
	@echo 'make bench        run the benchmarks; results go to bench/results/<machine>.csv'
	@echo 'make bench-peers  loom and llama.cpp by turns, on the same real model (downloads and compiles the peer)'
	@echo 'make fuzz         FUZZ_SECONDS=$(FUZZ_SECONDS) for each parser'
	@echo 'make tidy         layers, format, house rules, clang-tidy'
	@echo 'make interop      check what loom writes with the tools of others (Python packages)'
	@echo 'make vocabularies tokenizers of real models, for make interop and benchmarks (downloads 350 MB)'
	@echo 'make release      build/release/loom'
	@echo 'make install      PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make deps-GROUP   install the Debian packages of a GROUP in packages.txt'
	@echo 'make clean        remove build/'

deps-%:
	@sh cmake/install_packages.sh $*

dev: deps-build deps-test
	cmake --preset dev && cmake --build --preset dev

test: deps-build deps-test
	@start=$$(date +%s); cmake --workflow --preset dev && echo "make test: $$(($$(date +%s) - start)) s"

test-slow: release
	ctest --preset slow

test-clang: deps-build deps-test deps-fuzz
	cmake --workflow --preset ci-clang

test-threads: deps-build deps-fuzz
	cmake --workflow --preset tsan

test-arm: deps-build deps-arm
	sh cmake/arm64_sysroot.sh build/arm64-sysroot
	cmake --preset arm64
	cmake --build --preset arm64 --target $(ARM_TESTS:%=test_%)
	ctest --preset arm64

release: deps-build
	cmake --workflow --preset release

demo: deps-demo release
	examples/postgres-manual/demo.sh build/release/loom

demo-foundation: deps-foundation release
	examples/foundation/demo.sh build/release/loom

bench: release
	sh bench/run.sh build/release

peers: deps-interop
	bash bench/peers/setup.sh build

vocabularies: deps-interop
	bash tests/interop/fetch_vocabularies.sh build/vocabularies

bench-peers: peers release
	build/peers-venv/bin/python bench/peers/infer.py build/release/loom build/models bench/results
	build/peers-venv/bin/python bench/peers/embed.py build/release/loom build/models/minilm bench/results

fuzz: deps-build deps-fuzz
	cmake --workflow --preset fuzz
	FUZZ_SECONDS=$(FUZZ_SECONDS) sh fuzz/run.sh build/fuzz

tidy: deps-build deps-tidy
	sh tests/tidy/all.sh

interop: deps-interop release
	python3 -m venv build/interop-venv
	build/interop-venv/bin/pip install --quiet --requirement tests/interop/requirements.txt
	PATH="$(CURDIR)/build/interop-venv/bin:$$PATH" tests/interop/run.sh build/release/loom

install: release
	DESTDIR=$(DESTDIR) cmake --install build/release --prefix $(PREFIX) --strip

clean:
	rm -rf build
