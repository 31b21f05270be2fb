"""A Redis protocol client that hides nothing, and processes to talk to.

Replies come back as tagged values, so that '+OK', '$2 OK', errors, nulls, maps and sets are told apart.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time


class Connection:
    def __init__(self, port, timeout=20, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, *arguments):
        self.send_raw(encode(arguments))

    def call(self, *arguments):
        self.send(*arguments)
        return self.reply()

    def _fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("closed")
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _exactly(self, count):
        while len(self.buffer) < count:
            self._fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def at_end(self):
        """Whether the other side has closed without sending anything more."""
        try:
            return self.buffer == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def reply(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return ("simple", rest)
        if kind == b"-":
            return ("error", rest)
        if kind == b":":
            return ("integer", int(rest))
        if kind == b"$":
            if rest == b"-1":
                return ("null bulk",)
            data = self._exactly(int(rest))
            assert self._exactly(2) == b"\r\n"
            return ("bulk", data)
        if kind == b"=":
            data = self._exactly(int(rest))
            assert self._exactly(2) == b"\r\n"
            return ("verbatim", data)
        if kind == b"_":
            return ("null",)
        if kind == b"#":
            return ("boolean", rest)
        if kind == b",":
            return ("double", rest)
        if kind in (b"*", b"~", b">"):
            if rest == b"-1":
                return ("null array",)
            name = {b"*": "array", b"~": "set", b">": "push"}[kind]
            return (name, [self.reply() for _ in range(int(rest))])
        if kind == b"%":
            return ("map", [(self.reply(), self.reply()) for _ in range(int(rest))])
        raise AssertionError(f"not a reply: {line!r}")


def encode(arguments):
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        if isinstance(argument, str):
            argument = argument.encode()
        elif isinstance(argument, int):
            argument = b"%d" % argument
        parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
    return b"".join(parts)


class Server:
    """A server process on a free port with a directory of its own."""

    def __init__(self, *options, directory=None, environment=None):
        self.owns_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="strata-interop-")
        self.options = options
        self.environment = environment
        self.process = None
        self.start()

    def command(self, port_file):
        raise NotImplementedError

    def start(self):
        raise NotImplementedError

    def connect(self, timeout=20):
        return Connection(self.port, timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends the process in good order and returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.kill()
        if getattr(self, "log", None):
            self.log.close()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Strata(Server):
    binary = os.environ.get("STRATA_BINARY", ".build/debug/strata")

    def start(self):
        port_file = os.path.join(self.directory, "port")
        if os.path.exists(port_file):
            os.remove(port_file)
        store = os.path.join(self.directory, "store")
        self.log = open(os.path.join(self.directory, "log"), "ab")
        self.process = subprocess.Popen(
            [self.binary, "serve", "--dir", store, "--port", "0", "--port-file", port_file, "--segment-bytes", "4mib", *self.options],
            stdout=self.log, stderr=self.log, env={**os.environ, **(self.environment or {})})
        wait_until(lambda: os.path.exists(port_file) or self.process.poll() is not None)
        if self.process.poll() is not None:
            with open(os.path.join(self.directory, "log")) as log:
                raise AssertionError("strata did not start: " + log.read())
        with open(port_file) as file:
            self.port = int(file.read())


class Redis(Server):
    # Debian's redis-tools holds the server's program under the name of its checker; it takes its role from the name it is called by.
    program = shutil.which("redis-server") or shutil.which("redis-check-rdb")

    def start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.directory, "--save", "", *self.options],
            executable=self.program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            try:
                connection = Connection(self.port)
                connection.call("PING")
                connection.close()
                return True
            except OSError:
                return False

        wait_until(answers)


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited too long")
        time.sleep(0.005)
