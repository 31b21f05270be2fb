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


# Every type of the specification at least once, nested and recursive, with the names that make readers stumble: two namespaces, an
# inherited one, a name used before its sibling, a record without fields.
EVERY_TYPE = {
    "type": "record", "name": "Interop", "namespace": "strata.interop",
    "fields": [
        {"name": "none", "type": "null"}, {"name": "flag", "type": "boolean"}, {"name": "small", "type": "int"},
        {"name": "large", "type": "long"}, {"name": "single", "type": "float"}, {"name": "twice", "type": "double"},
        {"name": "text", "type": "string"}, {"name": "raw", "type": "bytes"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["ROOT", "BRANCH", "LEAF"]}},
        {"name": "digest", "type": {"type": "fixed", "name": "Digest", "namespace": "strata.other", "size": 16}},
        {"name": "numbers", "type": {"type": "array", "items": {"type": "array", "items": "double"}}},
        {"name": "entries", "type": {"type": "map", "values": {"type": "record", "name": "Entry", "fields": [
            {"name": "label", "type": "string"}, {"name": "kind", "type": "Kind"}]}}},
        {"name": "choice", "type": ["boolean", "double", {"type": "array", "items": "bytes"}, "Entry", "strata.other.Digest"]},
        {"name": "tree", "type": {"type": "record", "name": "Node", "fields": [
            {"name": "label", "type": "string"}, {"name": "empty", "type": {"type": "record", "name": "Nothing", "fields": []}},
            {"name": "children", "type": {"type": "array", "items": "Node"}}, {"name": "twin", "type": ["null", "Node"]}]}},
    ],
}


def every_type(count, seed=2):
    rng = random.Random(seed)

    def node(depth):
        return {
            "label": "n" * rng.randrange(4), "empty": {}, "children": [node(depth - 1) for _ in range(rng.randrange(3) if depth else 0)],
            "twin": node(depth - 1) if depth and rng.random() < 0.3 else None,
        }

    entry = lambda: {"label": rng.choice(["", "\u00e9", "label"]), "kind": rng.choice(["ROOT", "BRANCH", "LEAF"])}
    for number in range(count):
        # A pair names a branch; fastavro reads back what stands in it.
        choice = [
            ("boolean", True), ("double", 0.25), ("array", [b"", b"\x00\xff"]), ("strata.interop.Entry", entry()),
            ("strata.other.Digest", rng.randbytes(16))][number % 5]
        yield choice[0], {
            "none": None, "flag": number % 2 == 0, "small": rng.choice([-2**31, -1, 0, 63, 64, 2**31 - 1]),
            "large": rng.choice([-2**63, -2**31 - 1, 0, 2**35, 2**63 - 1]), "single": rng.randrange(-999, 999) / 16,
            "twice": rng.uniform(-1e300, 1e300), "text": "\u6f22 \U0001f600"[: rng.randrange(4)], "raw": rng.randbytes(rng.randrange(9)),
            "kind": rng.choice(["ROOT", "BRANCH", "LEAF"]), "digest": rng.randbytes(16),
            "numbers": [[rng.randrange(99) / 4 for _ in range(rng.randrange(3))] for _ in range(rng.randrange(3))],
            "entries": {f"k{place}": entry() for place in range(rng.randrange(3))}, "choice": choice[1], "tree": node(3),
        }


def interop_json(branch, record):
    """A record of EVERY_TYPE as one line of Avro's JSON encoding."""
    latin = lambda raw: raw.decode("latin-1")

    def node(value):
        twin = value["twin"]
        return dict(value, children=[node(child) for child in value["children"]], twin=twin and {"strata.interop.Node": node(twin)})

    choice = record["choice"]
    choice = latin(choice) if isinstance(choice, bytes) else [latin(raw) for raw in choice] if isinstance(choice, list) else choice
    return dict(record, raw=latin(record["raw"]), digest=latin(record["digest"]), choice={branch: choice}, tree=node(record["tree"]))


