//! Files of measured delays, which are read before any process starts.

use std::fs::File;
use std::path::Path;

use mirror_spec::{
    BehaviourSpec, Experiment, Fault, Latency, RecordedDelays, SlowArgs, TraceDelays, ValueError, notation,
};

/// Maximum size of a file in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Maximum delay in seconds, as for all delays of a file.
const MAX_DELAY: f64 = 3_600.0;

/// Returns the experiment with the delays of each file in the place of its path. Relative paths are resolved against
/// `base`.
///
/// # Errors
/// Returns the first value that names a file which cannot be read, has no delays, or has a line that is no delay.
pub fn with_traces(experiment: &Experiment, base: &Path) -> Result<Experiment, ValueError> {
    let mut experiment = experiment.clone();
    for (index, group) in experiment.network.miners.iter_mut().enumerate() {
        let place = ["network", "miners", &index.to_string()].map(str::to_owned);
        for latency in group
            .latency
            .iter_mut()
            .chain(slow(&mut group.behaviour, &mut group.over))
        {
            resolve(latency, base).map_err(|problem| problem.at(&place))?;
        }
    }
    for (index, fault) in experiment.faults.iter_mut().enumerate() {
        let place = ["faults", &index.to_string()].map(str::to_owned);
        resolve_fault(fault, base).map_err(|problem| problem.at(&place))?;
    }
    Ok(experiment)
}

/// Returns the fault with the delays of each file in the place of its path.
///
/// # Errors
/// Returns the problem of a file in words.
pub fn fault_with_traces(mut fault: Fault, base: &Path) -> Result<Fault, String> {
    resolve_fault(&mut fault, base).map_err(|problem| problem.0)?;
    Ok(fault)
}

/// The problem of a file, in words.
struct Problem(String);

impl Problem {
    fn at(self, place: &[String]) -> ValueError {
        ValueError {
            path: place.to_vec(),
            message: self.0,
            help: "give the path of a text file with one delay per line, such as `80ms` or `0.08`".to_owned(),
        }
    }
}

fn resolve_fault(fault: &mut Fault, base: &Path) -> Result<(), Problem> {
    match fault {
        Fault::Link(link) => link
            .effects
            .latency
            .iter_mut()
            .try_for_each(|latency| resolve(latency, base)),
        Fault::Inject(inject) => {
            let behaviours = std::iter::once(&mut inject.behaviour).chain(&mut inject.over);
            of_behaviours(behaviours).try_for_each(|latency| resolve(latency, base))
        }
        Fault::Join(join) => {
            slow(&mut join.join.behaviour, &mut join.join.over).try_for_each(|latency| resolve(latency, base))
        }
        _ => Ok(()),
    }
}

/// Returns the delays of the slow behaviours of a stack.
fn slow<'a>(
    behaviour: &'a mut Option<BehaviourSpec>,
    over: &'a mut [BehaviourSpec],
) -> impl Iterator<Item = &'a mut Latency> {
    of_behaviours(behaviour.iter_mut().chain(over))
}

fn of_behaviours<'a>(
    behaviours: impl Iterator<Item = &'a mut BehaviourSpec>,
) -> impl Iterator<Item = &'a mut Latency> {
    behaviours.filter_map(|behaviour| match behaviour {
        BehaviourSpec::Slow(SlowArgs { latency }) => Some(latency),
        _ => None,
    })
}

fn resolve(latency: &mut Latency, base: &Path) -> Result<(), Problem> {
    let Latency::Trace(TraceDelays { trace, order }) = latency else {
        return Ok(());
    };
    let order = *order;
    let recorded = read(&base.join(&*trace)).map_err(|problem| Problem(format!("`{trace}`: {problem}")))?;
    *latency = Latency::Recorded(RecordedDelays { recorded, order });
    Ok(())
}

/// Reads the delays of a file, in seconds.
fn read(path: &Path) -> Result<Vec<f64>, String> {
    let unreadable = |error: std::io::Error| format!("the file cannot be read: {error}");
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    if !kind.is_file() {
        return Err("this is not a file".to_owned());
    }
    let file = File::open(path).map_err(unreadable)?;
    let bytes = mirror_files::read_at_most(file, MAX_FILE)
        .map_err(unreadable)?
        .ok_or_else(|| format!("the file is larger than {MAX_FILE} bytes"))?;
    let text = String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())?;
    let mut delays = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let delay = notation::seconds(line).filter(|delay| (0.0..=MAX_DELAY).contains(delay));
        delays.push(delay.ok_or_else(|| {
            let shown: String = line.chars().take(40).collect();
            format!("line {number} is no delay from 0 to {MAX_DELAY} s: `{shown}`")
        })?);
    }
    if delays.is_empty() {
        return Err("the file contains no delays".to_owned());
    }
    Ok(delays)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<f64>, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("trace.txt");
        std::fs::write(&path, text).expect("the disk has space");
        read(&path)
    }

    #[test]
    fn a_file_has_one_delay_per_line() {
        assert_eq!(
            read_text("# ping\n0.08\n80ms\n\n1.5 s\n"),
            Ok(vec![0.08, 0.08, 1.5])
        );
    }

    #[test]
    fn files_without_delays_are_refused_with_the_line() {
        for (text, problem) in [
            ("", "contains no delays"),
            ("# nothing\n\n", "contains no delays"),
            ("0.1\nfast\n", "line 2 is no delay"),
            ("0.1\n-3\n", "line 2 is no delay"),
            ("nan\n", "line 1 is no delay"),
            ("1e9\n", "line 1 is no delay"),
            ("latency,0.1\n", "line 1 is no delay"),
        ] {
            let error = read_text(text).expect_err(text);
            assert!(error.contains(problem), "{text:?}: {error}");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(read(folder.path()).is_err_and(|error| error.contains("not a file")));
        assert!(read(&folder.path().join("absent")).is_err_and(|error| error.contains("cannot be read")));
    }
}
