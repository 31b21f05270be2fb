#!/usr/bin/env python3
"""Fuzzes every decoder: runs strata-fuzz target by target under a bound on memory and a watchdog, and says what it died of.

An input is a function of target, seed and number, so a failure is these three; its bytes are kept in failures/ as well. The process shows
the number it is at in a shared page, from which the next one goes on behind a failure.
"""

import argparse
import mmap
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time


class Fuzzer:
    def __init__(self, options):
        self.options = options
        self.failures = 0

    def targets(self):
        lines = subprocess.run([self.options.binary, "list"], check=True, capture_output=True, text=True).stdout.split("\n")
        found = [(name, int(weight)) for name, weight in (line.split() for line in lines if line)]
        wanted = self.options.targets.split(",") if self.options.targets else [""]
        return [(name, weight) for name, weight in found if any(name.startswith(prefix) for prefix in wanted)]

    def limit_memory(self):
        bound = self.options.memory << 20
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def run(self, name, first, count):
        """Inputs first..<first + count, all of them or up to a failure: (next number, accepted or None, what happened or None)."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes(8))
            file.flush()
            page = mmap.mmap(file.fileno(), 8)
            here = lambda: int.from_bytes(page[:8], "little")
            process = subprocess.Popen(
                [self.options.binary, "run", name, str(self.options.seed), str(first), str(count), file.name],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=self.limit_memory,
                env=dict(os.environ, SWIFT_BACKTRACE="enable=no"))
            seen, since, hung = -1, time.monotonic(), False
            while True:
                try:
                    output, error = process.communicate(timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    if here() != seen:
                        seen, since = here(), time.monotonic()
                    elif time.monotonic() - since > self.options.patience:
                        hung = True
                        process.kill()
            if process.returncode == 0:
                return first + count, int(output), None
            if process.returncode > 0:
                sys.exit(f"fuzz: {name}: {error.strip()}")
            what = f"no end after {self.options.patience} s" if hung else signal.Signals(-process.returncode).name
            law = next((line for line in error.split("\n") if "Fatal error" in line), "")
            return here() + 1, None, f"{what} {law}".strip()

    def report(self, name, number, what):
        self.failures += 1
        os.makedirs("failures", exist_ok=True)
        path = f"failures/{name}-{self.options.seed}-{number}"
        shown = subprocess.run([self.options.binary, "show", name, str(self.options.seed), str(number)], check=True, capture_output=True)
        with open(path, "wb") as file:
            file.write(shown.stdout)
        print(f"  {name} seed {self.options.seed} input {number} ({len(shown.stdout)} bytes, {path}): {what}")
        print(f"    again: {self.options.binary} decode {name} <{path}", flush=True)

    def fuzz(self, name, first, count):
        """Returns how many inputs were decoded without a failure before them."""
        began = time.monotonic()
        here, accepted, found = first, 0, 0
        while here < first + count and found < self.options.failures:
            there, taken, what = self.run(name, here, first + count - here)
            accepted += taken or 0
            if what:
                found += 1
                self.report(name, there - 1, what)
            here = there
        seconds = time.monotonic() - began
        rate = (here - first) / seconds if seconds else 0
        share = "" if found else f", {accepted / count:.0%} accepted"
        print(f"{name:22} {here - first:>10,} inputs {seconds:8.1f} s {rate:>10,.0f}/s{share}, {found} failures", flush=True)
        return here - first

    def whole(self):
        targets = self.targets()
        total = sum(weight for _, weight in targets)
        if self.options.seconds:
            return self.timed(targets, total)
        return sum(self.fuzz(name, self.options.first, max(1, self.options.count * weight // total)) for name, weight in targets)

    def timed(self, targets, total):
        end = time.monotonic() + self.options.seconds
        done, first, count = 0, self.options.first, 20_000
        while time.monotonic() < end and not self.failures:
            began = time.monotonic()
            done += sum(self.fuzz(name, first, max(1, count * weight // total)) for name, weight in targets)
            # Every round of a run is other inputs; rounds grow while many would fit.
            first += count
            if time.monotonic() - began < self.options.seconds / 10:
                count *= 2
        return done


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=".build/release/strata-fuzz")
    parser.add_argument("--count", type=int, default=200_000, help="inputs over all targets, shared out by weight")
    parser.add_argument("--seconds", type=float, default=0, help="go on with new inputs for so long instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--targets", default="", help="beginnings of names, with commas between")
    parser.add_argument("--memory", type=int, default=512, help="MiB of address space of a process")
    parser.add_argument("--patience", type=float, default=10, help="seconds that one input may take")
    parser.add_argument("--failures", type=int, default=5, help="after so many a target is left")
    fuzzer = Fuzzer(parser.parse_args())
    done = fuzzer.whole()
    print(f"{done:,} inputs, {fuzzer.failures} failures")
    sys.exit(1 if fuzzer.failures else 0)


if __name__ == "__main__":
    main()
