//! The bench executables: built by cargo once, or one that is there already; asked who they are.

mod check;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::RunError;
use super::process::{self, Ended};
use crate::harness::machine;
use crate::harness::protocol::{self, Description};

/// A bench executable that speaks our protocol.
#[derive(Clone, Debug)]
pub struct Executable {
    /// The file.
    pub path: PathBuf,
    /// What it says of itself; the package with its version filled in.
    pub description: Description,
    /// Hash of the file: another hash is other code.
    pub hash: String,
}

/// What was built, and how.
#[derive(Clone, Debug)]
pub struct Built {
    /// In the order of the allocator list, then by name; of one executable that holds them all, in its own order.
    pub executables: Vec<Executable>,
    /// Cargo profile settings that change a cell of 3 ns.
    pub profile: BTreeMap<String, String>,
    /// The package in whose directory they were built; `None` in a workspace without one, and where nothing was built.
    pub package: Option<String>,
    /// Bench targets that could not say who they are, and why. Somebody's ordinary benchmarks are not among them.
    pub silent: Vec<(String, String)>,
}

/// How long an executable may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// Builds all bench executables of the package in `directory` and asks each one who it is.
///
/// Cargo's own messages go to standard error. `features` is passed on to cargo if not empty.
///
/// # Errors
/// If cargo fails, no executable speaks the protocol, or what they say cannot become one record.
pub fn build(directory: &Path, features: &str, profile: &str) -> Result<Built, RunError> {
    let failed = |detail: String| RunError::Build { directory: directory.to_owned(), detail };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(directory).args(["bench", "--no-run", "--message-format=json-render-diagnostics"]);
    if !features.is_empty() {
        cargo.args(["--features", features]);
    }
    let output = cargo
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    let messages: Vec<Value> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let benches: Vec<&Value> = messages.iter().filter(|message| is_bench(message)).collect();
    let (package, versions) = versions(directory);

    let (mut executables, mut silent) = (Vec::new(), Vec::new());
    for message in &benches {
        let Some(path) = message["executable"].as_str().map(PathBuf::from) else { continue };
        match describe(&path, None, profile)? {
            // Another configuration of an allocator, which this profile does not measure: see `matrix::postponed`.
            Answer::Speaks(description)
                if description.allocator.configuration_of.is_some() && description.cells.is_empty() => {}
            Answer::Speaks(mut description) => {
                let package = description.allocator.package.take();
                description.allocator.package = package.map(|name| with_versions(&name, &versions));
                let hash = hash(&path)?;
                executables.push(Executable { path, description: *description, hash });
            }
            Answer::Foreign => {}
            Answer::Silent(why) => {
                silent.push((message["target"]["name"].as_str().unwrap_or_default().to_owned(), why));
            }
        }
    }
    if executables.is_empty() {
        return Err(RunError::NoBenches { directory: directory.to_owned(), built: benches.len() });
    }
    let rank = |id: &str| crate::allocators::list::all().iter().position(|row| row.facts.id == id);
    executables.sort_by_key(|executable| {
        let id = executable.description.allocator.id.clone();
        (rank(&id).unwrap_or(usize::MAX), id)
    });
    check::all(&executables)?;
    let profile = benches.first().map(|message| settings(&message["profile"], directory)).unwrap_or_default();
    Ok(Built { executables, profile, package, silent })
}

/// An executable that is there already and holds `allocators`: asked about each of them once.
///
/// # Errors
/// If it does not say who they are, or what it says cannot become one record.
pub fn ready(path: &Path, allocators: &[&str], profile: &str) -> Result<Built, RunError> {
    let hash = hash(path)?;
    let mut executables = Vec::with_capacity(allocators.len());
    for allocator in allocators {
        let problem = match describe(path, Some(allocator), profile)? {
            Answer::Speaks(description) if description.allocator.id == *allocator => {
                let (path, hash) = (path.to_owned(), hash.clone());
                executables.push(Executable { path, description: *description, hash });
                continue;
            }
            Answer::Speaks(description) => {
                format!("asked about {allocator} it spoke of {}", description.allocator.id)
            }
            Answer::Foreign => format!("asked about {allocator} it gave no description"),
            Answer::Silent(why) => format!("asked about {allocator} it did not answer: {why}"),
        };
        let expected = "a description of each of its allocators";
        return Err(RunError::Description { executable: file_name(path), problem, expected });
    }
    check::all(&executables)?;
    // Cargo's other settings left no trace in it that could be read.
    let assertions = ("debug-assertions".to_owned(), cfg!(debug_assertions).to_string());
    Ok(Built { executables, profile: [assertions].into(), package: None, silent: Vec::new() })
}

/// A file's name without its directory, which says more about a machine than about a run.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn is_bench(message: &Value) -> bool {
    let kinds = message["target"]["kind"].as_array();
    message["reason"] == "compiler-artifact"
        && kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "bench"))
        && message["executable"].is_string()
}

/// What an executable answers when it is asked who it is.
#[derive(Debug, PartialEq)]
enum Answer {
    Speaks(Box<Description>),
    /// Somebody's ordinary benchmark.
    Foreign,
    /// It did not get as far as an answer, or gave one that is not understood: why.
    Silent(String),
}

