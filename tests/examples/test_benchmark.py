"""The benchmark: its keys, its fit, and that its reference is the engine's equal."""

import json
from collections.abc import Callable

import pytest
import torch
from lightning_fabric import Fabric

from examples.benchmarking.growth import BATCH, few, fit, growth_lines, last_exponent
from examples.benchmarking.subjects import SETTINGS, ReferenceRNP, build_subject
from models import MODELS
from rnp_pyro.build import build_tree
from rnp_pyro.config import ModelConfig
from rnp_pyro.errors import UserError
from rnp_pyro.tree import Tree

SUBJECTS = {"rnp2", "rnp2 plain loop", "rnp2 ladder", "rnp2 feedback", "rnp3", "reference", "vae"}


@pytest.mark.thorough
def test_keys_and_table(call, tmp_path):
    arguments = "--batch_size=2", "--rounds=2", "--growth=false", f"--json={tmp_path / 'b.json'}"
    lines = call("benchmark", *arguments, f"--figure={tmp_path / 'b.png'}").lines
    numbers = json.loads((tmp_path / "b.json").read_text())
    for key in ("train_images_per_second", "decode_images_per_second", "peak_memory_mib", "ratio_to_vae"):
        assert set(numbers[key]) == SUBJECTS
        assert all(value > 0 for value in numbers[key].values())
    assert numbers["ratio_to_vae"]["vae"] == 1
    assert any("times the plain loop's rate" in line for line in lines)
    assert numbers["exponents"] == {}
    assert {"processor", "threads", "precision", "torch", "python"} <= set(numbers["machine"])
    assert [line.split(" | ")[0] for line in lines[4 : 4 + len(SUBJECTS)]] == [f"| {name}" for name in SETTINGS]
    assert (tmp_path / "b.png").stat().st_size > 1000


@pytest.mark.slow
def test_growth_is_measured_and_drawn(call, tmp_path):
    threads = torch.get_num_threads()
    arguments = "--batch_size=2", "--rounds=2", "--quick=true", "--threads=1", f"--json={tmp_path / 'b.json'}"
    printed = call("benchmark", *arguments, f"--figure={tmp_path / 'b.png'}").lines
    assert torch.get_num_threads() == threads
    numbers = json.loads((tmp_path / "b.json").read_text())
    assert numbers["machine"]["threads"] == 1
    assert numbers["machine"]["cores"] >= 1
    assert set(numbers["exponents"]) == {
        f"{measure} by {by}" for measure in ("seconds", "memory") for by in growth_lines()
    }
    assert set(numbers["growth"]) == set(numbers["exponents"])
    # Memory does not depend on the clock: it grows along every line, and never faster than what is asked for.
    memory = {name: value for name, value in numbers["exponents"].items() if name.startswith("memory")}
    assert all(0 < value < 1.05 for value in memory.values())
    for quartiles in (numbers["train_quartiles"], numbers["decode_quartiles"]):
        assert set(quartiles) == SUBJECTS
    for name, rate in numbers["train_images_per_second"].items():
        low, high = numbers["train_quartiles"][name]
        assert 0 < low <= rate * 1.001
        assert rate <= high * 1.001
    assert any(line.startswith("rnp2 trains at") for line in printed)
    rows = [line for line in printed if " by " in line]
    assert len(rows) == len(numbers["exponents"]) == len(numbers["last_exponents"])
    assert {line.replace(r"\|", "").count("|") for line in rows} == {4}


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 1.0, 1.25])
def test_a_power_law_is_found(exponent):
    found = fit("seconds", "nodes", (2, 4, 8, 32), [3 * size**exponent for size in (2, 4, 8, 32)])
    assert found.exponent == pytest.approx(exponent, abs=1e-12)
    assert found.factor == pytest.approx(3)
    assert last_exponent(found) == pytest.approx(exponent, abs=1e-12)


