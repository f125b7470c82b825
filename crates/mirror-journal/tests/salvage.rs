//! Tests that every intact record of a damaged journal is read, and that each loss is reported with its place.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use mirror_journal::{Entry, JournalError, Loss, Missing, Reader, Salvage, Writer};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// Sizes of the documented format, in bytes: the head of a segment, and a frame without its payload.
const HEAD: usize = 40;
const FRAME: usize = 20;

const SEGMENT: u64 = 4_000;

fn rng(seed: u8) -> TestRng {
    TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32])
}

fn below(rng: &mut TestRng, bound: usize) -> usize {
    (rng.next_u64() % bound as u64) as usize
}

fn file(dir: &Path, segment: u32) -> PathBuf {
    dir.join(format!("{segment:06}.journal"))
}

/// A record that was written: its number, its payload, its segment, and the bytes of its frame.
#[derive(Clone, Debug)]
struct Written {
    sequence: u64,
    payload: Vec<u8>,
    segment: u32,
    frame: Range<usize>,
}

/// Writes a journal of about eight segments with records of various sizes and contents, among them records that contain
/// frames of another journal.
fn journal(dir: &Path, rng: &mut TestRng) -> Vec<Written> {
    let foreign = tempfile::tempdir().unwrap();
    let mut other = Writer::open(foreign.path(), u64::MAX).unwrap().writer;
    other.append_batch(&["one", "two", "three"]).unwrap();
    let foreign = fs::read(file(foreign.path(), 1)).unwrap();

    let mut writer = Writer::open(dir, SEGMENT).unwrap().writer;
    let mut written = Vec::new();
    while writer.position().segment < 8 {
        let mut payload = vec![0; below(rng, 300)];
        rng.fill_bytes(&mut payload);
        if below(rng, 4) == 0 {
            payload.extend_from_slice(&foreign);
        }
        let sequence = writer.next_sequence();
        let end = writer.append_batch(&[&payload]).unwrap();
        let stop = end.offset as usize;
        written.push(Written {
            sequence,
            frame: stop - FRAME - payload.len()..stop,
            payload,
            segment: end.segment,
        });
    }
    written
}

/// Returns the intact records, the losses and the number of torn bytes.
fn salvage(dir: &Path, end: Option<u64>) -> (Vec<Entry>, Vec<Loss>, u64) {
    let salvage = Salvage::open(dir, BTreeSet::new(), end).unwrap();
    let mut records = Vec::new();
    let mut losses = salvage.missing_segments().unwrap();
    let mut torn = 0;
    for segment in salvage.segments() {
        let found = salvage
            .read(segment, |record| {
                records.push(Entry {
                    segment,
                    bytes: record,
                });
            })
            .unwrap();
        losses.extend(found.losses);
        torn += found.torn;
    }
    (records, losses, torn)
}

/// A damage of a journal.
#[derive(Clone, Debug)]
enum Harm {
    Flip { segment: u32, bit: usize },
    Cut { segment: u32, size: usize },
    Remove { segment: u32 },
}

impl Harm {
    fn any(dir: &Path, segment: u32, rng: &mut TestRng) -> Self {
        let size = fs::metadata(file(dir, segment)).unwrap().len() as usize;
        match below(rng, 3) {
            0 => Self::flip(dir, segment, rng),
            1 => Self::Cut {
                segment,
                size: below(rng, size),
            },
            _ => Self::Remove { segment },
        }
    }

    fn flip(dir: &Path, segment: u32, rng: &mut TestRng) -> Self {
        let size = fs::metadata(file(dir, segment)).unwrap().len() as usize;
        Self::Flip {
            segment,
            bit: below(rng, 8 * size),
        }
    }

    fn apply(&self, dir: &Path) {
        match *self {
            Self::Flip { segment, bit } => {
                let mut bytes = fs::read(file(dir, segment)).unwrap();
                if let Some(byte) = bytes.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
                fs::write(file(dir, segment), bytes).unwrap();
            }
            Self::Cut { segment, size } => {
                let bytes = fs::read(file(dir, segment)).unwrap();
                fs::write(file(dir, segment), &bytes[..size.min(bytes.len())]).unwrap();
            }
            Self::Remove { segment } => fs::remove_file(file(dir, segment)).unwrap(),
        }
    }

