"""Texts that models write: how they are drawn, and planted texts whose measures are known."""

import math
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn

from seqbench import plan
from seqbench.cell import SampleConfig
from seqbench.errors import InvalidInput
from seqbench.measure import models, prepare, runner
from seqbench.measure.corpora import chronicle
from seqbench.measure.corpora.text import REPLACEMENT, Story, split
from seqbench.measure.environment import describe
from seqbench.measure.generators import chronicle as chronicles
from seqbench.measure.generators import text as texts
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES, samples
from seqbench.measure.probes.base import Subject
from seqbench.measure.probes.samples import Drawing, characters, draw
from seqbench.measure.seeds import stream
from seqbench.record import Sample
from seqbench.suite import Group, Suite
from seqbench.variant import parse

PROMPT = [1, 4, 2, 0, 3]


def model_of(name, *, width=16, layers=2, seed=1, scale=3.0):
    variant = parse(name)
    model = models.create(variant, models.spec_for(variant, vocab=7, outputs=7, width=width, layers=layers), seed=seed)
    with torch.no_grad():  # livelier than a model is at first: its most likely characters are then not always the same
        for weight in model.parameters():
            weight.mul_(scale)
    return model.eval()


def slowly(model, prompt, count):
    """Return the most likely characters, the whole text read anew for each: the definition of what is written."""
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids]))[0][0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize(
    "name",
    [
        "rnn",
        "rnn@activation=relu",
        "rnn@activation=sigmoid",
        "rnn@implementation=eager",
        "lstm@forget_bias=1",
        "lstm@implementation=eager",
        "gru",
        "gru@update_bias=2",
        "mingru",
        "minlstm",
        "lru",
        "linear_attention",
        "transformer",
        "transformer@room=8",
        "tcn",
        "block:lstm",
        "hf:llama",
    ],
)
def test_what_is_written_is_what_reading_everything_anew_gives(name):
    """Cells step by step, streamed states and caches write the very text that the whole forward pass would."""
    model = model_of(name)
    written = characters(model, PROMPT, count=25, how=Drawing(temperature=0), rng=stream("x"))
    assert list(written) == slowly(model, PROMPT, 25)


@pytest.mark.parametrize("name", ["rnn@activation=sigmoid", "lstm", "gru"])
def test_the_step_of_a_cell_equals_the_model(name):
    """Logits step by step are those of the whole sequence, to rounding."""
    model = model_of(name, scale=1.0)
    read, step = samples.reader(model), samples.stepper(model)
    logits, state = read(PROMPT[:1])
    stepped = [logits]
    for token in PROMPT[1:]:
        logits, state = step(token, state)
        stepped.append(logits)
    with torch.no_grad():
        whole = model(torch.tensor([PROMPT]))[0][0]
    assert torch.allclose(torch.stack(stepped), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "grows"), [("lstm", False), ("tcn", False), ("transformer", True), ("hf:llama", True)]
)
def test_a_growing_state_is_told_by_looking(name, grows):
    """Keys and values grow with every token, states of cells and of convolutions do not."""
    assert samples.grows(model_of(name)) is grows


