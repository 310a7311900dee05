"""What `hf:` models must do besides the contract of every model: chunks, caches, options and what the library hides."""

import logging
import socket
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seqbench.errors import InvalidInput, UnknownName
from seqbench.measure import models
from seqbench.measure.gradients import through_embedding
from seqbench.measure.models import MODELS, create, spec_for, width_step
from seqbench.measure.models.base import ModelSpec, tensors_of
from seqbench.measure.models.hf import Causal, implementation
from seqbench.measure.models.hf.cached import Cached, Read
from seqbench.measure.models.hf.zoo import KINDS
from seqbench.measure.seeds import stream
from seqbench.variant import parse

TYPES = tuple(name for name in MODELS.names() if name.startswith("hf:"))
REQUIRED = ("llama", "gpt2", "mamba", "mamba2", "xlstm", "recurrent_gemma", "qwen3_next")
VARIANTS = (
    *TYPES,
    "hf:llama@attn_implementation=eager",
    "hf:llama@num_attention_heads=4,num_key_value_heads=2",
    "hf:mistral@sliding_window=4",
    "hf:gemma2@sliding_window=4",
    "hf:modernbert-decoder@local_attention=4",
    "hf:recurrent_gemma@attention_window_size=4",
    "hf:mamba2@n_groups=8",
    "hf:mamba2@chunk_size=4",
)
WINDOWED = tuple(name for name in VARIANTS if "window" in name or "local" in name)
every_type = pytest.mark.parametrize("name", TYPES)
every_variant = pytest.mark.parametrize("name", VARIANTS)


def built(name, *, vocab=8, width=16, layers=2, seed=0, **more) -> tuple[Causal, ModelSpec]:
    """Return the model of a variant and its spec, in training mode, at a small size that the type can have."""
    variant = parse(name)
    width = max(width, 64) if "xlstm" in name else width
    spec = spec_for(variant, vocab=vocab, outputs=more.pop("outputs", vocab), width=width, layers=layers, **more)
    return create(variant, spec, seed=seed), spec


def tokens_of(*name, vocab=8, batch=3, length=9) -> Tensor:
    """Return random tokens: (batch, length)."""
    return torch.randint(vocab, (batch, length), generator=stream("test models", *name))


def gradient_to_inputs(model, tokens, place) -> Tensor:
    """Return the size of the gradient of the logits at one place to the embedding at every place: (T,)."""
    leaf, logits = through_embedding(model, tokens)
    cotangent = torch.randn(logits[:, place].shape, generator=stream("cotangent"), dtype=logits.dtype)
    (gradient,) = torch.autograd.grad((logits[:, place] * cotangent).sum(), leaf)
    return gradient.norm(dim=-1).sum(0)


def scaled(name, **more) -> Causal:
    """Return a model whose weights are 2.5 times those of the initialisation, so that its state matters."""
    model, _ = built(name, **more)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2.5)
    return model


def in_pieces(model, inputs, sizes):
    """Return the logits of pieces of these sizes, side by side, and the state after them."""
    state, logits = None, []
    for piece in inputs.split(sizes, dim=1):
        found, state = model(piece, state)
        logits.append(found)
    return torch.cat(logits, dim=1), state


def test_every_type_of_the_table_has_a_name():
    """The registry lists what the table can build, the types that others rely on among them."""
    assert {f"hf:{kind}" for kind in KINDS} == {*TYPES}
    assert {f"hf:{kind}" for kind in REQUIRED} <= {*TYPES}


@every_variant
def test_no_position_has_a_gradient_to_a_later_one(name):
    """The gradient of the logits at place 20 of 40, beyond a chunk of 32, is zero after place 20, exactly."""
    sizes = gradient_to_inputs(built(name)[0].double(), tokens_of(length=40), 20)
    assert (sizes[21:] == 0).all()
    assert (sizes[:21] > 0).all() or name in WINDOWED
    assert (sizes[18:21] > 0).all()


@every_variant
def test_later_tokens_do_not_change_earlier_logits(name):
    """Other tokens from place 20 of 40 on leave the logits before it as they were, bit for bit."""
    model, _ = built(name)
    tokens = tokens_of(length=40)
    others = torch.cat((tokens[:, :20], (tokens[:, 20:] + 1) % 8), dim=1)
    before, after = model(tokens)[0], model(others)[0]
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.equal(before[:, 20:], after[:, 20:])


