"""54 to 66: what a run directory holds. Never believed, never run, never made weaker."""

import hashlib
import json
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ml2021.runs.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from tests import commands
from tests.catalogue.case import Case, Step, change, columns, copy, put, swap
from tests.commands import Outcome

BEST = "runs/number/checkpoints/best.safetensors"
PREDICT = "predict new.csv --run runs/number"
LAST = "runs/number/checkpoints/last.safetensors"
RESUME = "train --quiet --resume runs/number"
DAMAGED = f"{BEST}: damaged or not a checkpoint of ml2021; train the run again"

KEPT = "  - data.cache: the rows kept in rows/{{any}}.rows are {}, so they are encoded anew"


def kept_rows(folder: Path) -> None:
    """Train a run whose encoded rows are kept in rows/."""
    text = (folder / "number.yaml").read_text()
    (folder / "kept.yaml").write_text(text.replace("{path", "{memory: disk, cache: rows, path"))
    commands.run_well(folder, "train", "--quiet", "--config", "kept.yaml", "--run-dir", "once")


def flipped(name: str) -> Step:
    """Change a byte of a file of the kept rows."""

    def step(folder: Path) -> None:
        (path,) = folder.glob(f"rows/*.rows/{name}")
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 8
        path.unlink()
        path.write_bytes(content)

    return step


def refused(number: int, name: str, given: Step, line: str = DAMAGED) -> Case:
    """Return the row of a checkpoint that is not believed."""
    return Case(
        numbers=(number,), name=name, given=(given,), command=PREDICT, code=4, lines=(line,)
    )


def header_changed(edit: Callable[[dict[str, Any]], object]) -> Step:
    """Change the header of best.safetensors, the tensors' bytes as they were."""

    def rewrite(content: bytes) -> bytes:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        edit(header)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + content[8 + length :]

    return change(BEST, rewrite)


def described(**changed: object) -> Step:
    """Change what the header says of the run, the digest as it was."""

    def edit(header: dict[str, Any]) -> None:
        said = {**json.loads(header["__metadata__"]["ml2021"]), **changed}
        header["__metadata__"]["ml2021"] = json.dumps(said)

    return header_changed(edit)


def resaved(edit: Callable[[Checkpoint], Checkpoint]) -> Step:
    """Save best.safetensors anew with other content, whose digest is right."""

    def step(folder: Path) -> None:
        path = folder / BEST
        save_checkpoint(edit(load_checkpoint(path)))

    return step


def tensors(**changed: torch.Tensor | None) -> Step:
    """Put other tensors in, or take them out."""

    def edit(old: Checkpoint) -> Checkpoint:
        merged = {**old.tensors, **changed}
        kept = {name: tensor for name, tensor in merged.items() if tensor is not None}
        return replace(old, tensors=kept)

    return resaved(edit)


def weights(edit: Callable[[torch.Tensor], torch.Tensor]) -> Step:
    return resaved(
        lambda old: replace(old, tensors={**old.tensors, "theta": edit(old.tensors["theta"])})
    )


def spoilt(theta: torch.Tensor) -> torch.Tensor:
    theta = theta.clone()
    theta[0, 3] = torch.nan
    return theta


def without_scale(old: Checkpoint) -> Checkpoint:
    preprocessing = old.description.preprocessing
    target = preprocessing.target.model_copy(update={"scales": (0.0,)})
    broken = preprocessing.model_copy(update={"target": target})
    return replace(old, description=old.description.model_copy(update={"preprocessing": broken}))


def with_config(**changed: object) -> Callable[[Checkpoint], Checkpoint]:
    def edit(old: Checkpoint) -> Checkpoint:
        config = {**old.description.config, **changed}
        return replace(old, description=old.description.model_copy(update={"config": config}))

    return edit


def beyond(old: Checkpoint) -> Checkpoint:
    return replace(old, description=old.description.model_copy(update={"epoch": 10**9}))


def trained_on_a_gpu(old: Checkpoint) -> Checkpoint:
    config = {**old.description.config, "device": "cuda:7"}
    return replace(old, description=old.description.model_copy(update={"config": config}))


