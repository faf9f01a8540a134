"""A folder of checkpoints: the last few and the best, written whole or not at all, in the background if asked to.

Files are called ``checkpoint-00000042.crate``, numbered in the order in which they were saved, whatever epochs and
steps they are of: after a roll-back the newest is still the last one written. A file has its final name only when it is
complete and durable, so whenever the process or the machine stops, the newest file is whole. One process at a time may
save into a folder; any number may read it.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from modelcrate.checkpoint.load import Checkpoint, load_checkpoint, read_progress
from modelcrate.checkpoint.report import CheckpointWarning
from modelcrate.checkpoint.save import Training, write
from modelcrate.checkpoint.snapshot import Snapshot
from modelcrate.errors import ModelcrateError, StorageError, UsageError
from modelcrate.nn.nested import is_number
from modelcrate.storage.component import ComponentData
from modelcrate.storage.regions import storage_error

if TYPE_CHECKING:
    from modelcrate.nn.devices import Device
    from modelcrate.nn.random_state import Generator

_NAME = re.compile(r"checkpoint-([0-9]{8,12})\.crate")
_LEFTOVER = re.compile(r"\.modelcrate-[0-9a-f]{16}\.tmp")


class CheckpointManager:
    """Keeps the last ``keep`` checkpoints in ``folder``, and the best by a metric.

    ``keep_best`` names a metric (or a loss) whose best checkpoint is kept beyond the last few: the smallest, or the
    largest with ``mode="max"``. ``every`` makes :meth:`save` act once in so many steps (epochs where no step is given).
    Use it as a context manager, or call :meth:`close`, so that a failed background save is not missed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep: int = 3,
        keep_best: str | None = None,
        mode: Literal["min", "max"] = "min",
        every: int | None = None,
    ) -> None:
        if type(keep) is not int or keep < 1:
            raise UsageError("at least one checkpoint is kept", where="keep")
        if every is not None and (type(every) is not int or every < 1):
            raise UsageError("expected a number of steps from 1", where="every")
        if mode not in ("min", "max"):
            raise UsageError(f"mode is 'min' or 'max', not {mode!r}")
        self.folder = os.fspath(folder)
        self.keep = keep
        self.keep_best = keep_best
        self.mode = mode
        self.every = every
        self._snapshot = Snapshot()
        self._thread: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None
        self._scores: dict[str, float | None] = {}
        self._saved_at: int | None = None
        self._cleaned = False
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            raise storage_error(error, "can't be made", where=self.folder) from error

    def save(
        self,
        *,
        networks: Any,
        optimizers: Any = None,
        schedulers: Any = None,
        scaler: Any = None,
        ema: Any = None,
        epoch: int | None = None,
        step: int | None = None,
        losses: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        random_state: bool | Mapping[str, Generator] = True,
        data_position: Any = None,
        extras: Mapping[str, Any] | None = None,
        block: bool = True,
    ) -> str | None:
        """Save as :func:`modelcrate.save_checkpoint` does, and remove what need not be kept any longer.

        Returns the path, or None where ``every`` says that it is not yet time. ``block=False`` copies all tensors, and
        writes them in the background: the next save, :meth:`latest`, :meth:`best`, :meth:`wait` and :meth:`close` wait
        for it and raise its error if it had one. Raises as ``save_checkpoint``; a failed save leaves all older ones.
        """
        self.wait()
        count = step if step is not None else epoch
        if not self._is_due(count):
            return None
        training = Training(
            networks=networks,
            optimizers=optimizers,
            schedulers=schedulers,
            scaler=scaler,
            ema=ema,
            epoch=epoch,
            step=step,
            losses=losses,
            metrics=metrics,
            config=config,
            random_state=random_state,
            data_position=data_position,
            extras=extras,
        )
        if not self._cleaned:
            self._clean()
        components = training.capture(None if block else self._snapshot.copy)
        path = os.path.join(self.folder, f"checkpoint-{self._next_number():08d}.crate")
        score = self._score(metrics or {}, losses or {})
        if block:
            self._write(path, components, score)
        else:
            self._pending = self._worker().submit(self._write, path, components, score)
        self._saved_at = count
        return path

    def latest(self, *, device: Device = "cpu", only: str | Iterable[str] | None = None) -> Checkpoint | None:
        """The newest checkpoint, verified; None if there is none. A damaged one is passed over with a warning.

        Raises StorageError if there are checkpoints and none can be read.
        """
        self.wait()
        return self._first(reversed(self.paths()), device, only)

    def best(self, *, device: Device = "cpu", only: str | Iterable[str] | None = None) -> Checkpoint | None:
        """The best checkpoint by ``keep_best``, verified; None if none has that metric. Else as :meth:`latest`."""
        if self.keep_best is None:
            raise UsageError("there is no best checkpoint without keep_best=")
        self.wait()
        return self._first(self._ranking(), device, only)

    def paths(self) -> list[str]:
        """The paths of all complete checkpoints, oldest first."""
        try:
            found = [(int(match[1]), name) for name in os.listdir(self.folder) if (match := _NAME.fullmatch(name))]
        except OSError as error:
            raise storage_error(error, "can't be listed", where=self.folder) from error
        return [os.path.join(self.folder, name) for _, name in sorted(found)]

    def wait(self) -> None:
        """Return when nothing is being written; raises the error of the background save, once."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Wait for the background save, raise its error if it had one, and let go of its thread and its memory."""
        try:
            self.wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown()
                self._thread = None
            self._snapshot.clear()

    def __enter__(self) -> CheckpointManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            with contextlib.suppress(ModelcrateError):  # the error that is under way says more
                self.close()

    def _is_due(self, count: int | None) -> bool:
        if self.every is None or count is None or type(count) is not int:
            return True
        if self._saved_at is None:
            self._saved_at = self._newest_count()
        return self._saved_at is None or count < self._saved_at or count // self.every > self._saved_at // self.every

    def _newest_count(self) -> int | None:
        for path in reversed(self.paths()):
            progress = read_progress(path)
            if not isinstance(progress, ModelcrateError):
                return progress.step if progress.step is not None else progress.epoch
        return None

    def _worker(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="modelcrate-checkpoint")
        return self._thread

    def _write(self, path: str, components: list[ComponentData], score: float | None) -> None:
        write(path, components)
        self._scores[path] = score
        self._prune()

    def _prune(self) -> None:
        """Remove all but the last few and the best; only ever after a newer one is complete."""
        paths = self.paths()
        kept = set(paths[-self.keep :])
        if self.keep_best is not None:
            kept |= set(self._ranking()[:1])
        for path in paths:
            if path not in kept:
                self._scores.pop(path, None)
                self._remove(path)

    def _clean(self) -> None:
        """Remove what a killed process left half-written; one process saves into a folder, so it is nobody's."""
        for name in os.listdir(self.folder):
            if _LEFTOVER.fullmatch(name) is not None:
                self._remove(os.path.join(self.folder, name))
        self._cleaned = True

    def _remove(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            warnings.warn(f"{path} can't be removed: {error.strerror}", CheckpointWarning, stacklevel=4)

    def _next_number(self) -> int:
        paths = self.paths()
        match = _NAME.fullmatch(os.path.basename(paths[-1])) if paths else None
        return 1 if match is None else int(match[1]) + 1

    def _ranking(self) -> list[str]:
        """Paths of the checkpoints that have the metric, best first, the newer one first among equals."""
        scored: list[tuple[float, int, str]] = []
        for age, path in enumerate(reversed(self.paths())):
            if path not in self._scores:
                found = read_progress(path)
                self._scores[path] = (
                    None if isinstance(found, ModelcrateError) else self._score(found.metrics, found.losses)
                )
            score = self._scores[path]
            if score is not None:
                scored.append((score if self.mode == "min" else -score, age, path))
        return [path for _, _, path in sorted(scored)]

    def _score(self, metrics: Mapping[str, Any], losses: Mapping[str, Any]) -> float | None:
        """The number by which checkpoints are ranked: a metric, else a loss; NaN ranks nowhere."""
        if self.keep_best is None:
            return None
        value = metrics.get(self.keep_best, losses.get(self.keep_best))
        if not is_number(value):
            return None
        try:
            score = float(value.item() if hasattr(value, "item") else value)
        except OverflowError:
            return None
        return None if math.isnan(score) else score

    def _first(self, paths: Iterable[str], device: Device, only: str | Iterable[str] | None) -> Checkpoint | None:
        names = only if only is None or isinstance(only, str) else list(only)
        failed: list[str] = []
        for path in paths:
            try:
                checkpoint = load_checkpoint(path, device=device, only=names)
            except UsageError:
                raise
            except ModelcrateError as error:
                failed.append(path)
                warnings.warn(f"passed over, because it can't be read: {error}", CheckpointWarning, stacklevel=3)
            else:
                return checkpoint
        if failed:
            raise StorageError(f"none of {len(failed)} checkpoints can be read", where=self.folder)
        return None
