"""The model card: what a stranger who finds the folder must know of the model."""

import json
from dataclasses import dataclass

import seqbench
from seqbench.hub.configuration import variant_of
from seqbench.hub.modeling import SeqbenchForCausalLM


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of how a model came about; what is None is not told.

    corpus, corpus_sha256: name and identity of the text. bits_per_character: on its `part`. tokens: trained on.
    """

    corpus: str | None = None
    corpus_sha256: str | None = None
    bits_per_character: float | None = None
    part: str = "validation"
    tokens: int | None = None


def model_card(model: SeqbenchForCausalLM, facts: Facts) -> str:
    """Return the card as Markdown with the front matter that model hubs read."""
    config = model.config
    rows = {
        "model": f"`{variant_of(config)}`",
        "width × layers": f"{config.hidden_size} × {config.num_hidden_layers}",
        "parameters": f"{sum(value.numel() for value in model.parameters()):,}",
        "vocabulary": f"{config.vocab_size} characters",
        "corpus": facts.corpus and json.dumps(facts.corpus, ensure_ascii=False),
        "corpus sha256": facts.corpus_sha256 and f"`{facts.corpus_sha256}`",
        f"bits per character ({facts.part})": facts.bits_per_character and f"{facts.bits_per_character:.3f}",
        "tokens of training": facts.tokens and f"{facts.tokens:,}",
        "own model file": config.model_sha256 and f"sha256 `{config.model_sha256}`, needed to load it",
        "seqbench": seqbench.__version__,
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items() if value is not None)
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [seqbench, character-level, {config.model.partition("@")[0].partition(":")[0]}]
---

# {config.model}, a character-level language model

| | |
|---|---|
{table}

```python
import seqbench.hub  # registers the model with transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("this folder")
tokenizer = AutoTokenizer.from_pretrained("this folder")
```

Characters that the model does not know are read as U+FFFD. The weights are safetensors; nothing is pickled.
"""
