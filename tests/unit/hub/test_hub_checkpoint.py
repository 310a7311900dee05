import hashlib
import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM

from seqbench import hub
from seqbench.errors import CheckpointError, InvalidInput, SeqbenchError, UnknownName, UsageError
from seqbench.hub import configuration
from seqbench.measure import models
from seqbench.measure.models.base import ModelSpec
from seqbench.variant import parse

VOCABULARY = "abc\N{REPLACEMENT CHARACTER}"
OWN = '''
import torch
from torch import nn


class Own(nn.Module):
    """Counts on what is no parameter: a plain tensor, and a buffer that no file holds."""

    def __init__(self, spec):
        super().__init__()
        self.table = nn.Embedding(spec.vocab, spec.outputs)
        self.plain = torch.arange(spec.outputs).float()
        self.register_buffer("volatile", torch.linspace(1, 2, spec.outputs), persistent=False)

    def forward(self, tokens, state=None):
        return self.table(tokens) * self.volatile + self.plain, ()


def build(spec):
    return Own(spec)
'''


def made(name="lstm", **changed):
    spec = models.spec_for(parse(name), **{"vocab": 4, "outputs": 4, "width": 8, "layers": 1, **changed})
    return models.create(parse(name), spec, seed=1), spec


def wrapped(name="lstm"):
    net, spec = made(name)
    return hub.wrap(net, spec, model_name=name, vocabulary=VOCABULARY)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder that holds an LSTM."""
    folder = tmp_path_factory.mktemp("saved") / "lstm"
    hub.save(folder, *wrapped(), facts=hub.Facts(corpus="short", corpus_sha256="ab" * 32, bits_per_character=1.98765))
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of it that may be damaged."""
    return shutil.copytree(saved, tmp_path / "model")


def forge(folder):
    """Write a manifest that vouches for the files as they are."""
    manifest = json.loads((folder / "seqbench.json").read_text())
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / "seqbench.json").write_text(json.dumps(manifest))


def change_json(path, **changed):
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def change_weights(folder, change):
    weights = dict(load_file(folder / "model.safetensors"))
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def refusal_of(folder, kind=CheckpointError):
    with pytest.raises(SeqbenchError) as caught:
        hub.load(folder)
    assert type(caught.value) is kind
    return str(caught.value)


@torch.no_grad()
def test_what_is_loaded_is_what_was_saved(saved):
    """Model in evaluation mode, tokenizer, name, options and defaults, and a manifest of all files."""
    model, tokenizer = hub.load(saved)
    before, _ = wrapped()
    tokens = torch.tensor([[0, 1, 2, 3]])
    assert torch.equal(before(tokens).logits, model(tokens).logits)
    assert (model.training, hub.vocabulary_of(tokenizer)) == (False, VOCABULARY)
    assert (model.config.model, model.config.hidden_size) == ("lstm", 8)
    assert model.config.options["implementation"]
    manifest = json.loads((saved / "seqbench.json").read_text())
    assert set(manifest["files"]) | {"README.md", "seqbench.json"} == {file.name for file in saved.iterdir()}


def test_the_weights_are_shared_with_the_model_that_was_wrapped():
    """Wrapping copies nothing."""
    net, spec = made()
    assert hub.wrap(net, spec, model_name="lstm", vocabulary=VOCABULARY)[0].network is net


def test_options_and_the_second_knob_come_back(tmp_path):
    """What was built with options and an MLP of its own is built so again."""
    net, spec = made("transformer@heads=4,positions=learned,context=16", hidden=12)
    hub.save(
        tmp_path,
        *hub.wrap(net, spec, model_name="transformer@heads=4,positions=learned,context=16", vocabulary=VOCABULARY),
    )
    model, _ = hub.load(tmp_path)
    assert model.config.options == {"positions": "learned", "heads": 4, "context": 16, "causal": True, "room": 0}
    assert model.network.blocks[0].mlp[0].out_features == 12


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_a_changed_file_is_named(copy, name):
    """One byte is enough."""
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(bytes(content))
    assert refusal_of(copy) == f"model is not what was saved: {name} changed since; save the model again"


