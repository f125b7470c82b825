//! Conversations, in the forms for the gating model, the reward model and the protocol.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Text of the message.
    pub content: String,
}

/// The messages of a forward, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation(Vec<Message>);

impl Conversation {
    /// Creates a conversation of these messages.
    pub fn new(messages: Vec<Message>) -> Self {
        Self(messages)
    }

    /// Creates a conversation of a system prompt and a user's message.
    pub fn question(system: &str, user: &str) -> Self {
        let message = |role: &str, content: &str| Message {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        Self(vec![message("system", system), message("user", user)])
    }

    /// Returns the content of the last message, which is the question.
    pub fn asked(&self) -> &str {
        self.0.last().map_or("", |message| &message.content)
    }

    /// Returns the messages as `role: message` lines, for the gating model.
    pub fn unravelled(&self) -> String {
        let lines = self
            .0
            .iter()
            .flat_map(|Message { role, content }| [role, ": ", content, "\n"]);
        lines.collect()
    }

    /// Returns all messages except the system's, trimmed and each followed by a blank line, for the reward model.
    pub fn flattened(&self) -> String {
        let spoken = self.0.iter().filter(|message| message.role != "system");
        spoken
            .flat_map(|message| [message.content.trim(), "\n\n"])
            .collect()
    }

    /// Returns each message as Python's `json.dumps` writes it, for the protocol.
    pub fn encoded(&self) -> Vec<String> {
        self.0.iter().map(python_json).collect()
    }
}

fn python_json(message: &Message) -> String {
    let mut bytes = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut bytes, PythonFormatter(CompactFormatter));
    message
        .serialize(&mut serializer)
        .expect("strings always serialise, and writing to a vector does not fail");
    String::from_utf8(bytes).expect("the formatter writes ASCII")
}

/// Returns whether Python escapes a character in addition to those that JSON requires.
fn is_escaped(character: char) -> bool {
    !(' '..='~').contains(&character)
}

/// The defaults of `json.dumps`: `", "` and `": "` between items, and every non-ASCII character escaped.
struct PythonFormatter(CompactFormatter);

impl Formatter for PythonFormatter {
    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for piece in fragment.split_inclusive(is_escaped) {
            let escaped = piece.chars().next_back().filter(|last| is_escaped(*last));
            let plain = piece.len() - escaped.map_or(0, char::len_utf8);
            writer.write_all(&piece.as_bytes()[..plain])?;
            for unit in escaped
                .into_iter()
                .flat_map(|character| character.encode_utf16(&mut [0; 2]).to_vec())
            {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_equals_pythons_json_dumps() {
        // the output of Python for json.dumps({'role': 'user', 'content': 'é "q"\n\t\x01😀\x7f/\\'})
        let conversation = Conversation::question("s", "é \"q\"\n\t\u{1}😀\u{7f}/\\");
        let expected = r#"{"role": "user", "content": "\u00e9 \"q\"\n\t\u0001\ud83d\ude00\u007f/\\"}"#;
        assert_eq!(conversation.encoded()[1], expected);
    }

    #[test]
    fn texts_have_the_form_that_the_models_expect() {
        let conversation = Conversation::question("be kind", "  why? ");
        assert_eq!(conversation.unravelled(), "system: be kind\nuser:   why? \n");
        assert_eq!(conversation.flattened(), "why?\n\n");
        assert_eq!(conversation.asked(), "  why? ");
    }
}