class Witness:
    """A pickle that makes a folder when it is loaded; the snapshot of the folder would show it."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("gone",)


def old_format(folder: Path) -> None:
    torch.save({"theta": torch.zeros(1)}, folder / BEST)


def million_tensors(content: bytes) -> bytes:
    entries = ",".join(
        f'"t{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(1_000_000)
    )
    text = f"{{{entries}}}".encode()
    return len(text).to_bytes(8, "little") + text


def linked(path: str, target: str) -> Step:
    """Put a link in the place of a file."""

    def step(folder: Path) -> None:
        place = folder / path
        outside = folder / "elsewhere"
        outside.mkdir()
        place.rename(outside / place.name)
        place.symlink_to(target.format(folder=folder))

    return step


def predicts_as_ever(folder: Path, outcome: Outcome) -> None:
    config = ("--config", "number.yaml", "--run-dir", "again")
    commands.run_well(folder, "train", "--quiet", *config)
    ever = commands.run_well(folder, "predict", "new.csv", "--run", "again", "--output", "-")
    assert outcome.stdout == ever.stdout


INIT = "train --quiet --config number.yaml --run-dir run --init-from runs/number"


def not_begun_with(name: str, command: str, line: str, *given: Step) -> Case:
    """Return the row of parameters that training cannot begin with."""
    remedy = "make them agree, or train without --init-from"
    return Case(
        numbers=(66,),
        name=name,
        given=given,
        command=command,
        code=2,
        lines=(f"--init-from runs/number: {line}; {remedy}",),
    )


def stopped_before_the_first_save(folder: Path) -> None:
    """Leave a run that began with another one's parameters, and has saved nothing yet."""
    commands.run_well(folder, *INIT.split())
    for name in ("checkpoints/best.safetensors", "checkpoints/last.safetensors", "summary.json"):
        (folder / "run" / name).unlink()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def told_the_digests(folder: Path, outcome: Outcome) -> None:
    recorded = json.loads((folder / "runs/number/environment.json").read_text())["data_sha256"]
    now = digest(folder / "train.csv")
    assert f"its SHA-256 is {now}… and was {recorded[:8]}…;" in outcome.stderr


