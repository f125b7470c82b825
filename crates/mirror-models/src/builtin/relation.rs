//! Features of the relation between the letters of an answer and those of the question. They distinguish `gorillas`
//! from `giraffes` when the question asks for the plural of `gorilla`, independent of the wording of the question.
//!
//! Each word of the answer, and the concatenation of all its words, is compared with each content word of the question
//! and with each concatenation of two consecutive content words. Letters are compared without accents and case.

use tokenizers::NormalizedString;

/// Length of the result of [`QuestionWords::features`].
pub const FEATURES: usize = 2 * LIKENESSES + 6;

/// Number of similarities that a comparison of two words gives.
const LIKENESSES: usize = 9;

/// Maximum number of letters of a word that are compared. Bounds the time for a hostile text.
const MAX_WORD: usize = 40;
/// Maximum number of words of a text that are compared.
const MAX_WORDS: usize = 24;

/// Words without content, which are common in questions.
const SAY_NOTHING: [&str; 40] = [
    "a", "an", "and", "are", "at", "be", "called", "can", "does", "for", "from", "give", "has", "have",
    "how", "in", "is", "it", "its", "made", "many", "name", "named", "of", "on", "one", "or", "stand", "the",
    "there", "to", "usual", "was", "what", "when", "which", "who", "whom", "with", "word",
];

type Letters = Vec<char>;

/// The words of a question.
pub struct QuestionWords {
    /// Content words.
    telling: Vec<Letters>,
    /// Concatenations of each two consecutive content words.
    together: Vec<Letters>,
    initials: Letters,
}

impl QuestionWords {
    /// Splits a question into words.
    pub fn of(question: &str) -> Self {
        let mut telling = words(question);
        telling.retain(says_something);
        Self {
            together: telling.windows(2).map(<[Letters]>::concat).collect(),
            initials: initials(&telling),
            telling,
        }
    }

    /// Returns the features of an answer to this question, each from 0 to 1.
    pub fn features(&self, answer: &str) -> [f32; FEATURES] {
        let said = words(answer);
        let whole: Letters = said.concat();
        let mut of_words = [0.0; LIKENESSES];
        for word in &said {
            let share = ratio(word.len(), whole.len());
            for (sum, likeness) in of_words.iter_mut().zip(self.best(word)) {
                *sum += share * likeness;
            }
        }
        let said_initials = initials(&said);
        let others = [
            // Whether the answer abbreviates words of the question: with gaps, and as a consecutive run.
            ratio(common(&whole, &self.initials), whole.len()),
            ratio(longest_run(&whole, &self.initials), whole.len()),
            // Whether a word of the question abbreviates the answer.
            self.largest(|word| ratio(2 * common(&said_initials, word), said_initials.len() + word.len())),
            // Share of the answer's words that also occur in the question.
            ratio(
                said.iter().filter(|word| self.telling.contains(word)).count(),
                said.len(),
            ),
            // Largest share of a word of the question that occurs in the answer.
            self.largest(|word| ratio(common(word, &whole), word.len())),
            f32::from(u8::from(said.len() > 1)),
        ];
        let mut features = [0.0; FEATURES];
        let all = self.best(&whole).into_iter().chain(of_words).chain(others);
        for (feature, number) in features.iter_mut().zip(all) {
            *feature = number;
        }
        features
    }

    fn candidates(&self) -> impl Iterator<Item = &Letters> {
        self.telling.iter().chain(&self.together)
    }

    fn largest(&self, likeness: impl Fn(&Letters) -> f32) -> f32 {
        self.candidates().map(likeness).fold(0.0, f32::max)
    }

    /// Returns, for each kind of similarity, the largest one between `word` and a word of the question.
    fn best(&self, word: &Letters) -> [f32; LIKENESSES] {
        let mut largest = [0.0f32; LIKENESSES];
        for candidate in self.candidates() {
            for (largest, likeness) in largest.iter_mut().zip(likenesses(word, candidate)) {
                *largest = largest.max(likeness);
            }
        }
        largest
    }
}

