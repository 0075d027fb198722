"""Options that several figures' runs share."""

from examples.paper.plan import RunPlan, Scale

NORMAL = ("--model.likelihood=normal", "--model.pixel_scale=0.31622777", "--model.part_term_weight=0")
"""The authors' last generation: variance 0.1, no part term."""

ROOT = ("--model.node_latents=none", "--guide.name=resnet")
"""The paper's: the root's latent alone is random."""

NODES = ("--model.node_latents=state", "--guide.name=ladder")
FLAT = ("--model.name=vae",)


def narrow(scale: Scale) -> tuple[str, ...]:
    """|z| = 16, the authors' on MNIST."""
    return () if scale.name == "smoke" else ("--model.latent_size=16",)


def wide(scale: Scale) -> tuple[str, ...]:
    """|z| = 64 for Omniglot and objects; the appendix has 96."""
    return () if scale.name == "smoke" else (f"--model.latent_size={96 if scale.authors else 64}",)


def mnist(scale: Scale) -> tuple[RunPlan, ...]:
    """Return the runs on digits: the root alone and random nodes, both likelihoods, and flat baselines."""
    normal = (*ROOT, *NORMAL, *narrow(scale))
    return (
        RunPlan("mnist-normal", scale.options("mnist", "main", *normal)),
        RunPlan("mnist-normal-vae", scale.options("mnist", "main", *normal, *FLAT)),
        RunPlan("mnist", scale.options("mnist", "main", *ROOT)),
        RunPlan("mnist-nodes", scale.options("mnist", "main", *NODES)),
        RunPlan("mnist-vae", scale.options("mnist", "main", *FLAT)),
    )


def omniglot(scale: Scale) -> tuple[RunPlan, ...]:
    """Return the runs on characters."""
    return (
        RunPlan("omniglot", scale.options("omniglot", "long", *wide(scale), *NODES)),
        RunPlan("omniglot-vae", scale.options("omniglot", "long", *wide(scale), *FLAT)),
    )


def colour(scale: Scale) -> tuple[str, ...]:
    """Return options for colour images of their own size, with larger patches and a narrow likelihood."""
    sizes = () if scale.name == "smoke" else (f"--image_size={scale.objects}", "--model.tree.patch_size=12")
    return (*sizes, *wide(scale), *ROOT, "--model.likelihood=normal", "--model.pixel_scale=0.1")


REGULAR = ("--train.optimizer=adamw", "--train.weight_decay=0.01", "--train.ema=0.999")
"""Few objects and many views are soon learned by heart."""


def objects(scale: Scale) -> tuple[RunPlan, ...]:
    """Return the runs on photographs of objects."""
    given = (*colour(scale), *REGULAR)
    return (
        RunPlan("objects", scale.options("objects", "main", *given)),
        RunPlan("objects-conv", scale.options("objects", "main", *given, "--model.tree.patch_decoder=conv")),
        RunPlan("objects-vae", scale.options("objects", "main", *given, *FLAT)),
    )