def test_a_truncated_file_is_named(copy):
    """Half a file of weights."""
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert refusal_of(copy) == "model is not what was saved: model.safetensors changed since; save the model again"


@pytest.mark.parametrize("name", ["seqbench.json", "config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(copy, name):
    """Also the manifest, which is written last: a save that was interrupted left none."""
    (copy / name).unlink()
    assert refusal_of(copy) == f"model lacks {name} and is no complete checkpoint; save the model again"


def test_an_interrupted_save_leaves_no_manifest(copy, monkeypatch):
    """Saving over a folder takes the old manifest away first, so that old hashes vouch for nothing new."""

    def interrupted(*_args, **_keywords):
        raise KeyboardInterrupt

    model, tokenizer = wrapped()
    monkeypatch.setattr(type(model), "save_pretrained", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hub.save(copy, model, tokenizer)
    assert "lacks seqbench.json" in refusal_of(copy)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1', '{"schema": "seqbench.checkpoint/1", "files": 3}'])
def test_a_manifest_that_is_none_is_refused(copy, content):
    """Whatever stands in its place."""
    (copy / "seqbench.json").write_text(content)
    assert refusal_of(copy).startswith("model/seqbench.json cannot be read (")


def test_a_manifest_that_names_no_weights_is_refused(copy):
    """It must vouch for all that is read."""
    manifest = json.loads((copy / "seqbench.json").read_text())
    del manifest["files"]["model.safetensors"]
    (copy / "seqbench.json").write_text(json.dumps(manifest))
    assert refusal_of(copy) == "model/seqbench.json vouches for no model.safetensors; save the model again"


def test_a_newer_schema_is_refused(copy):
    """What a later version writes this one does not guess at."""
    change_json(copy / "seqbench.json", schema="seqbench.checkpoint/2")
    assert refusal_of(copy) == "model is of schema seqbench.checkpoint/2, this version reads seqbench.checkpoint/1"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda weights: weights.pop("network.head.bias"), "missing network.head.bias"),
        (lambda weights: weights.pop("network.mixer.cells.weight_hh_l0"), "missing network.mixer.cells.weight_hh_l0"),
        (lambda weights: weights.update(more=torch.zeros(1)), "unexpected more"),
    ],
)
def test_other_weights_are_an_error_even_where_the_hashes_agree(copy, change, reason, caplog):
    """Weights that the file lacks would be whatever memory held; the Auto class refuses them as well."""
    change_weights(copy, change)
    forge(copy)
    message = f"the weights are not those of the lstm ({reason}); save it again"
    assert refusal_of(copy) == message
    with pytest.raises(CheckpointError) as caught:
        AutoModelForCausalLM.from_pretrained(copy)
    assert str(caught.value) == message


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_no_cell_is_left_with_what_memory_held(cell, tmp_path):
    """The library initialises no such cells, so that a missing key gave numbers out of nowhere."""
    hub.save(tmp_path, *wrapped(cell))
    change_weights(tmp_path, lambda weights: weights.pop("network.mixer.cells.weight_hh_l0"))
    with pytest.raises(CheckpointError, match=r"missing network\.mixer\.cells\.weight_hh_l0"):
        AutoModelForCausalLM.from_pretrained(tmp_path)


def test_weights_of_another_shape_are_an_error_even_where_the_hashes_agree(copy):
    """Also where the library is told to put up with them."""
    change_weights(copy, lambda weights: weights.update({"network.head.bias": torch.zeros(5)}))
    forge(copy)
    assert refusal_of(copy).startswith("model cannot be read (RuntimeError: ")
    with pytest.raises(CheckpointError, match="mismatched"):
        AutoModelForCausalLM.from_pretrained(copy, ignore_mismatched_sizes=True)


@pytest.mark.parametrize("damage", [b"\xff" * 8, b"\x00" * 8, b""])
def test_a_damaged_header_is_an_error_even_where_the_hashes_agree(copy, damage):
    """A length that is none, and nothing at all."""
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(damage + content[8:] if damage else b"")
    forge(copy)
    assert refusal_of(copy).startswith("model cannot be read (")


