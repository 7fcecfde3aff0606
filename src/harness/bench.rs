//! The entry point of a bench executable: plain criterion, and what `allocmark run` asks of it.
//!
//! ```no_run
//! #[global_allocator]
//! static GLOBAL: std::alloc::System = std::alloc::System;
//!
//! fn main() -> std::process::ExitCode {
//!     allocmark::harness::bench::general(&allocmark::allocators::system::FACTS, &GLOBAL).main()
//! }
//! ```

use std::alloc::GlobalAlloc;
use std::env;
use std::marker::PhantomData;
use std::process::ExitCode;
use std::ptr::NonNull;
use std::thread;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion};

use super::binding::{self, Bound, BoundCell, Fault, Proof};
use super::files;
use super::findings::Findings;
use super::hooks::{Hooks, Statistics};
use super::matrix::{self, Case};
use super::probes::{instructions, latency, memory};
use super::protocol::{self, Allocator, Answer, CaseName, Description, Outcome};
use crate::allocators::contract::{Bulk, Class, Contract, Facts, Known};
use crate::allocators::global::GlobalSubject;
use crate::instruments::counting::Usable;
use crate::workloads::probe::Probe;
use crate::workloads::shape::{Body, Profile, Scope, WallClock};
use crate::workloads::{Catalogue, Suite, startup};

/// An allocator and all that its executable needs to know of it.
pub struct Bench {
    facts: &'static Facts,
    contract: Contract,
    bind: fn(Contract, Scope) -> Bound,
    proof: Proof,
    library: Option<fn() -> String>,
    hooks: Hooks,
}

/// Over the workloads of `W` instead of this crate's: what comes next says which allocator.
///
/// ```no_run
/// use allocmark::harness::bench;
/// use allocmark::workloads::Catalogue;
/// # use allocmark::allocators::arena::Arena;
///
/// fn main() -> std::process::ExitCode {
///     bench::suite::<Catalogue>().bulk::<Arena>().main()
/// }
/// ```
pub fn suite<W: Suite>() -> Over<W> {
    Over(PhantomData)
}

/// Makes the executables over one list of workloads; see [`suite`]. The functions of the same names in this module are
/// those over the [`Catalogue`].
#[derive(Debug)]
pub struct Over<W>(PhantomData<W>);

impl<W> Clone for Over<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Over<W> {}

impl<W: Suite> Over<W> {
    /// The executable's `#[global_allocator]`, which must be `claimed`: every process proves it.
    pub fn general(self, facts: &'static Facts, claimed: &'static (dyn GlobalAlloc + Sync)) -> Bench {
        Bench {
            facts,
            contract: Contract::GENERAL,
            bind: binding::one_by_one_shared::<GlobalSubject, W>,
            proof: Proof::Reallocation { claimed, owns: None },
            library: None,
            hooks: Hooks::default(),
        }
    }

    /// Blocks of one size, on one thread.
    pub fn fixed_size<S: Known + 'static>(self) -> Bench {
        scoped(S::FACTS, Contract::FIXED_SIZE, binding::one_by_one::<S, W>)
    }

    /// Blocks of one size, from and to any thread.
    pub fn fixed_size_shared<S: Known + Sync + 'static>(self) -> Bench {
        scoped(S::FACTS, Contract::FIXED_SIZE.for_all_threads(), binding::one_by_one_shared::<S, W>)
    }

    /// Any size out of memory of its own, individual free, on one thread.
    pub fn region<S: Known + 'static>(self) -> Bench {
        scoped(S::FACTS, Contract::REGION, binding::one_by_one::<S, W>)
    }

    /// Any size, released all together, on one thread.
    pub fn bulk<S: Known + Bulk + 'static>(self) -> Bench {
        scoped(S::FACTS, Contract::BULK, binding::all_together::<S, W>)
    }

    /// Any size, released all together, allocated from any thread.
    pub fn bulk_shared<S: Known + Bulk + Sync + 'static>(self) -> Bench {
        scoped(S::FACTS, Contract::BULK.for_all_threads(), binding::all_together_shared::<S, W>)
    }

    /// The do-nothing allocator.
    pub fn control<S: Known + Bulk + 'static>(self) -> Bench {
        scoped(S::FACTS, Contract::CONTROL, binding::all_together::<S, W>)
    }
}

fn scoped(facts: &'static Facts, contract: Contract, bind: fn(Contract, Scope) -> Bound) -> Bench {
    Bench { facts, contract, bind, proof: Proof::Ownership, library: None, hooks: Hooks::default() }
}

