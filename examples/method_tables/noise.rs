//! Noise as machines have it: what one process measures for one cell, in each round of a job.
//!
//! All noise is on the logarithm of the time. `spread` is its size: the standard deviation between processes for
//! [`Shape::Normal`]; the other shapes are built from it as their docs say.

use allocmark::stats::Random;

/// How the values of one cell scatter over processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Independent and normal.
    Normal,
    /// Student's t with 3 degrees of freedom, scaled to the spread; in one process of 20 an interruption adds five
    /// spreads on average (exponential): interruptions only ever slow down.
    HeavyTails,
    /// Three processes of ten are slower by four spreads (another page placement, another core), plus half a spread of
    /// normal noise.
    Bimodal,
    /// The machine has a state that both sides feel, which moves from process to process (autoregressive, coefficient 0.9,
    /// two spreads wide) and drifts four spreads over the job; plus one spread of normal noise in each process.
    Drifting,
    /// Each cell has one of the above.
    Mixed,
}

impl Shape {
    /// Every shape, in the order of the tables.
    pub(crate) const ALL: [Self; 5] =
        [Self::Normal, Self::HeavyTails, Self::Bimodal, Self::Drifting, Self::Mixed];

    /// What the tables call it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::HeavyTails => "heavy tails",
            Self::Bimodal => "bimodal",
            Self::Drifting => "drifting",
            Self::Mixed => "a mixture",
        }
    }

    /// This shape, or for a mixture one of the others.
    fn drawn(self, random: &mut Random) -> Self {
        match self {
            Self::Mixed => Self::ALL[random.below(4) as usize],
            other => other,
        }
    }
}

/// What differs between a job's processes beside the code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Noise {
    /// How values scatter.
    pub(crate) shape: Shape,
    /// How much: 0.02 is 2 %.
    pub(crate) spread: f64,
    /// Standard deviation of the effect of code placement. Constant for a cell within one build.
    pub(crate) layout: f64,
}

/// The effect of each build's placement on one cell: one number for each layout of a side.
#[derive(Clone, Debug)]
pub(crate) struct Layouts(Vec<f64>);

impl Layouts {
    /// The placement effects of `count` builds of one side.
    pub(crate) fn draw(count: usize, noise: &Noise, random: &mut Random) -> Self {
        Self((0..count).map(|_| noise.layout * normal(random)).collect())
    }

    /// The same builds, shifted against the rounds by one: what an A/A control compares with the unshifted ones.
    pub(crate) fn rotated(&self) -> Self {
        let mut shifts = self.0.clone();
        shifts.rotate_left(1);
        Self(shifts)
    }

    fn shift(&self, round: usize) -> f64 {
        self.0[round % self.0.len()]
    }
}

/// The machine as one cell of one job sees it.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    shape: Shape,
    spread: f64,
    /// Time without noise, ns. Large enough that the absolute floor of 0.25 ns plays no part.
    time_ns: f64,
    state: f64,
    trend: f64,
}

impl Cell {
    /// A cell of a job.
    pub(crate) fn new(noise: &Noise, random: &mut Random) -> Self {
        let shape = noise.shape.drawn(random);
        let mut cell = Self { shape, spread: noise.spread, time_ns: 50.0, state: 0.0, trend: 0.0 };
        cell.another_day(random);
        cell
    }

    /// The machine's state and the direction of its drift, drawn anew.
    pub(crate) fn another_day(&mut self, random: &mut Random) {
        self.state = 2.0 * self.spread * normal(random);
        self.trend = if random.below(2) == 0 { 4.0 } else { -4.0 } * self.spread;
    }

    /// (base, head) of `rounds` rounds in which the two were measured one after the other, in an order drawn for each.
    /// Head takes `ratio` times as long.
    pub(crate) fn paired(
        &mut self,
        rounds: usize,
        ratio: f64,
        (base, head): (&Layouts, &Layouts),
        random: &mut Random,
    ) -> Vec<(f64, f64)> {
        let one_round = |round: usize| {
            let progress = round as f64 / rounds as f64;
            let head_first = random.below(2) == 0;
            let (first, second) = (self.process(progress, random), self.process(progress, random));
            let (base_noise, head_noise) = if head_first { (second, first) } else { (first, second) };
            (
                self.time_ns * (base_noise + base.shift(round)).exp(),
                self.time_ns * ratio * (head_noise + head.shift(round)).exp(),
            )
        };
        (0..rounds).map(one_round).collect()
    }

    /// `rounds` rounds of one side alone, as in a stored record.
    pub(crate) fn alone(
        &mut self,
        rounds: usize,
        ratio: f64,
        layouts: &Layouts,
        random: &mut Random,
    ) -> Vec<f64> {
        let one_round = |round: usize| {
            let noise = self.process(round as f64 / rounds as f64, random);
            self.time_ns * ratio * (noise + layouts.shift(round)).exp()
        };
        (0..rounds).map(one_round).collect()
    }

    /// The noise of the next process, on the logarithm.
    fn process(&mut self, progress: f64, random: &mut Random) -> f64 {
        let spread = self.spread;
        match self.shape {
            // A cell is never `Mixed`: `drawn` resolves that.
            Shape::Normal | Shape::Mixed => spread * normal(random),
            Shape::HeavyTails => {
                let interruption =
                    if random.below(20) == 0 { -5.0 * (1.0 - random.unit_f64()).ln() } else { 0.0 };
                spread * (student_3(random) / 3.0_f64.sqrt() + interruption)
            }
            Shape::Bimodal => {
                let mode = if random.below(10) < 3 { 4.0 } else { 0.0 };
                spread * (mode + 0.5 * normal(random))
            }
            Shape::Drifting => {
                // √(1 − 0.9²) keeps the state's standard deviation at two spreads.
                self.state = 0.9 * self.state + 0.19_f64.sqrt() * 2.0 * spread * normal(random);
                self.state + self.trend * progress + spread * normal(random)
            }
        }
    }
}

/// A standard normal number: G. Box and M. Muller, "A note on the generation of random normal deviates", Annals of
/// Mathematical Statistics 29(2), 1958. The second of the pair is not used: simpler, and fast enough here.
fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.unit_f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.unit_f64()).cos()
}

/// Student's t with 3 degrees of freedom: a normal number over the root of a mean of three squared ones.
fn student_3(random: &mut Random) -> f64 {
    let squares: f64 = (0..3).map(|_| normal(random).powi(2)).sum();
    normal(random) / (squares / 3.0).sqrt()
}
