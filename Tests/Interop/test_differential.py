"""The same commands to redis-server and to strata, reply by reply, in both protocol versions."""

import random
import unittest

from wire import Redis, Strata, encode

FAR = 4_000_000_000  # a time to live in seconds that does not end during a test, as an absolute time: year 2096

# Each script runs on an empty database. A command is a list of words; a pair (name, command) names how replies are compared.
SCRIPTS = {
    "ping": [["PING"], ["PING", "hello"], ["PING", "a", "b"], ["ping"], ["ECHO", "x"], ["ECHO"], ["ECHO", "a", "b"]],
    "unknown": [
        ["NOSUCH"], ["NOSUCH", "a", "b c"], ["nosuch", "x" * 200, "y"], ["X" * 300], ["GETT", ""], ["get"], ["GET", "a", "b"], ["SET", "a"],
        ["CLIENT"], ["CLIENT", "NOSUCH"], ["CLIENT", "GETNAME", "x"], ["CONFIG", "GET"], ["CONFIG", "NOSUCH", "x"], ["OBJECTT", "x"],
        ["SLOWLOG", "nosuch"], ["LATENCY", "nosuch"], ["COMMAND", "nosuch"], ["", "x"], ["CLIENT", "ID", "x"], ["SLOWLOG", "GET", "x"],
        ["SLOWLOG", "GET", "-2"],
    ],
    "get set": [
        ["GET", "a"], ["SET", "a", "1"], ["GET", "a"], ["SET", "a", ""], ["GET", "a"], ["STRLEN", "a"], ["STRLEN", "none"],
        ["SET", "a", b"\x00\xff\r\n"], ["GET", "a"], ["SET", "", "empty key"], ["GET", ""], ["TYPE", "a"], ["TYPE", "none"],
    ],
    "set options": [
        ["SET", "a", "1", "NX"], ["SET", "a", "2", "NX"], ["GET", "a"], ["SET", "b", "1", "XX"], ["SET", "a", "3", "XX"], ["GET", "a"],
        ["SET", "a", "4", "GET"], ["SET", "c", "5", "GET"], ["SET", "c", "6", "NX", "GET"], ["SET", "d", "6", "NX", "GET"], ["GET", "d"],
        ["SET", "e", "6", "XX", "GET"], ["GET", "e"], ["SET", "a", "x", "EX", "100"], ["TTL", "a"], ["SET", "a", "y", "KEEPTTL"], ["TTL", "a"],
        ["SET", "a", "z"], ["TTL", "a"], ["SET", "a", "x", "PX", "100000"], ["TTL", "a"], ["SET", "a", "x", "EXAT", FAR], ["EXPIRETIME", "a"],
        ["SET", "a", "x", "PXAT", FAR * 1000], ["PEXPIRETIME", "a"], ["SET", "a", "x", "EX", "0"], ["SET", "a", "x", "EX", "-1"],
        ["SET", "a", "x", "PX", "0"], ["SET", "a", "x", "EX", "abc"], ["SET", "a", "x", "EX"], ["SET", "a", "x", "EX", "9223372036854775807"],
        ["SET", "a", "x", "PX", "9223372036854775807"], ["SET", "a", "x", "EX", "10", "PX", "10"], ["SET", "a", "x", "KEEPTTL", "EX", "10"],
        ["SET", "a", "x", "EX", "10", "KEEPTTL"], ["SET", "a", "x", "NX", "XX"], ["SET", "a", "x", "NOSUCH"], ["SET", "a", "x", "EXAT", "1"],
        ["GET", "a"], ["SET", "a", "x", "nx", "ex", "7"], ["SET", "a", "x", "EXAT", "0"], ["SET", "a", "x", "EX", "1.5"],
        ["SET", "a", "x", "EX", "+5"], ["SET", "a", "x", "EX", " 5"], ["SET", "a", "x", "EX", "05"], ["SET", "x", "1", "get", "get"],
    ],
    "setnx setex": [
        ["SETNX", "a", "1"], ["SETNX", "a", "2"], ["GET", "a"], ["SETEX", "a", "100", "v"], ["TTL", "a"], ["PSETEX", "a", "100000", "v"],
        ["TTL", "a"], ["SETEX", "a", "0", "v"], ["SETEX", "a", "-5", "v"], ["SETEX", "a", "x", "v"], ["PSETEX", "a", "0", "v"],
        ["SETEX", "a", "9223372036854775", "v"], ["SETEX", "a", "10"],
    ],
    "getset getdel getex": [
        ["GETSET", "a", "1"], ["GETSET", "a", "2"], ["GET", "a"], ["GETDEL", "a"], ["GETDEL", "a"], ["GETEX", "a"], ["SET", "a", "v"],
        ["GETEX", "a"], ["TTL", "a"], ["GETEX", "a", "EX", "100"], ["TTL", "a"], ["GETEX", "a", "PERSIST"], ["TTL", "a"],
        ["GETEX", "a", "PX", "100000"], ["TTL", "a"], ["GETEX", "a", "EXAT", FAR], ["EXPIRETIME", "a"], ["GETEX", "a", "EX", "0"],
        ["GETEX", "a", "EX", "x"], ["GETEX", "a", "EX"], ["GETEX", "a", "NOSUCH"], ["GETEX", "a", "PERSIST", "EX", "1"],
        ["GETEX", "a", "EX", "1", "PX", "1"], ["GETEX", "none", "EX", "10"], ["GETEX", "a", "EXAT", "1"], ["EXISTS", "a"],
        ["SET", "b", "1", "EX", "50"],
        ["GETSET", "b", "2"], ["TTL", "b"],
    ],
    "many": [
        ["MSET", "a", "1", "b", "2"], ["MGET", "a", "b", "c"], ["MSET", "a"], ["MSET", "a", "1", "b"], ["MSETNX", "c", "3", "d", "4"],
        ["MSETNX", "d", "5", "e", "6"], ["MGET", "c", "d", "e"], ["MSETNX", "x"], ["MSETNX", "x", "1", "y"], ["MSET", "a", "1", "a", "2"],
        ["GET", "a"],
        ["MGET"], ["DEL", "a", "a", "b"], ["EXISTS", "c", "c", "zz"], ["UNLINK", "c"], ["TOUCH", "d", "d", "q"], ["DEL", "none"], ["DBSIZE"],
    ],
    "append range": [
        ["APPEND", "a", "hello"], ["APPEND", "a", " world"], ["GET", "a"], ["APPEND", "e", ""], ["EXISTS", "e"], ["GETRANGE", "a", "0", "4"],
        ["GETRANGE", "a", "-5", "-1"], ["GETRANGE", "a", "5", "2"], ["GETRANGE", "a", "0", "100"], ["GETRANGE", "a", "-100", "2"],
        ["GETRANGE", "a", "-1", "-5"], ["GETRANGE", "none", "0", "1"], ["GETRANGE", "a", "x", "1"], ["GETRANGE", "a", "9223372036854775807", "1"],
        ["GETRANGE", "a", "-9223372036854775808", "-9223372036854775808"], ["SUBSTR", "a", "1", "2"], ["SETRANGE", "a", "6", "redis"], ["GET", "a"],
        ["SETRANGE", "b", "3", "x"], ["GET", "b"], ["SETRANGE", "c", "3", ""], ["EXISTS", "c"], ["SETRANGE", "a", "-1", "x"],
        ["SETRANGE", "a", "x", "y"],
        ["SETRANGE", "a", "536870912", "x"], ["SETRANGE", "a", "536870911", ""], ["SETRANGE", "a", "9223372036854775807", "x"], ["STRLEN", "a"],
        ["SET", "t", "v", "EX", "100"], ["APPEND", "t", "w"], ["TTL", "t"], ["SETRANGE", "t", "0", "zz"], ["TTL", "t"],
    ],
    "numbers": [
        ["INCR", "a"], ["INCR", "a"], ["INCRBY", "a", "40"], ["DECR", "a"], ["DECRBY", "a", "41"], ["GET", "a"], ["SET", "b", "x"], ["INCR", "b"],
        ["SET", "b", "9223372036854775807"], ["INCR", "b"], ["DECR", "b"], ["SET", "b", "-9223372036854775808"], ["DECR", "b"], ["INCR", "b"],
        ["INCRBY", "a", "x"], ["INCRBY", "a", "9223372036854775808"], ["DECRBY", "a", "-9223372036854775808"], ["DECRBY", "a", "-5"],
        ["SET", "b", " 1"],
        ["INCR", "b"], ["SET", "b", "1 "], ["INCR", "b"], ["SET", "b", "01"], ["INCR", "b"], ["SET", "b", "-0"], ["INCR", "b"], ["SET", "b", "+1"],
        ["INCR", "b"], ["SET", "b", ""], ["INCR", "b"], ["SET", "t", "1", "EX", "100"], ["INCR", "t"], ["TTL", "t"], ["INCRBY", "t", "1.5"],
    ],
    "floats": [
        ["INCRBYFLOAT", "a", "1.5"], ["INCRBYFLOAT", "a", "2"], ["INCRBYFLOAT", "a", "-3.5"], ["GET", "a"], ["SET", "a", "10.50"],
        ["INCRBYFLOAT", "a", "0.1"], ["SET", "a", "5.0e3"], ["INCRBYFLOAT", "a", "2.0e2"], ["INCRBYFLOAT", "a", "x"], ["SET", "a", "abc"],
        ["INCRBYFLOAT", "a", "1"], ["SET", "a", "3"], ["INCRBYFLOAT", "a", "inf"], ["INCRBYFLOAT", "a", "nan"], ["INCRBYFLOAT", "a", " 1"],
        ["INCRBYFLOAT", "a", "1 "], ["INCRBYFLOAT", "a", ""], ["INCRBYFLOAT", "a", "1e400"], ["SET", "b", "0.1"], ["INCRBYFLOAT", "b", "0.2"],
        ["INCRBYFLOAT", "b", "1e17"], ["INCRBYFLOAT", "b", "-1e17"], ["SET", "c", "1e4932"], ["INCRBYFLOAT", "c", "1e4932"], ["SET", "d", "-0"],
        ["INCRBYFLOAT", "d", "-0.0"], ["INCRBYFLOAT", "e", "0x10"], ["INCRBYFLOAT", "f", "3.0"], ["INCRBYFLOAT", "f", "1.234567890123456789"],
    ],
    "expiry": [
        ["EXPIRE", "none", "10"], ["SET", "a", "1"], ["TTL", "a"], ["PTTL", "none"], ["EXPIRETIME", "a"], ["PEXPIRETIME", "none"],
        ["EXPIRE", "a", "100"],
        ["TTL", "a"], ["PERSIST", "a"], ["PERSIST", "a"], ["PERSIST", "none"], ["PEXPIRE", "a", "100000"], ["TTL", "a"], ["EXPIREAT", "a", FAR],
        ["EXPIRETIME", "a"], ["PEXPIREAT", "a", FAR * 1000 + 500], ["EXPIRETIME", "a"], ["PEXPIRETIME", "a"], ["EXPIRE", "a", "100", "NX"],
        ["EXPIREAT", "a", FAR + 100, "XX"], ["EXPIREAT", "a", FAR, "GT"], ["EXPIREAT", "a", FAR + 200, "GT"], ["EXPIREAT", "a", FAR + 300, "LT"],
        ["EXPIREAT", "a", FAR + 100, "LT"], ["EXPIRETIME", "a"], ["PERSIST", "a"], ["EXPIREAT", "a", FAR, "GT"], ["EXPIREAT", "a", FAR, "XX"],
        ["EXPIREAT", "a", FAR, "LT"], ["EXPIRE", "a", "1", "NX", "XX"], ["EXPIRE", "a", "1", "GT", "LT"], ["EXPIRE", "a", "1", "NX", "GT"],
        ["EXPIRE", "a", "1", "NOSUCH"], ["EXPIRE", "a", "x"], ["EXPIRE", "a", "9223372036854775807"], ["PEXPIRE", "a", "9223372036854775807"],
        ["EXPIRE", "a", "-9223372036854775808"], ["EXPIREAT", "a", "9223372036854775807"], ["PEXPIREAT", "a", "9223372036854775807"],
        ["EXPIRE", "a"],
        ["SET", "b", "1"], ["EXPIRE", "b", "0"], ["EXISTS", "b"], ["SET", "b", "1"], ["EXPIRE", "b", "-1"], ["EXISTS", "b"], ["SET", "b", "1"],
        ["PEXPIREAT", "b", "1"], ["GET", "b"], ["EXPIRE", "a", "10", "XX", "GT"], ["DBSIZE"],
    ],
    "rename copy": [
        ["RENAME", "a", "b"], ["SET", "a", "1", "EX", "1000"], ["RENAME", "a", "b"], ["GET", "b"], ["TTL", "b"], ["EXISTS", "a"], ["SET", "a", "2"],
        ["RENAMENX", "a", "b"], ["RENAMENX", "a", "c"], ["GET", "c"], ["RENAMENX", "none", "x"], ["RENAME", "c", "c"], ["RENAMENX", "c", "c"],
        ["COPY", "c", "d"], ["COPY", "c", "d"], ["COPY", "b", "d", "REPLACE"], ["GET", "d"], ["TTL", "d"], ["COPY", "none", "x"],
        ["COPY", "c", "c"],
        ["COPY", "c", "c", "DB", "1"], ["COPY", "c", "c", "DB", "1"], ["COPY", "c", "c", "DB", "99"], ["COPY", "c", "c", "DB", "x"],
        ["COPY", "c", "z", "NOSUCH"], ["COPY", "c", "c", "DB", "0"], ["SELECT", "1"], ["GET", "c"], ["DBSIZE"], ["SELECT", "0"],
        ["COPY", "c", "n", "REPLACE", "DB", "1"], ["DBSIZE"], ["RENAME", "c"],
    ],
    "keys": [
        ["MSET", "one", "1", "two", "2", "three", "3", "four", "4", "a*b", "5", "h[x]", "6"], ("unordered", ["KEYS", "*"]),
        ("unordered", ["KEYS", "t*"]),
        ("unordered", ["KEYS", "?o*"]), ("unordered", ["KEYS", "[ot]*"]), ("unordered", ["KEYS", "[^o]*"]), ("unordered", ["KEYS", "a\\*b"]),
        ("unordered", ["KEYS", "h\\[x\\]"]), ("unordered", ["KEYS", "[a-h]*"]), ("unordered", ["KEYS", "none"]), ["KEYS"],
        ("scan", ["SCAN", "0", "COUNT", "100"]), ("scan", ["SCAN", "0", "COUNT", "100", "MATCH", "t*"]),
        ("scan", ["SCAN", "0", "TYPE", "string", "COUNT", "99"]),
        ("scan", ["SCAN", "0", "TYPE", "list", "COUNT", "99"]), ["SCAN", "x"], ["SCAN", "0", "COUNT", "0"], ["SCAN", "0", "COUNT", "x"],
        ["SCAN", "0", "MATCH"], ["SCAN", "0", "NOSUCH", "1"], ["SCAN"], ["DBSIZE"], ["FLUSHDB"], ["DBSIZE"], ["RANDOMKEY"], ["SET", "k", "v"],
        ["RANDOMKEY"], ["FLUSHALL", "ASYNC"], ["DBSIZE"], ["FLUSHDB", "x"], ["FLUSHALL", "SYNC", "x"], ["FLUSHDB", "SYNC"], ("scan", ["SCAN", "0"]),
    ],
    "databases": [
        ["SELECT", "15"], ["SET", "a", "15"], ["DBSIZE"], ["SELECT", "0"], ["GET", "a"], ["DBSIZE"], ["SELECT", "16"], ["SELECT", "-1"],
        ["SELECT", "x"],
        ["SELECT", "15"], ["FLUSHDB"], ["DBSIZE"], ["SELECT"], ["SELECT", "1", "2"], ["SELECT", "99999999999999"],
        ["SELECT", "9223372036854775808"],
    ],
    "client": [
        ["CLIENT", "GETNAME"], ["CLIENT", "SETNAME", "me"], ["CLIENT", "GETNAME"], ["CLIENT", "SETNAME", "a b"], ["CLIENT", "SETNAME", ""],
        ["CLIENT", "GETNAME"], ["CLIENT", "NO-EVICT", "ON"], ["CLIENT", "NO-EVICT", "OFF"], ["CLIENT", "NO-EVICT", "x"],
        ["CLIENT", "KILL", "1.2.3.4:5"],
        ["CLIENT", "KILL", "ID", "999999"], ["CLIENT", "KILL", "ID", "x"], ["CLIENT", "KILL", "NOSUCH", "x"], ["CLIENT", "LIST", "TYPE", "x"],
        ["CLIENT", "LIST", "ID", "x"], ["CLIENT", "LIST", "NOSUCH"], ["CLIENT", "LIST", "TYPE", "pubsub"], ["RESET"], ["CLIENT", "GETNAME"],
        ["CLIENT", "KILL", "TYPE", "pubsub"], ["CLIENT", "KILL"], ["CLIENT", "KILL", "ID", "0"],
    ],
    "hello auth": [
        ["AUTH", "x"], ["AUTH", "default", "x"], ["AUTH", "a", "b", "c"], ["AUTH"], ["HELLO", "4"], ["HELLO", "x"], ["HELLO", "2", "NOSUCH"],
        ["HELLO", "2", "AUTH", "x"], ["HELLO", "2", "AUTH", "nosuch", "x"], ["HELLO", "2", "SETNAME", "a b"], ("shape", ["HELLO", "2"]),
        ("shape", ["HELLO"]), ("shape", ["HELLO", "3", "SETNAME", "n"]), ["CLIENT", "GETNAME"], ["GET", "none"], ["MGET", "none"],
        ("shape", ["HELLO", "2"]), ["GET", "none"], ["HELLO", "1"], ["HELLO", ""],
    ],
    "server": [
        ["WAIT", "0", "0"], ["WAIT", "x", "0"], ["WAIT", "0", "-1"], ["WAIT", "0", "x"], ["WAIT"], ("shape", ["TIME"]), ("shape", ["LASTSAVE"]),
        ["SAVE"], ["SAVE", "x"], ["BGSAVE", "x"], ["BGSAVE", "SCHEDULE", "x"], ["SLOWLOG", "RESET"], ["SLOWLOG", "LEN"], ["LATENCY", "RESET"],
        ["LATENCY", "LATEST"], ["LATENCY", "HISTORY", "command"], ["LATENCY", "HISTORY"], ["CONFIG", "GET", "save"],
        ["CONFIG", "GET", "databases"], ["CONFIG", "GET", "maxclient*"], ["CONFIG", "GET", "nosuch"], ["CONFIG", "SET", "maxclients", "9000"],
        ["CONFIG", "GET", "maxclients"], ["CONFIG", "SET", "nosuch", "1"], ["CONFIG", "SET", "maxclients"], ["CONFIG", "SET", "databases", "3"],
        ["CONFIG", "RESETSTAT"], ("pairs", ["CONFIG", "GET", "slowlog-max-len", "proto-max-bulk-len"]),
        ["CONFIG", "SET", "timeout", "0", "slowlog-max-len", "99"],
        ["COMMAND", "INFO", "nosuch"], ["COMMAND", "COUNT", "x"], ["SHUTDOWN", "x"], ["MONITOR", "x"], ["QUIT"],
    ],
}


