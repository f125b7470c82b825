//! Records profiles of this test's own process.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use mirror_profile::{FREQUENCY, Profiler};
use rustix::time::ClockId;

/// Computes until the process has used a second of processor time, in which many samples are taken.
#[inline(never)]
fn compute_for_a_second() -> u64 {
    let used =
        || Duration::try_from(rustix::time::clock_gettime(ClockId::ProcessCPUTime)).expect("a duration");
    let end = used() + Duration::from_secs(1);
    let mut sum = 0_u64;
    while used() < end {
        for number in 0..1_000_000_u64 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
    }
    sum
}

fn texts(picture: &Path) -> Vec<String> {
    let text = fs::read_to_string(picture).expect("the picture exists");
    let document = roxmltree::Document::parse(&text).expect("the picture is XML");
    let titles = document.descendants().filter(|node| node.has_tag_name("title"));
    titles
        .filter_map(|title| title.text().map(str::to_owned))
        .collect()
}

/// One test, because a process has one profiler.
#[test]
fn a_process_records_one_profile_after_another() {
    let run = tempfile::tempdir().expect("a folder");
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = run.path().join("profiles");
    let profiler = Profiler::new(scratch.path()).expect("the first profiler");
    Profiler::new(scratch.path()).expect_err("a second profiler");

    for name in ["validator-0", "validator-0.1"] {
        let recording = profiler.start(&folder, name).expect("the recording starts");
        let reason = folder.join(format!("{name}.txt"));
        assert!(
            reason.exists(),
            "a process that is killed now must leave a reason"
        );
        black_box(compute_for_a_second());
        recording.finish().expect("the recording is written");
        assert!(!reason.exists(), "{name} has a flame graph and no reason");
        let texts = texts(&folder.join(format!("{name}.svg")));
        let computing = texts.iter().find(|text| text.contains("compute_for_a_second"));
        let computing = computing.unwrap_or_else(|| panic!("{texts:?}"));
        let (_, samples) = computing.rsplit_once(": ").expect("a number of samples");
        let (samples, _) = samples.split_once(" samples").expect("a number of samples");
        let samples: i32 = samples.parse().expect("a number");
        assert!(
            samples > FREQUENCY / 2,
            "most samples are in the computation: {texts:?}"
        );
    }

    let first = profiler.start(&folder, "first").expect("the recording starts");
    let error = profiler
        .start(&folder, "second")
        .err()
        .expect("another recording runs");
    let reason = fs::read_to_string(folder.join("second.txt")).expect("a reason");
    assert!(reason.starts_with(&error.to_string()), "{reason}");
    first.finish().expect("a file is written");

    drop(profiler);
    let left: Vec<_> = fs::read_dir(scratch.path()).expect("the folder exists").collect();
    assert!(left.is_empty(), "temporary files are left: {left:?}");
}
