"""The networks keep the contract and what is published of them; the exact adder adds."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from edge_adder.contract import IMPOSSIBLE_LOG_PROBABILITY
from edge_adder.errors import InputError
from export import networks
from export.catalogue import count_folded_parameters, count_multiply_adds, count_parameters
from export.networks.bn_adder import BnAdder
from export.networks.bottleneck import Bottleneck
from export.networks.early_fusion import EarlyFusion
from export.networks.edge import Edge
from export.networks.parts import ExactAdder, Network, one_hot, scale_image
from export.networks.scalar_concat import ScalarConcat
from export.networks.wide import Wide


def ask(network: nn.Module, batch: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Both outputs for random images with the numbers 0, 1, 2, …"""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(256, (batch, 1, 28, 28), dtype=torch.uint8, generator=generator)
    with torch.inference_mode():
        return network.eval()(image, torch.arange(batch) % 10)


def shapes(network: nn.Module) -> str:
    """Name and shape of each weight, biases left out, as ``conv1 6×1×5×5, …``."""
    return ", ".join(
        f"{name.removesuffix('.weight')} {'×'.join(map(str, parameter.shape))}"
        for name, parameter in network.named_parameters()
        if not name.endswith(".bias")
    )


def sizes(network: nn.Module, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> list[int]:
    """Height of what each module of a kind gives, in the order of the call."""
    seen: list[int] = []
    for module in network.modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda _, __, output: seen.append(output.shape[2]))
    ask(network)
    return seen


@pytest.mark.parametrize("name", networks.NETWORKS)
class TestEveryNetwork:
    @pytest.mark.parametrize("batch", [1, 2, 257])
    def test_it_keeps_the_contract(self, name: str, batch: int) -> None:
        if name == "wide" and batch > 2:
            batch = 12  # 159 M multiply-adds for each
        torch.manual_seed(0)
        digit, total = ask(networks.create(name), batch)
        assert digit.shape == (batch, 10)
        assert total.shape == (batch, 19)
        assert digit.dtype == total.dtype == torch.float32
        for output in (digit, total):
            assert output.isfinite().all()
            assert torch.allclose(output.exp().sum(1), torch.ones(batch), atol=1e-5)

    def test_its_docstring_states_its_cost(self, name: str) -> None:
        network = networks.create(name)
        millions = count_multiply_adds(networks.create(name)) / 1e6
        stated = re.search(r"([0-9.]+) M multiply-adds", type(network).__doc__)
        assert f"{count_parameters(network):,} parameters" in type(network).__doc__
        assert float(stated[1]) == pytest.approx(millions, rel=0.02)

    def test_its_first_convolution_meets_ink_from_0_to_1(self, name: str) -> None:
        network, seen = networks.create(name), []
        first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
        first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        network.eval()(torch.full((1, 1, 28, 28), 255, dtype=torch.uint8), torch.tensor([3]))
        assert seen[0].dtype == torch.float32
        assert torch.equal(seen[0], torch.ones(1, 1, 28, 28))

    def test_a_gradient_reaches_every_parameter(self, name: str) -> None:
        torch.manual_seed(0)
        network = networks.create(name).train()
        image = torch.randint(256, (4, 1, 28, 28), dtype=torch.uint8)
        digit, total = network(image, torch.tensor([0, 3, 6, 9]))
        (digit[:, 4].sum() + total[:, 9].sum()).backward()
        untouched = [
            name
            for name, parameter in network.named_parameters()
            if parameter.grad is None or not parameter.grad.any()
        ]
        assert untouched == []

    def test_only_early_fusion_lets_the_number_reach_the_digit(self, name: str) -> None:
        torch.manual_seed(0)
        network = networks.create(name).eval()
        image = torch.randint(256, (1, 1, 28, 28), dtype=torch.uint8).expand(10, -1, -1, -1)
        with torch.inference_mode():
            digit, total = network(image, torch.arange(10))
        changed = float((digit[0] - digit[9]).abs().max())
        # Equal rows of one batch may be rounded differently: threads share it out unevenly.
        assert changed > 0.01 if name == "early-fusion" else changed < 1e-5
        assert (total[0] - total[9]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("kind", "layers", "heights"),
    [
        (
            ScalarConcat,
            "conv1 6×1×5×5, conv2 12×6×5×5, fc1 120×192, fc2 60×121, out 20×60, out2 10×120",
            [24, 8],
        ),
        (
            Bottleneck,
            "conv1 32×1×3×3, conv2 64×32×3×3, reduce1 16×64×1×1, conv3 32×16×3×3, "
            "conv4 64×32×3×3, reduce2 16×64×1×1, conv5 32×16×3×3, conv6 64×32×3×3, "
            "conv7 10×64×3×3, fc1 128×20, fc2 19×128",
            [28, 28, 14, 14, 14, 7, 5, 3, 1],
        ),
        (
            Wide,
            "conv1 32×1×3×3, conv2 64×32×3×3, conv3 128×64×3×3, conv4 256×128×3×3, "
            "conv5 512×256×3×3, conv6 1024×512×3×3, conv7 10×1024×3×3, "
            "fc1 128×20, fc2 30×128, fc3 19×30",
            [28, 28, 14, 14, 5, 3, 1],
        ),
    ],
)
def test_layers_and_sizes_are_the_published_ones(
    kind: type[Network], layers: str, heights: list[int]
) -> None:
    assert shapes(kind()) == layers
    assert sizes(kind(), nn.Conv2d) == heights