/// [`Over::general`] over the catalogue.
pub fn general(facts: &'static Facts, claimed: &'static (dyn GlobalAlloc + Sync)) -> Bench {
    suite::<Catalogue>().general(facts, claimed)
}

/// [`Over::fixed_size`] over the catalogue.
pub fn fixed_size<S: Known + 'static>() -> Bench {
    suite::<Catalogue>().fixed_size::<S>()
}

/// [`Over::fixed_size_shared`] over the catalogue.
pub fn fixed_size_shared<S: Known + Sync + 'static>() -> Bench {
    suite::<Catalogue>().fixed_size_shared::<S>()
}

/// [`Over::region`] over the catalogue.
pub fn region<S: Known + 'static>() -> Bench {
    suite::<Catalogue>().region::<S>()
}

/// [`Over::bulk`] over the catalogue.
pub fn bulk<S: Known + Bulk + 'static>() -> Bench {
    suite::<Catalogue>().bulk::<S>()
}

/// [`Over::bulk_shared`] over the catalogue.
pub fn bulk_shared<S: Known + Bulk + Sync + 'static>() -> Bench {
    suite::<Catalogue>().bulk_shared::<S>()
}

/// [`Over::control`] over the catalogue.
pub fn control<S: Known + Bulk + 'static>() -> Bench {
    suite::<Catalogue>().control::<S>()
}

impl Bench {
    /// How to ask the allocator's library for its version and flags.
    #[must_use]
    pub fn library(self, library: fn() -> String) -> Self {
        Self { library: Some(library), ..self }
    }

    /// How to ask the allocator whether a block that came through `Global` is its own. Only for general allocators that
    /// can answer for any live block of the process.
    #[must_use]
    pub fn asking(mut self, ask: fn(NonNull<u8>) -> bool) -> Self {
        if let Proof::Reallocation { owns, .. } = &mut self.proof {
            *owns = Some(ask);
        }
        self
    }

    /// How to make the allocator give back to the operating system what it can.
    #[must_use]
    pub fn purging(mut self, purge: fn()) -> Self {
        self.hooks.purge = Some(purge);
        self
    }

    /// How to ask the allocator what it holds: names as its library spells them, in bytes.
    #[must_use]
    pub fn reporting(mut self, statistics: Statistics) -> Self {
        self.hooks.statistics = Some(statistics);
        self
    }

    /// How to ask the allocator how many bytes a live block of its own can hold.
    #[must_use]
    pub fn usable(mut self, usable: fn(NonNull<u8>) -> usize) -> Self {
        self.hooks.usable = Some(usable);
        self
    }

    /// Whether it is the executable's global allocator, of which there is one.
    pub fn is_general(&self) -> bool {
        self.contract.class == Class::General
    }

