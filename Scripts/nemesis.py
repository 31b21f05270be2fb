#!/usr/bin/env python3
"""Runs a replicated server as three real processes, breaks everything around them, and has the clients' history judged.

Each member lives in a network namespace of its own. Between any two there is a link that is cut in one direction or both; a member is killed with
SIGKILL, stopped and continued, has its disk filled, loses its disk altogether, has syncs that take long, or sees the wall clock jump; the leader is
the favourite victim.
Meanwhile clients write unique values to registers, read them and delete nothing, through whichever member they are connected to, and write down when
they asked and what they were told. At the end everything is healed, every register is read through every member, and the linearizability checker
judges the whole history: a lost write, a stale read or an answer from a minority is a violation.

Where namespaces or file systems of our own are not permitted, the members share the loopback interface and their links and disks stay whole; it
says so. Exit codes: 0 linearizable and alive, 1 not, 64 usage.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Tests", "Interop"))
from wire import Connection  # noqa: E402

REGISTERS = 5
PEER_PORT = 7000
CLIENT_PORT = 6379


def run(*command, check=True):
    result = subprocess.run(command, capture_output=True, text=True)
    if check and result.returncode != 0:
        raise SystemExit(f"nemesis: {' '.join(command)}: {result.stderr.strip()}")
    return result


def connect(network, node, timeout):
    host, port = network.client_address(node)
    return Connection(port, timeout=timeout, host=host)


class Network:
    """Namespaces with a link to each other and one to the clients. A direction is cut by a route into the void, where packets vanish silently."""

    def __init__(self, ids):
        self.tag = f"sn{os.getpid() % 10000}"
        self.subnet = 16 + os.getpid() % 200
        self.ids = list(ids)
        self.cuts = set()

    def space(self, node):
        return f"{self.tag}n{node}"

    def peer(self, node):
        return f"10.{self.subnet}.9.{node}"

    def client(self, node):
        return f"10.{self.subnet}.8.{node}"

    def peer_address(self, node):
        return f"{self.peer(node)}:{PEER_PORT}"

    def client_address(self, node):
        return (self.client(node), CLIENT_PORT)

    def command(self, node):
        return ["ip", "netns", "exec", self.space(node)]

    def build(self):
        for node in self.ids:
            self.add(node)

    def add(self, node):
        space = self.space(node)
        run("ip", "netns", "add", space)
        run("ip", "-n", space, "link", "set", "lo", "up")
        for address in (self.peer(node), self.client(node)):
            run("ip", "-n", space, "addr", "add", f"{address}/32", "dev", "lo")
        # A link from the namespace to itself, on which nobody listens.
        run("ip", "-n", space, "link", "add", "void", "type", "veth", "peer", "name", "bottom")
        for end in ("void", "bottom"):
            run("ip", "-n", space, "link", "set", end, "arp", "off", "up")
        outside, inside = f"{self.tag}o{node}", f"{self.tag}i{node}"
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", space)
        here = f"10.{self.subnet}.7.{node}"
        run("ip", "addr", "add", f"{here}/32", "dev", outside)
        run("ip", "link", "set", outside, "up")
        run("ip", "-n", space, "link", "set", inside, "up")
        run("ip", "route", "add", f"{self.client(node)}/32", "dev", outside, "src", here)
        run("ip", "-n", space, "route", "add", f"{here}/32", "dev", inside, "src", self.client(node))
        for other in self.ids:
            if other < node and os.path.exists(f"/run/netns/{self.space(other)}"):
                self.link(other, node)

    def link(self, a, b):
        left, right = f"{self.tag}l{a}{b}", f"{self.tag}l{b}{a}"
        run("ip", "link", "add", left, "netns", self.space(a), "type", "veth", "peer", "name", right, "netns", self.space(b))
        for node, device in ((a, left), (b, right)):
            run("ip", "-n", self.space(node), "link", "set", device, "up")
        self.open(a, b)
        self.open(b, a)

    def open(self, source, target):
        device = f"{self.tag}l{source}{target}"
        run("ip", "-n", self.space(source), "route", "replace", f"{self.peer(target)}/32", "dev", device, "src", self.peer(source))
        self.cuts.discard((source, target))

    def cut(self, source, target):
        run("ip", "-n", self.space(source), "route", "replace", f"{self.peer(target)}/32", "dev", "void", "src", self.peer(source))
        self.cuts.add((source, target))

    def heal(self):
        for source, target in list(self.cuts):
            self.open(source, target)

    def remove(self):
        for node in self.ids:
            run("ip", "netns", "del", self.space(node), check=False)
            run("ip", "link", "del", f"{self.tag}o{node}", check=False)


class Loopback:
    """What there is without namespaces: links that cannot be cut."""

    def __init__(self, ids):
        self.ids = list(ids)
        sockets = [socket.socket() for _ in range(2 * len(self.ids))]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        self.ports = [probe.getsockname()[1] for probe in sockets]
        for probe in sockets:
            probe.close()

    def peer_address(self, node):
        return f"127.0.0.1:{self.ports[node - 1]}"

    def client_address(self, node):
        return ("127.0.0.1", self.ports[len(self.ids) + node - 1])

    def command(self, node):
        return []

    def heal(self):
        pass

    def remove(self):
        pass


class Member:
    """One server process."""

    def __init__(self, node, cluster, network, arguments, directory):
        self.node, self.cluster, self.network, self.arguments = node, cluster, network, arguments
        self.home = os.path.join(directory, f"n{node}")
        self.disk = os.path.join(self.home, "disk")
        os.makedirs(self.disk)
        self.has_own_disk = run("mount", "-t", "tmpfs", "-o", "size=1g", "none", self.disk, check=False).returncode == 0
        self.process = None
        self.is_stopped = False
        self.clock = os.path.join(self.home, "clock")
        self.set_clock(0)
        self.sync_delay = os.path.join(self.home, "sync")
        self.slow_syncs(0)

    def slow_syncs(self, milliseconds):
        with open(self.sync_delay, "w") as file:
            file.write(str(milliseconds))

    def set_clock(self, seconds):
        with open(self.clock, "w") as file:
            file.write(str(seconds))

    def start(self, lost_disk=False):
        host, port = self.network.client_address(self.node)
        command = [
            *self.network.command(self.node), "env", f"LD_PRELOAD={self.arguments.preloads}", f"CLOCK_OFFSET_FILE={self.clock}",
            f"SLOW_SYNC_FILE={self.sync_delay}", self.arguments.server, "serve", "--node", str(self.node),
            "--cluster", self.cluster, "--dir", os.path.join(self.disk, "store"),
            "--host", host, "--port", str(port), "--insecure", "--cluster-timeout", "2s",
            "--snapshot-bytes", "256kib", "--reads", self.arguments.reads]
        if lost_disk:
            command.append("--lost-disk")
        with open(os.path.join(self.home, "log"), "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.is_stopped = False

    def kill(self):
        if self.process is not None:
            if self.is_stopped:
                self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self.process = None
        self.is_stopped = False

    def pause(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)
            self.is_stopped = True

    def resume(self):
        if self.process is not None and self.is_stopped:
            self.process.send_signal(signal.SIGCONT)
        self.is_stopped = False

    def fill_disk(self):
        run("dd", "if=/dev/zero", f"of={self.disk}/filler", "bs=1M", "count=2048", check=False)

    def free_disk(self):
        path = os.path.join(self.disk, "filler")
        if os.path.exists(path):
            os.remove(path)

    def lose_disk(self):
        self.kill()
        shutil.rmtree(os.path.join(self.disk, "store"), ignore_errors=True)

    def close(self):
        self.kill()
        if self.has_own_disk:
            run("umount", "-l", self.disk, check=False)

    def log(self):
        with open(os.path.join(self.home, "log"), errors="replace") as file:
            return file.read()


class History:
    """What clients asked and heard, as lines of JSON in the order in which it happened."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()
        self.counts = {"ok": 0, "info": 0, "fail": 0}
        self.last_ok = time.monotonic()

    def note(self, process, kind, function, value):
        with self.lock:
            entry = {"type": kind, "process": process, "f": function, "value": value, "time": time.monotonic_ns()}
            self.file.write(json.dumps(entry) + "\n")
            if kind in self.counts:
                self.counts[kind] += 1
            if kind == "ok":
                self.last_ok = time.monotonic()


