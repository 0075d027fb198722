"""Options of ``ablate_guides``."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class AblateConfig:
    """What to compare, and how long.

    Args:
        out: Folder to write; an interrupted ablation in it continues.
        preset: Which choices to start from: quick (five guides and node latents, two seeds, a minute each), or guides
            (the same, three seeds, five minutes each).
        base: Packaged settings that every training run starts from; see train_svi --preset.
        data: Name of a data set, as in train_svi.
        guides: Names of guides, such as [resnet,ladder]; see train_svi --guide.name.
        objectives: Names of objectives, such as [elbo,analytic_kl]; see train_svi --train.objective. For iwae and
            iwae_dreg give their particles too: --set "['train.num_particles=8']".
        node_latents: Such as [none,both]; see train_svi --model.node_latents.
        seeds: Such as [0,1,2]; runs of one seed start from equal decoders and see equal batches.
        minutes: Time to train each run, minutes.
        vary: Further settings to combine, each as FIELD=VALUE,VALUE: ['model.latent_size=16,32'].
        set: Settings that all runs share, each as FIELD=VALUE: ['train.batch_size=128'].
        particles: Particles of the bound, at least 1; k-hats need 30.
        images: Images that the bound is taken on, from the first of the split on.
        split: Which images: validation, so that the test images choose nothing, or test, for a final table.
    """

    out: str
    preset: str = "quick"
    base: str = "quickstart"
    data: str = "mnist-sample"
    guides: list[str] | None = None
    objectives: list[str] | None = None
    node_latents: list[str] | None = None
    seeds: list[int] | None = None
    minutes: float | None = None
    vary: list[str] | None = None
    set: list[str] | None = None
    particles: int = 100
    images: int = 200
    split: Literal["validation", "test"] = "validation"