    fn segment(&self) -> u32 {
        match *self {
            Self::Flip { segment, .. } | Self::Cut { segment, .. } | Self::Remove { segment } => segment,
        }
    }

    fn hits(&self, record: &Written) -> bool {
        record.segment == self.segment()
            && match *self {
                Self::Flip { bit, .. } => record.frame.contains(&(bit / 8)),
                Self::Cut { size, .. } => size < record.frame.end,
                Self::Remove { .. } => true,
            }
    }
}

fn contains(loss: &Loss, record: &Written) -> bool {
    let is_in_segment = match loss {
        Loss::Bytes { segment, .. } => *segment == record.segment,
        Loss::Segments { first, last, .. } => (*first..=*last).contains(&record.segment),
    };
    is_in_segment
        && match loss.missing() {
            Missing::Range { first, last } => (first..=last).contains(&record.sequence),
            Missing::From { first } => first <= record.sequence,
            Missing::Nothing | Missing::Unknown => false,
        }
}

/// Checks that all records that no harm hits are kept, that exactly the others are reported as missing, and that the
/// places of the losses are those of the harms.
#[track_caller]
fn check(dir: &Path, written: &[Written], harms: &[Harm]) {
    let end = written.len() as u64;
    let (records, losses, torn) = salvage(dir, Some(end));
    assert_eq!(torn, 0, "the end is known, so a cut end is a loss");
    let (hit, intact): (Vec<&Written>, Vec<&Written>) = written
        .iter()
        .partition(|record| harms.iter().any(|harm| harm.hits(record)));
    let expected = intact.iter().map(|record| (record.segment, &record.payload));
    let found = records.iter().map(|entry| (entry.segment, &entry.bytes));
    assert!(
        found.eq(expected),
        "{harms:?}: the intact records are not those that were written"
    );
    for record in &hit {
        let of = losses.iter().filter(|loss| contains(loss, record)).count();
        assert_eq!(of, 1, "{harms:?}: {record:?} in {losses:?}");
    }
    for record in &intact {
        assert!(
            !losses.iter().any(|loss| contains(loss, record)),
            "{harms:?}: {record:?} in {losses:?}"
        );
    }
    for loss in &losses {
        let is_explained = |harm: &Harm| match (loss, harm) {
            (
                Loss::Bytes {
                    segment,
                    offset,
                    bytes,
                    ..
                },
                Harm::Flip { bit, .. },
            ) => *segment == harm.segment() && (*offset..offset + bytes).contains(&(*bit as u64 / 8)),
            (
                Loss::Bytes {
                    segment,
                    offset,
                    bytes,
                    ..
                },
                Harm::Cut { size, .. },
            ) => *segment == harm.segment() && offset + bytes == *size as u64,
            (Loss::Segments { first, last, .. }, Harm::Remove { segment }) => {
                (*first..=*last).contains(segment)
            }
            _ => false,
        };
        assert!(harms.iter().any(is_explained), "{harms:?}: {loss:?}");
        assert!(!loss.to_string().is_empty());
    }
}

#[test]
fn a_single_damage_loses_only_the_records_that_it_hits() {
    let mut rng = rng(1);
    for _ in 0..150 {
        let dir = tempfile::tempdir().unwrap();
        let written = journal(dir.path(), &mut rng);
        check(dir.path(), &written, &[]);
        let segment = 1 + below(&mut rng, 8) as u32;
        let harm = Harm::any(dir.path(), segment, &mut rng);
        harm.apply(dir.path());
        check(dir.path(), &written, &[harm]);
    }
}

#[test]
fn three_flips_in_one_segment_lose_at_most_three_records() {
    let mut rng = rng(2);
    for _ in 0..50 {
        let dir = tempfile::tempdir().unwrap();
        let written = journal(dir.path(), &mut rng);
        let segment = 1 + below(&mut rng, 8) as u32;
        let harms: Vec<Harm> = (0..3)
            .map(|_| Harm::flip(dir.path(), segment, &mut rng))
            .collect();
        let in_head = harms
            .iter()
            .filter(|harm| matches!(harm, Harm::Flip { bit, .. } if bit / 8 < HEAD));
        if in_head.count() > 1 {
            continue;
        }
        for harm in &harms {
            harm.apply(dir.path());
        }
        check(dir.path(), &written, &harms);
    }
}