class Client(threading.Thread):
    """One connection and one command at a time. After an outcome that is not known it goes on under a new name, as its old self may still act."""

    def __init__(self, number, members, network, history, stop, seed):
        super().__init__(daemon=True)
        self.number, self.members, self.network, self.history, self.stop = number, members, network, history, stop
        self.random = random.Random(seed)
        self.name_in_history = number
        self.written = 0

    def run(self):
        connection = None
        while not self.stop.is_set():
            if connection is None:
                node = self.random.choice(self.members()).node
                try:
                    connection = connect(self.network, node, 4)
                except OSError:
                    time.sleep(0.05)
                    continue
            if not self.step(connection) or self.random.random() < 0.01:
                connection.close()
                connection = None
            time.sleep(self.random.random() * 0.01)

    def step(self, connection):
        key = self.random.randrange(REGISTERS)
        if self.random.random() < 0.5:
            return self.attempt(connection, "read", [key, None], ("GET", f"r{key}"), lambda reply: [key, self.number_of(reply)])
        self.written += 1
        value = self.number * 1_000_000 + self.written
        return self.attempt(connection, "write", [key, value], ("SET", f"r{key}", str(value)), lambda reply: [key, value])

    @staticmethod
    def number_of(reply):
        return int(reply[1]) if reply[0] == "bulk" else None

    def attempt(self, connection, function, value, command, result):
        self.history.note(self.name_in_history, "invoke", function, value)
        try:
            reply = connection.call(*command)
        except (OSError, ConnectionError):
            self.lose(function, value)
            return False
        if reply[0] == "error":
            if function == "read" or reply[1].startswith(b"CLUSTERDOWN"):
                self.history.note(self.name_in_history, "fail", function, value)
                return True
            self.lose(function, value)
            return True
        self.history.note(self.name_in_history, "ok", function, result(reply))
        return True

    def lose(self, function, value):
        if function == "read":
            self.history.note(self.name_in_history, "fail", function, value)
        else:
            self.history.note(self.name_in_history, "info", function, value)
            self.name_in_history += 1000


