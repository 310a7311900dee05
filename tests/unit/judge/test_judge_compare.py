"""Studies side by side: each judged alone, differences told, times never pooled."""

import hashlib
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import judged_studies as studies
import numpy as np
import pytest
from typer.testing import CliRunner

from seqbench import plan, store
from seqbench.cli import app
from seqbench.errors import StoreError, UsageError
from seqbench.judge import table
from seqbench.judge.figures import decode_time, time_per_token
from seqbench.judge.report import cellwise, compare, effects, verdicts
from seqbench.judge.report.studies import DIFFER, SAME, agreed, alerts, side
from seqbench.judge.rules import Verdict

S, C, V, N = Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.VACUOUS, Verdict.NOT_TESTED
ELSEWHERE = studies.PLACE.model_copy(update={"machine": "another", "libraries": {"torch": "2.12.0"}})
C8 = studies.study(("C8",), seeds=5)
WORSE = studies.GOOD | {"bits": 1.9}


def side_by_side(*held, names=("one", "two", "three")):
    return compare.compare([(name, *pair) for name, pair in zip(names, held, strict=False)])


def changed(contents, change, only=lambda record: True):
    """Return the same records, with those of `only` changed."""
    pairs = [(name, change(record) if only(record) else record) for name, record in contents.records]
    return replace(contents, records=tuple(pairs))


def with_values(record, change):
    """Return a record whose every measurement is what `change` makes of it."""
    return record.model_copy(update={"measurements": tuple(change(item) for item in record.measurements)})


def on_disk(folder, study, contents):
    store.create_study(folder, study)
    for _, record in contents.records:
        store.save(folder, record)
    return folder


@pytest.fixture(scope="module")
def pair():
    """A whole study, and the same on another machine, with other truths and half of the recurrent text models."""
    return (
        (C8, studies.contents(C8)),
        (
            C8,
            studies.contents(
                C8,
                WORSE,
                seed=8,
                place=lambda _: ELSEWHERE,
                drop=lambda cell: cell.model == "gru" and cell.seed > 1001,
            ),
        ),
    )


@pytest.fixture(scope="module")
def comparison(pair):
    return side_by_side(*pair)


@pytest.fixture(scope="module")
def page(comparison):
    return compare.page(comparison)


def test_each_study_is_judged_on_its_own_records(pair, comparison):
    """A study says beside another what it says alone."""
    for each, (study, contents) in zip(comparison.sides, pair, strict=True):
        assert tuple(each.claims.values()) == verdicts.judge_study(study, contents)
    told = {side.claims["C8"].verdict for side in comparison.sides}
    assert len(told) == 2


def test_times_of_two_machines_are_not_pooled():
    """Each study keeps the rounds of its own panels, on the same machine too."""
    study = studies.study(("C4",), seeds=5)
    slow = changed(
        studies.contents(study, place=lambda _: ELSEWHERE, seed=9),
        lambda record: with_values(record, lambda item: item.model_copy(update={"value": 3 * item.value})),
    )
    both = side_by_side((study, studies.contents(study)), (study, slow))
    (row,) = [row for part in both.parts for row in part.atoms if row.name == "cpu/decoding"]
    assert [atom.n for atom in row.values] == [15, 15]
    assert any(
        alert.startswith("Different machines (cpu-2c in A; another in B): times are never") for alert in both.alerts
    )