def test_counts_are_the_published_ones() -> None:
    assert count_folded_parameters(Edge()) == 55_114
    assert "55,114 once BatchNorm is folded" in Edge.__doc__
    assert count_multiply_adds(Edge()) == 420_864
    assert count_parameters(ScalarConcat()) == 34_878
    assert count_parameters(BnAdder()) == 21_843
    assert count_parameters(BnAdder().image_part) == 7_840
    assert count_parameters(BnAdder().adder) == 14_003
    bottleneck, wide = Bottleneck(), Wide()
    assert count_parameters(bottleneck) == 78_077
    bottleneck.fc2 = nn.Linear(128, 18)
    assert count_parameters(bottleneck) == 77_948  # as printed, with 18 sums
    assert count_parameters(wide) == 6_386_933
    wide.fc2 = nn.Linear(128, 19)
    del wide.fc3
    assert count_parameters(wide) == 6_384_925  # as stated elsewhere, without fc3


class TestScalarConcat:
    def test_the_20th_sum_is_dropped_before_the_softmax(self) -> None:
        network = ScalarConcat()
        before = ask(network)[1]
        with torch.no_grad():
            network.out.bias[19] += 1000  # would take all probability
        assert torch.equal(ask(network)[1], before)
        with torch.no_grad():
            network.out.bias[18] += 1000
        assert ask(network)[1].argmax(1).tolist() == [18, 18]

    def test_the_number_enters_as_one_raw_scalar(self) -> None:
        network, seen = ScalarConcat(), []
        network.fc2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        ask(network, 10)
        assert seen[0][:, 120].tolist() == list(range(10))


