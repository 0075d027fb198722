"""The API reference: which modules it shows, and in which order. What it says of them are their docstrings."""

from collections.abc import Iterator
from typing import NamedTuple

from links import ROOT

DOOR = {
    "Train and open": ("rnp_pyro.fit", "rnp_pyro.load", "rnp_pyro.from_pretrained"),
    "A run": ("rnp_pyro.Run",),
    "Trees of parts": ("rnp_pyro.api.trees.PartTree", "rnp_pyro.api.trees.PartTrees"),
    "What a run returns": (
        "rnp_pyro.api.results.Samples",
        "rnp_pyro.api.results.Completions",
        "rnp_pyro.api.results.Evaluation",
    ),
    "Images": (
        "rnp_pyro.data.images_from_arrays",
        "rnp_pyro.data.fingerprint",
        "rnp_pyro.data.image_hashes",
        "rnp_pyro.data.seen",
    ),
    "Errors": ("rnp_pyro.UserError",),
}
"""What a user imports, by the headings of the first page."""

DOOR_INTRODUCTION = """# The library

`import rnp_pyro` imports neither torch nor Pyro. What it offers is imported when it is first used.
[The library](../library.md) shows how the calls fit together. The other pages of this reference are for those who read
or extend the model.
"""


class Section(NamedTuple):
    """Modules of the reference that belong together.

    Args:
        name: Its title.
        folder: Its folder on the site, below ``api``.
        introduction: What stands above the list of its modules.
        modules: Their names, in reading order.
    """

    name: str
    folder: str
    introduction: str
    modules: tuple[str, ...]


def _modules(package: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names)


SECTIONS = (
    Section(
        "The core",
        "core",
        "The model in reading order: deterministic PyTorch, which never imports Pyro. Dimension letters such as "
        "`*batch`, `N` and `Z` are those of [`rnp_pyro.shapes`](../settings/shapes.md). "
        "Read [`models.rnp`](../models/rnp.md) first.",
        (
            *_modules(
                "rnp_pyro", "affine", "canvas", "heads", "hypernet", "program", "patch", "tree", "fold", "reference"
            ),
            *_modules("rnp_pyro", "draw", "parse", "activations", "node_scales", "networks"),
            *_modules("rnp_pyro.patches", "dense", "conv", "primitives"),
        ),
    ),
    Section(
        "Models",
        "models",
        "Generative Pyro programs. Each takes images `[images C H W]` and samples its latents in the plate `images`.",
        (*_modules("models", "rnp", "vae", "prior", "likelihood", "part_term"), *_modules("flows", "couplings")),
    ),
    Section(
        "Guides",
        "guides",
        "Posterior Pyro programs. Each takes what the model takes. [Guides](../../guides.md) says which to choose.",
        _modules("guides", "resnet", "ladder", "roots", "nodes", "auto"),
    ),
    Section(
        "Inference",
        "inference",
        "Training and evaluation of any pair of model and guide. Bounds are in nats, per image if not said otherwise.",
        (
            *_modules("inference", "bounds", "importance", "refinement", "predictive", "diagnostics", "estimates"),
            *_modules("inference", "temperature", "particles", "noise", "pairing", "contexts", "arviz_export"),
            *_modules("inference.objectives", "elbo", "iwae", "free_bits", "honest", "stock"),
            *_modules(
                "inference.training",
                "task",
                "loop",
                "gradient",
                "schedule",
                "finish",
                "runaway",
                "parts",
                "devices",
                "union",
                "window",
            ),
            *_modules("inference.posterior", "log_joint", "mcmc", "annealing", "bridge", "gaps"),
            *_modules("inference.completion", "fillings", "masking"),
        ),
    ),
    Section(
        "Part trees",
        "part_tree",
        "Parses as values: look at them, edit, save and load them. They fold without the networks that made them.",
        _modules("rnp_pyro.part_tree", "value", "edit", "files", "schema", "graph", "distinct"),
    ),
    Section(
        "Settings and words",
        "settings",
        "What the packages share: settings, names of shapes and sites, random numbers, errors.",
        _modules(
            "rnp_pyro",
            "shapes",
            "config",
            "choices",
            "build",
            "tree_sizes",
            "sites",
            "streams",
            "seeds",
            "programs",
            "errors",
        ),
    ),
)


def documented() -> set[str]:
    """Return the modules that the reference shows."""
    return {module for section in SECTIONS for module in section.modules}


def module_page(section: Section, module: str) -> str:
    """Return where a module's page stands on the site."""
    return f"api/{section.folder}/{module.rsplit('.', 1)[1]}.md"


def pages() -> Iterator[tuple[str, str]]:
    """Yield the reference's pages: where each stands on the site, and its Markdown."""
    yield "api/index.md", _door()
    for section in SECTIONS:
        yield f"api/{section.folder}/index.md", _overview(section)
        for module in section.modules:
            yield module_page(section, module), f"::: {module}\n"


def navigation() -> list[dict[str, object]]:
    """Return the reference's part of the site's navigation."""
    found: list[dict[str, object]] = [{"The library": "api/index.md"}]
    for section in SECTIONS:
        names = [{_short(module): module_page(section, module)} for module in section.modules]
        found.append({section.name: [f"api/{section.folder}/index.md", *names]})
    return found


def summary(module: str) -> str:
    """Return the first paragraph of a module's docstring."""
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    text = source.removeprefix('"""').partition('"""')[0]  # parsing all files takes seconds
    return " ".join(text.split("\n\n")[0].split()).replace("|", r"\|")


def _short(module: str) -> str:
    """Return a module's name below its package, as the navigation shows it."""
    return module.partition(".")[2]


def _door() -> str:
    parts = [DOOR_INTRODUCTION]
    for heading, names in DOOR.items():
        parts.append(f"## {heading}\n")
        parts += [f"::: {name}\n    options:\n      heading_level: 3\n" for name in names]
    return "\n".join(parts)


def _overview(section: Section) -> str:
    rows = [f"| [`{one}`]({one.rsplit('.', 1)[1]}.md) | {summary(one)} |" for one in section.modules]
    return f"# {section.name}\n\n{section.introduction}\n\n| module | holds |\n|---|---|\n" + "\n".join(rows) + "\n"