@every_variant
def test_sequences_of_a_batch_do_not_meet(name):
    """Another sequence in row 1 leaves the logits of rows 0 and 2 as they were, bit for bit, read whole or by steps."""
    model, _ = built(name)
    tokens = tokens_of()
    others = tokens.clone()
    others[1] = (others[1] + 1) % 8
    with torch.no_grad():
        before, after = (in_pieces(model, these, [5, 1, 1, 2])[0] for these in (tokens, others))
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


@every_variant
@pytest.mark.parametrize("training", [True, False])
def test_cached_is_uncached(name, training):
    """Pieces of 1, 3, 5 and 31 tokens, from cache to cache, give the logits of the whole within 1e-4.

    In single precision, as the library runs. The whole is read under gradients, without a cache; weights are 2.5 times
    those of the initialisation.
    """
    model, tokens = scaled(name).train(training), tokens_of(length=40)
    whole, _ = model(tokens)
    with torch.no_grad():
        pieces, state = in_pieces(model, tokens, [1, 3, 5, 31])
    torch.testing.assert_close(pieces, whole.detach(), rtol=0, atol=1e-4)
    assert isinstance(state, Cached) or not KINDS[parse(name).name.removeprefix("hf:")].caches


@every_variant
def test_reading_in_pieces_under_gradients_is_reading_whole(name):
    """With gradients the state is what was read: logits and gradients of pieces are those of the whole.

    To 1e-6 in double precision: RecurrentGemma's recurrence is single precision in any case.
    """
    model, tokens = built(name)[0].double(), tokens_of()
    pieces, state = in_pieces(model, tokens, [1, 3, 5])
    assert isinstance(state, Read)
    assert torch.equal(state.inputs, tokens)
    whole, _ = model(tokens)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-6)
    first, last = (
        torch.autograd.grad(x[:, -1].sum(), model.head.weight, retain_graph=True)[0] for x in (pieces, whole)
    )
    torch.testing.assert_close(first, last, rtol=0, atol=1e-6)


@every_variant
def test_what_was_read_under_gradients_may_be_continued_without(name):
    """A state made while training serves generation: it becomes a cache."""
    model, tokens = built(name)[0].double(), tokens_of()
    _, state = model(tokens[:, :4])
    with torch.no_grad():
        found, _ = model(tokens[:, 4:], state)
        whole, _ = model(tokens)
    torch.testing.assert_close(found, whole[:, 4:], rtol=0, atol=1e-6)


@every_variant
@torch.no_grad()
def test_a_given_state_is_never_changed(name):
    """Continuing a state twice gives the same logits twice, and leaves its tensors as they were."""
    model, tokens = scaled(name), tokens_of()
    _, state = model(tokens[:, :4])
    kept = [part.clone() for part in tensors_of(state)]
    first, after = model(tokens[:, 4:5], state)
    again, _ = model(tokens[:, 4:5], state)
    model(tokens[:, 5:6], after)
    assert torch.equal(first, again)
    assert len(kept) > 0
    assert all(torch.equal(was, now) for was, now in zip(kept, tensors_of(state), strict=True))


@every_type
@torch.no_grad()
def test_a_state_of_attention_grows_and_a_recurrent_one_does_not(name):
    """Twice the tokens take more floats exactly where there is attention; a type without a cache keeps its tokens."""
    model, spec = built(name)
    small, large = (sum(part.nbytes for part in tensors_of(model(tokens_of(length=n))[1])) for n in (40, 80))
    kind = KINDS[spec.member]
    assert (large > small) is bool(kind.attention)
    assert kind.caches or large == 3 * 80 * 8


@every_type
def test_every_token_can_be_learnt(name):
    """Every row of the table is drawn and has a gradient: none is held at zero for padding."""
    model, _ = built(name)
    tokens = torch.arange(8).expand(3, 8)
    model(tokens)[0].square().sum().backward()
    table = next(part for part in model.modules() if isinstance(part, nn.Embedding)).weight
    assert (table[:8] != 0).any(dim=1).all()
    assert (table.grad[:8] != 0).any(dim=1).all()


