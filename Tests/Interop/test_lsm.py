"""`strata lsm` as a process. STRATA_BINARY names the tool; without it the debug build is used."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

BINARY = os.environ.get("STRATA_BINARY", str(pathlib.Path(__file__).resolve().parents[2] / ".build/debug/strata"))


def strata(*arguments, lines=None):
    text = None if lines is None else "".join(json.dumps(line) + "\n" for line in lines)
    return subprocess.run([BINARY, "lsm", *arguments], input=text, capture_output=True, text=True, timeout=60)


class LSM(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.store = self.home.name + "/store"
        done = strata("apply", self.store, lines=[
            {"op": "put", "key": "a", "value": "1"}, {"op": "put", "key": "b", "value": "2"}, {"op": "put", "key": "c", "value": "3"},
            {"op": "delete", "key": "b"},
        ])
        self.assertEqual((done.returncode, done.stdout), (0, "1\n2\n3\n4\n"), done.stderr)

    def tearDown(self):
        self.home.cleanup()

    def test_reading(self):
        self.assertEqual(strata("get", self.store, "a").stdout, "1\n")
        self.assertEqual(strata("get", self.store, "b").returncode, 1)
        self.assertEqual(strata("scan", self.store).stdout, "a\t1\nc\t3\n")
        self.assertEqual(strata("scan", self.store, "--reverse", "--from", "b").stdout, "c\t3\n")
        self.assertEqual(json.loads(strata("stats", self.store, "--json").stdout)["last_version"], 4)

    def test_latencies(self):
        latencies = json.loads(strata("stats", self.store, "--json").stdout)["latencies"]
        self.assertEqual([latency["name"] for latency in latencies], ["get", "write", "sync", "flush", "compaction"])
        for latency in latencies:
            self.assertEqual(sorted(latency), ["name", "p50_ns", "p999_ns", "p99_ns", "timed"])
            self.assertLessEqual(latency["p50_ns"], latency["p999_ns"])

    def test_wrong_input(self):
        self.assertEqual(strata("apply", self.store, lines=[{"op": "nothing"}]).returncode, 64)
        self.assertEqual(strata("get", self.home.name + "/missing", "a").returncode, 1)

    def test_damage_and_repair(self):
        self.assertEqual(strata("verify", self.store).returncode, 0)
        manifest = next(pathlib.Path(self.store).glob("MANIFEST-*"))
        manifest.write_bytes(manifest.read_bytes()[:60])
        self.assertEqual(strata("get", self.store, "a").returncode, 2)
        self.assertEqual(strata("repair", self.store).returncode, 0)
        self.assertEqual(strata("scan", self.store).stdout, "a\t1\nc\t3\n")
        table = next(pathlib.Path(self.store).glob("*.sst"))
        content = bytearray(table.read_bytes())
        content[90] ^= 1
        table.write_bytes(content)
        self.assertEqual(strata("verify", self.store).returncode, 2)

    def test_checkpoint(self):
        copy = self.home.name + "/copy"
        self.assertEqual(strata("checkpoint", self.store, copy).returncode, 0)
        strata("apply", self.store, lines=[{"op": "delete", "key": "a"}])
        self.assertEqual(strata("scan", copy).stdout, "a\t1\nc\t3\n")

    def test_ingest(self):
        tables = [str(path) for path in pathlib.Path(self.store).glob("*.sst")]
        self.assertTrue(tables)
        other = self.home.name + "/other"
        strata("apply", other, lines=[{"op": "put", "key": "a", "value": "old"}, {"op": "put", "key": "b", "value": "stays"}])
        done = strata("ingest", other, *tables)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(int(done.stdout), 2)
        self.assertEqual(strata("scan", other).stdout, "a\t1\nb\tstays\nc\t3\n")
        self.assertEqual(strata("verify", other).returncode, 0)
        refused = strata("ingest", other, str(pathlib.Path(other, "CURRENT")))
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertEqual(strata("scan", other).stdout, "a\t1\nb\tstays\nc\t3\n")


if __name__ == "__main__":
    unittest.main()
