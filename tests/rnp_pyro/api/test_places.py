"""Where people run it: backends, homes, SLURM, consoles, threads, and files of their own with our names."""

import os
import subprocess
import sys
import threading
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset

import rnp_pyro
from inference import diagnostics
from rnp_pyro.api import devices, observer, places
from rnp_pyro.api.devices import alone_under_slurm, launch
from rnp_pyro.api.notebook import hide_bar, in_notebook
from rnp_pyro.api.observer import RunObserver
from rnp_pyro.api.settings import config_parser, parse_config
from rnp_pyro.config import FabricConfig
from rnp_pyro.data.data_folder import data_folder, user_path
from rnp_pyro.errors import UserError

ROOT = Path(__file__).parents[3]
ROW = {"step": 25, "seconds": 90.0, "progress": 0.5, "neg_elbo": 120.04, "kl": 12.5, "images_per_second": 600.4}
BATCH = {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "12", "SLURM_PROCID": "0"}


@pytest.mark.parametrize(
    ("backend", "left"),
    [
        ("module://nowhere.backend_inline", None),
        ("module://json.nowhere", None),
        ("module://matplotlib.backends.backend_agg", "module://matplotlib.backends.backend_agg"),
        ("agg", "agg"),
        ("Agg", "Agg"),
        ("", ""),
    ],
)
def test_a_backend_that_is_missing_is_forgotten(monkeypatch, backend, left):
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setenv("MPLBACKEND", backend)
    places.drop_unknown_backend()
    assert os.environ.get("MPLBACKEND") == left


@pytest.mark.thorough
@pytest.mark.parametrize("backend", ["module://nowhere.backend_inline", "nonsense"])
def test_figures_whatever_the_backend(tmp_path, backend):
    code = (
        "import rnp_pyro.api.notebook as n; from matplotlib.figure import Figure; from inference import diagnostics\n"
        "print(len(n.png(Figure())) > 100, diagnostics.import_arviz().__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": backend},
    )
    assert (done.returncode, done.stdout) == (0, "True arviz\n"), done.stderr


def _homeless(monkeypatch):
    """As in a container whose user has neither a name nor a home."""
    pwd = pytest.importorskip("pwd")

    def unknown(user: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "RNP_DATA"):
        monkeypatch.delenv(name, raising=False)


def test_no_home(monkeypatch, tmp_path):
    _homeless(monkeypatch)
    with pytest.raises(UserError, match="no home folder to look for data sets in: name their folder with --data_dir"):
        data_folder(None)
    with pytest.raises(UserError, match=r"no home folder for '~/photos': name the whole path"):
        user_path("~/photos")
    assert data_folder(str(tmp_path)) == tmp_path


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("data", ["folder:~/photos", "array:~/images.npy", "mnist"])
def test_no_home_for_data(monkeypatch, data):
    _homeless(monkeypatch)
    with pytest.raises(UserError, match="no home folder"):
        rnp_pyro.fit(data, steps=1)


@pytest.mark.parametrize("error", [RuntimeError("no home"), PermissionError("read-only")])
def test_arviz_without_a_home(monkeypatch, error):
    homes = []

    def import_once(name: str) -> str:
        homes.append(os.environ.get("HOME"))
        if len(homes) == 1:
            raise error
        return name

    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(diagnostics, "import_module", import_once)
    assert diagnostics.import_arviz() == "arviz"
    assert homes[0] == os.environ["HOME"] == "/nowhere"
    assert Path(homes[1]).is_dir()
    assert "XDG_CACHE_HOME" not in os.environ


@pytest.mark.parametrize(
    ("variables", "asked", "alone"),
    [
        ({}, "auto", False),
        (BATCH, "auto", True),
        (BATCH | {"SLURM_NTASKS_PER_NODE": "2"}, 2, True),
        (BATCH | {"SLURM_STEP_ID": "0"}, 2, False),
        (BATCH | {"SLURM_STEP_ID": "0", "SLURM_PTY_PORT": "1"}, "auto", True),
        (BATCH | {"SLURM_STEP_ID": "0"}, 1, True),
        (BATCH | {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "1"}, "auto", True),
        (BATCH | {"TORCHELASTIC_RUN_ID": "x"}, "auto", False),
    ],
)
def test_who_is_alone_under_slurm(variables, asked, alone):
    assert alone_under_slurm(FabricConfig(devices=asked), variables) is alone