@every_type
def test_operations_are_counted_without_memory(name):
    """On `meta`, attention included, as many operations are counted as a real pass with eager attention makes."""
    with torch.device("meta"):
        imagined, spec = built(name)
        with FlopCounterMode(display=False) as counted:
            imagined(torch.zeros(2, 32, dtype=torch.int64))
    eager = f"{name}@attn_implementation=eager" if KINDS[spec.member].attention == "sdpa" else name
    with FlopCounterMode(display=False) as real, torch.no_grad():
        built(eager)[0](torch.zeros(2, 32, dtype=torch.int64))
    assert counted.get_total_flops() == real.get_total_flops() > 0


@every_type
def test_the_width_must_be_a_multiple(name):
    """A model of one step is built and runs; a width beside it is refused, with the step."""
    variant = parse(name)
    _, spec = built(name)
    step = width_step(variant, spec)
    width = 2 * max(step, 4)
    logits, _ = create(variant, spec_for(variant, vocab=8, outputs=8, width=width, layers=2), seed=0)(tokens_of())
    assert logits.isfinite().all()
    if step > 1:
        beside = spec_for(variant, vocab=8, outputs=8, width=width + 1, layers=2)
        with pytest.raises(InvalidInput) as caught:
            create(variant, beside, seed=0)
        assert f"width {width + 1} does not fit {name}; choose a multiple of {step}" == str(caught.value)


@pytest.mark.parametrize(("variant", "step"), [("hf:mamba2@num_heads=16", 8), ("hf:xlstm@qk_dim_factor=0.5", 128)])
def test_options_move_the_step(variant, step):
    """More heads, or narrower keys, ask for another width."""
    assert step == width_step(parse(variant), spec_for(parse(variant), vocab=8, outputs=8, width=64, layers=2))


@every_type
def test_a_hybrid_needs_both_kinds_of_layer(name):
    """One layer makes a model, or is refused by name where the type mixes two kinds."""
    _, spec = built(name)
    if KINDS[spec.member].layers == 1:
        assert built(name, layers=1)[0](tokens_of())[0].shape == (3, 9, 8)
    else:
        with pytest.raises(InvalidInput) as caught:
            built(name, layers=1)
        assert f"{name} mixes kinds of layers and needs 2 of them or more, not 1" == str(caught.value)


@pytest.mark.parametrize(
    "name", sorted({*TYPES} - {f"hf:{kind}" for kind in ("openai-gpt", "bloom", "mamba", "falcon_mamba", "mamba2")})
)
def test_the_second_knob_is_the_mlp(name):
    """`hidden` changes the number of parameters of a type that has an MLP: wider is more, 4·D is the default."""
    few, own, default = (
        sum(value.numel() for value in built(name, width=32, hidden=hidden)[0].parameters())
        for hidden in (32, 256 if "xlstm" in name else 128, None)
    )
    assert few < own == default


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hf:llama@hidden_size=8", "hf:llama does not take hidden_size: the cell's width decides it; leave it out"),
        ("hf:gpt2@n_layer=8", "hf:gpt2 does not take n_layer: the cell's number of layers decides it; leave it out"),
        (
            "hf:llama@tie_word_embeddings=true",
            "hf:llama does not take tie_word_embeddings: the head is the suite's own, the same for every model; "
            "leave it out",
        ),
        (
            "hf:gemma2@use_bidirectional_attention=true",
            "hf:gemma2 does not take use_bidirectional_attention: it reads left to right; leave it out",
        ),
        (
            "hf:llama@attn_implementation=flash",
            "hf:llama does not take attn_implementation='flash'; it must be one of sdpa, eager",
        ),
    ],
)
def test_what_the_suite_decides_is_refused_as_an_option(text, message):
    """Sizes, head and direction are not the type's to choose, and the reason is told."""
    with pytest.raises(InvalidInput) as caught:
        spec_for(parse(text), vocab=8, outputs=8, width=16, layers=2)
    assert message == str(caught.value)


def test_an_option_that_the_configuration_lacks_is_refused_with_the_nearest():
    """The library would take a misspelt option and ignore it."""
    with pytest.raises(UnknownName, match=r"no option of hf:llama named 'num_atention_heads'; did you mean num_atte"):
        spec_for(parse("hf:llama@num_atention_heads=4"), vocab=8, outputs=8, width=16, layers=2)


def test_options_that_do_not_go_together_are_refused_with_the_reason():
    """What the library finds wrong is told as wrong input."""
    with pytest.raises(InvalidInput) as caught:
        built("hf:llama@hidden_act=none")
    assert str(caught.value) == "hf:llama cannot be built with these sizes and options (KeyError: 'none')"


