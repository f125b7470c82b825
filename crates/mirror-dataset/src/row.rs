//! One question with the answers that are accepted for it, and the bounds that both keep.

use thiserror::Error;

/// The longest question, and the longest sum of one question's answers, in bytes of UTF-8.
pub const TEXT_MAX: usize = 64 * 1024;

/// A question and every answer that counts as right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// The question; has a character that is not white space, and at most [`TEXT_MAX`] bytes.
    pub question: String,
    /// The accepted answers in the order of their source; at least one is not blank, and together
    /// they have at most [`TEXT_MAX`] bytes.
    pub answers: Vec<String>,
}

/// Which columns of a source hold the questions and the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The column of questions: text.
    pub question: String,
    /// The column of answers: a list of texts, or one text.
    pub answer: String,
}

/// Why a row cannot be part of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it means")]
pub enum RowError {
    #[error("the question is blank")]
    BlankQuestion,
    #[error("there is no answer that is not blank")]
    NoAnswer,
    #[error("the question has {bytes} bytes, the limit is {TEXT_MAX}")]
    LongQuestion { bytes: usize },
    #[error("the answers have {bytes} bytes together, the limit is {TEXT_MAX}")]
    LongAnswers { bytes: usize },
}

impl Row {
    /// Checks the bounds that the fields' documentation states.
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
