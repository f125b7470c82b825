use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use proptest::prelude::*;

use super::*;

fn row(question: &str, answers: &[&str]) -> Row {
    Row {
        question: question.to_owned(),
        answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
    }
}

fn two_rows() -> Vec<Row> {
    vec![row("who, then", &["me", "I"]), row("wo – hier?", &["da"])]
}

fn load(name: &str, content: &[u8]) -> Result<Vec<Row>, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    load_path(&path, &Schema::default())
}

#[track_caller]
fn check(name: &str, content: impl AsRef<[u8]>, expected: &[Row]) {
    assert_eq!(load(name, content.as_ref()).unwrap(), expected);
}

/// Checks that the message, starting at the file name, is exactly `expected`.
#[track_caller]
fn check_error(name: &str, content: impl AsRef<[u8]>, expected: &str) {
    let message = load(name, content.as_ref()).unwrap_err().to_string();
    let at = message
        .find(name)
        .unwrap_or_else(|| panic!("no file in: {message}"));
    assert_eq!(&message[at..], expected);
}

fn parquet_file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

fn lists(values: &[&[Option<&str>]]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for list in values {
        builder.append_value(list.iter().copied());
    }
    Arc::new(builder.finish())
}

fn parquet_rows() -> Vec<u8> {
    parquet_file(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("answer", lists(&[&[Some("me"), Some("I")], &[Some("da")]])),
        ("question", texts(&[Some("who, then"), Some("wo – hier?")])),
    ])
}

#[test]
fn json_lines_are_read() {
    check(
        "a.jsonl",
        "\u{feff}{\"question\": \"who, then\", \"answer\": [\"me\", \"I\"]}\r\n\n\
         {\"id\": 7, \"answer\": \"da\", \"question\": \"wo – hier?\"}\n",
        &two_rows(),
    );
}

#[test]
fn json_is_read_as_an_array_or_under_data() {
    let array = r#"[
        {"question": "who, then", "answer": ["me", "I"]},
        {"question": "wo – hier?", "answer": "da"}
    ]"#;
    check("a.json", array, &two_rows());
    check(
        "a.JSON",
        format!(r#"{{"version": 1, "data": {array}}}"#),
        &two_rows(),
    );
}

#[test]
fn csv_is_read() {
    check(
        "a.csv",
        "id,question,answer\n1,\"who, then\",\"[\"\"me\"\", \"\"I\"\"]\"\n2,wo – hier?,da\n",
        &two_rows(),
    );
    check(
        "a.csv",
        "question,answer\nq,[not a list\n",
        &[row("q", &["[not a list"])],
    );
}

#[test]
fn parquet_is_read() {
    check("a.parquet", parquet_rows(), &two_rows());
    let one_text = parquet_file(vec![
        ("question", texts(&[Some("q")])),
        ("answer", texts(&[Some("a")])),
    ]);
    check("a.parquet", one_text, &[row("q", &["a"])]);
}

#[test]
fn parquet_of_many_batches_is_read_in_order() {
    let expected: Vec<Row> = (0..3000)
        .map(|index| row(&format!("q{index}"), &[&format!("a{index}")]))
        .collect();
    let questions: Vec<Option<&str>> = expected.iter().map(|row| Some(row.question.as_str())).collect();
    let answers: Vec<Option<&str>> = expected.iter().map(|row| Some(row.answers[0].as_str())).collect();
    let file = parquet_file(vec![("question", texts(&questions)), ("answer", texts(&answers))]);
    check("a.parquet", file, &expected);
}

#[test]
fn columns_can_have_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "Q,A\nwho,me\n").unwrap();
    let schema = Schema {
        question: "Q".to_owned(),
        answer: "A".to_owned(),
    };
    assert_eq!(load_path(&path, &schema).unwrap(), [row("who", &["me"])]);
}

