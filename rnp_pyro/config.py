"""Settings, as frozen dataclasses. They become command-line options; builder functions are the last to see them."""

from dataclasses import dataclass, field
from math import pi
from typing import Literal

from rnp_pyro.choices import (
    Composition,
    Interpolation,
    NodeLatents,
    PatchActivation,
    Prior,
    Root,
    Sharing,
    Splits,
    StateActivation,
)

LikelihoodName = Literal["auto", "normal", "bernoulli", "continuous_bernoulli"]
PartTermTarget = Literal["zoomed", "pasted"]


@dataclass(frozen=True)
class TreeConfig:
    """The recursive neural program. Lists run from the root downwards.

    Args:
        num_steps: Children that a program emits, for each level from the root down; its length is the depth K.
        canvas_sizes: Rows and columns of the square canvases of the levels below the root, pixels; K-1 numbers.
        patch_size: Rows and columns of every decoded square patch, pixels.
        scale_limits: For each level of children from the root's down: smallest and largest size of a child as a share
            of its parent's; one pair alone serves all levels.
        rotation_limit: Largest rotation of a child to either side, radians, 0 to pi.
        shear_limit: Largest shear of a child to either side, slope, at least 0.
        action_gain: How steeply a pose follows the policy's action, above 0; at 1 parts start stacked in the middle.
        hypernets: One pair of hypernetworks for all levels (shared), the same with a learned vector per level added to
            z (level_embedding), or one pair for each level (per_level).
        hypernet_layers: Layers of a hypernetwork, its heads included, at least 2.
        hypernet_size: Units of a hypernetwork's hidden layers.
        hidden_size: Units of the generated encoders and decoders.
        feedback: Whether a child's canvas is fed back to its parent's next step (dotted line of fig. 2b).
        composition: How parts add up: sum (the paper; may exceed 1) or noisy_or (stays below 1).
        interpolation: Of pasting: bilinear (the paper) or bicubic (smoother).
        state_activation: Of the generated recurrent state network: identity, elu or tanh.
        patch_decoder: What makes patches of leaves: dense (two generated layers), conv (generated transposed
            convolutions, for colour) or primitives (given images are the only patches; the program weighs them).
        primitives: Images for patch_decoder primitives, one or more: line, arc, dot, ring, or PNG and JPEG files, ink
            bright on black; they are scaled to the patch's size and kept with the run's weights.
        patch_activation: Of decoded patches: sigmoid, relu6 or softplus; primitives have none.
        compress: Whether recurrent states, actions and patches far beyond what is usual are compressed to their
            logarithm, so that no program runs away.
        ink: Mean brightness that patches start with, 0 to 1; null: that of the training images, or 0.1 where a model
            is built without any.
        leak: Initial probability of ink without any part, 0 to 1 exclusive; learned for each channel; noisy_or only.
            null: as bright as the darkest tenth of the training images' pixels, or where these are black 0.01, or a
            tenth of ink where that is less.
        chunk: Programs that are generated and run side by side, at least 1; 0: 20 MB of weights on a CPU, all on an
            accelerator. It changes speed and memory, and numbers by rounding only.
        recompute: Generate programs again in the backward pass instead of keeping their weights: for large trees, whose
            memory then no longer grows with the generated weights, for one product of the heads more.
    """

    num_steps: tuple[int, ...] = (4, 4)
    canvas_sizes: tuple[int, ...] = (16,)
    patch_size: int = 8
    scale_limits: tuple[tuple[float, float], ...] = ((0.2, 0.5),)
    rotation_limit: float = pi / 2
    shear_limit: float = 0.3
    action_gain: float = 3.0
    hypernets: Sharing = "shared"
    hypernet_layers: int = 6
    hypernet_size: int = 64
    hidden_size: int = 64
    feedback: bool = False
    composition: Composition = "noisy_or"
    interpolation: Interpolation = "bilinear"
    state_activation: StateActivation = "identity"
    patch_decoder: str = "dense"
    primitives: tuple[str, ...] | str = ("line",)
    patch_activation: PatchActivation = "sigmoid"
    compress: bool = True
    ink: float | None = None
    leak: float | None = None
    chunk: int = 0
    recompute: bool = False


