# SPDX-License-Identifier: Apache-2.0
"""The rules by which the load is judged, by themselves: that they refuse what they must."""

import unittest

from harness import rules


class Invariants(unittest.TestCase):
    def test_the_same_everywhere_is_right(self):
        self.assertEqual(rules.against_kernel({"a": {1, 2}, "b": set()}, {"a": {2, 1}, "b": set()}), [])
        picture = {"a": {(1, 5): {"pid": 1, "command": "x"}}}
        self.assertEqual(rules.against_mirror(picture, {"a": {(1, 5): {"command": "x", "pid": 1}}}), [])

    def test_a_block_at_another_number_or_epoch_or_nowhere_is_told_with_both(self):
        self.assertEqual(rules.apart({"a": ("e", 2)}, {"a": ("e", 2)}), [])
        self.assertEqual(rules.apart({"a": ("e", 2), "b": ("e", 1)}, {"a": ("f", 2), "c": ("e", 3)}),
                         ["block a: the registry is at 2 of e, the mirror at 2 of f",
                          "block b: the registry is at 1 of e, the mirror nowhere",
                          "block c: the registry is nowhere, the mirror at 3 of e"])

    def test_who_is_listed_nowhere_or_is_not_there_is_told(self):
        self.assertEqual(rules.against_kernel({"a": {1}}, {"a": {1, 2}}), ["block a: unlisted: [2] (1)"])
        self.assertEqual(rules.against_kernel({"a": {1, 2}}, {"a": {1}}),
                         ["block a: listed, but not there: [2] (1)"])

    def test_a_block_that_one_side_does_not_know_is_told(self):
        self.assertEqual(len(rules.against_kernel({"a": set()}, {})), 1)
        self.assertEqual(len(rules.against_kernel({}, {"a": set()})), 1)
        self.assertEqual(len(rules.against_mirror({"a": {}}, {})), 1)

    def test_a_record_that_differs_is_told(self):
        ours = {"a": {(1, 5): {"command": "x"}, (2, 5): {}}}
        self.assertEqual(len(rules.against_mirror(ours, {"a": {(1, 5): {"command": "y"}, (2, 5): {}}})), 1)
        self.assertEqual(len(rules.against_mirror(ours, {"a": {(1, 5): {"command": "x"}}})), 1)
        self.assertEqual(len(rules.against_mirror({"a": {}}, ours)), 2)


    def test_a_removal_that_was_missed_takes_three_dropped_messages(self):
        for missed, dropped, told in ((0, 0, 0), (1, 3, 0), (2, 5, 1), (1, 0, 1)):
            self.assertEqual(len(rules.unexplained({"missed_removals": missed, "mirror_dropped": dropped})), told)

    def test_looks_that_are_given_up_often_are_told_as_nobody_hangs(self):
        counters = {"outside_looks": 38, "outside_late": 1, "scans": 0, "scans_late": 0, "facts_late": 7}
        self.assertEqual(rules.held_up(counters), [])
        self.assertEqual(len(rules.held_up(counters | {"outside_late": 4, "scans_late": 1})), 2)


class Growth(unittest.TestCase):
    times = [60.0 * minute for minute in range(30)]

    def verdict(self, values, name="rss_kib"):
        return rules.judge(name, self.times[:len(values)], values)

    def test_what_stays_is_flat(self):
        verdict = self.verdict([50000.0 + minute % 3 for minute in range(30)])
        self.assertTrue(verdict.flat)
        self.assertLess(abs(verdict.slope_an_hour), 10)

    def test_what_is_taken_in_the_first_third_is_warm_up(self):
        self.assertTrue(self.verdict([5000.0 * minute for minute in range(9)] + [50000.0] * 21).flat)

    def test_steady_growth_is_told_with_its_slope(self):
        verdict = self.verdict([50000.0 + 600 * minute for minute in range(30)])
        self.assertFalse(verdict.flat)
        self.assertAlmostEqual(verdict.slope_an_hour, 600 * 60)

    def test_a_descriptor_kept_each_minute_is_growth_and_a_thread_more_too(self):
        self.assertFalse(self.verdict([100.0 + minute for minute in range(30)], "descriptors").flat)
        self.assertTrue(self.verdict([100.0 + minute % 4 for minute in range(30)], "descriptors").flat)
        self.assertFalse(self.verdict([7.0] * 20 + [8.0] * 10, "threads").flat)

    def test_one_high_value_is_no_growth(self):
        self.assertTrue(self.verdict([50000.0] * 25 + [90000.0] + [50000.0] * 4).flat)

    def test_what_goes_down_is_no_growth(self):
        self.assertTrue(self.verdict([90000.0 - 1000 * minute for minute in range(30)]).flat)

    def test_of_few_checkpoints_nothing_is_said(self):
        self.assertIsNone(self.verdict([1.0, 1e9, 1e12]).flat)


if __name__ == "__main__":
    unittest.main()
