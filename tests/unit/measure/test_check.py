"""The check of a model finds every planted fault and calls it by the right name; an honest model passes."""

import math
import re

import pytest

from seqbench.errors import InvalidInput, UnknownName, UsageError
from seqbench.measure.check import DEMANDS, answer, candidate, check
from seqbench.variant import Variant, parse

HONEST = """
import random

import numpy
from dataclasses import dataclass

import torch
from torch import nn

from seqbench.measure.models.base import Costs


class Mine(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.front = nn.Embedding(spec.vocab, spec.width) if spec.inputs is None else nn.Linear(spec.inputs, spec.width)
        self.back = nn.Linear(spec.width, spec.width)
        self.head = nn.Linear(spec.width, spec.outputs)

    def forward(self, tokens, state=None):
        x = self.front(tokens)
        h = torch.zeros_like(x[:, 0]) if state is None else state
        outputs = []
        for e in x.unbind(1):
            h = torch.tanh(e + self.back(h))
            outputs.append(h)
        hidden = torch.stack(outputs, dim=1)
        logits = self.head(hidden)
        return logits, h


def build(spec):
    return Mine(spec)


def costs(spec, tokens):
    D, V = spec.width, spec.outputs
    front = spec.vocab * D if spec.inputs is None else (spec.inputs + 1) * D
    flops = 2 * D * D + 2 * D * V
    return Costs(parameters=front + (D + 1) * D + (D + 1) * V, flops=flops, state_floats=D)
"""
STACK = "hidden = torch.stack(outputs, dim=1)"
HEAD = "logits = self.head(hidden)"
SLOW = "(hidden * 1e-12 + (hidden * (1 - 1e-12)).detach())"  # the gradient vanishes below what Adam can see

UNSEEDED = """model, rng = Mine(spec), torch.Generator()
    rng.seed()
    nn.init.uniform_(model.head.weight, -0.1, 0.1, generator=rng)
    return model"""
REFUSING = """if spec.inputs:
        from seqbench.errors import InvalidInput
        raise InvalidInput("no")
    return Mine(spec)"""