class TestBnAdder:
    def test_the_sizes_of_the_published_summary(self) -> None:
        seen = sizes(BnAdder(), (nn.Conv2d, nn.MaxPool2d))
        assert list(dict.fromkeys(seen)) == [26, 24, 22, 11, 9, 7, 5, 1]
        assert seen == [26, 24, 22, 11, 11, 9, 7, 5, 1]  # pooled to 11, and kept by the 1x1

    def test_the_convolutions(self) -> None:
        convolutions = [m for m in BnAdder().modules() if isinstance(m, nn.Conv2d)]
        found = [f"{c.in_channels}→{c.out_channels} {c.kernel_size[0]}" for c in convolutions]
        assert found == [
            *("1→10 3", "10→10 3", "10→15 3", "15→10 1"),
            *("10→10 3", "10→10 3", "10→10 3", "10→10 5"),
        ]
        assert all(c.bias is None for c in convolutions)

    def test_dropout_follows_every_block_but_the_third(self) -> None:
        order = [type(m).__name__ for m in BnAdder().image_part.modules() if not list(m.children())]
        block = ["Conv2d", "BatchNorm2d", "ReLU", "Dropout"]
        assert order == [*block * 2, *block[:3], "MaxPool2d", *block * 4, "Conv2d"]

    def test_the_adder(self) -> None:
        adder = [m for m in BnAdder().adder.modules() if not list(m.children())]
        layer = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
        assert [type(m).__name__ for m in adder] == [*layer * 3, "Linear"]
        linear = [(m.in_features, m.out_features) for m in adder if isinstance(m, nn.Linear)]
        assert linear == [(20, 32), (32, 64), (64, 128), (128, 19)]


class TestEarlyFusion:
    def test_two_convolutions_and_four_linear_layers(self) -> None:
        kinds = [type(module) for module in EarlyFusion().modules()]
        assert kinds.count(nn.Conv2d) == 2
        assert kinds.count(nn.Linear) == 4

    def test_the_same_vector_feeds_both_outputs(self) -> None:
        network, seen = EarlyFusion(), []
        for layer in (network.linear3, network.linear4):
            layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        ask(network)
        assert seen[0] is seen[1]
        assert network.linear2.in_features == 10


@pytest.mark.parametrize("kind", [BnAdder, Bottleneck, Wide])
def test_the_learned_adders_get_ten_values_and_a_one_hot(kind: type[Network]) -> None:
    network, seen = kind(), []
    first = next(m for m in network.modules() if isinstance(m, nn.Linear))
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    digit, _ = ask(network, 10)
    assert seen[0].shape == (10, 20)
    assert torch.equal(seen[0][:, 10:], torch.eye(10))
    assert torch.allclose(seen[0][:, :10].log_softmax(1), digit)  # the values before the softmax


def test_an_unknown_name_lists_the_known_ones() -> None:
    names = "edge, scalar-concat, bn-adder, early-fusion, bottleneck, wide"
    with pytest.raises(InputError, match=f"network must be one of {names}, .*, got 'none'"):
        networks.create("none")


class TestExactAdder:
    @pytest.mark.parametrize("number", range(10))
    def test_every_digit_lands_on_its_sum(self, number: int) -> None:
        digit = torch.randn(10, 10).log_softmax(1)
        total = ExactAdder()(digit, torch.full((10,), number))
        assert torch.equal(total[:, number : number + 10], digit)
        outside = [s for s in range(19) if not number <= s < number + 10]
        assert (total[:, outside] == IMPOSSIBLE_LOG_PROBABILITY).all()

    def test_both_answers_agree_for_any_distribution(self) -> None:
        digit = (torch.randn(1000, 10) * 20).log_softmax(1)
        number = torch.randint(10, (1000,))
        total = ExactAdder()(digit, number)
        assert torch.equal(total.argmax(1), digit.argmax(1) + number)

    def test_the_gradient_reaches_the_digit(self) -> None:
        digit = torch.randn(4, 10, requires_grad=True)
        total = ExactAdder()(digit.log_softmax(1), torch.tensor([0, 3, 6, 9]))
        total[range(4), [5, 8, 11, 14]].sum().backward()
        assert (digit.grad != 0).all()

    def test_it_has_nothing_to_learn_and_nothing_to_store(self) -> None:
        assert list(ExactAdder().parameters()) == []
        assert ExactAdder().state_dict() == {}


def test_ink_is_scaled_to_one() -> None:
    image = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert scale_image(image).tolist() == pytest.approx([0, 0.2, 1])


def test_one_hot() -> None:
    encoded = one_hot(torch.tensor([3, 0, 9]))
    assert encoded.dtype == torch.float32
    assert encoded.tolist() == [[float(i == n) for i in range(10)] for n in (3, 0, 9)]
