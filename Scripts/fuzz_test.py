"""The fuzzing driver, with programs in the place of strata-fuzz that die, hang and grow as told."""

import os
import stat
import subprocess
import sys
import tempfile
import unittest

DRIVER = os.path.join(os.path.dirname(__file__), "fuzz.py")

STAND_IN = """#!{python}
import os, signal, sys, time
if sys.argv[1] == "list":
    print("a.one 3\\na.two 1\\nb.three 1")
elif sys.argv[1] == "show":
    sys.stdout.write("input " + sys.argv[4])
else:
    name, first, count, page = sys.argv[2], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
    for number in range(first, first + count):
        with open(page, "r+b") as file:
            file.write(number.to_bytes(8, "little"))
        if (name, number) == {trouble[0]!r}:
            {trouble[1]}
    print(count)
"""


class FuzzDriver(unittest.TestCase):
    def run_driver(self, place, action, *arguments):
        with tempfile.TemporaryDirectory() as directory:
            binary = os.path.join(directory, "stand-in")
            with open(binary, "w") as file:
                file.write(STAND_IN.format(python=sys.executable, trouble=(place, action)))
            os.chmod(binary, os.stat(binary).st_mode | stat.S_IXUSR)
            done = subprocess.run(
                [sys.executable, DRIVER, "--binary", binary, *arguments], cwd=directory, capture_output=True, text=True, timeout=120)
            kept = os.path.join(directory, "failures")
            names = sorted(os.listdir(kept)) if os.path.exists(kept) else []
            return done.returncode, done.stdout, names

    def test_shares_inputs_by_weight(self):
        code, text, names = self.run_driver(("none", 0), "pass", "--count", "50")
        self.assertEqual((code, names), (0, []))
        self.assertRegex(text, r"a\.one +30 inputs")
        self.assertRegex(text, r"b\.three +10 inputs")
        self.assertIn("50 inputs, 0 failures", text)

    def test_a_death_is_reported_kept_and_passed_over(self):
        code, text, names = self.run_driver(("a.one", 7), "os.kill(os.getpid(), signal.SIGILL)", "--count", "50")
        self.assertEqual((code, names), (1, ["a.one-1-7"]))
        self.assertIn("a.one seed 1 input 7", text)
        self.assertIn("SIGILL", text)
        self.assertIn("50 inputs, 1 failures", text)

    def test_a_hang_is_ended(self):
        code, text, names = self.run_driver(("b.three", 2), "time.sleep(1000)", "--count", "10", "--targets", "b", "--patience", "1")
        self.assertEqual((code, names), (1, ["b.three-1-2"]))
        self.assertIn("no end after 1.0 s", text)

    def test_memory_is_bounded(self):
        grow = "bytearray(1 << 30) or None; os.kill(os.getpid(), signal.SIGSEGV)"
        code, text, _ = self.run_driver(("a.two", 1), f"try:\n                {grow}\n            except MemoryError: os.abort()", "--count", "20")
        self.assertEqual(code, 1)
        self.assertIn("SIGABRT", text)


if __name__ == "__main__":
    unittest.main()
