#!/bin/bash
# sanitize.sh thread|address TESTS...: builds the tests under a sanitizer and runs these test targets, each in a process of its own.
#
# One process for all would hold the memory of every suite at once, several times as much as they need without a sanitizer, and one suite
# that hangs would hide the others. What a target prints is kept in .build-sanitize/ and shown where it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
shift
seconds=${SANITIZE_SECONDS:-900}
scratch=.build-${kind:0:1}san
case $kind in
# A test asks for an absurd allocation to see it refused, under either sanitizer.
thread) export TSAN_OPTIONS="suppressions=$PWD/Scripts/sanitize-thread.supp allocator_may_return_null=1 ${TSAN_OPTIONS:-}" ;;
# Leaks are not looked for: what Swift's runtime keeps for ever is none.
# Tests that decode bombs free much at once; 64 MiB of it are kept back from reuse, not 256.
address) export ASAN_OPTIONS="detect_leaks=0 quarantine_size_mb=64 allocator_may_return_null=1 ${ASAN_OPTIONS:-}" ;;
*) echo "sanitize.sh: thread or address, not $kind" >&2 && exit 64 ;;
esac

swift build -j "${JOBS:-$(nproc)}" --build-tests --sanitize="$kind" --scratch-path "$scratch"
mkdir -p .build-sanitize
failed=()
for target in "$@"; do
  log=.build-sanitize/$kind-$target.log
  began=$SECONDS
  status=0
  timeout --kill-after=10 "$seconds" \
    swift test --skip-build --sanitize="$kind" --scratch-path "$scratch" --filter "^$target\\." >"$log" 2>&1 || status=$?
  reports=$(grep -acE "(WARNING|ERROR): (Thread|Address)Sanitizer" "$log" || true)
  tests=$(grep -aoE "Test run with [0-9]+ tests?" "$log" | grep -oE "[0-9]+" | tail -1 || true)
  printf '%-24s %5s tests %5d s %3d reports' "$target" "${tests:-no}" $((SECONDS - began)) "$reports"
  if [ "$status" -eq 0 ] && [ "$reports" -eq 0 ] && [ "${tests:-0}" -gt 0 ]; then
    echo
  else
    # 124 is a target that did not end in time.
    echo "  FAILED ($status), $log"
    failed+=("$target")
    grep -aE -A 30 "(WARNING|ERROR): (Thread|Address)Sanitizer|recorded an issue|Fatal error" "$log" | head -60 || tail -20 "$log"
  fi
done
[ ${#failed[@]} -eq 0 ] || { echo "sanitize.sh: ${failed[*]}" >&2 && exit 1; }
