"""Statistics, agreement, tables."""

import unittest

import numpy as np
from suite.agreement import difference
from suite.markdown import table
from suite.spread import Spread, geometric_mean, ratio
from suite.timing import rounds


class Figures(unittest.TestCase):
    def test_a_ratio_is_the_median_over_rounds(self):
        # The second round was disturbed on both sides: its ratio is 2 like those of most others.
        self.assertEqual(ratio([2.0, 20.0, 2.0, 3.0, 2.0], [1.0, 10.0, 1.0, 1.0, 2.0]), Spread(2.0, 2.0, 2.0))
        self.assertEqual(str(ratio([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5)), "3.00 (2.00…4.00)")

    def test_geometric_mean(self):
        self.assertAlmostEqual(geometric_mean([0.5, 2.0, 1.0]), 1.0)
        self.assertAlmostEqual(geometric_mean([4.0, 9.0]), 6.0)

    def test_every_round_times_everyone(self):
        calls = [0, 0]

        def run(index):
            calls[index] += 1
            return sum(range(20000 * (index + 1)))

        found = rounds([lambda: run(0), lambda: run(1)], 7, limit_seconds=60)
        self.assertEqual([len(seconds) for seconds in found], [7, 7])
        self.assertLess(min(found[0]), min(found[1]))
        self.assertGreater(calls[0], calls[1])  # blocks are of one length

    def test_past_the_limit_there_are_only_the_rounds_that_a_spread_needs(self):
        self.assertEqual(len(rounds([lambda: sum(range(1000))], 50, limit_seconds=0)[0]), 5)

    def test_tables_align(self):
        lines = table([["a", "b", "µs"], ["long", "x", "1.0"], ["s", "y", "100.25"]], words=2).splitlines()
        self.assertEqual(lines[0], "| a    | b |     µs |")
        self.assertEqual(lines[1], "|------|---|-------:|")
        self.assertEqual(lines[3], "| s    | y | 100.25 |")


class Agreement(unittest.TestCase):
    def test_floats_agree_within_rounding_of_the_largest(self):
        expected = [[np.array([100.0, -50.0], np.float32)]]
        near, far = expected[0][0] + np.float32(5e-3), expected[0][0] + np.float32(0.1)
        self.assertTrue(difference([[near]], expected).agrees)
        self.assertFalse(difference([[far]], expected).agrees)
        self.assertFalse(difference([[far]], expected).is_nonsense)
        self.assertTrue(difference([[-expected[0][0]]], expected).is_nonsense)
        self.assertTrue(difference([[expected[0][0] * np.float32("nan")]], expected).is_nonsense)

    def test_integers_agree_within_a_step(self):
        expected = [[np.array([-128, 127], np.int8)]]
        self.assertTrue(difference([[np.array([-127, 127], np.int8)]], expected).agrees)
        found = difference([[np.array([-120, 127], np.int8)]], expected)
        self.assertEqual((found.agrees, found.is_nonsense, str(found)), (False, False, "8 steps"))
        # The other way round: this difference does not fit the type.
        self.assertTrue(difference([[np.array([127, -128], np.int8)]], expected).is_nonsense)

    def test_another_type_or_shape_is_nonsense(self):
        expected = [[np.zeros((1, 2), np.float32)]]
        for other in (np.zeros((2, 1), np.float32), np.zeros((1, 2), np.int8)):
            self.assertTrue(difference([[other]], expected).is_nonsense)


if __name__ == "__main__":
    unittest.main()
