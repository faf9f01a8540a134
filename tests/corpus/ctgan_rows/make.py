"""Makes the files of this folder with the installed ctgan: the same columns, 100 and 1,000 training rows.

PYTHONHASHSEED=0 python make.py
"""

import lzma
import random
import tempfile
from pathlib import Path

import ctgan
import numpy as np
import pandas as pd
import torch

HERE = Path(__file__).parent


def table(rows):
    """A number of two modes, a category and a truth value."""
    rng = np.random.default_rng(41)
    low, high = rng.normal(0, 1, rows), rng.normal(40, 1, rows)
    return pd.DataFrame(
        {
            "amount": np.where(rng.random(rows) < 0.5, low, high).round(2),
            "kind": rng.choice(np.array(["a", "b", "c"], dtype=object), rows),
            "vip": rng.random(rows) < 0.4,
        }
    )


def main():
    """Train, save, compress."""
    torch.set_num_threads(1)
    device = {"enable_gpu": False} if ctgan.__version__.startswith("0.12") else {"cuda": False}
    sizes = {"embedding_dim": 4, "generator_dim": (4,), "discriminator_dim": (4,), "batch_size": 20, "pac": 2}
    for rows in (100, 1000):
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        model = ctgan.CTGAN(epochs=1, **sizes, **device)
        model.fit(table(rows), ["kind", "vip"])
        with tempfile.TemporaryDirectory() as work:
            model.save(str(Path(work) / "model.pt"))
            data = (Path(work) / "model.pt").read_bytes()
        name = f"{ctgan.__version__.replace('.', '_')}_{rows}_rows.pt.xz"
        (HERE / name).write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


main()