#[test]
fn damages_of_several_segments_are_separate_losses() {
    let mut rng = rng(3);
    for _ in 0..100 {
        let dir = tempfile::tempdir().unwrap();
        let written = journal(dir.path(), &mut rng);
        let mut harms: Vec<Harm> = Vec::new();
        for _ in 0..3 {
            let segment = 1 + below(&mut rng, 8) as u32;
            // With a segment between them, the ranges of both are known.
            let is_apart = |other: &Harm| segment.abs_diff(other.segment()) > 1;
            if harms.iter().all(is_apart) {
                let harm = Harm::any(dir.path(), segment, &mut rng);
                harm.apply(dir.path());
                harms.push(harm);
            }
        }
        check(dir.path(), &written, &harms);
    }
}

#[test]
fn consecutive_missing_segments_are_one_loss() {
    let dir = tempfile::tempdir().unwrap();
    let written = journal(dir.path(), &mut rng(4));
    for segment in [3, 4, 5] {
        fs::remove_file(file(dir.path(), segment)).unwrap();
    }
    let numbers = |segment: u32| {
        written
            .iter()
            .filter(move |record| record.segment == segment)
            .map(|record| record.sequence)
    };
    let (_, losses, _) = salvage(dir.path(), None);
    assert_eq!(
        losses,
        [Loss::Segments {
            first: 3,
            last: 5,
            missing: Missing::Range {
                first: numbers(3).min().unwrap(),
                last: numbers(5).max().unwrap(),
            }
        }]
    );
    check(
        dir.path(),
        &written,
        &[3, 4, 5].map(|segment| Harm::Remove { segment }),
    );
}

#[test]
fn a_missing_newest_segment_is_noticed_by_the_mark_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let written = journal(dir.path(), &mut rng(5));
    fs::remove_file(file(dir.path(), 8)).unwrap();
    let first = written
        .iter()
        .find(|record| record.segment == 8)
        .unwrap()
        .sequence;
    let (_, losses, torn) = salvage(dir.path(), None);
    assert_eq!(
        (losses, torn),
        (
            vec![Loss::Segments {
                first: 8,
                last: 8,
                missing: Missing::From { first }
            }],
            0
        )
    );
}

#[test]
fn an_incomplete_record_at_an_unknown_end_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let written = journal(dir.path(), &mut rng(6));
    let last = written.last().unwrap();
    Harm::Cut {
        segment: 8,
        size: last.frame.end - 1,
    }
    .apply(dir.path());
    let (records, losses, torn) = salvage(dir.path(), None);
    assert_eq!(losses, []);
    assert_eq!(torn, last.frame.len() as u64 - 1);
    assert_eq!(records.len(), written.len() - 1);
}

#[test]
fn a_damaged_last_record_is_a_loss() {
    let dir = tempfile::tempdir().unwrap();
    let written = journal(dir.path(), &mut rng(7));
    let last = written.last().unwrap();
    Harm::Flip {
        segment: 8,
        bit: 8 * (last.frame.start + 17),
    }
    .apply(dir.path());
    let (_, losses, torn) = salvage(dir.path(), None);
    assert_eq!(torn, 0);
    assert_eq!(
        losses,
        [Loss::Bytes {
            segment: 8,
            offset: last.frame.start as u64,
            bytes: last.frame.len() as u64,
            missing: Missing::Range {
                first: last.sequence,
                last: last.sequence
            }
        }]
    );
}

