"""`strata ring` as a process, held against libmemcached and against computations of its own.

STRATA_BINARY names the tool; without it the debug build is used.
"""

import ctypes
import json
import os
import pathlib
import random
import subprocess
import tempfile
import unittest

BINARY = os.environ.get("STRATA_BINARY", str(pathlib.Path(__file__).resolve().parents[2] / ".build/debug/strata"))

# memcached_behavior_t and memcached_return_t of libmemcached 1.x.
KETAMA_WEIGHTED = 16
SUCCESS = 0


def ring(*arguments, text=None):
    return subprocess.run([BINARY, "ring", *arguments], input=text, capture_output=True, text=True, timeout=120)


def library():
    lib = ctypes.CDLL("libmemcached.so.11")
    lib.memcached_create.restype = ctypes.c_void_p
    lib.memcached_create.argtypes = [ctypes.c_void_p]
    lib.memcached_free.argtypes = [ctypes.c_void_p]
    lib.memcached_behavior_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64]
    lib.memcached_server_add_with_weight.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint16, ctypes.c_uint32]
    lib.memcached_generate_hash.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    lib.memcached_generate_hash.restype = ctypes.c_uint32
    lib.memcached_server_instance_by_position.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.memcached_server_instance_by_position.restype = ctypes.c_void_p
    lib.memcached_server_name.argtypes = [ctypes.c_void_p]
    lib.memcached_server_name.restype = ctypes.c_char_p
    lib.memcached_server_port.argtypes = [ctypes.c_void_p]
    lib.memcached_server_port.restype = ctypes.c_uint16
    return lib


def keys(count, seed):
    generator = random.Random(seed)
    return ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz0123456789:_-", k=generator.randint(1, 60))) for _ in range(count)]


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


