"""A model of the suite as a causal language model of the transformers library."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import Cache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from seqbench.errors import CheckpointError, InvalidInput
from seqbench.hub.cache import Group, RecurrentCache, select
from seqbench.hub.configuration import SeqbenchConfig, spec_of, variant_of
from seqbench.measure import models

CACHE_NAME = next(
    name
    for name in ("cache", "past_key_values")  # renamed in transformers 5.24
    if name in {field.name for field in fields(CausalLMOutputWithPast)}
)
"""What this version of the library calls a cache, in a call and in an answer."""


class SeqbenchForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """Embedding, body and head as the suite builds them, behind the library's interface.

    network: a module that `config` describes; built with the weights of `config.initial_seed` where none is given.
    Raises what `spec_of` raises.
    """

    config: SeqbenchConfig
    config_class = SeqbenchConfig
    base_model_prefix = "network"
    _is_stateful = True  # decoding that guesses ahead would have to take a state back

    def __init__(self, config: SeqbenchConfig, network: nn.Module | None = None) -> None:
        super().__init__(config)
        self.network = _built(config) if network is None else network
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """Return False: the library would hand over a cache of keys and values, and reorder that one alone."""
        return False

    def _init_weights(self, module: nn.Module) -> None:
        """Draw nothing: building the network drew its weights, and loading refuses a file that lacks one."""

    @classmethod
    def from_pretrained(cls, *place: Any, output_loading_info: bool = False, **keywords: Any) -> Any:
        """Return the model that was saved, as the library's method does; all its weights are from safetensors.

        Raises CheckpointError for weights that the file lacks, has over or has in another shape, and what `spec_of`
        raises.
        """
        loading = cast("Any", super().from_pretrained)  # typed for the model alone
        model, told = loading(*place, output_loading_info=True, **{**keywords, "use_safetensors": True})
        wrong = {kind: sorted(map(str, told[f"{kind}_keys"])) for kind in ("missing", "unexpected", "mismatched")}
        if any(wrong.values()):
            listed = "; ".join(f"{kind} {', '.join(names[:3])}" for kind, names in wrong.items() if names)
            raise CheckpointError(f"the weights are not those of the {model.config.model} ({listed}); save it again")
        model._finish_loading()
        return (model, told) if output_loading_info else model

    @torch.no_grad()
    def _finish_loading(self) -> None:
        """Make again what no file holds, and join the weights of recurrent cells as cuDNN wants them."""
        saved, made = self.network.state_dict(), None
        for name, buffer in self.network.named_buffers():
            if name not in saved:
                made = made or dict(_built(self.config).named_buffers())
                buffer.copy_(made[name])
        for part in self.network.modules():
            if isinstance(part, nn.RNNBase):
                part.flatten_parameters()

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of tokens. Raises InvalidInput for a model without one."""
        table = next((module for module in self.network.modules() if isinstance(module, nn.Embedding)), None)
        if table is None:
            raise InvalidInput(f"{self.config.model} has no table of tokens")
        return table

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        past_key_values: Cache | None = None,
        cache: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **loss_options: Any,
    ) -> CausalLMOutputWithPast:
        """Return logits, the cache after these tokens and the loss: (B, T) tokens -> (B, kept, V).

        attention_mask: (B, t + T) or (B, T), 0 at padding, which may stand anywhere: a padded position changes no
        state, takes no place among positions, and has the logits of the token before it (zeros where there is none).
        past_key_values, or cache: what an earlier call returned; with use_cache it is brought up to date in place.
        use_cache: by default unless the model is in training. labels: (B, T), -100 where nothing is to be predicted;
        they are shifted here, the loss is their mean in nats. logits_to_keep: how many of the last positions, all for
        0, or which. Raises InvalidInput for a cache or a mask that does not fit, and what the model raises.
        """
        before = _given(past_key_values, cache, rows=len(input_ids))
        keep = use_cache if use_cache is not None else self.config.use_cache and not self.training
        logits, groups = self._read(input_ids, _mask(attention_mask, input_ids), before, keep=keep)
        after = None
        if keep:
            after = before
            after.keep(groups, last=logits[:, -1], columns=input_ids.shape[1])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits.contiguous(), labels, vocab_size=self.config.vocab_size, **loss_options)
        chosen = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        carried: Any = {CACHE_NAME: after}
        return CausalLMOutputWithPast(loss=loss, logits=logits[:, chosen], **carried)

    def _read(
        self, tokens: Tensor, mask: Tensor | None, before: RecurrentCache, *, keep: bool
    ) -> tuple[Tensor, list[Group]]:
        """Return logits and the states after these tokens; mask: (B, T) bool, None where no position is padding."""
        groups = before.groups or (Group(tuple(range(len(tokens))), None),)
        if mask is None and len(groups) == 1:
            logits, state = self.network(tokens, groups[0].state)
            return logits, [Group(groups[0].rows, state)]
        last = before.last
        if last is None:
            last = torch.zeros(len(tokens), self.config.vocab_size, dtype=self.dtype, device=tokens.device)
        if mask is None:
            mask = torch.ones_like(tokens, dtype=torch.bool)
        if not keep and not before.groups and bool((mask[:, 1:] <= mask[:, :-1]).all()):
            return _spread(self.network(tokens, None)[0], mask, last), []  # no token sees padding to its right
        return self._read_by_groups(tokens, mask, last, groups)

    def _read_by_groups(
        self, tokens: Tensor, mask: Tensor, last: Tensor, groups: Iterable[Group]
    ) -> tuple[Tensor, list[Group]]:
        """Return what `_read` returns, reading rows of one state and as many tokens at once, without their padding."""
        counts = mask.sum(1).tolist()
        read, after, order = [], [], []
        for group in groups:
            for count in sorted({counts[row] for row in group.rows}):
                places = [place for place, row in enumerate(group.rows) if counts[row] == count]
                rows = [group.rows[place] for place in places]
                state, own = select(group.state, places), mask[rows]  # (b, T)
                logits = last.new_empty(len(rows), 0, last.shape[1])
                if count:
                    logits, state = self.network(tokens[rows][own].view(len(rows), count), state)
                read.append(_spread(logits, own, last[rows]))
                after.append(Group(tuple(rows), state))
                order += rows
        return torch.cat(read)[torch.tensor(order).argsort()], after


