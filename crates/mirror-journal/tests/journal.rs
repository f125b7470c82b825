//! Tests of the guarantees of a journal through its public interface.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mirror_journal::{Entry, JournalError, MAX_RECORD, Opened, Reader, Writer};
use mirror_test_support::SmallDisk;
use proptest::prelude::*;

const SEGMENT: u64 = 8 << 20;

/// Size of the head of a segment, as the documentation of the crate describes it, in bytes.
const HEAD: usize = 40;

/// Size of a frame without its payload, in bytes.
const FRAME: usize = 20;

fn writer(dir: &Path, segment_bytes: u64) -> Writer {
    Writer::open(dir, segment_bytes)
        .expect("the journal opens")
        .writer
}

/// Returns all records and the size of the torn tail in bytes.
fn read(dir: &Path) -> Result<(Vec<Vec<u8>>, u64), JournalError> {
    let mut reader = Reader::open(dir)?;
    let records = reader
        .by_ref()
        .map(|entry| entry.map(|entry| entry.bytes))
        .collect::<Result<_, _>>()?;
    Ok((records, reader.torn()))
}

fn records(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn records_are_read_in_the_order_of_appending() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = writer(dir.path(), SEGMENT);
    journal.append_batch(&["first", "second"]).unwrap();
    journal.append_batch(&[b""]).unwrap();
    journal.append_batch::<&[u8]>(&[]).unwrap();
    assert_eq!(read(dir.path()).unwrap(), (records(&["first", "second", ""]), 0));
}

#[test]
fn a_reopened_journal_continues_after_the_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let behind_first = writer(dir.path(), SEGMENT).append_batch(&["first"]).unwrap();
    let Opened { mut writer, torn } = Writer::open(dir.path(), SEGMENT).unwrap();
    assert_eq!((writer.position(), torn), (behind_first, 0));
    writer.append_batch(&["second"]).unwrap();
    assert_eq!(read(dir.path()).unwrap().0, records(&["first", "second"]));
}

#[test]
fn a_full_segment_is_followed_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = writer(dir.path(), 120);
    let written: Vec<Vec<u8>> = (0..20u8).map(|n| vec![n; 30]).collect();
    for record in &written {
        journal.append_batch(&[record]).unwrap();
    }
    assert_eq!(
        journal.position().segment,
        20,
        "the head and two frames of 50 bytes do not fit 120"
    );
    assert_eq!(read(dir.path()).unwrap(), (written.clone(), 0));

    let from_19: Vec<Entry> = Reader::from_segment(dir.path(), 19)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        from_19,
        [(19, 18), (20, 19)].map(|(segment, record): (u32, usize)| Entry {
            segment,
            bytes: written[record].clone()
        })
    );
}

#[test]
fn rotating_twice_leaves_no_empty_segment() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = writer(dir.path(), SEGMENT);
    journal.append_batch(&["one"]).unwrap();
    journal.rotate().unwrap();
    journal.rotate().unwrap();
    assert_eq!(journal.position().segment, 2);
    assert_eq!(read(dir.path()).unwrap().0, records(&["one"]));
}

#[test]
fn a_reader_sees_every_appended_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = writer(dir.path(), 100);
    for n in 0..50usize {
        journal.append_batch(&[n.to_le_bytes()]).unwrap();
        assert_eq!(read(dir.path()).unwrap().0.len(), n + 1);
    }
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = writer(dir.path(), SEGMENT);
    assert!(matches!(
        Writer::open(dir.path(), SEGMENT),
        Err(JournalError::InUse { .. })
    ));
}

#[test]
fn a_torn_tail_is_cut_off_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    writer(dir.path(), SEGMENT)
        .append_batch(&["whole", "torn"])
        .unwrap();
    let segment = dir.path().join("000001.journal");
    let size = fs::metadata(&segment).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(size - 1).unwrap();
    let frame_less_a_byte = (FRAME + "torn".len() - 1) as u64;

    assert_eq!(
        read(dir.path()).unwrap(),
        (records(&["whole"]), frame_less_a_byte)
    );
    let Opened { mut writer, torn } = Writer::open(dir.path(), SEGMENT).unwrap();
    assert_eq!(torn, frame_less_a_byte);
    writer.append_batch(&["next"]).unwrap();
    assert_eq!(read(dir.path()).unwrap(), (records(&["whole", "next"]), 0));
}

