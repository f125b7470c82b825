//! `honest`: replies to the request for a question with a question from the data set, and to a question with a correct
//! answer with chance `fitness`, otherwise with a random one. With chance `fail_rate` the completion is empty.

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

    /// Draws a question from the data set. `None` if the data set is empty.
    fn question(&self, id: &CallId) -> Option<&str> {
        self.context
            .dataset
            .question(self.row(self.draw("question", id))?)
    }

    /// Draws one of the accepted answers. Draws from all answers instead if the `fitness` draw fails or the question is
    /// not in the data set.
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

/// Pads a text with trailing spaces to the length at which completions count. Reward models strip them.
pub(super) fn padded(text: &str) -> String {
    let missing = (TOO_SHORT_COMPLETION + 1).saturating_sub(text.chars().count());
    format!("{text}{:missing$}", "")
}