#[test]
fn a_folder_is_read_in_the_order_of_file_names() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("b.jsonl", r#"{"question": "q2", "answer": "2"}"#),
        ("c.json", r#"[{"question": "q3", "answer": "3"}]"#),
        ("a.csv", "question,answer\nq1,1\n"),
        ("README.md", "not data"),
        (".hidden.csv", "not data"),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let rows = load_path(folder.path(), &Schema::default()).unwrap();
    assert_eq!(rows, [row("q1", &["1"]), row("q2", &["2"]), row("q3", &["3"])]);
}

#[test]
fn a_file_without_rows_is_refused() {
    check_error("a.jsonl", "", "a.jsonl has no rows");
    check_error("a.jsonl", "\n\n", "a.jsonl has no rows");
    check_error("a.json", "[]", "a.json has no rows");
    check_error("a.json", r#"{"data": []}"#, "a.json has no rows");
    check_error("a.csv", "", "a.csv has no rows");
    check_error("a.csv", "question,answer\n", "a.csv has no rows");
    let empty = parquet_file(vec![("question", texts(&[])), ("answer", texts(&[]))]);
    check_error("a.parquet", empty, "a.parquet has no rows");
}

#[test]
fn a_missing_column_is_named_with_the_existing_ones() {
    check_error(
        "a.jsonl",
        "{\"question\": \"q\", \"answer\": \"a\"}\n{\"question\": \"q\", \"answers\": \"a\"}",
        "a.jsonl, line 2: no column `answer`; found `answers`, `question`",
    );
    check_error(
        "a.json",
        "[\n\n{\"answer\": \"a\"}]",
        "a.json, line 3: no column `question`; found `answer`",
    );
    check_error(
        "a.csv",
        "question,reply\nq,a",
        "a.csv has no column `answer`; found `question`, `reply`",
    );
    check_error(
        "a.parquet",
        parquet_file(vec![
            ("query", texts(&[Some("q")])),
            ("answer", texts(&[Some("a")])),
        ]),
        "a.parquet has no column `question`; found `query`, `answer`",
    );
}

#[test]
fn a_wrong_type_is_named() {
    check_error(
        "a.jsonl",
        r#"{"question": 7, "answer": "a"}"#,
        "a.jsonl, line 1: the column `question` contains a number; expected a string",
    );
    check_error(
        "a.jsonl",
        r#"{"question": "q", "answer": ["a", null]}"#,
        "a.jsonl, line 1: the column `answer` contains null in a list; expected a string or a list of strings",
    );
    check_error(
        "a.jsonl",
        "[1]",
        "a.jsonl, line 1: found a list; expected an object",
    );
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    check_error(
        "a.parquet",
        parquet_file(vec![("question", texts(&[Some("q")])), ("answer", numbers)]),
        "a.parquet: the column `answer` contains Int64; expected a string or a list of strings",
    );
    check_error(
        "a.parquet",
        parquet_file(vec![
            ("question", texts(&[Some("q"), None])),
            ("answer", texts(&[Some("a"), Some("a")])),
        ]),
        "a.parquet, row 2: the column `question` contains null; expected a string",
    );
}

#[test]
fn a_line_that_is_too_long_is_named() {
    let padding = "x".repeat(1_000_000 - 50);
    let line = format!("{{\"question\": \"q\", \"answer\": \"a\", \"x\": \"{padding}\"}}");
    let bytes = line.len();
    let good = "{\"question\": \"q\", \"answer\": \"a\"}";
    check_error(
        "a.jsonl",
        format!("{good}\n{line}\n"),
        &format!("a.jsonl, line 2: the line has {bytes} bytes; the limit is 262144"),
    );
    check_error(
        "a.json",
        format!("[{good},\n{good},\n{line}]"),
        &format!("a.json, line 3: the line has {bytes} bytes; the limit is 262144"),
    );
    check_error(
        "a.csv",
        format!("question,answer,x\nq,a,b\nq,a,{padding}\n"),
        &format!(
            "a.csv, line 3: the line has {} bytes; the limit is 262144",
            padding.len() + 2
        ),
    );
}

#[test]
fn a_text_that_is_too_long_is_named() {
    let longest = "x".repeat(TEXT_MAX);
    check(
        "a.csv",
        format!("question,answer\n{longest},a\n"),
        &[row(&longest, &["a"])],
    );
    check_error(
        "a.csv",
        format!("question,answer\n{longest}x,a\n"),
        "a.csv, line 2: the question has 65537 bytes; the limit is 65536",
    );
    check_error(
        "a.jsonl",
        format!("{{\"question\": \"q\", \"answer\": [\"{longest}\", \"a\"]}}"),
        "a.jsonl, line 1: the answers have 65537 bytes in total; the limit is 65536",
    );
}

#[test]
fn blank_questions_and_missing_answers_are_named() {
    check_error(
        "a.csv",
        "question,answer\n  ,a\n",
        "a.csv, line 2: the question is blank",
    );
    check_error(
        "a.csv",
        "question,answer\nq,\n",
        "a.csv, line 2: there is no answer that is not blank",
    );
    check_error(
        "a.jsonl",
        r#"{"question": "q", "answer": []}"#,
        "a.jsonl, line 1: there is no answer that is not blank",
    );
}

#[test]
fn text_that_is_not_utf_8_is_named() {
    for name in ["a.jsonl", "a.json", "a.csv"] {
        check_error(
            name,
            b"one\ntwo\nth\xffree\n",
            &format!("{name}, line 3: not UTF-8"),
        );
    }
}

#[test]
fn malformed_json_is_named() {
    check_error(
        "a.jsonl",
        "{\"question\": \"q\", \"answer\": \"a\"}\n{\"question\": \"q\"",
        "a.jsonl, line 2: malformed JSON: EOF while parsing an object, at column 16",
    );
    check_error(
        "a.json",
        "[\n{\"question\": q}]",
        "a.json, line 2: malformed JSON: expected value, at column 14",
    );
    check_error(
        "a.json",
        "{\"rows\": []}",
        "a.json, line 1: malformed JSON: missing field `data`, at column 12",
    );
    let deep = "[".repeat(100_000);
    assert!(load("a.jsonl", deep.as_bytes()).is_err());
    assert!(load("a.json", deep.as_bytes()).is_err());
}

#[test]
fn malformed_csv_is_named() {
    check_error(
        "a.csv",
        "question,answer\nq,a\nq,a,b\n",
        "a.csv, line 3: malformed CSV: 3 cells, but the header has 2",
    );
}

#[test]
fn a_truncated_parquet_file_is_refused() {
    let whole = parquet_rows();
    for length in 0..whole.len() {
        let message = load("a.parquet", &whole[..length]).unwrap_err().to_string();
        assert!(
            message.contains("a.parquet is not a readable Parquet file"),
            "{message}"
        );
    }
}

#[test]
fn paths_without_data_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str| {
        let path = folder.path().join(name);
        load_path(&path, &Schema::default()).unwrap_err().to_string()
    };
    assert!(load("missing.csv").ends_with("missing.csv"));
    fs::write(folder.path().join("a.txt"), "text").unwrap();
    assert!(load("a.txt").contains("a.txt is not a data set"));
    assert!(load("").contains("there is no data set in the folder"));
    fs::create_dir(folder.path().join("a.csv")).unwrap();
    assert!(load("").contains("a.csv is not a regular file"));
}

proptest! {
    /// A panic of the Parquet reader may be printed, but it is caught.
    #[test]
    fn a_damaged_parquet_file_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = parquet_rows();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        // Both rows and an error are acceptable.
        drop(load("a.parquet", &bytes));
    }

    #[test]
    fn any_text_is_rows_or_an_error(text in "[\\[\\]{}\",:a-c\n qé\\\\]{0,60}") {
        for name in ["a.jsonl", "a.json", "a.csv"] {
            drop(load(name, text.as_bytes()));
        }
    }
}
