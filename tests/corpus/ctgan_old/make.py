"""How these models were made: ``python make.py FOLDER`` with one release of ctgan, the rdt of its time, pandas 1.5."""

import pickle
import sys
from pathlib import Path

import ctgan
import numpy as np
import pandas as pd
import sklearn.mixture
import torch

OUT = Path(sys.argv[1])
OLD = not hasattr(ctgan, "TVAESynthesizer")
ROWS = 120
random = np.random.default_rng(5)
frame = pd.DataFrame(
    {
        "a": random.integers(18, 90, ROWS),
        "x": np.r_[random.normal(0, 1, ROWS // 2), random.normal(30, 4, ROWS // 2)],
        "f": random.normal(2, 1, ROWS).astype("float32"),
        "c": random.choice(["red", "green", "blue"], ROWS, p=[0.6, 0.3, 0.1]),
        "b": random.random(ROWS) < 0.3,
        "k": random.choice([10, 20, 30], ROWS),
        "d": random.choice([True, None, False], ROWS),
    }
)
if OLD:  # scikit-learn has made the number of components a keyword since
    made = sklearn.mixture.BayesianGaussianMixture
    ctgan.transformer.BayesianGaussianMixture = lambda count, **options: made(n_components=count, **options)


def model():
    if OLD:
        return ctgan.CTGANSynthesizer(embedding_dim=8, gen_dim=(16, 12), dis_dim=(16,), batch_size=50)
    return ctgan.CTGANSynthesizer(
        embedding_dim=8, generator_dim=(16, 12), discriminator_dim=(16,), batch_size=50, epochs=2
    )


def keep(name, fitted):
    (OUT / f"{name}.pkl").write_bytes(pickle.dumps(fitted, protocol=4))
    torch.set_num_threads(1)
    np.random.seed(1234)
    torch.manual_seed(1234)
    print(fitted.sample(150))


options = {"epochs": 2} if OLD else {}
table = frame.drop(columns="d") if OLD else frame
mixed = model()
mixed.fit(table, [name for name in "cbkd" if name in table], **options)
keep("mixed", mixed)
continuous = model()
continuous.fit(frame[["x", "f"]], [], **options)
keep("continuous", continuous)
if not OLD:
    tvae = ctgan.TVAESynthesizer(
        embedding_dim=8, compress_dims=(16,), decompress_dims=(16, 12), batch_size=50, epochs=2
    )
    tvae.fit(frame, list("cbkd"))
    keep("tvae", tvae)


# Two smaller ones. In ctgan 0.5.1, rdt 0.6.4, in the container that torch.save had before PyTorch 1.6, of 60 rows of
# n = integers(0, 90), x = normal(2, 3) and c = choice(["u", "v"]):
#     TVAESynthesizer(embedding_dim=3, compress_dims=(4,), decompress_dims=(4,), batch_size=20, epochs=1)
#     model.fit(frame, ["c"]); torch.save(model, path, _use_new_zipfile_serialization=False)
# In 0.12.1 with rdt 1.22, of 60 rows of n and k of the dtype Int64, a fifth of k missing, the random states of the
# transformers set to None:
#     TVAE(embedding_dim=3, compress_dims=(4,), decompress_dims=(4,), batch_size=20, epochs=1)
#     model.fit(frame, ["k"]); pickle.dumps(model, 2)