fn describe(path: &Path, allocator: Option<&str>, profile: &str) -> Result<Answer, RunError> {
    let mut command = Command::new(path);
    // No description depends on the seed; one in our own environment that is not a number would be refused.
    command.arg(protocol::DESCRIBE).env(protocol::PROFILE, profile).env(protocol::SEED, "1");
    if let Some(allocator) = allocator {
        command.env(protocol::ALLOCATOR, allocator);
    }
    process::without_tuning(&mut command);
    let finished = process::run(command, PATIENCE)
        .map_err(|source| RunError::Process { executable: file_name(path), source })?;
    Ok(match &finished.ended {
        Ended::Well => understand(&finished.stdout),
        Ended::TimeLimit => Answer::Silent(format!("no answer within {} s", PATIENCE.as_secs())),
        Ended::Badly(how) => Answer::Silent(match finished.last_words() {
            "" => how.clone(),
            words => format!("{how}: {words}"),
        }),
    })
}

fn understand(stdout: &[u8]) -> Answer {
    let Ok(json) = serde_json::from_slice::<Value>(stdout) else { return Answer::Foreign };
    match json["protocol"].as_u64() {
        None => Answer::Foreign,
        Some(version) if version != u64::from(protocol::VERSION) => Answer::Silent(format!(
            "it speaks version {version} of the protocol, this allocmark version {}",
            protocol::VERSION
        )),
        Some(_) => match serde_json::from_value(json) {
            Ok(description) => Answer::Speaks(Box::new(description)),
            Err(error) => Answer::Silent(format!("its description cannot be read: {error}")),
        },
    }
}

fn hash(path: &Path) -> Result<String, RunError> {
    let bytes = fs::read(path).map_err(|source| RunError::File {
        path: path.to_owned(),
        expected: "an executable that can be read",
        source,
    })?;
    // Lossy text would make different bytes equal; hexadecimal words do not.
    let words = bytes.chunks(8).fold(0_u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    });
    Ok(machine::short_hash(&format!("{words:016x} {}", bytes.len())))
}

/// Name → version of every package, and name → the `-sys` crates it depends on.
type Versions = BTreeMap<String, (String, Vec<String>)>;

/// The package of the directory, and the versions of all it is built with.
fn versions(directory: &Path) -> (Option<String>, Versions) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(directory).args(["metadata", "--format-version", "1"]).stdin(Stdio::null());
    // Without versions there is nothing to print beside the name; the build itself went well.
    let Ok(output) = cargo.stderr(Stdio::null()).output() else { return Default::default() };
    let Ok(metadata) = serde_json::from_slice::<Value>(&output.stdout) else { return Default::default() };
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let root = &metadata["resolve"]["root"];
    let root = packages.iter().find(|package| root.is_string() && package["id"] == *root);
    let root = root.map(|package| text(&package["name"]));
    let versions = packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().cloned().unwrap_or_default();
            let sys = dependencies.iter().map(|dependency| text(&dependency["name"]));
            let sys = sys.filter(|name| name.ends_with("-sys")).collect();
            (text(&package["name"]), (text(&package["version"]), sys))
        })
        .collect();
    (root, versions)
}

/// `mimalloc` → `mimalloc 0.1.52, libmimalloc-sys 0.1.49`.
fn with_versions(name: &str, versions: &Versions) -> String {
    let Some((version, sys)) = versions.get(name) else { return name.to_owned() };
    let mut label = format!("{name} {version}");
    for library in sys {
        if let Some((version, _)) = versions.get(library) {
            label.push_str(&format!(", {library} {version}"));
        }
    }
    label
}

/// What cargo says of the profile, and what the manifest adds.
fn settings(profile: &Value, directory: &Path) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (key, name) in [("opt_level", "opt-level"), ("debug_assertions", "debug-assertions")] {
        settings.insert(name.to_owned(), profile[key].to_string().trim_matches('"').to_owned());
    }
    // Cargo does not report these two. Its defaults for a release build: 16 units, and optimisation across the units
    // of each crate alone.
    let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
    let manifest = manifest.parse::<toml::Table>().unwrap_or_default();
    let stated = |key: &str| {
        ["bench", "release"]
            .iter()
            .find_map(|name| Some(manifest.get("profile")?.get(name)?.get(key)?.to_string()))
    };
    settings.insert("codegen-units".to_owned(), stated("codegen-units").unwrap_or_else(|| "16".to_owned()));
    settings.insert("lto".to_owned(), stated("lto").unwrap_or_else(|| "false".to_owned()));
    if let Ok(flags) = std::env::var("RUSTFLAGS") {
        settings.insert("rustflags".to_owned(), flags);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_benchmark_is_told_from_one_that_speaks_another_version() {
        assert_eq!(understand(b"12 ns/iter"), Answer::Foreign);
        assert_eq!(understand(br#"{"time": 12}"#), Answer::Foreign);
        let Answer::Silent(why) = understand(br#"{"protocol": 999}"#) else { panic!("another version") };
        assert!(why.contains("version 999"), "{why}");
        let Answer::Silent(why) = understand(br#"{"protocol": 3}"#) else { panic!("nothing but a version") };
        assert!(why.contains("cannot be read"), "{why}");
    }
}
