//! A question with its accepted answers, and the limits on both.

use thiserror::Error;

/// Maximum length of a question, and maximum total length of the answers of a question, in bytes of UTF-8.
pub const TEXT_MAX: usize = 64 * 1024;

/// A question and all its accepted answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// The question. It contains a character that is not whitespace, and has at most [`TEXT_MAX`] bytes.
    pub question: String,
    /// The accepted answers in the order of the source. At least one is not blank, and together they have at most
    /// [`TEXT_MAX`] bytes.
    pub answers: Vec<String>,
}

/// The columns of a source that contain the questions and the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Column of the question, a string.
    pub question: String,
    /// Column of the answers, a list of strings or one string.
    pub answer: String,
}

/// Error for an invalid row.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant documents it")]
pub enum RowError {
    #[error("the question is blank")]
    BlankQuestion,
    #[error("there is no answer that is not blank")]
    NoAnswer,
    #[error("the question has {bytes} bytes; the limit is {TEXT_MAX}")]
    LongQuestion { bytes: usize },
    #[error("the answers have {bytes} bytes in total; the limit is {TEXT_MAX}")]
    LongAnswers { bytes: usize },
}

impl Row {
    /// Checks the limits that are documented on the fields.
    ///
    /// # Errors
    /// Returns an error if the question or the answers are blank or too long.
    pub fn check(&self) -> Result<(), RowError> {
        if self.question.len() > TEXT_MAX {
            return Err(RowError::LongQuestion {
                bytes: self.question.len(),
            });
        }
        let answer_bytes = self.answers.iter().map(String::len).sum();
        if answer_bytes > TEXT_MAX {
            return Err(RowError::LongAnswers { bytes: answer_bytes });
        }
        if self.question.trim().is_empty() {
            return Err(RowError::BlankQuestion);
        }
        if self.answers.iter().all(|answer| answer.trim().is_empty()) {
            return Err(RowError::NoAnswer);
        }
        Ok(())
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self {
            question: "question".to_owned(),
            answer: "answer".to_owned(),
        }
    }
}
