"""The tables of outside facts are complete, and other people's tables are read with care."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

import pytest

from ponder.core import Shape
from ponder.data import rows as data_rows
from ponder.data import table
from ponder.data.check import check_all, check_rows, figures
from ponder.data.epoch import import_epoch
from ponder.data.rows import figure, named, row, rows, tables
from ponder.errors import ConfigError, InputError, UnknownName
from ponder.flop import parameters
from ponder.govern.assumptions import published

SHARED = Path(__file__).parents[2] / "shared" / "data"
FACTS = ("chips", "published_models", "rates", "rules", "exchange", "models")

MODEL = {
    "Model": "Test 7B",
    "Domain": "Language",
    "Publication date": "2025-01-02",
    "Parameters": "7e9",
    "Training compute (FLOP)": "8.4e22",
    "Training dataset size (datapoints)": "2e12",
    "Confidence": "Confident",
}
CHIP = {
    "Hardware name": "NVIDIA GeForce RTX 9990",
    "Release date": "2025-01-02",
    "Tensor-FP16/BF16 performance (FLOP/s)": "1.6e14",
    "FP8 performance (FLOP/s)": "3.2e14",
    "FP32 (single precision) performance (FLOP/s)": "8e13",
    "Memory (bytes)": "2.4e10",
    "Memory bandwidth (byte/s)": "1e12",
    "TDP (W)": "450",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, which is empty."""
    path = tmp_path / "data"
    monkeypatch.setattr("ponder.data.rows.user_folder", lambda: path)
    monkeypatch.setattr("ponder.data.epoch.user_folder", lambda: path)
    return path


def written(path: Path, *lines: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


# ---------------------------------------------------------------- completeness


def test_no_figure_of_the_package_lacks_anything(folder: Path) -> None:
    assert check_all() == []
    assert set(FACTS) <= set(tables())
    for name in FACTS:
        assert list(figures(table(name))), name


WHOLE = {
    "value": 2.0,
    "low": 1.0,
    "high": 3.0,
    "unit": "W",
    "source": "A",
    "date": "2025-01-31",
    "confidence": "low",
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": None}, "source missing"),
        ({"source": " "}, "source missing"),
        ({"unit": None, "date": None}, "unit and date missing"),
        ({"confidence": "sure"}, "none of high, medium, low"),
        ({"date": "2025-02-30"}, "is no date"),
        ({"date": "January"}, "is no date"),
        ({"low": 2.5}, "do not rise"),
        ({"high": 1.5}, "do not rise"),
        ({"low": None}, "two ends"),
        ({"low": None, "high": None}, "point = true"),
        ({"value": "many", "low": None, "high": None}, "no exact number"),
        ({"low": True}, "must be numbers"),
    ],
)
def test_a_defect_is_found(change: dict[str, Any], says: str) -> None:
    broken = {key: value for key, value in {**WHOLE, **change}.items() if value is not None}
    assert check_rows("x", {"good": WHOLE}) == []
    (said,) = check_rows("x", {"row": {"part": [broken]}})
    assert said.startswith("x: row.part[0]: ")
    assert says in said


def test_a_figure_has_its_rows_provenance_unless_it_has_its_own() -> None:
    told = {"date": "2025", "confidence": "high", "point": True}
    own = {"bf16": {"value": 1, "source": "B"}, "shape": {"source": "C", "layers": 3}}
    of = {**told, **own, "source": "A"}
    assert figure(of, "bf16") == {**told, "value": 1, "source": "B"}
    layers = figure(of, "shape.layers")
    assert layers is not None
    assert (layers["value"], layers["source"], layers["date"]) == (3, "C", "2025")
    assert figure(of, "fp8") is None
    assert figure(of, "bf16.value.x") is None


# ---------------------------------------------------------------- what the rows say


def test_shapes_have_as_many_parameters_as_their_models() -> None:
    checked = 0
    for key, of in table("published_models").items():
        shape = {name: value for name, value in of.get("shape", {}).items() if name != "source"}
        if not shape or "latent" in shape:
            continue
        known = of["parameters"]["value"]
        assert parameters(Shape(**shape), active=False) == pytest.approx(known, rel=0.015), key
        if "active_parameters" in of:
            active = of["active_parameters"]["value"]
            assert parameters(Shape(**shape)) == pytest.approx(active, rel=0.03), key
        checked += 1
    assert checked >= 30


def test_training_flop_hold_six_flop_a_parameter_and_token() -> None:
    """Within the interval, wherever both are published; Grok-like rows have no tokens."""
    for key, of in table("published_models").items():
        if "training_tokens" not in of or "parameters" not in of:
            continue
        active = of.get("active_parameters", of["parameters"])["value"]
        told = 6 * active * of["training_tokens"]["value"]
        assert of["training_flop"]["low"] <= told <= of["training_flop"]["high"], key


