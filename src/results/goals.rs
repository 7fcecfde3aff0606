//! What a record says of the goals that the authors set themselves.
//!
//! The goals are the program's and not the record's: an old record is measured against the goals of today. So they are of the
//! allocators in this suite's own list, and of those only that the record calls ours.

use std::collections::{HashMap, HashSet};
use std::fmt;

use indexmap::IndexMap;

use super::metric::Metric;
use super::ranking::{
    ROUNDING, RatioEstimate, commonest, estimate_from_logarithms, is_positive, middle, rank_class, replicate,
    rounds,
};
use super::record::{Measured, Params, Place, Record};
use crate::allocators::contract::Class;
pub use crate::allocators::goal::{Against, Cells, Goal, PEERS, Together};
use crate::allocators::list;
use crate::harness::protocol::CaseName;

/// A goal, and what a record says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Whose goal.
    pub allocator: String,
    /// The goal.
    pub goal: Goal,
    /// How many cells it is over.
    pub cells: usize,
    /// The one that decides: the worst, or the only one.
    pub cell: Option<CaseName>,
    /// The allocator it was compared with, where that is one alone.
    pub against: Option<String>,
    /// How many times as large it is.
    pub ratio: Option<RatioEstimate>,
    /// What follows.
    pub state: State,
}

/// What a record says of a goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The interval lies wholly at or below the bound.
    Reached,
    /// The interval lies wholly above it.
    Missed,
    /// The interval contains it, or there is none: fewer than 6 rounds.
    Open,
    /// There is no ratio.
    NotMeasured(Reason),
}

/// Why there is no ratio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody who would be compared was measured in such a cell.
    NoCells,
    /// Which allocators lack how many of the cells, or have there a value that is not positive or that other rounds than the
    /// rest made.
    Lacking(Vec<(String, usize)>),
    /// This peer has no rank, so the best-ranked one is not known.
    Unranked(&'static str),
}

impl State {
    /// The word for it.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed => "missed",
            Self::Open => "open",
            Self::NotMeasured(_) => "not measured",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMeasured(reason) => write!(out, "{}: {reason}", self.id()),
            _ => out.write_str(self.id()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCells => out.write_str("the record has no such case"),
            Self::Lacking(who) => {
                let lacks = |(id, cells): &(String, usize)| format!("{id} lacks {}", cases(*cells));
                out.write_str(&who.iter().map(lacks).collect::<Vec<_>>().join(", "))
            }
            Self::Unranked(peer) => write!(out, "{peer} has no rank"),
        }
    }
}

/// `1 case`, `2 cases`.
fn cases(number: usize) -> String {
    format!("{number} case{}", if number == 1 { "" } else { "s" })
}

impl Finding {
    /// The cells in words; `name` writes the one that decides.
    pub fn cells_in_words(&self, name: impl Fn(&CaseName) -> String) -> String {
        let (meant, number) = (self.goal.cells, cases(self.cells));
        match (&self.cell, self.goal.together) {
            (Some(only), _) if self.cells == 1 => name(only),
            _ if self.cells == 0 => meant.to_string(),
            (Some(worst), _) => format!("{meant}, worst of {number}: {}", name(worst)),
            (None, Together::Worst) => format!("{meant}, worst of {number}"),
            (None, _) => format!("{meant}, geometric mean of {number}"),
        }
    }

    /// Whom it is compared with, in words.
    pub fn against_in_words(&self) -> String {
        let kind = match self.goal.against {
            Against::BestPeerOfEachCell => "best peer",
            Against::BestRankedPeer => "best-ranked peer",
            Against::MedianPeer => "median peer",
            Against::Allocator(id) => return id.to_owned(),
        };
        match &self.against {
            Some(id) => format!("{kind}: {id}"),
            None if self.cells > 1 => format!("{kind} of each case"),
            None => kind.to_owned(),
        }
    }
}

