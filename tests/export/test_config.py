"""The settings of a training: recipes, changes, ranges."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from edge_adder.errors import InputError
from export import networks
from export.config import Device, Precision, Recipe, TrainConfig
from export.data import Split


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_a_networks_recipes_are_settings_of_a_training(name: str) -> None:
    kind = networks.NETWORKS[name]
    assert (
        TrainConfig.for_network(name).recipe().items() >= {**kind.recipe, "network": name}.items()
    )
    if kind.published_recipe is None:
        with pytest.raises(InputError, match=r"expected one of early-fusion, bottleneck$"):
            TrainConfig.for_network(name, "published")
    else:
        config = TrainConfig.for_network(name, "published")
        assert (config.augment, config.ema_decay, config.schedule) == (False, 0.0, "constant")


def test_changes_override_a_recipe() -> None:
    config = TrainConfig.for_network("bottleneck", "published", epochs=3)
    assert (config.epochs, config.batch_size) == (3, 32)
    with pytest.raises(InputError, match="recipe must be one of ours, published, got 'other'"):
        TrainConfig.for_network("bottleneck", "other")


def test_it_is_frozen() -> None:
    with pytest.raises(AttributeError):
        TrainConfig().epochs = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "none"}, "network must be one of edge, scalar-concat"),
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
        ({"batch_size": 1}, "batch_size must be 2 or more"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0, got nan"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more"),
        ({"ema_decay": 1.0}, "ema_decay must be 0 or more and below 1"),
        ({"handwriting": 1.5}, "handwriting must be 0 to 1, got 1.5"),
        ({"synthetic_digits": -1}, "synthetic_digits must be 0 or more, got -1"),
        ({"negatives": -1}, "negatives must be 0 or more, got -1"),
        ({"scan_copies": -1}, "scan_copies must be 0 or more, got -1"),
        ({"pen_copies": -1}, "pen_copies must be 0 or more, got -1"),
        ({"cached_passes": -1}, "cached_passes must be 0 or more, got -1"),
        ({"split": "half"}, "split must be one of fixed, random-80-20, got 'half'"),
        ({"schedule": "step"}, "schedule must be one of cosine, constant, got 'step'"),
        ({"numbers": "all"}, "numbers must be one of random, cyclic, got 'all'"),
        ({"precision": "int8"}, "precision must be one of float32, bfloat16, got 'int8'"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, got 'tpu'"),
    ],
)
def test_a_setting_out_of_range_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**change)


@pytest.mark.parametrize(
    ("option", "choices"),
    [("recipe", Recipe), ("split", Split), ("precision", Precision), ("device", Device)],
)
def test_the_help_of_train_has_the_choices(edge_adder: Any, option: str, choices: Any) -> None:
    assert f"--{option} {'|'.join(get_args(choices))} " in edge_adder("train", "--help").stdout
