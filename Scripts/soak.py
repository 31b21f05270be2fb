#!/usr/bin/env python3
"""Kills a server with SIGKILL under load, again and again, and checks after each restart that what it acknowledged is still there.

The witness is this process: it is outside the server, it knows which replies arrived, and it survives the kill. Each client owns its keys
and sends its commands over one connection, in bursts. After a restart the keys of a client must equal what the acknowledged commands made of
them, followed by some prefix of the commands that were sent and not answered: the log keeps the order of a connection, so a later command
without an earlier one is a loss, a key that comes back after an acknowledged DEL is a loss, and an MSET seen in part is a loss.
Counters are shared by all clients: each must lie between its acknowledged increments and those plus the unanswered ones.

One round in five kills the server a second time while it recovers; one in ten stops it with SIGTERM instead; merges run meanwhile.
Exit codes: 0 nothing lost, 1 something lost or the server failed, 64 usage.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import redis
from redis.exceptions import RedisError, ResponseError

KEYS_PER_CLIENT = 200
COUNTERS = 8
BURST_LIMIT = 16
START_SECONDS = 60


class Failure(Exception):
    """The server broke a promise, or did not come up."""


class Server:
    """One server process at a time on one directory."""

    def __init__(self, arguments, directory):
        self.arguments = arguments
        self.directory = directory
        self.process = None
        self.port = None
        self.log_path = os.path.join(directory, "server.log")
        self.data = os.path.join(directory, "data")
        os.makedirs(self.data, exist_ok=True)

    def start(self):
        """Starts the server without waiting for it."""
        port_file = os.path.join(self.directory, "port")
        if os.path.exists(port_file):
            os.remove(port_file)
        if self.arguments.server_command:
            self.port = free_port()
            text = self.arguments.server_command.replace("{dir}", self.data).replace("{port}", str(self.port))
            command = shlex.split(text)
        else:
            self.port = None
            command = [self.arguments.server, "serve", "--dir", self.data, "--port", "0", "--port-file", port_file,
                       "--engine", self.arguments.engine] + shlex.split(self.arguments.server_flags)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.port_file = port_file

    def wait_until_ready(self):
        """Returns a client once the server answers PING."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            code = self.process.poll()
            if code is not None:
                raise Failure(f"the server ended with code {code} at start:\n{self.log_tail()}")
            if self.port is None:
                self.port = self.read_port()
            if self.port is not None:
                client = redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=30)
                try:
                    if client.ping():
                        return client
                except RedisError:
                    client.close()
            time.sleep(0.005)
        raise Failure(f"the server did not answer within {START_SECONDS} s:\n{self.log_tail()}")

    def read_port(self):
        try:
            with open(self.port_file) as file:
                text = file.read().strip()
            return int(text) if text else None
        except (FileNotFoundError, ValueError):
            return None

    def stop(self, how):
        """Sends `how` to this very process and reaps it."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure(f"the server ignored signal {how} for {START_SECONDS} s")
        self.process = None

    def log_tail(self):
        with open(self.log_path, "rb") as file:
            return file.read()[-2000:].decode("utf-8", "replace")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """What one client knows: the state its acknowledged commands made, and the commands without an answer, in order."""

    def __init__(self, number, seed):
        self.number = number
        self.random = random.Random(f"{seed}/{number}")
        self.state = {}
        self.unanswered = []
        self.acknowledged = 0
        self.counted = [0] * COUNTERS
        self.serial = 0
        self.error = None

    def key(self, index):
        return b"client:%d:key:%d" % (self.number, index)

    def value(self):
        self.serial += 1
        tag = b"%d.%d|" % (self.number, self.serial)
        kind = self.random.random()
        if kind < 0.02:
            return b""
        length = self.random.randrange(0, 200) if kind < 0.97 else self.random.randrange(1000, 20000)
        return tag + self.random.randbytes(length)

    def next_operation(self):
        """A command with its effect: a list of (key, value or None) or a counter's number."""
        kind = self.random.random()
        if kind < 0.50:
            key, value = self.key(self.random.randrange(KEYS_PER_CLIENT)), self.value()
            return [b"SET", key, value], [(key, value)], None
        if kind < 0.65:
            key = self.key(self.random.randrange(KEYS_PER_CLIENT))
            return [b"DEL", key], [(key, None)], None
        if kind < 0.90:
            indices = self.random.sample(range(KEYS_PER_CLIENT), self.random.randrange(2, 7))
            pairs = [(self.key(index), self.value()) for index in indices]
            return [b"MSET"] + [part for pair in pairs for part in pair], pairs, None
        counter = self.random.randrange(COUNTERS)
        return [b"INCR", b"counter:%d" % counter], [], counter

    def acknowledge(self, operation):
        _, effect, counter = operation
        apply(self.state, effect)
        if counter is not None:
            self.counted[counter] += 1
        self.acknowledged += 1

    def load(self, port, halt):
        """Sends bursts until told to halt or until the connection breaks; runs on a thread of its own."""
        connection = redis.Connection(host="127.0.0.1", port=port, socket_timeout=START_SECONDS)
        try:
            connection.connect()
            while not halt.is_set():
                burst = [self.next_operation() for _ in range(self.random.randrange(1, BURST_LIMIT + 1))]
                self.unanswered.extend(burst)
                connection.send_packed_command(connection.pack_commands([operation[0] for operation in burst]))
                for _ in burst:
                    reply = connection.read_response()
                    if isinstance(reply, ResponseError):
                        raise reply
                    self.acknowledge(self.unanswered.pop(0))
        except ResponseError as error:
            self.error = f"client {self.number}: refused: {error}"
        except (RedisError, OSError):
            pass  # The kill; what was not answered stays in `unanswered`.
        finally:
            connection.disconnect()