def test_a_constant_hides_growth_from_the_fit_but_less_from_the_last_sizes():
    found = fit("seconds", "nodes", (1, 10, 100, 1000), [100 + size for size in (1, 10, 100, 1000)])
    assert found.exponent < 0.4 < 0.7 < last_exponent(found) < 1


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("fused", [True, False])
def test_the_plain_loop_is_the_engine_without_its_fused_path(monkeypatch: pytest.MonkeyPatch, fused: bool):
    seen: list[str] = []
    for name in ("_unroll", "_walk"):
        original = getattr(Tree, name)

        def noted(self: Tree, *arguments: object, name: str = name, original: Callable = original) -> object:
            seen.append(name)
            return original(self, *arguments)

        monkeypatch.setattr(Tree, name, noted)
    build_subject(SETTINGS["rnp2"], 2, Fabric(accelerator="cpu", devices=1), fused=fused).decode()
    assert seen == 2 * ["_unroll" if fused else "_walk"]


def test_what_is_not_finite_is_not_timed():
    subject = build_subject(SETTINGS["vae"], 2, Fabric(accelerator="cpu", devices=1))
    with torch.no_grad():
        subject.parameters[0].fill_(torch.inf)
    with pytest.warns(UserWarning, match="NaN"), pytest.raises(UserError, match="is not finite"):
        subject.train()


@pytest.mark.thorough
def test_memory_leaves_out_the_gradients_of_the_step_before():
    fabric = Fabric(accelerator="cpu", devices=1)
    subject = build_subject(SETTINGS["vae"], 2, fabric)
    subject.train()
    first, second = subject.peak_mib(), subject.peak_mib()
    assert first == second
    assert first > sum(parameter.nbytes for parameter in subject.parameters) / 2**20


@pytest.mark.thorough
def test_the_lines_of_growth_are_those_that_they_say():
    all_lines = growth_lines()
    for by in list(all_lines)[:2]:
        for nodes, config, _ in all_lines[by]:
            tree = build_tree(config.tree, config.latent_size, (1, 28, 28))
            parse = tree.unfold(torch.zeros(1, config.latent_size))
            assert sum(level.z.shape[-2] for level in parse.levels) == nodes
    assert [batch_size for _, _, batch_size in all_lines["|z|"]] == [BATCH] * 5
    assert [size for size, _, _ in all_lines["batch"]] == [16, 32, 64, 128, 256, 512]
    assert all(size == batch_size for size, _, batch_size in all_lines["batch"])
    assert [size for size, _, _ in few(all_lines)["batch"]] == [16, 32]


@pytest.mark.thorough
def test_the_reference_has_the_engines_image():
    torch.set_default_dtype(torch.float64)
    model = MODELS["rnp"](ModelConfig(part_term_weight=0.0), (1, 28, 28))
    with torch.no_grad():
        model.tree.hypernets.state_hypernets[0].heads.weight.mul_(3)
    reference = ReferenceRNP(model.tree, model.likelihood)
    images = torch.zeros(2, 1, 28, 28)
    torch.manual_seed(0)
    expected = model(images)
    torch.manual_seed(0)
    torch.testing.assert_close(reference(images), expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 1e-3


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["rnp2", "reference", "vae"])
def test_a_step_trains(name):
    fabric = Fabric(accelerator="cpu", devices=1)
    subject = build_subject(SETTINGS[name], 2, fabric, reference=name == "reference")
    subject.decode()
    before = [parameter.clone() for parameter in subject.parameters]
    subject.train()
    moved = [not torch.equal(one, other) for one, other in zip(before, subject.parameters, strict=True)]
    # What stands behind a layer that starts at zero has no gradient yet.
    assert sum(moved) > len(moved) / 2


def test_bad_input_is_refused_before_anything_is_measured(call, tmp_path):
    assert "--rounds at least 2, got 128 and 1" in call("benchmark", "--rounds=1").error
    assert "ends in .png with --figure" in call("benchmark", f"--figure={tmp_path / 'b.xyz'}").error
    twice = f"{tmp_path / 'b.png'}"
    assert "must be different files" in call("benchmark", f"--figure={twice}", f"--json={twice}").error
    assert "--threads must be at least 1, got 0" in call("benchmark", "--threads=0").error
    assert "expected one of 32-true" in call("benchmark", "--precision=8-true").error