class Sees(nn.Module):
    """Writes how many characters it sees, modulo 7; keeps all of them, as attention does."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, tokens, state=None):
        seen = tokens if state is None else torch.cat((state[0], tokens), dim=1)
        places = torch.arange(seen.shape[1] - tokens.shape[1], seen.shape[1]) + 1
        return nn.functional.one_hot(places % 7, 7).float().expand(len(tokens), -1, -1), (seen,)


def test_a_full_window_is_read_anew_from_its_last_half():
    """With a window of 8, what sees 5 characters at first sees up to 8, and then the last 4 again."""
    written = characters(Sees(), PROMPT, count=10, how=Drawing(temperature=0), rng=stream("x"), window=8)
    assert list(written) == [5, 6, 7 % 7, 8 % 7, 4, 5, 6, 7 % 7, 8 % 7, 4]


def test_a_prompt_longer_than_the_window_is_read_from_its_end():
    """Of 20 characters the last 8 are seen."""
    (first,) = characters(Sees(), PROMPT * 4, count=1, how=Drawing(temperature=0), rng=stream("x"), window=8)
    assert first == 8 % 7


def test_a_window_does_not_touch_what_does_not_grow():
    """A recurrent model reads on: the window is none of its business."""
    how = Drawing(temperature=0)
    long, short = (
        list(characters(model_of("gru"), PROMPT, count=20, how=how, rng=stream("x"), window=window))
        for window in (None, 4)
    )
    assert long == short


def test_the_seed_decides_the_text_and_the_temperature_how_daring_it_is():
    """The same stream gives the same text, another one another; a low temperature approaches the most likely."""
    model = model_of("gru")

    def written(seed, temperature):
        return list(characters(model, PROMPT, count=40, how=Drawing(temperature=temperature), rng=stream(seed)))

    assert written("a", 1.0) == written("a", 1.0) != written("b", 1.0)
    assert written("a", 1e-6) == slowly(model, PROMPT, 40)


def test_exactly_as_many_characters_are_written_and_they_come_one_by_one():
    """Nothing is drawn ahead: a reader who stops after three has cost three."""
    model = model_of("lstm")
    calls = []
    step = model.mixer.step
    model.mixer.step = lambda *given: calls.append(1) or step(*given)
    written = characters(model, PROMPT, count=10, how=Drawing(), rng=stream("x"))
    assert len(list(islice(written, 3))) == 3
    assert len(calls) == 2 * 2  # two layers, and the third character needed no third step
    assert len(list(characters(model, PROMPT, count=10, how=Drawing(), rng=stream("x")))) == 10


def test_writing_leaves_gradients_of_others_alone():
    """Between two characters whoever reads them may compute gradients."""
    written = characters(model_of("lstm"), PROMPT, count=3, how=Drawing(), rng=stream("x"))
    next(written)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_an_empty_prompt_is_refused():
    """A model goes on from something."""
    with pytest.raises(InvalidInput, match="at least one character"):
        characters(model_of("rnn"), [], count=1, how=Drawing(), rng=stream("x"))


LOGITS = np.log(np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32))


def shares(how, count=4000):
    drawn = [draw(LOGITS, (place + 0.5) / count, how) for place in range(count)]
    return np.bincount(drawn, minlength=4) / count


def test_characters_are_drawn_by_their_probabilities():
    """At temperature 1 the shares are those of the softmax, at 1/2 their squares, made to add up."""
    assert shares(Drawing(temperature=1)) == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-3)
    squares = np.array([0.01, 0.04, 0.09, 0.16])
    assert shares(Drawing(temperature=0.5)) == pytest.approx(squares / squares.sum(), abs=1e-3)


def test_top_k_leaves_the_others_out():
    """From the two most likely, by their own odds; more than there are is all."""
    assert shares(Drawing(top_k=2)) == pytest.approx([0, 0, 3 / 7, 4 / 7], abs=1e-3)
    assert shares(Drawing(top_k=9)) == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-3)


def test_what_is_excluded_is_never_drawn():
    """Not by chance, not as the most likely, and not in the place of one of the k."""
    assert shares(Drawing(excluded=(3,))) == pytest.approx([1 / 6, 2 / 6, 3 / 6, 0], abs=1e-3)
    assert draw(LOGITS, 0.5, Drawing(temperature=0, excluded=(3,))) == 2
    assert shares(Drawing(top_k=1, excluded=(3,))) == pytest.approx([0, 0, 1, 0])


@pytest.mark.parametrize(("wrong", "message"), [({"temperature": -1.0}, "temperature -1"), ({"top_k": 0}, "top_k 0")])
def test_impossible_drawings_are_refused(wrong, message):
    """A negative temperature and no character to draw from mean nothing."""
    with pytest.raises(InvalidInput, match=message):
        Drawing(**wrong)


KNOWN = "the cat sat on the mat. the dog ran."


def test_copied_spans_are_the_longest_that_stand_in_the_known_text():
    """From every place on, by brute force; a text that stops in the middle of a match included."""
    text = "the catalogue ran on the mat"
    brute = [max(n for n in range(len(text) - at + 1) if text[at : at + n] in KNOWN) for at in range(len(text))]
    assert samples.copied(text, KNOWN) == brute
    assert max(brute) == len(" on the mat")


def test_copied_spans_of_random_texts_equal_brute_force():
    """Small alphabets make matches of every kind."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        known, text = ("".join(rng.choice(list("ab"), size)) for size in (60, 25))
        brute = [max(n for n in range(len(text) - at + 1) if text[at : at + n] in known) for at in range(len(text))]
        assert samples.copied(text, known) == brute


def test_the_share_of_grams_counts_those_that_the_known_text_holds():
    """Of "abcx" in "abcd": two of three 2-grams, one of two 3-grams, none of 4, and there is no 5-gram."""
    spans = samples.copied("abcx", "abcd")
    assert [samples.share_of_grams(spans, n) for n in (2, 3, 4)] == [2 / 3, 1 / 2, 0]
    assert math.isnan(samples.share_of_grams(spans, 5))