def _built(config: SeqbenchConfig) -> nn.Module:
    """Return the network with its first weights, wherever the library would have it built."""
    spec = spec_of(config)
    with torch.device("cpu"):  # loading builds on `meta`, where what is no parameter would stay empty
        return models.create(variant_of(config), spec, seed=config.initial_seed)


def _given(past_key_values: Cache | None, cache: Cache | None, *, rows: int) -> RecurrentCache:
    """Return the cache under either of its names, an empty one for none."""
    given = cache if past_key_values is None else past_key_values
    if given is None:
        return RecurrentCache()
    if not isinstance(given, RecurrentCache):
        raise InvalidInput(f"a {type(given).__name__} does not hold this model's state; give a RecurrentCache, or none")
    if given.batch_size not in (-1, rows):
        raise InvalidInput(f"the cache is of {given.batch_size} sequences, {rows} are given; give as many")
    return given


def _mask(attention_mask: Tensor | None, tokens: Tensor) -> Tensor | None:
    """Return which of these positions are tokens: (B, T) bool, None where all are."""
    if attention_mask is None:
        return None
    B, T = tokens.shape
    if attention_mask.dim() != 2 or len(attention_mask) != B or attention_mask.shape[1] < T:
        raise InvalidInput(
            f"an attention_mask of shape {tuple(attention_mask.shape)} does not fit input_ids of shape {(B, T)}; "
            "give 0 or 1 for each position read so far"
        )
    mask = attention_mask[:, -T:].bool()
    return None if bool(mask.all()) else mask


def _spread(logits: Tensor, mask: Tensor, last: Tensor) -> Tensor:
    """Return each position's logits, at padding those before it: (b, n, V), (b, T), (b, V) -> (b, T, V)."""
    known = torch.cat((last[:, None], logits), dim=1)  # (b, 1 + n, V)
    place = mask.cumsum(1)  # (b, T) how many tokens up to here
    return known.gather(1, place[..., None].expand(-1, -1, known.shape[2]))
