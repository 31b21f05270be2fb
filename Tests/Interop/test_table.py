"""`strata table` as a process. STRATA_BINARY names the tool; without it the debug build is used."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BINARY = os.environ.get("STRATA_BINARY", str(pathlib.Path(__file__).resolve().parents[2] / ".build/debug/strata"))


def strata(*arguments, lines=None):
    text = None if lines is None else "".join(json.dumps(line) + "\n" for line in lines)
    return subprocess.run([BINARY, "table", *arguments], input=text, capture_output=True, text=True, timeout=60)


def put(key, value, sequence):
    return {"op": "put", "key": key, "value": value, "sequence": sequence}


class Table(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.table = self.path("1.sst")
        self.made = self.build(self.table, [
            put("a", "1", 5), put("a", "old", 2), {"op": "delete", "key": "b", "sequence": 4}, put("b", "2", 3), put("c", "", 6),
        ])

    def tearDown(self):
        self.home.cleanup()

    def path(self, name):
        return self.home.name + "/" + name

    def build(self, file, lines, *flags):
        done = strata("build", file, *flags, lines=lines)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def rows(self, file):
        done = strata("scan", file, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_build_and_read(self):
        self.assertEqual((self.made["entries"], self.made["values"], self.made["deletions"]), (5, 4, 1))
        self.assertEqual((self.made["smallest"], self.made["largest"]), ("a", "c"))
        self.assertEqual((strata("get", self.table, "a").stdout, strata("get", self.table, "a", "--at", "4").stdout), ("1\n", "old\n"))
        self.assertEqual(strata("get", self.table, "a", "--at", "1").returncode, 1)
        self.assertEqual((strata("get", self.table, "c").returncode, strata("get", self.table, "c").stdout), (0, "\n"))
        gone = strata("get", self.table, "b")
        self.assertEqual((gone.returncode, "deleted at sequence 4" in gone.stderr), (1, True))
        self.assertIn("absent", strata("get", self.table, "bb").stderr)
        self.assertEqual(json.loads(strata("get", self.table, "b", "--json").stdout)["kind"], "deletion")
        self.assertEqual(strata("scan", self.table).stdout, "a\t1\na\told\nb\t(deleted)\nb\t2\nc\t\n")
        self.assertEqual(strata("scan", self.table, "--from", "aa", "--to", "c").stdout, "b\t(deleted)\nb\t2\n")
        self.assertEqual(strata("scan", self.table, "--from", "c", "--to", "b").stdout, "")
        dumped = strata("dump", self.table)
        self.assertIn("5 entries in 1 blocks", dumped.stdout)
        self.assertEqual(len(strata("dump", self.table, "--json").stdout.splitlines()), 6)
        self.assertEqual(len(strata("dump", self.table, "--summary").stdout.splitlines()), 3)

    def test_prefixes(self):
        file = self.path("p.sst")
        for prefix in ["fixed:3", "delimiter:58"]:
            self.build(file, [put("user:1", "a", 2), put("user:2", "b", 1)], "--prefix", prefix)
            self.assertEqual(json.loads(strata("dump", file, "--summary", "--json").stdout)["prefix_extractor"], prefix)
            self.assertIn(f"the filter knows prefixes {prefix}\n", strata("dump", file, "--summary").stdout)
        self.assertNotIn("prefix_extractor", strata("dump", self.table, "--summary", "--json").stdout)
        self.assertEqual(strata("build", file, "--prefix", "delimiter::", lines=[]).returncode, 64)

    def test_hash_indexes(self):
        file = self.path("h.sst")
        lines = [put(f"key-{number:05}", f"v{number}", number + 1) for number in range(3000)]
        self.build(file, lines, "--hash-index", "0.75", "--compression", "none")
        self.assertIn("data blocks have hash indexes\n", strata("dump", file, "--summary").stdout)
        self.assertTrue(json.loads(strata("dump", file, "--summary", "--json").stdout)["hash_indexes"])
        for number in [0, 1, 1777, 2999]:
            self.assertEqual(strata("get", file, f"key-{number:05}").stdout, f"v{number}\n")
        self.assertEqual(strata("get", file, "key-01777x").returncode, 1)
        self.assertEqual(strata("verify", file).returncode, 0)
        self.assertEqual(strata("build", file, "--hash-index", "0", lines=[]).returncode, 64)

    def test_wrong_input_leaves_no_file(self):
        file = self.path("bad.sst")
        done = strata("build", file, lines=[put("b", "1", 1), put("a", "1", 2)])
        self.assertEqual((done.returncode, os.listdir(self.home.name)), (1, ["1.sst"]))
        self.assertIn("add entries in key order", done.stderr)
        self.assertEqual(strata("build", file, lines=[put("a", "1", 1), {"op": "nothing"}]).returncode, 64)
        self.assertEqual(os.listdir(self.home.name), ["1.sst"])
        self.assertEqual(strata("build", file, "--compression", "rar", lines=[]).returncode, 64)
        self.assertEqual(strata("get", self.path("missing"), "a").returncode, 1)
        self.assertEqual(strata("export", self.table, self.path("x.ldb")).returncode, 64)

    def test_damage_and_salvage(self):
        file = self.path("2.sst")
        self.build(file, [put(f"key-{number:05}", "v" * 50, number + 1) for number in range(2000)], "--compression", "none")
        self.assertEqual(strata("verify", file).returncode, 0)
        content = bytearray(pathlib.Path(file).read_bytes())
        content[9000] ^= 1
        pathlib.Path(file).write_bytes(content)
        found = strata("verify", file, "--json")
        self.assertEqual((found.returncode, len(json.loads(found.stdout)["damage"])), (2, 1))
        self.assertEqual(strata("scan", file).returncode, 2)
        pathlib.Path(file).write_bytes(content[:-96])
        self.assertEqual(strata("verify", file).returncode, 2)
        saved = json.loads(strata("salvage", file, self.path("3.sst"), "--json").stdout)
        self.assertGreater(saved["entries"], 1900)
        self.assertEqual(strata("verify", self.path("3.sst")).returncode, 0)
        self.assertEqual(len(self.rows(self.path("3.sst"))), saved["entries"])

    def test_merge(self):
        newer = self.path("2.sst")
        self.build(newer, [put("a", "newest", 9), {"op": "delete", "key": "c", "sequence": 8}])
        done = json.loads(strata("merge", self.path("m.sst"), newer, self.table, "--json").stdout)
        self.assertEqual((done["entries_in"], done["entries_out"]), (7, 3))
        self.assertEqual(strata("scan", self.path("m.sst")).stdout, "a\tnewest\nb\t(deleted)\nc\t(deleted)\n")
        self.assertEqual(strata("merge", self.path("m.sst"), newer, self.table, "--all").returncode, 0)
        self.assertEqual(strata("scan", self.path("m.sst")).stdout, "a\tnewest\n")
        self.assertEqual(strata("merge", self.table, self.table).returncode, 64)
        self.assertEqual(strata("scan", self.table).stdout.count("\n"), 5)

    def test_compact(self):
        home, newer = self.path("set"), self.path("2.sst")
        self.build(newer, [put("a", "newest", 9), {"op": "delete", "key": "c", "sequence": 8}])
        done = strata("compact", home, "--add", self.table, "--add", newer, "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["plans"]), (0, 0), done.stderr)
        for number in range(3, 7):
            file = self.path(f"{number}.sst")
            self.build(file, [put("d", str(number), number + 10)])
            done = strata("compact", home, "--add", file, "--json")
        made = json.loads(done.stdout)
        self.assertLess(len(made["tables"]), 6)
        rows = []
        for table in reversed(made["tables"]):
            rows += self.rows(home + f"/{table['file']:010}.sst")
        self.assertEqual([row["value"] for row in rows if row["key"] == "d"][-1], "6")
        there = sorted(name for name in os.listdir(home) if name.endswith(".sst"))
        self.assertEqual(there, sorted(f"{table['file']:010}.sst" for table in made["tables"]))
        self.assertIn("tables", strata("compact", home, "--strategy", "leveled").stdout)
        self.assertEqual(strata("compact", home, "--strategy", "fifo", "--fifo-bytes", "1").stdout, "1 plans carried out, 0 tables\n")
        self.assertEqual(strata("compact", home, "--strategy", "oldest").returncode, 64)
        pathlib.Path(home + "/TABLES").write_bytes(b"STRATLST")
        self.assertEqual(strata("compact", home).returncode, 2)

    def test_leveldb(self):
        for compression in ["none", "snappy"]:
            there, back = self.path(f"00000{len(compression)}.sst"), self.path("back.sst")
            self.assertEqual(strata("export", "--leveldb", self.table, there, "--compression", compression).stdout, "5 entries\n")
            done = strata("import", "--leveldb", there, back)
            self.assertEqual((done.returncode, json.loads(done.stdout)["entries"]), (0, 5), done.stderr)
            self.assertEqual(self.rows(back), self.rows(self.table))
        content = bytearray(pathlib.Path(there).read_bytes())
        content[3] ^= 1
        pathlib.Path(there).write_bytes(content)
        self.assertEqual(strata("import", "--leveldb", there, self.path("not.sst")).returncode, 2)
        self.assertFalse(os.path.exists(self.path("not.sst")))

    @unittest.skipUnless(shutil.which("sst_dump"), "sst_dump of rocksdb-tools is not installed")
    def test_rocksdb_reads_what_was_exported(self):
        """RocksDB reads LevelDB's format: its own tool sees every entry of ours, checksums verified."""
        big, there = self.path("2.sst"), self.path("000007.sst")
        lines = [put(f"key-{number:05}", f"value {number}" * 3, number + 1) for number in range(3000)]
        self.build(big, lines)
        for compression in ["none", "snappy"]:
            self.assertEqual(strata("export", "--leveldb", big, there, "--compression", compression).returncode, 0)
            seen = subprocess.run(
                ["sst_dump", "--file=" + there, "--command=scan", "--verify_checksum"], capture_output=True, text=True, timeout=60)
            rows = [line for line in seen.stdout.splitlines() if line.startswith("'")]
            expected = [f"'{line['key']}' seq:{line['sequence']}, type:1 => {line['value']}" for line in lines]
            self.assertEqual(rows, expected, seen.stdout[:500] + seen.stderr[:500])

    def test_binary_keys(self):
        file = self.path("4.sst")
        self.build(file, [{"op": "put", "key_base64": base64.b64encode(bytes([0, 255])).decode(), "value_base64": "AAE="}])
        self.assertEqual(self.rows(file)[0]["key_base64"], "AP8=")


if __name__ == "__main__":
    unittest.main()
