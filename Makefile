# The project's verbs. `make` alone lists them. Settings are given after the verb: make soak MINUTES=10
.DEFAULT_GOAL := help
.SUFFIXES:
SHELL := /bin/bash

ARGS ?=
DATA ?= ./data
MINUTES ?= 5
SECONDS = 60
COUNT ?=
TARGETS ?=
ROUNDS ?= 0
CLIENTS ?= 8
ENGINE ?= lsm
DEPTH ?= 20
SEED ?=
SEEDS ?= 1000
BENCH_ARGS ?=
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)

STRATA = .build/release/strata
PYTHON = .build-python/bin/python3
# What runs code on several threads or asks memory of C; the address sanitizer looks at every decoder as well. FILTER="A B" names others.
THREADED = JobsTests DiskTests HostTests NodeLogTests WriteAheadLogTests BitcaskTests SSTableTests LSMTreeTests FiltersTests CheckersTests \
  MerkleTreeTests ConsistentHashingTests RaftTests TransportTests RESPTests
ADDRESSED = BytesTests CompressionTests AvroTests FuzzTests SimulationTests $(THREADED)
CRASHES = Crash|Mutation|KillTests

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

run: setup-run  ## build what is missing and serve ./data on 127.0.0.1:6379 (DATA=directory, ARGS="more flags")
	swift build -c release -j $(JOBS) --product strata
	mkdir -p "$(DATA)"
	exec $(STRATA) serve --dir "$(DATA)" $(ARGS)

build: setup-run  ## build everything, debug
	swift build -j $(JOBS)

test: setup-test  ## install what tests need, then every test (FILTER=regex for some)
	swift build -j $(JOBS) --build-tests
	set -o pipefail; swift test -j $(JOBS) --skip-build $(if $(FILTER),--filter '$(FILTER)') 2>&1 | tee .build/tests.log \
	  || { echo "What failed:"; grep -aE '✘|Fatal error' .build/tests.log | cut -c1-400; exit 1; }
	$(PYTHON) -m unittest discover --start-directory Scripts --pattern "*_test.py"
	STRATA_BINARY=.build/debug/strata $(PYTHON) -m unittest discover --start-directory Tests/Interop --pattern "test_*.py"

BENCHES = core checkers sim wal bitcask lsm sstable filters merkle hashing avro raft resp
bench: $(BENCHES:%=bench-%)  ## every benchmark against its peers (BENCH_ARGS="--rounds 7")

bench-core: setup-bench  ## the checksum against one lane in C
	swift run -c release --package-path Benchmarks bench-core $(BENCH_ARGS)

bench-checkers: setup-bench  ## the judges of histories, alone
	swift run -c release --package-path Benchmarks bench-checkers $(BENCH_ARGS)
bench-raft: setup-bench  ## agreement of three Raft cores in memory; three replicated servers against etcd
	swift build -c release -j $(JOBS) --product strata
	swift run -c release --package-path Benchmarks bench-raft $(BENCH_ARGS)

bench-sim: setup-bench  ## the simulator: events and virtual hours for a second of one core
	swift run -c release --package-path Benchmarks bench-sim $(BENCH_ARGS)
bench-filters: setup-bench  ## filters against their peers in C++
	swift run -c release --package-path Benchmarks bench-filters $(BENCH_ARGS)
bench-avro: setup-bench  ## Avro against libavro and fastavro
	swift run -c release --package-path Benchmarks bench-avro $(BENCH_ARGS)

bench-wal: setup-bench  ## the write-ahead log against C, LevelDB and RocksDB
	swift run -c release --package-path Benchmarks bench-wal $(BENCH_ARGS)

bench-bitcask: setup-bench  ## Bitcask against TKRZW, LMDB and RocksDB
	swift run -c release --package-path Benchmarks bench-bitcask $(BENCH_ARGS)

bench-lsm: setup-bench  ## the ordered engine against RocksDB's db_bench
	swift run -c release --package-path Benchmarks bench-lsm $(BENCH_ARGS)

bench-lsm-allocations: setup-run  ## fails where `get` or a move of an iterator allocates or counts references
	swift run -c release --package-path Benchmarks bench-lsm-allocations

lsm-differential: setup-bench  ## random operations on the ordered engine and on RocksDB, every read compared (BENCH_ARGS="--rounds 100 --seed 7")
	swift run -c release --package-path Benchmarks lsm-differential $(BENCH_ARGS)

bench-sstable: setup-bench  ## sorted tables against RocksDB's
	swift run -c release --package-path Benchmarks bench-sstable $(BENCH_ARGS)

bench-merkle: setup-bench  ## Merkle trees against OpenSSL's SHA-256, reconciliation against full exchanges
	swift run -c release --package-path Benchmarks bench-merkle $(BENCH_ARGS)
