use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn row(question: &str, answers: &[&str]) -> Row {
    Row {
        question: question.to_owned(),
        answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
    }
}

fn moon_rows() -> Vec<Row> {
    vec![
        row("who walked on the moon first", &["Neil Armstrong", "Armstrong"]),
        row(
            "wann war das – im Jahr?",
            &["1969", "neunzehnhundertneunundsechzig", "’69"],
        ),
        row("who walked on the moon first", &["Aldrin"]),
    ]
}

fn compiled(rows: &[Row]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.qa");
    compile(rows, &path).unwrap();
    (folder, path)
}

fn assert_same(dataset: &Dataset, rows: &[Row]) {
    assert_eq!(dataset.len() as usize, rows.len());
    for (row, number) in rows.iter().zip(0..) {
        assert_eq!(dataset.question(number), Some(row.question.as_str()));
        assert_eq!(dataset.answer_count(number), row.answers.len());
        assert!(dataset.answers(number).eq(row.answers.iter().map(String::as_str)));
        let first = rows.iter().position(|other| other.question == row.question);
        assert_eq!(dataset.find(&row.question).map(|found| found as usize), first);
    }
}

/// Calls every accessor and ignores the results.
fn exercise(path: &Path) {
    let Ok(dataset) = Dataset::open(path) else {
        return;
    };
    for row in (0..dataset.len().min(50)).chain([dataset.len(), u32::MAX]) {
        if let Some(question) = dataset.question(row) {
            dataset.find(question);
        }
        dataset.answers(row).for_each(drop);
    }
    dataset.find("not in there");
    // The call must return, whether the file is valid or not.
    drop(dataset.verify(path));
}

/// Overwrites one field of the header and updates the checksum of the header.
fn with_field(path: &Path, at: usize, value: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at..at + value.len()].copy_from_slice(value);
    let checksum = Fnv::of(&bytes[..HEADER_BYTES - 8]);
    bytes[HEADER_BYTES - 8..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[track_caller]
fn check_refused(path: &Path, expected: &str) {
    let message = Dataset::open(path).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn compiled_rows_are_read_back() {
    let (_folder, path) = compiled(&moon_rows());
    let dataset = Dataset::open(&path).unwrap();
    assert_same(&dataset, &moon_rows());
    dataset.verify(&path).unwrap();
}

#[test]
fn an_unknown_question_and_a_row_past_the_end_return_none() {
    let (_folder, path) = compiled(&moon_rows());
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!(dataset.find("who walked on the moon"), None);
    assert_eq!(dataset.find(""), None);
    assert_eq!(dataset.question(3), None);
    assert_eq!(dataset.answer_count(3), 0);
}

#[test]
fn a_compiled_file_replaces_the_old_one_atomically() {
    let (folder, path) = compiled(&moon_rows());
    let old = Dataset::open(&path).unwrap();
    compile(&moon_rows()[1..2], &path).unwrap();
    assert_same(&old, &moon_rows());
    assert_same(&Dataset::open(&path).unwrap(), &moon_rows()[1..2]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The published test vectors of the hash.
#[test]
fn the_hash_is_fnv_1a() {
    assert_eq!(Fnv::of(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(Fnv::of(b"a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(Fnv::of(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn invalid_rows_and_paths_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("data.qa");
    assert!(matches!(compile(&[], &out), Err(CompileError::NoRows)));
    let mut rows = moon_rows();
    rows[1].answers.clear();
    assert!(matches!(
        compile(&rows, &out),
        Err(CompileError::Row {
            index: 1,
            source: RowError::NoAnswer
        })
    ));
    assert!(!out.exists());
    let nowhere = folder.path().join("no/such/folder/data.qa");
    let message = compile(&moon_rows(), &nowhere).unwrap_err().to_string();
    assert!(message.contains("no/such/folder/data.qa"), "{message}");
}

#[test]
fn other_files_are_refused() {
    let (folder, path) = compiled(&moon_rows());
    let whole = fs::read(&path).unwrap();
    check_refused(folder.path(), "is not a compiled data set");
    check_refused(&folder.path().join("missing"), "cannot open");
    for (bytes, expected) in [
        (&b""[..], "is not a compiled data set"),
        (&[b'x'; 500], "is not a compiled data set"),
        (&whole[..HEADER_BYTES - 1], "is not a compiled data set"),
        (
            &whole[..whole.len() - 1],
            "the length is not the one in the header",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        check_refused(&path, expected);
    }
}

#[test]
fn an_inconsistent_header_is_refused() {
    let (_folder, path) = compiled(&moon_rows());
    let whole = fs::read(&path).unwrap();
    for (at, value, expected) in [
        (8, &7_u32.to_le_bytes()[..], "version 7"),
        (12, &u32::MAX.to_le_bytes(), "the index is longer"),
        (16, &(1_u64 << 63).to_le_bytes(), "the index is longer"),
        (16, &3_u64.to_le_bytes(), "not a power of two"),
        (16, &0_u64.to_le_bytes(), "not a power of two"),
        (24, &u64::MAX.to_le_bytes(), "the length"),
    ] {
        fs::write(&path, &whole).unwrap();
        with_field(&path, at, value);
        check_refused(&path, expected);
    }
    fs::write(&path, &whole).unwrap();
    let mut flipped = whole;
    flipped[12] ^= 1;
    fs::write(&path, flipped).unwrap();
    check_refused(&path, "the checksum of the header");
}

#[test]
fn a_search_in_a_full_index_terminates() {
    let (_folder, path) = compiled(&moon_rows());
    let mut bytes = fs::read(&path).unwrap();
    let slots = HEADER_BYTES + 3 * OFFSET_BYTES;
    bytes[slots..slots + 8 * SLOT_BYTES].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!(dataset.find("who walked on the moon first"), None);
    assert!(dataset.verify(&path).is_err());
}

fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let text = "\\PC{0,40}";
    let row = (text, vec(text, 0..4)).prop_map(|(question, mut answers)| {
        answers.push("an answer".to_owned());
        Row {
            question: format!("q{question}"),
            answers,
        }
    });
    vec(row, 1..40)
}

proptest! {
    #[test]
    fn any_rows_are_read_back(rows in any_rows()) {
        let (_folder, path) = compiled(&rows);
        let dataset = Dataset::open(&path).unwrap();
        assert_same(&dataset, &rows);
        dataset.verify(&path).unwrap();
    }

    /// The checksum of the header is repaired, so that the damage reaches the accessors instead of being refused.
    #[test]
    fn damage_never_panics(
        rows in any_rows(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        length in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let (_folder, path) = compiled(&rows);
        let mut bytes = fs::read(&path).unwrap();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(length.index(bytes.len()));
        }
        fs::write(&path, &bytes).unwrap();
        exercise(&path);
        if bytes.len() >= HEADER_BYTES {
            let true_length = bytes.len() as u64;
            with_field(&path, 24, &true_length.to_le_bytes());
            exercise(&path);
        }
    }
}