CASES = [
    refused(
        54,
        "missing",
        lambda folder: (folder / BEST).unlink(),
        f"{{here}}/{BEST}: no such checkpoint; resume the run if it was stopped, else train again",
    ),
    refused(54, "empty", put(BEST, b"")),
    refused(55, "cut short", change(BEST, lambda content: content[:-1])),
    refused(55, "cut within the header", change(BEST, lambda content: content[:100])),
    refused(56, "a flipped bit", change(BEST, lambda c: c[:-5] + bytes([c[-5] ^ 1]) + c[-4:])),
    refused(57, "a hole of zeros", change(BEST, lambda c: c[:-64] + bytes(32) + c[-32:])),
    refused(58, "bytes behind the end", change(BEST, lambda content: content + bytes(8))),
    refused(59, "a pickle", change(BEST, lambda content: pickle.dumps(Witness()))),
    refused(59, "a checkpoint of torch", old_format),
    refused(
        60,
        "a header larger than the file",
        change(BEST, lambda content: (1 << 62).to_bytes(8, "little") + content[8:]),
    ),
    refused(
        60,
        "an absurd shape",
        header_changed(lambda header: header["theta"].update(shape=[1 << 62, 4])),
    ),
    refused(
        60,
        "overlapping tensors",
        header_changed(
            lambda header: header["theta"].update(
                data_offsets=[
                    header["theta"]["data_offsets"][0] - 4,
                    header["theta"]["data_offsets"][1] - 4,
                ]
            )
        ),
    ),
    refused(
        60,
        "a repeated tensor",
        change(BEST, lambda c: c.replace(b'"baselines.median"', b'"baselines.mean"  ')),
    ),
    refused(60, "a million tensors", change(BEST, million_tensors)),
    refused(
        61, "a missing tensor", tensors(theta=None), f"{BEST}: its parameters do not fit its config"
    ),
    refused(
        61,
        "a tensor of another shape",
        weights(lambda theta: theta[:, 1:]),
        f"{BEST}: its parameters do not fit its config",
    ),
    refused(
        61,
        "a tensor of another dtype",
        weights(lambda theta: theta.double()),
        f"{BEST}: its parameters do not fit its config",
    ),
    refused(
        62,
        "a link that climbs out of the run",
        linked(BEST, "../../../elsewhere/best.safetensors"),
        f"{BEST}: points outside the run directory, to {{here}}/elsewhere/best.safetensors; "
        "replace the link with a copy",
    ),
    refused(
        62,
        "a link to an absolute path",
        linked("runs/number/checkpoints", "{folder}/elsewhere/checkpoints"),
        "runs/number/checkpoints: points outside the run directory, to "
        "{here}/elsewhere/checkpoints; replace the link with a copy",
    ),
    refused(
        63,
        "a weight that is not a number",
        weights(spoilt),
        f"{BEST}: its parameters are not finite numbers",
    ),
    refused(
        63,
        "a baseline that is not a number",
        resaved(
            lambda old: replace(
                old,
                tensors={
                    **old.tensors,
                    "baselines.mean": torch.full((1,), torch.nan, dtype=torch.float64),
                },
            )
        ),
        f"{BEST}: tensor 'baselines.mean' holds values that no baseline has; train the run again",
    ),
    refused(
        63,
        "a baseline of float32",
        resaved(
            lambda old: replace(old, tensors={**old.tensors, "baselines.mean": torch.zeros(1)})
        ),
        f"{BEST}: tensor 'baselines.mean' is not of float64",
    ),
    refused(
        61,
        "a config of another task",
        resaved(with_config(task="structured")),
        f"{BEST}: its config does not fit its preprocessing",
    ),
    Case(
        numbers=(61,),
        name="an epoch beyond the end of training",
        given=(
            lambda folder: save_checkpoint(beyond(load_checkpoint(folder / LAST))),
            lambda folder: (folder / "runs/number/summary.json").unlink(),
        ),
        command=RESUME,
        code=4,
        lines=(f"{LAST}: its epoch or batch is beyond the end of training; start a new run",),
    ),
    Case(
        numbers=(66,),
        name="a saved config without a task",
        given=(swap("runs/number/config.resolved.yaml", "task: regression", "task: auto"),),
        command=RESUME,
        code=4,
        lines=(
            "runs/number/config.resolved.yaml: not as a run saves it, with task and loss; "
            "restore it",
        ),
    ),
    Case(
        numbers=(66,),
        name="a saved config of fewer epochs than are done",
        given=(
            change(
                "runs/number/config.resolved.yaml",
                lambda c: re.sub(rb"epochs: [0-9]+", b"epochs: 1", c, count=1),
            ),
        ),
        command=RESUME,
        code=4,
        lines=(
            "runs/number/config.resolved.yaml:{n}:{n}: is 1, but last.safetensors has done "
            "{n} epochs; restore it",
        ),
    ),
    Case(
        numbers=(61,),
        name="metrics with a negative loss",
        given=(change("runs/number/metrics.csv", lambda c: c.replace(b"\n1,", b"\n-1,", 1)),),
        command="report --run runs/number",
        code=4,
        lines=("runs/number/metrics.csv:2: damaged, not epoch 1; train the run again",),
    ),
    Case(
        numbers=(60,),
        name="a summary that is too large",
        given=(lambda folder: os.truncate(folder / "runs/number/summary.json", 300 << 20),),
        command="compare runs/number",
        code=4,
        lines=("runs/number/summary.json: 300 MiB are more than the 256 MiB that can be read",),
    ),
    refused(63, "a scale of 0", resaved(without_scale)),
    refused(
        64,
        "a newer format",
        described(format_version=99),
        f"{BEST}: checkpoint format 99, but this ml2021 reads 5; "
        "use the version that wrote it, or train again",
    ),
    refused(
        64,
        "an older format",
        described(format_version=0),
        f"{BEST}: checkpoint format 0, but this ml2021 reads 5; "
        "use the version that wrote it, or train again",
    ),
    Case(
        numbers=(65,),
        name="trained on a GPU that is not here",
        given=(resaved(trained_on_a_gpu),),
        command=f"{PREDICT} --output -",
        code=0,
        lines=("new.csv: 30 rows to stdout",),
        then=(predicts_as_ever,),
        needs=lambda: "there is a CUDA device here" if torch.cuda.is_available() else "",
    ),
    Case(
        numbers=(66,),
        name="a resume with another config",
        given=(
            swap("runs/number/config.resolved.yaml", "widths: [8]", "widths: [9]"),
            swap("runs/number/config.resolved.yaml", "type: adamw", "type: adam"),
        ),
        command=RESUME,
        code=4,
        lines=(
            "runs/number/config.resolved.yaml:{n}:{n}: model.widths is [9], but was [8]; "
            "restore it, or start a new run",
            "runs/number/config.resolved.yaml:{n}:{n}: optimizer.type is adam, but was adamw; "
            "restore it, or start a new run",
        ),
    ),
    Case(
        numbers=(66,),
        name="a resume with an override",
        command=f"{RESUME} --set optimizer.lr=0.5",
        code=2,
        lines=("--set optimizer.lr=0.5: only train.epochs can be changed when resuming",),
    ),
    Case(
        numbers=(66,),
        name="a resume with other data",
        given=(columns("train.csv", 120, 5),),
        command=RESUME,
        code=4,
        lines=(
            "runs/number: {here}/train.csv has changed since the run began, its SHA-256 is {any}… "
            "and was {any}…; restore it, or start a new run",
        ),
        then=(told_the_digests,),
    ),
    not_begun_with(
        "a start with another model",
        f"{INIT} --set model=linear",
        "model.type is linear, but was relu_stack",
    ),
    not_begun_with(
        "a start with another number of members",
        f"{INIT} --set train.members=3",
        "train.members is 3, but that run has 1",
    ),
    not_begun_with(
        "a start with numbers in pieces",
        f"{INIT} --set data.numbers=piecewise",
        "data.numbers is piecewise here, but standardise there",
    ),
    not_begun_with(
        "a start with other columns",
        f"{INIT} --set data.exclude=[id,kind,b,p0,p1,p2,p3,p4,p5]",
        "column 'b' is a feature only there",
    ),
    not_begun_with(
        "a start with categories that it has not seen",
        f"{INIT} --set data.path=other.csv",
        "column 'colour' has categories that it did not have there: 'mauve'",
        columns("other.csv", 120, 5, colour=["mauve"] * 30),
    ),
    not_begun_with(
        "a start for another task",
        INIT.replace("number.yaml", "classes.yaml"),
        "the task is classification here, but regression there (and 1 more)",
    ),
    Case(
        numbers=(66,),
        name="a start for the folds of a cross-validation",
        command=f"{INIT} --set data.split.method=kfold",
        code=2,
        lines=(
            "--init-from runs/number: not with kfold, since these parameters may have been "
            "trained on the rows that a fold holds out; choose another data.split.method",
        ),
    ),
    Case(
        numbers=(66,),
        name="a start from what is no run",
        command=INIT.replace("runs/number", "runs"),
        code=4,
        lines=("{here}/runs: not a run directory",),
    ),
    Case(
        numbers=(66,),
        name="a start for a resume",
        command="train --resume runs/number --init-from runs/classes",
        code=2,
        lines=(
            "ml2021 train: --init-from needs a config; a resumed run has its own parameters; "
            "see ml2021 train --help",
        ),
    ),
    Case(
        numbers=(56,),
        name="a flipped bit in what training is to begin with",
        given=(change(BEST, lambda c: c[:-5] + bytes([c[-5] ^ 1]) + c[-4:]),),
        command=INIT,
        code=4,
        lines=(DAMAGED,),
    ),
    Case(
        numbers=(56,),
        name="a flipped bit in what training began with",
        given=(
            stopped_before_the_first_save,
            change(
                "run/checkpoints/init.safetensors", lambda c: c[:-5] + bytes([c[-5] ^ 1]) + c[-4:]
            ),
        ),
        command="train --quiet --resume run",
        code=4,
        lines=(
            "run/checkpoints/init.safetensors: damaged or not a checkpoint of ml2021; "
            "train the run again",
        ),
    ),
    Case(
        numbers=(54,),
        name="what training began with is missing",
        given=(
            stopped_before_the_first_save,
            lambda folder: (folder / "run/checkpoints/init.safetensors").unlink(),
        ),
        command="train --quiet --resume run",
        code=4,
        lines=(
            "{here}/run/checkpoints/init.safetensors: no such checkpoint; "
            "resume the run if it was stopped, else train again",
        ),
    ),
    Case(
        numbers=(66,),
        name="what training began with is of another run",
        given=(
            stopped_before_the_first_save,
            lambda folder: commands.run_well(
                folder,
                *("train", "--quiet", "--config", "number.yaml", "--set", "seed=3"),
                *("--run-dir", "other"),
            ),
            copy("other/checkpoints/best.safetensors", "run/checkpoints/init.safetensors"),
        ),
        command="train --quiet --resume run",
        code=4,
        lines=(
            "run/checkpoints/init.safetensors: not the parameters that the run started from; "
            "start a new run",
        ),
    ),
    Case(
        numbers=(66,),
        name="a resume of a run that another start is recorded of",
        given=(swap("runs/number/environment.json", '"data":', '"init_sha256": "0", "data":'),),
        command=RESUME,
        code=4,
        lines=(
            "runs/number/checkpoints/last.safetensors: did not start from the parameters named in "
            "environment.json; start a new run",
        ),
    ),
    Case(
        numbers=(67,),
        name="kept rows with another byte",
        given=(kept_rows, flipped("train-inputs")),
        command="train --config kept.yaml --run-dir again",
        code=0,
        lines=(KEPT.format("damaged"),),
        leaves=("again", "rows"),
    ),
    Case(
        numbers=(67,),
        name="kept rows that are something else",
        given=(kept_rows, flipped("meta.json")),
        command="train --config kept.yaml --run-dir again",
        code=0,
        lines=(KEPT.format("damaged"),),
        leaves=("again", "rows"),
    ),
    Case(
        numbers=(67,),
        name="kept rows of the table as it was",
        given=(kept_rows, swap("train.csv", "red", "blue")),
        command="train --config kept.yaml --run-dir again",
        code=0,
        lines=(KEPT.format("not those of the data as it is now"),),
        leaves=("again", "rows"),
    ),
]
