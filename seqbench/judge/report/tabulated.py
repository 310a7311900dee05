"""The tables of a report: what stands in their rows and columns. One CSV or several hold every number of the page."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from seqbench.judge.claims.base import AtomVerdict, given, number
from seqbench.judge.figures import style
from seqbench.judge.report.tables import Column, Row, Table, csv, latex, markdown
from seqbench.judge.report.verdicts import sub_verdicts_text
from seqbench.judge.scaling import Estimate
from seqbench.judge.text_curves import EqualSeconds
from seqbench.judge.text_scores import TextScore

if TYPE_CHECKING:
    from seqbench.judge.report.build import Report


def tables(report: "Report") -> tuple[Table, ...]:
    """Return every table of a report in the order of the page; one without rows has its head alone."""
    return tuple(
        Table(
            name=name,
            caption=caption,
            anchor=anchor,
            columns=columns,
            rows=tuple(rows(report)),
            long=name != "verdicts",
        )
        for name, (caption, anchor, columns, rows) in TABLES.items()
    )


def files(report: "Report") -> dict[str, str]:
    """Return the files of all tables: path in the report's folder -> content."""
    found = {}
    for table in tables(report):
        found[f"tables/{table.name}.csv"] = csv(table)
        found[f"tables/{table.name}.md"] = markdown(table)
        found[f"tables/{table.name}.tex"] = latex(table, report_id=report.id)
    return found


def word(atom: AtomVerdict) -> str:
    """Return what the page says of an atom: its verdict, or that it is descriptive."""
    return "descriptive" if atom.test == "descriptive" else atom.verdict.value


def ratio(atom: AtomVerdict) -> tuple[float | None, float | None, float | None]:
    """Return the ratio behind a logarithm of one with its bounds, as verdicts word it; None for any other quantity."""
    found = (atom.effect, atom.lower, atom.upper) if atom.unit == "ln ratio" else (None, None, None)
    effect, lower, upper = (None if value is None else math.exp(value) for value in found)
    return effect, lower, upper


def _label(model: str) -> str:
    """Return the models of an arm as people call them; the escape that drawings need is undone."""
    return "; ".join(style.look(part).label.replace(r"\$", "$") for part in model.split(", "))


def _count(value: float) -> str:
    return f"{value:.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _interval(key: str, found: Estimate | None) -> Row:
    """Return the three columns of an estimate; an upper bound that is not finite leaves both bounds out."""
    if found is None:
        return {key: None, f"{key}_lower": None, f"{key}_upper": None}
    bounded = found.upper != float("inf")
    lower, upper = (found.lower, found.upper) if bounded else (None, None)
    return {key: found.value, f"{key}_lower": lower, f"{key}_upper": upper}


def _verdicts(report: "Report") -> Iterator[Row]:
    for claim in report.claims:
        atom = claim.deciding
        yield {
            "claim": claim.claim,
            "title": claim.title,
            "verdict": claim.verdict.value,
            "effect": atom.effect if atom else None,
            "lower": atom.lower if atom else None,
            "upper": atom.upper if atom else None,
            "unit": atom.unit if atom and atom.effect is not None else None,
            "n": (atom.n if atom else 0) or None,
            "decided_by": claim.headline,
            "sentence": claim.sentence,
            "wording": claim.wording,
            "scope": claim.scope,
            "qualifications": "; ".join(claim.qualifications),
            "by_phase": sub_verdicts_text(claim),
            "rule": claim.rule,
            "planned": claim.planned,
            "ran": claim.ran,
            "level_support": claim.levels.support if claim.levels else None,
            "level_contradict": claim.levels.contradict if claim.levels else None,
        }