#[test]
fn damage_before_intact_records_is_an_error_that_names_the_place() {
    let dir = tempfile::tempdir().unwrap();
    writer(dir.path(), SEGMENT)
        .append_batch(&["good", "harmed", "good"])
        .unwrap();
    let segment = dir.path().join("000001.journal");
    let harmed = (HEAD + FRAME + "good".len()) as u64;
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(b"X", harmed + FRAME as u64).unwrap();

    let check = |error: JournalError| {
        let place = format!("byte {harmed} of {}", segment.display());
        assert!(error.to_string().contains(&place), "{error}");
    };
    check(read(dir.path()).unwrap_err());
    check(Writer::open(dir.path(), SEGMENT).unwrap_err());
}

#[test]
fn a_damaged_length_is_not_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    writer(dir.path(), SEGMENT)
        .append_batch(&["good", "harmed", "good"])
        .unwrap();
    let segment = dir.path().join("000001.journal");
    let harmed_at = HEAD + FRAME + "good".len();
    for length in [u32::MAX, 1_000, 7, 0] {
        let mut bytes = fs::read(&segment).unwrap();
        bytes[harmed_at..harmed_at + 4].copy_from_slice(&length.to_le_bytes());
        fs::write(&segment, bytes).unwrap();
        for error in [
            read(dir.path()).unwrap_err(),
            Writer::open(dir.path(), SEGMENT).unwrap_err(),
        ] {
            let JournalError::Corrupt { offset, .. } = error else {
                panic!("{error} with a length of {length}");
            };
            assert_eq!(offset, harmed_at as u64);
        }
    }
}

#[test]
fn old_segments_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = writer(dir.path(), SEGMENT);
    for record in ["one", "two", "three"] {
        journal.append_batch(&[record]).unwrap();
        journal.rotate().unwrap();
    }
    journal.append_batch(&["four"]).unwrap();
    journal.remove_before(3).unwrap();
    let left: Vec<_> = Reader::oldest(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().bytes)
        .collect();
    assert_eq!(left, records(&["three", "four"]));
    assert!(matches!(read(dir.path()), Err(JournalError::Missing { .. })));
    // The current segment is kept and can be appended to.
    journal.remove_before(9).unwrap();
    journal.append_batch(&["five"]).unwrap();
    drop(journal);
    let Opened { writer, .. } = Writer::open(dir.path(), SEGMENT).unwrap();
    assert_eq!(writer.position().segment, 4);
    let mut left = Reader::oldest(dir.path()).unwrap();
    assert_eq!(left.first_segment(), 4);
    assert_eq!(left.next().unwrap().unwrap().bytes, b"four");
}

#[test]
fn a_short_segment_that_is_not_the_newest_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = writer(dir.path(), SEGMENT);
    journal.append_batch(&["first"]).unwrap();
    journal.rotate().unwrap();
    journal.append_batch(&["second"]).unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(dir.path().join("000001.journal"))
        .unwrap();
    file.set_len(10).unwrap();
    assert!(matches!(
        read(dir.path()),
        Err(JournalError::Corrupt { offset: 0, .. })
    ));
}

#[test]
fn a_missing_segment_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = writer(dir.path(), 1);
    journal.append_batch(&["1"]).unwrap();
    journal.append_batch(&["2"]).unwrap();
    journal.append_batch(&["3"]).unwrap();
    fs::remove_file(dir.path().join("000002.journal")).unwrap();
    let error = read(dir.path()).unwrap_err();
    assert!(error.to_string().contains("000002.journal"), "{error}");
}

