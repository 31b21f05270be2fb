"""BF.* and CF.* of the server: a real client, kills, both engines."""

import os
import random
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import redis  # noqa: E402
from wire import Strata  # noqa: E402


def field(info, attribute, name):
    """A field of an INFO reply, which redis-py gives as an object or, from RESP3, as a dictionary."""
    return info[name] if isinstance(info, dict) else getattr(info, attribute)


def inserted(info):
    return field(info, "insertedNum", "Number of items inserted")


def deleted(info):
    return field(info, "deletedNum", "Number of items deleted")


class ServerFilters:
    """Every test of filters, for the engine of a subclass."""

    def serve(self, *options):
        return Strata("--engine", self.engine, *options)

    def client(self, server, **options):
        return redis.Redis(port=server.port, decode_responses=True, socket_timeout=60, **options)

    def test_redis_py(self):
        with self.serve("--durability", "none") as server:
            for protocol in (2, 3):
                with self.subTest(protocol=protocol), self.client(server, protocol=protocol) as client:
                    client.flushall()
                    bloom, cuckoo = client.bf(), client.cf()
                    self.assertTrue(bloom.create("b", 0.01, 1000))
                    with self.assertRaisesRegex(redis.ResponseError, "item exists"):
                        bloom.create("b", 0.01, 1000)
                    self.assertEqual(bloom.add("b", "x"), 1)
                    self.assertEqual(bloom.add("b", "x"), 0)
                    self.assertEqual(bloom.madd("b", "x", "y"), [0, 1])
                    self.assertEqual(bloom.insert("i", ["x", "y"], capacity=10, error=0.1, expansion=4), [1, 1])
                    self.assertEqual(bloom.exists("b", "y"), 1)
                    self.assertEqual(bloom.mexists("b", "y", "z"), [1, 0])
                    self.assertEqual(bloom.card("b"), 2)
                    info = bloom.info("b")
                    self.assertEqual((field(info, "capacity", "Capacity"), inserted(info)), (1000, 2))
                    self.assertEqual(field(info, "expansionRate", "Expansion rate"), 2)
                    self.assertTrue(cuckoo.create("c", 1000))
                    self.assertEqual(cuckoo.add("c", "x"), 1)
                    self.assertEqual(cuckoo.addnx("c", "x"), 0)
                    self.assertEqual(cuckoo.insert("c", ["x", "y"]), [1, 1])
                    self.assertEqual(cuckoo.insertnx("c", ["x", "z"]), [0, 1])
                    self.assertEqual(cuckoo.count("c", "x"), 2)
                    self.assertEqual(cuckoo.delete("c", "x"), 1)
                    self.assertEqual(cuckoo.exists("c", "x"), 1)
                    self.assertEqual(cuckoo.mexists("c", "x", "no"), [1, 0])
                    self.assertEqual(deleted(cuckoo.info("c")), 1)
                    self.assertEqual(client.type("b"), "MBbloom--")
                    self.assertEqual(client.type("c"), "MBbloomCF")
                    self.assertEqual(sorted(client.scan_iter(_type="MBbloom--")), ["b", "i"])
                    with self.assertRaisesRegex(redis.ResponseError, "WRONGTYPE"):
                        client.get("b")
                    self.assertEqual(client.dbsize(), 3)

    def test_filters_survive_kill_and_restart(self):
        for durability in ("every-write", "none"):
            with self.subTest(durability), self.serve("--durability", durability) as server:
                with self.client(server) as client:
                    client.bf().reserve("b", 0.001, 50)
                    added = [f"i{number}" for number in range(300)]
                    for item in added:
                        client.bf().add("b", item)
                        client.cf().add("c", item)
                    for item in added[:100]:
                        client.cf().delete("c", item)
                    client.expire("b", 4000)
                    client.bf().add("gone", "x")
                    client.delete("gone")
                    count = client.bf().card("b")
                server.kill()
                server.start()
                with self.client(server) as client:
                    self.assertEqual(client.bf().mexists("b", *added), [1] * 300)
                    self.assertEqual(client.bf().card("b"), count)
                    self.assertEqual(client.cf().mexists("c", *added[100:]), [1] * 200)
                    info = client.cf().info("c")
                    self.assertEqual((inserted(info), deleted(info)), (200, 100))
                    self.assertGreater(client.ttl("b"), 3900)
                    self.assertEqual(client.bf().exists("gone", "x"), 0)
                    self.assertEqual(client.dbsize(), 2)

    def test_what_was_answered_survives_kills_under_load(self):
        """Clients add until the server dies in the middle; every answered item is there after the restart, and counts agree with the bits."""
        seed = random.randrange(1 << 30)
        with self.serve("--durability", "every-write") as server:
            answered = []
            for round in range(3):
                def add(worker):
                    try:
                        with self.client(server) as client:
                            for number in range(100_000):
                                item = f"{seed}-{round}-{worker}-{number}"
                                client.bf().add("b", item)
                                client.cf().add("c", item)
                                answered.append(item)
                    except (redis.ConnectionError, redis.TimeoutError, OSError):
                        pass

                workers = [threading.Thread(target=add, args=(worker,)) for worker in range(3)]
                for worker in workers:
                    worker.start()
                goal = len(answered) + 150
                while len(answered) < goal and any(worker.is_alive() for worker in workers):
                    workers[0].join(0.001)
                server.kill()
                for worker in workers:
                    worker.join()
                server.start()
                with self.client(server) as client:
                    self.assertGreater(len(answered), 0)
                    self.assertEqual(client.bf().mexists("b", *answered), [1] * len(answered), f"seed {seed}")
                    self.assertEqual(client.cf().mexists("c", *answered), [1] * len(answered), f"seed {seed}")
                    self.assertGreaterEqual(inserted(client.cf().info("c")), len(answered))

    def test_bad_input_takes_no_memory(self):
        with self.serve("--durability", "none") as server, self.client(server) as client:
            def resident():
                with open(f"/proc/{server.process.pid}/status") as status:
                    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

            before = resident()
            for arguments in (
                ["BF.RESERVE", "f", "0.01", 1 << 60], ["BF.RESERVE", "f", "0", 100], ["BF.RESERVE", "f", "nan", 100], ["BF.RESERVE", "f", "-1", 100],
                ["BF.RESERVE", "f", "1e-300", 1 << 40], ["CF.RESERVE", "f", 1 << 60], ["CF.RESERVE", "f", -1],
                ["BF.INSERT", "f", "CAPACITY", 1 << 62, "ITEMS", "x"], ["CF.INSERT", "f", "CAPACITY", 1 << 62, "ITEMS", "x"],
            ):
                with self.assertRaises(redis.ResponseError, msg=arguments):
                    client.execute_command(*arguments)
            self.assertEqual(client.dbsize(), 0)
            # The largest ones there may be take what is written, not what they could hold.
            client.execute_command("BF.RESERVE", "b", "0.01", 300_000_000)
            client.execute_command("CF.RESERVE", "c", 200_000_000)
            for number in range(100):
                client.bf().add("b", number)
                client.cf().add("c", number)
            self.assertLess(resident() - before, 64 << 10)


class LSMServerFilters(ServerFilters, unittest.TestCase):
    engine = "lsm"


class BitcaskServerFilters(ServerFilters, unittest.TestCase):
    engine = "bitcask"


if __name__ == "__main__":
    unittest.main()
