"""Three servers that keep one key space, as processes: the way a newcomer takes, what is refused, and a minute of faults whose history is judged."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from wire import Connection, Strata, wait_until

BINARY = Strata.binary
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for probe in sockets:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in sockets]
    for probe in sockets:
        probe.close()
    return ports


class Member:
    def __init__(self, directory, node, cluster, *options):
        self.directory, self.node, self.cluster, self.options = directory, node, cluster, options
        self.process = None
        self.port = None

    def start(self, *options, waits=True):
        self.log_path = os.path.join(self.directory, f"n{self.node}.log")
        port_file = os.path.join(self.directory, f"n{self.node}.port")
        if os.path.exists(port_file):
            os.remove(port_file)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve", "--node", str(self.node), "--cluster", self.cluster, "--dir", os.path.join(self.directory, f"n{self.node}"),
                 "--port", "0", "--port-file", port_file, "--tick", "30ms", *self.options, *options], stdout=log, stderr=log)
        if waits:
            wait_until(lambda: os.path.exists(port_file) or self.process.poll() is not None)
            if self.process.poll() is not None:
                raise AssertionError("the member did not start: " + self.log())
            with open(port_file) as file:
                self.port = int(file.read())
        return self

    def connect(self, timeout=20):
        return Connection(self.port, timeout)

    def call(self, *arguments):
        connection = self.connect()
        try:
            return connection.call(*arguments)
        finally:
            connection.close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()


class Cluster(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="strata-cluster-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.peers = free_ports(5)
        self.cluster = ",".join(f"{node}=127.0.0.1:{self.peers[node]}" for node in (1, 2, 3))
        self.members = {}

    def member(self, node, *options, cluster=None):
        member = Member(self.directory, node, cluster or self.cluster, *options)
        self.members[node] = member
        self.addCleanup(member.close)
        return member

    def start_three(self, *options):
        for node in (1, 2, 3):
            self.member(node, *options).start()

    def status(self, node):
        result = subprocess.run(
            [BINARY, "raft", "status", "--json", "--server", f"127.0.0.1:{self.members[node].port}"], capture_output=True, text=True, timeout=60)
        return json.loads(result.stdout) if result.returncode == 0 else {}

    def leader(self):
        found = []

        def look():
            for node, member in self.members.items():
                if member.process.poll() is None and self.status(node).get("role") == "master":
                    found.append(node)
                    return True
            return False

        wait_until(look)
        return found[-1]

    def raft(self, node, *arguments):
        return subprocess.run(
            [BINARY, "raft", *arguments, "--server", f"127.0.0.1:{self.members[node].port}"], capture_output=True, text=True, timeout=90)

    def test_the_way_a_newcomer_takes(self):
        self.start_three()
        self.assertEqual(self.members[1].call("SET", "greeting", "hello"), ("simple", b"OK"))
        self.assertEqual(self.members[3].call("GET", "greeting"), ("bulk", b"hello"))
        leader = self.leader()
        others = [node for node in (1, 2, 3) if node != leader]
        self.members[leader].kill()
        for node in others:
            self.assertEqual(self.members[node].call("GET", "greeting"), ("bulk", b"hello"))
        self.assertEqual(self.members[others[0]].call("SET", "greeting", "again"), ("simple", b"OK"))
        fourth = self.member(4, "--peer-address", f"127.0.0.1:{self.peers[4]}").start()
        result = self.raft(others[0], "replace", str(leader), "4", f"127.0.0.1:{self.peers[4]}")
        self.assertEqual((result.returncode, result.stdout), (0, "ok\n"), result.stderr)
        self.assertEqual(fourth.call("GET", "greeting"), ("bulk", b"again"))
        # One of the first three more can go now.
        self.members[others[1]].kill()
        self.assertEqual(fourth.call("INCR", "count"), ("integer", 1))
        status = self.status(4)
        self.assertIn("member4", status)
        self.assertNotIn(f"member{leader}", status)

    def test_what_was_answered_survives_the_death_of_all(self):
        self.start_three("--snapshot-bytes", "64kib")
        client = self.members[2].connect()
        for index in range(500):
            self.assertEqual(client.call("SET", f"k{index % 50}", "x" * 500 + str(index)), ("simple", b"OK"))
        client.close()
        for member in self.members.values():
            member.kill()
        for member in self.members.values():
            member.start()
        for node in (1, 2, 3):
            client = self.members[node].connect()
            for index in range(450, 500):
                self.assertEqual(client.call("GET", f"k{index % 50}"), ("bulk", b"x" * 500 + str(index).encode()))
            client.close()
        self.assertGreater(self.status(1)["raft_log_first"], 2)

    def test_a_new_member_gets_a_snapshot_as_files(self):
        self.start_three("--snapshot-bytes", "64kib")
        client = self.members[1].connect()
        for index in range(600):
            client.call("SET", f"k{index}", "x" * 1000)
        client.close()
        fourth = self.member(4, "--peer-address", f"127.0.0.1:{self.peers[4]}", "--snapshot-bytes", "64kib").start()
        # The log no longer reaches back to its beginning.
        wait_until(lambda: self.status(self.leader()).get("raft_log_first", 0) > 2)
        result = self.raft(1, "add", "4", f"127.0.0.1:{self.peers[4]}")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(fourth.call("DBSIZE"), ("integer", 600))
        self.assertEqual(fourth.call("GET", "k7"), ("bulk", b"x" * 1000))
        fourth.kill()
        fourth.start()
        self.assertEqual(fourth.call("DBSIZE"), ("integer", 600))

    def test_a_node_that_is_not_there_gets_no_vote(self):
        self.start_three()
        address = f"127.0.0.1:{self.peers[4]}"
        result = self.raft(1, "add", "4", address, "--timeout", "2")
        self.assertEqual(result.returncode, 1)
        self.assertIn("is it started", result.stderr)
        # Two of three are a majority still.
        victim = next(node for node in (2, 3) if node != self.leader())
        self.members[victim].kill()
        self.assertEqual(self.members[1].call("SET", "a", "1"), ("simple", b"OK"))
        fourth = self.member(4, "--peer-address", address).start()
        result = self.raft(1, "add", "4", address)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(fourth.call("GET", "a"), ("bulk", b"1"))

    def test_a_member_that_lost_its_disk_comes_back(self):
        self.start_three()
        self.members[1].call("SET", "a", "1")
        victim = next(node for node in (1, 2, 3) if node != self.leader())
        self.members[victim].kill()
        shutil.rmtree(os.path.join(self.directory, f"n{victim}"))
        self.members[victim].start("--lost-disk")
        wait_until(lambda: self.status(victim).get("raft_repairing") == 0)
        self.assertEqual(self.members[victim].call("GET", "a"), ("bulk", b"1"))

    def test_a_damaged_log_is_repaired_from_the_others(self):
        self.start_three()
        client = self.members[1].connect()
        for index in range(200):
            client.call("SET", f"k{index}", "x" * 100)
        client.close()
        victim = next(node for node in (1, 2, 3) if node != self.leader())
        self.members[victim].stop()
        log = os.path.join(self.directory, f"n{victim}", "raft", "log")
        path = max((os.path.join(log, name) for name in os.listdir(log) if name != "LOCK"), key=os.path.getsize)
        with open(path, "r+b") as file:
            file.seek(6000)
            file.write(b"\xff" * 64)
        self.members[victim].start()
        self.assertIn("damaged", self.members[victim].log())
        wait_until(lambda: self.status(victim).get("raft_repairing") == 0)
        self.assertEqual(self.members[victim].call("GET", "k199"), ("bulk", b"x" * 100))

    def test_without_a_majority_there_is_an_error_within_the_deadline(self):
        self.start_three("--cluster-timeout", "500ms")
        self.assertEqual(self.members[1].call("SET", "a", "1"), ("simple", b"OK"))
        self.members[2].kill()
        self.members[3].kill()
        kind, text = self.members[1].call("SET", "a", "2")
        self.assertEqual(kind, "error")
        self.assertTrue(text.startswith(b"UNKNOWN the outcome is not known"), text)
        kind, text = self.members[1].call("GET", "a")
        self.assertEqual(kind, "error")
        self.assertTrue(text.startswith(b"CLUSTERDOWN"), text)
        self.members[2].start()
        wait_until(lambda: self.members[1].call("GET", "a")[0] == "bulk")
        self.assertIn(self.members[1].call("GET", "a")[1], (b"1", b"2"))

    def test_a_stranger_is_refused(self):
        self.start_three("--cluster-timeout", "500ms")
        self.members[1].call("SET", "a", "1")
        victim = next(node for node in (1, 2, 3) if node != self.leader())
        self.members[victim].stop()
        shutil.rmtree(os.path.join(self.directory, f"n{victim}"))
        self.members[victim].start("--cluster-id", "9")
        self.assertEqual(self.members[victim].call("GET", "a")[0], "error")
        wait_until(lambda: "cluster" in self.members[victim].log().split("founded by")[-1])
        other = next(node for node in (1, 2, 3) if node != victim)
        self.assertEqual(self.members[other].call("GET", "a"), ("bulk", b"1"))

    def refused(self, *arguments):
        result = subprocess.run([BINARY, "serve", *arguments], capture_output=True, text=True, timeout=60)
        return result.returncode, result.stderr

    def test_settings_that_make_no_sense_are_refused(self):
        store = os.path.join(self.directory, "x")
        for arguments, words in (
                (["--node", "1"], "belong together"),
                (["--cluster", self.cluster], "belong together"),
                (["--node", "0", "--cluster", self.cluster], "node"),
                (["--node", "9", "--cluster", self.cluster], "peer-address"),
                (["--node", "1", "--cluster", "1=nowhere"], "host:port"),
                (["--node", "1", "--cluster", "1=a:1,1=b:2"], "twice"),
                (["--node", "1", "--cluster", "1=a:1,2=a:1"], "one address"),
                (["--node", "1", "--cluster", self.cluster, "--reads", "sometimes"], "linearizable"),
                (["--node", "1", "--cluster", self.cluster, "--engine", "bitcask"], "lsm"),
                (["--node", "1", "--cluster", self.cluster, "--peer-tls-key", "k"], "belong together")):
            code, text = self.refused("--dir", store, "--port", "0", *arguments)
            self.assertEqual(code, 64, arguments)
            self.assertIn(words, text)

    def test_a_member_that_is_there_already_is_refused(self):
        self.start_three()
        code, text = self.refused("--node", "1", "--cluster", self.cluster, "--dir", os.path.join(self.directory, "other"), "--port", "0")
        self.assertEqual(code, 1)
        self.assertIn(f"127.0.0.1:{self.peers[1]}", text)

    def test_a_directory_of_the_other_kind_is_refused(self):
        with Strata() as server:
            client = server.connect()
            client.call("SET", "a", "1")
            client.close()
            server.stop()
            code, text = self.refused("--node", "1", "--cluster", self.cluster, "--dir", os.path.join(server.directory, "store"), "--port", "0")
            self.assertEqual(code, 1)
            self.assertIn("empty directory", text)
        self.member(1, cluster=f"1=127.0.0.1:{self.peers[1]}").start()
        self.assertEqual(self.members[1].stop(), 0)
        code, text = self.refused("--dir", os.path.join(self.directory, "n1"), "--port", "0")
        self.assertEqual(code, 1)
        self.assertIn("--node and --cluster", text)

    def test_unsafe_changes_are_refused_with_the_reason(self):
        self.member(1, cluster=f"1=127.0.0.1:{self.peers[1]}").start()
        self.leader()
        result = self.raft(1, "remove", "1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("refused", result.stderr)
        result = self.raft(1, "promote", "0")
        self.assertEqual(result.returncode, 1)
        self.assertIn("positive", result.stderr)
        self.assertEqual(self.members[1].call("SET", "a", "1"), ("simple", b"OK"))

    def test_the_last_member_left_can_be_made_the_only_one(self):
        self.start_three()
        client = self.members[1].connect()
        for index in range(20):
            self.assertEqual(client.call("SET", f"k{index}", str(index)), ("simple", b"OK"))
        client.close()
        directory = os.path.join(self.directory, "n1")
        running = subprocess.run([BINARY, "raft", "log-dump", directory], capture_output=True, text=True, timeout=60)
        self.assertEqual(running.returncode, 1, "a member that runs keeps its directory")
        for member in self.members.values():
            member.kill()
        dump = subprocess.run([BINARY, "raft", "log-dump", "--json", directory], capture_output=True, text=True, timeout=60)
        self.assertEqual(dump.returncode, 0, dump.stderr)
        lines = [json.loads(line) for line in dump.stdout.splitlines()]
        self.assertEqual(lines[0]["group"], 0)
        self.assertGreaterEqual(len(lines), 20)
        force = [BINARY, "raft", "force-new-cluster", directory, "--node", "1", "--cluster", self.cluster]
        self.assertEqual(subprocess.run(force, capture_output=True, text=True, timeout=60).returncode, 1)
        result = subprocess.run([*force, "--yes"], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("is now voters=(1)", result.stdout)
        self.members[1].start()
        client = self.members[1].connect()
        for index in range(20):
            self.assertEqual(client.call("GET", f"k{index}"), ("bulk", str(index).encode()))
        self.assertEqual(client.call("SET", "k0", "alone"), ("simple", b"OK"))
        client.close()

    def test_a_bootstrapped_directory_differs_from_a_lost_disk(self):
        with tempfile.TemporaryDirectory() as root:
            directory = os.path.join(root, "n9")
            verb = [BINARY, "raft", "bootstrap", directory]
            first = subprocess.run(verb, capture_output=True, text=True, timeout=60)
            self.assertEqual((first.returncode, first.stdout), (0, "ok\n"), first.stderr)
            self.assertEqual(subprocess.run(verb, capture_output=True, text=True, timeout=60).returncode, 1, "it was done before")
            dump = subprocess.run([BINARY, "raft", "log-dump", directory], capture_output=True, text=True, timeout=60)
            self.assertEqual(dump.returncode, 0, dump.stderr)
            self.assertIn("group 0: term 1, vote 0, commit 1", dump.stdout)
            serve = [BINARY, "serve", "--node", "1", "--cluster", "1=127.0.0.1:0", "--port", "0", "--bootstrapped", "--dir"]
            lost = subprocess.run([*serve, os.path.join(root, "lost")], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(lost.returncode, 0)
            self.assertIn("--lost-disk", lost.stderr + lost.stdout)

    def test_a_server_of_its_own_has_no_group(self):
        with Strata() as server:
            client = server.connect()
            self.assertEqual(client.call("RAFT", "STATUS")[0], "error")
            self.assertEqual(client.call("ROLE"), ("array", [("bulk", b"master"), ("integer", 0), ("array", [])]))
            client.close()


class Nemesis(unittest.TestCase):
    def test_a_minute_of_faults(self):
        result = subprocess.run(
            [sys.executable, os.path.join(ROOT, "Scripts", "nemesis.py"), "--server", BINARY, "--minutes", "0.8", "--clients", "4"],
            capture_output=True, text=True, timeout=400)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("valid:", result.stdout)


if __name__ == "__main__":
    unittest.main()