class TestOneFolderOfTwoMachines:
    """A folder may hold records of two machines: what decides is of one of them."""

    STUDY = studies.study(("C4",), seeds=5)

    def atoms(self, contents):
        (claim,) = [found for found in verdicts.judge_study(self.STUDY, contents) if found.claim == "C4"]
        return {atom.name: atom for atom in claim.atoms}

    def test_where_both_ran_everything_the_one_that_finished_last_counts(self):
        """Its rounds alone make every ratio: as many as it has, with its effect and interval."""
        early = studies.contents(self.STUDY)
        later = changed(
            studies.contents(self.STUDY, studies.GOOD | {"decoding": -0.9}, place=lambda _: ELSEWHERE, seed=9),
            lambda record: record.model_copy(update={"finished": "2026-01-02T00:00:00+00:00"}),
        )
        both, alone = (self.atoms(held) for held in (store.Contents((*later.records, *early.records), ()), later))
        timed = [name for name, atom in alone.items() if atom.test == "rounds" and atom.n]
        assert len(timed) > 5
        for name in timed:
            assert (both[name].n, both[name].effect) == (15, alone[name].effect)
            assert (both[name].lower, both[name].upper) == (alone[name].lower, alone[name].upper)

    @pytest.mark.parametrize(("module", "probe"), [(time_per_token, "training_time"), (decode_time, "decode_time")])
    def test_no_line_joins_the_times_of_two_machines(self, module, probe):
        """A length that another machine timed stands on axes of its own, which say whose they are."""
        place = lambda cell: ELSEWHERE if cell.length == 64 else studies.PLACE  # noqa: E731
        tables = table.tables(self.STUDY, studies.contents(self.STUDY, place=place))
        frame = module.select(tables, self.STUDY)
        assert set(frame[frame[table.PROBE] == probe][table.MACHINE]) == {"another", "cpu-2c"}
        figure = module.draw(frame)
        of = {machine: frame[frame[table.MACHINE] == machine] for machine in ("another", "cpu-2c")}
        for axis in figure.axes:
            (machine,) = [name for name in of if f"of {name}" in axis.get_title(loc="left")]
            drawn = {float(at) for line in axis.lines for at in line.get_xdata()}
            assert drawn <= set(map(float, of[machine][table.LENGTH]))

    def test_one_machine_is_not_named_in_titles(self):
        """Where all ran on one machine its device is enough."""
        tables = table.tables(self.STUDY, studies.contents(self.STUDY))
        titles = [axis.get_title(loc="left") for axis in decode_time.draw(decode_time.select(tables, self.STUDY)).axes]
        assert all(title.endswith("on cpu") for title in titles)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"A": S, "B": S}, SAME),
        ({"A": S, "B": C}, DIFFER),
        ({"A": S, "B": V}, DIFFER),
        ({"A": S, "B": N, "C": S}, "tested in A, C alone"),
        ({"A": S, "B": N, "C": C}, DIFFER),
        ({"A": N, "B": N}, "not tested"),
    ],
)
def test_agreement_is_told_in_words(words, expected):
    """Two verdicts differ only where both studies tested."""
    assert agreed(words) == expected


def test_verdicts_that_differ_are_marked(comparison, page):
    """The mark is a sign and a word beside the row."""
    (row,) = [row for row in comparison.rows if row.name == "C8"]
    assert row.agreement == DIFFER
    assert '<span class="differs">≠ differ</span>' in page


def test_what_is_unfinished_is_shown_pale(comparison, page):
    """The claim stands with what there is, pale and with a count; an alert says how much is missing."""
    whole, part = (side.claims["C8"] for side in comparison.sides)
    assert (whole.ran, part.ran) == (whole.planned, whole.planned - 3)
    assert re.search(rf'<td class="pale"><span class="badge[^\n]*{part.ran} of {part.planned} cells ran</span>', page)
    assert any(
        re.match(r"B is unfinished: 3 of \d+ planned cells have no record yet", text) for text in comparison.alerts
    )
    assert not any(text.startswith("A is unfinished") for text in comparison.alerts)


def test_a_study_without_any_record_is_shown_too():
    """Nothing has been measured: everything is not tested, nothing fails."""
    both = side_by_side((C8, studies.contents(C8)), (C8, store.Contents((), ())))
    assert both.sides[1].claims["C8"].verdict is N
    assert "no hypothesis has a value" not in compare.page(both)
    assert both.agreements[0].share is None


