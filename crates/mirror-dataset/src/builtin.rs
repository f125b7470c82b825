//! The builtin data set: questions generated from tables of facts, so that an experiment needs no download.
//!
//! Each `builtin/*.tsv` is one topic. Its first lines declare the tables, the next line names the columns, and the
//! remaining lines are facts:
//!
//! ```text
//! #table <tab> name <tab> question with {column} in it <tab> column of answers
//! ```
//!
//! `|` separates equivalent texts: all of them are accepted as answers, and the first one is used in questions. A `-`
//! marks a fact that is omitted because it is unknown or disputed.
//!
//! All answers of one [`Table`] are of one kind (a year, a capital, a symbol), so that another row of the same table
//! gives a plausible wrong answer.

use std::sync::LazyLock;

use crate::Row;

/// The questions that one template generates from the facts of a topic.
#[derive(Debug)]
pub struct Table {
    /// Topic of the table, such as `elements`. Several tables ask for different columns of the same facts.
    pub topic: &'static str,
    /// Unique name in kebab case, such as `element-symbol`.
    pub name: &'static str,
    /// Questions with their accepted answers.
    pub rows: Vec<Row>,
}

/// Returns every table, ordered by topic.
pub fn tables() -> &'static [Table] {
    static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
        TOPICS
            .iter()
            .flat_map(|(topic, text)| read_topic(topic, text))
            .collect()
    });
    &TABLES
}

/// Returns the rows of every table, in the order of [`tables`].
pub fn rows() -> impl Iterator<Item = &'static Row> {
    tables().iter().flat_map(|table| &table.rows)
}

macro_rules! topics {
    ($($topic:literal),* $(,)?) => {
        [$(($topic, include_str!(concat!("builtin/", $topic, ".tsv")))),*]
    };
}

const TOPICS: [(&str, &str); 58] = topics![
    "abbreviations",
    "alphabets",
    "anatomy",
    "animals",
    "books",
    "calendar",
    "codes",
    "compounds",
    "constants",
    "contractions",
    "conversions",
    "countries",
    "currencies",
    "deeds",
    "degrees",
    "deities",
    "discoveries",
    "elements",
    "eponyms",
    "events",
    "exonyms",
    "families",
    "geography",
    "homophones",
    "inhabitants",
    "instruments",
    "inventions",
    "languages",
    "mathematics",
    "metals",
    "months",
    "moons",
    "music",
    "names",
    "nations",
    "numerals",
    "officially",
    "opposites",
    "ordinals",
    "paintings",
    "phobias",
    "planets",
    "players",
    "plurals",
    "polygons",
    "prefixes",
    "presidents",
    "qualities",
    "rivers",
    "scholars",
    "sciences",
    "software",
    "sports",
    "states",
    "tenses",
    "units",
    "words",
    "workers",
];

const ALTERNATIVES: char = '|';
const LEFT_OUT: &str = "-";

fn read_topic(topic: &'static str, text: &'static str) -> Vec<Table> {
    let declarations = text.lines().map_while(|line| line.strip_prefix("#table\t"));
    let mut facts = text.lines().filter(|line| !line.starts_with('#')).map(cells);
    let columns = facts.next().expect("every topic has a line of column names");
    let facts: Vec<Vec<&str>> = facts.collect();
    declarations
        .map(|declaration| {
            let [name, template, answer] = cells(declaration)
                .try_into()
                .expect("a declaration consists of a name, a question and a column");
            Table {
                topic,
                name,
                rows: facts
                    .iter()
                    .filter_map(|fact| fill(template, answer, &columns, fact))
                    .collect(),
            }
        })
        .collect()
}

fn cells(line: &'static str) -> Vec<&'static str> {
    line.split('\t').collect()
}

/// Returns the row that `fact` generates, or `None` if a required cell is omitted.
fn fill(template: &str, answer: &str, columns: &[&str], fact: &[&str]) -> Option<Row> {
    let mut question = template.to_owned();
    let mut answers = Vec::new();
    for (column, cell) in columns.iter().zip(fact) {
        let placeholder = format!("{{{column}}}");
        let is_needed = *column == answer || template.contains(&placeholder);
        if is_needed && *cell == LEFT_OUT {
            return None;
        }
        let first = cell.split(ALTERNATIVES).next().unwrap_or(cell);
        question = question.replace(&placeholder, first);
        if *column == answer {
            answers = cell.split(ALTERNATIVES).map(str::to_owned).collect();
        }
    }
    Some(Row { question, answers })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[track_caller]
    fn check(question: &str, accepted: &[&str]) {
        let row = rows()
            .find(|row| row.question == question)
            .unwrap_or_else(|| panic!("no such question: {question}"));
        assert_eq!(row.answers, accepted);
    }

    #[test]
    fn questions_are_numerous_and_distinct() {
        let distinct: HashSet<&str> = rows().map(|row| row.question.as_str()).collect();
        assert_eq!(distinct.len(), rows().count());
        assert!(distinct.len() >= 1000, "only {} questions", distinct.len());
    }

    #[test]
    fn every_row_is_valid() {
        for table in tables() {
            for row in &table.rows {
                assert_eq!(row.check(), Ok(()), "{}: {row:?}", table.name);
                assert!(row.question.len() <= 200, "{row:?}");
                assert!(!row.question.contains(['{', '}', '\t', '|']), "{row:?}");
                let distinct: HashSet<&String> = row.answers.iter().collect();
                assert_eq!(distinct.len(), row.answers.len(), "duplicate answer: {row:?}");
                for answer in &row.answers {
                    assert!(!answer.is_empty() && answer.len() <= 80, "{row:?}");
                    assert_eq!(answer.trim(), answer, "{row:?}");
                }
            }
        }
    }

    #[test]
    fn every_fact_fills_its_columns() {
        for (topic, text) in TOPICS {
            let widths: HashSet<usize> = text
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| cells(line).len())
                .collect();
            assert_eq!(widths.len(), 1, "{topic} has lines of {widths:?} cells");
        }
    }

    #[test]
    fn every_table_has_a_unique_name_and_two_answers() {
        let names: HashSet<&str> = tables().iter().map(|table| table.name).collect();
        assert_eq!(names.len(), tables().len());
        for table in tables() {
            let answers: HashSet<&Vec<String>> = table.rows.iter().map(|row| &row.answers).collect();
            assert!(answers.len() >= 2, "{} has only one answer", table.name);
        }
    }

    #[test]
    fn well_known_facts_are_right() {
        check("What is the chemical symbol of gold?", &["Au"]);
        check("What is the atomic number of uranium?", &["92"]);
        check("Which chemical element has the symbol S?", &["sulfur", "sulphur"]);
        check("What is the capital of Australia?", &["Canberra"]);
        check("How is 1999 written in Roman numerals?", &["MCMXCIX"]);
        check("What is the SI unit of force?", &["newton"]);
        check("In which year did people first walk on the Moon?", &["1969"]);
    }

    #[test]
    fn elements_are_numbered_without_a_gap() {
        let numbers: Vec<String> = tables()
            .iter()
            .find(|table| table.name == "element-number")
            .map(|table| table.rows.iter().map(|row| row.answers[0].clone()).collect())
            .unwrap();
        let expected: Vec<String> = (1..=118).map(|number: u32| number.to_string()).collect();
        assert_eq!(numbers, expected);
    }
}