    /// The allocator's id.
    pub fn id(&self) -> &'static str {
        self.facts.id
    }

    /// What the allocator can be asked.
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Does what the command line asks: describe, verify, or measure as criterion does. A process that the workload
    /// [`startup`] started lives its life instead; so `main` should do nothing before it calls this.
    ///
    /// The profile comes from `ALLOCMARK_PROFILE` (`standard` if unset), the seed from `ALLOCMARK_SEED` (1 if unset).
    pub fn main(&self) -> ExitCode {
        // Before everything else: what is done here is in the time of every process that the workload starts.
        if let Some(code) = startup::child() {
            return code;
        }
        let (scope, seed) = match (scope_from_env(), seed_from_env()) {
            (Ok(scope), Ok(seed)) => (scope, seed),
            (Err(sentence), _) | (_, Err(sentence)) => {
                eprintln!("{sentence}");
                return ExitCode::from(2);
            }
        };
        let mut bound = (self.bind)(self.contract, scope);
        if let Some(reason) = matrix::postponed(self.facts, scope.profile) {
            bound.absent.extend(bound.cells.drain(..).map(|cell| (cell.case, reason.clone())));
        }
        let arguments: Vec<String> = env::args().skip(1).collect();
        match arguments.first().map(String::as_str) {
            Some(protocol::DESCRIBE) => self.describe(&bound),
            Some(protocol::VERIFY) => verify(&bound, seed, self.hooks.usable, &arguments[1..]),
            _ => match (env::var(protocol::CELL), env::var_os(protocol::OUTCOME)) {
                (Ok(cell), Some(outcome)) => {
                    self.measure_one(&bound, seed, scope.profile, &cell, outcome.as_ref())
                }
                _ => self.measure_all(&bound, seed),
            },
        }
    }

    fn describe(&self, bound: &Bound) -> ExitCode {
        let mut cases: Vec<Case> = bound.cells.iter().map(|cell| cell.case.clone()).collect();
        cases.extend(bound.absent.iter().map(|(case, _)| case.clone()));
        let library = self.library.map(|library| library());
        let description = Description {
            protocol: protocol::VERSION,
            allocator: Allocator::new(self.facts, self.contract.class, library),
            workloads: protocol::workloads(&cases),
            cells: bound
                .cells
                .iter()
                .map(|cell| (CaseName::from(&cell.case), cell.case.probes.to_vec()))
                .collect(),
            absent: bound.absent.iter().map(|(case, why)| (CaseName::from(case), why.clone())).collect(),
        };
        println!("{}", serde_json::to_string(&description).expect("texts and numbers are JSON"));
        ExitCode::SUCCESS
    }

    /// For the driver: one cell by one probe, its answer in a file.
    fn measure_one(
        &self,
        bound: &Bound,
        seed: u64,
        profile: Profile,
        name: &str,
        file: &std::path::Path,
    ) -> ExitCode {
        let Some(cell) = bound.cells.iter().find(|cell| CaseName::from(&cell.case).to_string() == name)
        else {
            eprintln!("{} has no cell named {name}; {} lists them", self.facts.id, protocol::DESCRIBE);
            return ExitCode::from(2);
        };
        let probe = match probe_from_env() {
            Ok(probe) => probe,
            Err(sentence) => {
                eprintln!("{sentence}");
                return ExitCode::from(2);
            }
        };
        let (answer, code) = match self.probed(cell, seed, probe, profile) {
            Ok(answer) => (answer, ExitCode::SUCCESS),
            Err(fault) => (Answer::of(Outcome::from(fault)), ExitCode::FAILURE),
        };
        let json = serde_json::to_string(&answer).expect("texts and finite numbers are JSON");
        match files::write_whole(file, json.as_bytes()) {
            Ok(()) => code,
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                ExitCode::FAILURE
            }
        }
    }

    /// One cell by one probe. Criterion writes down its time itself.
    fn probed(&self, cell: &BoundCell, seed: u64, probe: Probe, profile: Profile) -> Result<Answer, Fault> {
        match probe {
            Probe::Time => {
                let served = self.measure(&mut criterion(), cell, seed, Some(self.proof))?;
                Ok(Answer::of(Outcome::Served(served)))
            }
            Probe::Memory => {
                if let Err(reason) = memory::available() {
                    return Ok(Answer { unprobed: Some(reason), ..Answer::of(Outcome::Served(None)) });
                }
                let (findings, served) = memory::measure(cell, seed, Some(self.proof), profile, &self.hooks)?;
                Ok(Answer { findings, ..Answer::of(Outcome::Served(served)) })
            }
            Probe::Latency => {
                let (served, findings) = latency::measure(
                    cell.threads,
                    |drive| cell.measure(seed, None, drive).map(drop),
                    |mode, drive| cell.step(seed, mode, Some(self.proof), drive),
                )?;
                Ok(Answer { findings, ..Answer::of(Outcome::Served(served)) })
            }
            Probe::Instructions => {
                if let Err(reason) = instructions::available() {
                    return Ok(Answer { unprobed: Some(reason), ..Answer::of(Outcome::Served(None)) });
                }
                let (operations, served) = instructions::measure(cell, seed, self.proof)?;
                Ok(Answer { operations, ..Answer::of(Outcome::Served(served)) })
            }
        }
    }

    /// For a person: criterion over the whole suite, with its own arguments.
    fn measure_all(&self, bound: &Bound, seed: u64) -> ExitCode {
        // Once, while the heap is fresh: what many cells leave free of one size would hide the block that is looked for.
        if let Err(reason) = self.proof.of_global() {
            eprintln!("{}: wrong allocator: {reason}", self.facts.id);
            return ExitCode::from(4);
        }
        let proof = matches!(self.proof, Proof::Ownership).then_some(self.proof);
        let mut criterion = criterion();
        let mut faults = 0;
        let timed = |cell: &&BoundCell| cell.case.probes.contains(&Probe::Time);
        for cell in bound.cells.iter().filter(timed) {
            if let Err(fault) = self.measure(&mut criterion, cell, seed, proof) {
                eprintln!("{} on {}: {fault}", CaseName::from(&cell.case), self.facts.id);
                faults += 1;
            }
        }
        let mut absent: Vec<(&str, &str)> =
            bound.absent.iter().map(|(case, why)| (case.workload.id, why.as_str())).collect();
        absent.dedup();
        for (workload, reason) in absent {
            eprintln!("not for {}: {workload}: {reason}", self.facts.id);
        }
        criterion.final_summary();
        if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(4) }
    }

    fn measure(
        &self,
        criterion: &mut Criterion<FineTime>,
        cell: &BoundCell,
        seed: u64,
        proof: Option<Proof>,
    ) -> Result<Option<String>, Fault> {
        let clock = WallClock::new();
        let id = match cell.case.params.0.is_empty() {
            true => BenchmarkId::from_parameter(self.facts.id),
            false => BenchmarkId::new(self.facts.id, &cell.case.params),
        };
        cell.measure(seed, proof, &mut |body| {
            let mut group = criterion.benchmark_group(cell.case.workload.id);
            group.bench_function(id.clone(), |bencher| {
                bencher.iter_custom(|iterations| passes(body, &clock, iterations));
            });
            group.finish();
        })
    }
}