def test_the_order_given_is_the_order_of_columns(pair, comparison):
    """Studies keep their places; another order is another comparison."""
    other = side_by_side(*reversed(pair), names=("two", "one"))
    assert [(side.letter, side.name) for side in other.sides] == [("A", "two"), ("B", "one")]
    assert [row.values[::-1] for row in other.rows] == [row.values for row in comparison.rows]
    assert other.id != comparison.id


def test_the_same_records_give_the_same_bytes(pair, comparison, tmp_path):
    """Neither the order of records nor a second call changes a byte of any file."""
    again = side_by_side(*((study, studies.shuffled(contents)) for study, contents in pair))
    folders = [compare.write(one, tmp_path / name).parent for name, one in (("x", comparison), ("y", again))]
    written = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    ]
    assert written[0] == written[1]
    assert again.id == comparison.id


def test_three_studies_make_three_pairs(pair):
    """Every pair is compared cell by cell, and every study has a column."""
    three = side_by_side(*pair, (C8, studies.contents(C8, seed=11)))
    assert [(found.one, found.other) for found in three.agreements] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert all(len(row.values) == 3 for row in (*three.rows, *three.facts, *three.sizes))


class TestDifferencesAreTold:
    """Alerts name what differs and where."""

    def alerts(self, study, contents=None):
        other = side("B", "two", study, contents or studies.contents(study, seed=9))
        return tuple(alerts((side("A", "one", C8, studies.contents(C8)), other)))

    def test_nothing_differs(self):
        """Only the machine is named, and that both suites are their author's own."""
        found, *rest = self.alerts(C8)
        assert found == (
            "Same machine (cpu-2c): even so times are never pooled, only ratios within a panel are put side by side."
        )
        assert [text.partition(":")[0] for text in rest] == ["A is exploratory", "B is exploratory"]

    def test_pre_registration(self):
        """Verdicts of other tests are not the same question; claims are told apart."""
        found = self.alerts(studies.study(("C1", "C8"), seeds=5))
        (told,) = [text for text in found if text.startswith("Different pre-registration (")]
        assert "verdicts are not of the same test. Claims the same to the letter: C8; not in every study: C1." in told

    def test_margins(self):
        """A claim with another margin is fixed differently."""
        rules = C8.preregistration
        claim = rules.claims["C8"]
        atoms = {
            name: atom.model_copy(update={"support": atom.support and 2 * atom.support})
            for name, atom in claim.atoms.items()
        }
        other = rules.model_copy(update={"claims": {"C8": claim.model_copy(update={"atoms": atoms})}})
        study = C8.model_copy(update={"preregistration": other, "preregistration_sha256": other.sha256})
        assert any("Claims fixed differently: C8." in text for text in self.alerts(study))

    def test_measurement_version(self):
        """What was measured in another way is said to be."""
        study = C8.model_copy(update={"measurement_version": C8.measurement_version - 1})
        expected = f"Different measurement version ({C8.measurement_version} in A; {C8.measurement_version - 1} in B)"
        assert any(text.startswith(expected) for text in self.alerts(study))

    def test_libraries(self):
        """A library is named with both versions."""
        found = self.alerts(C8, studies.contents(C8, place=lambda _: ELSEWHERE))
        assert any(text.startswith("Different library versions: torch 2.13.0 in A; 2.12.0 in B.") for text in found)

    def test_seeds_and_cells(self):
        """Fewer seeds are fewer cells in common."""
        found = self.alerts(studies.study(("C8",), seeds=3))
        assert "Different seeds (1000 to 1004 in A; 1000 to 1002 in B)." in found
        assert any(
            re.match(r"A and B plan \d+ cells in common; \d+ cells stand in A alone, \d+ cells in B", text)
            for text in found
        )

    def test_texts(self):
        """The text is named by its whole hash."""
        text = studies.corpus()
        found = self.alerts(studies.study(("C8",), seeds=5, text=text))
        assert any(text.sha256 in told for told in found if told.startswith("Different texts (none in A; tales"))

    def test_task_cards(self):
        """Two cards of one name are not one task."""
        cards = {name: card.model_copy(update={"why": "changed"}) for name, card in C8.cards.items()}
        found = self.alerts(C8.model_copy(update={"cards": cards}))
        assert any(text.startswith("Different task cards of one name: chronicle") for text in found)

    def test_exploratory_studies(self):
        """Development seeds are named with the study that has them."""
        found = self.alerts(studies.study(("C8",), seeds=5, development=True))
        assert any(text.startswith("B is exploratory: it ran on development seeds") for text in found)

    def test_several_machines_in_one_study(self):
        """One folder may hold records of two machines; that is told, with what counts."""
        two = studies.contents(C8, place=lambda cell: ELSEWHERE if cell.seed == 1001 else studies.PLACE, seed=9)
        assert any(text.startswith("Cells of B ran on 2 machines: another, cpu-2c.") for text in self.alerts(C8, two))


