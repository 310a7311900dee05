"""The committed records of the quick study and all that they say: eight verdicts, and the effect of every atom."""

from pathlib import Path

import pytest

from seqbench.judge.report import verdicts

QUICK = Path(__file__).parents[2] / "results" / "quick"
EXPECTED = """
C1 S 1c
  1a S 0.550571 0.512338 0.588018 16
  1b S 0.807988 0.716056 0.874434 16
  1c S 0.755448 0.650456 0.871487 8
  1d S -0.00133485 -0.00178019 -0.000889503 16
C2 S 2b
  2b S 0.390872 0.352387 0.429357 16
  2b/gru S 0.45801 0.424639 0.491382 16
  2c S -0.00819562 -0.0143286 -0.00206264 16
  2d S 0.566658 0.490197 0.654893 8
C3 S 3d
  3a/lstm S 1 0.266715 1 6
  3a/gru S 1 0.266715 1 6
  3b/lstm I 0.333333 -0.288605 0.862056 6
  3b/gru I 0.166667 -0.415917 0.77551 6
  3d S 0.627828 0.605696 0.64754 5
C4 C cpu/4c/rnn/transformer
  cpu/4c/rnn/transformer C -0.939731 -0.963674 -0.765739 15
  cpu/4c/lstm/transformer C -1.14277 -1.1796 -1.02607 15
  cpu/4c/gru/transformer I -0.248504 -0.28058 -0.105472 15
  cpu/4c/rnn/tcn C -0.562201 -0.576385 -0.451045 15
  cpu/4c/lstm/tcn C -0.783291 -0.819026 -0.709907 15
  cpu/4c/gru/tcn I 0.137554 0.074604 0.256876 15
  cpu/4d/rnn/transformer C -0.73428 -0.78427 -0.582832 15
  cpu/4d/lstm/transformer C -1.39589 -1.43883 -1.26777 15
  cpu/4d/gru/transformer I -0.225295 -0.270726 -0.121343 15
  cpu/4d/rnn/tcn I -0.161331 -0.198382 -0.0997326 15
  cpu/4d/lstm/tcn C -0.81971 -0.85143 -0.737979 15
  cpu/4d/gru/tcn S 0.33789 0.304267 0.448859 15
  cpu/decoding C -1.21892 -1.23865 -1.03159 15
  cpu/decoding/rnn C -1.90009 -1.97102 -1.78674 15
  cpu/decoding/gru C -1.77438 -1.80782 -1.63178 15
C5 S 5b/gru
  5a S 3.35617e-16 3.01434e-16 3.35617e-16 5
  5b/rnn S 0.855835 0.742642 1.01815 8
  5b/lstm S 0.769379 0.674241 0.905801 8
  5b/gru S 0.668671 0.593353 0.776672 8
  5b/encoder S 0 0 0 8
C6 S 6a/8
  6a/4 S 1.01567 0.989811 1.05269 8
  6a/8 S 0.994921 0.975427 1.02283 8
  6b S 0.775631 0.586688 0.990983 8
  6c S 0.994921 0.975427 1.02283 5
C7 S 7b
  7a S 0.00245151 0.00186332 0.00303971 16
  7b S 0 0 0 8
C8 S 8a/floor
  8a/order0 S 3.84348 3.84143 3.84701 8
  8a/order2 S 0.556698 0.554707 0.560123 8
  8a/floor S -0.211857 -0.213912 -0.208321 8
"""
"""Verdict and deciding atom of each claim; below it, of each atom with a value, verdict, effect, bounds and n."""


@pytest.fixture(scope="module")
def judged():
    return verdicts.judge_folder(QUICK)


def told(found):
    """Return the verdicts as `EXPECTED` writes them: the first letter of a word, six digits of a number."""
    for claim in found:
        yield f"{claim.claim} {claim.verdict[0]} {claim.headline}"
        for atom in claim.atoms:
            if atom.effect is not None:
                numbers = " ".join(f"{value:.6g}" for value in (atom.effect, atom.lower, atom.upper))
                yield f"  {atom.name} {atom.verdict[0]} {numbers} {atom.n}"


def test_quick_gives_its_verdicts_and_effects(judged):
    """All claims together, as Holm's procedure needs them: words, effects, bounds and n, to six digits."""
    expected, found = EXPECTED.strip().splitlines(), list(told(judged))
    assert [line.split()[:2] for line in found] == [line.split()[:2] for line in expected]
    for line, wanted in zip(found, expected, strict=True):
        if line.startswith("  "):
            assert [float(text) for text in line.split()[2:]] == pytest.approx(
                [float(text) for text in wanted.split()[2:]], rel=1e-4, abs=1e-9
            )
        else:
            assert line == wanted


def test_the_sentences_of_quick_mark_what_is_not_their_own_word(judged):
    """The two undecided pairs of C4 are called so, prefill counts its words, and no share above 1 is lost in C6."""
    by_name = {claim.claim: claim for claim in judged}
    assert by_name["C4"].wording.count("(INCONCLUSIVE)") == 2
    phases = verdicts.sub_verdicts_text(by_name["C4"])
    assert "prefill on CPU CONTRADICTED (1 of 6 SUPPORTED, 3 of 6 CONTRADICTED, 2 of 6 INCONCLUSIVE)" in phases
    assert "training on CPU CONTRADICTED (4 of 6 CONTRADICTED, 2 of 6 INCONCLUSIVE)" in phases
    assert any("minGRU 0.942 [0.892, 0.9" in text for text in by_name["C4"].qualifications)
    (training,) = (text for text in by_name["C4"].qualifications if text.startswith("training on a CPU is judged at"))
    assert "2 of 12 timings of these pairs at another batch, length" in training
    assert "at batch 1, T 128, launched kernel by kernel in single precision, a GRU 1.90 [1.84, 1.94]" in training
    assert "recalled changed by −0.0157 bit [−0.0527, 0.0102], n = 8" in by_name["C6"].wording
    assert not any("one of initialisation" in text for text in by_name["C3"].qualifications)
    assert any("RNN tanh, gain 1.5 in 11 of 16 seeds" in text for text in by_name["C1"].qualifications)
    assert any("an LSTM with forget bias 1 by 0.0512 nat" in text for text in by_name["C2"].qualifications)
