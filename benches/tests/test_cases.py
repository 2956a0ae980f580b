"""Who takes part in a case, and what the record of other libraries says."""

import os
import signal
import unittest
from pathlib import Path

import numpy as np
from suite import cortex_m, nablac, trial, x86
from suite.cases import Case, ModelFile
from suite.contender import Contender, Unavailable, last_words
from suite.peers import PEERS, requirements

EXPECTED = np.array([0.25, 0.75], np.float32)


def contender(name: str, answer, **more) -> Contender:
    """One that answers this."""

    def read() -> list[np.ndarray]:
        if isinstance(answer, Exception):
            raise answer
        return [answer]

    return Contender(name, "fp32.onnx", write=lambda sample: None, run=lambda: None, read=read, **more)


def answering() -> Contender:
    """One that runs."""
    return contender("fine", EXPECTED)


def raising() -> Contender:
    """One that cannot be loaded."""
    raise ValueError("no such operator")


def dying() -> Contender:
    """One whose code is not for this processor."""
    os.kill(os.getpid(), signal.SIGILL)


class Trial(unittest.TestCase):
    def test_what_raises_or_dies_is_told_apart(self):
        trial.check(answering, [])
        with self.assertRaisesRegex(Unavailable, "ValueError: no such operator"):
            trial.check(raising, [])
        with self.assertRaisesRegex(Unavailable, "dies of SIGILL"):
            trial.check(dying, [])


class Taking(unittest.TestCase):
    def taken(self, contenders: list[Contender], recorded=True) -> x86.Result:
        """The result before anyone is timed."""
        file = ModelFile(
            Path("fp32.onnx"), "fp32.onnx", [[np.zeros(2, np.float32)]], [[EXPECTED]] if recorded else None
        )
        result = x86.Result(Case("kws", "fp32", 1, {"onnx": file}, file), [], {})
        x86._keep_agreeing(result, [(contender, file) for contender in contenders])
        return result

    def test_whoever_computes_something_else_is_said_to_be_missing(self):
        wrong, failing = contender("wrong", EXPECTED[::-1].copy()), contender("failing", RuntimeError("no kernel"))
        result = self.taken([contender("right", EXPECTED), wrong, failing, contender("short", EXPECTED[:1])])
        self.assertEqual([entry.name for entry in result.entries], ["right"])
        self.assertIn("outputs differ by 0.5", result.missing["wrong, fp32.onnx"])
        self.assertIn("no kernel", result.missing["failing, fp32.onnx"])
        self.assertIn("another type or shape", result.missing["short, fp32.onnx"])

    def test_numbers_of_its_own_are_allowed_where_they_are_declared(self):
        result = self.taken([contender("other", EXPECTED[::-1].copy(), other_numbers="because")])
        self.assertEqual(len(result.entries), 1)

    def test_without_a_record_most_decide_and_a_peer_against_nablac(self):
        wrong = EXPECTED[::-1].copy()
        result = self.taken([contender("nablac", wrong), contender("peer", EXPECTED)], recorded=False)
        self.assertEqual([entry.name for entry in result.entries], ["peer"])
        three = [contender("peer", wrong), contender("nablac", EXPECTED), contender("other", EXPECTED)]
        self.assertEqual([entry.name for entry in self.taken(three, recorded=False).entries], ["nablac", "other"])

    def test_the_best_peer_is_the_fastest_in_either_format(self):
        result = self.taken([contender("nablac", EXPECTED), *(contender("peer", EXPECTED) for _ in range(2))])
        for entry, seconds in zip(result.entries, ([3.0] * 5, [2.0] * 5, [1.0, 2.0, 2.0, 2.0, 2.0]), strict=True):
            entry.seconds = seconds
        self.assertEqual(result.best_peer().best, 1.0)
        self.assertEqual(result.ratio().median, 1.5)

    def test_the_target_is_the_widest_that_the_processor_is(self):
        narrow = {"name": "host", "simd_bits": 128}
        wide = {"name": "x86-64-v3", "simd_bits": 256, "requires": ["avx2", "fma"]}
        foreign = {"name": "cortex-m55", "simd_bits": 512}
        machines = [foreign, narrow, wide, wide | {"name": "x86-64-v4", "simd_bits": 512, "requires": ["avx512f"]}]
        self.assertEqual(nablac.widest(machines, ["sse2", "avx2", "fma"]), "x86-64-v3")
        self.assertEqual(nablac.widest(machines, ["sse2", "avx2"]), "host")

    def test_the_glue_copies_every_input(self):
        value = {"bytes": 8, "dtype": "f32", "shape": [2]}
        text = nablac._glue({"name": "net", "inputs": [value, value], "outputs": [value]})
        self.assertIn("memcpy(net_input1(&ctx), inputs[1], 8u);", text)
        self.assertNotIn("@", text)

    def test_a_failure_is_told_by_its_error(self):
        self.assertEqual(last_words("a\nerror: no such file\nhint: look\n"), "error: no such file")
        self.assertEqual(last_words("a\nb\n\n"), "b")
        self.assertEqual(last_words(""), "it said nothing")


class Record(unittest.TestCase):
    def test_every_row_has_every_network(self):
        record = cortex_m.recorded()
        for entry in record["recorded"]:
            for figure in set(cortex_m.FIGURES) & entry.keys():
                self.assertEqual(len(entry[figure]), len(record["networks"]), entry)

    def test_every_goal_is_about_figures_on_record(self):
        record = cortex_m.recorded()
        for goal in record["goals"]:
            entries = cortex_m._on_record(record, goal["precision"], goal["target"], goal["optimize"])
            self.assertIn(goal["peer"], [entry["peer"] for entry in entries if goal["figure"] in entry])

    def test_a_goal_is_met_by_mean_and_by_each(self):
        build = {"precision": "int8", "target": "cortex-m4", "optimize": "time"}

        def row(network: str, ours: int) -> dict:
            figures = {"nablac": {"instructions": ours}, "peers": {"CMSIS-NN": {"instructions": 100}}}
            return build | figures | {"network": network}

        rows, goal = [row("kws", 20), row("ad", 80)], build | {"peer": "CMSIS-NN", "figure": "instructions"}
        self.assertAlmostEqual(cortex_m._reached(goal | {"mean": 0.41}, rows)["geometric_mean"], 0.4)
        self.assertTrue(cortex_m._reached(goal | {"mean": 0.41, "each": 0.8}, rows)["met"])
        self.assertFalse(cortex_m._reached(goal | {"mean": 0.39}, rows)["met"])
        self.assertFalse(cortex_m._reached(goal | {"mean": 0.41, "each": 0.79}, rows)["met"])

    def test_peers_are_pinned(self):
        for peer in PEERS:
            self.assertTrue(all(requirements(peer).values()), peer)


if __name__ == "__main__":
    unittest.main()
