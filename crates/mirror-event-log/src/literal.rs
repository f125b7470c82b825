//! Values in the syntax of JSON or of Python.
//!
//! JSON is read as Python writes it, with `NaN` and `Infinity`. The cells of a CSV file of upstream contain lists as
//! Python prints them, numpy arrays, whose values are separated by spaces, and tensors.

use std::borrow::Cow;

/// Maximum length of a list. It is above the number of uids of a subnet.
pub(crate) const LONGEST_LIST: usize = 65_536;

/// Maximum depth of lists and objects within each other.
const DEEPEST: usize = 32;

/// Maximum number of values in a text.
const MOST_VALUES: usize = 1 << 20;

/// A value that borrows from the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// A number as written. It is parsed when its type is known, so that it is rounded only once. Rust parses every
    /// such text as a float, including `NaN`, `inf` and `-Infinity`.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Returns the value of a key. `None` if this is no object or has no such key. If a key occurs twice, the last one
    /// counts, as in Python.
    pub(crate) fn get(&self, key: &str) -> Option<&Value<'a>> {
        let Self::Map(entries) = self else {
            return None;
        };
        let mut entries = entries.iter().rev();
        entries.find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

/// The syntax of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    Json,
    Python,
}

/// The reason why a text is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Syntax,
    TooLarge,
}