/// Every goal of the record's allocators that are ours, in the order of the record.
pub fn of_record(record: &Record) -> Vec<Finding> {
    let ours = record.allocators.iter().filter(|allocator| allocator.ours);
    let rows = list::all();
    ours.filter_map(|allocator| rows.iter().find(|row| row.facts.id == allocator.id))
        .flat_map(|row| row.facts.goals.iter().flat_map(|goal| measure(record, row.facts.id, goal)))
        .collect()
}

/// What `record` says of `goal`, a goal of `allocator`: one finding, or one for each cell ([`Together::Each`]).
///
/// Notation: in cell c the allocator's value in round r is x(c, r), and that of whom it is compared with y(c, r). The best
/// and the median peer of a cell are chosen by their values, the medians over rounds.
///
/// - One cell: the ratio is the median over rounds of x / y, as logarithms; its interval is the sign test's.
/// - Geometric mean: the same of exp( (1/n) Σ_c ln( x(c, r) / y(c, r) ) ). All n cells weigh the same, whatever their
///   families: a ranking must not favour what has many rows, but a goal says which rows it means.
/// - Worst: the cell with the largest ratio, with its own interval.
///
/// The cells are those of the record which the goal means: that the allocator or one of whom it is compared with was
/// measured in, without those that the record calls absent for the allocator. All of them must have all cells, in the same
/// number of rounds, or there is no ratio.
pub fn measure(record: &Record, allocator: &str, goal: &Goal) -> Vec<Finding> {
    let unmeasured = |cells: &[Row<'_>], reason| Finding {
        allocator: allocator.to_owned(),
        goal: *goal,
        cells: cells.len(),
        cell: if let [only] = cells { Some(only.case.clone()) } else { None },
        against: None,
        ratio: None,
        state: State::NotMeasured(reason),
    };
    let opponents = match opponents(record, goal.against) {
        Ok(opponents) => opponents,
        Err(reason) => return vec![unmeasured(&[], reason)],
    };
    let ids: Vec<&str> = [allocator].into_iter().chain(opponents).collect();
    let (cells, rounds) = cells(record, goal, &ids);
    if cells.is_empty() {
        return vec![unmeasured(&[], Reason::NoCells)];
    }
    let finding = |cells: &[Row<'_>]| {
        let compared: Option<Vec<Compared<'_>>> =
            cells.iter().map(|cell| compare(cell, &ids, goal.against, rounds)).collect();
        // The logarithms are finite: `cells` lets no other value in.
        let drawn = compared.and_then(|compared| draw(compared, goal.together));
        let Some((decisive, ratio)) = drawn else {
            return unmeasured(cells, Reason::Lacking(lacking(cells, &ids)));
        };
        let first = decisive.first().map(|one| one.with);
        Finding {
            cell: if let [only] = decisive.as_slice() { Some(only.case.clone()) } else { None },
            against: first.filter(|with| decisive.iter().all(|one| one.with == *with)).map(str::to_owned),
            ratio: Some(ratio),
            state: judge(&ratio, goal.at_most),
            ..unmeasured(cells, Reason::NoCells)
        }
    };
    match goal.together {
        Together::Each => cells.chunks(1).map(finding).collect(),
        Together::GeometricMean | Together::Worst => vec![finding(&cells)],
    }
}

/// The ids of whom an allocator is compared with.
fn opponents(record: &Record, against: Against) -> Result<Vec<&'static str>, Reason> {
    match against {
        Against::BestPeerOfEachCell | Against::MedianPeer => Ok(PEERS.to_vec()),
        Against::Allocator(id) => Ok(vec![id]),
        Against::BestRankedPeer => {
            let ranking = rank_class(record, Class::General.id());
            let place = |id: &str| ranking.rows.iter().position(|row| row.allocator == id);
            if let Some(unranked) = PEERS.into_iter().find(|id| place(id).is_none()) {
                return Err(Reason::Unranked(unranked));
            }
            Ok(PEERS.into_iter().min_by_key(|id| place(id)).into_iter().collect())
        }
    }
}

