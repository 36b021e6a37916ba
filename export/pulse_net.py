"""The `pulse` network: NBHRnet's idea at the size of a Pi, from windows of 2 to 6 s to the wave and the rate's odds.

Kept of NBHRnet (see `export.nbhrnet`) are layers for each frame with a parallel dilated block, recurrent layers over
time, the wave as a task beside the rate, and each clip's own normalisation. What differs, and why:

- The input is 16 x 16 means of skin, at which sensor noise is averaged away before any layer.
- Beside the layers runs a straight path: colours averaged under learnt masks, since a pulse is fainter than what a
  rectifier leaves of noise.
- The rate is told as odds over a grid of rates and not as one number in Hz - 1.2: odds say how sure they are, can be
  multiplied into a tracker's belief, and a rectified number gives no gradient below 72 bpm.
- It is read from power spectra of learnt waves, also at half and double each rate: a recurrent layer would have to
  learn to count, and a dense one could take windows of one length only.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgemon.rppg import GRID_BPM

FS_HZ = 30.0
MAX_FRAMES = 180
_DRIFT_FRAMES = 25  # whose mean is taken off: one beat at 72 bpm
_GAIN = 40.0


@dataclass(frozen=True, slots=True)
class PulseConfig:
    """Widths; the defaults cost 0.4 MMAC a frame."""

    masks: int = 12
    gates: int = 2
    frame: int = 16
    branch: int = 8
    features: int = 32
    time: int = 48
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    recurrent: int = 24
    waves: int = 8
    spectral: int = 24


class ParallelDilated(nn.Module):
    """Three branches with dilations 1, 2 and 3, each halved, then joined by a 1x1 convolution."""

    def __init__(self, c_in: int, branch: int, c_out: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(c_in, branch, 3, 1, d, dilation=d),
                nn.PReLU(branch),
                nn.Conv2d(branch, branch, 3, 2, 1),
                nn.PReLU(branch),
            )
            for d in (1, 2, 3)
        )
        self.join = nn.Sequential(nn.BatchNorm2d(3 * branch), nn.Conv2d(3 * branch, c_out, 1), nn.PReLU(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, H / 2, W / 2)."""
        joined: Tensor = self.join(torch.cat([branch(x) for branch in self.branches], dim=1))
        return joined