/// Reads a text that consists of one value.
pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Value<'_>, Unreadable> {
    let mut parser = Parser {
        text,
        at: 0,
        syntax,
        values: 0,
    };
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(Unreadable::Syntax);
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    /// Position of the next byte, always at the start of a character.
    at: usize,
    syntax: Syntax,
    values: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Skips white space, and then `byte` if it is next. Returns whether it was.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unreadable> {
        self.take(byte).then_some(()).ok_or(Unreadable::Syntax)
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Unreadable> {
        self.values += 1;
        if depth > DEEPEST || self.values > MOST_VALUES {
            return Err(Unreadable::TooLarge);
        }
        self.skip_space();
        let is_python = self.syntax == Syntax::Python;
        match self.peek().ok_or(Unreadable::Syntax)? {
            b'{' if !is_python => self.map(depth),
            b'[' => self.list(b']', depth),
            b'(' if is_python => self.list(b')', depth),
            b'"' => self.string(b'"').map(Value::Text),
            b'\'' if is_python => self.string(b'\'').map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'.' if is_python => self.number(),
            b'a'..=b'z' | b'A'..=b'Z' => self.word(depth),
            _ => Err(Unreadable::Syntax),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value<'a>, Unreadable> {
        self.expect(b'{')?;
        let mut entries = Vec::new();
        if self.take(b'}') {
            return Ok(Value::Map(entries));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(Unreadable::Syntax);
            }
            let key = self.string(b'"')?;
            self.expect(b':')?;
            entries.push((key, self.value(depth + 1)?));
            if self.take(b'}') {
                return Ok(Value::Map(entries));
            }
            self.expect(b',')?;
        }
    }

    /// Reads a list up to `end`. In Python's syntax, the values of a numpy array are separated by white space only, and
    /// a comma may follow the last value of a list.
    fn list(&mut self, end: u8, depth: usize) -> Result<Value<'a>, Unreadable> {
        self.at += 1;
        let mut values = Vec::new();
        let mut commas = 0;
        while !self.take(end) {
            if values.len() == LONGEST_LIST {
                return Err(Unreadable::TooLarge);
            }
            values.push(self.value(depth + 1)?);
            let spaced = matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t'));
            if self.take(b',') {
                commas += 1;
                self.skip_space();
                // JSON has no comma after the last value.
                if self.syntax == Syntax::Json && self.peek() == Some(end) {
                    return Err(Unreadable::Syntax);
                }
            } else if self.peek() != Some(end) && !(spaced && self.syntax == Syntax::Python && commas == 0) {
                return Err(Unreadable::Syntax);
            }
        }
        // Values that are partly separated by commas are a damaged list.
        if commas > 0 && commas + 1 < values.len() {
            return Err(Unreadable::Syntax);
        }
        Ok(Value::List(values))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Value<'a>, Unreadable> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if matches!(self.peek(), Some(b'I' | b'i')) {
            return match self.name() {
                "Infinity" | "inf" => Ok(Value::Number(&self.text[start..self.at])),
                _ => Err(Unreadable::Syntax),
            };
        }
        let is_json = self.syntax == Syntax::Json;
        let first = self.peek();
        let whole = self.digits();
        let mut fraction = 0;
        if self.peek() == Some(b'.') {
            self.at += 1;
            fraction = self.digits();
            // Python prints `1.` and `.5` in arrays.
            if is_json && fraction == 0 {
                return Err(Unreadable::Syntax);
            }
        }
        let leading_zero = whole > 1 && first == Some(b'0');
        if whole + fraction == 0 || (is_json && (whole == 0 || leading_zero)) {
            return Err(Unreadable::Syntax);
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(Unreadable::Syntax);
            }
        }
        Ok(Value::Number(&self.text[start..self.at]))
    }

    /// Reads a name with dots, such as `np.float64`.
    fn name(&mut self) -> &'a str {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.')
        ) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn word(&mut self, depth: usize) -> Result<Value<'a>, Unreadable> {
        let word = self.name();
        match (word, self.syntax) {
            ("null", Syntax::Json) | ("None", Syntax::Python) => Ok(Value::Null),
            ("true", Syntax::Json) | ("True", Syntax::Python) => Ok(Value::Bool(true)),
            ("false", Syntax::Json) | ("False", Syntax::Python) => Ok(Value::Bool(false)),
            ("NaN" | "Infinity", Syntax::Json) | ("nan" | "inf", Syntax::Python) => Ok(Value::Number(word)),
            (
                "tensor" | "array" | "np.float16" | "np.float32" | "np.float64" | "np.int32" | "np.int64"
                | "np.uint32" | "np.uint64" | "np.str_",
                Syntax::Python,
            ) => self.call(depth),
            _ => Err(Unreadable::Syntax),
        }
    }

    /// Reads the argument of `tensor(…)` or `array(…)`, and skips named arguments, such as `dtype=torch.int64`.
    fn call(&mut self, depth: usize) -> Result<Value<'a>, Unreadable> {
        self.expect(b'(')?;
        let value = self.value(depth + 1)?;
        while !self.take(b')') {
            self.expect(b',')?;
            self.skip_space();
            let name = self.name();
            if !matches!(name, "device" | "dtype" | "grad_fn" | "requires_grad") {
                return Err(Unreadable::Syntax);
            }
            self.expect(b'=')?;
            match self.peek() {
                Some(b'\'') => drop(self.string(b'\'')?),
                Some(b'<') => self.angle()?,
                _ if self.name().is_empty() => return Err(Unreadable::Syntax),
                _ => {}
            }
        }
        Ok(value)
    }

    /// Skips `<SumBackward0>`.
    fn angle(&mut self) -> Result<(), Unreadable> {
        self.at += 1;
        self.name();
        self.expect(b'>')
    }

    fn string(&mut self, quote: u8) -> Result<Cow<'a, str>, Unreadable> {
        self.at += 1;
        let mut decoded: Option<String> = None;
        let mut start = self.at;
        loop {
            match self.peek().ok_or(Unreadable::Syntax)? {
                byte if byte == quote => {
                    let rest = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(match decoded {
                        None => Cow::Borrowed(rest),
                        Some(text) => Cow::Owned(text + rest),
                    });
                }
                b'\\' => {
                    let text = decoded.get_or_insert_default();
                    text.push_str(&self.text[start..self.at]);
                    self.at += 1;
                    let escaped = self.escape()?;
                    decoded.get_or_insert_default().push(escaped);
                    start = self.at;
                }
                0..0x20 => return Err(Unreadable::Syntax),
                _ => self.at += 1,
            }
        }
    }

    /// Reads an escape after its backslash.
    fn escape(&mut self) -> Result<char, Unreadable> {
        let byte = self.peek().ok_or(Unreadable::Syntax)?;
        if !byte.is_ascii() {
            return Err(Unreadable::Syntax);
        }
        self.at += 1;
        let code = match (byte, self.syntax) {
            (b'\\' | b'"', _) | (b'/', Syntax::Json) | (b'\'', Syntax::Python) => byte.into(),
            (b'n', _) => 0x0a,
            (b'r', _) => 0x0d,
            (b't', _) => 0x09,
            (b'b', Syntax::Json) => 0x08,
            (b'f', Syntax::Json) => 0x0c,
            (b'x', Syntax::Python) => self.hex(2)?,
            (b'U', Syntax::Python) => self.hex(8)?,
            (b'u', Syntax::Python) => self.hex(4)?,
            (b'u', Syntax::Json) => self.utf16()?,
            _ => return Err(Unreadable::Syntax),
        };
        char::from_u32(code).ok_or(Unreadable::Syntax)
    }

    /// Reads the digits of `\u` and, if they are the first half of a pair, those of the second half.
    fn utf16(&mut self) -> Result<u32, Unreadable> {
        let first = self.hex(4)?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(first);
        }
        if !self.text[self.at..].starts_with("\\u") {
            return Err(Unreadable::Syntax);
        }
        self.at += 2;
        let second = self.hex(4)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(Unreadable::Syntax);
        }
        Ok(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn hex(&mut self, digits: usize) -> Result<u32, Unreadable> {
        let text = self
            .text
            .get(self.at..self.at + digits)
            .ok_or(Unreadable::Syntax)?;
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Unreadable::Syntax);
        }
        self.at += digits;
        u32::from_str_radix(text, 16).map_err(|_| Unreadable::Syntax)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Converts a value for a comparison with `serde_json`, another reader of JSON.
    fn converted(value: &Value<'_>) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Number(text) => serde_json::from_str(text).expect("a number"),
            Value::Text(text) => text.as_ref().into(),
            Value::List(values) => values.iter().map(converted).collect(),
            Value::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.to_string(), converted(value)));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            // The other reader rounds some numbers with many digits to a neighbour of the nearest double.
            any::<i32>().prop_map(|quarters| (f64::from(quarters) / 4.0).into()),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..8)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_is_read_as_another_reader_reads_it(value in json()) {
            let text = value.to_string();
            prop_assert_eq!(parse(&text, Syntax::Json).map(|value| converted(&value)), Ok(value));
        }

        /// A value of a damaged text is read only if it is JSON.
        #[test]
        fn damaged_json_is_read_only_if_it_is_json(
            value in json(),
            at in any::<prop::sample::Index>(),
            with in "[\\[\\]{}\",:0-9a-z\\\\ .-]",
        ) {
            let mut characters: Vec<char> = value.to_string().chars().collect();
            let at = at.index(characters.len());
            characters[at] = with.chars().next().expect("one character");
            let text: String = characters.into_iter().collect();
            let reference: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            if let (Some(reference), Ok(value)) = (&reference, parse(&text, Syntax::Json)) {
                prop_assert_eq!(&converted(&value), reference);
            } else {
                // Numbers beyond the range of a double are refused by the other reader only.
                prop_assert!(reference.is_none());
            }
        }

        #[test]
        fn no_text_causes_a_panic(text in any::<String>(), python in "[\\[\\]()'\",:0-9a-z\\\\ .=<>-]{0,40}") {
            for text in [text, python] {
                let _ = parse(&text, Syntax::Json);
                let _ = parse(&text, Syntax::Python);
            }
        }
    }

    fn numbers(text: &str) -> Option<Vec<f64>> {
        let Ok(Value::List(values)) = parse(text, Syntax::Python) else {
            return None;
        };
        let number = |value| match value {
            Value::Number(text) => text.parse().ok(),
            _ => None,
        };
        values.into_iter().map(number).collect()
    }

    #[test]
    fn lists_of_python_numpy_and_torch_are_read() {
        for text in [
            "[1, 2.0, -3e-05]",
            "(1, 2, -3e-5,)",
            "[ 1.   2.  -3.e-05]",
            "[1\n 2\n -3e-5]",
            "tensor([ 1.0000e+00,  2.0000e+00, -3.0000e-05], device='cuda:0', grad_fn=<SumBackward0>)",
            "array([1, 2, -3e-5], dtype=float32)",
            "[np.float64(1.0), np.float64(2.0), tensor(-3e-5)]",
        ] {
            assert_eq!(numbers(text), Some(vec![1.0, 2.0, -3e-5]), "{text}");
        }
        let special = numbers("[nan, inf, -inf]").expect("numbers");
        assert!(special[0].is_nan());
        assert_eq!(special[1..], [f64::INFINITY, f64::NEG_INFINITY]);
        let texts = Value::List(vec![
            Value::Text("it's".into()),
            Value::Text("a \"b\"\n\u{e9}\u{1f600}".into()),
            Value::Null,
        ]);
        let text = r#"["it's", 'a "b"\n\xe9\U0001f600', None]"#;
        assert_eq!(parse(text, Syntax::Python), Ok(texts));
    }

    #[test]
    fn abbreviated_and_damaged_lists_are_not_read() {
        for text in [
            "[1. 2. ... 9.]",
            "tensor([1., 2.,  ..., 9.])",
            "[1, 2 3]",
            "[1 2, 3]",
            "[1,, 2]",
            "[1, 2",
            "[1-2]",
            "['a'",
            "[1] x",
            "__import__('os')",
        ] {
            assert_eq!(parse(text, Syntax::Python), Err(Unreadable::Syntax), "{text}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(parse(&deep, Syntax::Json), Err(Unreadable::TooLarge));
        let calls = "tensor(".repeat(1_000_000);
        assert_eq!(parse(&calls, Syntax::Python), Err(Unreadable::TooLarge));
        let long = format!("[{}1]", "1,".repeat(LONGEST_LIST));
        assert_eq!(parse(&long, Syntax::Json), Err(Unreadable::TooLarge));
        let longest = format!("[{}1]", "1,".repeat(LONGEST_LIST - 1));
        assert!(parse(&longest, Syntax::Json).is_ok());
    }
}
