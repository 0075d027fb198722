"""What settings may be called. No torch here: a command's options are read before anything heavy is imported."""

from typing import Literal

Composition = Literal["sum", "noisy_or"]
Interpolation = Literal["bilinear", "bicubic"]
Sharing = Literal["shared", "level_embedding", "per_level"]
NodeLatents = Literal["none", "state", "action", "both"]
Root = Literal["diagonal", "full_rank", "flow"]
Prior = Literal["normal", "flow", "mixture"]
StateActivation = Literal["identity", "elu", "tanh"]
PatchActivation = Literal["sigmoid", "relu6", "softplus"]
Splits = Literal["named", "mixed"]