@pytest.mark.parametrize(("text", "longest"), [("abcabcx", 3), ("aaaaa", 4), ("abc", 0), ("", 0), ("xabyabz", 2)])
def test_the_longest_repeated_span_may_overlap_itself(text, longest):
    """It stands at two places."""
    assert samples.longest_repeated(text) == longest


def test_repeated_grams_are_those_that_were_there_before():
    """Of the five 2-grams of "ababab" two are different."""
    assert samples.repeated_share("ababab", 2) == 1 - 2 / 5
    assert math.isnan(samples.repeated_share("a", 2))


@pytest.mark.parametrize(
    ("prompt", "text", "share"),
    [
        ("", "the cat bit the ", 3 / 4),  # bit is unknown
        ("", "the cat bi", 1.0),  # the end may cut a word off
        ("the c", "at sat ", 1.0),  # the prompt's word is ended by the text
        ("bogus ", "cat ", 1.0),  # the prompt's own words do not count
        ("", "The CAT, ", 1.0),  # capitals aside
        ("", "don't ", 0.0),
    ],
)
def test_words_are_looked_up_in_the_training_text(prompt, text, share):
    """Whole words of the text alone."""
    words = samples.Known.of(KNOWN).words
    assert samples.lexicon_share(prompt, text, words) == share


def test_a_text_without_words_has_no_share_of_them():
    """Nothing of nothing is no number."""
    assert math.isnan(samples.lexicon_share("", "... 12 ", frozenset({"a"})))


def test_documents_end_with_a_line_and_the_one_begun_by_the_prompt_belongs_to_them():
    """What is unfinished at the end does not count."""
    assert samples.documents("x\n#A", "b\n#C\n#D") == ["#Ab\n", "#C\n"]


def subject_of(text=None, *, seen=None, preset="XS", model=None):
    generator, params = (chronicles, {"preset": preset}) if text is None else (texts, {"text": text})
    return Subject(
        model=model or nn.Linear(1, 1),
        task="x",
        length=32,
        seed=3,
        sample=lambda *_given: None,
        generator=generator,
        params=params,
        device=torch.device("cpu"),
        seen=seen,
    )


def named(found):
    return {entry.name: entry for entry in found}


def sample_of(text, *, prompt="\n", seed=0):
    return Sample(prompt=prompt, text=text, temperature=1.0, seed=seed)


def seen_of(text):
    return torch.tensor([chronicle.ALPHABET.index(character) for character in text])


def test_a_copied_chronicle_is_grammatical_and_not_new():
    """A planted copy of the training text: copied from end to end, every gram known, every document lawful."""
    known = chronicle.write(stream("k"), characters=600, preset="XS")
    found = named(samples.measure(subject_of(seen=seen_of(known)), [sample_of(known)]))
    assert found["longest_copied_span"].value == len(known)
    assert found["longest_copied_span"].unit == "character"
    assert {found[f"copied_{n}gram_share"].value for n in (4, 8, 16)} == {1.0}
    assert found["lexicon_share"].value == 1.0
    assert found["grammatical_share"].value == 1.0
    assert found["documents_written"].value == known.count("\n")


def test_the_share_of_grammatical_documents_is_exact():
    """Two texts with three documents, one of them broken by a parity that is wrong: two thirds, by text 1/2 and 1."""
    lines = [document for document, _ in islice(chronicle.documents(stream("d"), preset="XS"), 3)]
    wrong = lines[0][:-2] + {"e": "o", "o": "e"}[lines[0][-2]] + "\n"
    both = [sample_of(wrong + lines[1] + "#Al"), sample_of(lines[2], seed=1)]
    found = named(samples.measure(subject_of(seen=seen_of("".join(lines))), both))
    assert found["grammatical_share"].value == pytest.approx(2 / 3)
    assert found["grammatical_share"].series.values == (0.5, 1.0)
    assert found["documents_written"].value == 3


def test_a_text_without_a_finished_document_has_no_grammatical_one():
    """A model that never ends a document wrote none."""
    found = named(samples.measure(subject_of(seen=seen_of("#A")), [sample_of("#Al")]))
    assert (found["grammatical_share"].value, found["documents_written"].value) == (0.0, 0.0)


