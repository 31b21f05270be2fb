"""`strata filter` as a process. STRATA_BINARY names the tool; without it the debug build is used."""

import json
import os
import pathlib
import random
import subprocess
import tempfile
import unittest

BINARY = os.environ.get("STRATA_BINARY", str(pathlib.Path(__file__).resolve().parents[2] / ".build/debug/strata"))
POLICIES = ["none", "blocked-bloom", "binary-fuse8", "binary-fuse16"]


def strata(*arguments, keys=()):
    text = b"".join(key + b"\n" for key in keys)
    return subprocess.run([BINARY, "filter", *arguments], input=text, capture_output=True, timeout=60)


class Filters(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.file = self.home.name + "/filter"
        source = random.Random(1)
        # Any bytes but the newline: empty, NUL, no UTF-8, longer than a buffer.
        self.keys = [b"", b"\0", b"\xff\xfe", b"x" * 70_000] + [source.randbytes(20).replace(b"\n", b"") for _ in range(2000)]

    def tearDown(self):
        self.home.cleanup()

    def build(self, *arguments, keys=None):
        done = strata("build", *arguments, keys=self.keys if keys is None else keys)
        self.assertEqual(done.returncode, 0, done.stderr)
        pathlib.Path(self.file).write_bytes(done.stdout)
        return done.stdout

    # requirement: Filters.keep.1
    def test_every_key_is_found(self):
        for policy in POLICIES:
            self.build("--policy", policy)
            answers = strata("query", self.file, keys=self.keys)
            self.assertEqual((answers.returncode, answers.stdout), (0, b"1\n" * len(self.keys)))
            absent = strata("query", self.file, keys=[b"absent %d" % number for number in range(1000)]).stdout
            self.assertEqual(len(absent.splitlines()), 1000)
            self.assertTrue(policy == "none" or absent.count(b"1") < 40, absent.count(b"1"))

    # requirement: Filters.never.13
    def test_two_processes_write_the_same_bytes(self):
        for policy in POLICIES:
            first = self.build("--policy", policy, "--seed", "7")
            self.assertEqual(first, self.build("--policy", policy, "--seed", "7", keys=self.keys[::-1]))
            self.assertNotEqual(first, self.build("--policy", policy, "--seed", "8"))

    def test_info(self):
        for policy, kind, bits in [("blocked-bloom", "blocked bloom", 12), ("binary-fuse8", "binary fuse 8", 10), ("none", "never absent", 0)]:
            self.build("--policy", policy, "--bits-per-key", "12", "--seed", "3")
            info = json.loads(strata("info", self.file, "--json").stdout)
            self.assertEqual((info["kind"], info["seed"], info["keys"]), (kind, 3, len(self.keys)))
            self.assertTrue(bits <= info["bits_per_key"] < bits + 2, info)
            self.assertIn(kind.encode(), strata("info", self.file).stdout)
        self.build("--policy", "binary-fuse8", keys=[])
        self.assertEqual(json.loads(strata("info", self.file, "--json").stdout)["kind"], "always absent")

    # requirement: Filters.never.4
    def test_damage_is_an_exit_code(self):
        content = bytearray(self.build())
        for place in [3, 20, 40, 55, 62, 64, 1000, len(content) - 1]:
            damaged = content.copy()
            damaged[place] ^= 4
            pathlib.Path(self.file).write_bytes(damaged)
            for verb in ["info", "query"]:
                self.assertEqual(strata(verb, self.file).returncode, 2, place)
        pathlib.Path(self.file).write_bytes(content[:-1])
        self.assertEqual(strata("info", self.file).returncode, 2)

    def test_wrong_usage(self):
        self.assertEqual(strata("build", "--policy", "cuckoo").returncode, 64)
        self.assertEqual(strata("build", "--bits-per-key", "0").returncode, 64)
        self.assertEqual(strata("info", self.home.name + "/missing").returncode, 1)
        self.assertEqual(strata("query").returncode, 64)


if __name__ == "__main__":
    unittest.main()
