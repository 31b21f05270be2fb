"""The strata program as a process: real clients, kills, refusals, exit codes."""

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import unittest

from wire import Connection, Strata, wait_until

try:
    import redis
except ImportError:
    redis = None

BINARY = Strata.binary


def run(*arguments, stdin="", environment=None):
    return subprocess.run(
        [BINARY, *arguments], input=stdin, capture_output=True, text=True, timeout=60, env={**os.environ, **(environment or {})})


class Directory(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="strata-process-")
        self.addCleanup(shutil.rmtree, self.directory, True)

    def path(self, name):
        return os.path.join(self.directory, name)


class EveryEngine:
    """What holds whatever the engine; `engine` says which."""

    def strata(self, *options, **more):
        return Strata("--engine", self.engine, *options, **more)

    def test_a_value_survives_kill_and_restart_in_every_durability(self):
        for durability in ("every-write", "batched", "none"):
            with self.subTest(durability), self.strata("--durability", durability) as server:
                client = server.connect()
                for index in range(200):
                    self.assertEqual(client.call("SET", f"k{index}", f"v{index}"), ("simple", b"OK"))
                client.call("DEL", "k7")
                client.call("SET", "t", "v", "EX", "4000")
                client.close()
                server.kill()
                server.start()
                client = server.connect()
                for index in range(200):
                    expected = ("null bulk",) if index == 7 else ("bulk", b"v%d" % index)
                    self.assertEqual(client.call("GET", f"k{index}"), expected)
                self.assertEqual(client.call("DBSIZE"), ("integer", 200))
                self.assertGreater(client.call("TTL", "t")[1], 3900)
                self.assertIn(b"db0:keys=200,expires=1,", client.call("INFO", "keyspace")[1])
                client.close()

    def test_terminate_answers_syncs_and_exits_0(self):
        with self.strata("--durability", "none") as server:
            client = server.connect()
            self.assertEqual(client.call("SET", "a", "1"), ("simple", b"OK"))
            self.assertEqual(server.stop(), 0)
            self.assertTrue(client.at_end())
            client.close()
            server.start()
            client = server.connect()
            self.assertEqual(client.call("GET", "a"), ("bulk", b"1"))
            client.send("SHUTDOWN")
            self.assertTrue(client.at_end())
            client.close()
            self.assertEqual(server.process.wait(30), 0)

    def test_banner_says_what_runs(self):
        with self.strata("--durability", "batched", "--batch-count", "7", "--batch-interval", "3ms") as server:
            with open(os.path.join(server.directory, "log")) as log:
                text = log.read()
            self.assertIn(f"listening on 127.0.0.1:{server.port}", text)
            self.assertIn(f"engine {self.engine}, durability batched (7 writes or 3 ms)", text)
            self.assertIn(os.path.join(server.directory, "store"), text)

    def test_a_second_server_on_the_directory_is_refused(self):
        with self.strata() as server:
            result = run("serve", "--engine", self.engine, "--port", "0", "--dir", os.path.join(server.directory, "store"))
            self.assertEqual(result.returncode, 1)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
            self.assertIn(str(server.process.pid), result.stderr)

    def test_a_store_of_the_other_engine_is_refused_and_left_alone(self):
        other = {"lsm": "bitcask", "bitcask": "lsm"}[self.engine]
        with self.strata() as server:
            client = server.connect()
            client.call("SET", "a", "1")
            client.close()
            server.stop()
            store = os.path.join(server.directory, "store")
            before = sorted(os.listdir(store))
            result = run("serve", "--engine", other, "--port", "0", "--dir", store)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
            self.assertIn(f"--engine {self.engine}", result.stderr)
            self.assertIn(other, result.stderr)
            self.assertEqual(before, sorted(os.listdir(store)))
            server.start()
            client = server.connect()
            self.assertEqual(client.call("GET", "a"), ("bulk", b"1"))
            client.close()

    def test_a_damaged_store_is_refused_with_2(self):
        with self.strata() as server:
            client = server.connect()
            for index in range(50):
                client.call("SET", f"k{index}", "v" * 100)
            client.close()
            server.stop()
            store = os.path.join(server.directory, "store")
            names = sorted(name for name in os.listdir(store) if name.startswith("MANIFEST"))
            with open(os.path.join(store, names[-1]), "r+b") as file:
                data = file.read()
                file.seek(len(data) // 2)
                file.write(bytes([data[len(data) // 2] ^ 0x40]))
            before = {name: os.path.getsize(os.path.join(store, name)) for name in os.listdir(store)}
            result = run("serve", "--engine", self.engine, "--port", "0", "--dir", store)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
            self.assertEqual(before, {name: os.path.getsize(os.path.join(store, name)) for name in os.listdir(store)})


class LSMServing(EveryEngine, Directory):
    engine = "lsm"

    def test_a_store_keeps_its_compaction_style(self):
        store = self.path("store")

        def style():
            [held] = json.loads(run("lsm", "stats", store, "--json").stdout)["keyspaces"]
            return held["style"]

        with self.strata("--compaction-style", "size-tiered", directory=self.directory) as server:
            client = server.connect()
            client.call("SET", "a", "1")
            client.close()
            server.stop()
        self.assertEqual(style(), "sizeTiered")
        refused = run("serve", "--port", "0", "--dir", store, environment={"STRATA_COMPACTION_STYLE": "leveled"})
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertEqual(len(refused.stderr.strip().splitlines()), 1, refused.stderr)
        self.assertIn("sizeTiered", refused.stderr)
        # Not told, the server takes the store as it is.
        with self.strata(directory=self.directory) as server:
            client = server.connect()
            self.assertEqual(client.call("GET", "a"), ("bulk", b"1"))
            client.close()
        self.assertEqual(style(), "sizeTiered")

    def test_lsm_is_the_default(self):
        with Strata() as server:
            client = server.connect()
            self.assertIn(b"engine:lsm\r\n", client.call("INFO", "server")[1])
            client.close()

    def test_settings_flags_over_environment_over_file(self):
        config = self.path("strata.conf")
        with open(config, "w") as file:
            file.write("# limits\nmax-clients = 11\nslowlog-entries = 12 # kept\nidle-timeout = 13s\n")
        environment = {"STRATA_SLOWLOG_ENTRIES": "22", "STRATA_IDLE_TIMEOUT": "23s", "STRATA_CONFIG": config}
        with Strata("--idle-timeout", "33s", environment=environment) as server:
            client = server.connect()
            for name, value in (("maxclients", b"11"), ("slowlog-max-len", b"22"), ("timeout", b"33")):
                self.assertEqual(client.call("CONFIG", "GET", name), ("array", [("bulk", name.encode()), ("bulk", value)]))
            client.close()

    def test_a_port_in_use_leaves_no_trace(self):
        with Strata() as server:
            result = run("serve", "--port", str(server.port), "--dir", self.path("other"))
            self.assertEqual(result.returncode, 1)
            self.assertIn("in use", result.stderr)
            self.assertFalse(os.path.exists(self.path("other")))

    def test_refusals_are_one_sentence_and_change_nothing(self):
        with open(self.path("file"), "w") as file:
            file.write("not a directory")
        with open(self.path("bad.conf"), "w") as file:
            file.write("max-clientz = 4\n")
        cases = [
            (["--nosuch"], 64), (["--port", "x"], 64), (["--port", "70000"], 64), (["--durability", "sometimes"], 64), (["--engine", "nosuch"], 64),
            (["--max-clients", "0"], 64), (["--batch-interval", "10 parsecs"], 64), (["--config", self.path("none.conf")], 64),
            (["--config", self.path("bad.conf")], 64), (["--tls-cert", "x"], 64), (["--compaction-style", "oldest"], 64),
            (["--engine", "bitcask", "--compaction-style", "leveled"], 64),
            (["--tls-cert", self.path("none"), "--tls-key", self.path("none")], 1),
            (["--host", "0.0.0.0"], 1), (["--host", "192.0.2.1", "--password", "x"], 1), (["--dir", self.path("file")], 1),
            (["--dir", "/proc/strata"], 1),
        ]
        for arguments, code in cases:
            with self.subTest(arguments):
                options = arguments if "--dir" in arguments else [*arguments, "--dir", self.path("store")]
                result = run("serve", *(options if "--port" in options else [*options, "--port", "0"]))
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertTrue(result.stderr.strip())
                self.assertNotIn("Fatal", result.stderr)
                self.assertFalse(os.path.exists(self.path("store")))

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
    def test_tls(self):
        key, certificate = self.path("key.pem"), self.path("cert.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        with Strata("--tls-cert", certificate, "--tls-key", key) as server:
            plain = server.connect()
            context = ssl.create_default_context(cafile=certificate)
            plain.socket = context.wrap_socket(plain.socket, server_hostname="localhost")
            self.assertEqual(plain.call("SET", "a", "x" * 100_000), ("simple", b"OK"))
            self.assertEqual(plain.call("GET", "a"), ("bulk", b"x" * 100_000))
            plain.close()
            naked = server.connect()
            naked.send("PING")
            self.assertRaises((ConnectionError, AssertionError), naked.reply)
            naked.close()
        with Strata("--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", certificate) as server:
            anonymous = server.connect()
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                anonymous.socket = ssl.create_default_context(cafile=certificate).wrap_socket(anonymous.socket, server_hostname="localhost")
                anonymous.call("PING")
            anonymous.close()
            known = server.connect()
            context = ssl.create_default_context(cafile=certificate)
            context.load_cert_chain(certificate, key)
            known.socket = context.wrap_socket(known.socket, server_hostname="localhost")
            self.assertEqual(known.call("PING"), ("simple", b"PONG"))
            known.close()


class BitcaskServing(EveryEngine, Directory):
    engine = "bitcask"


class RealClients(unittest.TestCase):
    engine = "lsm"

    @classmethod
    def setUpClass(cls):
        cls.server = Strata("--durability", "none", "--engine", cls.engine)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    @unittest.skipIf(redis is None, "redis-py is not installed")
    def test_redis_py(self):
        for protocol in (2, 3):
            with self.subTest(protocol=protocol):
                client = redis.Redis(port=self.server.port, protocol=protocol, client_name="tester")
                client.flushall()
                self.assertTrue(client.ping())
                self.assertTrue(client.set("a", "1", ex=100))
                self.assertEqual(client.get("a"), b"1")
                self.assertLessEqual(client.ttl("a"), 100)
                self.assertEqual(client.incrby("n", 5), 5)
                self.assertEqual(client.incrbyfloat("f", 1.5), 1.5)
                self.assertTrue(client.mset({"x": "1", "y": "2"}))
                self.assertEqual(client.mget("x", "y", "z"), [b"1", b"2", None])
                self.assertIsNone(client.set("a", "2", nx=True))
                self.assertEqual(client.set("a", "3", get=True), b"1")
                self.assertEqual(client.getdel("a"), b"3")
                self.assertEqual(client.setrange("s", 3, "x"), 4)
                self.assertEqual(sorted(client.scan_iter(match="[xy]", count=2)), [b"x", b"y"])
                self.assertEqual(client.type("x"), b"string")
                self.assertTrue(client.expire("x", 50, nx=True))
                self.assertTrue(client.copy("x", "w"))
                self.assertTrue(client.rename("w", "v"))
                self.assertEqual(client.dbsize(), len(client.keys("*")))
                self.assertIn(client.client_getname(), ("tester", b"tester"))
                self.assertTrue(any(entry["name"] in ("tester", b"tester") for entry in client.client_list()))
                self.assertEqual(client.info()["role"], "master")
                self.assertEqual(client.config_get("databases"), {"databases": "16"})
                self.assertGreater(client.command_count(), 50)
                self.assertIn("get", client.command())
                self.assertIsInstance(client.time(), tuple)
                self.assertTrue(client.slowlog_reset())
                self.assertIsInstance(client.slowlog_len(), int)
                self.assertTrue(client.bgsave())
                self.assertEqual(client.wait(0, 0), 0)
                with self.assertRaises(redis.ResponseError):
                    client.incr("s")
                with client.pipeline(transaction=False) as pipeline:
                    for index in range(500):
                        pipeline.set(f"p{index}", index).get(f"p{index}")
                    answers = pipeline.execute()
                self.assertEqual(answers[1::2], [b"%d" % index for index in range(500)])
                client.close()

    @unittest.skipUnless(shutil.which("redis-cli"), "redis-cli is not installed")
    def test_redis_cli(self):
        def cli(*arguments, stdin=None):
            return subprocess.run(
                ["redis-cli", "-p", str(self.server.port), *arguments], input=stdin, capture_output=True, text=True, timeout=30).stdout.strip()

        self.assertEqual(cli("set", "cli", "1"), "OK")
        self.assertEqual(cli("get", "cli"), "1")
        self.assertEqual(cli("-3", "mget", "cli", "none"), '1')
        self.assertIn("cli", cli("--scan", "--pattern", "cl*"))
        pipe = "".join(f"SET pipe{index} {index}\r\n" for index in range(1000))
        self.assertIn("errors: 0, replies: 1000", cli("--pipe", stdin=pipe))
        self.assertEqual(cli("get", "pipe999"), "999")

    @unittest.skipUnless(shutil.which("redis-benchmark"), "redis-benchmark is not installed")
    def test_redis_benchmark(self):
        for depth in ("1", "16"):
            result = subprocess.run(
                ["redis-benchmark", "-p", str(self.server.port), "-t", "ping,set,get,incr,mset", "-P", depth, "-n", "2000", "-c", "20", "-r", "500",
                 "-q"],
                capture_output=True, text=True, timeout=120)
            self.assertEqual(result.returncode, 0, result.stderr)
            for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET"):
                self.assertIn(name, result.stdout)
            self.assertNotIn("ERR", result.stdout + result.stderr)


class RealClientsOfBitcask(RealClients):
    engine = "bitcask"


class Tool(Directory):
    def test_version_and_usage(self):
        self.assertRegex(run("version").stdout, r"^strata \d+\.\d+\.\d+\n$")
        self.assertEqual(run("nosuch").returncode, 64)
        self.assertEqual(run("wal", "dump").returncode, 64)
        self.assertIn("complete", run("--generate-completion-script", "bash").stdout)

    def test_wal_verbs(self):
        log = self.path("log")
        lines = "".join(json.dumps({"op": "put", "key": f"k{index}", "value": "v"}) + "\n" for index in range(20))
        result = run("wal", "append", log, stdin=lines + '{"op": "delete", "key_base64": "AP8="}\n')
        self.assertEqual((result.returncode, result.stdout.split()), (0, [str(number) for number in range(1, 22)]))
        result = run("wal", "dump", "--json", log)
        self.assertEqual(result.returncode, 0)
        entries = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual([entry["sequence"] for entry in entries if entry["op"] in ("put", "delete")], list(range(1, 22)))
        self.assertEqual(entries[20]["key_base64"], "AP8=")
        self.assertEqual(run("wal", "verify", log).returncode, 0)
        self.assertEqual(run("wal", "append", log, stdin="nonsense\n").returncode, 64)
        self.assertEqual(run("wal", "verify", self.path("none")).returncode, 1)
        self.assertFalse(os.path.exists(self.path("none")))

    def test_wal_damage_is_2_and_salvage_keeps_the_rest(self):
        log, out = self.path("log"), self.path("out")
        run("wal", "append", log, stdin="".join(json.dumps({"op": "put", "key": f"k{index}", "value": "v" * 2000}) + "\n" for index in range(100)))
        segment = max((os.path.join(log, name) for name in os.listdir(log)), key=os.path.getsize)
        with open(segment, "r+b") as file:
            data = file.read()
            place = data.index(b"k50")
            file.seek(place)
            file.write(b"k!!")
        self.assertEqual(run("wal", "verify", log).returncode, 2)
        self.assertEqual(json.loads(run("wal", "verify", "--json", log).stdout)["damage"][0]["segment"], 1)
        result = run("wal", "salvage", "--json", log, out)
        self.assertEqual(result.returncode, 0, result.stderr)
        saved = [json.loads(line).get("key") for line in run("wal", "dump", "--json", out).stdout.splitlines()]
        self.assertIn("k0", saved)
        self.assertIn("k99", saved)
        self.assertNotIn("k50", saved)
        self.assertEqual(run("wal", "salvage", log, out).returncode, 1)

    def test_bitcask_verbs(self):
        store = self.path("store")
        self.assertEqual(run("bitcask", "put", store, "a", "1").stdout, "1\n")
        changes = [{"op": "put", "key": "b", "value": "2"}, {"op": "delete", "key": "a"}, {"op": "put", "key_base64": "AP8=", "value_base64": "/w=="}]
        result = run("bitcask", "put", "--stdin", "--json", store, stdin="\n".join(json.dumps(change) for change in changes) + "\n\n")
        self.assertEqual((result.returncode, [json.loads(line)["sequence"] for line in result.stdout.splitlines()]), (0, [2, 3, 4]))
        self.assertEqual(run("bitcask", "get", store, "b").stdout, "2\n")
        self.assertEqual(json.loads(run("bitcask", "get", "--json", store, "b").stdout), {"key": "b", "value": "2"})
        self.assertEqual(run("bitcask", "get", store, "a").returncode, 1)
        self.assertEqual(run("bitcask", "del", store, "b", "nosuch").stdout, "5\nabsent\n")
        run("bitcask", "put", store, "c", "3")
        items = [json.loads(line) for line in run("bitcask", "dump", "--json", store).stdout.splitlines()]
        self.assertEqual(sorted(items, key=str), sorted([{"key": "c", "value": "3"}, {"key_base64": "AP8=", "value_base64": "/w=="}], key=str))
        self.assertEqual(len(run("bitcask", "keys", store).stdout.splitlines()), 2)
        before = json.loads(run("bitcask", "stats", "--json", store).stdout)
        self.assertEqual((before["keys"], before["last_sequence"]), (2, 6))
        self.assertGreater(before["dead_bytes"], 0)
        merged = json.loads(run("bitcask", "merge", "--json", store).stdout)
        self.assertEqual((merged["records_moved"], merged["records_dropped"], merged["damage"]), (2, 4, []))
        after = json.loads(run("bitcask", "stats", "--json", store).stdout)
        self.assertEqual((after["keys"], after["dead_bytes"]), (2, 0))
        self.assertLess(after["disk_bytes"], before["disk_bytes"])
        self.assertEqual(run("bitcask", "hints", store).returncode, 0)
        self.assertEqual(run("bitcask", "verify", store).returncode, 0)
        self.assertEqual(run("bitcask", "get", store, "c").stdout, "3\n")

    def test_bitcask_refusals(self):
        store = self.path("store")
        self.assertEqual(run("bitcask", "put", "--stdin", store, stdin='{"op": "put", "key": "a", "value": "1"}\nnonsense\n').returncode, 64)
        self.assertEqual(run("bitcask", "get", store, "a").stdout, "1\n", "the change before the bad line is kept")
        for arguments in (["get"], ["put", store, "a"], ["put", store, "a", "1", "--ttl", "-1"], ["del", store], ["verify", store, "--rate", "0"]):
            self.assertEqual(run("bitcask", *arguments).returncode, 64, arguments)
        for verb in (["get", "a"], ["keys"], ["dump"], ["verify"], ["stats"], ["merge"]):
            result = run("bitcask", verb[0], self.path("none"), *verb[1:])
            self.assertEqual((result.returncode, len(result.stderr.strip().splitlines())), (1, 1), verb)
        self.assertFalse(os.path.exists(self.path("none")))
        with Strata("--engine", "bitcask") as server:
            result = run("bitcask", "keys", os.path.join(server.directory, "store"))
            self.assertEqual(result.returncode, 1)
            self.assertIn(str(server.process.pid), result.stderr)

    def test_bitcask_damage_is_2_and_the_rest_is_dumped(self):
        store = self.path("store")
        changes = "".join(json.dumps({"op": "put", "key": f"k{index}", "value": "v" * 500}) + "\n" for index in range(40))
        run("bitcask", "put", "--stdin", store, stdin=changes)
        data = max((os.path.join(store, name) for name in os.listdir(store) if name.endswith(".data")), key=os.path.getsize)
        with open(data, "r+b") as file:
            place = file.read().index(b"k20")
            file.seek(place + 100)
            file.write(b"!")
        result = run("bitcask", "dump", "--json", store)
        self.assertEqual(result.returncode, 2)
        keys = {json.loads(line)["key"] for line in result.stdout.splitlines()}
        self.assertEqual(keys, {f"k{index}" for index in range(40)} - {"k20"})
        self.assertEqual(len(result.stderr.strip().splitlines()), 1)
        result = run("bitcask", "verify", "--json", store)
        self.assertEqual((result.returncode, len(json.loads(result.stdout)["damage"])), (2, 1))


if __name__ == "__main__":
    unittest.main()
