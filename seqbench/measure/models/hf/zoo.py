"""Which types there are, and how each fits a width, a number of layers and an MLP. Plain data, without the library.

Every function takes the spec and the options: ours, and those given over them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import gcd, lcm

from seqbench.measure.models.base import ModelSpec
from seqbench.variant import Scalar

Given = Mapping[str, Scalar]
Sizes = Callable[[ModelSpec, Given], Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one type is built.

    given: options in place of the library's. sizes: fields that follow from the spec. step: what the width is a
    multiple of. layers: the fewest. attention: the default implementation, nothing for a type without attention.
    kernels: packages whose kernels the type uses where they are installed. positions: the option that bounds them.
    caches: whether the library has a cache for it.
    one_by_one: whether that cache takes only one token at a time after the first piece; with more at once the state
    before them is forgotten, or they are placed wrongly, without a word.
    """

    given: Given = field(default_factory=dict)
    sizes: Sizes
    step: Callable[[Given], int]
    layers: int = 1
    attention: str = "sdpa"
    kernels: tuple[str, ...] = ()
    positions: str = ""
    caches: bool = True
    one_by_one: bool = False


def _nothing(spec: ModelSpec, given: Given) -> dict[str, object]:  # noqa: ARG001 - one signature for all
    """Return nothing, for a type of which width, layers and vocabulary are all its sizes."""
    return {}


def _mlp(name: str) -> Sizes:
    """Return sizes of a type whose only size besides width and layers is its MLP's."""
    return lambda spec, _: {name: spec.mlp}


def _decoder(spec: ModelSpec, given: Given) -> dict[str, object]:
    """Return MLP and attention, every head with keys and values of its own unless told otherwise."""
    return {"intermediate_size": spec.mlp, "num_key_value_heads": given["num_attention_heads"]}


