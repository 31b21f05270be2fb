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

    def test_runs_are_written_for_other_tools(self):
        run = self.sim("run", "register.abd", "--seed", "3", "--perfetto", "run.json")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("simulated hours a minute of one core", run.stdout)
        with open(os.path.join(self.directory.name, "run.json")) as file:
            events = json.load(file)["traceEvents"]
        self.assertGreater(sum(event["ph"] == "X" for event in events), 100)
        self.assertEqual(sum(event["ph"] == "s" for event in events), sum(event["ph"] == "f" for event in events))

    def test_a_replay_can_end_earlier(self):
        runs = (self.sim("run", "register.minority", "--seed", str(seed)) for seed in range(1, 60))
        failed = next(run for run in runs if run.returncode == 2)
        path = failed.stdout.split("strata sim replay ")[1].strip()
        whole = self.sim("replay", path, "--trace-file", "whole.json")
        self.assertEqual(whole.returncode, 2)
        self.assertEqual(self.sim("replay", path, "--until", "500", "--trace-file", "part.json").returncode, 2)
        lines = {}
        for name in ("whole", "part"):
            with open(os.path.join(self.directory.name, name + ".json")) as file:
                lines[name] = file.read().splitlines()[1:-1]
        self.assertEqual(lines["part"], lines["whole"][: len(lines["part"])])
        self.assertTrue(all(int(json.loads(line)["t"]) <= 500_000_000 for line in lines["part"]))
        self.assertGreater(len(lines["whole"]), len(lines["part"]))
        self.assertGreater(len(lines["part"]), 10)
        self.assertEqual(self.sim("replay", path, "--until", "x").returncode, 64)

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