def _set(monkeypatch, variables: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("per_node", [{}, {"SLURM_NTASKS_PER_NODE": "2"}, {"SLURM_NTASKS_PER_NODE": "2(x2)"}])
def test_python_in_a_batch_script_works_on_one_device(monkeypatch, per_node):
    _set(monkeypatch, BATCH | per_node)
    fabric = launch(FabricConfig(accelerator="cpu"))
    assert (fabric.world_size, fabric.is_global_zero) == (1, True)


def test_srun_that_does_not_fit_is_told_how(monkeypatch):
    _set(monkeypatch, BATCH | {"SLURM_STEP_ID": "0"})
    with pytest.raises(UserError, match=r"srun --ntasks-per-node=N python .* --fabric.devices N, or one"):
        launch(FabricConfig(accelerator="cpu"))


def _module(name: str, **values: object) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(values)
    return module


class _Broken:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def add_scalar(self, *values: object) -> None:
        raise AttributeError("`np.float_` was removed")

    def close(self) -> None:
        raise RuntimeError("no writer")


@pytest.mark.parametrize("error", [ImportError, AttributeError, TypeError, RuntimeError, ModuleNotFoundError])
def test_tensorboard_that_breaks_on_import(tmp_path, monkeypatch, capsys, error):
    class Finder:
        @staticmethod
        def find_spec(name: str, *rest: object) -> None:
            if name == "torch.utils.tensorboard":
                raise error("Descriptors cannot\nbe created directly")

    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.delattr(torch.utils, "tensorboard", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    watched = RunObserver(tmp_path)
    with watched.watching():
        watched.row(ROW)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "warning: TensorBoard does not work here, and is left out "
        f"({error.__name__}: Descriptors cannot be created directly)"
    )


def test_tensorboard_that_breaks_on_use(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", _module("tensorboard", SummaryWriter=_Broken))
    watched = RunObserver(tmp_path)
    with watched.watching():
        watched.row(ROW)
        watched.row({**ROW, "step": ROW["step"] + 1})
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3


def test_tensorboard_that_cannot_close(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", _module("tensorboard", SummaryWriter=_Broken))
    watched = RunObserver(tmp_path)
    with watched.watching():
        assert watched.board is not None


def test_a_handler_of_a_program_around_python_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(observer.signal, "getsignal", lambda number: None)
    monkeypatch.setattr(observer.signal, "signal", lambda *handler: pytest.fail("it could not be put back"))
    with RunObserver(None).watching():
        pass


@pytest.mark.thorough
def test_training_in_another_thread(fit, images, tmp_path):
    found: list = []

    def cell() -> None:
        try:
            found.append(fit(images, out=tmp_path / "run"))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=cell)
    thread.start()
    thread.join()
    assert isinstance(found[0], rnp_pyro.Run), found
    assert rnp_pyro.load(tmp_path / "run").image_shape == (1, 12, 12)


def test_bars_in_a_notebook(monkeypatch):
    assert (in_notebook(), hide_bar(True), hide_bar(False)) == (False, True, None)
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", _module("IPython", get_ipython=lambda: shell))
    assert (in_notebook(), hide_bar(True), hide_bar(False)) == (True, True, False)
    shell.config = {"TerminalIPythonApp": {}}
    assert not in_notebook()


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("seed: 3\n".encode("utf-16"), "UTF-16"),
        ("seed: 3\n".encode("utf-16-be"), "UTF-16 or UTF-32"),
        ("data: folder:caf\u00e9\n".encode("latin-1"), r"another encoding \(byte 16 is 0xe9\)"),
        (b"\xef\xbb\xbfdata: folder:caf\xe9\n", r"another encoding \(byte 19 is 0xe9\)"),
    ],
)
def test_settings_of_another_encoding(tmp_path, content, said):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    for arguments in (["--config", str(file)], [f"--config={file}"]):
        with pytest.raises(UserError, match=f"expected a settings file in UTF-8, got {said} in .*mine.yaml: save it"):
            parse_config(config_parser("train_svi", ""), arguments)


