"""strata sim as a process: the same run in two processes, failures kept and replayed, wrong input refused."""

import json
import os
import subprocess
import tempfile
import unittest

STRATA = os.path.abspath(os.environ["STRATA_BINARY"])


def run(*arguments, directory):
    return subprocess.run([STRATA, "sim", *arguments], cwd=directory, capture_output=True, text=True, timeout=300)


class Simulation(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def sim(self, *arguments):
        return run(*arguments, directory=self.directory.name)

    def names(self):
        return [line.split()[0] for line in self.sim("list").stdout.splitlines()]

    def test_every_scenario_runs_alike_in_two_processes(self):
        """Requirement Simulation.never.9: Swift seeds its hashing anew in each process."""
        names = self.names()
        self.assertIn("register.abd", names)
        self.assertIn("engine.lsm", names)
        for name in names:
            with self.subTest(name):
                runs = []
                for _ in range(2):
                    result = self.sim("run", name, "--seed", "5", "--json", "--trace-file", "trace.json")
                    self.assertIn(result.returncode, (0, 2), result.stderr)
                    with open(os.path.join(self.directory.name, "trace.json"), "rb") as file:
                        runs.append((json.loads(result.stdout)["digest"], file.read()))
                self.assertEqual(runs[0][0], runs[1][0])
                self.assertEqual(runs[0][1], runs[1][1])
                self.assertGreater(len(runs[0][1].splitlines()), 10)

    def test_a_failure_is_kept_shrunk_and_replayed(self):
        hunt = self.sim("hunt", "register.minority", "--seeds", "60")
        self.assertEqual(hunt.returncode, 2, hunt.stdout + hunt.stderr)
        line = next(line for line in hunt.stdout.splitlines() if line.startswith("strata sim replay "))
        path = line.split()[-1]
        replay = self.sim("replay", path, "--json")
        self.assertEqual(replay.returncode, 2)
        self.assertEqual(replay.stderr, "")
        self.assertEqual(json.loads(replay.stdout)["failure"], "linearizability")
        drawn = self.sim("replay", path, "--html", "diagram.html", "--trace")
        self.assertIn("failure", drawn.stdout)
        with open(os.path.join(self.directory.name, "diagram.html")) as file:
            self.assertIn("register.minority", file.read())
        again = self.sim("shrink", path, "--seconds", "5")
        self.assertEqual(again.returncode, 0, again.stderr)
        with open(os.path.join(self.directory.name, path)) as file:
            text = file.read()
        with open(os.path.join(self.directory.name, "changed.json"), "w") as file:
            file.write(text.replace('"clients":', '"clients": '))
        changed = self.sim("replay", "changed.json")
        self.assertEqual(changed.returncode, 1)
        self.assertIn("checksum", changed.stderr)

    def test_what_must_hold_holds(self):
        hunt = self.sim("hunt", "register.abd", "--seeds", "200")
        self.assertEqual(hunt.returncode, 0, hunt.stdout)
        self.assertIn("200 runs, 0 failures", hunt.stdout)
        self.assertNotIn("NEVER REACHED", hunt.stdout)

    def test_wrong_input_is_refused(self):
        self.assertEqual(self.sim("run", "nothing").returncode, 1)
        self.assertEqual(self.sim("run", "register.abd", "--seed", "x").returncode, 64)
        self.assertEqual(self.sim("replay", "absent.json").returncode, 1)
        with open(os.path.join(self.directory.name, "bad.json"), "w") as file:
            file.write('{"magic":"STRATA-SIM","version":9}\n')
        bad = self.sim("replay", "bad.json")
        self.assertEqual(bad.returncode, 1)
        self.assertIn("version 9", bad.stderr)


if __name__ == "__main__":
    unittest.main()