def fields(reply):
    """The part of a reply that must agree where values differ by nature: its kinds."""
    if reply[0] in ("array", "set", "push"):
        return (reply[0], [fields(item) for item in reply[1]])
    if reply[0] == "map":
        return (reply[0], [(key, fields(value)) for key, value in reply[1]])
    return reply[0]


def comparable(mode, reply):
    if reply[0] == "error":
        return reply
    if mode == "unordered" and reply[0] == "array":
        return (reply[0], sorted(reply[1]))
    if mode == "pairs":
        # Redis tells its settings in the order of a table whose seed is new in every process.
        pairs = reply[1] if reply[0] == "map" else list(zip(reply[1][::2], reply[1][1::2]))
        return (reply[0], sorted(pairs))
    if mode == "scan" and reply[0] == "array":
        return (reply[0], reply[1][0], sorted(reply[1][1][1]))
    if mode == "shape":
        return fields(reply)
    return reply


class Differential(unittest.TestCase):
    maxDiff = None
    engine = "lsm"

    @classmethod
    def setUpClass(cls):
        if Redis.program is None:
            raise AssertionError("no redis-server to compare with; install redis-tools")
        cls.redis = Redis("--appendonly", "no")
        cls.strata = Strata("--durability", "none", "--engine", cls.engine)

    @classmethod
    def tearDownClass(cls):
        cls.redis.close()
        cls.strata.close()

    def run_script(self, script, version):
        ours, theirs = self.strata.connect(), self.redis.connect()
        try:
            for connection in (ours, theirs):
                connection.call("FLUSHALL")
                if version == 3:
                    connection.call("HELLO", "3")
            for step in script:
                mode, command = step if isinstance(step, tuple) else ("exact", step)
                expected = theirs.call(*command)
                actual = ours.call(*command)
                self.assertEqual(comparable(mode, actual), comparable(mode, expected), f"RESP{version}: {command}")
        finally:
            ours.close()
            theirs.close()

    def test_scripts(self):
        for name, script in SCRIPTS.items():
            for version in (2, 3):
                with self.subTest(name, version=version):
                    self.run_script(script, version)

    def test_random_commands(self):
        """Random commands over few keys, so that they meet each other's values."""
        seed = random.randrange(1 << 32)
        draw = random.Random(seed)
        keys = ["a", "b", "c"]
        values = ["", "0", "1", "-1", "12", "9223372036854775807", "3.5", "text", "x" * 50]
        numbers = ["0", "1", "-1", "5", "100", "-9223372036854775808", "x"]
        # None twice: which of two equal ones ends later is a matter of the millisecond in which each came.
        lifetimes = draw.sample(range(2000, 1000000), 2000)

        def command():
            key, other, value, number = draw.choice(keys), draw.choice(keys), draw.choice(values), draw.choice(numbers)
            return draw.choice([
                ["GET", key], ["SET", key, value], ["SET", key, value, "NX"], ["SET", key, value, "XX", "GET"], ["SET", key, value, "KEEPTTL"],
                ["SET", key, value, "EX", "1000"], ["APPEND", key, value], ["STRLEN", key], ["GETRANGE", key, number, draw.choice(numbers)],
                ["SETRANGE", key, draw.choice(["0", "3", "10"]), value], ["INCR", key], ["INCRBY", key, number], ["DECRBY", key, number],
                ["INCRBYFLOAT", key, draw.choice(["0.5", "-2", "1e3"])], ["DEL", key, other], ["EXISTS", key, other], ["EXPIRE", key, "1000"],
                ["EXPIRE", key, "500", draw.choice(["NX", "XX"])],
                ["EXPIRE", key, str(lifetimes.pop()), draw.choice(["GT", "LT"])], ["TTL", key], ["PERSIST", key], ["RENAME", key, other],
                ["RENAMENX", key, other], ["COPY", key, other], ["COPY", key, other, "REPLACE"], ["GETSET", key, value], ["GETDEL", key],
                ["GETEX", key, "PERSIST"], ["MSET", key, value, other, "q"], ["MSETNX", key, value, other, "r"], ["MGET", *keys], ["DBSIZE"],
                ["TYPE", key], ["SETNX", key, value], ["TOUCH", *keys],
            ])

        ours, theirs = self.strata.connect(), self.redis.connect()
        for connection in (ours, theirs):
            connection.call("FLUSHALL")
        for round_number in range(40):
            batch = [command() for _ in range(50)]
            wire = b"".join(encode(item) for item in batch)
            ours.send_raw(wire)
            theirs.send_raw(wire)
            for index, item in enumerate(batch):
                expected, actual = theirs.reply(), ours.reply()
                self.assertEqual(actual, expected, f"seed {seed}, round {round_number}, command {index}: {item} after {batch[:index]}")
        ours.close()
        theirs.close()

    MALFORMED = [
        b"*1\r\n+PING\r\n", b"*1\r\nxPING\r\n", b"*x\r\n", b"*1x\r\n", b"*99999999999999999999\r\n", b"*3000000000\r\n",
        b"*1\r\n$-1\r\n", b"*1\r\n$x\r\n", b"*1\r\n$99999999999\r\n", b"*1\r\n$536870913\r\n", b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000,
        b"SET a \"x\r\n", b"SET a 'x\r\n", b"SET a \"x\"y\r\n", b"x" * 70000, b"*1\r\n$03\r\n", b"*+1\r\n", b"*1\r\n\r\n",
    ]

    def test_malformed_protocol(self):
        for data in self.MALFORMED:
            with self.subTest(data[:40]):
                replies = []
                for server in (self.redis, self.strata):
                    connection = server.connect()
                    connection.send_raw(data)
                    replies.append((connection.reply(), connection.at_end()))
                    connection.close()
                self.assertEqual(replies[1], replies[0])

    INLINE = [
        b"PING\r\n", b"PING\n", b"\r\nPING\r\n", b"  PING  \r\n", b"SET k \"a b\\x41\\n\"\r\nGET k\r\n", b"SET k 'a \\'b'\r\nGET k\r\n",
        b"*0\r\nPING\r\n",
        b"*-1\r\nPING\r\n", b"SET k \"\"\r\nGET k\r\n", b"ECHO a\"b c\"\r\n", b"ECHO \"\\q\\\\\\\"\"\r\n",
        b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    ]

    def test_inline_commands(self):
        for data in self.INLINE:
            with self.subTest(data):
                answers = []
                for server in (self.redis, self.strata):
                    connection = server.connect()
                    connection.send_raw(data + b"ECHO end\r\n")
                    got = []
                    while not got or got[-1] != ("bulk", b"end"):
                        got.append(connection.reply())
                    answers.append(got)
                    connection.close()
                self.assertEqual(answers[1], answers[0])

    def test_unauthenticated(self):
        with Redis("--requirepass", "secret") as redis, Strata("--durability", "none", "--password", "secret") as strata:
            script = [
                ["PING"], ["GET", "a"], ["HELLO"], ["HELLO", "3"], ["NOSUCH"], ["GET"], ["AUTH", "wrong"], ["AUTH", "default", "wrong"],
                ["AUTH", "nosuch", "secret"], ["HELLO", "3", "AUTH", "default", "wrong"], ["AUTH", "secret"], ["PING"], ["RESET"], ["PING"],
                ["AUTH", "default", "secret"], ["SET", "a", "1"],
            ]
            ours, theirs = strata.connect(), redis.connect()
            for command in script:
                self.assertEqual(ours.call(*command), theirs.call(*command), command)
            for data in (encode(["GET"] * 11), b"*1\r\n$16385\r\n"):
                answers = []
                for server in (redis, strata):
                    connection = server.connect()
                    connection.send_raw(data)
                    answers.append((connection.reply(), connection.at_end()))
                    connection.close()
                self.assertEqual(answers[1], answers[0])


class DifferentialOfBitcask(unittest.TestCase):
    """The commands that touch records, on the other engine."""

    maxDiff = None
    engine = "bitcask"
    setUpClass = classmethod(Differential.setUpClass.__func__)
    tearDownClass = classmethod(Differential.tearDownClass.__func__)
    run_script = Differential.run_script
    test_scripts = Differential.test_scripts
    test_random_commands = Differential.test_random_commands


if __name__ == "__main__":
    unittest.main()