class TestCellByCell:
    """Determinism across machines: what is the same cell should have the same numbers."""

    def agreement(self, change, only=lambda record: record.cell.seed == 1002):
        held = studies.contents(C8)
        return side_by_side((C8, held), (C8, changed(held, change, only))).agreements[0]

    def test_equal_to_the_last_bit(self):
        """Another machine with the same numbers agrees in every cell."""
        found = self.agreement(lambda record: record.model_copy(update={"environment": ELSEWHERE}))
        assert (found.numbers, found.share, found.differing) == (found.equal, 1.0, 0)
        assert found.numbers > 0

    def test_one_unit_in_the_last_place_is_a_difference(self):
        """The smallest change of one number is counted, and told with every digit."""

        def nudge(item):
            near = float(np.nextafter(item.value, math.inf))
            return item.model_copy(update={"value": near}) if item.name == "bits_per_character" else item

        found = self.agreement(lambda record: with_values(record, nudge))
        cells = {item.fingerprint for item in found.differences}
        assert (found.differing, found.equal) == (len(cells), found.numbers - len(cells))
        assert len(cells) == 4
        assert {item.what for item in found.differences} == {"bits_per_character"}
        assert all(item.one != item.other and 0 < item.relative < 1e-15 for item in found.differences)

    def test_a_series_is_compared_too(self):
        """The same value with another series is another number, told by its most different point."""

        def bend(item):
            if item.name != "training_loss":
                return item
            series = item.series.model_copy(update={"values": (*item.series.values[:-1], 2 * item.series.values[-1])})
            return item.model_copy(update={"series": series})

        found = self.agreement(lambda record: with_values(record, bend))
        assert {(item.what, item.relative) for item in found.differences} == {("training_loss", 0.5)}

    def test_a_status_is_compared_too(self):
        """A cell that failed elsewhere differs, and has no relative difference."""
        found = self.agreement(lambda record: record.model_copy(update={"status": "timeout"}))
        assert ("status", None) in {(item.what, item.relative) for item in found.differences}

    def test_nan_equals_nan_and_zero_is_not_minus_zero(self):
        """Bits are compared, not numbers."""
        record = studies.contents(C8).records[0][1]

        def valued(value):
            return with_values(record, lambda item: item.model_copy(update={"value": value}))

        assert list(cellwise.differences("f", valued(math.nan), valued(math.nan))) == []
        assert len(list(cellwise.differences("f", valued(0.0), valued(-0.0)))) == len(record.measurements)

    def test_a_measurement_in_one_record_alone(self):
        """What the other lacks is a difference, shown as a dash."""
        record = studies.contents(C8).records[0][1]
        shorter = record.model_copy(update={"measurements": record.measurements[1:]})
        (found,) = cellwise.differences("f", record, shorter)
        assert (found.what, found.other, found.relative) == (record.measurements[0].name, "–", None)

    def test_timed_cells_are_not_compared(self):
        """No two times are equal: they are in no count."""
        study = studies.study(("C4",), seeds=2)
        planned = {entry.fingerprint: entry for entry in plan.planned(study)}
        one, other = (table.accepted(study, studies.contents(study, seed=seed)) for seed in (7, 9))
        found = cellwise.agreement(("A", planned, one), ("B", planned, other))
        untimed = sum(not entry.cell.timing for entry in planned.values())
        assert (found.shared, found.measured, found.differences) == (untimed, untimed, ())
        assert untimed < len(planned)

    def test_cells_of_one_study_alone_are_counted(self):
        """Fewer seeds: what the larger study has more is counted there."""
        small = studies.study(("C8",), seeds=3)
        found = side_by_side((C8, studies.contents(C8)), (small, studies.contents(small))).agreements[0]
        planned = [len(plan.planned(study)) for study in (C8, small)]
        assert (found.shared, found.only_one, found.only_other) == (planned[1], planned[0] - planned[1], 0)