class Ring(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.file = self.home.name + "/ring"

    def tearDown(self):
        self.home.cleanup()

    def create(self, *arguments):
        done = ring("create", self.file, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)

    # requirement: ConsistentHashing.beyond.1
    def test_libmemcached_places_keys_alike(self):
        """20,000 keys over four rings of servers: ports 11211 and others, equal and unequal weights, one server."""
        lib = library()
        clusters = [
            [("10.0.0.1", 11211, 1), ("10.0.0.2", 11211, 1), ("10.0.0.3", 11211, 1)],
            [("10.0.0.%d" % n, 11211 + n % 2, 1) for n in range(1, 13)],
            [("cache-a", 11211, 1), ("cache-b", 4000, 3), ("cache-c", 11212, 2), ("cache-d", 11211, 7)],
            [("one", 11211, 5)],
        ]
        for number, servers in enumerate(clusters):
            memcached = lib.memcached_create(None)
            self.assertEqual(lib.memcached_behavior_set(memcached, KETAMA_WEIGHTED, 1), SUCCESS)
            for host, port, weight in servers:
                self.assertEqual(lib.memcached_server_add_with_weight(memcached, host.encode(), port, weight), SUCCESS)
            names = {}
            for index in range(len(servers)):
                server = lib.memcached_server_instance_by_position(memcached, index)
                names[index] = "%s:%d" % (lib.memcached_server_name(server).decode(), lib.memcached_server_port(server))
            self.file = self.home.name + "/ketama%d" % number
            nodes = [part for host, port, weight in servers for part in ("--node", "%s:%d,weight=%d" % (host, port, weight))]
            self.create("--kind", "ketama", *nodes)
            sample = keys(5_000, number)
            expected = [names[lib.memcached_generate_hash(memcached, key.encode(), len(key))] for key in sample]
            lib.memcached_free(memcached)
            done = ring("locate", self.file, text="".join(key + "\n" for key in sample))
            found = [line.split("\t")[1] for line in done.stdout.splitlines()]
            self.assertEqual(len(found), 5_000, done.stderr)
            different = [(key, one, other) for key, one, other in zip(sample, found, expected) if one != other]
            self.assertEqual(different, [], "of cluster %d" % number)
            self.assertEqual(len(set(found)), len(servers))

    # requirement: ConsistentHashing.beyond.6
    def test_slots_by_a_computation_of_its_own(self):
        self.create("--kind", "slots", "--node", "a", "--node", "b", "--node", "c")
        sample = keys(500, 7) + ["{user1}.a", "{user1}.b", "x{}y", "{{b}}", "a{b}{c}", "}{", "{}"]
        done = ring("locate", self.file, "--json", text="".join(key + "\n" for key in sample))
        for key, line in zip(sample, done.stdout.splitlines()):
            start = key.find("{")
            end = key.find("}", start + 1)
            tag = key[start + 1:end] if start >= 0 and end > start + 1 else key
            self.assertEqual(json.loads(line)["position"], crc16(tag.encode()) % 16384, key)

    # requirement: ConsistentHashing.keep.10
    # requirement: ConsistentHashing.never.9
    def test_two_processes_agree(self):
        self.create("--node", "a", "--node", "b", "--node", "c,weight=2", "--replicas", "2")
        other = self.home.name + "/other"
        self.assertEqual(ring("create", other, "--node", "c,weight=2", "--node", "a", "--node", "b", "--replicas", "2").returncode, 0)
        self.assertEqual(pathlib.Path(self.file).read_bytes(), pathlib.Path(other).read_bytes())
        text = "".join(key + "\n" for key in keys(2_000, 3))
        self.assertEqual(ring("locate", self.file, text=text).stdout, ring("locate", other, text=text).stdout)

    # requirement: ConsistentHashing.keep.8
    def test_show(self):
        self.create("--node", "alpha,zone=east,rack=1", "--node", "beta,weight=3", "--replicas", "2")
        done = ring("show", self.file)
        self.assertEqual(done.returncode, 0, done.stderr)
        for part in ["ring of 600 tokens", "replication factor 2", "alpha", "beta", "450", "150", "east", "imbalance 1."]:
            self.assertIn(part, done.stdout)
        circle = done.stdout.split("\n\n")[1]
        self.assertEqual(len(circle.splitlines()), 21)
        self.assertGreater(circle.count("B"), circle.count("A"), "the heavier node has more of the circle")
        shown = json.loads(ring("show", self.file, "--json").stdout)
        self.assertAlmostEqual(sum(member["share"] for member in shown["members"]), 1, places=9)
        self.assertEqual([member["vnodes"] for member in shown["members"]], [150, 450])

    def test_a_plan_agrees_with_lookups_before_and_after(self):
        self.create("--node", "a", "--node", "b", "--node", "c", "--size", "20")
        changes = ["--add", "d", "--remove", "a", "--reweight", "b=2"]
        plan_file = self.home.name + "/plan"
        plan = json.loads(ring("plan", self.file, *changes, "--output", plan_file, "--json").stdout)
        self.assertEqual(pathlib.Path(plan_file).read_bytes()[:4], b"STTP")
        sample = "".join(key + "\n" for key in keys(3_000, 5))

        def owners():
            return [json.loads(line) for line in ring("locate", self.file, "--json", text=sample).stdout.splitlines()]

        before = owners()
        self.assertEqual(ring("change", self.file, *changes).stdout, "epoch 4\n")
        moved = 0
        for old, new in zip(before, owners()):
            position = old["position"]
            moves = [
                move for move in plan["moves"]
                if (move["start"] < position <= move["end"]) or (move["start"] >= move["end"] and not move["end"] < position <= move["start"])
            ]
            if old["nodes"] == new["nodes"]:
                self.assertEqual(moves, [])
            else:
                moved += 1
                self.assertEqual([(move["sources"], move["destination"]) for move in moves], [(old["nodes"], new["nodes"][0])])
        self.assertGreater(moved, 300)

    def test_keys_of_a_node(self):
        self.create("--node", "a", "--node", "b", "--node", "c", "--replicas", "2")
        sample = keys(300, 9)
        text = "".join(key + "\n" for key in sample)
        located = {line.split("\t")[0]: line.split("\t")[1:] for line in ring("locate", self.file, text=text).stdout.splitlines()}
        held = ring("keys", self.file, "--node", "b", text=text).stdout.splitlines()
        self.assertEqual(held, [key for key in sample if "b" in located[key]])
        self.assertEqual(ring("keys", self.file, "--node", "x", text=text).returncode, 1)

    def test_every_kind(self):
        for kind in ["ring", "balanced", "envoy", "ketama", "libketama", "slots", "maglev", "rendezvous", "jump"]:
            self.file = self.home.name + "/" + kind
            self.create("--kind", kind, "--node", "a", "--node", "b")
            self.assertEqual(ring("verify", self.file).stdout, "clean: epoch 1, 2 members\n")
            self.assertEqual(ring("show", self.file).returncode, 0)
            self.assertEqual(ring("change", self.file, "--add", "c").stdout, "epoch 2\n", kind)
            self.assertEqual(json.loads(ring("verify", self.file, "--json").stdout), {"epoch": 2, "members": 3})
            plan = ring("plan", self.file, "--remove", "c")
            self.assertEqual(plan.returncode, 1 if kind in ("rendezvous", "jump") else 0, kind)

    def test_refusals(self):
        self.create("--node", "a", "--node", "b")
        self.assertEqual(ring("create", self.file, "--node", "a").returncode, 1)
        self.assertEqual(ring("create", self.file + "2", "--node", "a,weight=0").returncode, 64)
        self.assertEqual(ring("create", self.file + "2", "--node", "a,wait=3").returncode, 64)
        self.assertEqual(ring("create", self.file + "2", "--node", "a", "--node", "a").returncode, 1)
        self.assertEqual(ring("create", self.file + "2", "--kind", "maglev", "--size", "8", "--node", "a").returncode, 64)
        self.assertFalse(os.path.exists(self.file + "2"))
        self.assertEqual(ring("change", self.file, "--remove", "x").returncode, 1)
        self.assertEqual(ring("change", self.file, "--reweight", "b").returncode, 64)
        self.assertEqual(ring("locate", self.file, "k", "--replicas", "3").returncode, 1)
        self.assertEqual(ring("show", self.home.name + "/none").returncode, 1)

    # requirement: ConsistentHashing.format.2
    def test_damage(self):
        self.create("--node", "a", "--node", "b")
        good = pathlib.Path(self.file).read_bytes()
        for offset, code in [(0, 2), (4, 1), (16, 2), (45, 2), (len(good) - 1, 2)]:
            bad = bytearray(good)
            bad[offset] ^= 4
            pathlib.Path(self.file).write_bytes(bad)
            self.assertEqual(ring("verify", self.file).returncode, code, offset)
        pathlib.Path(self.file).write_bytes(good[:-5])
        self.assertEqual(ring("verify", self.file).returncode, 2)


if __name__ == "__main__":
    unittest.main()