fn initials(words: &[Letters]) -> Letters {
    words.iter().filter_map(|word| word.first().copied()).collect()
}

/// Splits a text into lower-case words without accents. An apostrophe does not separate words.
fn words(text: &str) -> Vec<Letters> {
    let mut normal = NormalizedString::from(text);
    normal.nfd().lowercase();
    let letters = normal
        .get()
        .chars()
        .filter(|letter| !is_mark(*letter) && *letter != '\'');
    let plain: String = letters.collect();
    plain
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS)
        .map(|word| word.chars().take(MAX_WORD).collect())
        .collect()
}

/// Whether a character is a combining accent.
fn is_mark(letter: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&letter)
}

fn says_something(word: &Letters) -> bool {
    let text: String = word.iter().collect();
    !SAY_NOTHING.contains(&text.as_str())
}

fn likenesses(one: &Letters, other: &Letters) -> [f32; LIKENESSES] {
    let longest = one.len().max(other.len());
    let subsequence = common(one, other);
    let prefix = one
        .iter()
        .zip(other)
        .take_while(|(one, other)| one == other)
        .count();
    let pairs = one.iter().rev().zip(other.iter().rev());
    let suffix = pairs.take_while(|(one, other)| one == other).count();
    let begins = !one.is_empty() && one.first() == other.first();
    let when_begins = |number: f32| if begins { number } else { 0.0 };
    [
        ratio(2 * subsequence, one.len() + other.len()),
        ratio(subsequence, one.len()),
        when_begins(ratio(subsequence, one.len())),
        ratio(prefix, longest),
        ratio(prefix, one.len()),
        ratio(suffix, longest),
        ratio(
            2 * shared_pairs(one, other),
            (one.len() + other.len()).saturating_sub(2),
        ),
        // In an abbreviation, early letters are the most significant.
        when_begins(earliness(one, other)),
        f32::from(u8::from(one == other)),
    ]
}

fn ratio(part: usize, whole: usize) -> f32 {
    if whole == 0 {
        0.0
    } else {
        part as f32 / whole as f32
    }
}

/// Returns the length of the longest common subsequence.
fn common(one: &[char], other: &[char]) -> usize {
    let mut row = vec![0; other.len() + 1];
    for letter in one {
        let mut diagonal = 0;
        for (position, with) in other.iter().enumerate() {
            let above = row[position + 1];
            row[position + 1] = if letter == with {
                diagonal + 1
            } else {
                above.max(row[position])
            };
            diagonal = above;
        }
    }
    row[other.len()]
}

/// Returns the length of the longest common run of letters.
fn longest_run(one: &[char], other: &[char]) -> usize {
    let mut row = vec![0; other.len() + 1];
    let mut longest = 0;
    for letter in one {
        for position in (0..other.len()).rev() {
            row[position + 1] = if *letter == other[position] {
                row[position] + 1
            } else {
                0
            };
            longest = longest.max(row[position + 1]);
        }
    }
    longest
}

/// Returns the number of pairs of consecutive letters that both words contain.
fn shared_pairs(one: &[char], other: &[char]) -> usize {
    let mut pairs: Vec<&[char]> = other.windows(2).collect();
    let is_shared = |pair: &&[char]| {
        let place = pairs.iter().position(|known| known == pair);
        place.map(|place| pairs.swap_remove(place)).is_some()
    };
    one.windows(2).filter(is_shared).count()
}

/// Returns 1 if `one` is a prefix of `other`, less the later the letters of `one` occur in `other`, and 0 if they do
/// not all occur in order.
fn earliness(one: &[char], other: &[char]) -> f32 {
    let mut rest = other.iter().enumerate();
    let mut last = 0;
    for letter in one {
        match rest.find(|(_, with)| *with == letter) {
            Some((position, _)) => last = position + 1,
            None => return 0.0,
        }
    }
    ratio(one.len(), last)
}