def _headed(spec: ModelSpec, given: Given) -> dict[str, object]:
    """Return the same for a type whose heads do not divide the width by themselves."""
    return {**_decoder(spec, given), "head_dim": spec.width // _whole(given["num_attention_heads"])}


def _gemma2(spec: ModelSpec, given: Given) -> dict[str, object]:
    head = spec.width // _whole(given["num_attention_heads"])
    return {**_headed(spec, given), "query_pre_attn_scalar": head}


def _modernbert(spec: ModelSpec, given: Given) -> dict[str, object]:  # noqa: ARG001 - one signature for all
    """Return the MLP, and one row of the table beyond the vocabulary for the special tokens that it insists on."""
    special = dict.fromkeys((f"{name}_token_id" for name in ("pad", "bos", "eos", "cls", "sep")), spec.vocab)
    return {"intermediate_size": spec.mlp, "vocab_size": spec.vocab + 1, **special}


def _mamba2(spec: ModelSpec, given: Given) -> dict[str, object]:
    return {"head_dim": _split(spec, given["expand"], given["num_heads"])}


def _xlstm(spec: ModelSpec, given: Given) -> dict[str, object]:  # noqa: ARG001 - one signature for all
    return {"ffn_proj_factor": spec.mlp / spec.width, "ffn_round_up_to_multiple_of": 1}


def _recurrent_gemma(spec: ModelSpec, given: Given) -> dict[str, object]:  # noqa: ARG001 - one signature for all
    """Return the published pattern, shortened to two layers; the library halves the MLP's size (gate and value)."""
    pattern = ("recurrent", "recurrent", "attention")[-min(3, spec.layers) :]
    return {"intermediate_size": 2 * spec.mlp, "block_types": list(pattern)}


def _falcon_h1(spec: ModelSpec, given: Given) -> dict[str, object]:
    inner = _whole(given["mamba_expand"]) * spec.width
    return {
        **_decoder(spec, given),
        "mamba_d_ssm": inner,
        "mamba_d_head": inner // _whole(given["mamba_n_heads"]),
    }


def _jamba(spec: ModelSpec, given: Given) -> dict[str, object]:
    """Return attention once in eight layers, in the middle of them, or of as many as there are."""
    period = min(8, spec.layers)
    return {**_decoder(spec, given), "attn_layer_period": period, "attn_layer_offset": period // 2}


def _bamba(spec: ModelSpec, given: Given) -> dict[str, object]:
    return {
        **_decoder(spec, given),
        "attn_layer_indices": [place for place, kind in enumerate(_pattern(spec, 4, "", "attention")) if kind],
        "mamba_d_head": _split(spec, given["mamba_expand"], given["mamba_n_heads"]),
    }


def _zamba2(spec: ModelSpec, given: Given) -> dict[str, object]:
    return {**_decoder(spec, given), "layers_block_type": _pattern(spec, 4, "mamba", "hybrid")}


def _nemotron_h(spec: ModelSpec, given: Given) -> dict[str, object]:
    """Return a mixer and an MLP for each layer of the spec; the library counts them as two."""
    mixers = _pattern(spec, 4, "mamba", "attention")
    return {
        **_headed(spec, given),
        "layers_block_type": [part for mixer in mixers for part in (mixer, "mlp")],
        "mamba_head_dim": _split(spec, given["expand"], given["mamba_num_heads"]),
    }


def _granite(spec: ModelSpec, given: Given) -> dict[str, object]:
    return {
        **_decoder(spec, given),
        "shared_intermediate_size": spec.mlp,  # the MLP of a type without experts
        "layer_types": _pattern(spec, 4, "mamba", "attention"),
        "mamba_d_head": _split(spec, given["mamba_expand"], given["mamba_n_heads"]),
    }


def _lfm2(spec: ModelSpec, given: Given) -> dict[str, object]:
    return {**_decoder(spec, given), "layer_types": _pattern(spec, 3, "conv", "full_attention")}


def _delta(spec: ModelSpec, given: Given) -> dict[str, object]:
    """Return three layers of the gated delta rule, then one of attention; heads of both are of one size."""
    return {
        **_headed(spec, given),
        "layer_types": _pattern(spec, 4, "linear_attention", "full_attention"),
        "linear_key_head_dim": spec.width // _whole(given["linear_num_key_heads"]),
        "linear_value_head_dim": spec.width // _whole(given["linear_num_value_heads"]),
    }


def _qwen3_next(spec: ModelSpec, given: Given) -> dict[str, object]:
    return {**_delta(spec, given), "mlp_only_layers": list(range(spec.layers))}  # an MLP in place of experts


def _olmo_hybrid(spec: ModelSpec, given: Given) -> dict[str, object]:
    sizes = _delta(spec, given)
    return {name: value for name, value in sizes.items() if name != "head_dim"}


def _kimi_linear(spec: ModelSpec, given: Given) -> dict[str, object]:
    """Return three layers of delta attention, then one with latent keys: half of each head turned, half not."""
    head = spec.width // _whole(given["num_attention_heads"])
    return {
        **_decoder(spec, given),
        "layer_types": _pattern(spec, 4, "linear_attention", "full_attention"),
        "mlp_layer_types": ["dense"] * spec.layers,
        "linear_head_dim": spec.width // _whole(given["linear_num_heads"]),
        "kv_lora_rank": spec.width // 2,
        "qk_rope_head_dim": head // 2,
        "qk_nope_head_dim": head // 2,
        "v_head_dim": head,
    }


def _minimax(spec: ModelSpec, given: Given) -> dict[str, object]:
    """Return two experts that see every token: half the MLP's units each."""
    return {
        **_headed(spec, given),
        "intermediate_size": spec.mlp // 2,
        "layer_types": _pattern(spec, 2, "linear_attention", "full_attention"),
    }


def _pattern(spec: ModelSpec, every: int, usual: str, last: str) -> list[str]:
    """Return a kind per layer: each `every`-th is `last`, sooner where there are fewer layers."""
    every = min(every, spec.layers)
    return [usual if (place + 1) % every else last for place in range(spec.layers)]


def _split(spec: ModelSpec, expand: Scalar, heads: Scalar) -> int:
    return _whole(expand) * spec.width // _whole(heads)


def _whole(value: Scalar) -> int:
    return int(value)


def _any_width(given: Given) -> int:  # noqa: ARG001 - one signature for all
    return 1


def _heads(name: str, *, times: int = 1) -> Callable[[Given], int]:
    """Return the step of a width that is split into heads, each a multiple of `times` numbers."""
    return lambda given: times * _whole(given[name])


def _and_mamba2(step: Callable[[Given], int], heads: str, expand: str) -> Callable[[Given], int]:
    """Return a step that also lets Mamba-2 heads divide the expanded width."""
    return lambda given: lcm(step(given), _whole(given[heads]) // gcd(_whole(given[heads]), _whole(given[expand])))


def _xlstm_step(given: Given) -> int:
    """Return the least width of which keys and values take multiples of 64: layer and cache round others apart."""
    factors = (float(given["qk_dim_factor"]), float(given["v_dim_factor"]))
    fits = (width for width in range(1, 64 * 64 + 1) if all(width * factor % 64 == 0 for factor in factors))
    return lcm(next(fits, 64), _whole(given["num_heads"]))


_TWO: Given = {"num_attention_heads": 2}
_ROTARY = _heads("num_attention_heads", times=2)
_MAMBA_KERNELS = ("mamba_ssm", "causal_conv1d")
_DELTA_KERNELS = ("fla", "causal_conv1d")
_SSM: Given = {"mamba_n_heads": 8, "mamba_expand": 2, "mamba_d_state": 16, "mamba_chunk_size": 32}
_DELTA: Given = {**_TWO, "linear_num_key_heads": 2, "linear_num_value_heads": 2}
_WITH_SSM = _and_mamba2(_ROTARY, "mamba_n_heads", "mamba_expand")

KINDS: Mapping[str, Kind] = {
    "gpt2": Kind(
        given={"n_head": 2, "n_positions": 1024}, sizes=_mlp("n_inner"), step=_heads("n_head"), positions="n_positions"
    ),
    "openai-gpt": Kind(
        given={"n_head": 2, "n_positions": 512},
        sizes=_nothing,
        step=_heads("n_head"),
        attention="eager",
        positions="n_positions",
        caches=False,
    ),
    "gpt_neox": Kind(given=_TWO, sizes=_mlp("intermediate_size"), step=_ROTARY),
    "opt": Kind(
        given={**_TWO, "max_position_embeddings": 2048},
        sizes=_mlp("ffn_dim"),
        step=_heads("num_attention_heads"),
        positions="max_position_embeddings",
    ),
    "bloom": Kind(given={"n_head": 2}, sizes=_nothing, step=_heads("n_head"), attention="eager"),
    "llama": Kind(given=_TWO, sizes=_decoder, step=_ROTARY),
    "qwen3": Kind(given=_TWO, sizes=_headed, step=_ROTARY),
    "mistral": Kind(given=_TWO, sizes=_decoder, step=_ROTARY),
    "smollm3": Kind(given=_TWO, sizes=_decoder, step=_ROTARY),
    "gemma2": Kind(given=_TWO, sizes=_gemma2, step=_ROTARY, attention="eager"),
    "nanochat": Kind(given=_TWO, sizes=_decoder, step=_ROTARY),
    "modernbert-decoder": Kind(given=_TWO, sizes=_modernbert, step=_ROTARY),
    "ctrl": Kind(
        given={"n_head": 2, "n_positions": 256}, sizes=_mlp("dff"), step=_heads("n_head"), positions="n_positions"
    ),
    "mamba": Kind(sizes=_nothing, step=_any_width, attention="", kernels=_MAMBA_KERNELS, one_by_one=True),
    "falcon_mamba": Kind(sizes=_nothing, step=_any_width, attention="", kernels=_MAMBA_KERNELS, one_by_one=True),
    "mamba2": Kind(
        given={"num_heads": 8, "expand": 2, "state_size": 16, "n_groups": 1, "chunk_size": 32},
        sizes=_mamba2,
        step=_and_mamba2(_any_width, "num_heads", "expand"),
        attention="",
        kernels=_MAMBA_KERNELS,
    ),
    "xlstm": Kind(
        given={"num_heads": 2, "qk_dim_factor": 1.0, "v_dim_factor": 1.0},
        sizes=_xlstm,
        step=_xlstm_step,
        attention="",
        kernels=("xlstm",),
    ),
    "recurrent_gemma": Kind(given=_TWO, sizes=_recurrent_gemma, step=_ROTARY, layers=2, one_by_one=True),
    "falcon_h1": Kind(given={**_TWO, **_SSM}, sizes=_falcon_h1, step=_WITH_SSM, kernels=_MAMBA_KERNELS),
    "jamba": Kind(
        given={**_TWO, "num_experts": 1, "num_experts_per_tok": 1},
        sizes=_jamba,
        step=_heads("num_attention_heads"),
        layers=2,
        kernels=_MAMBA_KERNELS,
        one_by_one=True,
    ),
    "bamba": Kind(given={**_TWO, **_SSM}, sizes=_bamba, step=_WITH_SSM, layers=2, kernels=_MAMBA_KERNELS),
    "zamba2": Kind(
        given={**_TWO, "n_mamba_heads": 8, "mamba_expand": 2, "mamba_d_state": 16, "chunk_size": 32, "adapter_rank": 8},
        sizes=_zamba2,
        step=_and_mamba2(_ROTARY, "n_mamba_heads", "mamba_expand"),
        kernels=_MAMBA_KERNELS,
    ),
    "nemotron_h": Kind(
        given={**_TWO, "mamba_num_heads": 8, "expand": 2, "ssm_state_size": 16, "n_groups": 1, "chunk_size": 32},
        sizes=_nemotron_h,
        step=_and_mamba2(_heads("num_attention_heads"), "mamba_num_heads", "expand"),
        layers=2,
        kernels=_MAMBA_KERNELS,
    ),
    "granitemoehybrid": Kind(
        given={**_TWO, **_SSM, "num_local_experts": 0},
        sizes=_granite,
        step=_and_mamba2(_heads("num_attention_heads"), "mamba_n_heads", "mamba_expand"),
        layers=2,
        kernels=_MAMBA_KERNELS,
    ),
    "lfm2": Kind(
        given={**_TWO, "block_auto_adjust_ff_dim": False},
        sizes=_lfm2,
        step=_ROTARY,
        layers=2,
        kernels=("causal_conv1d",),
    ),
    "qwen3_next": Kind(given=_DELTA, sizes=_qwen3_next, step=_ROTARY, layers=2, kernels=_DELTA_KERNELS),
    "qwen3_5_text": Kind(given=_DELTA, sizes=_delta, step=_ROTARY, layers=2, kernels=_DELTA_KERNELS),
    "kimi_linear": Kind(
        given={**_TWO, "linear_num_heads": 2},
        sizes=_kimi_linear,
        step=_heads("num_attention_heads", times=4),
        layers=2,
        kernels=_DELTA_KERNELS,
    ),
    "olmo_hybrid": Kind(given=_DELTA, sizes=_olmo_hybrid, step=_ROTARY, layers=2, kernels=_DELTA_KERNELS),
    "minimax": Kind(
        given={**_TWO, "num_local_experts": 2, "num_experts_per_tok": 2, "block_size": 32},
        sizes=_minimax,
        step=_ROTARY,
        layers=2,
        one_by_one=True,
    ),
}