def _atoms(report: "Report") -> Iterator[Row]:
    for claim in report.claims:
        for atom in claim.atoms:
            yield {
                "atom": f"{claim.claim}.{atom.name}",
                "estimand": atom.estimand,
                "verdict": word(atom),
                "effect": atom.effect,
                "lower": atom.lower,
                "upper": atom.upper,
                "unit": atom.unit,
                "n": atom.n or None,
                **dict(zip(RATIO, ratio(atom), strict=True)),
                "test": atom.test,
                "in_rule": _yes(atom.in_rule),
                "margin_support": atom.support,
                "margin_contradict": atom.contradict,
                "margin_equivalence": atom.equivalence,
                "margin_below": atom.below,
                "p_support": atom.p.support if atom.p else None,
                "p_contradict": atom.p.contradict if atom.p else None,
                "level_support": atom.levels.support,
                "level_contradict": atom.levels.contradict,
                "posterior_support": atom.posterior.support if atom.posterior else None,
                "posterior_between": atom.posterior.rope if atom.posterior else None,
                "posterior_contradict": atom.posterior.contradict if atom.posterior else None,
                "flag": atom.flag,
                "reason": atom.reason,
            }


def _arms(report: "Report") -> Iterator[Row]:
    for claim in report.claims:
        for atom in claim.atoms:
            for arm in atom.arms:
                yield {
                    "atom": f"{claim.claim}.{atom.name}",
                    "arm": arm.name,
                    "model": arm.model,
                    "label": _label(arm.model),
                    "mean": arm.mean,
                    "lower": arm.lower,
                    "upper": arm.upper,
                    "n": len(arm.values),
                    "ran": arm.ran,
                    "planned": arm.planned,
                    "failed": arm.failed,
                }


def _controls(report: "Report") -> Iterator[Row]:
    for claim in report.claims:
        for atom in claim.atoms:
            for control in atom.controls:
                yield {
                    "atom": f"{claim.claim}.{atom.name}",
                    "arm": control.arm,
                    "model": control.model,
                    "label": _label(control.model),
                    "measurement": control.measurement,
                    "mean": control.mean,
                    "above": control.above,
                    "passed": _yes(control.passed),
                }


def _phases(report: "Report") -> Iterator[Row]:
    for claim in report.claims:
        for item in claim.sub_verdicts:
            yield {
                "claim": claim.claim,
                "device": item.device.upper(),
                "phase": item.phase,
                "verdict": item.verdict.value,
            }


def _growths(report: "Report") -> Iterator[Row]:
    for row in report.growths:
        shares = row["polynomial"].shares if row["polynomial"] else (None, None, None)
        small, here = row["latency_between"] or ((None, None), (None, None))
        yield {
            "what": row["what"],
            "model": row["model"],
            "label": _label(str(row["model"])),
            "batch": row["batch"],
            "lengths": ", ".join(map(str, row["lengths"])),
            **_interval("exponent", row["exponent"]),
            "constant_share": shares[0],
            "linear_share": shares[1],
            "quadratic_share": shares[2],
            "constant_milliseconds": row["milliseconds"],
            **_interval("latency", row["latency"]),
            "latency_from_batch": small[0],
            "latency_from_length": small[1],
            "latency_to_batch": here[0],
            "latency_to_length": here[1],
        }


def _local_exponents(report: "Report") -> Iterator[Row]:
    for row in report.growths:
        for place, found in enumerate(row["local"]):
            yield {
                "what": row["what"],
                "model": row["model"],
                "label": _label(str(row["model"])),
                "batch": row["batch"],
                "from_length": row["lengths"][place],
                "to_length": row["lengths"][place + 1],
                **_interval("exponent", found),
            }


_OF_MODELS = (
    "task",
    "length",
    "width",
    "layers",
    "matched",
    "parameters",
    "body_parameters",
    "flops_per_token",
    "state_bytes",
    "implementation",
)


def _models(report: "Report") -> Iterator[Row]:
    for row in report.models:
        yield {
            "model": row["model"],
            "label": _label(str(row["model"])),
            **{key: row[key] for key in _OF_MODELS},
        }


def _text_scores(report: "Report") -> Iterator[Row]:
    for row in report.text_scores:
        whole, apart = row.interval, row.difference_interval
        yield {
            **_of_text(row),
            "n": row.n,
            "failed": row.failed,
            "mean": row.mean,
            "lower": whole.lower if whole else None,
            "upper": whole.upper if whole else None,
            "of_seeds": row.of_seeds,
            "of_text": row.of_text,
            "beside": row.beside,
            "difference": row.difference,
            "difference_lower": apart.lower if apart else None,
            "difference_upper": apart.upper if apart else None,
        }