def test_a_4090_does_half_of_what_tables_list_with_sums_in_32_bits() -> None:
    chip = row("chips", "RTX 4090")
    assert chip["bf16"]["value"] == pytest.approx(chip["fp16_accumulate"]["value"] / 2, rel=0.01)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("algorithmic_doubling", 4.5, 14.3), ("hardware_doubling", 1.54, 3.13)]
)
def test_a_published_interval_of_95_percent_is_drawn_in_to_90(name: str, low: float, high: float) -> None:
    told = row("rates", name)
    for end, given in ((told["low"], low), (told["high"], high)):
        drawn_in = told["value"] * (given / told["value"]) ** (1.645 / 1.960)
        assert end == pytest.approx(drawn_in, rel=0.01)
    assert f"95 % interval of {low:g} to {high:g}" in told["note"]


@pytest.mark.parametrize("name", ["scaffold_gain", "hidden_share", "gain_spread"])
def test_a_value_that_no_source_prints_is_an_assumption(name: str) -> None:
    assert published(row("rates", name)) == "assumed"


def test_serving_is_assumed_to_reach_what_training_does() -> None:
    told, trained = figure(row("scale", "use"), "compute"), row("rates", "training_utilisation")
    assert told is not None
    assert [told[key] for key in ("value", "low", "high")] == [
        trained[key] for key in ("value", "low", "high")
    ]
    assert published(told) == "assumed"
    assert published(trained) == "published"


def test_a_row_is_found_by_any_of_its_names(folder: Path) -> None:
    assert named("chips", "H100") == named("chips", "NVIDIA H100 SXM5 80GB") == "h100-sxm"
    assert named("published_models", "Llama 3.1 405B") == "llama-3.1-405b"
    with pytest.raises(UnknownName, match="Unknown chip 'h10': did you mean h"):
        named("chips", "H10")


def test_every_name_of_a_row_is_its_own() -> None:
    for name in ("chips", "published_models"):
        seen: dict[str, str] = {}
        for key, of in table(name).items():
            for each in {data_rows.folded(said) for said in (key, of["title"], *of.get("also", ()))}:
                assert seen.setdefault(each, key) == key, each


# ---------------------------------------------------------------- the user's rows


def test_the_users_rows_add_and_override(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "chips.toml").write_text("[h100-sxm]\ntdp = { value = 5 }\n[mine]\ntdp = { value = 7 }\n")
    assert row("chips", "h100-sxm")["tdp"] == {"value": 5}
    assert row("chips", "h100-sxm")["memory"]["value"] == 80e9
    assert row("chips", "mine") == {"tdp": {"value": 7}}
    assert any("your chips: mine.tdp" in each for each in check_all())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[h100\n", "cannot be read"),
        ("h100 = 3\n", "h100 must be a row"),
        ("[mine]\ntdp = { value = nan }\n", r"mine\.tdp\.value is nan"),
        ("[mine]\ntdp = [{ value = 5, high = inf }]\n", r"mine\.tdp\.0\.high is inf"),
        ("[mine]\nalso = 'another'\n", r"mine\.also must be a list"),
    ],
)
def test_a_data_file_that_cannot_be_read_is_named(folder: Path, text: str, says: str) -> None:
    folder.mkdir(parents=True)
    (folder / "chips.toml").write_text(text)
    with pytest.raises(ConfigError, match=rf"data file .*chips\.toml.*{says}"):
        rows("chips")


# ---------------------------------------------------------------- Epoch's tables


