//! Plot of the loss of the gating model by step.

use super::lines::{Line, draw};
use super::{NothingToDraw, Plot, merged_note};
use crate::chart::{Axis, Figure, Scale};
use crate::run_data::RunData;

pub(super) struct GatingLoss;

impl Plot for GatingLoss {
    fn name(&self) -> &'static str {
        "gating_loss"
    }

    fn title(&self) -> &'static str {
        "Loss of the gating model by step"
    }

    fn explain(&self) -> &'static str {
        "Loss of each training step of the gating model, with a line for each iteration of a step. With \
         several validators, the value is the mean over them."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let index_name = |index: u32| match (data.events.forwards_per_step, index) {
            (1, _) => "loss".to_owned(),
            (2, 0) => "question".to_owned(),
            (2, 1) => "completion".to_owned(),
            _ => format!("forward index {index}"),
        };
        let line = |(index, series): (&u32, _)| Line {
            name: index_name(*index),
            uid: None,
            series,
        };
        let lines: Vec<Line<'_>> = data.learning.losses.iter().map(line).collect();
        let (traces, width) = draw(&lines);
        if traces.is_empty() {
            return Err("no loss was recorded: the gating model was not trained".into());
        }
        let names: Vec<&str> = traces.iter().map(|trace| trace.name.as_str()).collect();
        Ok(Figure {
            x: Axis::new("step", Scale::Step),
            y: Axis::linear("loss"),
            alternative: format!(
                "Lines of the loss of the gating model by step: {}.",
                names.join(", ")
            ),
            traces,
            note: merged_note(width, "step"),
            ..Figure::default()
        })
    }
}
