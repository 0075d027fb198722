"""Numbers as lines, and what is said of them in words."""

import pytest

from examples.posterior.table import caption, head, markdown, row, verdict

NUMBERS = {
    "image": 7,
    "rhat": 1.0123,
    "ess": 345.6,
    "divergences": 0,
    "loc_difference": {"rms": 0.25, "largest": 0.7},
    "scale_ratio": {"median": 0.9, "smallest": 0.4, "largest": 1.1},
    "elbo": {"value": -110.0, "standard_error": 0.1},
    "best_elbo": {"value": -108.0, "standard_error": 0.1},
    "log_evidence": {"value": -105.0, "standard_error": 0.2},
    "annealed_log_evidence": {"value": -105.5, "standard_error": None},
    "khat": 0.4,
    "approximation_gap": {"value": 3.0, "standard_error": 0.22},
    "amortization_gap": {"value": 2.0, "standard_error": 0.05},
    "seconds": 300.2,
}


def test_columns_are_aligned():
    assert len(head()) == len(row(NUMBERS)) == len(row({**NUMBERS, "image": 12, "rhat": None, "khat": None}))
    assert row(NUMBERS).split()[:6] == ["7", "1.012", "346", "0.25", "0.90", "0.40"]
    assert "-110.00 +- 0.10" in row(NUMBERS)
    assert row({**NUMBERS, "rhat": None}).split()[1] == "-"


def test_markdown_has_as_many_cells_in_every_line():
    lines = markdown([NUMBERS, NUMBERS]).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| 3.00 ± 0.22 | 2.00 ± 0.05 |" in lines[2]


def test_a_caption_names_image_rhat_and_gaps():
    assert caption(NUMBERS) == (
        "test image 7: r-hat 1.012, approximation gap 3.00 ± 0.22, amortization gap 2.00 ± 0.05 nats"
    )


def test_all_well():
    assert verdict([NUMBERS]).splitlines() == [
        "r-hat is at most 1.05 for 1 of 1 images",
        "k-hat of log p(x) is at most 0.7 for 1 of 1",
        "divergent transitions: 0",
    ]


@pytest.mark.parametrize("rhat", [1.06, None])
def test_chains_that_disagree_are_named(rhat: float | None):
    lines = verdict([NUMBERS, {**NUMBERS, "image": 9, "rhat": rhat, "divergences": 3}]).splitlines()
    assert lines[0].startswith("r-hat is at most 1.05 for 1 of 2 images; not for 9: their chains disagree")
    assert lines[2] == "divergent transitions: 3"


@pytest.mark.parametrize("khat", [0.71, None])
def test_weights_that_cannot_be_trusted_are_named(khat: float | None):
    lines = verdict([{**NUMBERS, "image": 2, "khat": khat}, NUMBERS]).splitlines()
    assert lines[1].startswith("k-hat of log p(x) is at most 0.7 for 1 of 2; not for 2: a few weights decide")


def test_an_evidence_below_its_bound_is_called_out():
    low = {**NUMBERS, "image": 3, "log_evidence": {"value": -110.0, "standard_error": 0.2}}
    lines = verdict([NUMBERS, low]).splitlines()
    assert lines[2].startswith("log p(x) came out below the best bound for 3, which cannot be")
    unknown = {**NUMBERS, "log_evidence": {"value": None, "standard_error": None}}
    assert "below the best bound" not in verdict([NUMBERS, unknown])