class Nemesis:
    """Breaks one thing after another."""

    def __init__(self, members, network, arguments, generator):
        self.members, self.network, self.arguments, self.random = members, network, arguments, generator
        self.recoveries = []
        self.done = {}

    def leader(self):
        for member in self.members:
            if member.process is None or member.is_stopped:
                continue
            try:
                connection = connect(self.network, member.node, 1)
                role = connection.call("ROLE")
                connection.close()
                if role[1][0] == ("bulk", b"master"):
                    return member
            except (OSError, ConnectionError, IndexError, TypeError):
                continue
        return None

    def victim(self):
        return (self.leader() if self.random.random() < 0.6 else None) or self.random.choice(self.members)

    def step(self, wait):
        names = ["kill", "kill_leader", "pause", "lost_disk", "kill_all", "clock", "slow_disk", "slow_disks"]
        if isinstance(self.network, Network):
            names += ["isolate", "one_way", "split"]
        if all(member.has_own_disk for member in self.members):
            names.append("full_disk")
        name = self.random.choice(names)
        self.done[name] = self.done.get(name, 0) + 1
        getattr(self, name)(wait)

    def kill(self, wait):
        member = self.victim()
        member.kill()
        wait(self.random.uniform(0.2, 2))
        member.start()

    def kill_leader(self, wait):
        """Kills who leads and measures how long nobody can write."""
        leader = self.leader()
        if leader is None:
            return
        others = [member for member in self.members if member is not leader and member.process is not None]
        leader.kill()
        started = time.monotonic()
        answered = threading.Event()

        def probe(member):
            while not answered.is_set() and time.monotonic() - started < 10:
                try:
                    connection = connect(self.network, member.node, 3)
                    if connection.call("SET", "probe", "1")[0] == "simple" and not answered.is_set():
                        answered.set()
                        self.recoveries.append(time.monotonic() - started)
                    connection.close()
                except (OSError, ConnectionError):
                    time.sleep(0.005)

        probes = [threading.Thread(target=probe, args=(member,), daemon=True) for member in others]
        for thread in probes:
            thread.start()
        answered.wait(10)
        wait(self.random.uniform(0.2, 1))
        leader.start()

    def kill_all(self, wait):
        for member in self.members:
            member.kill()
        wait(0.2)
        for member in self.members:
            member.start()

    def isolate(self, wait):
        member = self.victim()
        for other in self.members:
            if other is not member:
                self.network.cut(member.node, other.node)
                self.network.cut(other.node, member.node)
        wait(self.random.uniform(0.5, 4))
        self.network.heal()

    def one_way(self, wait):
        member = self.victim()
        for other in self.members:
            if other is not member:
                pair = (member.node, other.node)
                self.network.cut(*(pair if self.random.random() < 0.5 else pair[::-1]))
        wait(self.random.uniform(0.5, 4))
        self.network.heal()

    def split(self, wait):
        """Two members cannot reach each other; the third reaches both."""
        a, b = self.random.sample(self.members, 2)
        self.network.cut(a.node, b.node)
        self.network.cut(b.node, a.node)
        wait(self.random.uniform(0.5, 4))
        self.network.heal()

    def pause(self, wait):
        member = self.victim()
        member.pause()
        wait(self.random.uniform(0.2, 3))
        member.resume()

    def full_disk(self, wait):
        member = self.victim()
        member.fill_disk()
        wait(self.random.uniform(0.5, 2))
        member.free_disk()
        # A log that could not be written is not trusted again before it is opened anew.
        member.kill()
        member.start()

    def slow_disk(self, wait):
        """Each sync of a member takes as long as two elections, or a little less than one."""
        member = self.victim()
        member.slow_syncs(self.random.choice([20, 120, 600]))
        wait(self.random.uniform(0.5, 4))
        member.slow_syncs(0)

    def slow_disks(self, wait):
        for member in self.members:
            member.slow_syncs(self.random.choice([5, 50, 150]))
        wait(self.random.uniform(0.5, 3))
        for member in self.members:
            member.slow_syncs(0)

    def lost_disk(self, wait):
        if any(member.process is None for member in self.members):
            return
        member = self.random.choice(self.members)
        member.lose_disk()
        wait(self.random.uniform(0.2, 1))
        member.start(lost_disk=True)
        # While it does not know what it promised only the other two may fail the group, so nothing else is broken before it has recovered.
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not self.is_whole(member):
            wait(0.1)

    def is_whole(self, member):
        try:
            connection = connect(self.network, member.node, 1)
            text = connection.call("INFO", "replication")[1]
            connection.close()
            return b"raft_repairing:0" in text
        except (OSError, ConnectionError, TypeError):
            return False

    def clock(self, wait):
        """The wall clock of a member jumps, an hour or a little, either way; it orders nothing."""
        self.victim().set_clock(self.random.choice([-3600, -2, 0, 2, 3600]))
        wait(0.5)