/// One cell.
struct Row<'a> {
    case: CaseName,
    /// Of the allocator, then of those it is compared with: `None` where there is nothing usable.
    measured: Vec<Option<&'a Measured>>,
}

/// The cells that `goal` means, for the first of `ids` and the others, and how many rounds they have: at least 1.
fn cells<'a>(record: &'a Record, goal: &Goal, ids: &[&str]) -> (Vec<Row<'a>>, usize) {
    let families: HashMap<&str, &str> =
        record.workloads.iter().map(|it| (it.id.as_str(), it.family.as_str())).collect();
    let absent: HashSet<(&str, &Params)> = record
        .absent
        .iter()
        .filter(|absent| ids.first().is_some_and(|own| absent.place.allocator == *own))
        .map(|absent| case(&absent.place))
        .collect();
    let metric = Metric::named(goal.metric);
    let mut found: IndexMap<(&str, &Params), Vec<Option<&Measured>>> = IndexMap::new();
    for cell in &record.cells {
        let Some(who) = ids.iter().position(|id| *id == cell.place.allocator) else { continue };
        if !is_meant(&goal.cells, &cell.place, &families) || absent.contains(&case(&cell.place)) {
            continue;
        }
        if let Some(measured) = metric.and_then(|metric| cell.metrics.get(&metric)) {
            found.entry(case(&cell.place)).or_insert_with(|| vec![None; ids.len()])[who] = Some(measured);
        }
    }
    let rounds = commonest(found.values().flatten().flatten().map(|measured| self::rounds(measured)));
    let is_usable = |it: &&Measured| {
        self::rounds(it) == rounds && (0..rounds).all(|round| is_positive(replicate(it, round)))
    };
    let rows = found.into_iter().map(|((workload, params), measured)| Row {
        case: CaseName { workload: workload.to_owned(), params: params.clone() },
        measured: measured.into_iter().map(|it| it.filter(is_usable)).collect(),
    });
    (rows.collect(), rounds)
}

fn case(place: &Place) -> (&str, &Params) {
    (&place.workload, &place.params)
}

fn is_meant(cells: &Cells, place: &Place, families: &HashMap<&str, &str>) -> bool {
    match cells {
        Cells::Families(meant) => {
            families.get(place.workload.as_str()).is_some_and(|family| meant.contains(family))
        }
        Cells::Workload { id, params } => {
            let has = |(name, value): &(&str, &str)| {
                place.params.get(name).is_some_and(|given| given.to_string() == *value)
            };
            place.workload == *id && params.iter().all(has)
        }
    }
}

/// Who lacks how many of `cells`.
fn lacking(cells: &[Row<'_>], ids: &[&str]) -> Vec<(String, usize)> {
    let lacks = |who: usize| cells.iter().filter(|cell| cell.measured[who].is_none()).count();
    let all = ids.iter().enumerate().map(|(who, id)| ((*id).to_owned(), lacks(who)));
    all.filter(|(_, cells)| *cells > 0).collect()
}

/// One cell, compared.
struct Compared<'a> {
    case: &'a CaseName,
    with: &'a str,
    /// Of the ratio, one a round.
    logarithms: Vec<f64>,
}

/// The first of `ids` in one cell beside whom it is compared with there; `None` unless everybody has it.
fn compare<'a>(cell: &'a Row<'_>, ids: &[&'a str], against: Against, rounds: usize) -> Option<Compared<'a>> {
    let measured: Vec<&Measured> = cell.measured.iter().copied().collect::<Option<_>>()?;
    let (own, others) = measured.split_first()?;
    // A stable sort: of equals the one that is listed first.
    let mut order: Vec<usize> = (0..others.len()).collect();
    order.sort_by(|a, b| middle(others[*a]).total_cmp(&middle(others[*b])));
    let place = match against {
        Against::MedianPeer => order.len() / 2,
        Against::BestPeerOfEachCell | Against::BestRankedPeer | Against::Allocator(_) => 0,
    };
    let chosen = *order.get(place)?;
    let logarithm = |round| replicate(own, round).ln() - replicate(others[chosen], round).ln();
    Some(Compared {
        case: &cell.case,
        with: ids[1 + chosen],
        logarithms: (0..rounds).map(logarithm).collect(),
    })
}