/// Runs passes until `operations` operations are done; gives back the nanoseconds that so many of them took.
///
/// An iteration of criterion's is an operation of ours, so its report reads in time per operation. A pass is not
/// divided: the last one may do more than was asked for, and its time is scaled.
fn passes(body: &mut dyn Body, clock: &WallClock, operations: u64) -> f64 {
    let (mut done, mut elapsed_ns) = (0, 0);
    while done < operations {
        let pass = body.pass(clock);
        done += pass.operations;
        elapsed_ns += pass.elapsed_ns;
    }
    elapsed_ns as f64 * operations as f64 / done as f64
}

/// Criterion with the settings that suit cells of nanoseconds; its command line may override them.
fn criterion() -> Criterion<FineTime> {
    Criterion::default()
        .with_measurement(FineTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args()
}

fn scope_from_env() -> Result<Scope, String> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let name = env::var(protocol::PROFILE).unwrap_or_else(|_| Profile::Standard.id().to_owned());
    match Profile::named(&name) {
        Some(profile) => Ok(Scope { profile, cpus }),
        None => {
            let names = Profile::ALL.map(Profile::id).join(", ");
            Err(format!("{}: there is no profile {name:?}; expected one of {names}", protocol::PROFILE))
        }
    }
}

fn probe_from_env() -> Result<Probe, String> {
    let Ok(name) = env::var(protocol::PROBE) else { return Ok(Probe::Time) };
    let names = || Probe::ALL.map(Probe::id).join(", ");
    Probe::named(&name).ok_or_else(|| {
        format!("{}: there is no probe {name:?}; expected one of {}", protocol::PROBE, names())
    })
}

fn seed_from_env() -> Result<u64, String> {
    match env::var(protocol::SEED) {
        Err(_) => Ok(1),
        Ok(seed) => seed
            .parse()
            .map_err(|_| format!("{}: {seed:?} is not a whole number from 0 to 2^64 - 1", protocol::SEED)),
    }
}

fn verify(bound: &Bound, seed: u64, usable: Option<Usable>, names: &[String]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for cell in &bound.cells {
        let name = CaseName::from(&cell.case);
        if !names.is_empty() && !names.contains(&name.to_string()) {
            continue;
        }
        let (outcome, findings) = match cell.verify(seed, usable) {
            Ok(findings) => (Outcome::Served(None), findings),
            Err(fault) => {
                code = ExitCode::FAILURE;
                (Outcome::from(fault), Findings::default())
            }
        };
        let json = serde_json::to_string(&(name, outcome, findings)).expect("texts and numbers are JSON");
        println!("{json}");
    }
    code
}

/// Wall time as fractional nanoseconds.
///
/// Criterion's own measurement counts whole nanoseconds for each sample; a sample of few, short operations would be
/// rounded by percents.
struct FineTime;

impl Measurement for FineTime {
    type Intermediate = std::time::Instant;
    type Value = f64;

    fn start(&self) -> Self::Intermediate {
        std::time::Instant::now()
    }

    fn end(&self, start: Self::Intermediate) -> f64 {
        start.elapsed().as_nanos() as f64
    }

    fn add(&self, first: &f64, second: &f64) -> f64 {
        first + second
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
