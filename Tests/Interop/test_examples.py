"""Every program of Examples/ prints what its page in Docs says, and its own manifest names products there are.

STRATA_BINARY names the tool; the examples stand beside it. Without it the debug build is used."""

import json
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("STRATA_BINARY", str(ROOT / ".build/debug/strata")))
EXAMPLES = sorted(path.parent.name for path in (ROOT / "Examples").glob("*/Package.swift"))
# Those that the root manifest builds as well, so that they run here.
BUILT = re.findall(r'^  example\("(\w+)"', (ROOT / "Package.swift").read_text(), re.MULTILINE)


class Examples(unittest.TestCase):
    def test_there_are_some(self):
        self.assertIn("Avro", BUILT)
        self.assertLessEqual(set(BUILT), set(EXAMPLES))

    def test_they_print_what_their_pages_say(self):
        for name in BUILT:
            with self.subTest(example=name):
                page = (ROOT / "Docs" / f"{name}.md").read_text()
                said = re.search(rf"swift run --package-path Examples/{name}\n```\n\n```text\n(.*?)```", page, re.DOTALL)
                self.assertIsNotNone(said, f"Docs/{name}.md does not show what the example prints")
                done = subprocess.run([BINARY.parent / f"example-{name}"], capture_output=True, text=True, timeout=60)
                self.assertEqual((done.returncode, done.stdout), (0, said.group(1)), done.stderr)

    def test_their_manifests_name_products_there_are(self):
        blocks = {path.name for path in (ROOT / "Sources").glob("*/*") if path.is_dir() and not path.name.startswith("CStrata")}
        for name in EXAMPLES:
            with self.subTest(example=name):
                command = ["swift", "package", "--package-path", str(ROOT / "Examples" / name), "dump-package"]
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr)
                wanted = [
                    dependency["product"][0] for target in json.loads(done.stdout)["targets"] for dependency in target["dependencies"]
                    if dependency.get("product", ["", ""])[1] == "strata"]
                self.assertTrue(wanted)
                for product in wanted:
                    self.assertIn(product.removeprefix("Strata"), blocks)


if __name__ == "__main__":
    unittest.main()