#[test]
fn a_record_over_the_limit_is_refused_with_its_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = writer(dir.path(), SEGMENT);
    let batch = [vec![0; 1], vec![0; MAX_RECORD + 1]];
    assert!(matches!(
        journal.append_batch(&batch),
        Err(JournalError::TooLarge { .. })
    ));
    assert_eq!(read(dir.path()).unwrap(), (vec![], 0));
}

#[test]
fn a_full_disk_is_reported_and_the_journal_stays_intact() {
    let Some(disk) = SmallDisk::mount(256) else {
        return;
    };
    let mut journal = writer(&disk.path().join("journal"), SEGMENT);
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 128 << 10]).unwrap();
    let batch = [vec![7u8; 1_000], vec![8u8; 2_000]];
    let mut written = Vec::new();
    let error = loop {
        match journal.append_batch(&batch) {
            Ok(_) => written.extend(batch.clone()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert!(!written.is_empty());
    assert_eq!(read(&disk.path().join("journal")).unwrap(), (written.clone(), 0));

    fs::remove_file(ballast).unwrap();
    journal.append_batch(&batch).unwrap();
    written.extend(batch);
    assert_eq!(read(&disk.path().join("journal")).unwrap(), (written, 0));
}

#[test]
fn a_read_only_folder_is_reported_and_can_still_be_read() {
    let Some(disk) = SmallDisk::mount(256) else {
        return;
    };
    writer(disk.path(), SEGMENT).append_batch(&["kept"]).unwrap();
    disk.make_read_only();
    assert!(matches!(
        Writer::open(disk.path(), SEGMENT),
        Err(JournalError::ReadOnly { .. })
    ));
    assert_eq!(read(disk.path()).unwrap().0, records(&["kept"]));
}

/// Returns the bytes of the segments of a journal with `records` and small segments.
fn segments_of(records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = writer(dir.path(), 260);
    for record in records {
        journal.append_batch(&[record]).unwrap();
    }
    (1..=journal.position().segment)
        .map(|n| fs::read(dir.path().join(format!("{n:06}.journal"))).unwrap())
        .collect()
}

fn read_segments(segments: &[Vec<u8>]) -> Result<(Vec<Vec<u8>>, u64), JournalError> {
    let dir = tempfile::tempdir().unwrap();
    for (n, bytes) in (1..).zip(segments) {
        fs::write(dir.path().join(format!("{n:06}.journal")), bytes).unwrap();
    }
    read(dir.path())
}

fn any_records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20)
}

proptest! {
    #[test]
    fn a_prefix_of_the_bytes_holds_a_prefix_of_the_records(written in any_records(), cut in any::<prop::sample::Index>()) {
        let mut segments = segments_of(&written);
        let mut keep = cut.index(segments.iter().map(Vec::len).sum::<usize>() + 1);
        segments.retain_mut(|segment| {
            let begun = keep > 0;
            segment.truncate(keep);
            keep -= segment.len();
            begun
        });
        let (found, torn) = read_segments(&segments).unwrap();
        prop_assert_eq!(&found[..], &written[..found.len()]);
        if let Some(next) = written.get(found.len()) {
            let unfinished = HEAD.max(FRAME + next.len());
            prop_assert!(torn < unfinished as u64, "a complete record was omitted");
        }
    }

    #[test]
    fn a_changed_byte_is_detected(
        written in any_records(),
        place in any::<prop::sample::Index>(),
        change in 1..=255u8,
    ) {
        let mut segments = segments_of(&written);
        let mut at = place.index(segments.iter().map(Vec::len).sum());
        for segment in &mut segments {
            if let Some(byte) = segment.get_mut(at) {
                *byte ^= change;
                break;
            }
            at -= segment.len();
        }
        match read_segments(&segments) {
            Ok((found, torn)) => {
                prop_assert!(torn > 0, "the damage was not detected");
                prop_assert_eq!(&found[..], &written[..found.len()]);
            }
            Err(error) => prop_assert!(matches!(error, JournalError::Corrupt { .. }), "{}", error),
        }
    }
}
