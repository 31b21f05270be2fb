"""`strata check` as a process. STRATA_BINARY names the tool; without it the debug build is used."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

BINARY = os.environ.get("STRATA_BINARY", str(pathlib.Path(__file__).resolve().parents[2] / ".build/debug/strata"))

STALE = """\
{:process 0, :type :invoke, :f :write, :value 1, :time 1}
{:process 0, :type :ok, :f :write, :value 1, :time 2}
{:process 1, :type :invoke, :f :read, :value nil, :time 3}
{:process 1, :type :ok, :f :read, :value nil, :time 4}
"""

WRITE_SKEW = """\
[{:process 0 :type :invoke :f :txn :value [[:r 1 nil] [:append 2 1]]}
 {:process 1 :type :invoke :f :txn :value [[:r 2 nil] [:append 1 1]]}
 {:process 0 :type :ok :f :txn :value [[:r 1 []] [:append 2 1]]}
 {:process 1 :type :ok :f :txn :value [[:r 2 []] [:append 1 1]]}
 {:process 2 :type :invoke :f :txn :value [[:r 1 nil] [:r 2 nil]]}
 {:process 2 :type :ok :f :txn :value [[:r 1 [1]] [:r 2 [1]]]}]
"""


class Check(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.home.cleanup()

    def check(self, kind, text, *arguments):
        path = pathlib.Path(self.home.name) / "history"
        path.write_text(text)
        return subprocess.run([BINARY, "check", kind, str(path), *arguments], capture_output=True, text=True, timeout=120)

    def test_exit_codes(self):
        self.assertEqual(self.check("register", STALE).returncode, 2)
        self.assertEqual(self.check("register", STALE.replace(":value nil, :time 4", ":value 1, :time 4")).returncode, 0)
        self.assertEqual(self.check("register", "").returncode, 1)
        self.assertEqual(self.check("register", STALE.replace(":ok", ":fail")).returncode, 1)
        self.assertEqual(self.check("nonsense", STALE).returncode, 64)
        self.assertEqual(self.check("register", STALE, "--seconds", "0").returncode, 64)

    def test_a_wrong_file_names_its_line(self):
        done = self.check("register", STALE.splitlines()[1])
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 1: process 0 ends an operation it has not begun", done.stderr)

    def test_a_violation_is_explained_and_drawn(self):
        picture = pathlib.Path(self.home.name) / "picture.html"
        done = self.check("register", STALE, "--json", "--html", str(picture))
        found = json.loads(done.stdout)
        self.assertEqual((found["verdict"], found["violation"], len(found["witness"])), ("invalid", "linearizability", 2))
        self.assertIn("<svg", picture.read_text())

    def test_isolation_levels(self):
        done = self.check("list-append", WRITE_SKEW, "--json")
        found = json.loads(done.stdout)
        self.assertEqual((done.returncode, found["violation"]), (2, "G2-item"))
        self.assertEqual(found["ruled_out"][:2], ["repeatable-read", "serializable"])
        allowed = self.check("list-append", WRITE_SKEW, "--expect", "snapshot-isolation", "--json")
        self.assertEqual((allowed.returncode, json.loads(allowed.stdout)["remarks"]), (0, ["G2-item, which snapshot-isolation allows"]))

    def test_help_lists_every_kind(self):
        done = subprocess.run([BINARY, "check", "--help"], capture_output=True, text=True, timeout=60)
        for kind in ("register", "list-append", "rw-register", "sessions", "durability", "mutex", "bank", "log"):
            self.assertIn(f"  {kind} ", done.stdout)


if __name__ == "__main__":
    unittest.main()
