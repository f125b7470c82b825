//! CPU profiles of a process as flame graphs.
//!
//! While a [`Recording`] runs, the kernel interrupts a running thread of the process [`FREQUENCY`] times per second of
//! processor time, and the stack of that thread is recorded. [`Recording::finish`] draws the stacks as an SVG image.
//!
//! A recording called `validator-0` leaves one of two files in its folder: the flame graph `validator-0.svg`, or
//! `validator-0.txt` with the reason why there is none. The text is written first, so that a process that is killed
//! leaves the reason too.

mod flame_graph;

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder, Report, Symbol};
use rustix::time::ClockId;
use tempfile::TempDir;
use thiserror::Error;

use self::flame_graph::FlameGraph;

/// Samples per second of processor time. It is no divisor of the round frequencies of timers, so samples do not
/// coincide with periodic work.
pub const FREQUENCY: i32 = 99;

/// Parts of the names of libraries in which no sample is taken. The unwinder is not safe in a signal handler that
/// interrupts the allocator, the unwinder itself or the dynamic linker, and the vDSO may have wrong unwind information.
const NOT_SAMPLED: [&str; 7] = [
    "libc.so",
    "libc-",
    "libgcc",
    "libpthread",
    "ld-linux",
    "ld-musl",
    "vdso",
];

/// The reason in the text file until the profile is written.
const UNFINISHED: &str = "the process was killed before it could write its profile, or is still running";

/// A profile that cannot be recorded or written.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// A file or folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The process has a profiler already.
    #[error("this process has a profiler already")]
    Second,
    /// The sampling cannot start.
    #[error("the profiler cannot start")]
    Start(#[source] pprof::Error),
    /// The samples cannot be read.
    #[error("the samples of the profiler cannot be read")]
    Read(#[source] pprof::Error),
}

/// The profiler of this process. It records one profile at a time, and must be kept until the last one has finished.
#[derive(Debug)]
pub struct Profiler {
    /// The folder of the sampler's temporary files, which the sampler itself never removes.
    _scratch: TempDir,
}

impl Profiler {
    /// Creates the profiler. It stores temporary files in a folder within `parent`, which is removed with the profiler.
    /// All other temporary files of the process without a folder of their own are created there too.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be created, or if the process has had a profiler before.
    pub fn new(parent: &Path) -> Result<Self, ProfileError> {
        let create = || {
            fs::create_dir_all(parent)?;
            tempfile::Builder::new().prefix(".sampler-").tempdir_in(parent)
        };
        let scratch = create().map_err(write_error(parent))?;
        tempfile::env::override_temp_dir(scratch.path()).map_err(|_| ProfileError::Second)?;
        Ok(Self { _scratch: scratch })
    }

    /// Starts to record the profile `name` in `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the text file cannot be written, or if the sampling cannot start, for example because
    /// another recording runs.
    pub fn start(&self, folder: &Path, name: &str) -> Result<Recording, ProfileError> {
        let files = Files {
            name: name.to_owned(),
            picture: folder.join(format!("{name}.svg")),
            reason: folder.join(format!("{name}.txt")),
        };
        fs::create_dir_all(folder).map_err(write_error(folder))?;
        files.explain(UNFINISHED)?;
        let began = processor_time();
        let sampling = ProfilerGuardBuilder::default()
            .frequency(FREQUENCY)
            .blocklist(&NOT_SAMPLED)
            .build()
            .map_err(|error| files.fail(ProfileError::Start(error)))?;
        Ok(Recording {
            files,
            sampling,
            began,
        })
    }
}

/// A profile that is being recorded.
#[must_use = "the profile is written only by `finish`"]
pub struct Recording {
    files: Files,
    sampling: ProfilerGuard<'static>,
    /// Processor time of the process when the recording started.
    began: Duration,
}

impl Recording {
    /// Ends the recording and writes its flame graph, or the reason why there is none.
    ///
    /// # Errors
    /// Returns an error if the samples cannot be read, or if a file cannot be written.
    pub fn finish(self) -> Result<(), ProfileError> {
        let Self {
            files,
            sampling,
            began,
        } = self;
        let used = processor_time().saturating_sub(began);
        // The end of the sampling discards the samples.
        let report = sampling.report().build();
        drop(sampling);
        let report = report.map_err(|error| files.fail(ProfileError::Read(error)))?;
        let Some(picture) = draw(&report, &files.name, used) else {
            return files.explain(&format!(
                "no sample was taken in {:.2} s of processor time",
                used.as_secs_f64()
            ));
        };
        mirror_files::replace(&files.picture, picture.as_bytes())
            .map_err(|error| files.fail(write_error(&files.picture)(error)))?;
        fs::remove_file(&files.reason).map_err(write_error(&files.reason))
    }
}

/// The files of a profile.
struct Files {
    name: String,
    picture: PathBuf,
    reason: PathBuf,
}

impl Files {
    /// Writes the reason why there is no flame graph.
    fn explain(&self, reason: &str) -> Result<(), ProfileError> {
        mirror_files::replace(&self.reason, format!("{reason}\n").as_bytes())
            .map_err(write_error(&self.reason))
    }

    /// Writes an error as the reason, and returns it.
    fn fail(&self, error: ProfileError) -> ProfileError {
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(because) = cause {
            // A write to a string cannot fail.
            let _ = write!(reason, ": {because}");
            cause = because.source();
        }
        // The caller reports the error. The text file still has the first reason if this write fails.
        let _ = self.explain(&reason);
        error
    }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> ProfileError {
    let path = path.to_owned();
    move |source| ProfileError::Write { path, source }
}

/// Returns the processor time that all threads of the process have used, including that in the kernel.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Returns the flame graph of a process that has `used` this much processor time. `None` if there is no sample.
fn draw(report: &Report, name: &str, used: Duration) -> Option<String> {
    let mut graph = FlameGraph::default();
    for (frames, count) in &report.data {
        graph.add(stack(frames), count.unsigned_abs() as u64);
    }
    let samples = graph.samples();
    let explanation = format!(
        "{samples} samples, {FREQUENCY} for each second of processor time. They cover {:.1} s of the {:.1} s that the \
         process used. The rest was in the C library and its system calls, which are not sampled.",
        samples as f64 / f64::from(FREQUENCY),
        used.as_secs_f64()
    );
    (samples > 0).then(|| graph.draw(&format!("CPU profile of {name}"), &explanation))
}

/// Returns the name of the thread and those of the functions, the outermost first.
fn stack(frames: &Frames) -> Vec<String> {
    let symbols = frames.frames.iter().rev().flat_map(|frame| frame.iter().rev());
    let functions = symbols.map(Symbol::name);
    std::iter::once(frames.thread_name_or_id())
        .chain(functions)
        .collect()
}
