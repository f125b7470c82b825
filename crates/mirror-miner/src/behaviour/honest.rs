//! `honest`: asked for a question it gives one from the data; asked a question it gives, with chance `fitness`, a right
//! answer, else a random one; and with chance `fail_rate` it answers nothing.

use mirror_proto::protocol::TOO_SHORT_COMPLETION;
use mirror_seed::{CallId, Draw};
use mirror_spec::HonestArgs;
use tonic::async_trait;

use super::{Answer, Behaviour, BehaviourContext, Call, Next};

pub(super) struct Honest {
    args: HonestArgs,
    context: BehaviourContext,
}

impl Honest {
    pub(super) fn new(args: HonestArgs, context: BehaviourContext) -> Self {
        Self { args, context }
    }

    fn draw(&self, label: &str, call: &CallId) -> Draw {
        self.context.seed.about_call(label, call)
    }

    fn happens(&self, label: &str, call: &CallId, chance: f64) -> bool {
        self.context.seed.happens(label, call, chance)
    }

    /// A question of the data; none when there is no data.
    fn question(&self, id: &CallId) -> Option<&str> {
        self.context
            .dataset
            .question(self.row(self.draw("question", id))?)
    }

    /// One of the accepted answers, or, when the call is not among the lucky ones or the question is not in the data,
    /// any answer.
    fn reply(&self, id: &CallId, question: &str) -> Option<&str> {
        let known = self.context.dataset.find(question.trim());
        let row = match known {
            Some(row) if self.happens("fitness", id, self.args.fitness) => row,
            _ => self.row(self.draw("wrong answer", id))?,
        };
        let count = self.context.dataset.answer_count(row) as u64;
        let which = self.draw("which answer", id).below(count)?;
        self.context.dataset.answers(row).nth(which as usize)
    }

    fn row(&self, draw: Draw) -> Option<u32> {
        draw.below(u64::from(self.context.dataset.len()))
            .map(|row| row as u32)
    }
}

#[async_trait]
impl Behaviour for Honest {
    async fn answer(&self, call: &Call, _next: Next<'_>) -> Answer {
        if self.happens("fail", &call.id, self.args.fail_rate) {
            return Answer::Nothing;
        }
        let Some(asked) = call.asked() else {
            return Answer::Nothing;
        };
        let text = if asked == self.context.prompts.question {
            self.question(&call.id)
        } else {
            self.reply(&call.id, asked)
        };
        text.map_or(Answer::Nothing, |text| Answer::Completion(padded(text)))
    }
}

/// A text with as many spaces as make it count; reward models strip them.
pub(super) fn padded(text: &str) -> String {
    let missing = (TOO_SHORT_COMPLETION + 1).saturating_sub(text.chars().count());
    format!("{text}{:missing$}", "")
}