def test_settings_with_a_byte_order_mark(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"\xef\xbb\xbfseed: 3\n")
    assert parse_config(config_parser("train_svi", ""), ["--config", str(tmp_path / "mine.yaml")])[0].seed == 3


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", places.OURS)
@pytest.mark.parametrize("kind", ["file", "package"])
def test_a_module_of_the_users_that_hides_ours(tmp_path, monkeypatch, name, kind):
    file = tmp_path / (f"{name}.py" if kind == "file" else f"{name}/__init__.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    spec = spec_from_file_location(name, file)
    assert spec is not None
    monkeypatch.setitem(sys.modules, name, module_from_spec(spec))
    shown = file if kind == "file" else file.parent
    refusal = f"{shown} hides the package {name} that rnp_pyro needs: rename it"
    for path, ways in ((ROOT, ""), (tmp_path, places.WAYS_AROUND)):
        monkeypatch.setattr(sys, "path", [str(path), *sys.path])
        with pytest.raises(UserError) as caught:
            rnp_pyro.__getattr__("fit")
        assert str(caught.value) == refusal + ways


@pytest.mark.thorough
def test_the_ways_around_a_module_that_hides_ours(tmp_path):
    (tmp_path / "models.py").write_text("")
    (tmp_path / "mine.py").write_text("import rnp_pyro; print(rnp_pyro.fit.__name__)")
    for options, out in (([], ""), (["-P"], "fit\n")):
        command = [sys.executable, *options, "mine.py"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.stdout == out
        assert ("scripts as python -P SCRIPT" in done.stderr) == (out == "")


def test_our_own_packages_are_ours():
    places.check_packages()


@pytest.mark.thorough
@pytest.mark.parametrize("command", ["train_svi", "tiny_rnp"])
def test_commands_name_a_module_that_hides_ours(tmp_path, command):
    (tmp_path / "models.py").write_text("")
    code = (
        f"import sys, runpy; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; sys.argv = ['x', '--help']\n"
        f"runpy.run_module('examples.{command}', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'models.py'} hides the package models")


@pytest.mark.thorough
def test_a_run_whose_path_is_not_text(fit, run, images, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(UserError, match=r"expected a path that is text as run, .*caf\\udce9': rename"):
        fit(images, out=folder)
    with pytest.raises(UserError, match=r"expected a run directory whose path is text, got .*caf\\udce9': rename"):
        run.save(folder)
    assert not folder.exists()
    os.rename(run.save(tmp_path / "run"), folder)
    with pytest.raises(UserError, match="expected a run directory whose path is text"):
        rnp_pyro.load(folder)


@pytest.mark.thorough
def test_sizes_follow_the_images(fit):
    pictures = np.zeros((12, 16, 16), np.uint8)
    pictures[:, 2:6, 3:9] = 255
    pictures[np.arange(12), 8, np.arange(12)] = 200
    tree = {"num_steps": [2, 2], "hidden_size": 8, "hypernet_size": 8}
    run = rnp_pyro.fit(pictures, steps=1, progress=False, model={"latent_size": 4, "tree": tree})
    assert (run.config.image_size, run.config.model.tree.canvas_sizes, run.config.model.tree.patch_size) == (
        16,
        (8,),
        4,
    )


class _Shapes(Dataset):
    classes = ("square", "round")

    def __init__(self, pictures: np.ndarray) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, at: int) -> tuple[np.ndarray, int]:
        return self.pictures[at], at % 2


@pytest.mark.thorough
def test_class_names_of_a_data_set(fit, images):
    assert fit(_Shapes(images), steps=1).record.class_names == ("square", "round")
    assert fit(Subset(_Shapes(images), range(20)), steps=1).record.class_names == ("square", "round")
    assert fit(images, steps=1).record.class_names is None


def test_images_of_the_other_polarity_are_told(run, images, capsys):
    run.parse(images[:2])
    assert capsys.readouterr().err == ""
    run.parse(255 - images[:2])
    assert capsys.readouterr().err == (
        "warning: these images have a bright ground, and those of the run a dark one: 255 - images may be meant\n"
    )


def test_mps_has_no_64_bits(monkeypatch):
    def fabric(**asked: object) -> SimpleNamespace:
        return SimpleNamespace(device=torch.device("mps"), launch=lambda: None, asked=asked)

    monkeypatch.setattr(devices, "Fabric", fabric)
    with pytest.raises(UserError, match="MPS has no 64-true: expected 32-true"):
        launch(FabricConfig(accelerator="mps", precision="64-true"))
