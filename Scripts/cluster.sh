#!/usr/bin/env bash
# Three replicated servers on this machine, for a first try. Ctrl-C ends them; what they keep stays in .cluster/ (rm -rf it to begin anew).
# Usage: Scripts/cluster.sh path/to/strata [flags for each server]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
strata="${1:?usage: Scripts/cluster.sh path/to/strata}"
shift
cluster="1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103"
mkdir -p .cluster
running=()
trap 'kill "${running[@]}" 2>/dev/null || true; wait' EXIT
for node in 1 2 3; do
  "$strata" serve --node "$node" --cluster "$cluster" --dir ".cluster/n$node" --port "638$node" "$@" >".cluster/n$node.log" 2>&1 &
  running+=("$!")
  echo "$!" >".cluster/n$node.pid"
done
for node in 1 2 3; do
  until grep -q "listening on" ".cluster/n$node.log"; do
    kill -0 "${running[node - 1]}" 2>/dev/null || { cat ".cluster/n$node.log" >&2; exit 1; }
    sleep 0.05
  done
done
cat <<TEXT
three nodes serve one key space:  redis-cli -p 6381 | 6382 | 6383
  who leads                       strata raft status --server 127.0.0.1:6381
  kill the leader                 kill -9 \$(cat .cluster/n1.pid)
  logs                            .cluster/n1.log …
TEXT
wait