ONE_HOT = """tokens if tokens.is_floating_point() else torch.eye(8, dtype=self.head.weight.dtype)[tokens]"""
AHEAD = {"causality by tokens", "streaming", "floats"}
FAULTS = {
    "a look ahead": (
        {STACK: f"{STACK} + 1e-3 * torch.stack(outputs, dim=1).roll(-1, 1)"},
        AHEAD | {"causality by gradient"},
    ),
    "a look ahead that is detached": (
        {STACK: f"{STACK} + 1e-3 * torch.stack(outputs, dim=1).roll(-1, 1).detach()"},
        AHEAD,
    ),
    "a start that knows the end": ({"torch.zeros_like(x[:, 0])": "1e-3 * x[:, -1]"}, AHEAD | {"causality by gradient"}),
    "a zeroed recurrence": ({"self.back(h)": "self.back(0 * h)"}, {"past", "gradients", "memorising"}),
    "a recurrence cut off": ({"self.back(h)": "self.back(h.detach())"}, {"past"}),
    "a leak across the batch": ({HEAD: f"hidden = hidden + 1e-3 * hidden.mean(0); {HEAD}"}, {"batch independence"}),
    "statistics of the batch": (
        {HEAD: f"hidden = hidden - hidden.mean((0, 1)); {HEAD}"},
        AHEAD | {"causality by gradient", "batch independence"},
    ),
    "a parameter too many": ({"parameters=front": "parameters=1 + front"}, {"parameters"}),
    "parameters of another depth": ({"(D + 1) * V,": "(D + 1) * V + spec.layers - 2,"}, {"parameters"}),
    "parameters of tokens alone": ({"(spec.inputs + 1) * D": "spec.inputs * D"}, {"parameters"}),
    "half the operations": ({"flops=flops": "flops=flops // 2"}, {"operations"}),
    "operations of another length": ({"flops=flops": "flops=flops + tokens - 9"}, {"operations"}),
    "a larger state": ({"state_floats=D": "state_floats=2 * D"}, {"state size"}),
    "a parameter that is detached": (
        {HEAD: "logits = nn.functional.linear(hidden, self.head.weight, self.head.bias.detach())"},
        {"gradients"},
    ),
    "a gradient that is no number": (
        {HEAD: "W = self.head.weight; logits = hidden @ torch.where(W > 9, (W - 9).sqrt(), W).T + self.head.bias"},
        {"gradients", "memorising"},
    ),
    "a parameter without effect": ({HEAD: f"{HEAD} - self.head.bias"}, {"gradients"}),
    "a state written into": ({STACK: f"{STACK}; state is None or state.copy_(h)"}, {"state kept"}),
    "a state that is used up": ({STACK: f"{STACK}; state is None or state.zero_()"}, {"state kept"}),
    "a state kept in the module": ({STACK: f"{STACK}; self.kept = h", "else state": "else self.kept"}, {"state kept"}),
    "a state that is ignored": ({" if state is None else state": ""}, {"streaming", "floats"}),
    "a state along another axis": (
        {"else state": "else state[0]", "return logits, h": "return logits, h[None]"},
        {"batch first"},
    ),
    "weights of nobody's seed": ({"return Mine(spec)": UNSEEDED}, {"seed"}),
    "weights of one seed": ({"return Mine(spec)": "torch.manual_seed(0); return Mine(spec)"}, {"seed"}),
    "a draw while it is built": ({"return Mine(spec)": "random.random(); return Mine(spec)"}, {"global generator"}),
    "a draw of numpy": ({"return Mine(spec)": "numpy.random.rand(); return Mine(spec)"}, {"global generator"}),
    "a draw while it runs": ({STACK: f"{STACK} + 0 * torch.rand(())"}, {"global generator"}),
    "single precision": ({HEAD: f"{HEAD}.float()"}, {"double precision"}),
    "outputs taken for the vocabulary": ({"spec.width, spec.outputs": "spec.width, spec.vocab"}, {"shape"}),
    "nothing that learns": ({HEAD: f"logits = self.head{SLOW}"}, {"memorising"}),
    "floats answered at the end alone": (
        {HEAD: f"{HEAD}; logits = logits[:, -1:] if tokens.is_floating_point() else logits"},
        {"floats"},
    ),
    "another table first": (
        {"super().__init__()": "super().__init__(); self.places = nn.Embedding(9, spec.width)"},
        {"causality by gradient", "past", "gradients", "parameters"},
    ),
}


def planted(folder, changes, *, source=HONEST):
    """Return the variant of a model file in which pieces of the honest source were replaced."""
    for old, new in changes.items():
        assert old in source
        source = source.replace(old, new)
    path = folder / "mine.py"
    path.write_text(source, encoding="utf-8")
    return Variant(f"{path}:build")


def answers(variant, **sizes):
    """Return demand -> outcome of everything that did not pass, and what applies to encoders alone left out."""
    found = check(variant, **sizes)
    assert [finding.demand for finding in found] == list(DEMANDS)
    return {
        entry.demand: entry.outcome
        for entry in found
        if entry.outcome != "passed" and DEMANDS[entry.demand].of != "encoder"
    }


def failed(variant):
    """Return the names of the demands that a model breaks."""
    return {entry.demand for entry in check(variant) if entry.outcome == "failed"}


def reason_of(demand, variant):
    """Return why a demand was answered as it was."""
    return answer(demand, candidate(variant)).reason


def test_an_honest_model_of_its_own_passes(tmp_path):
    """A file with the contract and nothing else meets every demand on a model that reads from left to right."""
    assert answers(planted(tmp_path, {})) == {}


@pytest.mark.parametrize("name", FAULTS, ids=lambda name: name.replace(" ", "_"))
def test_a_planted_fault_is_found_and_named(tmp_path, name):
    """One changed line of the honest model fails the demands that it breaks, and no other."""
    changes, expected = FAULTS[name]
    assert answers(planted(tmp_path, changes)) == dict.fromkeys(expected, "failed")