def test_models_that_were_built_otherwise_are_marked():
    """A size that differs by study is marked; the others are the same."""
    held = studies.contents(C8)
    facts = {"model": held.records[0][1].model.model_copy(update={"parameters": 5001})}
    other = changed(held, lambda record: record.model_copy(update=facts), lambda record: record.cell.model == "rnn")
    rows = side_by_side((C8, held), (C8, other)).sizes
    assert {row.name.split(":")[0] for row in rows if row.differs} == {"chronicle", "uniform_tokens"}
    assert all(("RNN" in row.name) == row.differs for row in rows)
    assert next(row.values for row in rows if row.differs) == (
        "5000 parameters, 64 × 1, fused",
        "5001 parameters, 64 × 1, fused",
    )


class TestForest:
    """The figure of effects by study."""

    def test_a_mark_per_study_and_hypothesis(self, comparison):
        """Every effect of the page is in the data behind its figure."""
        frame = effects.select({side.letter: side.claims["C8"] for side in comparison.sides})
        told = [
            (row["study"], row["atom"], row["effect"])
            for row in frame.to_dict("records")
            if row["n"] and row["effect"] == row["effect"]
        ]
        known = [
            (side.letter, atom.name, atom.effect)
            for side in comparison.sides
            for atom in side.claims["C8"].atoms
            if atom.effect is not None
        ]
        assert told == known

    def test_incomplete_claims_are_hollow(self, comparison):
        """Whole studies have full markers, unfinished ones hollow and paler ones."""
        figure = effects.draw(effects.select({side.letter: side.claims["C8"] for side in comparison.sides}))
        marks = {
            (line.get_color(), line.get_fillstyle(), line.get_alpha())
            for axis in figure.axes
            for line in axis.lines
            if line.get_marker() not in ("None", "")
        }
        colours = {letter: look[0] for letter, look in effects.LOOKS.items()}
        assert marks == {(colours["A"], "full", 1.0), (colours["B"], "none", 0.55)}

    def test_a_study_looks_the_same_in_every_figure(self, comparison):
        """B without A is drawn as B."""
        figure = effects.draw(effects.select({"B": comparison.sides[1].claims["C8"]}))
        assert effects.LOOKS["B"][0] in {line.get_color() for axis in figure.axes for line in axis.lines}
        assert effects.LOOKS["A"][0] not in {line.get_color() for axis in figure.axes for line in axis.lines}

    def test_studies_differ_without_colour(self):
        """Eight studies, eight markers, eight colours."""
        assert [len(set(part)) for part in zip(*effects.LOOKS.values(), strict=True)] == [8, 8]


