"""Train, get killed, start again, go on: ``python benchmarks/resume_example.py``.

Trains the same small network twice, once in one go and once in a process that is killed by SIGKILL in the middle and
started again, and prints the losses of both side by side. Exit code 1 if any two differ.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

import modelcrate as mc

EPOCHS = 8


def train(folder: str) -> None:
    """This part is what a training script looks like: one manager, one restore, one save."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    manager = mc.CheckpointManager(folder, keep=3, keep_best="train")

    first_epoch = 0
    if (checkpoint := manager.latest()) is not None:
        checkpoint.restore(network, optimizer, scheduler)
        first_epoch = checkpoint.next_epoch

    for epoch in range(first_epoch, EPOCHS):
        for _ in range(50):
            features = torch.randn(32, 16)
            loss = nn.functional.mse_loss(network(features), features.sum(1, keepdim=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        losses = {"train": loss}
        manager.save(
            networks=network, optimizers=optimizer, schedulers=scheduler, epoch=epoch, losses=losses, block=False
        )
        print(epoch, loss.item().hex(), flush=True)
    manager.close()


def start(folder: Path, *, kill_after: int | None = None) -> dict[int, float]:
    """Run the training in a process of its own; the losses by epoch that it printed before it ended or was killed."""
    losses: dict[int, float] = {}
    with subprocess.Popen([sys.executable, __file__, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            epoch, loss = line.split()
            losses[int(epoch)] = float.fromhex(loss)
            if len(losses) == kill_after:
                process.send_signal(signal.SIGKILL)
                break
    return losses


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        unbroken = start(Path(folder, "unbroken"))
        before = start(Path(folder, "broken"), kill_after=3)
        after = start(Path(folder, "broken"))
    print(f"{'epoch':>5}  {'unbroken':>20}  {'killed, then resumed':>20}")
    same = True
    for epoch, loss in unbroken.items():
        other = after.get(epoch, before.get(epoch))
        same = same and other == loss and before.get(epoch, loss) == loss
        where = "before the kill" if epoch not in after else "after"
        print(f"{epoch:>5}  {loss:>20.17g}  {other:>20.17g}  {where}")
    print("the same, bit for bit" if same else "DIFFERENT")
    return 0 if same else 1


if __name__ == "__main__":
    if len(sys.argv) == 2:
        train(sys.argv[1])
    else:
        sys.exit(main())
