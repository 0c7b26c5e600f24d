"""The always-on part of hearing: samples in, onsets out, at a constant rate of false alarms."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.band_energy import SEGMENT_CELLS, BandEnergyMeter, CellGrid
from appliance.dsp.noise_floor import QUANTISATION_FLOOR, NoiseFloor
from appliance.dsp.onsets import Onset, OnsetRules, onset_at

MAX_LISTENING = 3
"""Channels of a larger array that the gate listens to: enough to outvote one that is broken."""
FRAME_CELLS = SEGMENT_CELLS
"""Cells are worked off in frames as they come, counted from the start of the stream, so that blocks don't matter. A
frame is looked at when the next is there, and learnt by the floor one frame later."""
DEAD_FRAMES = 20
"""Every so many frames, a second, a channel that carries nothing is given up for another."""
THRESHOLD_FRAMES = 10
"""The threshold is worked out anew every so many frames, twice a second, in each one while the floor is young."""
YOUNG_CELLS = 500
SHORT_HISTORY_DB = 6.0
"""A history of a few cells has a 95 % quantile that is off by about as much."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What can be tuned, with the reason for each default.

    false_alarm_probability: per cell of 1 ms; pink noise, whose tail is heavier than the fit, leaves 0.4 an hour
    floor_s:            seconds of noise that the floor rests on: enough for its 98 % quantile, few enough for a gust
    freeze_s:           the floor learns nothing for so long after an onset, or rapid fire would raise its own threshold
    max_freeze_s:       but never longer than this in all, or crickets and rain that begin would trip for ever
    history_s:          what prominence is measured against
    min_history_s:      an onset earlier in the stream than this is not an onset
    min_prominence_db:  the least that a direct sound stood out by in the live-fire recordings is about 5 dB
    min_rise_db:        an onset rises within milliseconds; a voice or an engine does not
    burst_s:            for so long after a round, an onset that hardly rises from the tail may be the next one
    burst_prominence_db: a burst begins with an onset that stands out by this much: engines and voices repeat, too
    tail_s:             what such a faint onset is measured against: 20 ms hold the tail alone, rounds are further apart
    min_tail_rise_db:   peaks of a tail may be as high as a faint round; its pattern decides, not its height
    min_tail_prominence_db: but by so much even a faint round stands out from the mean of the tail
    merge_s:            rises closer than this are one front that is still growing
    """

    false_alarm_probability: float = 1e-9
    floor_s: float = 4.0
    freeze_s: float = 5.0
    max_freeze_s: float = 20.0
    history_s: float = 0.3
    min_history_s: float = 0.04
    min_prominence_db: float = 4.0
    min_rise_db: float = 3.0
    burst_s: float = 1.0
    burst_prominence_db: float = 10.0
    tail_s: float = 0.020
    min_tail_rise_db: float = -2.0
    min_tail_prominence_db: float = 2.5
    merge_s: float = 0.006


class Gate:
    """Finds the onsets of one stream."""

    def __init__(self, n_channels: int, sample_rate_hz: float, settings: GateSettings) -> None:
        """Start with nothing heard; cells count from the first sample that is fed."""
        self._n_channels = n_channels
        n_listening = min(n_channels, MAX_LISTENING)
        self._listening = np.arange(n_listening) * n_channels // n_listening
        self._meter = BandEnergyMeter(n_listening, sample_rate_hz)
        grid = self._meter.grid
        self._rules = OnsetRules(
            history=grid.cells(settings.history_s),
            min_history=grid.cells(settings.min_history_s),
            peak=5,
            before=10,
            guard=2,
            min_rise_db=settings.min_rise_db,
            min_prominence_db=settings.min_prominence_db,
            short_history_db=SHORT_HISTORY_DB,
            tail=grid.cells(settings.tail_s),
            min_tail_rise_db=settings.min_tail_rise_db,
            min_tail_prominence_db=settings.min_tail_prominence_db,
        )
        self._freeze = grid.cells(settings.freeze_s)
        self._max_freeze = grid.cells(settings.max_freeze_s)
        self._merge = grid.cells(settings.merge_s)
        self._floor = NoiseFloor(grid.cells(settings.floor_s) // 2, settings.false_alarm_probability)
        self._threshold = QUANTISATION_FLOOR
        self._cells = np.empty(0)
        self._kept = self._rules.history + self._rules.guard + 2 * FRAME_CELLS
        self._unlearnt = np.empty(0)
        self._n_frames = 0
        self._burst = grid.cells(settings.burst_s)
        self._burst_prominence_db = settings.burst_prominence_db
        self._last_accepted = self._last_refused = self._last_faint = self._last_round = -self._freeze
        self._freeze_began: int | None = None

    @property
    def grid(self) -> CellGrid:
        """How samples fall into cells."""
        return self._meter.grid

    @property
    def has_floor(self) -> bool:
        """Whether any noise has been heard since the stream began."""
        return self._floor.n_cells > 0

    @property
    def examined_samples(self) -> int:
        """Samples since the start of the stream in which every onset has been found."""
        return max(0, self._n_frames - 1) * FRAME_CELLS * self.grid.samples_per_cell

    def feed(self, samples: NDArray[np.float32]) -> list[Onset]:
        """Onsets, accepted or not, that this sound completes, with cells counted since the start of the stream."""
        return self._frames(self._meter.feed(samples[self._listening]))

    def finish(self) -> list[Onset]:
        """The onsets of what is still in hand; nothing may be fed afterwards."""
        last = self._meter.finish()
        return self._frames(np.concatenate([last, np.zeros((last.shape[0], FRAME_CELLS))], axis=1))

    def _frames(self, channels: NDArray[np.float64]) -> list[Onset]:
        """Work off whole frames of energies, (channels, cells): one by one, or in runs where nothing happens."""
        onsets: list[Onset] = []
        if channels.shape[1] == 0:
            return onsets
        cells = combine_channels(channels)
        start = 0
        while start < cells.size:
            end = start + (THRESHOLD_FRAMES - self._n_frames % THRESHOLD_FRAMES) * FRAME_CELLS
            if not self._is_calm(cells[start:end]):
                end = start + FRAME_CELLS
            onsets += self._take(cells[start:end])
            if self._n_frames % DEAD_FRAMES == 0 and self._n_channels > self._listening.size:
                self._replace_dead(channels[:, start:end].max(axis=1))
            start = end
        return onsets

    def _is_calm(self, cells: NDArray[np.float64]) -> bool:
        """Whether these frames, and the one before, surely bring no onset and no change of state."""
        if self._floor.n_cells < YOUNG_CELLS or self._is_frozen() != self._is_frozen(cells.size):
            return False
        highest = max(float(cells.max()), float(self._cells[-FRAME_CELLS:].max(initial=0.0)))
        return highest <= self._threshold and float(cells.min()) >= QUANTISATION_FLOOR

    def _replace_dead(self, highest: NDArray[np.float64]) -> None:
        """Listen to the next channel instead of one whose highest energy says that it carries nothing."""
        for k in np.flatnonzero(highest < QUANTISATION_FLOOR).tolist():
            after = (int(self._listening[k]) + 1 + np.arange(self._n_channels)) % self._n_channels
            self._listening[k] = next(channel for channel in after if channel not in self._listening)
            self._meter.forget(k)
            # What another microphone heard before is no history of what this one hears.
            self._cells = np.empty(0)

    def _take(self, cells: NDArray[np.float64]) -> list[Onset]:
        """Take in whole frames of energies, more than one only where it is calm, and look one frame behind them."""
        # Where nothing arrives at all, assume that the noise went on: when it comes back, that is no onset.
        is_silent = bool(cells.min() < QUANTISATION_FLOOR)
        if is_silent:
            cells = np.where(cells < QUANTISATION_FLOOR, self._floor.median(), cells)
        self._cells = np.concatenate([self._cells[-self._kept :], cells])
        self._n_frames += cells.size // FRAME_CELLS
        first = self._cells.size - cells.size - FRAME_CELLS
        if first < 0:
            return []
        end = first + cells.size
        two_cell = 0.5 * (self._cells[first:end] + self._cells[first + 1 : end + 1])
        onsets = self._examine(first) if two_cell.max() > self._threshold else []
        if not self._is_frozen() and not is_silent:
            # Every other cell is enough: neighbours share half their sound.
            self._floor.learn(self._unlearnt)
            self._floor.learn(two_cell[:-FRAME_CELLS:2])
            if self._n_frames % THRESHOLD_FRAMES == 0 or self._floor.n_cells < YOUNG_CELLS:
                self._threshold = self._floor.threshold()
        self._unlearnt = two_cell[-FRAME_CELLS::2]
        return onsets

    def _examine(self, first: int) -> list[Onset]:
        """Onsets among the cells of the frame that begins at index `first`."""
        energies = 0.5 * (self._cells[:-1] + self._cells[1:])
        base = self._n_frames * FRAME_CELLS - self._cells.size
        onsets: list[Onset] = []
        floor = self._floor.median()
        for index in (np.flatnonzero(energies[first : first + FRAME_CELLS] > self._threshold) + first).tolist():
            cell = index + base
            if cell - self._last_accepted < self._merge:
                continue
            in_burst = cell - self._last_round <= self._burst
            onset = onset_at(energies, index, self._rules, floor=floor, in_burst=in_burst)
            if onset is None:
                continue
            onset = replace(onset, cell=cell)
            if onset.is_accepted or cell - max(self._last_refused, self._last_faint) >= self._merge:
                onsets.append(onset)
                self._remember(onset)
        return onsets

    def confirm(self, onset: Onset) -> None:
        """Learn that a faint onset was a round: the burst goes on."""
        self._last_accepted = max(self._last_accepted, onset.cell)
        self._last_round = max(self._last_round, onset.cell)

    def _remember(self, onset: Onset) -> None:
        """Note an onset for those that come after it, and freeze the floor."""
        if onset.is_faint:
            self._last_faint = onset.cell
            return
        if not onset.is_accepted:
            self._last_refused = onset.cell
            return
        if onset.cell - self._last_accepted > self._freeze:
            self._freeze_began = onset.cell
        self._last_accepted = onset.cell
        if onset.prominence_db >= self._burst_prominence_db:
            self._last_round = onset.cell

    def _is_frozen(self, ahead: int = 0) -> bool:
        """Whether an onset was heard lately, and the floor has not been frozen for too long, `ahead` cells from now."""
        if self._freeze_began is None:
            return False
        now = self._n_frames * FRAME_CELLS + ahead
        return now - self._last_accepted <= self._freeze and now - self._freeze_began <= self._max_freeze


def combine_channels(channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """One energy per cell from those of all channels, (channels, cells): the mean of the middle half.

    A channel that buzzes or is knocked against lies outside the middle; one that carries nothing is left out.
    """
    if channels.shape[0] == 1:
        only: NDArray[np.float64] = channels[0]
        return only
    if channels.shape[0] == 3 and float(channels.min()) >= QUANTISATION_FLOOR:
        # The same as below, without sorting: the usual case.
        low, high = np.minimum(channels[0], channels[1]), np.maximum(channels[0], channels[1])
        middle: NDArray[np.float64] = np.maximum(low, np.minimum(high, channels[2]))
        return middle
    ordered = np.sort(channels, axis=0)
    if float(ordered[0].min()) >= QUANTISATION_FLOOR:
        return _middle(ordered)
    n_dead = np.count_nonzero(ordered < QUANTISATION_FLOOR, axis=0)
    combined = np.zeros(channels.shape[1])
    for n in range(channels.shape[0]):
        columns = n_dead == n
        combined[columns] = _middle(ordered[n:, columns])
    return combined


def _middle(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the middle half of the rows, of all where they are no more than two."""
    n = ordered.shape[0]
    n_outside = max(1, n // 4) if n > 2 else 0
    middle = ordered[n_outside : n - n_outside]
    mean: NDArray[np.float64] = middle[0] if len(middle) == 1 else middle.mean(axis=0)
    return mean
