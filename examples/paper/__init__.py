"""The paper's figures, each from one command: python -m examples.paper FIGURE."""
