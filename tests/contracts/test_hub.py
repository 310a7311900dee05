"""What every model must do behind the interface of the transformers library, whatever it is called."""

import math
import socket
from functools import cache

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, TextStreamer, pipeline

from seqbench import hub
from seqbench.hub.modeling import CACHE_NAME
from seqbench.measure import models
from seqbench.measure.check import FROM_UNIFORM, WIDE, candidate
from seqbench.measure.models import MODELS
from seqbench.measure.seeds import stream
from seqbench.variant import parse

VOCABULARY = "abcdefghijk\N{REPLACEMENT CHARACTER}"
V = len(VOCABULARY)
NAMES = (
    *MODELS.names(),
    "rnn@activation=relu,init=identity",
    "lstm@implementation=eager",
    "gru@implementation=batched",
    "transformer@positions=learned,context=32",
    "transformer@positions=none",
    "transformer@room=4",
    "tcn@kernel=2",
    "lru@implementation=step",
    "hf:gemma2@sliding_window=4",
    "hf:mistral@sliding_window=4",
)
SOME = ("lstm", "transformer", "block:lru", "hf:llama", "hf:recurrent_gemma")
EVERY_NAME = pytest.mark.parametrize("name", NAMES)
SOME_NAMES = pytest.mark.parametrize("name", SOME)
NEAR = 1e-4


@pytest.fixture(autouse=True)
def _without_network(monkeypatch):
    """Every connection is forbidden."""

    def forbidden(*_args, **_keywords):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)


def fresh(name, *, width=None, seed=3):
    """Return a wrapped model as it is built, at the least sizes that it can have, and its tokenizer."""
    asked = candidate(parse(name), width=width)
    spec = asked.spec(vocab=V, outputs=V)
    return hub.wrap(
        models.create(parse(name), spec, seed=seed), spec, model_name=name, vocabulary=VOCABULARY, seed=seed
    )


@cache
def wrapped(name):
    """Return a model whose weights are 2.5 times as large, so that its answers depend on what it read."""
    model, tokenizer = fresh(name)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2.5)
    return model, tokenizer


def tokens_of(rows=3, length=9, seed=0):
    return torch.randint(V, (rows, length), generator=stream("hub", seed))


def padded(lengths=(9, 4, 7), *, side="left"):
    """Return tokens and a mask whose rows have these many tokens, 0 where padding stands, and the rows alone."""
    tokens, mask = tokens_of(len(lengths), max(lengths)), torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        mask[row, slice(-length, None) if side == "left" else slice(length)] = 1
    return tokens, mask, [tokens[row, mask[row].bool()][None] for row in range(len(lengths))]


def far(left, right):
    """Return how far logits lie apart, which must all be numbers."""
    assert left.shape == right.shape
    assert torch.isfinite(left).all()
    return float((left - right).abs().max())


@EVERY_NAME
@torch.no_grad()
def test_no_later_token_is_seen(name):
    """Logits of the first five positions are the same whatever follows, and those of the sixth are not."""
    model, _ = wrapped(name)
    tokens = tokens_of()
    other = tokens.clone()
    other[:, 5:] = (other[:, 5:] + 1) % V
    left, right = model(tokens).logits, model(other).logits
    assert far(left[:, :5], right[:, :5]) < 1e-5
    assert far(left[:, 5:], right[:, 5:]) > 1e-3