def apply(state, effect):
    for key, value in effect:
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


def read_keys(server, client):
    found = {}
    for first in range(0, KEYS_PER_CLIENT, 100):
        keys = [client.key(index) for index in range(first, min(first + 100, KEYS_PER_CLIENT))]
        for key, value in zip(keys, server.mget(keys)):
            if value is not None:
                found[key] = value
    return found


def adopt_prefix(client, found):
    """Finds the prefix of the unanswered commands that explains `found` and adopts it. Returns complaints where there is none."""
    state = dict(client.state)
    possible = {}
    for key in set(state) | set(found):
        possible[key] = {state.get(key)}
    matches = state == found
    for _, effect, _ in client.unanswered:
        if matches:
            break
        apply(state, effect)
        for key, value in effect:
            possible.setdefault(key, {client.state.get(key)}).add(value)
        matches = state == found
    if matches:
        client.state = state
        return []
    complaints = []
    for key, values in sorted(possible.items()):
        value = found.get(key)
        if value in values:
            continue
        expected = client.state.get(key)
        if value is None:
            complaints.append(f"lost: {key.decode()} is absent, acknowledged {brief(expected)}")
        elif expected is None:
            complaints.append(f"back: {key.decode()} was deleted and holds {brief(value)}")
        else:
            complaints.append(f"wrong: {key.decode()} holds {brief(value)}, acknowledged {brief(expected)}")
    if not complaints:
        complaints.append(f"in part: the keys of client {client.number} match no prefix of its {len(client.unanswered)} unanswered "
                          "commands: a batch was applied in part or an order was lost")
    return complaints


def brief(value):
    return "nothing" if value is None else f"{len(value)} bytes {value[:24]!r}"


def verify(server, clients, counters):
    """Compares the restarted server with the witness and takes over what it shows as the state to go on from."""
    complaints = []
    expected_size = 0
    sent = [0] * COUNTERS
    for client in clients:
        for _, _, counter in client.unanswered:
            if counter is not None:
                sent[counter] += 1
        complaints += adopt_prefix(client, read_keys(server, client))
        expected_size += len(client.state)
    for number in range(COUNTERS):
        value = int(server.get(b"counter:%d" % number) or 0)
        least = counters[number] + sum(client.counted[number] for client in clients)
        if not least <= value <= least + sent[number]:
            complaints.append(f"counter {number} is {value}, acknowledged {least}, unanswered {sent[number]}")
        counters[number] = value
        expected_size += 1 if value else 0
    size = server.dbsize()
    if not complaints and size != expected_size:
        complaints.append(f"the server holds {size} keys, the witness {expected_size}")
    for client in clients:
        client.unanswered.clear()
        client.counted = [0] * COUNTERS
    return complaints


def run_round(server, clients, choice, arguments):
    """Load, kill, restart. Returns what the restarted server showed and how it had been stopped."""
    halt = threading.Event()
    threads = [threading.Thread(target=client.load, args=(server.port, halt)) for client in clients]
    for thread in threads:
        thread.start()
    seconds = choice.uniform(arguments.load_seconds_min, arguments.load_seconds_max)
    merging = choice.random() < 0.3
    time.sleep(seconds / 2)
    if merging:
        try:
            with redis.Redis(host="127.0.0.1", port=server.port, socket_timeout=30) as admin:
                admin.execute_command("BGREWRITEAOF")
        except RedisError:
            pass  # One is running already, or the engine has none.
    time.sleep(seconds / 2)
    how = signal.SIGTERM if choice.random() < 0.1 else signal.SIGKILL
    server.stop(how)
    halt.set()
    for thread in threads:
        thread.join()
    again = choice.random() < 0.2
    if again:
        server.start()
        time.sleep(choice.uniform(0, 0.08))
        server.stop(signal.SIGKILL)
    server.start()
    name = "SIGTERM" if how == signal.SIGTERM else "SIGKILL"
    return name + (" twice" if again else "") + (" in a merge" if merging else "")