def test_a_model_is_imported_with_its_class_as_the_interval(folder: Path, tmp_path: Path) -> None:
    found = import_epoch(written(tmp_path / "m.csv", MODEL))
    assert (found.table, found.flags) == ("published_models", ())
    of = row("published_models", "Test 7B")
    assert of["parameters"]["value"] == 7e9
    flop = of["training_flop"]
    assert (flop["low"], flop["high"]) == pytest.approx((2.8e22, 2.52e23))
    assert flop["confidence"] == "high"
    assert "CC BY 4.0" in flop["source"]
    assert check_rows("x", found.rows) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Parameters": "70e9"}, "its name says 7B"),
        ({"Model": "Nothing 0B"}, "its name says 0B"),
        ({"Model": "V4-Flash", "Parameters": "2.84e8", "Training compute (FLOP)": "2.5e24",
          "Training dataset size (datapoints)": "3.2e13"}, "one of the three is wrong"),
        ({"Parameters": "-7e9"}, "no number above zero"),
        ({"Parameters": "nan"}, "no number above zero"),
        ({"Parameters": "1e301"}, "no number above zero and below 1e+100"),
        ({"Parameters": "seven"}, "no number above zero"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_are_flagged_and_left_out(
    folder: Path, tmp_path: Path, change: dict[str, str], says: str
) -> None:
    found = import_epoch(written(tmp_path / "m.csv", {**MODEL, **change}))
    assert [says in each for each in found.flags] == [True]
    (of,) = found.rows.values()
    assert "parameters" not in of
    assert "training_flop" in of


def test_bounds_are_epochs_own_where_they_hold_the_value(folder: Path, tmp_path: Path) -> None:
    bounds = {"Training compute lower bound": "5e22", "Training compute upper bound": "1e23"}
    wrong = {"Training compute lower bound": "1e23", "Training compute upper bound": "5e22"}
    lines = {**MODEL, **bounds}, {**MODEL, **wrong, "Model": "Other"}
    found = import_epoch(written(tmp_path / "m.csv", *lines))
    good, bad = (of["training_flop"] for of in found.rows.values())
    assert (good["low"], good["high"]) == (5e22, 1e23)
    assert (bad["low"], bad["high"]) == pytest.approx((2.8e22, 2.52e23))
    assert len(found.flags) == 1
    assert "do not hold" in found.flags[0]


def test_a_geforce_rate_that_sums_in_16_bits_is_flagged(folder: Path, tmp_path: Path) -> None:
    high = {**CHIP, "Hardware name": "NVIDIA GeForce RTX 9999"}
    high["Tensor-FP16/BF16 performance (FLOP/s)"] = "3.2e14"
    found = import_epoch(written(tmp_path / "c.csv", CHIP, high))
    assert found.table == "chips"
    assert len(found.flags) == 1
    assert "sums in 16 bits" in found.flags[0]
    assert "bf16" in row("chips", "NVIDIA GeForce RTX 9990")
    assert "bf16" not in row("chips", "NVIDIA GeForce RTX 9999")


def test_a_packaged_row_keeps_what_an_import_flags(folder: Path, tmp_path: Path) -> None:
    import_epoch(written(tmp_path / "m.csv", {**MODEL, "Model": "Llama 2-7B", "Parameters": "70e9"}))
    of = row("published_models", "llama-2-7b")
    assert of["parameters"]["value"] == pytest.approx(6.7e9, rel=0.01)
    assert "m.csv" in of["training_flop"]["source"]


def test_a_hostile_name_is_only_a_text(folder: Path, tmp_path: Path) -> None:
    name = 'x"]\n[h100-sxm]\ntdp = 3 #\x7f\\ é 🎲'
    import_epoch(written(tmp_path / "m.csv", {**MODEL, "Model": name}))
    (key,) = set(rows("published_models")) - set(table("published_models"))
    assert row("published_models", key)["title"] == name.strip()


def test_a_second_import_keeps_the_first(folder: Path, tmp_path: Path) -> None:
    import_epoch(written(tmp_path / "a.csv", MODEL))
    import_epoch(written(tmp_path / "b.csv", {**MODEL, "Model": "Other 7B"}))
    assert {"test-7b", "other-7b"} <= set(rows("published_models"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"Model,Parameters\nx,7\n", "lacks the columns Publication date, Training compute"),
        (b"Hardware name,TDP (W)\nx,7\n", "for one of chips it lacks the columns Release date, Tensor-FP16"),
        (b"", "lacks the columns"),
        (b"\xff\xfe\x00", "cannot be read as CSV"),
        (b'Model\n"' + b"x" * (2 << 20), "cannot be read as CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused(folder: Path, tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(says)):
        import_epoch(tmp_path / "f.csv")
    assert not folder.exists()


def test_a_missing_file_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as CSV"):
        import_epoch(tmp_path / "none.csv")


@pytest.mark.skipif(not SHARED.is_dir(), reason="Epoch AI's tables are not on this machine")
@pytest.mark.parametrize(
    ("file", "kind", "least", "flagged"),
    [
        ("epoch_all_systems_2025-03.csv", "published_models", 1500, "Llama 2-7B"),
        ("epoch_large_scale_2025-05.csv", "published_models", 250, "InternLM"),
        ("epoch_ml_hardware.csv", "chips", 160, "NVIDIA GeForce RTX 4090"),
        ("epoch_company_spend_2025-12.csv", "spend", 11, None),
    ],
)
def test_epochs_own_files_are_read(
    folder: Path, file: str, kind: str, least: int, flagged: str | None
) -> None:
    found = import_epoch(SHARED / file)
    assert found.table == kind
    assert len(found.rows) >= least
    assert check_rows(kind, found.rows) == []
    assert flagged is None or any(each.startswith(flagged) for each in found.flags)
    values = [each["value"] for _, each in figures(data_rows.read_rows(found.path))]
    assert len(values) >= least
    assert all(math.isfinite(each) and each > 0 for each in values)


@pytest.mark.skipif(not SHARED.is_dir(), reason="Epoch AI's tables are not on this machine")
def test_the_packaged_chips_are_epochs(folder: Path) -> None:
    packaged = table("chips")
    for key, of in import_epoch(SHARED / "epoch_ml_hardware.csv").rows.items():
        for name, each in of.items():
            own = packaged.get(key, {}).get(name)
            if isinstance(each, dict) and own is not None and "source" not in own:
                assert own["value"] == pytest.approx(each["value"], rel=1e-3), (key, name)