def _equal_seconds(report: "Report") -> Iterator[Row]:
    for row in report.equal_seconds:
        yield {
            **_of_text(row),
            "place": row.place,
            "step_milliseconds": 1e3 * row.seconds_per_step,
            "seconds": row.seconds,
            "steps": row.steps,
            "n": row.n,
            "failed": row.failed,
            "mean": row.mean,
            "lower": row.interval.lower if row.interval else None,
            "upper": row.interval.upper if row.interval else None,
            "at_end": row.at_end,
        }


def _of_text(row: TextScore | EqualSeconds) -> Row:
    """Return what was trained on which text."""
    return {
        "task": row.task,
        "length": row.length,
        "group": row.group,
        "model": row.model,
        "label": _label(row.model),
        "width": row.width,
        "layers": row.layers,
        "parameters": row.parameters,
        "tokens": row.tokens,
    }


def _across(report: "Report") -> Iterator[Row]:
    for row in report.across:
        half, nine = row.above
        yield {
            "model": row.model,
            "label": _label(row.model),
            "tasks": row.tasks,
            "scores": row.scores,
            "iqm": row.iqm,
            "iqm_lower": row.iqm_interval.lower,
            "iqm_upper": row.iqm_interval.upper,
            "vanilla_iqm": row.vanilla_iqm,
            "above_half": half,
            "above_nine_tenths": nine,
            "solved": row.solved if row.solvable else None,
            "solvable": row.solvable or None,
            "better": row.better,
            "better_lower": row.better_interval.lower if row.better_interval else None,
            "better_upper": row.better_interval.upper if row.better_interval else None,
        }


def _rates(report: "Report") -> Iterator[Row]:
    for row in report.rates:
        yield {
            "model": row["model"],
            "label": _label(str(row["model"])),
            "task": row["task"],
            "length": row["length"],
            "sized": row["sized"],
            "width": row["width"],
            "seeds": row["seeds"],
            "rate": row["rate"],
            "at_edge": None if row["rate"] is None else _yes(row["at_edge"]),
            "robust_width": row["robust_width"],
            "grid": row["grid"],
            "expected_best": row["expected_best"],
            "note": row["note"],
        }


def _trials(report: "Report") -> Iterator[Row]:
    for row in report.rates:
        for trial in row["trials"]:
            yield {
                "model": row["model"],
                "label": _label(str(row["model"])),
                "task": row["task"],
                "length": row["length"],
                "sized": row["sized"],
                "width": row["width"],
                "rate": trial.rate,
                "loss": None if trial.failed == len(trial.losses) else trial.loss,
                "solved": _yes(trial.solved),
                "failed": trial.failed,
                "seeds": len(trial.losses),
            }


def _failures(report: "Report") -> Iterator[Row]:
    for row in report.failures:
        model = str(row["model"])
        yield {
            "task": row["task"],
            "probe": row["probe"],
            "model": model,
            "label": _label(model),
            "length": row["length"],
            "seed": row["seed"],
            "status": row["status"],
            "error": row["error"],
        }


RATIO = ("ratio", "ratio_lower", "ratio_upper")
BOUNDS = (Column("lower", "Lower", number), Column("upper", "Upper", number))
EXPONENT = (
    Column("exponent", "α", number),
    Column("exponent_lower", "Lower", number),
    Column("exponent_upper", "Upper", number),
)
MODEL = (Column("model"), Column("label", "Model", share=0.16))
TRAINED_ON_TEXT = (
    *(Column("task", "Text"), Column("length"), Column("group"), *MODEL),
    Column("width", "D", _count),
    Column("layers", "L", _count),
    Column("parameters", "Parameters", _count),
    Column("tokens"),
)
Definition = tuple[str, str, tuple[Column, ...], Callable[["Report"], Iterator[Row]]]

