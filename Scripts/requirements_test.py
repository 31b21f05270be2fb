"""Shows what the requirements report counts and what it does not."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import requirements  # noqa: E402

PAGE = "# Log\n\n- **keep.1** One.\n- **never.1** Two.\n- **never.2** Three. (with the simulator)\n- **never.3** Four. (dropped: reason)\n"


class RequirementsTest(unittest.TestCase):
    def report(self, tests):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "Docs/Requirements").mkdir(parents=True)
            (root / "Docs/Requirements/Log.md").write_text(PAGE)
            (root / "Tests").mkdir()
            for name, text in tests.items():
                (root / "Tests" / name).write_text(text)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                counts = requirements.report(root, [])
            return counts, output.getvalue()

    def test_whatHasNoTestIsMissing(self):
        counts, text = self.report({})
        self.assertEqual(counts, (2, 0))
        self.assertIn("0 of 2", text)

    def test_namesInSwiftAndPythonCount(self):
        counts, text = self.report({
            "A.swift": '@Test(\n  .requirement(\n    "Log.keep.1"))\nfunc a() {}\n', "b.py": "# requirement: Log.never.1\n"})
        self.assertEqual(counts, (0, 0))
        self.assertIn("Tests/A.swift:2", text)
        self.assertIn("Tests/b.py:1", text)

    def test_aNameInACommentProvesNothing(self):
        self.assertEqual(self.report({"A.swift": '// .requirement("Log.keep.1")\n'})[0], (2, 0))

    def test_unknownNamesAreReported(self):
        self.assertEqual(self.report({"A.swift": '@Test(.requirement("Log.keep.7", "Other.keep.1")) func a() {}\n'})[0], (2, 2))


if __name__ == "__main__":
    unittest.main()
