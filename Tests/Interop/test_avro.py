"""`strata avro` beside fastavro and libavro's avrocat: each reads what the others write, and binary data are equal byte for byte.

STRATA_BINARY names the tool; without it the debug build is used."""

import io
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import unittest

import fastavro

BINARY = os.environ.get("STRATA_BINARY", str(pathlib.Path(__file__).resolve().parents[2] / ".build/debug/strata"))
CODECS = ["null", "deflate", "snappy", "zstandard"]
SCHEMA = {
    "type": "record", "name": "Everything", "namespace": "strata.test",
    "fields": [
        {"name": "z", "type": "boolean"}, {"name": "i", "type": "int"}, {"name": "l", "type": "long"}, {"name": "f", "type": "float"},
        {"name": "d", "type": "double"}, {"name": "s", "type": "string"}, {"name": "b", "type": "bytes"},
        {"name": "u", "type": ["null", "string", {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "int"}]}]},
        {"name": "e", "type": {"type": "enum", "name": "Suit", "symbols": ["SPADES", "HEARTS"]}},
        {"name": "x", "type": {"type": "fixed", "name": "Four", "size": 4}},
        {"name": "a", "type": {"type": "array", "items": "long"}}, {"name": "m", "type": {"type": "map", "values": "double"}},
    ],
}


def strata(*arguments, text=None):
    return subprocess.run([BINARY, "avro", *arguments], input=text, capture_output=True, text=True, timeout=120)


def records(count, seed=1):
    rng = random.Random(seed)
    single = lambda: float(rng.randrange(-1000, 1000)) / 8
    for number in range(count):
        yield {
            "z": rng.random() < 0.5, "i": rng.randrange(-2**31, 2**31), "l": rng.randrange(-2**63, 2**63) >> rng.randrange(64),
            "f": single(), "d": rng.uniform(-1e9, 1e9), "s": f"näme {number} \u6f22", "b": rng.randbytes(rng.randrange(20)),
            "u": rng.choice([None, "text", {"x": number}]), "e": rng.choice(["SPADES", "HEARTS"]), "x": rng.randbytes(4),
            "a": [rng.randrange(-100, 100) for _ in range(rng.randrange(5))], "m": {f"k{i}": single() for i in range(rng.randrange(4))},
        }


def as_json(record):
    """A record as one line of Avro's JSON encoding."""
    plain = dict(record)
    for name in "bx":
        plain[name] = record[name].decode("latin-1")
    if isinstance(record["u"], str):
        plain["u"] = {"string": record["u"]}
    elif record["u"] is not None:
        plain["u"] = {"strata.test.Inner": record["u"]}
    return plain