/// One ratio of all cells, and the cells that it is made of.
fn draw(cells: Vec<Compared<'_>>, together: Together) -> Option<(Vec<Compared<'_>>, RatioEstimate)> {
    match together {
        Together::GeometricMean => {
            let rounds = cells.first()?.logarithms.len();
            let mean =
                |round| cells.iter().map(|cell| cell.logarithms[round]).sum::<f64>() / cells.len() as f64;
            let means: Vec<f64> = (0..rounds).map(mean).collect();
            Some((cells, estimate_from_logarithms(&means)?))
        }
        Together::Worst | Together::Each => cells
            .into_iter()
            .filter_map(|cell| Some((estimate_from_logarithms(&cell.logarithms)?, cell)))
            .max_by(|a, b| a.0.value.total_cmp(&b.0.value))
            .map(|(ratio, cell)| (vec![cell], ratio)),
    }
}

/// On which side of the bound the interval lies.
fn judge(ratio: &RatioEstimate, at_most: f64) -> State {
    // Equal measurements divide to the bound but for the last digits.
    let bound = at_most * (1.0 + ROUNDING);
    match ratio.interval {
        Some((_, high)) if high <= bound => State::Reached,
        Some((low, _)) if low > bound => State::Missed,
        _ => State::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{add, assert_close, record, size};
    use crate::results::record::Absent;

    const PAIR: Cells = Cells::of("pair", &[]);

    /// A record with our `slab`, all peers, and two workloads: `pair`, which is basic, and `team`, of the threads.
    fn with_everybody() -> Record {
        let allocators: Vec<(&str, &str)> =
            ["slab"].into_iter().chain(PEERS).map(|id| (id, "general")).collect();
        let mut record = record(&allocators, &[("pair", "basic"), ("team", "threads")]);
        record.allocators[0].ours = true;
        record
    }

    /// Adds a cell in which the peers take 10, 20, 30, 40 and 50, in the order of [`PEERS`] from `first` on.
    fn add_peers(record: &mut Record, workload: &str, bytes: u64, first: usize, rounds: usize) {
        for place in 0..PEERS.len() {
            let value = 10.0 * (place + 1) as f64;
            add(record, workload, bytes, PEERS[(first + place) % PEERS.len()], &vec![value; rounds]);
        }
    }

    fn only(findings: Vec<Finding>) -> Finding {
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.into_iter().next().unwrap()
    }

    fn assert_ratio(finding: &Finding, value: f64, interval: Option<(f64, f64)>) {
        let ratio = finding.ratio.unwrap();
        assert_close(ratio.value, value);
        assert_eq!(ratio.interval.is_some(), interval.is_some());
        if let (Some(seen), Some(expected)) = (ratio.interval, interval) {
            assert_close(seen.0, expected.0);
            assert_close(seen.1, expected.1);
        }
    }

    #[test]
    fn each_cell_is_judged_beside_the_peer_that_is_best_there() {
        let mut record = with_everybody();
        for (bytes, first) in [(1, 0), (2, 3), (3, 1)] {
            add_peers(&mut record, "pair", bytes, first, 6);
        }
        add(&mut record, "pair", 1, "slab", &[4.0, 5.0, 6.0, 6.0, 7.0, 8.0]);
        add(&mut record, "pair", 2, "slab", &[9.0, 9.0, 9.0, 11.0, 11.0, 11.0]);
        add(&mut record, "pair", 3, "slab", &[11.0; 6]);
        let findings = measure(&record, "slab", &Goal::of_time(PAIR, 1.0));
        let states: Vec<&str> = findings.iter().map(|finding| finding.state.id()).collect();
        assert_eq!(states, ["reached", "open", "missed"]);
        let against: Vec<&str> = findings.iter().filter_map(|finding| finding.against.as_deref()).collect();
        assert_eq!(against, [PEERS[0], PEERS[3], PEERS[1]]);
        assert_ratio(&findings[0], 0.6, Some((0.4, 0.8)));
        assert_ratio(&findings[1], 0.99_f64.sqrt(), Some((0.9, 1.1)));
        assert_eq!(findings[2].cell.as_ref().map(ToString::to_string).as_deref(), Some("pair/size=3"));
    }

    #[test]
    fn a_goal_about_some_parameters_takes_the_cells_that_have_them() {
        let mut record = with_everybody();
        for bytes in [8, 64, 640] {
            add_peers(&mut record, "pair", bytes, 0, 6);
            add(&mut record, "pair", bytes, "slab", &[5.0; 6]);
        }
        let at = |params| measure(&record, "slab", &Goal::of_time(Cells::of("pair", params), 1.0));
        assert_eq!(only(at(&[("size", "64")])).cell.unwrap().params, size(64));
        assert_eq!(only(at(&[("threads", "2")])).state, State::NotMeasured(Reason::NoCells));
    }

    #[test]
    fn the_geometric_mean_pairs_rounds_and_weighs_cells_alike() {
        let mut record = with_everybody();
        // Three cells of one family and one of another: ratios 1, 1, 1 and 16, so the mean is 2 and not 4.
        let drift = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0];
        let cells = [("pair", 1, 1.0), ("pair", 2, 1.0), ("pair", 3, 1.0), ("team", 1, 16.0)];
        for (first, (workload, bytes, ratio)) in cells.into_iter().enumerate() {
            for place in 0..PEERS.len() {
                let times = drift.map(|time| time * (place + 1) as f64);
                add(&mut record, workload, bytes, PEERS[(first + place) % PEERS.len()], &times);
            }
            add(&mut record, workload, bytes, "slab", &drift.map(|time| time * ratio));
        }
        let cells = Cells::Families(&["basic", "threads"]);
        let goal = Goal::mean_of("time", cells, Against::BestPeerOfEachCell, 2.0);
        let finding = only(measure(&record, "slab", &goal));
        assert_ratio(&finding, 2.0, Some((2.0, 2.0)));
        assert_eq!((finding.cells, &finding.cell, &finding.against), (4, &None, &None));
        assert_eq!(finding.state, State::Reached, "the bound itself reaches it");
        let basic = Goal { cells: Cells::Families(&["basic"]), ..goal };
        assert_ratio(&only(measure(&record, "slab", &basic)), 1.0, Some((1.0, 1.0)));
    }

    #[test]
    fn the_worst_cell_is_named_with_its_own_interval() {
        let mut record = with_everybody();
        for (bytes, first, times) in [
            (1, 0, [10.0, 10.0, 10.0, 90.0, 10.0, 10.0]),
            (2, 2, [14.0, 15.0, 16.0, 16.0, 17.0, 18.0]),
            (3, 4, [12.0; 6]),
        ] {
            add_peers(&mut record, "pair", bytes, first, 6);
            add(&mut record, "pair", bytes, "slab", &times);
        }
        let goal = Goal { together: Together::Worst, ..Goal::of_time(PAIR, 1.5) };
        let finding = only(measure(&record, "slab", &goal));
        assert_ratio(&finding, 1.6, Some((1.4, 1.8)));
        assert_eq!((finding.cells, finding.against.as_deref()), (3, Some(PEERS[2])));
        assert_eq!(finding.cells_in_words(ToString::to_string), "pair, worst of 3 cases: pair/size=2");
        assert_eq!(finding.against_in_words(), format!("best peer: {}", PEERS[2]));
        assert_eq!(finding.state, State::Open);
    }

    #[test]
    fn the_best_ranked_peer_is_one_for_all_cells_and_the_median_peer_one_for_each() {
        let mut record = with_everybody();
        for (bytes, first) in [(1, 0), (2, 0), (3, 1)] {
            add_peers(&mut record, "pair", bytes, first, 6);
            add(&mut record, "pair", bytes, "slab", &[60.0; 6]);
        }
        // PEERS[1]: 20, 20 and 10 is the best product.
        let goal = Goal::mean_of("time", PAIR, Against::BestRankedPeer, 1.0);
        let finding = only(measure(&record, "slab", &goal));
        assert_eq!(finding.against.as_deref(), Some(PEERS[1]));
        assert_ratio(&finding, 54.0_f64.cbrt(), Some((54.0_f64.cbrt(), 54.0_f64.cbrt())));
        let goal = Goal { against: Against::MedianPeer, ..goal };
        let finding = only(measure(&record, "slab", &goal));
        assert_ratio(&finding, 2.0, Some((2.0, 2.0)));
        assert_eq!(finding.against_in_words(), "median peer of each case");
        let goal = Goal { together: Together::Each, ..goal };
        let against = measure(&record, "slab", &goal).into_iter().filter_map(|finding| finding.against);
        assert_eq!(against.collect::<Vec<_>>(), [PEERS[2], PEERS[2], PEERS[3]]);
    }

    #[test]
    fn another_allocator_can_be_named() {
        let mut record = with_everybody();
        add(&mut record, "pair", 1, "slab", &[3.0; 6]);
        add(&mut record, "pair", 1, "system", &[3.0; 6]);
        let goal = Goal { against: Against::Allocator("system"), ..Goal::of_time(PAIR, 1.0) };
        let finding = only(measure(&record, "slab", &goal));
        assert_ratio(&finding, 1.0, Some((1.0, 1.0)));
        assert_eq!((finding.state, finding.against.as_deref()), (State::Reached, Some("system")));
    }

    #[test]
    fn another_configuration_and_another_of_ours_are_no_peers() {
        let mut record = with_everybody();
        add_peers(&mut record, "pair", 1, 0, 6);
        add(&mut record, "pair", 1, "slab", &[10.0; 6]);
        for id in ["system-one-arena", "pool"] {
            add(&mut record, "pair", 1, id, &[1.0; 6]);
        }
        assert_ratio(&only(measure(&record, "slab", &Goal::of_time(PAIR, 1.0))), 1.0, Some((1.0, 1.0)));
    }

    #[test]
    fn fewer_than_six_rounds_leave_a_goal_open() {
        let mut record = with_everybody();
        add_peers(&mut record, "pair", 1, 0, 5);
        add(&mut record, "pair", 1, "slab", &[1.0; 5]);
        let finding = only(measure(&record, "slab", &Goal::of_time(PAIR, 1.0)));
        assert_ratio(&finding, 0.1, None);
        assert_eq!(finding.state, State::Open);
    }

    #[test]
    fn memory_is_compared_like_time() {
        let mut record = with_everybody();
        add_peers(&mut record, "pair", 1, 2, 3);
        add(&mut record, "pair", 1, "slab", &[4.0, 5.0, 8.0]);
        for cell in &mut record.cells {
            cell.metrics =
                std::mem::take(&mut cell.metrics).into_values().map(|it| (Metric::PeakRss, it)).collect();
        }
        let goal = Goal::mean_of("peak_rss", Cells::Families(&["basic"]), Against::MedianPeer, 0.9);
        assert_ratio(&only(measure(&record, "slab", &goal)), 5.0 / 30.0, None);
        let of_time = only(measure(&record, "slab", &Goal { metric: "time", ..goal }));
        assert_eq!(of_time.state, State::NotMeasured(Reason::NoCells));
    }

    #[test]
    fn who_lacks_a_cell_is_named_and_there_is_no_ratio() {
        let mut record = with_everybody();
        for bytes in [1, 2, 3] {
            add_peers(&mut record, "pair", bytes, 0, 6);
            add(&mut record, "pair", bytes, "slab", &[1.0; 6]);
        }
        record.cells.retain(|cell| cell.place.allocator != PEERS[4] || cell.place.params == size(1));
        // Neither a time of nothing nor one round less can be paired.
        for (peer, rounds) in [(PEERS[1], vec![0.0; 6]), (PEERS[2], vec![1.0; 5])] {
            record.cells.retain(|cell| cell.place.allocator != peer || cell.place.params != size(2));
            add(&mut record, "pair", 2, peer, &rounds);
        }
        let goal = Goal::mean_of("time", PAIR, Against::BestPeerOfEachCell, 1.0);
        let finding = only(measure(&record, "slab", &goal));
        assert_eq!((finding.ratio, finding.cells), (None, 3));
        assert_eq!(
            finding.state.to_string(),
            format!(
                "not measured: {} lacks 1 case, {} lacks 1 case, {} lacks 2 cases",
                PEERS[1], PEERS[2], PEERS[4]
            )
        );
        let each = measure(&record, "slab", &Goal { together: Together::Each, ..goal });
        let states: Vec<&str> = each.iter().map(|finding| finding.state.id()).collect();
        assert_eq!(states, ["reached", "not measured", "not measured"]);
        assert_eq!(each[1].cell.as_ref().map(|case| &case.params), Some(&size(2)));
    }

    #[test]
    fn a_cell_that_failed_for_the_allocator_counts_and_one_that_cannot_be_does_not() {
        let mut record = with_everybody();
        for bytes in [1, 2] {
            add_peers(&mut record, "pair", bytes, 0, 6);
        }
        add(&mut record, "pair", 1, "slab", &[10.0; 6]);
        let goal = Goal::mean_of("time", PAIR, Against::BestPeerOfEachCell, 1.0);
        let lacking = Reason::Lacking(vec![("slab".to_owned(), 1)]);
        assert_eq!(only(measure(&record, "slab", &goal)).state, State::NotMeasured(lacking));
        let place = Place { workload: "pair".into(), params: size(2), allocator: "slab".into() };
        record.absent.push(Absent { place, reason: "the contract".into() });
        let finding = only(measure(&record, "slab", &goal));
        assert_eq!((finding.cells, finding.state), (1, State::Reached));
    }

    #[test]
    fn without_a_rank_of_every_peer_the_best_ranked_one_is_not_known() {
        let mut record = with_everybody();
        add_peers(&mut record, "pair", 1, 0, 6);
        add(&mut record, "pair", 1, "slab", &[1.0; 6]);
        record.cells.retain(|cell| cell.place.allocator != PEERS[3]);
        let goal = Goal::mean_of("time", PAIR, Against::BestRankedPeer, 1.0);
        let finding = only(measure(&record, "slab", &goal));
        assert_eq!(finding.state, State::NotMeasured(Reason::Unranked(PEERS[3])));
        assert_eq!(finding.cells_in_words(ToString::to_string), "pair");
    }

    #[test]
    fn an_allocator_of_others_with_the_name_of_one_of_ours_has_no_goals() {
        let mut record = with_everybody();
        let own = list::all().into_iter().find(|row| row.facts.id == "slab").unwrap().facts.goals;
        let findings = of_record(&record);
        assert_eq!(findings.len(), own.len(), "one for each goal, since no goal has a cell");
        assert!(findings.iter().all(|finding| finding.allocator == "slab" && finding.ratio.is_none()));
        record.allocators[0].ours = false;
        assert_eq!(of_record(&record), []);
    }
}
