"""The expression networks: what is published of their size, names of layers, and attention as an option of both."""

from __future__ import annotations

import warnings

import pytest

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    from torch import nn

    from export.attention import DR_EHA, NO_ATTENTION, Attention, ChannelGate, Gate, PerceptronGate, SpatialGate
    from export.babyehanet import TARGETS, BabyEHANet, ExpressionConfig
    from export.cost import multiplications
    from export.published_babyehanet import BEFORE_POOLING, PublishedBabyEHANet, PublishedConfig

CROP = (1, 3, 112, 112)


def weights_of(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def millions(network: nn.Module, size_px: int) -> float:
    return multiplications(network.eval(), torch.zeros(1, 3, size_px, size_px)) / 1e6


def test_the_backbone_is_as_large_as_published() -> None:
    plain = PublishedBabyEHANet(PublishedConfig(NO_ATTENTION, classes=1000))
    assert weights_of(plain) == 2_542_856  # torchvision's MobileNetV3-Small
    assert 56 < millions(plain, 224) < 57


def test_the_block_costs_next_to_nothing() -> None:
    plain, whole = PublishedBabyEHANet(PublishedConfig(NO_ATTENTION)), PublishedBabyEHANet()
    assert 0 < weights_of(whole) - weights_of(plain) < 1000
    assert 0 < millions(whole, 224) - millions(plain, 224) < 0.5


def test_the_device_variant_stays_within_its_budget() -> None:
    assert millions(BabyEHANet(), 112) <= 20


def test_the_backbone_has_the_names_of_torchvisions_checkpoint() -> None:
    state = PublishedBabyEHANet(PublishedConfig(NO_ATTENTION, classes=1000)).state_dict()
    assert state["features.0.0.weight"].shape == (16, 3, 3, 3)
    assert state["features.1.block.0.0.weight"].shape == (16, 1, 3, 3)
    assert state["features.1.block.1.fc1.weight"].shape == (8, 16, 1, 1)
    assert state["features.4.block.2.fc2.bias"].shape == (96,)
    assert state["features.11.block.3.1.running_var"].shape == (96,)
    assert state["features.12.0.weight"].shape == (576, 96, 1, 1)
    assert state["classifier.3.weight"].shape == (1000, 1024)


def test_a_checkpoint_gives_the_backbone_and_nothing_else() -> None:
    given = PublishedBabyEHANet(PublishedConfig(NO_ATTENTION, classes=1000)).state_dict()
    network = PublishedBabyEHANet()
    before = network.classifier[3].weight.clone()
    network.load_backbone(given)
    assert torch.equal(network.features[4].block[0][0].weight, given["features.4.block.0.0.weight"])
    assert torch.equal(network.classifier[3].weight, before)
    with pytest.raises(ValueError, match=r"not a checkpoint of MobileNetV3-Small: .*12\.0\.weight"):
        network.load_backbone({name: v for name, v in given.items() if name != "features.12.0.weight"})


def test_the_light_network_keeps_the_names_of_released_weights() -> None:
    gates = {name: v.shape for name, v in BabyEHANet().state_dict().items() if ".conv." in name}
    firsts = {name for name in gates if name.endswith("weight")}
    assert firsts == {f"features.{number}.conv.weight" for number in (4, 5, 8, 9, 13, 14, 18, 19)}
    assert gates["features.4.conv.weight"] == (1, 1, 5)
    assert gates["features.5.conv.weight"] == (1, 2, 7, 7)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("kind", ["channel", "perceptron", "spatial"])
def test_a_gate_is_between_the_identity_and_its_double_or_between_nothing_and_the_identity(
    kind: str, residual: bool
) -> None:
    torch.manual_seed(0)
    gate: Gate = {
        "channel": ChannelGate(residual),
        "perceptron": PerceptronGate(8, 4, residual),
        "spatial": SpatialGate(residual),
    }[kind]
    nn.init.normal_(gate.conv.weight)  # as initialised every place is gated alike
    x = torch.rand(2, 8, 6, 6) + 0.1
    with torch.inference_mode():
        share = gate(x) / x - float(residual)
    assert share.min() > 0
    assert share.max() < 1
    assert share.std() > 0.01
    flat = share.std(dim=1) if kind == "spatial" else share.std(dim=(2, 3))
    assert flat.max() < 1e-5  # one gate a place, or one a channel


@pytest.mark.parametrize(
    ("attention", "kinds"),
    [
        (NO_ATTENTION, []),
        (Attention(spatial=False), [ChannelGate]),
        (Attention(channel=False), [SpatialGate]),
        (DR_EHA, [ChannelGate, SpatialGate]),
        (Attention(reduction=8), [PerceptronGate, SpatialGate]),
    ],
)
@pytest.mark.parametrize("network", ["light", "published"])
def test_attention_is_an_option_of_both_networks(network: str, attention: Attention, kinds: list[type[Gate]]) -> None:
    light = BabyEHANet(ExpressionConfig(attention=attention))
    built = light if network == "light" else PublishedBabyEHANet(PublishedConfig(attention))
    assert [type(layer) for layer in built.modules() if isinstance(layer, Gate)] == kinds * 4
    with torch.inference_mode():
        assert built.eval()(torch.zeros(2, *CROP[1:])).shape == (2, len(TARGETS))


def test_the_block_may_stand_once_before_the_pooling_and_replace_squeeze_and_excite() -> None:
    network = PublishedBabyEHANet(PublishedConfig(places=BEFORE_POOLING, squeeze=False))
    assert sum(isinstance(layer, Gate) for layer in network.modules()) == 2
    assert not [name for name in network.state_dict() if ".fc1." in name]
    with torch.inference_mode():
        assert network.eval()(torch.zeros(CROP)).shape == (1, len(TARGETS))
