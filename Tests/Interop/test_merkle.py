"""`strata merkle` as a process, beside published proofs and another implementation.

STRATA_BINARY names the tool; without it the debug build is used.
"""

import base64
import hashlib
import json
import os
import pathlib
import random
import subprocess
import tempfile
import unittest

import pymerkle

HERE = pathlib.Path(__file__).resolve().parent
BINARY = os.environ.get("STRATA_BINARY", str(HERE.parents[1] / ".build/debug/strata"))


def strata(*arguments, text=""):
    return subprocess.run([BINARY, "merkle", *map(str, arguments)], input=text, capture_output=True, text=True, timeout=120)


def hexes(blocks):
    return "".join(block.hex() + "\n" for block in blocks)


def verdicts(verb, proofs):
    done = strata(verb, text="".join(json.dumps(proof) + "\n" for proof in proofs))
    lines = done.stdout.splitlines()
    assert len(lines) == len(proofs), done.stderr
    assert done.returncode == (0 if all(line == "ok" for line in lines) else 1), done
    return lines


def b64(digest):
    return base64.b64encode(digest).decode()


def some_blocks(count):
    return [b"%d" % number * (number % 5) for number in range(count)]


class Published(unittest.TestCase):
    """Proofs of transparency-dev's test data, over the leaves of Certificate Transparency's known answers."""

    def setUp(self):
        proofs = [json.loads(line) for line in (HERE / "vectors/merkle.jsonl").read_text().splitlines()]
        self.inclusion = [proof for proof in proofs if "leafIdx" in proof]
        self.consistency = [proof for proof in proofs if "size1" in proof]

    # requirement: MerkleTree.keep.4
    def test_proofs_are_accepted(self):
        self.assertEqual(verdicts("verify-inclusion", self.inclusion), ["ok"] * 5)
        self.assertEqual(verdicts("verify-consistency", self.consistency), ["ok"] * 5)

    # requirement: MerkleTree.never.5
    def test_what_the_data_calls_wrong_is_refused(self):
        def spoilt(proof, roots, numbers):
            path = proof["proof"] or []
            garbage = b64(b"garbage" * 5)[:44]
            extra = [garbage, "", b64(b"x" * 31)] + [proof[root] for root in roots]
            for digest in extra:
                yield {**proof, "proof": path + [digest]}
                yield {**proof, "proof": [digest] + path}
            if path:
                yield {**proof, "proof": []}
                yield {**proof, "proof": path[:-1]}
                yield {**proof, "proof": path + [path[0]]}
                yield {**proof, "proof": [path[0]] + path}
            for at, digest in enumerate(path):
                raw = bytearray(base64.b64decode(digest))
                raw[0] ^= 4
                yield {**proof, "proof": path[:at] + [b64(raw)] + path[at + 1:]}
            for root in roots:
                yield {**proof, root: b64(hashlib.sha256(b"wrong root").digest())}
                yield {**proof, root: b64(hashlib.sha256(b"").digest())}
                yield {**proof, root: ""}
            for name, change in numbers:
                if change(proof[name]) != proof[name]:
                    yield {**proof, name: change(proof[name])}

        wrong = [case for proof in self.inclusion for case in spoilt(proof, ["root", "leafHash"], [
            ("leafIdx", lambda n: n + 1), ("leafIdx", lambda n: n ^ 2), ("leafIdx", lambda n: 2 ** 63), ("leafIdx", lambda n: 2 ** 64 - 1),
            ("treeSize", lambda n: n * 2), ("treeSize", lambda n: n // 2), ("treeSize", lambda n: 0)])]
        self.assertTrue(all(line.startswith("error: ") for line in verdicts("verify-inclusion", wrong)))
        wrong = [case for proof in self.consistency for case in spoilt(proof, ["root1", "root2"], [
            ("size1", lambda n: n - 1), ("size1", lambda n: n + 1), ("size1", lambda n: n ^ 2), ("size1", lambda n: 0),
            ("size2", lambda n: n * 2), ("size2", lambda n: n // 2), ("size2", lambda n: 2 ** 64 - 1)])]
        wrong += [{**proof, "root1": proof["root2"], "root2": proof["root1"]} for proof in self.consistency if proof["root1"] != proof["root2"]]
        for case, line in zip(wrong, verdicts("verify-consistency", wrong)):
            self.assertTrue(line.startswith("error: "), case)
        empty = b64(hashlib.sha256(b"").digest())
        useless = [{"size1": 0, "size2": size, "root1": empty, "root2": empty, "proof": proof} for size in (0, 1) for proof in (None, [], [empty])]
        self.assertTrue(all(line.startswith("error: ") for line in verdicts("verify-consistency", useless)))

    def test_lines_that_are_no_proofs(self):
        done = strata("verify-inclusion", text="no\n{}\n[]\n" + '{"leafIdx": -1, "treeSize": 1, "root": "", "leafHash": "", "proof": []}\n')
        self.assertEqual((done.returncode, done.stdout), (1, "error: not a proof as one JSON object\n" * 4))


class OtherImplementation(unittest.TestCase):
    """pymerkle builds the same trees; its proofs verify here and the proofs made here verify there."""

    @classmethod
    def setUpClass(cls):
        cls.blocks = some_blocks(40)
        cls.tree = pymerkle.InmemoryTree(algorithm="sha256")
        for block in cls.blocks:
            cls.tree.append_entry(block)

    # requirement: MerkleTree.keep.1
    def test_roots(self):
        for size in range(1, 41):
            done = strata("root", text=hexes(self.blocks[:size]))
            self.assertEqual(done.stdout.strip(), self.tree.get_root(size).hex())
        self.assertEqual(strata("root").stdout.strip(), hashlib.sha256(b"").hexdigest())
        self.assertEqual(json.loads(strata("root", "--json", text="00\n\n").stdout)["size"], 2)

    # requirement: MerkleTree.keep.4
    def test_their_inclusion_proofs_verify_here(self):
        proofs = []
        for size in range(1, 41):
            for index in range(size):
                path = self.tree.prove_inclusion(index + 0 if self.first_index() == 0 else index + 1, size).serialize()["path"]
                proofs.append({
                    "leafIdx": index, "treeSize": size, "root": b64(self.tree.get_root(size)), "leafHash": b64(bytes.fromhex(path[0])),
                    "proof": [b64(bytes.fromhex(digest)) for digest in path[1:]]})
        self.assertEqual(set(verdicts("verify-inclusion", proofs)), {"ok"})
        wrong = [{**proof, "leafIdx": (proof["leafIdx"] + 1) % proof["treeSize"]} for proof in proofs if proof["treeSize"] > 1]
        self.assertNotIn("ok", verdicts("verify-inclusion", wrong))

    # requirement: MerkleTree.keep.4
    def test_inclusion_proofs_made_here_verify_there(self):
        for size, index in [(1, 0), (2, 1), (7, 6), (7, 2), (8, 5), (33, 32), (40, 0), (40, 39), (40, 17)]:
            made = json.loads(strata("prove", "--index", index, "--size", size, text=hexes(self.blocks)).stdout)
            theirs = self.tree.prove_inclusion(index + self.first_index(), size).serialize()
            theirs["path"] = [base64.b64decode(digest).hex() for digest in [made["leafHash"], *made["proof"]]]
            proof = pymerkle.InclusionProof.deserialize(theirs) if hasattr(pymerkle, "InclusionProof") else pymerkle.MerkleProof.deserialize(theirs)
            pymerkle.verify_inclusion(base64.b64decode(made["leafHash"]), base64.b64decode(made["root"]), proof)
            self.assertEqual(base64.b64decode(made["root"]), self.tree.get_root(size))

    # requirement: MerkleTree.keep.4
    def test_consistency(self):
        proofs = []
        for older, newer in [(1, 1), (1, 2), (2, 3), (3, 7), (4, 8), (6, 8), (7, 40), (32, 40), (33, 40), (39, 40), (40, 40)]:
            made = json.loads(strata("prove-consistency", "--from", older, "--to", newer, text=hexes(self.blocks)).stdout)
            self.assertEqual(base64.b64decode(made["root1"]), self.tree.get_root(older))
            self.assertEqual(base64.b64decode(made["root2"]), self.tree.get_root(newer))
            # Their paths begin elsewhere and list more, but no digest of ours is of another subtree.
            theirs = {bytes.fromhex(digest) for digest in self.tree.prove_consistency(older, newer).serialize()["path"]}
            if older & (older - 1):
                self.assertTrue({base64.b64decode(digest) for digest in made["proof"]} <= theirs | self.subtrees(newer))
            proofs.append(made)
        self.assertEqual(set(verdicts("verify-consistency", proofs)), {"ok"})

    def subtrees(self, size):
        """The digests of all subtrees of the definition, by hand."""
        found = set()

        def root(leaves):
            if len(leaves) == 1:
                digest = hashlib.sha256(b"\0" + leaves[0]).digest()
            else:
                split = 1
                while 2 * split < len(leaves):
                    split *= 2
                digest = hashlib.sha256(b"\1" + root(leaves[:split]) + root(leaves[split:])).digest()
            found.add(digest)
            return digest

        root(self.blocks[:size])
        return found

    @staticmethod
    def first_index():
        """Their indexes begin at 1 in versions before 7, at 0 since."""
        tree = pymerkle.InmemoryTree(algorithm="sha256")
        tree.append_entry(b"a")
        try:
            tree.prove_inclusion(0, 1)
            return 0
        except pymerkle.InvalidChallenge:
            return 1


class Verbs(unittest.TestCase):
    def test_refusals(self):
        self.assertEqual(strata("root", text="0\n").returncode, 64)
        self.assertEqual(strata("root", text="xy\n").returncode, 64)
        self.assertEqual(strata("prove", "--index", 2, text="00\n01\n").returncode, 1)
        self.assertEqual(strata("prove", "--index", 0, "--size", 3, text="00\n01\n").returncode, 1)
        self.assertEqual(strata("prove-consistency", "--from", 0, text="00\n").returncode, 1)
        self.assertEqual(strata("prove", text="00\n").returncode, 64)

    # requirement: MerkleTree.never.8
    def test_diff(self):
        random.seed(7)
        with tempfile.TemporaryDirectory() as home:
            first = {f"key{number}": ("1", f"value{number}") for number in range(2000)}
            second = dict(first)
            del second["key7"]
            second["key1500"] = ("2", "other")
            second["key1501"] = ("2", None)
            second["new"] = ("1", "")
            for name, items in (("a", first), ("b", second)):
                lines = [f"{key}\t{version}" + ("" if value is None else f"\t{value}") + "\n" for key, (version, value) in items.items()]
                random.shuffle(lines)
                pathlib.Path(home, name).write_text("".join(lines))
            a, b = home + "/a", home + "/b"
            done = strata("diff", a, b)
            self.assertEqual((done.returncode, done.stdout), (1, "<\tkey7\n>\tnew\n!\tkey1500\n!\tkey1501\n"))
            self.assertEqual(json.loads(strata("diff", b, a, "--json").stdout.splitlines()[0]), {"key": "new", "kind": "only_first"})
            self.assertEqual(strata("diff", a, a).returncode, 0)
            self.assertEqual(strata("diff", a, home + "/missing").returncode, 1)
            pathlib.Path(home, "c").write_text("nothing\n")
            self.assertEqual(strata("diff", a, home + "/c").returncode, 64)


if __name__ == "__main__":
    unittest.main()