def test_a_start_far_from_uniform_is_flagged(tmp_path):
    """A head thirty times too large breaks no contract, but its first loss is told with the farthest seed."""
    loud = planted(tmp_path, {HEAD: "logits = self.head(30 * hidden)"})
    assert answers(loud) == {"untrained loss": "flagged"}
    told = re.fullmatch(
        r"the untrained loss is (\S+) nat where ln (8|65) is \S+ \(seed [012]\)", reason_of("untrained loss", loud)
    )
    assert float(told[1]) > math.log(int(told[2])) + 0.2


def test_a_reason_says_what_and_where(tmp_path):
    """A fault is told with its places, and a demand that passes with what was shown."""
    zeroed = planted(tmp_path, {"self.back(h)": "self.back(0 * h)"})
    expected = "the logits at the last of 9 places do not depend on the tokens at places 0, 1, 2, 3, 4, 5, 6, 7"
    assert reason_of("past", zeroed) == expected
    assert reason_of("gradients", zeroed) == "zero everywhere, at the second step too: back.weight"
    assert reason_of("shape", zeroed) == DEMANDS["shape"].holds


def test_what_a_model_raises_fails_the_demand_and_no_other_is_left_out(tmp_path):
    """A forward that fails, whatever it raises, fails what runs it; weights are looked at all the same."""
    for raised in ("ValueError('two\\nlines')", "SystemExit('two lines')"):
        broken = planted(tmp_path, {STACK: f"raise {raised}"})
        found = answers(broken)
        assert {"seed", "parameters"}.isdisjoint(found)
        assert "failed" == found["shape"] == found["memorising"]
        assert reason_of("streaming", broken) == f"{raised.partition('(')[0]}: two lines"


def test_a_model_that_cannot_be_built_fails_everything_with_the_reason(tmp_path):
    """There is no size at which it builds, so every demand says why."""
    broken = planted(tmp_path, {"return Mine(spec)": "raise RuntimeError('no')"})
    assert set(answers(broken).values()) == {"failed"}
    assert reason_of("seed", broken) == "RuntimeError: no"


def test_a_file_that_states_no_costs_is_complete(tmp_path):
    """Without `costs` nothing is held against the module, and the check says so."""
    silent = planted(tmp_path, {"def costs(": "def _costs("})
    assert answers(silent) == dict.fromkeys(("parameters", "operations", "state size"), "not applicable")
    assert reason_of("operations", silent) == "states none: its file has no costs(spec, tokens)"


@pytest.mark.parametrize("how", ["when it runs", "when it is built"])
def test_a_model_of_tokens_alone_is_complete(tmp_path, how):
    """A file that ignores `inputs`, or refuses them, takes tokens only; that is told and no fault."""
    front = "nn.Embedding(spec.vocab, spec.width)"
    changes = {f"{front} if spec.inputs is None else nn.Linear(spec.inputs, spec.width)": front}
    if how == "when it is built":
        changes["return Mine(spec)"] = REFUSING
    plain = planted(tmp_path, changes)
    assert answers(plain) == {"floats": "not applicable"}
    assert reason_of("floats", plain) == "takes tokens only: real-valued tasks are structural for it"


def test_a_model_without_an_embedding_is_looked_at_by_its_tokens(tmp_path):
    """Where no gradient can be taken, changed tokens still find the look ahead."""
    table = {"nn.Embedding(spec.vocab, spec.width)": "nn.Linear(spec.vocab, spec.width)", "(tokens)": f"({ONE_HOT})"}
    blind = planted(tmp_path, table | {STACK: f"{STACK}; hidden = hidden + 1e-3 * hidden.roll(-1, 1)"})
    found = answers(blind)
    assert (found["causality by gradient"], found["causality by tokens"]) == ("not applicable", "failed")
    assert "past" not in found


def test_embeddings_may_be_scaled_in_place(tmp_path):
    """Gradients are taken at the embedding's output as it leaves the table, whatever the model then does to it."""
    assert answers(planted(tmp_path, {"x = self.front(tokens)": "x = self.front(tokens).mul_(2)"})) == {}