def soak(arguments, directory):
    choice = random.Random(f"{arguments.seed}/rounds")
    server = Server(arguments, directory)
    clients = [Client(number, arguments.seed) for number in range(arguments.clients)]
    counters = [0] * COUNTERS
    totals = {"rounds": 0, "kills": 0, "acknowledged": 0, "unanswered": 0, "violations": 0, "seed": arguments.seed}
    began = time.monotonic()
    complaints = []
    try:
        server.start()
        server.wait_until_ready().close()
        while not complaints and not finished(arguments, totals["rounds"], began):
            before = sum(client.acknowledged for client in clients)
            how = run_round(server, clients, choice, arguments)
            unanswered = sum(len(client.unanswered) for client in clients)
            opened = time.monotonic()
            with server.wait_until_ready() as admin:
                ready = time.monotonic() - opened
                complaints = [client.error for client in clients if client.error] + verify(admin, clients, counters)
            acknowledged = sum(client.acknowledged for client in clients)
            totals["rounds"] += 1
            totals["kills"] += 0 if how.startswith("SIGTERM") and "twice" not in how else 1
            totals["acknowledged"] = acknowledged
            totals["unanswered"] += unanswered
            totals["violations"] += len(complaints)
            if not arguments.json:
                print(f"round {totals['rounds']}: {how}, {acknowledged - before} acknowledged, {unanswered} unanswered, "
                      f"ready in {ready * 1000:.0f} ms, {len(complaints)} violations", flush=True)
        if not complaints and totals["acknowledged"] == 0:
            raise Failure("no write was acknowledged, so nothing was shown; give more rounds or a longer --load-seconds-max")
    except Failure as error:
        complaints.append(str(error))
        totals["violations"] += 1
    finally:
        server.stop(signal.SIGKILL)
    totals["seconds"] = round(time.monotonic() - began, 1)
    return totals, complaints


def finished(arguments, rounds, began):
    if arguments.rounds > 0:
        return rounds >= arguments.rounds
    return time.monotonic() - began >= arguments.minutes * 60


def parse_arguments():
    parser = argparse.ArgumentParser(description="kill -9 under load; every acknowledged write is looked for after each restart")
    parser.add_argument("--server", default=".build/release/strata", help="the strata program (default: %(default)s)")
    parser.add_argument("--server-flags", default="", help="more flags for `strata serve`")
    parser.add_argument("--server-command", help="another server's command line with {dir} and {port} in it, such as a redis-server's")
    parser.add_argument("--engine", default="lsm")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=0, help="this many rounds instead of minutes")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None, help="of the commands and kill times; drawn and printed when absent")
    parser.add_argument("--load-seconds-min", type=float, default=0.05)
    parser.add_argument("--load-seconds-max", type=float, default=1.0)
    parser.add_argument("--directory", help="where to keep the data (default: a temporary directory, removed when nothing was lost)")
    parser.add_argument("--json", action="store_true", help="the totals as one JSON line")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(2**32)
    return arguments


def main():
    arguments = parse_arguments()
    directory = arguments.directory or tempfile.mkdtemp(prefix="strata-soak-")
    os.makedirs(directory, exist_ok=True)
    if not arguments.json:
        print(f"seed {arguments.seed}, {arguments.clients} clients, directory {directory}", flush=True)
    totals, complaints = soak(arguments, directory)
    for complaint in complaints[:50]:
        print(f"VIOLATION {complaint}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(totals))
    else:
        print(f"{totals['rounds']} rounds in {totals['seconds']} s, {totals['kills']} kills, {totals['acknowledged']} acknowledged writes, "
              f"{totals['unanswered']} unanswered, {totals['violations']} violations")
    if complaints:
        print(f"seed {arguments.seed}; the data and the server's log are kept in {directory}", file=sys.stderr)
        return 1
    if not arguments.directory:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SystemExit as exit_request:
        # argparse's code for a usage error is 2; the project's is 64.
        sys.exit(64 if exit_request.code == 2 else exit_request.code)
