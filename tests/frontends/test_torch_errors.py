"""What cannot be captured is refused in one line that names the layer, with the right kind of error."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.torch_export import trace


class Lambda(nn.Module):
    def __init__(self, function, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.function(self, x)


def features(*layers: nn.Module) -> nn.Module:
    """A network whose last convolution is followed by ``layers`` under the path "features.1" and on."""
    return Lambda(lambda m, x: m.features(x), features=nn.Sequential(nn.Conv2d(3, 4, 3), *layers))


SHARED = nn.Conv2d(3, 3, 3, padding=1)
LAYERS = {
    "group norm": (features(nn.GroupNorm(2, 4)), r"layer 'features\.1' \(GroupNorm\): operator 'group_norm'"),
    "instance norm": (features(nn.InstanceNorm2d(4)), r"layer 'features\.1' \(InstanceNorm2d\)"),
    "transposed": (features(nn.ConvTranspose2d(4, 2, 2)), r"layer 'features\.1' \(ConvTranspose2d\)"),
    "gelu": (features(nn.GELU()), r"layer 'features\.1' \(GELU\): operator 'gelu'"),
    "upsample": (features(nn.Upsample(scale_factor=2)), r"layer 'features\.1' \(Upsample\)"),
    "groups": (features(nn.Conv2d(4, 4, 3, groups=2)), r"'features\.1' \(Conv2d\): grouped .* 2 groups"),
    "reflect": (
        features(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")),
        r"'features\.1' .*'reflect'",
    ),
    "pad value": (features(nn.ConstantPad2d(1, 0.5)), r"'features\.1' \(ConstantPad2d\): pads with"),
    "crop": (features(nn.ZeroPad2d(-1)), r"'features\.1' \(ZeroPad2d\): negative padding"),
    "ceil": (features(nn.MaxPool2d(4, ceil_mode=True)), r"'features\.1' \(MaxPool2d\): ceil_mode"),
    "divisor": (features(nn.AvgPool2d(2, divisor_override=3)), r"'features\.1' \(AvgPool2d\): divisor"),
    "adaptive": (features(nn.AdaptiveAvgPool2d(4)), r"'features\.1' \(AdaptiveAvgPool2d\): pools"),
    "clamp": (features(nn.Hardtanh(-1, 1)), r"'features\.1' \(Hardtanh\): clamps to \[-1"),
    "prelu": (features(nn.PReLU(4)), r"'features\.1' \(PReLU\): PReLU with one slope per channel"),
    "softmax": (features(nn.Softmax(-1)), r"'features\.1' \(Softmax\): softmax over axis -1"),
    "log softmax": (features(nn.LogSoftmax(1)), r"'features\.1' \(LogSoftmax\): .* return the logits"),
    "no statistics": (
        features(nn.BatchNorm2d(4, track_running_stats=False)),
        r"'features\.1' \(BatchNorm2d\)",
    ),
    "flat output": (features(nn.Flatten()), r"'features\.1' \(Flatten\): .* reaches the output"),
    "last axis": (features(nn.Linear(6, 2)), r"'features\.1' \(Linear\): .* flatten it first"),
    "mean of one axis": (
        Lambda(lambda m, x: x.mean(2)),
        r"layer 'forward' \(mean\): reduces over axes \[2\]",
    ),
    "other concat": (Lambda(lambda m, x: torch.cat([x, x], 2)), r"'forward' \(cat\): concatenates on axis 2"),
    "batch reshape": (Lambda(lambda m, x: x.reshape(-1, 64)), r"'forward' \(reshape\): .* the batch axis"),
    "odd reshape": (
        Lambda(lambda m, x: x.reshape(-1, 6, 4, 8)),
        r"'forward' \(reshape\): .* only flattening",
    ),
    "transpose": (Lambda(lambda m, x: x.permute(0, 2, 3, 1)), r"'forward' \(permute\): operator 'permute'"),
    "broadcast": (Lambda(lambda m, x: x * x[:, :, :, :1]), r"layer 'forward' \(slice\)"),
    "constant map": (
        Lambda(lambda m, x: x + torch.ones(8, 8)),
        r"'forward' \(add\): .* one value per channel",
    ),
    "always dropout": (Lambda(lambda m, x: F.dropout(x)), r"'forward' \(dropout\): drops at random"),
    "noise": (Lambda(lambda m, x: x + torch.randn(1)), r"'forward' \(randn\): .* random numbers"),
    "mixed order": (
        Lambda(lambda m, x: m.fc(x.flatten(1)) + x.flatten(1), fc=nn.Linear(192, 192)),
        r"'forward' \(add\): combines a flattened feature map with a vector in another order",
    ),
    "shared": (
        Lambda(lambda m, x: m.a(F.relu(m.a(x))), a=SHARED),
        r"'a' \(Conv2d\): uses its weights a second time \(first: layer 'a' \(Conv2d\)\)",
    ),
    "tied": (Lambda(lambda m, x: m.b(m.a(x)), a=SHARED, b=SHARED), r"uses its weights a second time"),
    "constant output": (Lambda(lambda m, x: (x, torch.ones(2))), r"the model's output: returns a constant"),
    "input returned": (nn.Identity(), r"input 'input': is returned as it is"),
    "same output twice": (
        Lambda(lambda m, x: (m.a(x),) * 2, a=nn.ReLU()),
        r"layer 'a' \(ReLU\): is returned twice",
    ),
    "branch": (Lambda(lambda m, x: x if x.sum() > 0 else -x), r"model 'net': torch.export cannot capture"),
}


@pytest.mark.parametrize("key", LAYERS)
def test_refused(key):
    module, message = LAYERS[key]
    with pytest.raises(UnsupportedError, match=message) as caught:
        trace(module, (3, 8, 8), "net")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("shape", [(4, 8, 8), (3, 2, 2), (3,), ()])
def test_input_of_the_wrong_shape(shape):
    with pytest.raises(UsageError, match=r"model 'net' fails on a batch of 2 inputs of shape") as caught:
        trace(features(nn.Flatten(), nn.Linear(144, 2)), shape, "net")
    assert "\n" not in str(caught.value)


def test_vector_to_map():
    module = Lambda(lambda m, x: m.conv(x.view(-1, 8, 1, 1)), conv=nn.Conv2d(8, 2, 1))
    with pytest.raises(
        UnsupportedError, match=r"layer 'forward' \(view\): turns a vector into a feature map"
    ):
        trace(module, (8,))


def test_scaled_vector_without_a_layer():
    with pytest.raises(UnsupportedError, match=r"tanh.*: scales or shifts a vector by a constant"):
        trace(Lambda(lambda m, x: torch.tanh(2 * x)), (8,))


def test_weights_that_are_not_numbers():
    module = features(nn.Conv2d(4, 4, 1))
    module.features[1].bias.data[2] = float("nan")
    with pytest.raises(UsageError, match=r"layer 'features\.1' \(Conv2d\): its bias holds NaN"):
        trace(module, (3, 8, 8))


def test_hidden_state_is_noticed():
    """Export sees a plain Python counter once; comparing the outputs shows that it matters."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls, self.conv = 0, nn.Conv2d(1, 1, 1)

        def forward(self, x):
            self.calls += 1
            return self.conv(x) * self.calls

    with pytest.raises(UnsupportedError, match=r"differs from the module's by"):
        trace(Counting(), (1, 4, 4))