class EveryType(unittest.TestCase):
    """One schema of every type among three implementations: each file that one writes, the two others read."""

    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.path = lambda name: os.path.join(self.home.name, name)
        pathlib.Path(self.path("schema.avsc")).write_text(json.dumps(EVERY_TYPE))
        self.records = list(every_type(200))
        self.json = [interop_json(branch, record) for branch, record in self.records]

    def tearDown(self):
        self.home.cleanup()

    def libavro(self, tool, *arguments):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{tool} {arguments}: {done.stderr}")
        return done.stdout

    def write_with_fastavro(self, path, **options):
        with open(path, "wb") as file:
            named = [dict(record, choice=(branch, record["choice"])) for branch, record in self.records]
            fastavro.writer(file, EVERY_TYPE, named, sync_interval=3000, **options)

    def write_with_strata(self, path, codec):
        text = "".join(json.dumps(line) + "\n" for line in self.json)
        done = strata("from-json", self.path("schema.avsc"), path, "--codec", codec, text=text)
        self.assertEqual((done.returncode, done.stdout), (0, "200\n"), done.stderr)

    def check_with_strata(self, path):
        done = strata("cat", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], self.json)
        self.assertEqual(strata("verify", path).returncode, 0)

    def check_with_fastavro(self, path):
        with open(path, "rb") as file:
            self.assertEqual(list(fastavro.reader(file)), [record for _, record in self.records])

    def check_with_libavro(self, path):
        # It escapes text its own way, so what is compared are the numbers, names and shapes that it prints.
        printed = [json.loads(line) for line in self.libavro("avrocat", path).splitlines()]
        self.assertEqual(len(printed), len(self.json))
        for line, expected in zip(printed, self.json):
            for field in ("none", "flag", "small", "large", "single", "kind", "numbers", "entries"):
                self.assertEqual(line[field], expected[field])
            self.assertEqual(list(line["choice"]), [list(expected["choice"])[0].rsplit(".", 1)[-1]])
            self.assertEqual(line["tree"]["label"], expected["tree"]["label"])
            self.assertEqual(len(line["tree"]["children"]), len(expected["tree"]["children"]))

    def test_what_strata_writes(self):
        for codec in ("null", "deflate"):
            with self.subTest(codec=codec):
                path = self.path(f"strata-{codec}.avro")
                self.write_with_strata(path, codec)
                self.check_with_fastavro(path)
                self.check_with_libavro(path)

    def test_what_libavro_writes(self):
        for codec in ("null", "deflate"):
            with self.subTest(codec=codec):
                source, written = self.path("source.avro"), self.path(f"libavro-{codec}.avro")
                self.write_with_fastavro(source)
                self.libavro("avromod", f"--codec={codec}", "--block-size=4096", source, written)
                self.assertEqual(json.loads(strata("verify", written, "--json").stdout)["codec"], codec)
                self.check_with_strata(written)
                self.check_with_fastavro(written)
                # And once around: what libavro makes of ours.
                ours, around = self.path("ours.avro"), self.path(f"around-{codec}.avro")
                self.write_with_strata(ours, "null")
                self.libavro("avromod", f"--codec={codec}", ours, around)
                self.check_with_strata(around)

    def test_what_fastavro_writes(self):
        for codec in CODECS:
            with self.subTest(codec=codec):
                path = self.path(f"fastavro-{codec}.avro")
                self.write_with_fastavro(path, codec=codec)
                self.check_with_strata(path)

    def test_both_append_to_one_file(self):
        path = self.path("grown.avro")
        self.write_with_strata(path, "null")
        more = self.path("more.avro")
        self.write_with_fastavro(more)
        self.libavro("avroappend", more, path)
        text = "".join(json.dumps(line) + "\n" for line in self.json)
        done = strata("from-json", self.path("schema.avsc"), path, "--append", text=text)
        self.assertEqual((done.returncode, done.stdout), (0, "200\n"), done.stderr)
        done = strata("cat", path)
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], self.json * 3, done.stderr)


if __name__ == "__main__":
    unittest.main()