#[test]
fn records_that_are_cut_out_without_a_trace_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    let written = journal(dir.path(), &mut rng(8));
    let of_4: Vec<&Written> = written.iter().filter(|record| record.segment == 4).collect();
    let (from, to) = (of_4[2], of_4[4]);
    let mut bytes = fs::read(file(dir.path(), 4)).unwrap();
    bytes.drain(from.frame.start..to.frame.end);
    fs::write(file(dir.path(), 4), bytes).unwrap();
    let (records, losses, _) = salvage(dir.path(), None);
    assert_eq!(
        losses,
        [Loss::Bytes {
            segment: 4,
            offset: from.frame.start as u64,
            bytes: 0,
            missing: Missing::Range {
                first: from.sequence,
                last: to.sequence
            }
        }]
    );
    assert_eq!(records.len(), written.len() - 3);
    let strict: Result<Vec<_>, _> = Reader::open(dir.path()).unwrap().collect();
    assert!(matches!(strict, Err(JournalError::Corrupt { .. })));
}

#[test]
fn saved_segments_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let written = journal(dir.path(), &mut rng(9));
    fs::remove_file(file(dir.path(), 2)).unwrap();
    Harm::Flip {
        segment: 3,
        bit: 8 * (HEAD + 3),
    }
    .apply(dir.path());
    let salvage = Salvage::open(dir.path(), BTreeSet::from([2, 3]), None).unwrap();
    assert_eq!(salvage.missing_segments().unwrap(), []);
    assert!(salvage.segments().eq([1, 4, 5, 6, 7, 8]));
    let mut count = 0;
    for segment in salvage.segments() {
        assert_eq!(salvage.read(segment, |_| count += 1).unwrap().losses, []);
    }
    let unsaved = written.iter().filter(|record| ![2, 3].contains(&record.segment));
    assert_eq!(count, unsaved.count());
}

/// Frames as earlier versions wrote them: length and checksum, without numbers.
fn former_frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let checksum = crc32fast::hash(&[&length, payload].concat()).to_le_bytes();
    [&length, &checksum, payload].concat()
}

#[test]
fn a_journal_of_the_former_format_is_read_continued_and_salvaged() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = ["one", "two", "three"]
        .map(|text| former_frame(text.as_bytes()))
        .concat();
    fs::write(file(dir.path(), 1), [&bytes[..], b"torn"].concat()).unwrap();
    let opened = Writer::open(dir.path(), SEGMENT).unwrap();
    assert_eq!(opened.torn, 4);
    let mut writer = opened.writer;
    writer.append_batch(&["four"]).unwrap();
    drop(writer);
    let read = |dir: &Path| -> Vec<Vec<u8>> {
        Reader::open(dir)
            .unwrap()
            .map(|entry| entry.unwrap().bytes)
            .collect()
    };
    assert_eq!(
        read(dir.path()),
        ["one", "two", "three", "four"].map(str::as_bytes)
    );

    let middle = former_frame(b"one").len();
    for at in [0, 5, 9] {
        let mut harmed = bytes.clone();
        harmed[middle + at] ^= 4;
        fs::write(file(dir.path(), 1), harmed).unwrap();
        let (records, losses, torn) = salvage(dir.path(), None);
        let texts: Vec<&[u8]> = records.iter().map(|entry| entry.bytes.as_slice()).collect();
        assert_eq!(texts, ["one", "three", "four"].map(str::as_bytes));
        assert_eq!(
            losses,
            [Loss::Bytes {
                segment: 1,
                offset: middle as u64,
                bytes: 11,
                missing: Missing::Unknown
            }]
        );
        assert_eq!(torn, 0);
    }
}

/// Random bytes, alone and inside a journal, with lengths that the file does not have.
#[test]
fn garbage_neither_panics_nor_yields_records() {
    let mut rng = rng(10);
    for round in 0..300 {
        let dir = tempfile::tempdir().unwrap();
        let mut garbage = vec![0; below(&mut rng, 5_000)];
        rng.fill_bytes(&mut garbage);
        match round % 3 {
            0 => {}
            1 => garbage.splice(0..0, *b"MNJ2").for_each(drop),
            _ => garbage.iter_mut().for_each(|byte| *byte = 0xff),
        }
        fs::write(file(dir.path(), 1), &garbage).unwrap();
        let (records, losses, torn) = salvage(dir.path(), None);
        assert_eq!(records, []);
        assert!(
            garbage.is_empty() || torn > 0 || !losses.is_empty(),
            "{} bytes are not reported",
            garbage.len()
        );
    }
}
