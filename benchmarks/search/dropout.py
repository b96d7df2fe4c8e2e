"""The dropout rate of `bn-adder`, on the validation images: python -m benchmarks.search.dropout.

The rate is not published. Each rate is trained alike, for fewer epochs than the committed
checkpoint; the test images are not touched.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from export import networks
from export.networks.bn_adder import BnAdder
from export.train import TrainConfig, train

RATES = (0.0, 0.02, 0.05, 0.1)


def main(
    epochs: Annotated[int, typer.Option(min=1, help="Epochs for each rate.")] = 4,
    seeds: Annotated[int, typer.Option(min=1, help="Runs for each rate.")] = 1,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
) -> None:
    """Print the validation accuracy of digit and sum for each rate and seed."""
    print(f"{epochs} epochs of our recipe for bn-adder; validation accuracy, all ten numbers")
    for rate in RATES:
        name = f"bn-adder with dropout {rate}"
        networks.NETWORKS[name] = type("Trial", (BnAdder,), {"dropout": rate})
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                config = TrainConfig.for_network(
                    name, epochs=epochs, seed=seed, data_dir=data_dir, out=Path(folder)
                )
                result = train(config, test=False).validation
            print(f"dropout {rate}, seed {seed}: digit {result.digit:.2%}, sum {result.sum:.2%}")


if __name__ == "__main__":
    typer.run(main)
