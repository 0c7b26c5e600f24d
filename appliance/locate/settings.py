"""Every number that the localiser was given, with its unit and its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocateSettings:
    """Constants of the path, hearing and decision models.

    Unless said otherwise they describe streets in general: roofs, bent paths and echoes seen in live-fire recordings.
    """

    # --- paths: how an arrival differs from range over sound speed ---
    path_sigma_s: float = 0.006
    """Early side of a path's delay. Bent paths, gradients and turbulence scatter arrivals by 7 ms, mostly late."""
    path_late_sigma_s: float = 0.009
    """Late side: a path round a building is longer, never shorter."""
    path_tail_dof: float = 4.0
    """Degrees of freedom of the Student tails of a path's delay: one path in ten is off by three sigma."""
    late_share: float = 0.0
    """Share of arrivals round a building, as a kind of their own; live-fire streets' are in the tails above."""
    late_scale_s: float = 0.020
    """Mean of their delay, exponential: 7 m of detour."""
    wrong_share: float = 0.0
    """Share of arrivals with any delay at all, such as those of a bad clock; Student's tails bear them as well."""
    path_window_s: tuple[float, float] = (-0.040, 0.080)
    """An arrival outside this window around its prediction belongs to something else."""
    round_sigma_s: float = 0.0016
    """What differs from round to round at one node: turbulence over a second, picking, a moving muzzle."""

    # --- hearing: what a node makes of a shot ---
    hearing_range_m: float = 1_000.0
    """Range at which a node picks every second shot."""
    hearing_slope_m: float = 150.0
    """How fast hearing fades around that range (scale of the logistic)."""
    hearing_best: float = 0.90
    """A near node still misses one shot in ten: behind a building, or busy with an echo."""
    hearing_worst: float = 0.02
    """Floor of the same, so that one surprising arrival decides nothing alone."""
    deaf_share: float = 0.10
    """Nodes that hear nothing of a source from where they stand, however near: misses of one string go together."""
    echo_rate_hz: float = 1.5
    """Echo picks per second right after a direct sound; with the decay 0.75 per shot, as counted in live fire."""
    echo_decay_s: float = 0.5
    """Time constant with which echoes die away."""
    twin_rate_hz: float = 6.0
    """A direct sound picked twice, or with its first reflection: as prominent as itself, one time in eight."""
    twin_decay_s: float = 0.020
    """Twins follow within a few tens of milliseconds; later the direct sound is in the reference of prominence."""
    echo_repeats: float = 0.5
    """Probability that an echo of one round is picked in another round too, at the same delay."""
    noise_rate_min_hz: float = 0.05
    """Unrelated picks of a quiet node; a busy one has its own rate counted."""

    level_sigma_db: float = 3.0
    """How much the rounds of one source differ in level at one node: aim and turbulence; tails are Student's."""
    echo_level_db: float = -8.0
    """Echoes lie that far below their direct sounds, where nothing is clipped ..."""
    echo_level_sigma_db: float = 7.0
    """... give or take this."""
    level_span_db: float = 40.0
    """Unrelated picks are spread over this range of levels."""
    prominence_db: float = 29.0
    """Prominence of a pistol shot at 300 m; the most of a string, for later rounds stand in the tail of the first."""
    prominence_sigma_db: float = 9.0
    """How much nodes differ about the same shot: buildings between, noise around."""
    loudness_sigma_db: float = 8.0
    """How much sources differ: calibre, muzzle direction."""

    # --- search ---
    grid_step_m: float = 12.0
    """Coarse grid: half a diagonal is 8.5 m or 25 ms of sound, within what the vote tolerates."""
    grid_margin_m: float = 500.0
    """How far outside the box of the hearing nodes a source is looked for."""
    max_grid_points: int = 30_000
    """Bounds the search; larger areas get a coarser grid and a wider vote."""
    max_anchors: int = 48
    """Picks that seed source times; a shot needs one of its arrivals among them, and the best nodes go first."""
    max_candidates: int = 12
    """Places that are worked out in full; the true one is nearly always among the first three of the vote."""
    table_step_s: float = 0.004
    """Resolution of the vote's time tables: a third of its kernel's sigma."""

    # --- rounds, sources, incidents ---
    min_round_gap_s: float = 0.045
    """1,200 rounds a minute are 50 ms apart; nearer pulses are one round."""
    round_cost: float = 8.0
    """Log of how many 10 ms moments ten seconds hold, and then some: what chance offers a false round."""
    source_cost: float = 10.0
    """Log odds by which a set of sources with one more must be better: two shooters are rarer than one."""
    cadence_jitter: float = 0.03
    """Automatic weapons keep their interval to 2 or 3 %: bolt and buffer are a mass on a spring."""
    cadence_jitter_s: float = 0.003
    """And what is read of a round's time is uncertain by this."""
    cadence_gain_max: float = 5.5
    """A round that comes exactly when the cadence says costs that much less."""
    nearest_node_m: float = 300.0
    """Nets are laid where shots are expected: sources much further from the nearest node than this are rare."""
    search_area_m2: float = 4e6
    """Where a source may be with equal probability: within a kilometre or so of the nodes."""
    max_associations: int = 4
    """Distinct associations of which mirror places are looked for."""
    mirror_nodes: int = 7
    """More arrivals than this leave no second place."""
    min_evidence: float = 3.0
    """Log odds over noise that a source needs to be looked at."""

    # --- belief: what a source needs beyond what unrelated loud sounds at the same nodes fit by chance ---
    # Set so that live-fire recordings exchanged between tests are located in one case of twenty, and real ones pass.
    chance_odds: float = 1.0
    """Log odds over chance; four arrivals of one round reach 1.5 to 3, each further node or round adds 4 to 8."""
    unexplained_share: float = 0.18
    """Share of strong sounds that may stay unexplained: streets are never quite silent."""
    unexplained_cost: float = 40.0
    """Log odds that each further unit of the unexplained share costs."""
    lone_triple_odds: float = -4.0
    """What one round at three nodes needs: it has no spare arrival, so its odds cannot rise above about 0."""
    lone_triple_share: float = 0.10
    """And next to nothing else may have been heard."""
    joint_odds: float = 3.0
    """Sources that only convince together need more each."""
    sharp_area_m2: float = 500.0
    """Geometry poorer than this earns no credit: far away everything fits."""
    min_nodes: int = 3
    """Fewer arrival times than this fix no place."""
    max_clock_sigma_s: float = 0.005
    """Picks of a worse clock stay out of fixes."""
    max_sources: int = 6
    """Sources looked for in one episode; bounds the work of a firework night."""
    max_rounds: int = 200
    """Rounds of one source in one episode: 60 s of a 200 rounds-a-minute exchange, bounds the work."""

    # --- episodes ---
    episode_gap_s: float = 4.0
    """Strong picks further apart than 4 s (1.3 km of sound) belong to different episodes."""
    episode_margin_s: float = 2.0
    """Weak picks this near to a strong one belong to its episode; half the gap, so that episodes never share one."""
    episode_soft_max_s: float = 30.0
    """From this length on an episode ends at the next pause of `episode_pause_s`."""
    episode_pause_s: float = 1.5
    episode_hard_max_s: float = 60.0
    """An episode never gets longer: memory and time of one call stay bounded."""
    max_picks_per_node: int = 96
    """Per episode, the most prominent ones: three a second for half a minute; bounds what one noisy node can cost."""


DEFAULT_SETTINGS = LocateSettings()
"""The settings of every node; incidents are only equal between nodes that use the same."""
