//! Screens a change and confirms it on fresh rounds, as a gate does, but on records that somebody measured by hand.
//!
//! ```text
//! confirm pair   SCREEN BASE HEAD [FRESH]        two allocators of one record: is HEAD slower than BASE?
//! confirm twins  BASE HEAD [FRESH...]            two records of the same code: everything suspected is a false alarm
//! ```
//!
//! Without FRESH it names the suspected cells and how many fresh rounds it takes to confirm them. The fresh rounds of `pair`
//! are those of the two allocators in another record, those of `twins` the A/A controls in other records
//! (`allocmark run --probes time --allocator '^X$' --workload '^case$' --rounds N` makes one).

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use allocmark::results::compare::{self, Options};
use allocmark::results::confirm::{Fresh, ROOM, confirm, rounds_allowing};
use allocmark::results::metric::Metric;
use allocmark::results::record::{Measured, Place, Record};
use allocmark::results::store;
use allocmark::results::verdict::{Judgement, Question, Rounds, Verdict, screen};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["pair", screen, base, head] => pair(screen, base, head, None),
        ["pair", screen, base, head, fresh] => pair(screen, base, head, Some(fresh)),
        ["twins", base, head, fresh @ ..] => twins(base, head, fresh),
        _ => Err("expected: pair SCREEN BASE HEAD [FRESH], or twins BASE HEAD [FRESH...]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::from(2)
        }
    }
}

fn read(path: &str) -> Result<Record, String> {
    store::read(Path::new(path)).map_err(|error| error.to_string())
}

/// Judges `head` against `base` in every case that both have.
fn pair(path: &str, base: &str, head: &str, fresh: Option<&str>) -> Result<(), String> {
    let record = read(path)?;
    let mut suspected = Vec::new();
    for cell in record.cells.iter().filter(|cell| cell.place.allocator == base) {
        let (Some(ours), Some(theirs)) = (time(&record, &cell.place, base), time(&record, &cell.place, head))
        else {
            continue;
        };
        let question = Question::about(Metric::Time, 1, None);
        let Some(judgement) = screen(&question, ours, theirs, Rounds::Paired) else { continue };
        tell(&cell.place, &judgement);
        if judgement.verdict == Verdict::Suspected {
            suspected.push((cell.place.clone(), judgement));
        }
    }
    let fresh = fresh.map(read).transpose()?;
    conclude(&suspected, fresh.is_some(), |place| {
        let fresh = fresh.as_ref()?;
        let (ours, theirs) = (time(fresh, place, base)?, time(fresh, place, head)?);
        Some(ours.replicates.iter().copied().zip(theirs.replicates.iter().copied()).collect())
    });
    Ok(())
}

/// Compares two records of the same code, with the floors that their A/A controls give.
fn twins(base: &str, head: &str, fresh: &[&str]) -> Result<(), String> {
    let (base, head) = (read(base)?, read(head)?);
    let spreads: HashMap<Place, f64> =
        base.checks.control.iter().map(|control| (control.place.clone(), control.spread())).collect();
    let options = Options { spreads, ..Options::default() };
    let comparison = compare::compare(&base, &head, &options).map_err(|error| error.to_string())?;
    let of_time = comparison.changes.iter().filter(|change| change.metric == Metric::Time);
    let suspected: Vec<(Place, Judgement)> = of_time
        .filter(|change| change.judgement.verdict == Verdict::Suspected)
        .map(|change| (change.place.clone(), change.judgement))
        .collect();
    for verdict in Verdict::ALL {
        println!("{} {}", comparison.count(verdict), verdict.id());
    }
    suspected.iter().for_each(|(place, judgement)| tell(place, judgement));
    let fresh: Vec<Record> = fresh.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    conclude(&suspected, !fresh.is_empty(), |place| {
        let mut controls = fresh.iter().flat_map(|record| &record.checks.control);
        controls.find(|control| control.place == *place).map(|control| control.rounds.clone())
    });
    Ok(())
}

fn time<'r>(record: &'r Record, place: &Place, allocator: &str) -> Option<&'r Measured> {
    let wanted = Place { allocator: allocator.to_owned(), ..place.clone() };
    record.cells.iter().find(|cell| cell.place == wanted)?.metrics.get(&Metric::Time)
}

fn tell(place: &Place, judgement: &Judgement) {
    let evidence = &judgement.evidence;
    let (low, high) = evidence.interval.unwrap_or((f64::NAN, f64::NAN));
    println!(
        "{place}: {} ({:.3}, {low:.3} to {high:.3}, floor {:.3}, {} rounds)",
        judgement.verdict.id(),
        evidence.estimate,
        evidence.floor,
        evidence.head_rounds,
    );
}

/// Judges the suspected cells on their fresh rounds, or says how many of those it takes.
fn conclude(
    suspected: &[(Place, Judgement)],
    measured: bool,
    fresh: impl Fn(&Place) -> Option<Vec<(f64, f64)>>,
) {
    println!(
        "{} suspected; {} fresh rounds to confirm",
        suspected.len(),
        rounds_allowing(ROOM, suspected.len())
    );
    if !measured {
        return;
    }
    let questions: Vec<Fresh> = suspected
        .iter()
        .map(|(place, judgement)| Fresh {
            direction: Metric::Time.direction(),
            scale: judgement.evidence.scale,
            floor: judgement.evidence.floor,
            rounds: fresh(place).unwrap_or_default(),
        })
        .collect();
    for ((place, _), confirmation) in suspected.iter().zip(confirm(&questions)) {
        match confirmation {
            Some(found) => println!(
                "{place}: {} (fresh rounds {}, {:.3}, p {:.2e})",
                if found.confirmed { "REGRESSED" } else { "not confirmed" },
                found.rounds,
                found.estimate,
                found.corrected_p,
            ),
            None => println!("{place}: no fresh rounds"),
        }
    }
}
