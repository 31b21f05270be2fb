#!/usr/bin/env python3
"""Prints, per target, which numbered requirements of Docs/Requirements have a test that names them and which have not.

A Swift test names one with the trait `.requirement("Target.keep.1")`, a Python test with a comment `# requirement: Target.keep.1`.
Exit codes: 0 printed, 1 with --strict where a requirement has no test or a test names one that no page has, 64 usage.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ITEM = re.compile(r"^- \*\*((?:[a-z]+\.)+[0-9]+)\*\* (\S.*)$", re.MULTILINE)
CALL = re.compile(r"\.requirement\(([^)]*)\)")
NAME = re.compile(r'"([^"]*)"')
PYTHON = re.compile(r"#\s*requirement:\s*(\S+)")


class Requirement:
    """One numbered item of a page with the places that name it."""

    def __init__(self, text):
        self.text = text
        self.dropped = "(dropped:" in text
        self.postponed = text.endswith("(with the simulator)")
        self.places = []

    @property
    def is_missing(self):
        return not self.places and not self.dropped and not self.postponed


def without_comments(text):
    """Swift text with line comments blanked, so that a trait in a comment proves nothing."""
    return re.sub(r"^([^\"\n]*?)//[^\n]*", r"\1", text, flags=re.MULTILINE)


def pages(root):
    found = {}
    for page in sorted((root / "Docs/Requirements").glob("*.md")):
        if page.stem == "README":
            continue
        found[page.stem] = {number: Requirement(text) for number, text in ITEM.findall(page.read_text())}
    return found


def names(root):
    """(identifier, place) of every requirement a test names."""
    for path in sorted((root / "Tests").rglob("*")):
        # The tidy test's own snippets and patterns name requirements without proving them.
        if path.name in ("CheckerTests.swift", "RequirementPages.swift") or path.suffix not in (".swift", ".py") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".py":
            matches = [(match.group(1), match.start()) for match in PYTHON.finditer(text)]
        else:
            text = without_comments(text)
            matches = [(name, call.start()) for call in CALL.finditer(text) for name in NAME.findall(call.group(1))]
        for identifier, start in matches:
            yield identifier, f"{path.relative_to(root)}:{text.count(chr(10), 0, start) + 1}"


def report(root, only):
    targets = pages(root)
    unknown = []
    for identifier, place in names(root):
        target, _, number = identifier.partition(".")
        if number in targets.get(target, {}):
            targets[target][number].places.append(place)
        else:
            unknown.append((identifier, place))
    missing = 0
    for target, requirements in targets.items():
        if only and target not in only:
            continue
        counted = [requirement for requirement in requirements.values() if not requirement.dropped and not requirement.postponed]
        named = sum(1 for requirement in counted if requirement.places)
        print(f"{target}: {named} of {len(counted)} have a test")
        for number, requirement in requirements.items():
            missing += requirement.is_missing
            print(f"  {number:<12} {state(requirement)}")
    for identifier, place in unknown:
        print(f"unknown: {place} names {identifier}, which no page in Docs/Requirements has")
    return missing, len(unknown)


def state(requirement):
    if requirement.places:
        shown = ", ".join(requirement.places[:3])
        return shown + (f" and {len(requirement.places) - 3} more" if len(requirement.places) > 3 else "")
    if requirement.dropped:
        return "dropped"
    if requirement.postponed:
        return "with the simulator"
    return "NO TEST: " + (requirement.text if len(requirement.text) <= 90 else requirement.text[:87] + "...")


class Parser(argparse.ArgumentParser):
    """A usage error is code 64 in this project."""

    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def main():
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help="only these (default: all)")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a requirement has no test")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    missing, unknown = report(arguments.root, arguments.targets)
    print(f"{missing} without a test, {unknown} unknown names")
    return 1 if arguments.strict and (missing or unknown) else 0


if __name__ == "__main__":
    sys.exit(main())