@dataclass(frozen=True)
class ModelConfig:
    """The generative program.

    Args:
        name: Which program: rnp, or vae, the flat convolutional baseline.
        latent_size: Size of every program's latent, |z|.
        likelihood: normal (fixed scale; eq. 1 is this one), bernoulli (binary pixels are drawn again in each
            step), continuous_bernoulli, or auto: bernoulli for grey images, normal for colour.
        pixel_scale: Standard deviation of the normal likelihood, on pixels in [0, 1].
        part_term_weight: Weight of eq. (1)'s part term in training, at least 0; the paper's is 1 / (number of parts).
            With patch_decoder primitives there is no such term, for no primitive looks like a whole part.
        part_term_target: What the parts' own patches are compared with: zoomed, the image zoomed in at each part's
            pose, or pasted, the parts pasted together against the whole image.
        node_latents: What is random at every node besides the root's latent: none (the paper), the part's state, its
            action, or both; the vae has none.
        prior: Of the root's latent: normal (the paper's N(0, I)), flow (a standard normal pushed through learned affine
            couplings) or mixture (of 50 learned diagonal normals). A learned prior takes the shape of all images' codes
            together, so that samples come from where these are (Tomczak & Welling 2018).
        tree: The recursive neural program; of it the vae takes patch_decoder primitives alone, to stamp nothing else.
    """

    name: str = "rnp"
    latent_size: int = 32
    node_latents: NodeLatents = "none"
    likelihood: LikelihoodName = "auto"
    pixel_scale: float = 0.3162
    part_term_weight: float = 0.1
    part_term_target: PartTermTarget = "pasted"
    prior: Prior = "normal"
    tree: TreeConfig = field(default_factory=TreeConfig)


@dataclass(frozen=True)
class GuideConfig:
    """The posterior program.

    Args:
        name: Which guide, all amortized: resnet, which infers the root's latent and lets nodes follow the prior where
            they are random; or ladder, for random nodes: it walks the tree and corrects each node by what it sees at
            its place. full_rank and flow are resnet with that root.
        refine_steps: Gradient steps that improve each image's posterior from where the guide starts it, in training and
            in all that is done with the run; 0: none. A step costs about one training step per draw.
        refine_rate: Length of the first such step, in standard deviations of the noise, above 0, at most 10.
        refine_particles: Draws of such a step, at least 1.
        root: Posterior of the root's latent: a diagonal normal (diagonal), a normal with full covariance (full_rank) or
            a normalizing flow (flow); null: what the name says, or else diagonal.
    """

    name: str = "resnet"
    refine_steps: int = 0
    refine_rate: float = 0.3
    refine_particles: int = 4
    root: Root | None = None


