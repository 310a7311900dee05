"""The bridge to transformers: any causal model of the suite as a `PreTrainedModel`, and characters as a tokenizer.

Importing this package registers `SeqbenchConfig` and `SeqbenchForCausalLM` with the library's Auto classes, so that
`AutoModelForCausalLM.from_pretrained(folder)` reads what `save` wrote, without code from elsewhere and without pickle.
"""

from transformers import AutoConfig, AutoModelForCausalLM

from seqbench.hub.cache import RecurrentCache
from seqbench.hub.card import Facts
from seqbench.hub.checkpoint import load, save, wrap
from seqbench.hub.configuration import SeqbenchConfig, trust
from seqbench.hub.modeling import SeqbenchForCausalLM
from seqbench.hub.tokenizer import encode, make_tokenizer, vocabulary_of

AutoConfig.register(SeqbenchConfig.model_type, SeqbenchConfig, exist_ok=True)
AutoModelForCausalLM.register(SeqbenchConfig, SeqbenchForCausalLM, exist_ok=True)

__all__ = [
    "Facts",
    "RecurrentCache",
    "SeqbenchConfig",
    "SeqbenchForCausalLM",
    "encode",
    "load",
    "make_tokenizer",
    "save",
    "trust",
    "vocabulary_of",
    "wrap",
]