def test_what_rounds_may_say_how_far(tmp_path):
    """A leak of rounding size fails, unless the file declares as much; a larger one fails all the same."""
    noisy = {STACK: f"{STACK}; hidden = hidden + 1e-7 * hidden.roll(-1, 1)"}
    declared = {"def costs(": "def tolerance(spec):\n    return 1e-6\n\n\ndef costs("}
    for name, changes in (
        ("undeclared", noisy),
        ("declared", noisy | declared),
        ("larger", {STACK: noisy[STACK].replace("1e-7", "1e-3")} | declared),
    ):
        (tmp_path / name).mkdir()
        found = answers(planted(tmp_path / name, changes))
        assert found == ({} if name == "declared" else dict.fromkeys(AHEAD | {"causality by gradient"}, "failed"))


ENCODER = {
    "class Mine": "@dataclass(frozen=True)\nclass Options:\n    causal: bool = True\n\n\nclass Mine",
    "state_floats=D": "state_floats=D * spec.causal",
    "super().__init__()": "super().__init__(); self.causal = spec.causal",
}
WHOLE = {
    HEAD: f"hidden = hidden if self.causal else hidden + hidden.flip(1).cumsum(1).flip(1); {HEAD}",
    "return logits, h": "return logits, h if self.causal else ()",
}


def test_an_encoder_is_asked_what_encoders_must_do(tmp_path):
    """An honest encoder passes; one that reads from left to right, or keeps a state, is found."""
    honest = planted(tmp_path, ENCODER | WHOLE)
    encoder = Variant(honest.name, (("causal", False),))
    assert {found.demand for found in check(encoder) if found.outcome == "passed"} >= {
        "whole view",
        "no state",
        "state size",
    }
    assert failed(encoder) == set()
    assert answers(honest) == {}
    (tmp_path / "blind").mkdir()
    blind = Variant(planted(tmp_path / "blind", ENCODER).name, (("causal", False),))
    assert failed(blind) == {"whole view", "no state", "state size"}


STRICT = """return Mine(spec)


def width_step(spec):
    return 24


def refusal(spec, *, length, lag):
    return "beyond" if length > 6 or (lag or 0) > 3 else \"\""""


def test_sizes_are_those_that_the_model_takes(tmp_path):
    """Width is a multiple of its step; lengths and lags are those that it does not refuse."""
    found = candidate(planted(tmp_path, {"return Mine(spec)": STRICT}))
    assert (found.width, found.layers, found.length, found.reach) == (24, 2, 6, 4)


def test_sizes_that_no_rule_tells_are_tried(tmp_path):
    """A model that raises below width 64 and at other than three layers is looked at there."""
    picky = "assert spec.layers == 3 and spec.width % 64 == 0\n    return Mine(spec)"
    found = candidate(planted(tmp_path, {"return Mine(spec)": picky}))
    assert (found.width, found.layers, found.depths) == (64, 3, (3,))


def test_sizes_that_are_asked_for_are_kept():
    """Given width and layers are used, and refused where the model refuses them."""
    found = candidate(parse("rnn"), width=5, layers=3)
    assert (found.width, found.layers, found.depths) == (5, 3, (3, 1, 4))
    with pytest.raises(
        InvalidInput, match=r"^width 6 does not fit heads=2 with positions=rope; choose a multiple of 4$"
    ):
        candidate(parse("transformer"), width=6)


@pytest.mark.parametrize(
    ("text", "error"), [("ltsm", UnknownName), ("rnn@gian=2", UnknownName), ("nowhere.py:build", UsageError)]
)
def test_what_is_no_model_is_refused_as_everywhere(text, error):
    """A misspelt model or option, or a missing file, is no finding but an error."""
    with pytest.raises(error):
        check(parse(text))


def test_a_check_draws_alike_and_leaves_the_global_generator_alone(tmp_path):
    """Dropout is no fault: its draws are the same at every call, and two checks give the same findings."""
    torch = pytest.importorskip("torch")
    dropping = planted(tmp_path, {HEAD: "logits = self.head(nn.functional.dropout(hidden, 0.1, self.training))"})
    before = torch.random.get_rng_state()
    first = check(dropping)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first == check(dropping)
    assert {entry.outcome for entry in first} == {"passed", "not applicable"}