@pytest.mark.parametrize(
    ("changed", "kind", "reason"),
    [
        ({"model": "ltsm"}, UnknownName, "no model named 'ltsm'; did you mean lstm?"),
        ({"options": {"forget_bais": 1.0}}, UnknownName, "no option of lstm named 'forget_bais'"),
        (
            {"model": "transformer", "options": {"causal": False}},
            InvalidInput,
            "transformer with causal=false sees what",
        ),
        ({"hidden_size": 16}, CheckpointError, "model cannot be read (RuntimeError"),
        ({"hidden_size": 0}, CheckpointError, "model cannot be read (StrictDataclassClassValidationError"),
        ({"hidden_size": "8"}, CheckpointError, "model cannot be read (StrictDataclassFieldValidationError"),
        ({"model": "own.py:build"}, UsageError, "no file 'own.py' for 'own.py:build'"),
    ],
)
def test_a_changed_configuration_is_an_error_even_where_the_hashes_agree(copy, changed, kind, reason):
    """It is read as strictly as a card."""
    change_json(copy / "config.json", **changed)
    forge(copy)
    assert refusal_of(copy, kind).startswith(reason)


@pytest.mark.parametrize("other", ["bac\N{REPLACEMENT CHARACTER}", "abcd\N{REPLACEMENT CHARACTER}"])
def test_a_tokenizer_of_other_characters_is_an_error_even_where_the_hashes_agree(copy, other):
    """The same characters in another order would write nonsense without a word."""
    hub.make_tokenizer(other).save_pretrained(copy)
    forge(copy)
    assert refusal_of(copy) == (
        f"model has a tokenizer of {len(other)} other characters than the model's 4; "
        "put the model's own tokenizer beside it"
    )


def test_weights_are_never_read_from_a_pickle(copy):
    """Beside safetensors nothing else is looked at, and without them nothing is loaded."""
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        AutoModelForCausalLM.from_pretrained(copy)


def test_a_checkpoint_runs_no_file_that_nobody_allowed(tmp_path, monkeypatch):
    """A stranger's folder may bring a file, name it and give its hash: the file does not run before it is trusted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    net, spec = made("own.py:build")
    hub.save(tmp_path / "model", *hub.wrap(net, spec, model_name="own.py:build", vocabulary=VOCABULARY))
    monkeypatch.setattr(configuration, "_TRUSTED", set())  # as in another process
    text = "the checkpoint would run own.py:build; read that file, and if it is what you expect, "
    text += "allow it with seqbench.hub.trust('own.py:build')"
    for read in (hub.load, AutoModelForCausalLM.from_pretrained):
        with pytest.raises(InvalidInput, match=f"^{re.escape(text)}$"):
            read(tmp_path / "model")
    hub.trust("own.py:build")
    hub.load(tmp_path / "model")
    with pytest.raises(UsageError, match=r"^no file 'none.py'"):
        hub.trust("none.py:build")


@torch.no_grad()
def test_an_own_model_is_loaded_where_its_file_is_the_same(tmp_path, monkeypatch):
    """Whatever it keeps beside parameters is made again; another file is refused, and so is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    net, spec = made("own.py:build")
    model, tokenizer = hub.wrap(net, spec, model_name="own.py:build", vocabulary=VOCABULARY)
    hub.save(tmp_path / "model", model, tokenizer)
    tokens = torch.tensor([[0, 1, 2, 3]])
    assert torch.equal(hub.load(tmp_path / "model")[0](tokens).logits, model(tokens).logits)
    (tmp_path / "own.py").write_text(OWN + "# changed\n")
    assert refusal_of(tmp_path / "model", InvalidInput).startswith("own.py:build has sha256 ")
    (tmp_path / "own.py").unlink()
    assert (
        refusal_of(tmp_path / "model", UsageError) == "no file 'own.py' for 'own.py:build'; give path/to/file.py:build"
    )