class Dilated(nn.Module):
    """Residual dilated convolution over time."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation), nn.BatchNorm1d(width), nn.PReLU(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        y: Tensor = self.layers(x)
        return x + y


class Spectra(nn.Module):
    """Log power of waves (B, K, T) at each rate of the grid, at its half and its double: (B, 6 K, grid).

    Once with every frame alike and once under a Hann window: the one tells near rates apart, the other a weak wave
    beside a strong one.
    """

    def __init__(self) -> None:
        super().__init__()
        hz = np.concatenate([GRID_BPM, GRID_BPM / 2, GRID_BPM * 2]) / 60
        phase = 2 * np.pi * np.arange(MAX_FRAMES)[:, None] / FS_HZ * hz
        table = np.concatenate([np.cos(phase), np.sin(phase)], axis=1).astype(np.float32)
        self.register_buffer("table", torch.from_numpy(table), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """See the class."""
        count = waves.shape[2]
        place = torch.arange(count, device=waves.device, dtype=torch.float32) + 0.5
        hann = 1 - torch.cos(2 * torch.pi / count * place)
        both = torch.cat([waves, waves * hann], dim=1)
        parts = both @ self.get_buffer("table")[:count]
        half = 3 * len(GRID_BPM)
        power = (parts[..., :half] ** 2 + parts[..., half:] ** 2) / count
        return torch.log(power + 1e-2).reshape(waves.shape[0], -1, len(GRID_BPM))


class PulseNet(nn.Module):
    """Patches (B, T, 3, 16, 16) in 0..255 at 30 frames/s to the wave (B, T) and logits over GRID_BPM (B, 169)."""

    def __init__(self, config: PulseConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or PulseConfig()
        self.mask = nn.Sequential(
            nn.Conv2d(6, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.PReLU(16), nn.Conv2d(16, c.masks + c.gates, 3, 1, 1)
        )
        self.frame = nn.Sequential(
            nn.Conv2d(3 * c.gates, c.frame, 3, 2, 1),
            nn.PReLU(c.frame),
            nn.BatchNorm2d(c.frame),
            ParallelDilated(c.frame, c.branch, c.features),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * c.features, c.features),
        )
        self.enter = nn.Sequential(
            nn.BatchNorm1d(3 * c.masks + c.features), nn.Conv1d(3 * c.masks + c.features, c.time, 1)
        )
        self.time = nn.Sequential(*(Dilated(c.time, d) for d in c.dilations))
        self.recurrent = nn.GRU(c.time, c.recurrent, batch_first=True, bidirectional=True)
        self.waves = nn.Conv1d(c.time + 2 * c.recurrent, c.waves, 3, padding=1)
        self.spectra = Spectra()
        self.rate = nn.Sequential(
            nn.BatchNorm1d(6 * c.waves),
            nn.Conv1d(6 * c.waves, c.spectral, 9, padding=4),
            nn.PReLU(c.spectral),
            nn.Conv1d(c.spectral, c.spectral, 9, padding=4),
            nn.PReLU(c.spectral),
        )
        self.context = nn.Linear(2 * c.spectral, c.spectral)
        self.odds = nn.Sequential(nn.PReLU(c.spectral), nn.Conv1d(c.spectral, 1, 5, padding=2))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        batch, count = patches.shape[0], patches.shape[1]
        moving, still = self._normalised(patches)
        shares, gates = self.mask(still).split([self.config.masks, self.config.gates], dim=1)
        gated = moving.unsqueeze(2) * torch.sigmoid(gates)[:, None, :, None]
        seen = self.frame(gated.reshape(batch * count, -1, 16, 16)).reshape(batch, count, -1)
        weights = torch.softmax(shares.flatten(2), dim=2)
        straight = moving.flatten(3).reshape(batch, count * 3, 256) @ weights.transpose(1, 2)
        joined = torch.cat([straight.reshape(batch, count, -1), seen], dim=2).transpose(1, 2)
        x = self.time(self.enter(joined))
        recurrent = self.recurrent(x.transpose(1, 2))[0].transpose(1, 2)
        waves = self.waves(torch.cat([x, recurrent], dim=1))
        rate = self.rate(self.spectra(waves))
        context = self.context(torch.cat([rate.mean(dim=2), rate.amax(dim=2)], dim=1))
        logits = self.odds(rate + context.unsqueeze(2))
        return waves[:, 0], logits[:, 0]

    @staticmethod
    def _normalised(patches: Tensor) -> tuple[Tensor, Tensor]:
        """Change of each cell against its mean, without its drift, compressed; and what stays: mean and unrest."""
        mean = patches.mean(dim=1, keepdim=True)
        change = (patches / (mean + 4) - 1).flatten(2).transpose(1, 2)
        drift = F.avg_pool1d(change, _DRIFT_FRAMES, 1, _DRIFT_FRAMES // 2, count_include_pad=False)
        fast = _GAIN * (change - drift)
        squeezed = torch.sign(fast) * torch.log(
            fast.abs() + torch.sqrt(fast * fast + 1)
        )  # asinh, which opset 17 lacks here
        moving = squeezed.transpose(1, 2).reshape(patches.shape)
        unrest = torch.log(fast.pow(2).mean(dim=2) + 1e-2).reshape(-1, 3, 16, 16)
        return moving, torch.cat([mean[:, 0] / 64 - 2, unrest], dim=1)


class Calibrated(nn.Module):
    """The network with the temperature of its odds (arXiv 1706.04599) inside the graph."""

    def __init__(self, network: PulseNet, temperature: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("temperatures", temperature.reshape(1))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """As the network."""
        wave, logits = self.network(patches)
        return wave, logits / self.get_buffer("temperatures")


WAVE, RATE = "wave", "rate"
OUTPUTS: OrderedDict[str, str] = OrderedDict(
    wave="(1, frames) the pulse, of no unit; its sign is that of the blood's volume",
    rate="(1, 169) logits over 72, 73 .. 240 bpm of the window's mean rate; flat where no pulse can be read",
)
