#!/usr/bin/env bash
# Installs what a verb of the Makefile needs and the machine lacks. Usage: Scripts/setup.sh run|test|bench
#
# run    the compression libraries tables and files are written with
# test   run's packages, avrocat, libmemcached, redis-cli and redis-benchmark (the real clients the server is tested with),
#        Python with what Scripts/python-packages.txt names in .build-python/, etcd's Raft test vectors in .build-vectors/
# bench  test's packages, a C++ compiler and the peers the benchmarks measure against
#
# Silent when nothing is missing. Touches the network only when something is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

purpose="${1:-}"
case "$purpose" in run | test | bench) ;; *) fail "usage: Scripts/setup.sh run|test|bench" ;; esac

command -v swift >/dev/null || fail "no swift on the PATH; install Swift 6.2 or later from https://www.swift.org/install and try again"

missing=()    # packages to install
reasons=()    # why, in the same order
want() {      # want PACKAGE REASON: the package itself is asked for
  if ! dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; then missing+=("$1"); reasons+=("$2"); fi
}
want_command() {  # want_command COMMAND PACKAGE REASON: any provider of the command will do
  if ! command -v "$1" >/dev/null; then missing+=("$2"); reasons+=("$3"); fi
}

if command -v dpkg-query >/dev/null; then
  want liblz4-dev "LZ4, compresses tables"
  want libzstd-dev "Zstandard, compresses tables"
  want zlib1g-dev "DEFLATE, for Avro files"
  want libsnappy-dev "Snappy, for Avro files"
  want libbz2-dev "bzip2, read in Avro files"
  want liblzma-dev "xz, read in Avro files"
  want libxxhash-dev "xxHash, the hash of filters"
fi
if [ "$purpose" != run ]; then
  want_command redis-cli redis-tools "redis-cli, a real client for the server's tests"
  want_command redis-benchmark redis-tools "redis-benchmark, a real client for the server's tests"
  want avro-bin "avrocat, a real reader for Avro files"
  want_command python3 python3 "runs the redis-py tests and the soak"
  want_command ip iproute2 "network namespaces, which the nemesis cuts off from each other"
  want libmemcached-dev "libmemcached, whose placement of keys is compared with ketama rings, and their peer in benchmarks"
  if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    missing+=(python3-venv); reasons+=("makes the Python environment in .build-python")
  fi
fi
if [ "$purpose" = bench ]; then
  command -v dpkg-query >/dev/null || fail "the benchmarks' peers come from Debian or Ubuntu packages; this system has no dpkg"
  want_command g++ g++ "compiles the benchmarks' peers"
  want libavro-dev "libavro, a peer of Avro"
  want libleveldb-dev "LevelDB's log, a peer of the write-ahead log"
  want librocksdb-dev "RocksDB, a peer of the log, of Bitcask and of sorted tables"
  want rocksdb-tools "db_bench, the peer of the ordered engine"
  want liblmdb-dev "LMDB, a peer of Bitcask"
  want libssl-dev "OpenSSL's SHA-256, the peer of Merkle trees"
  want libtkrzw-dev "TKRZW, a peer of Bitcask"
  want etcd-server "etcd, the peer of the replicated server"
  want golang-go "compiles the load generator of replicated servers"
  want golang-etcd-server-dev "etcd's client, for that generator"
fi

if [ "${#missing[@]}" -gt 0 ]; then
  for index in "${!missing[@]}"; do say "missing: ${missing[$index]} (${reasons[$index]})"; done
  mapfile -t packages < <(printf '%s\n' "${missing[@]}" | sort -u)
  command -v apt-get >/dev/null || fail "this system has no apt-get; install these yourself: ${packages[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "neither root nor sudo; run as root: apt-get install ${packages[*]}"
    as_root=(sudo)
  fi
  say "installing with apt-get: ${packages[*]}"
  "${as_root[@]}" apt-get update -qq >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
fi

if [ "$purpose" != run ] && [ ! -f .build-vectors/usr/share/gocode/src/go.etcd.io/etcd/raft/testdata/campaign.txt ]; then
  # Only the files are wanted, not the Go packages an installation would bring along.
  say "fetching etcd's Raft test vectors (golang-etcd-server-dev) into .build-vectors"
  command -v apt-get >/dev/null || fail "no apt-get to fetch golang-etcd-server-dev with; unpack that Debian package into .build-vectors"
  mkdir -p .build-vectors/download
  (cd .build-vectors/download && apt-get download -qq golang-etcd-server-dev >&2 && dpkg -x golang-etcd-server-dev_*.deb ..)
  rm -rf .build-vectors/download
fi

if [ "$purpose" != run ]; then
  python=.build-python/bin/python3
  if ! cmp -s Scripts/python-packages.txt .build-python/installed.txt || ! "$python" -c 'import redis' 2>/dev/null; then
    say "making .build-python with: $(tr '\n' ' ' <Scripts/python-packages.txt)"
    [ -x "$python" ] || python3 -m venv .build-python
    "$python" -m pip install --quiet --disable-pip-version-check -r Scripts/python-packages.txt >&2
    cp Scripts/python-packages.txt .build-python/installed.txt
  fi
fi

if [ "$purpose" = bench ]; then
  # Debian's redis-tools holds the server's program under the name of its checker and takes its role from that name; the package
  # redis-server would start a daemon on this machine, which a benchmark has no right to do.
  mkdir -p .build-peers
  if command -v redis-server >/dev/null; then
    ln -sfn "$(command -v redis-server)" .build-peers/redis-server
  else
    ln -sfn "$(command -v redis-check-rdb)" .build-peers/redis-server
  fi
  .build-peers/redis-server --version | grep -q '^Redis server' || fail "no redis-server to measure against; install one and try again"
fi
