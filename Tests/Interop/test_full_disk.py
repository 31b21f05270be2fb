"""A real full disk under the server: writes refused with a clear error, reads go on, writes resume by themselves."""

import os
import shutil
import subprocess
import tempfile
import unittest

from wire import Strata


class FullDisk:
    """On a small file system; `engine` says on which engine."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="strata-full-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self.size}", "strata-test", self.directory], capture_output=True, text=True)
        self.assertEqual(mounted.returncode, 0, f"this test mounts a small file system, which needs root: {mounted.stderr}")
        self.addCleanup(subprocess.run, ["umount", self.directory], check=True)

    def fill(self, name):
        """Takes all the space that is left."""
        path = os.path.join(self.directory, name)
        with open(path, "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(b"\xff" * size)
                except OSError:
                    pass
        return path

    def test_writes_are_refused_reads_go_on_and_writes_resume(self):
        store = Strata(
            "--engine", self.engine, "--segment-bytes", "1mib", *self.options, directory=self.directory)
        self.addCleanup(store.close)
        client = store.connect()
        kept = {}
        for index in range(100):
            kept[f"k{index}"] = b"%d" % index + b"v" * 1000
            self.assertEqual(client.call("SET", f"k{index}", kept[f"k{index}"]), ("simple", b"OK"))
        ballast = self.fill("ballast")
        refused = None
        for index in range(100_000):
            key, value = f"k{index % 2000}", b"%d" % index + b"w" * 1000
            reply = client.call("SET", key, value)
            if reply == ("simple", b"OK"):
                kept[key] = value
            else:
                refused = reply
                break
        self.assertIsNotNone(refused, "the disk is full and still takes writes")
        self.assertEqual(refused[0], "error")
        self.assertTrue(refused[1].startswith(b"MISCONF "), refused)
        self.assertIn(b"no space left", refused[1])
        # Reads go on, on this connection and on others; writes go on being refused, of every kind.
        other = store.connect()
        for key in list(kept)[:50]:
            self.assertEqual(other.call("GET", key), ("bulk", kept[key]))
            self.assertEqual(client.call("GET", key), ("bulk", kept[key]))
        self.assertEqual(other.call("DBSIZE"), ("integer", len(kept)))
        for command in (["SET", "new", "x" * 5000], ["INCRBY", "counter", "5"], ["MSET", "a", "x" * 5000, "b", "y"]):
            self.assertEqual(client.call(*command)[0], "error", command)
        self.assertEqual(client.call("GET", "new"), ("null bulk",))
        # There is space again: nobody restarts anything.
        os.remove(ballast)
        for index in range(500):
            key, value = f"k{index}", b"%d" % index + b"z" * 1000
            self.assertEqual(client.call("SET", key, value), ("simple", b"OK"), index)
            kept[key] = value
        client.close()
        other.close()
        store.kill()
        store.start()
        client = store.connect()
        for key, value in kept.items():
            self.assertEqual(client.call("GET", key), ("bulk", value))
        self.assertEqual(client.call("DBSIZE"), ("integer", len(kept)))
        client.close()
        self.assertEqual(store.stop(), 0)


class FullDiskOfLSM(FullDisk, unittest.TestCase):
    engine = "lsm"
    size = "24m"
    options = ["--memory-limit", "8mib", "--memtable-bytes", "512kib"]


class FullDiskOfBitcask(FullDisk, unittest.TestCase):
    engine = "bitcask"
    # Bitcask keeps 64 MiB back, so that a full disk can be merged.
    size = "96m"
    options = []


if __name__ == "__main__":
    unittest.main()
