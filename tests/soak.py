"""Train, evaluate and parse at once for some minutes, and watch memory and open files: they must stay flat.

    python tests/soak.py --minutes 20 --out soak.json

Every ten seconds it notes each process's resident memory and its number of open files. At the end it prints, for each,
the medians of the second and of the last fifth of the time, which should be equal but for a few per cent.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
EVERY = 10.0
"""Seconds between two looks."""

WORKER = """
import sys, time
import rnp_pyro
run, task, end = rnp_pyro.load(sys.argv[1]), sys.argv[2], time.monotonic() + float(sys.argv[3])
images = run.data.test[:16]
while time.monotonic() < end:
    if task == "evaluate":
        run.evaluate(images, particles=64, progress=False)
    else:
        run.parse(images)
"""
"""Opens a run once, and then does one thing again and again, as a server would."""


def main(minutes: float, out: Path | None) -> int:
    """Run all three, print a table, and return 0 if memory and files were flat."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        command = [sys.executable, "-m", "examples.train_svi"]
        subprocess.run([*command, "--train.steps=20", f"--run={model}"], cwd=ROOT, check=True)
        training = [*command, f"--train.minutes={minutes}", f"--run={folder}/trained", "--train.checkpoint_minutes=0.2"]
        commands = {"train": training}
        for task in ("evaluate", "parse"):
            commands[task] = [sys.executable, "-c", WORKER, str(model), task, str(60 * minutes)]
        processes = {name: subprocess.Popen(one, cwd=ROOT) for name, one in commands.items()}
        seen: dict[str, list[tuple[float, int]]] = {name: [] for name in processes}
        while any(process.poll() is None for process in processes.values()):
            time.sleep(EVERY)
            for name, process in processes.items():
                if (found := _look(process.pid)) is not None:
                    seen[name].append(found)
        failed = [name for name, process in processes.items() if process.returncode]
    if out is not None:
        out.write_text(json.dumps(seen))
    flat = [_tell(name, looks) for name, looks in seen.items()]
    return int(bool(failed) or not all(flat))


def _look(process: int) -> tuple[float, int] | None:
    """Return a process's resident memory in MiB and how many files it has open."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(resident.split()[1]) / 1024, len(list(Path(f"/proc/{process}/fd").iterdir()))
    except (OSError, StopIteration):
        return None


def _tell(name: str, looks: Sequence[tuple[float, int]]) -> bool:
    fifth = max(1, len(looks) // 5)
    early, late = looks[fifth : 2 * fifth], looks[-fifth:]
    memory = [median(one[0] for one in part) for part in (early, late)]
    files = [median(one[1] for one in part) for part in (early, late)]
    print(f"{name}: {memory[0]:.0f} MiB and {files[0]:.0f} files early, {memory[1]:.0f} MiB and {files[1]:.0f} late")
    return memory[1] < 1.1 * memory[0] + 20 and files[1] <= files[0] + 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    sys.exit(main(given.minutes, given.out))