@EVERY_NAME
@torch.no_grad()
def test_generating_with_the_cache_gives_the_logits_of_reading_whole(name):
    """Greedy text of twelve tokens: each step's logits, from one token and the state, are those without a cache."""
    model, _ = wrapped(name)
    read = []
    hook = model.network.register_forward_pre_hook(lambda _, given: read.append(tuple(given[0].shape)))
    answer = model.generate(
        tokens_of(length=5), max_new_tokens=12, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    hook.remove()
    whole = model(answer.sequences, use_cache=False).logits
    assert read == [(3, 5)] + [(3, 1)] * 11
    assert far(torch.stack(answer.logits, dim=1), whole[:, 4:-1]) < NEAR
    assert float(whole[:, 4:-1].std(dim=1).max()) > 1e-2


@EVERY_NAME
@torch.no_grad()
def test_beams_with_the_cache_are_beams_without(name):
    """Beam search, which exchanges rows, finds the same texts at the same scores."""
    model, _ = wrapped(name)
    with_cache, without = (
        model.generate(
            tokens_of(length=5),
            max_new_tokens=8,
            num_beams=4,
            num_return_sequences=2,
            do_sample=False,
            use_cache=use_cache,
            output_scores=True,
            return_dict_in_generate=True,
        )
        for use_cache in (True, False)
    )
    assert torch.equal(with_cache.sequences, without.sequences)
    assert far(with_cache.sequences_scores, without.sequences_scores) < NEAR
    exchanged = with_cache.beam_indices[:, :8] % 4
    assert len(set(map(tuple, exchanged.T.tolist()))) > 1  # the beams did change places


@EVERY_NAME
@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_padding_changes_nothing(name, side):
    """In a padded batch every token has the logits that it has alone, with and without a cache, and so have the next.

    The logits at padding behind a text are those of its last token, so that generation goes on from them.
    """
    model, _ = wrapped(name)
    tokens, mask, alone = padded(side=side)
    cached, whole = model(tokens, attention_mask=mask), model(tokens, attention_mask=mask, use_cache=False)
    more = tokens_of(length=2, seed=1)
    longer = torch.cat((mask, torch.ones_like(more)), dim=1)
    then = model(more, attention_mask=longer, **{CACHE_NAME: cached[CACHE_NAME]})
    for row, text in enumerate(alone):
        single = model(torch.cat((text, more[row][None]), dim=1), use_cache=False).logits[0]
        assert far(cached.logits[row, mask[row].bool()], single[:-2]) < NEAR
        assert far(whole.logits[row, mask[row].bool()], single[:-2]) < NEAR
        assert far(cached.logits[row, -1], single[-3]) < NEAR
        assert far(then.logits[row], single[-2:]) < NEAR


@EVERY_NAME
@pytest.mark.parametrize("beams", [1, 3])
@torch.no_grad()
def test_padded_prompts_are_continued_as_each_alone(name, beams):
    """A batch of prompts of different lengths is continued, greedily or by beams, as each prompt alone."""
    model, _ = wrapped(name)
    tokens, mask, alone = padded()
    asked = {"max_new_tokens": 6, "do_sample": False, "num_beams": beams}
    together = model.generate(tokens, attention_mask=mask, **asked)[:, -6:]
    singly = torch.cat([model.generate(text, **asked)[:, -6:] for text in alone])
    assert singly.tolist() == together.tolist()


@EVERY_NAME
@torch.no_grad()
def test_saved_and_loaded_by_the_auto_class_it_is_bit_equal(name, tmp_path):
    """Weights, buffers and logits come back to the bit from a folder that holds safetensors, and the tokenizer too."""
    model, tokenizer = wrapped(name)
    hub.save(tmp_path, model, tokenizer)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    before, after = (dict((*m.named_parameters(), *m.named_buffers())) for m in (model, loaded))
    assert before.keys() == after.keys()
    assert [key for key, value in before.items() if not torch.equal(value, after[key])] == []
    assert torch.equal(model(tokens_of()).logits, loaded(tokens_of()).logits)
    assert [file.suffix for file in tmp_path.iterdir() if file.suffix not in (".json", ".safetensors", ".md")] == []
    assert hub.vocabulary_of(AutoTokenizer.from_pretrained(tmp_path)) == VOCABULARY


@EVERY_NAME
def test_built_from_its_configuration_it_has_the_weights_that_the_suite_draws(name):
    """The library's own initialisation, which treats cells unequally, plays no part."""
    model, _ = fresh(name, seed=5)
    built = AutoModelForCausalLM.from_config(model.config)
    expected, found = model.state_dict(), built.state_dict()
    assert expected.keys() == found.keys()
    assert [key for key, value in expected.items() if not torch.equal(value, found[key])] == []


@EVERY_NAME
def test_every_weight_learns(name):
    """The loss of labels has a finite gradient to every parameter, and a step along it lowers the loss."""
    model, _ = fresh(name)
    model.train()
    tokens, mask, _ = padded(side="right")
    labels = tokens.masked_fill(mask == 0, -100)
    answer = model(tokens, attention_mask=mask, labels=labels)
    answer.loss.backward()
    without = [key for key, weight in model.named_parameters() if weight.grad is None]
    wrong = [key for key, weight in model.named_parameters() if not torch.isfinite(weight.grad).all()]
    assert (without, wrong, CACHE_NAME in answer) == ([], [], False)
    with torch.no_grad():
        for weight in model.parameters():
            weight.sub_(1e-3 * weight.grad)
        assert model(tokens, attention_mask=mask, labels=labels).loss < answer.loss


@EVERY_NAME
@torch.no_grad()
def test_the_first_loss_is_that_of_guessing(name):
    """An untrained model is within 0.2 nats of ln V."""
    least = candidate(parse(name)).width
    model, _ = fresh(name, width=least * math.ceil(WIDE / least))
    tokens = tokens_of(rows=32, length=16)
    assert abs(float(model(tokens, labels=tokens).loss) - math.log(V)) < FROM_UNIFORM


@SOME_NAMES
@torch.no_grad()
def test_the_loss_is_that_of_the_next_token(name):
    """Labels are shifted inside; -100 is not predicted; logits_to_keep changes what is returned, not the loss."""
    model, _ = wrapped(name)
    tokens = tokens_of()
    labels = tokens.clone()
    labels[0, 4:] = -100
    answer = model(tokens, labels=labels, logits_to_keep=2)
    whole = model(tokens).logits
    expected = torch.nn.functional.cross_entropy(
        whole[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
    )
    assert float(answer.loss) == pytest.approx(float(expected), rel=1e-6)
    assert torch.equal(answer.logits, whole[:, -2:])
    assert torch.equal(model(tokens, logits_to_keep=torch.tensor([1, 3])).logits, whole[:, [1, 3]])
    assert torch.equal(model(tokens, return_dict=False)[0], whole)


@SOME_NAMES
@torch.no_grad()
def test_a_conversation_goes_on_from_its_cache(name):
    """A cache that generation left behind is continued with the whole text so far, and gives what no cache gives."""
    model, _ = wrapped(name)
    kept = hub.RecurrentCache()
    first = model.generate(tokens_of(length=4), max_new_tokens=3, do_sample=False, **{CACHE_NAME: kept})
    prompt = torch.cat((first, tokens_of(length=3, seed=2)), dim=1)
    assert kept.get_seq_length() == 6
    on = model.generate(prompt, max_new_tokens=4, do_sample=False, **{CACHE_NAME: kept})
    assert torch.equal(on, model.generate(prompt, max_new_tokens=4, do_sample=False, use_cache=False))


@SOME_NAMES
def test_text_is_streamed_as_it_is_made(name, capsys):
    """A streamer of the library prints prompt and continuation, character by character of the vocabulary."""
    model, tokenizer = wrapped(name)
    given = tokenizer("abc", return_tensors="pt")
    made = model.generate(**given, max_new_tokens=9, do_sample=False, streamer=TextStreamer(tokenizer))
    assert tokenizer.decode(made[0]) == capsys.readouterr().out.removesuffix("\n")
    assert made.shape == (1, 12)


@SOME_NAMES
def test_the_library_writes_text_with_it(name, tmp_path):
    """A text-generation pipeline takes prompts of different lengths at once, and samples as often as asked."""
    model, tokenizer = wrapped(name)
    hub.save(tmp_path, model, tokenizer)
    write = pipeline("text-generation", model=str(tmp_path))
    one, other = write(["abcdef", "hi"], max_new_tokens=5, do_sample=False, batch_size=2)
    assert one[0]["generated_text"].startswith("abcdef")
    alone = model.generate(**tokenizer("hi", return_tensors="pt"), max_new_tokens=5, do_sample=False)[0]
    assert other[0]["generated_text"] == tokenizer.decode(alone, skip_special_tokens=True)
    torch.manual_seed(0)
    sampled = write("abc", max_new_tokens=20, do_sample=True, temperature=5.0, top_k=6, num_return_sequences=3)
    assert len({answer["generated_text"] for answer in sampled}) == 3


def test_importing_the_hub_registers_its_classes():
    """The library's Auto classes know the type."""
    assert AutoConfig.for_model("seqbench").__class__ is hub.SeqbenchConfig
    assert isinstance(AutoModelForCausalLM.from_config(hub.SeqbenchConfig()), hub.SeqbenchForCausalLM)