class Avro(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.path = lambda name: os.path.join(self.home.name, name)
        pathlib.Path(self.path("schema.avsc")).write_text(json.dumps(SCHEMA))
        self.records = list(records(300))

    def tearDown(self):
        self.home.cleanup()

    def lines(self):
        return "".join(json.dumps(as_json(record)) + "\n" for record in self.records)

    def test_reading_what_fastavro_wrote(self):
        for codec in CODECS + ["bzip2", "xz"]:
            with self.subTest(codec=codec):
                with open(self.path("f.avro"), "wb") as file:
                    fastavro.writer(file, SCHEMA, self.records, codec=codec, sync_interval=2000)
                done = strata("cat", self.path("f.avro"))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], [as_json(record) for record in self.records])

    def test_fastavro_and_avrocat_read_what_strata_wrote(self):
        for codec in CODECS:
            with self.subTest(codec=codec):
                target = self.path("s.avro")
                done = strata("from-json", self.path("schema.avsc"), target, "--codec", codec, text=self.lines())
                self.assertEqual((done.returncode, done.stdout), (0, "300\n"), done.stderr)
                with open(target, "rb") as file:
                    self.assertEqual(list(fastavro.reader(file)), self.records)
                self.assertEqual(strata("verify", target).returncode, 0)
                if codec in ("null", "deflate") and shutil.which("avrocat"):
                    listed = subprocess.run(["avrocat", target], capture_output=True, timeout=60)
                    self.assertEqual((listed.returncode, len(listed.stdout.splitlines())), (0, 300), listed.stderr)

    def test_binary_data_are_equal(self):
        data = io.BytesIO()
        for record in self.records:
            fastavro.schemaless_writer(data, SCHEMA, record)
        strata("from-json", self.path("schema.avsc"), self.path("s.avro"), "--codec", "null", text=self.lines())
        with open(self.path("s.avro"), "rb") as file:
            ours = b"".join(block.bytes_.getvalue() for block in fastavro.block_reader(file))
        self.assertEqual(ours, data.getvalue())
        pathlib.Path(self.path("bare")).write_bytes(data.getvalue())
        done = strata("to-json", self.path("schema.avsc"), self.path("bare"))
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], [as_json(record) for record in self.records])

    def test_resolution_as_fastavro_resolves(self):
        reader = {
            "type": "record", "name": "Everything", "namespace": "strata.test",
            "fields": [{"name": "l", "type": "double"}, {"name": "new", "type": "string", "default": "d"}, {"name": "i", "type": ["null", "long"]}],
        }
        pathlib.Path(self.path("reader.avsc")).write_text(json.dumps(reader))
        with open(self.path("f.avro"), "wb") as file:
            fastavro.writer(file, SCHEMA, self.records)
        with open(self.path("f.avro"), "rb") as file:
            expected = list(fastavro.reader(file, reader))
        done = strata("cat", self.path("f.avro"), "--reader", self.path("reader.avsc"))
        found = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(item["new"], item["i"]["long"]) for item in found], [(item["new"], item["i"]) for item in expected])
        self.assertTrue(all(math.isclose(a["l"], b["l"]) for a, b in zip(found, expected)))

    def test_fingerprints_and_canonical_forms(self):
        text = strata("schema", self.path("schema.avsc"), "--canonical").stdout.strip()
        self.assertEqual(text, fastavro.schema.to_parsing_canonical_form(SCHEMA))
        for kind, name in [("rabin", "CRC-64-AVRO"), ("md5", "md5"), ("sha256", "sha256")]:
            done = strata("fingerprint", self.path("schema.avsc"), "--kind", kind)
            self.assertEqual(done.stdout.strip(), fastavro.schema.fingerprint(text, name), done.stderr)

    def test_compatible(self):
        old, new = self.path("old"), self.path("new")
        pathlib.Path(old).write_text('"int"')
        pathlib.Path(new).write_text('"long"')
        self.assertEqual(strata("compatible", old, new).returncode, 0)
        done = strata("compatible", old, new, "--mode", "full", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["forward"]), (1, False))
        self.assertEqual(strata("compatible", old, new, "--mode", "sideways").returncode, 64)

    def test_damage_recodec_and_append(self):
        target = self.path("s.avro")
        strata("from-json", self.path("schema.avsc"), target, text=self.lines())
        self.assertEqual(strata("from-json", self.path("schema.avsc"), target, "--append", text=self.lines()).stdout, "300\n")
        self.assertEqual(strata("recodec", target, self.path("t.avro"), "--codec", "snappy").stdout, "600 values\n")
        self.assertEqual(json.loads(strata("verify", self.path("t.avro"), "--json").stdout)["codec"], "snappy")
        content = bytearray(pathlib.Path(target).read_bytes())
        content[len(content) // 4] ^= 1
        pathlib.Path(target).write_bytes(content)
        self.assertEqual(strata("verify", target).returncode, 2)
        self.assertEqual(strata("cat", target).returncode, 2)
        saved = strata("recodec", target, self.path("saved.avro"), "--salvage")
        self.assertEqual((saved.returncode, saved.stdout), (2, "300 values\n"))
        cut = self.path("cut.avro")
        pathlib.Path(cut).write_bytes(pathlib.Path(self.path("t.avro")).read_bytes()[:-5])
        self.assertEqual(strata("verify", cut).returncode, 1)
        self.assertEqual(strata("cat", self.path("missing")).returncode, 1)
        self.assertEqual(strata("from-json", self.path("schema.avsc"), cut, text="{}\n").returncode, 64)


if __name__ == "__main__":
    unittest.main()