class Outline(HTMLParser):
    """Tags with attributes, ids, and references of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.references += [found[key] for key in ("href", "src", "xlink:href") if found.get(key)]


def test_the_page_asks_nobody_and_its_ids_are_unique(page):
    """No reference leaves the folder, every one inside has its target, every table a caption."""
    outline = Outline(page)
    tags = [tag for tag, _ in outline.tags]
    assert [ref for ref in outline.references if not re.match(r"#|data/|claims\.json|provenance\.json", ref)] == []
    assert "script" not in tags
    assert len(outline.ids) == len(set(outline.ids))
    assert {ref[1:] for ref in outline.references if ref.startswith("#")} <= set(outline.ids)
    assert tags.count("caption") == tags.count("table")


def test_hostile_names_stay_text(pair):
    """A folder may be called as it likes."""
    hostile = '<script>"$x_{'
    text = compare.page(side_by_side(*pair, names=(hostile, "two")))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_data_stand_beside_the_page_with_their_hash(comparison, tmp_path):
    """Every CSV has the sha256 that page and provenance print; claims.json has a list of claims per study."""
    page = compare.write(comparison, tmp_path)
    hashes = json.loads((tmp_path / "provenance.json").read_text())["data"]
    files = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "data").glob("*.csv")}
    assert hashes == files
    assert all(digest in page.read_text() for digest in files.values())
    told = json.loads((tmp_path / "claims.json").read_text())
    assert [(entry["study"], entry["name"]) for entry in told] == [("A", "one"), ("B", "two")]
    for entry, each in zip(told, comparison.sides, strict=True):
        assert entry["claims"] == verdicts.as_json(tuple(each.claims.values()))


def test_a_folder_that_cannot_be_written_is_named(comparison, tmp_path):
    """The error says which folder, why, and what to do."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreError, match=r"file cannot be written \(File exists\); give another --out"):
        compare.write(comparison, blocked)


class TestFolders:
    """What may be given."""

    SMALL = studies.study(("C8",), seeds=1)

    def folder(self, tmp_path, name, seed=7):
        return on_disk(tmp_path / name, self.SMALL, studies.contents(self.SMALL, seed=seed))

    def test_a_folder_given_twice(self, tmp_path):
        """Also by another way to it."""
        one = self.folder(tmp_path, "one")
        with pytest.raises(UsageError, match=r"/two/\.\./one is given twice; give each study once$"):
            compare.compare_folders([one, tmp_path / "two" / ".." / "one"])

    def test_a_copy_of_a_study(self, tmp_path):
        """The same plan with the same records is the same study, wherever it lies."""
        folders = [self.folder(tmp_path, name) for name in ("one", "two")]
        with pytest.raises(UsageError, match=r"^one and two hold the same study with the same records; give each"):
            compare.compare_folders(folders)

    def test_a_folder_without_a_study(self, tmp_path):
        """It is the error of every command."""
        one = self.folder(tmp_path, "one")
        with pytest.raises(StoreError, match=r"two holds no study; make one with: seqbench run"):
            compare.compare_folders([one, tmp_path / "two"])

    @pytest.mark.parametrize("count", [1, 9])
    def test_too_few_and_too_many(self, tmp_path, count):
        """Two to eight."""
        with pytest.raises(UsageError, match=rf"^{count} studies given; compare 2 to 8, with one --results for each$"):
            compare.compare_folders([tmp_path / str(number) for number in range(count)])

    def test_the_command_takes_several_results(self, tmp_path, monkeypatch):
        """Two studies go to reports/<a>-vs-<b>, one alone to reports/<a>."""
        monkeypatch.chdir(tmp_path)
        for name, seed in (("one", 7), ("two", 8)):
            self.folder(tmp_path, name, seed)
        found = CliRunner().invoke(app, ["report", "--results", "one", "--results", "two"])
        assert (found.exit_code, found.stdout) == (0, "reports/one-vs-two/index.html\n")
        assert "2 studies side by side" in (tmp_path / "reports/one-vs-two/index.html").read_text()

    def test_the_command_with_one_study_is_as_ever(self, tmp_path, monkeypatch):
        """One study is no comparison."""
        monkeypatch.chdir(tmp_path)
        self.folder(tmp_path, "one")
        found = CliRunner().invoke(app, ["report", "--results", "one"])
        assert (found.exit_code, found.stdout) == (0, "reports/one/index.html\n")
        assert "side by side" not in (tmp_path / "reports/one/index.html").read_text()