def judge(arguments, path, history):
    history.file.flush()
    command = [arguments.server, "check", "register", path]
    result = subprocess.run(command, capture_output=True, text=True)
    print(result.stdout.strip()[:4000])
    if result.stderr:
        print(result.stderr.strip()[:2000], file=sys.stderr)
    return result.returncode


def final_reads(members, network, history, name):
    """Every register through every member, with patience: the group is healed and has to answer."""
    deadline = time.monotonic() + 60
    for member in members:
        for key in range(REGISTERS):
            while True:
                name += 1
                history.note(name, "invoke", "read", [key, None])
                try:
                    connection = connect(network, member.node, 5)
                    reply = connection.call("GET", f"r{key}")
                    connection.close()
                    if reply[0] != "error":
                        history.note(name, "ok", "read", [key, Client.number_of(reply)])
                        break
                    problem = reply[1]
                except (OSError, ConnectionError) as error:
                    problem = error
                history.note(name, "fail", "read", [key, None])
                if time.monotonic() > deadline:
                    print(f"nemesis: member {member.node} does not answer after everything was healed: {problem}", file=sys.stderr)
                    return False
                time.sleep(0.2)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=".build/release/strata")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--reads", default="linearizable")
    parser.add_argument("--keep", action="store_true", help="leave logs and history behind")
    arguments = parser.parse_args()
    print(f"nemesis: seed {arguments.seed}, {arguments.minutes} minutes, {arguments.clients} clients, reads {arguments.reads}")
    directory = tempfile.mkdtemp(prefix="strata-nemesis-")
    preloads = []
    for name in ("clock_offset", "slow_sync"):
        preloads.append(os.path.join(directory, f"{name}.so"))
        # The compiler that comes with Swift.
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.c")
        run("clang", "-O2", "-shared", "-fPIC", "-o", preloads[-1], source, "-ldl")
    arguments.preloads = ":".join(preloads)
    has_namespaces = subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0
    network = Network([1, 2, 3]) if has_namespaces else Loopback([1, 2, 3])
    members = []
    code = 1
    try:
        if has_namespaces:
            network.build()
        else:
            print("nemesis: network namespaces are not permitted here: no link is cut")
        cluster = ",".join(f"{node}={network.peer_address(node)}" for node in network.ids)
        for node in network.ids:
            members.append(Member(node, cluster, network, arguments, directory))
        code = torment(arguments, members, network, directory)
    finally:
        for member in members:
            if code != 0:
                tail = "\n".join(member.log().splitlines()[-15:])
                print(f"--- member {member.node}\n{tail}", file=sys.stderr)
            member.close()
        network.remove()
        if arguments.keep or code != 0:
            print(f"nemesis: logs and history are in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return code


def torment(arguments, members, network, directory):
    for member in members:
        member.start()
    path = os.path.join(directory, "history.jsonl")
    history = History(path)
    stop = threading.Event()
    generator = random.Random(arguments.seed)
    clients = [Client(n, lambda: members, network, history, stop, generator.random()) for n in range(1, arguments.clients + 1)]
    for client in clients:
        client.start()
    nemesis = Nemesis(members, network, arguments, generator)
    deadline = time.monotonic() + arguments.minutes * 60
    try:
        wait_for_progress(history, 30)
        while time.monotonic() < deadline:
            time.sleep(generator.uniform(0.2, 1))
            nemesis.step(time.sleep)
            wait_for_progress(history, 30)
    except SystemExit as stuck:
        stop.set()
        print(stuck, file=sys.stderr)
        return 1
    network.heal()
    for member in members:
        member.free_disk()
        member.slow_syncs(0)
        member.resume()
        if member.process is None or member.process.poll() is not None:
            member.start()
    time.sleep(1)
    stop.set()
    for client in clients:
        client.join(10)
    alive = final_reads(members, network, history, 10_000_000)
    print(f"nemesis: {history.counts['ok']} answered, {history.counts['fail']} refused, {history.counts['info']} of unknown outcome; "
          + ", ".join(f"{name} {count}" for name, count in sorted(nemesis.done.items())))
    if nemesis.recoveries:
        times = sorted(nemesis.recoveries)
        print(f"nemesis: writes again after the leader's death: median {statistics.median(times) * 1000:.0f} ms, "
              f"worst {times[-1] * 1000:.0f} ms, {len(times)} times")
    verdict = judge(arguments, path, history)
    return 0 if verdict == 0 and alive else 1


def wait_for_progress(history, seconds):
    """After each fault is over the group has to serve again."""
    before = history.counts["ok"]
    deadline = time.monotonic() + seconds
    while history.counts["ok"] == before:
        if time.monotonic() > deadline:
            raise SystemExit(f"nemesis: nothing was answered for {seconds} s with every fault healed")
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
