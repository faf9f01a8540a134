"""Make the model and its goldens with gretel-synthetics 0.22.20: PYTHONHASHSEED=0 python make.py"""

import json
import lzma
import random
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from gretel_synthetics.actgan import ACTGAN
from sdv.sampling import Condition

HERE = Path(__file__).resolve().parent
SEED = 1234


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def save_frame(frame: pd.DataFrame, name: str) -> None:
    frame.to_csv(HERE / f"{name}.csv", index=False, float_format="%.17g", na_rep="\\N")
    columns = [
        {"name": str(column), "dtype": str(frame[column].dtype), "missing": int(frame[column].isna().sum())}
        for column in frame
    ]
    (HERE / f"{name}.dtypes.json").write_text(json.dumps({"rows": len(frame), "columns": columns}) + "\n")


def main() -> None:
    torch.set_num_threads(1)
    seed_all(7)
    rng, rows = np.random.default_rng(7), 120
    table = pd.DataFrame(
        {
            "size": pd.Categorical(rng.choice(["S", "M", "L"], rows), categories=["S", "M", "L", "XL"], ordered=True),
            "paid": pd.Categorical(rng.random(rows) < 0.4),
            "seen": pd.array(rng.random(rows) < 0.3, dtype="boolean"),
            "count": pd.array(rng.integers(0, 9, rows), dtype="Int64"),
            "level": rng.normal(size=rows).round(2),
        }
    )
    model = ACTGAN(
        field_types={name: {"type": "categorical"} for name in ("size", "paid", "seen", "count")},
        binary_encoder_cutoff=2,  # one-hot columns of these dtypes can't be trained
        binary_encoder_nan_handler="mode",
        force_conditioning=True,  # beside the usual conditioning on one category
        embedding_dim=4,
        generator_dim=(4,),
        discriminator_dim=(4,),
        batch_size=20,
        epochs=1,
        cuda=False,
    )
    model.fit(table.copy())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pkl"
        model.save(str(path))
        (HERE / "model.pkl.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
        seed_all(SEED)
        save_frame(ACTGAN.load_v2(str(path)).sample(60), "sample")
        seed_all(SEED)
        asked = Condition({"size": "XL", "level": 0.5}, num_rows=5)
        save_frame(ACTGAN.load_v2(str(path)).sample_conditions([asked]), "conditions")


if __name__ == "__main__":
    main()