def test_options_reach_the_body():
    """Eight groups in Mamba-2 are eight groups, and dropout stays 0 unless it is asked for."""
    assert built("hf:mamba2@n_groups=8")[0].body.config.n_groups == 8
    assert built("hf:gpt2")[0].body.config.attn_pdrop == 0.0
    assert built("hf:gpt2@attn_pdrop=0.5")[0].body.config.attn_pdrop == 0.5


@pytest.mark.parametrize("name", ["hf:gpt2@n_positions=8", "hf:ctrl@n_positions=8", "hf:opt@max_position_embeddings=8"])
def test_a_table_of_positions_ends(name):
    """Longer sequences are refused beforehand and in the act, whole or by steps, with what to do."""
    model, spec = built(name)
    option = name.partition("@")[2].partition("=")[0]
    message = f"9 positions are more than the 8 of the table; use {option}=9 or more"
    assert message == models.refusal(parse(name), spec, length=9, lag=None)
    assert models.refusal(parse(name), spec, length=8, lag=None) == ""
    with pytest.raises(InvalidInput, match=message):
        model(tokens_of())
    with torch.no_grad():
        _, state = model(tokens_of(length=8))
        with pytest.raises(InvalidInput, match=message):
            model(tokens_of(length=1), state)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hf:llama", ["sdpa"]),
        ("hf:llama@attn_implementation=eager", ["eager"]),
        ("hf:mamba", ["torch in place of mamba_ssm and causal_conv1d"]),
        ("hf:jamba", ["sdpa", "torch in place of mamba_ssm and causal_conv1d"]),
    ],
)
def test_what_really_runs_is_told(name, parts):
    """The library's version, its attention, and the kernels that are missing here."""
    transformers = pytest.importorskip("transformers")
    model, spec = built(name)
    found = models.implementation(parse(name), spec, model)
    if "mamba_ssm" not in sys.modules:
        assert ", ".join([f"transformers {transformers.__version__}", *parts]) == found


def test_kernels_that_are_installed_are_told(monkeypatch):
    """A package that the library has imported is named as what runs."""
    model, spec = built("hf:mamba")
    monkeypatch.setitem(sys.modules, "mamba_ssm", object())
    assert implementation(spec, model).endswith("kernels of mamba_ssm, torch in place of causal_conv1d")


def test_missing_kernels_are_not_complained_about():
    """Nothing is written when a type runs without its fast kernels, which the record says; other warnings are."""
    code = (
        "import torch; from seqbench.measure.models import create, spec_for; from seqbench.variant import parse\n"
        "for name in ('hf:mamba', 'hf:qwen3_next'):\n"
        "    spec = spec_for(parse(name), vocab=8, outputs=8, width=16, layers=2)\n"
        "    create(parse(name), spec, seed=0)(torch.zeros(1, 4, dtype=torch.int64))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout + run.stderr == ""
    built("hf:mamba")
    told = []
    logger = logging.getLogger("transformers.integrations.hub_kernels")
    monitor = logging.Handler()
    monitor.emit = lambda record: told.append(record.getMessage())
    logger.addHandler(monitor)
    logger.warning("something else")
    logger.removeHandler(monitor)
    assert told == ["something else"]


@pytest.mark.parametrize("gradients", [True, False])
def test_no_module_keeps_what_it_read(gradients):
    """RecurrentGemma keeps its state on its modules: it is taken from them, and a training step's graph with it."""
    model, _ = built("hf:recurrent_gemma")
    with torch.set_grad_enabled(gradients):
        model(tokens_of())
    kept = [vars(part).get(name) for part in model.modules() for name in ("conv1d_state", "recurrent_states")]
    assert len(model.holders) == 2
    assert [part for part in kept if part is not None] == []


def test_nothing_is_fetched(monkeypatch):
    """A model is built with every connection forbidden."""

    def forbidden(*_args, **_keywords):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    for name in ("hf:llama", "hf:mamba2", "hf:xlstm"):
        built(name, seed=11)[0](tokens_of())


def test_listing_and_showing_import_neither_torch_nor_the_library():
    """Names, summaries and `show` read the source; the second of import is paid where a model is built."""
    code = (
        "import sys; from seqbench import catalogue; catalogue.rows('models'); catalogue.describe('hf:llama');"
        "print({'torch', 'transformers'} & set(sys.modules) or 'none')"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "none"