def test_spans_are_the_longest_of_any_text_and_shares_the_mean():
    """Two texts over a real one, of which one is copied and one is not; no grammar is asked of it."""
    text = split([Story("one", KNOWN * 30)], by="character")
    found = named(samples.measure(subject_of(text), [sample_of(KNOWN), sample_of("zzzz zzzzzz zzzzz ", seed=1)]))
    assert found["longest_copied_span"].series.values == (float(len(KNOWN)), 1.0)
    assert found["longest_copied_span"].value == len(KNOWN)
    assert found["copied_4gram_share"].value == pytest.approx(0.5)
    assert found["lexicon_share"].value == pytest.approx(0.5)
    assert found["longest_repeated_span"].series.values[1] == len("zzzz zzzzz")
    assert "grammatical_share" not in found


def test_texts_of_a_real_text_never_hold_the_replacement_character():
    """It stands for what the training text lacks, and is excluded even where it is the most likely."""
    text = split([Story("one", "ab\n" * 40)], by="character")

    class Strange(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, tokens, state=None):
            logits = torch.zeros(*tokens.shape, len(text.alphabet))
            logits[..., text.alphabet.index(REPLACEMENT)] = 50.0
            return logits, ()

    (written,) = samples.write(subject_of(text, model=Strange()), SampleConfig(characters=50, texts=1, temperature=1.0))
    assert len(written.text) == 50
    assert set(written.text) <= {"a", "b", "\n"}


def test_a_prompt_that_a_chronicle_cannot_read_is_refused():
    """There is no character that could stand for it."""
    with pytest.raises(InvalidInput, match="the prompt has 'é'"):
        samples.write(subject_of(seen=seen_of("#A")), SampleConfig(prompt="#é"))


def record_of(**changes):
    fields = {"task": "chronicle", "models": ("rnn",), "lengths": (32,), "width": 8, "seeds": 1}
    fields |= {"params": {"preset": "XS"}, "training": {"steps": 3, "batch": 4, "learning_rate": 1e-2}}
    group = Group(name="g", **(fields | changes))
    known = {"known_models": MODELS, "known_probes": PROBES}
    study = plan.study("s", Suite(title="t", groups=(group,)), development=True, **known)
    (planned,) = plan.planned(study)
    cards = {"cards": study.cards, "preregistration": "", "environment": describe("cpu", threads=1)}
    return runner.run_cell(planned, context=prepare.Context(**cards))


def test_a_cell_that_is_asked_for_texts_stores_them_with_their_measures():
    """Bounded texts with prompt, seed, temperature and top-k; the further anchors come with them."""
    asked = {"characters": 60, "texts": 2, "temperature": 0.5, "top_k": 5, "prompt": "#Alva of "}
    record = record_of(samples=asked)
    assert record.status == "ok"
    assert [(text.prompt, text.seed, text.temperature, text.top_k) for text in record.texts] == [
        ("#Alva of ", 0, 0.5, 5),
        ("#Alva of ", 1, 0.5, 5),
    ]
    assert [len(text.text) for text in record.texts] == [60, 60]
    assert record.measured("lexicon_share").series.axis == "text"
    assert record.measured("order5_bits_per_character").value > 0
    assert record.measured("xz_bits_per_character").value > 0


def test_a_cell_without_them_is_as_it_was_but_for_the_uniform_anchor():
    """No text, no measure of one, and no anchor that would take longer."""
    record = record_of()
    names = {entry.name for entry in record.measurements}
    assert record.texts == ()
    assert not {"lexicon_share", "order5_bits_per_character", "xz_bits_per_character"} & names
    assert record.measured("uniform_bits_per_character").value == math.log2(len(chronicle.ALPHABET))


def test_texts_change_no_number_of_a_cell():
    """What is measured without them is measured alike with them."""
    plain = {entry.name: entry for entry in record_of().measurements}
    rich = {entry.name: entry for entry in record_of(samples={"characters": 20, "texts": 1}).measurements}
    assert {name: rich[name] for name in plain} == plain


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "recall", "params": {}}, "samples are written by models of a text, and task recall is none"),
        ({"training": None, "probe": "state_bytes"}, "texts are written by models that are trained and scored"),
        ({"probe": "effective_context"}, "texts are written by models that are trained and scored"),
    ],
)
def test_only_trained_models_of_a_text_are_asked_for_texts(changes, message):
    """Anything else is refused before it is planned."""
    with (
        pytest.raises(ValueError, match=message)
        if "training" in changes or "probe" in changes
        else pytest.raises(InvalidInput, match=message)
    ):
        record_of(samples={}, **changes)
