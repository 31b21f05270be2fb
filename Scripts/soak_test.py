"""Shows that the soak's witness catches each kind of loss it exists for, and accepts what a crash may leave."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import soak  # noqa: E402


def client(state, unanswered=()):
    subject = soak.Client(0, seed=1)
    subject.state = dict(state)
    subject.unanswered = [([], list(effect), None) for effect in unanswered]
    return subject


class FakeServer:
    """Answers the three reads of `verify` from a dictionary."""

    def __init__(self, keys):
        self.keys = keys

    def mget(self, keys):
        return [self.keys.get(key) for key in keys]

    def get(self, key):
        return self.keys.get(key)

    def dbsize(self):
        return len(self.keys)


class WitnessTest(unittest.TestCase):
    def test_everyPrefixOfTheUnansweredCommandsIsAccepted(self):
        unanswered = [[(b"a", b"2")], [(b"b", b"1"), (b"c", b"1")], [(b"a", None)]]
        for found in ({b"a": b"1"}, {b"a": b"2"}, {b"a": b"2", b"b": b"1", b"c": b"1"}, {b"b": b"1", b"c": b"1"}):
            subject = client({b"a": b"1"}, unanswered)
            self.assertEqual(soak.adopt_prefix(subject, found), [])
            self.assertEqual(subject.state, found)

    def test_aLostWriteIsCaught(self):
        self.assertIn("lost: a", soak.adopt_prefix(client({b"a": b"1"}), {})[0])

    def test_anOlderValueIsCaught(self):
        self.assertIn("wrong: a", soak.adopt_prefix(client({b"a": b"2"}), {b"a": b"1"})[0])

    def test_aDeletedKeyThatComesBackIsCaught(self):
        self.assertIn("back: a", soak.adopt_prefix(client({}), {b"a": b"1"})[0])

    def test_aBatchInPartIsCaught(self):
        subject = client({}, [[(b"a", b"1"), (b"b", b"1")]])
        self.assertIn("in part", soak.adopt_prefix(subject, {b"a": b"1"})[0])

    def test_aLaterCommandWithoutAnEarlierOneIsCaught(self):
        subject = client({}, [[(b"a", b"1")], [(b"b", b"1")]])
        self.assertIn("in part", soak.adopt_prefix(subject, {b"b": b"1"})[0])

    def test_aCounterOutsideItsBoundsIsCaught(self):
        for value, fails in ((b"4", True), (b"5", False), (b"6", False), (b"7", True)):
            subject = client({})
            subject.counted[0] = 5
            subject.unanswered = [([], [], 0)]
            complaints = soak.verify(FakeServer({b"counter:0": value}), [subject], [0] * soak.COUNTERS)
            self.assertEqual(bool(complaints), fails, value)

    def test_aKeyNobodyWroteIsCaught(self):
        server = FakeServer({b"stranger": b"1"})
        self.assertIn("holds 1 keys", soak.verify(server, [client({})], [0] * soak.COUNTERS)[0])


if __name__ == "__main__":
    unittest.main()