TABLES: Mapping[str, Definition] = {
    "verdicts": (
        "What the records say about each claim. By: the hypothesis that decided; its effect, interval and n.",
        "verdicts",
        (
            Column("claim", "Claim"),
            Column("title", "Title", share=0.17),
            Column("verdict", "Verdict"),
            Column("decided_by", "By"),
            Column("effect", "Effect", number),
            *BOUNDS,
            Column("unit", "Unit", share=0.13),
            Column("n", "n", _count),
            Column("sentence"),
            Column("wording"),
            Column("scope"),
            Column("qualifications"),
            Column("by_phase"),
            Column("rule"),
            Column("planned"),
            Column("ran"),
            Column("level_support"),
            Column("level_contradict"),
        ),
        _verdicts,
    ),
    "phases": (
        "Verdicts by phase and class of device: all hypotheses of a phase together.",
        "verdicts",
        (
            Column("claim", "Claim"),
            Column("device", "Device"),
            Column("phase", "Phase"),
            Column("verdict", "Verdict"),
        ),
        _phases,
    ),
    "atoms": (
        "Hypotheses. The two bounds are one-sided, each at the level that its direction reached.",
        "verdicts",
        (
            Column("atom", "Atom", share=0.14),
            Column("estimand", "Estimand θ", share=0.19),
            Column("verdict", "Verdict"),
            Column("effect", "θ", number),
            *BOUNDS,
            Column("unit", "Unit", share=0.1),
            Column("n", "n", _count),
            *map(Column, RATIO),
            Column("test"),
            Column("in_rule"),
            Column("margin_support"),
            Column("margin_contradict"),
            Column("margin_equivalence"),
            Column("margin_below"),
            Column("p_support"),
            Column("p_contradict"),
            Column("level_support"),
            Column("level_contradict"),
            Column("posterior_support"),
            Column("posterior_between"),
            Column("posterior_contradict"),
            Column("flag"),
            Column("reason"),
        ),
        _atoms,
    ),
    "arms": (
        "Arms of each hypothesis: the mean of all cells of an arm that count. Intervals: 95 % Student-t over seeds, "
        "unadjusted, descriptive. θ of a factor uses level means adjusted for the other factors, over the cells that "
        "can be compared.",
        "verdicts",
        (
            Column("atom", "Atom", share=0.12),
            Column("arm", "Arm", share=0.1),
            *MODEL,
            Column("mean", "Mean", number),
            *BOUNDS,
            Column("n", "Seeds", _count),
            Column("ran", "Ran", _count),
            Column("planned", "Planned", _count),
            Column("failed", "Failed", _count),
        ),
        _arms,
    ),
    "controls": (
        "Controls: without them a hypothesis could not have seen its effect.",
        "verdicts",
        (
            Column("atom", "Atom", share=0.16),
            Column("arm", "Arm", share=0.14),
            *MODEL,
            Column("measurement", "Measurement", share=0.2),
            Column("mean", "Mean", number),
            Column("above", "Needed above", given),
            Column("passed", "Passed"),
        ),
        _controls,
    ),
    "growth": (
        "Growth with length T, descriptive: α of ∝ Tᵅ over all lengths, with 95 % intervals, unadjusted; the share of "
        "cT² in a + bT + cT² at the largest T, in per cent; Λ: time over tokens against the model's smallest batch.",
        "measurements",
        (
            Column("what", "What", share=0.16),
            *MODEL,
            Column("batch", "Batch", _count),
            Column("lengths", "T", share=0.1),
            *EXPONENT,
            Column("constant_share"),
            Column("linear_share"),
            Column("quadratic_share", "cT²", _percent),
            Column("constant_milliseconds"),
            Column("latency", "Λ", number),
            Column("latency_lower"),
            Column("latency_upper"),
            Column("latency_from_batch"),
            Column("latency_from_length"),
            Column("latency_to_batch"),
            Column("latency_to_length"),
        ),
        _growths,
    ),
    "local-exponents": (
        "Growth between neighbouring lengths T, descriptive: α with 95 % intervals, unadjusted.",
        "measurements",
        (
            Column("what", "What", share=0.22),
            *MODEL,
            Column("batch", "Batch", _count),
            Column("from_length", "From T", _count),
            Column("to_length", "To T", _count),
            *EXPONENT,
        ),
        _local_exponents,
    ),
    "models": (
        "Models as they were built: width D, layers L, counted parameters, of all and of the body without embedding "
        "tables, FLOP per token of a forward pass over T tokens, and bytes of state of one sequence after T tokens.",
        "models",
        (
            Column("model"),
            Column("label", "Model", share=0.13),
            Column("task", "Task", share=0.13),
            Column("length", "T", _count),
            Column("width", "D", _count),
            Column("layers", "L", _count),
            Column("matched"),
            Column("parameters", "Parameters", _count),
            Column("body_parameters", "Body", _count),
            Column("flops_per_token", "FLOP/token", _count),
            Column("state_bytes", "State", _count),
            Column("implementation", "Implementation", share=0.1),
        ),
        _models,
    ),
    "text-scores": (
        "Real text, descriptive: bits per character, with the standard errors of seeds and of the test text, and the "
        "95 % interval of both together, unadjusted; then the difference to the LSTM on the same text.",
        "measurements",
        (
            *TRAINED_ON_TEXT,
            Column("n", "Seeds", _count),
            Column("failed"),
            Column("mean", "bit/character", number),
            *BOUNDS,
            Column("of_seeds", "SE seeds", number),
            Column("of_text", "SE text", number),
            Column("beside"),
            Column("difference", "Minus LSTM", number),
            Column("difference_lower"),
            Column("difference_upper"),
        ),
        _text_scores,
    ),
    "equal-seconds": (
        "Real text on equal seconds, descriptive: best validation bits per character when the fastest model of the "
        "group had used its whole budget, with the 95 % interval of seeds alone, unadjusted, and at the end of each "
        "budget.",
        "measurements",
        (
            *TRAINED_ON_TEXT,
            Column("place"),
            Column("step_milliseconds", "ms/step", number),
            Column("seconds", "Seconds", number),
            Column("steps", "Steps", _count),
            Column("n", "Seeds", _count),
            Column("failed"),
            Column("mean", "bit/character", number),
            *BOUNDS,
            Column("at_end", "At the end", number),
        ),
        _equal_seconds,
    ),
    "across-tasks": (
        "Across tasks, descriptive: the mean of the middle half of scores on tasks shared with the vanilla RNN, 95 % "
        "intervals. Rows with other tasks are comparable only with the vanilla RNN on the same tasks.",
        "measurements",
        (
            *MODEL,
            Column("tasks", "Tasks", _count),
            Column("scores", "Scores", _count),
            Column("iqm", "IQM", number),
            Column("iqm_lower", "Lower", number),
            Column("iqm_upper", "Upper", number),
            Column("vanilla_iqm", "Vanilla", number),
            Column("above_half"),
            Column("above_nine_tenths"),
            Column("solved", "Solved", _count),
            Column("solvable", "Of", _count),
            Column("better", "P(better)", number),
            Column("better_lower"),
            Column("better_upper"),
        ),
        _across,
    ),
    "learning-rates": (
        "Learning rates, found by trials on seeds that no verdict uses. D: the width, where matched the "
        "reference's. Robust: how many of the grid are as good.",
        "measurements",
        (
            *MODEL,
            Column("task", "Tuned on", share=0.14),
            Column("length", "T", _count),
            Column("sized"),
            Column("width", "D", _count),
            Column("seeds", "Seeds", _count),
            Column("rate", "Best rate", given),
            Column("at_edge", "At the edge"),
            Column("robust_width", "Robust", _count),
            Column("grid", "Of", _count),
            Column("expected_best", "Expected best", number),
            Column("note"),
        ),
        _rates,
    ),
    "learning-rate-trials": (
        "Every learning rate that was tried: the mean loss of the seeds that did not fail, lower is better. D: the "
        "width, where matched the reference's.",
        "measurements",
        (
            *MODEL,
            Column("task", "Tuned on", share=0.16),
            Column("length", "T", _count),
            Column("sized"),
            Column("width", "D", _count),
            Column("rate", "Rate", given),
            Column("loss", "Loss", number),
            Column("solved", "Solved"),
            Column("failed", "Failed", _count),
            Column("seeds", "Seeds", _count),
        ),
        _trials,
    ),
    "failures": (
        "Cells that did not end well, as many as the page lists.",
        "failures",
        (
            Column("task", "Task", share=0.14),
            Column("probe", "Probe", share=0.12),
            *MODEL,
            Column("length", "T", _count),
            Column("seed", "Seed", _count),
            Column("status", "Status"),
            Column("error", "Reason", share=0.28),
        ),
        _failures,
    ),
}
"""Every table by name: caption, anchor on the page, columns, and where its rows come from."""
