"""Parts of a study: what one process of a job knows, cut out and merged again."""

import dataclasses
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.results.records import COLUMNS, Record
from jaxnn.results.trials import Chunk, Lane


class Part(NamedTuple):
    """A study of some settings, and their numbers in the whole study."""

    study: Record
    setting_numbers: np.ndarray


def part_of(
    study: Record,
    lanes: Collection[Lane],
    networks: Iterable[Lane] | None = None,
    is_whole: bool = False,
) -> Part:
    """Returns the part of a study with the results of some lanes.

    Other lanes of the same settings count as not trained.

    Args:
      lanes: (number, repetition) of the lanes.
      networks: the lanes whose networks are included; None includes all.
      is_whole: whether to keep all settings and the whole plan.
    """
    setting_numbers = np.unique([number for number, _ in lanes]).astype(int)
    if is_whole:
        setting_numbers = np.arange(len(study.given))
    mine = np.zeros(study.diverged.shape, bool)
    rows, columns = np.array([*lanes], int).reshape(-1, 2).T
    mine[rows, columns] = True
    mine = mine[setting_numbers]
    chunks, places = _chunks_of(study, lanes if networks is None else networks)
    cut: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        known = (places if name == "places" else getattr(study, name))[setting_numbers]
        is_masked = column.is_own and column.shape == ()
        cut[name] = np.where(mine, known, column.fill) if is_masked else known
    part = dataclasses.replace(
        study,
        given=[study.given[number] for number in setting_numbers],
        settings=[study.settings[number] for number in setting_numbers],
        plan=study.plan if is_whole else dataclasses.replace(study.plan, programs=()),
        curves={
            name: np.where(mine[..., None], curve[setting_numbers], np.nan).astype(curve.dtype)
            for name, curve in study.curves.items()
        },
        # other processes have them already
        treatments=study.treatments if is_whole else {},
        chunks=chunks,
        **cut,
    )
    return Part(part, setting_numbers)


def _chunks_of(study: Record, lanes: Iterable[Lane]) -> tuple[list[Chunk], np.ndarray]:
    """Returns chunks with the networks of some lanes alone, and the places in them."""
    places = np.full_like(study.places, -1)
    found: dict[int, list[tuple[Lane, int]]] = {}
    for lane in lanes:
        index, row = study.places[lane]
        if index >= 0:
            found.setdefault(int(index), []).append((lane, int(row)))
    chunks: list[Chunk] = []
    for index, members in found.items():
        chunk, rows = study.chunks[index], [row for _, row in members]
        for row, (lane, _) in enumerate(members):
            places[lane] = len(chunks), row
        networks = chunk.params, chunk.state
        params, state = jax.tree.map(lambda leaf, rows=rows: leaf[rows], networks)
        chunks.append(dataclasses.replace(chunk, params=params, state=state))
    return chunks, places


def absorb(study: Record, part: Part) -> None:
    """Copies what a part has in addition, later epochs and networks, to the whole study."""
    then, setting_numbers = part
    known = setting_numbers < len(study.given)
    setting_numbers = setting_numbers[known]
    ours, theirs = study.epochs_done[setting_numbers], then.epochs_done[known]
    is_missing = (study.places[setting_numbers, :, 0] < 0) & (then.places[known][..., 0] >= 0)
    rows, repeats = np.nonzero((theirs > ours) | ((theirs == ours) & is_missing))
    here = setting_numbers[rows], repeats
    rows = np.flatnonzero(known)[rows]
    for name, curve in study.curves.items():
        curve[here] = then.curves[name][rows, repeats]
    for name, column in COLUMNS.items():
        if column.shape == ():
            getattr(study, name)[here] = getattr(then, name)[rows, repeats]
    study.dropped[here[0]] = np.maximum(study.dropped[here[0]], then.dropped[rows])
    places = then.places[rows, repeats]
    study.places[here] = np.where(places >= 0, places + np.array([len(study.chunks), 0]), -1)
    take_over(study, then)


def take_over(study: Record, past: Record) -> None:
    """Adds the chunks, notes and times of a record of the same search to a study."""
    study.chunks += past.chunks
    study.notes += [note for note in past.notes if note not in study.notes]
    study.treatments |= past.treatments
    # processes work at the same time: take the longest
    study.seconds = max(study.seconds, past.seconds)
    study.compile_seconds = max(study.compile_seconds, past.compile_seconds)
