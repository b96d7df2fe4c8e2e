"""The networks keep the contract, and the exact adder adds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edge_adder.contract import IMPOSSIBLE_LOG_PROBABILITY
from edge_adder.errors import InputError
from export import networks
from export.networks.parts import ExactAdder, scale_image


@pytest.mark.parametrize("name", networks.NETWORKS)
@pytest.mark.parametrize("batch", [1, 2, 257])
def test_a_network_keeps_the_contract(name: str, batch: int) -> None:
    torch.manual_seed(0)
    network = networks.create(name).eval()
    image = torch.randint(256, (batch, 1, 28, 28), dtype=torch.uint8)
    number = torch.arange(batch) % 10
    with torch.inference_mode():
        digit, total = network(image, number)
    assert digit.shape == (batch, 10)
    assert total.shape == (batch, 19)
    assert digit.dtype == total.dtype == torch.float32
    for output in (digit, total):
        assert output.isfinite().all()
        assert torch.allclose(output.exp().sum(1), torch.ones(batch), atol=1e-5)


def test_edge_has_the_stated_parameters_and_multiply_adds() -> None:
    network = networks.create("edge")
    counts = {"parameters": 0, "multiply_adds": 0}

    def count(module: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        weights = module.weight.numel()
        counts["parameters"] += weights + module.out_channels  # a folded BatchNorm leaves a bias
        counts["multiply_adds"] += weights * output.shape[2] * output.shape[3]

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    assert counts == {"parameters": 21_754, "multiply_adds": 417_600}
    assert type(network).__doc__.startswith("21,754 parameters once BatchNorm is folded, 0.42 M")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="network must be one of edge, got 'none'"):
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