@dataclass(frozen=True)
class FinishConfig:
    """The last part of the budget, on another bound, with a learning rate of its own. The KL has weight 1 there.

    Args:
        share: Share of the budget, at least 0 and below 1; 0: there is none.
        objective: One of those of train.objective.
        num_particles: Number of draws from the guide for each image and step.
        learning_rate: Learning rate at this part's start; it falls as train.lr_decay says.
    """

    share: float = 0.0
    objective: str = "iwae_dreg"
    num_particles: int = 8
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation. Exactly one of minutes, steps and epochs is the budget; the schedule follows it.

    Args:
        minutes: Time to train, minutes, setting-up and evaluation not counted.
        steps: Steps to train.
        epochs: Passes through the training images; may be a fraction.
        schedule: A minutes run's schedule.json, replayed step by step instead of any budget.
        only: Parts to train, with commas between: guide, model, state_hypernet, policy_hypernet, patch_decoder, leak;
            default: all. All others stay as they start, to the bit.
        freeze: Parts to keep as they start, to the bit; named in the same way.
        objective: elbo, analytic_kl (the KL of each site in closed form where there is one), iwae (the
            importance-weighted bound of num_particles), or iwae_dreg (the same with the doubly reparameterized
            gradient).
        num_particles: Number of draws from the guide for each image and step, at least 1; for iwae at least 2.
        free_bits: Nats per image that each level's latents may use for free, at least 0; elbo only.
        finish: The last part of the budget, where it is on another bound.
        batch_size: Images per step, over all devices.
        accumulate: Parts in which each device computes its share of a batch, one after the other, at least 1: less
            memory, the same gradient to rounding.
        optimizer: adam or adamw.
        learning_rate: Largest learning rate.
        weight_decay: Decoupled decay of adamw, or L2 penalty of adam, per step.
        lr_warmup: Share of the budget over which the learning rate rises from 0, 0 to 1.
        lr_warmup_steps: Steps that this rise takes at least, at least 0; of no account where lr_warmup is 0.
        lr_decay: After the warm-up: cosine (down to lr_final) or constant.
        lr_final: Learning rate at the end of cosine decay, as a share of the largest, 0 to 1.
        clip: Largest norm of the gradient of the loss in nats per image; 0 leaves it alone.
        kl_warmup: Share of the budget over which the KL's weight rises to 1, 0 to 1.
        kl_floor: The KL's weight at the start, above 0, at most 1.
        ema: Decay per step of averaged weights, which are then evaluated and saved; 0 averages nothing.
        log_every: Steps between rows of metrics.csv.
        checkpoint_minutes: Minutes between checkpoints and validations.
        validation_images: Images of the validation split that a validation uses.
    """

    minutes: float | None = 5.0
    steps: int | None = None
    epochs: float | None = None
    schedule: str | None = None
    only: str | None = None
    freeze: str | None = None
    objective: str = "elbo"
    num_particles: int = 1
    free_bits: float = 0.0
    finish: FinishConfig = field(default_factory=FinishConfig)
    batch_size: int = 64
    accumulate: int = 1
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    lr_warmup: float = 0.1
    lr_warmup_steps: int = 100
    lr_decay: Literal["cosine", "constant"] = "cosine"
    lr_final: float = 0.02
    clip: float = 100.0
    kl_warmup: float = 0.5
    kl_floor: float = 0.05
    ema: float = 0.0
    log_every: int = 25
    checkpoint_minutes: float = 1.0
    validation_images: int = 500


@dataclass(frozen=True)
class FabricConfig:
    """Where and how wide to compute; passed to Lightning Fabric.

    Args:
        accelerator: auto, cpu, cuda, mps, ...
        devices: How many devices of each node, or auto.
        num_nodes: How many machines.
        strategy: How devices share the work, a name of Fabric's: auto, ddp, fsdp, ...
        precision: 32-true, bf16-mixed, 16-mixed, 64-true; likelihoods are never narrower than 32 bits.
    """

    accelerator: str = "auto"
    devices: int | str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"


@dataclass(frozen=True)
class Config:
    """A training run.

    Args:
        data: Name of a data set; rnp_pyro/data_sets.py lists them.
        data_dir: Folder of the full data sets; default: the environment variable RNP_DATA, else a cache in the home.
        image_size: Rows and columns that images are resized to, pixels.
        mixed_sizes: Accept a folder whose images differ in size: each is resized and centred.
        splits: How a folder's images are divided: named, by its folders train, test and val where there are some; or
            mixed, as in runs from before these were splits.
        invert: Exchange dark and bright, since parts are painted bright on black; auto: for your own grey images with
            dark ink on a bright ground.
        white: The value of your own images' pixels that counts as white; full: the largest of their type; auto: the
            same, or the largest that occurs where that is far less, as in masks of 0 and 1.
        classes: Classes to train and test on, by name, with commas between; default: all.
        classes_out: Classes to leave out, in the same way.
        run: Directory to write, which must not hold a run that has begun; default: runs/PRESET-DATE-TIME-NUMBER.
        seed: Seed of weights, batches and noise.
        init: Run whose trained weights this one starts from, wherever name and shape agree; trees may differ in depth.
        init_parts: Parts to take from there, with commas between, as in train.only; default: all.
        model: The generative program.
        guide: The posterior program.
        train: Optimisation.
        fabric: Devices and precision.
    """

    data: str = "mnist-sample"
    data_dir: str | None = None
    image_size: int = 28
    mixed_sizes: bool = False
    splits: Splits = "named"
    invert: bool | Literal["auto"] = "auto"
    white: float | Literal["auto", "full"] = "auto"
    classes: str | None = None
    classes_out: str | None = None
    run: str | None = None
    seed: int = 0
    init: str | None = None
    init_parts: str | None = None
    model: ModelConfig = field(default_factory=ModelConfig)
    guide: GuideConfig = field(default_factory=GuideConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    fabric: FabricConfig = field(default_factory=FabricConfig)
