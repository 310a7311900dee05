"""Canaries: what is the same must not be judged different, and models broken on purpose must be caught."""

import math

import pytest

from seqbench import plan, store
from seqbench.judge.report.verdicts import judge_folder, judge_study
from seqbench.judge.rules import Verdict
from seqbench.measure import conduct
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.preregistration import Arm, Atom, Claim, installed
from seqbench.suite import Exclusion, Group, Suite

pytestmark = pytest.mark.slow

LSTM = "lstm@forget_bias=1"
TWIN = "lstm@forget_bias=1,implementation=fused"
"""The same model by another name: `fused` is what an LSTM does anyway."""
NO_MEMORY = "no_memory.py:build"
LEAKING = "leaking.py:build"

SOURCES = {
    "no_memory.py": """
from seqbench.measure.models.rnn import Options, build as build_rnn

def build(spec):
    model = build_rnn(spec)
    for name, weights in model.named_parameters():
        if "weight_hh" in name:  # what carries the hidden state from one step to the next
            weights.data.zero_()
            weights.requires_grad_(False)
    return model
""",
    "leaking.py": """
import torch
from torch import nn

class Leaks(nn.Module):
    def __init__(self, spec):
        super().__init__()
        D = spec.width
        self.table = nn.Embedding(spec.vocab, D)
        self.query, self.key, self.value = (nn.Linear(D, D, bias=False) for _ in range(3))
        self.distance = nn.Parameter(torch.zeros(256))  # a bias for every distance
        self.head = nn.Linear(2 * D, spec.outputs)

    def forward(self, tokens, state=None):
        T = tokens.shape[1]
        x = self.table(tokens)  # (B, T, D)
        back = torch.arange(T)[:, None] - torch.arange(T)  # (T, T)
        scores = self.query(x) @ self.key(x).transpose(1, 2) / x.shape[2] ** 0.5 + self.distance[back]
        hidden = torch.ones(T, T, dtype=torch.bool).triu(2)  # the bug: 2 in place of 1, so the next token is seen
        mixed = scores.masked_fill(hidden, -torch.inf).softmax(2) @ self.value(x)
        return self.head(torch.cat((x, mixed), dim=2)), state

build = Leaks
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the broken models in it, from which studies are run: they name own files by relative paths."""
    where = tmp_path_factory.mktemp("canaries")
    for name, source in SOURCES.items():
        (where / name).write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        yield where


def study_of(groups, *, claims, exclude=()):
    """Return a development study that is judged by these claims and no others."""
    suite = Suite(title="Canaries", groups=groups, exclude=exclude)
    study = plan.study("canaries", suite, development=True, known_models=MODELS, known_probes=PROBES)
    return study.model_copy(
        update={
            "suite": suite.model_copy(update={"claims": tuple(claims)}),
            "preregistration": study.preregistration.model_copy(update={"claims": claims}),
        }
    )


def judged(study, where):
    """Run every cell of a study for real and return its verdicts by claim."""
    conduct.conduct(study, where, settings=conduct.Settings(executor="serial"))
    assert store.validate(where) == ()
    return {verdict.claim: verdict for verdict in judge_folder(where)}


def records(where):
    return [record for _, record in store.contents(where).records]


def of(model):
    return Arm(task="recall_loguniform", model=model)


SAME = {"unit": "normalised recall", "measurement": "recall_auc", "arms": {"subject": of(LSTM), "reference": of(TWIN)}}
NULL = Claim(
    title="Null",
    sentence="An LSTM recalls more than the same LSTM with other seeds.",
    rule="difference",
    atoms={
        # without any margin: whatever is called a difference here is none
        "difference": Atom(estimand="recall, minus that of other seeds", test="two_sample", support=0.0, **SAME),
        "equivalence": Atom(estimand="the same", test="tost_difference", equivalence=0.3, **SAME),
        "memory": Atom(
            estimand="recall, minus that of a network without recurrence",
            test="two_sample",
            support=0.15,
            **(SAME | {"arms": {"subject": of(LSTM), "reference": of(NO_MEMORY)}}),
        ),
    },
)
TRAINED = {"steps": 80, "batch": 32, "learning_rate": 1e-2, "warmup_steps": 10, "evaluate_every": 80}


@pytest.fixture(scope="module")
def recall(folder):
    """Trained recall cells: an LSTM with ten seeds, five of them under its other name, and an RNN without memory."""
    group = Group(
        name="recall",
        task="recall_loguniform",
        models=(LSTM, TWIN, NO_MEMORY),
        lengths=(20,),
        width=16,
        seeds=10,
        training=TRAINED,
    )
    first, others = range(100, 105), range(105, 110)
    exclude = [Exclusion(model=TWIN, seed=seed) for seed in first]
    exclude += [Exclusion(model=model, seed=seed) for model in (LSTM, NO_MEMORY) for seed in others]
    where = folder / "recall"
    study = study_of((group,), claims={"null": NULL}, exclude=tuple(exclude))
    return judged(study, where)["null"], records(where)


def atom_of(verdict, name):
    return next(atom for atom in verdict.atoms if atom.name == name)


def test_the_same_model_with_other_seeds_is_not_judged_different(recall):
    """Five seeds against five others of one LSTM: neither better nor worse, even with no margin at all."""
    verdict, _ = recall
    atom = atom_of(verdict, "difference")
    assert atom.n == 5
    assert set(atom.arm("subject").values).isdisjoint(atom.arm("reference").values)  # these are other seeds
    assert (atom.verdict, verdict.verdict) == (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    assert atom_of(verdict, "equivalence").verdict in (Verdict.SUPPORTED, Verdict.INCONCLUSIVE)


def test_the_same_cells_do_show_a_difference_that_is_there(recall):
    """The same LSTM against a network without recurrence, by the same test on as many seeds: supported."""
    verdict, _ = recall
    assert atom_of(verdict, "memory").verdict is Verdict.SUPPORTED


def test_a_network_without_recurrence_recalls_nothing(recall):
    """Its trained cells are at chance, 1/8, within 4 standard errors, and at 0 in every lag bucket; LSTMs are not."""
    _, found = recall
    broken = [record for record in found if record.cell.model == NO_MEMORY]
    assert [record.status for record in broken] == ["unsolved"] * 5
    for record in broken:
        assert abs(record.measured("accuracy").value - 1 / 8) <= 4 * math.sqrt(7 / 64 / 4096)
        assert all(abs(value) < 0.1 for value in record.measured("recall_by_lag").series.values)
        assert record.measured("loss").value > math.log(8) - 0.01
    whole = [record.measured("recall_auc").value for record in found if record.cell.model == LSTM]
    assert min(whole) > 0.2


@pytest.fixture(scope="module")
def chronicle(folder):
    """A study of a vanilla network and a leaking attention model on Chronicle, run for real."""
    group = Group(
        name="chronicle",
        task="chronicle",
        params={"preset": "XS"},
        models=("rnn", LEAKING),
        lengths=(32,),
        width=64,
        seeds=2,
        training={"steps": 150, "batch": 32, "learning_rate": 2e-2, "warmup_steps": 10},
    )
    study = study_of((group,), claims=installed().only(("C8",)).claims)
    conduct.conduct(study, folder / "chronicle", settings=conduct.Settings(executor="serial"))
    return study, store.contents(folder / "chronicle")


def qualifications(chronicle, **models):
    """Return C8's qualifications where these arms, by `atom/arm`, stand for other models than is pre-registered."""
    study, contents = chronicle
    claim = study.preregistration.claims["C8"]
    atoms = {
        name: atom.model_copy(
            update={
                "arms": {
                    key: arm.model_copy(update={"model": models.get(key, arm.model)}) for key, arm in atom.arms.items()
                }
            }
        )
        for name, atom in claim.atoms.items()
    }
    rules = study.preregistration.model_copy(update={"claims": {"C8": claim.model_copy(update={"atoms": atoms})}})
    verdicts = judge_study(study.model_copy(update={"preregistration": rules}), contents)
    return next(verdict.qualifications for verdict in verdicts if verdict.claim == "C8")


def leaks(sentences):
    """Return which sentences say to look for a leak, each up to the number that it gives."""
    return [
        text.partition(" lies ")[0]
        for text in sentences
        if text.endswith("below the exact entropy: look for a leak first")
    ]


def test_attention_that_sees_the_next_character_falls_below_the_floor(chronicle):
    """No model can cost less than the exact entropy: one that does within 150 steps has looked ahead."""
    _, contents = chronicle
    excess = {record.cell.address: record.measured("excess_bits_per_character").value for _, record in contents.records}
    assert all((value < -0.05) == (LEAKING in address) for address, value in excess.items())
    assert len(excess) == 4


def test_a_leak_is_flagged_wherever_it_stands(chronicle):
    """The verdict says to look for a leak first: in the model that decides it, and in one beside it; else nowhere."""
    assert leaks(qualifications(chronicle)) == []
    assert leaks(qualifications(chronicle, transformer=LEAKING)) == ["the loss of transformer"]
    assert leaks(qualifications(chronicle, subject=LEAKING)) == ["the loss"]
