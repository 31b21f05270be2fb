"""`strata lsm` as a process. STRATA_BINARY names the tool; without it the debug build is used."""

import base64
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

    def test_styles(self):
        store = self.home.name + "/fifo"
        for number in range(8):
            line = {"op": "put", "key": str(number), "value_base64": base64.b64encode(os.urandom(1000)).decode()}
            self.assertEqual(strata("apply", store, "--style", "fifo", "--fifo-bytes", "5000", lines=[line]).returncode, 0)
        [held] = json.loads(strata("stats", store, "--json").stdout)["keyspaces"]
        self.assertEqual((held["name"], held["style"], held["fifo_bytes"], held["time_to_live_ms"]), ("", "fifo", 5000, 0))
        self.assertLessEqual(held["bytes"], 5000)
        self.assertIn("default keyspace: fifo, keeps 5000 bytes;", strata("stats", store).stdout)
        keys = [json.loads(line)["key"] for line in strata("scan", store, "--json").stdout.splitlines()]
        self.assertEqual(keys, [str(number) for number in range(8 - held["tables"], 8)])
        self.assertTrue(1 < len(keys) < 8)
        windows = self.home.name + "/windows"
        made = strata("apply", windows, "--style", "timeWindow", "--window-seconds", "60", "--time-to-live", "600", lines=[])
        self.assertEqual(made.returncode, 0, made.stderr)
        [held] = json.loads(strata("stats", windows, "--json").stdout)["keyspaces"]
        self.assertEqual((held["style"], held["window_seconds"], held["time_to_live_ms"]), ("timeWindow", 60, 600_000))
        self.assertEqual(strata("apply", self.store, "--style", "oldest", lines=[]).returncode, 64)

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

    def test_repair_keeps_the_style(self):
        tiers = self.home.name + "/tiers"
        strata("apply", tiers, "--style", "sizeTiered", lines=[{"op": "put", "key": "k", "value": "v"}])

        def style():
            [held] = json.loads(strata("stats", tiers, "--json").stdout)["keyspaces"]
            return held["style"]

        def damage(change):
            manifest = max(pathlib.Path(tiers).glob("MANIFEST-*"))
            content = bytearray(manifest.read_bytes())
            change(content)
            manifest.write_bytes(content)
            self.assertEqual(strata("get", tiers, "k").returncode, 2)

        def head(content):
            content[3] ^= 1

        def cut(content):
            del content[60:]

        damage(head)
        self.assertEqual(strata("repair", tiers).returncode, 0)
        self.assertEqual((style(), strata("scan", tiers).stdout), ("sizeTiered", "k\tv\n"))
        damage(cut)
        repaired = strata("repair", tiers)
        self.assertEqual(repaired.returncode, 0)
        self.assertIn("no longer tells", repaired.stderr)
        self.assertEqual(style(), "leveled")
        damage(cut)
        self.assertEqual(strata("repair", tiers, "--style", "sizeTiered").returncode, 0)
        self.assertEqual((style(), strata("scan", tiers).stdout), ("sizeTiered", "k\tv\n"))
        self.assertEqual(strata("repair", tiers, "--style", "oldest").returncode, 64)

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