@pytest.mark.parametrize(
    ("changed", "vocabulary", "message"),
    [
        (
            {},
            "ab",
            "a model of 4 tokens in and 4 out does not fit 2 characters; give one that reads and predicts these",
        ),
        (
            {"outputs": 2},
            "abcd",
            "a model of 4 tokens in and 2 out does not fit 4 characters; give one that reads and predicts these",
        ),
    ],
)
def test_a_vocabulary_of_another_size_is_refused(changed, vocabulary, message):
    """One character per token, in and out."""
    net, spec = made(**changed)
    with pytest.raises(InvalidInput) as caught:
        hub.wrap(net, spec, model_name="lstm", vocabulary=vocabulary)
    assert str(caught.value) == message


def test_a_model_that_reads_numbers_is_refused():
    """There is no text of floats."""
    net, spec = made(inputs=3)
    with pytest.raises(
        InvalidInput, match=r"^a model that reads 3 numbers at every position reads no text; give one of tokens$"
    ):
        hub.wrap(net, spec, model_name="lstm", vocabulary=VOCABULARY)


def test_an_encoder_is_refused():
    """It cannot write."""
    net, spec = made("transformer@causal=false")
    with pytest.raises(InvalidInput) as caught:
        hub.wrap(net, spec, model_name="transformer@causal=false", vocabulary=VOCABULARY)
    assert (
        str(caught.value) == "transformer with causal=false sees what comes after and cannot write text; leave it out"
    )


def test_a_model_of_another_spec_is_refused():
    """A checkpoint that could not be built again is not made."""
    net, _ = made("gru")
    _, spec = made("lstm")
    with pytest.raises(InvalidInput) as caught:
        hub.wrap(net, spec, model_name="lstm", vocabulary=VOCABULARY)
    assert str(caught.value) == (
        "the model is not the lstm that its spec builds; they differ in "
        "mixer.cells.bias_hh_l0, mixer.cells.bias_ih_l0, mixer.cells.weight_hh_l0"
    )


def test_the_card_tells_the_facts(saved):
    """Whoever finds the folder reads what it is and what it was trained on; what is not known is not told."""
    card = (saved / "README.md").read_text()
    for line in (
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "| bits per character (validation) | 1.988 |",
        f"| corpus sha256 | `{'ab' * 32}` |",
        "| width × layers | 8 × 1 |",
        "| vocabulary | 4 characters |",
    ):
        assert line in card
    assert "tokens of training" not in card


def test_cells_are_laid_out_for_their_kernels_after_loading(saved, monkeypatch):
    """The weights of recurrent cells are joined once they are those of the file; loading had taken them apart."""
    joined = []
    monkeypatch.setattr(
        nn.RNNBase, "flatten_parameters", lambda cells: joined.append(cells.weight_hh_l0.detach().clone())
    )
    model, _ = hub.load(saved)
    cells = next(part for part in model.network.modules() if isinstance(part, nn.RNNBase))
    assert torch.equal(joined[-1], cells.weight_hh_l0)


def test_the_progress_bars_of_the_library_are_as_before(tmp_path, capsys):
    """Saving and loading print nothing."""
    hub.save(tmp_path, *wrapped())
    hub.load(tmp_path)
    assert "".join(capsys.readouterr()) == ""


def test_a_spec_may_lack_options():
    """A model without options, or a spec that leaves them to their defaults, has all of them written down."""
    spec = ModelSpec(vocab=4, outputs=4, width=8, layers=1)
    model, _ = hub.wrap(models.create(parse("tcn"), spec, seed=0), spec, model_name="tcn", vocabulary=VOCABULARY)
    assert model.config.options == {"kernel": 3}


def test_a_name_of_other_options_is_refused():
    """The shapes would not tell an activation."""
    net, spec = made("rnn@activation=relu")
    with pytest.raises(InvalidInput) as caught:
        hub.wrap(net, spec, model_name="rnn", vocabulary=VOCABULARY)
    assert str(caught.value) == (
        "rnn is not the model that the spec is of, whose options are {'activation': 'relu', 'init': 'default', "
        "'gain': 1.0, 'implementation': 'fastest'}; name that one"
    )
