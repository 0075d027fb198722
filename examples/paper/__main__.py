"""python -m examples.paper."""

from examples.paper import command
from examples.shared.cli import run_command

if __name__ == "__main__":
    run_command(command)