bench-hashing: setup-bench  ## placements of keys against libmemcached and the same structures in C++
	swift run -c release --package-path Benchmarks bench-hashing $(BENCH_ARGS)

bench-resp: setup-bench  ## the server against redis-server
	swift build -c release -j $(JOBS) --product strata
	swift run -c release --package-path Benchmarks bench-resp $(BENCH_ARGS)

bench-test: setup-bench  ## tests of the benchmark kit, and that peers and kit make the same load
	@$(MAKE) --no-print-directory -C Benchmarks/Peers check
	swift test -j $(JOBS) --package-path Benchmarks

sim: setup-run  ## fault simulation of every scenario that must hold (SEEDS=1000 of each); failures/ keeps what fails
	swift run -c release -j $(JOBS) strata sim hunt all --seeds $(SEEDS)

sim-night: setup-run  ## fault simulation for four hours
	swift run -c release -j $(JOBS) strata sim hunt all --minutes 240

crash: setup-run  ## crash enumeration, mutation and kill suites at depth DEPTH=20
	STRATA_DEPTH=$(DEPTH) swift test -j $(JOBS) --filter '$(CRASHES)'

soak: setup-test  ## kill -9 under load for MINUTES=5 (or ROUNDS=n), every acknowledged write checked (CLIENTS=8, SEED=n, ENGINE=lsm)
	swift build -c release -j $(JOBS) --product strata
	$(PYTHON) Scripts/soak.py --server $(STRATA) --minutes $(MINUTES) --rounds $(ROUNDS) --clients $(CLIENTS) --engine $(ENGINE) $(if $(SEED),--seed $(SEED))

cluster: setup-run  ## three replicated servers on ports 6381 to 6383, for a first try
	swift build -c release -j $(JOBS) --product strata
	@Scripts/cluster.sh $(STRATA) $(ARGS)

nemesis: setup-test  ## three real servers under kills, partitions, stops, full, lost and slow disks for MINUTES; their history judged (needs root)
	swift build -c release -j $(JOBS) --product strata
	$(PYTHON) Scripts/nemesis.py --server $(STRATA) --minutes $(MINUTES) --clients $(CLIENTS) $(if $(SEED),--seed $(SEED))

fuzz: setup-run  ## mutated bytes through every decoder for SECONDS=60 (or COUNT=n inputs; TARGETS=avro,merkle, SEED=n)
	swift build -c release -j $(JOBS) --product strata-fuzz
	Scripts/fuzz.py $(if $(COUNT),--count $(COUNT),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(if $(TARGETS),--targets $(TARGETS))

sanitize: sanitize-thread sanitize-address  ## the suites of THREADED and ADDRESSED under both sanitizers (FILTER="BitcaskTests RESPTests")

sanitize-thread: setup-run  ## suites that use threads under the thread sanitizer, one by one
	JOBS=$(JOBS) Scripts/sanitize.sh thread $(or $(FILTER),$(THREADED))

sanitize-address: setup-run  ## the same and every decoder under the address sanitizer
	JOBS=$(JOBS) Scripts/sanitize.sh address $(or $(FILTER),$(ADDRESSED))

requirements:  ## which numbered requirement has a test and which has not (STRICT=1: fail when one has none)
	@python3 Scripts/requirements.py $(if $(STRICT),--strict)

format:  ## format the Swift sources in place
	swift format --in-place --parallel --recursive Package.swift Sources Tests Benchmarks/Package.swift Benchmarks/Sources Benchmarks/Tests

lint:  ## say what format would change, change nothing
	swift format lint --strict --parallel --recursive Package.swift Sources Tests Benchmarks/Package.swift Benchmarks/Sources Benchmarks/Tests

docs:  ## reference pages of every module under .build-docs/
	Scripts/docs.sh

clean:  ## remove what the verbs above built; ./data stays
	rm -rf .build .build-tsan .build-asan .build-sanitize .build-docs .build-python .build-peers Benchmarks/.build Benchmarks/Peers/.build

setup-run:
	@Scripts/setup.sh run

setup-test:
	@Scripts/setup.sh test

setup-bench:
	@Scripts/setup.sh bench
	@$(MAKE) --no-print-directory -C Benchmarks/Peers

.PHONY: help run build test bench bench-core bench-checkers bench-sim bench-wal bench-bitcask bench-lsm bench-resp bench-test crash sim \
  sim-night soak fuzz sanitize sanitize-thread sanitize-address requirements format lint docs clean setup-run setup-test setup-bench \
  bench-lsm-allocations bench-merkle bench-hashing bench-filters bench-sstable bench-avro bench-raft cluster nemesis lsm-differential
