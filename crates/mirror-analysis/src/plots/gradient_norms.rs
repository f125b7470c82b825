//! Plot of the norms of the gradients of the gating model.

use super::lines::{Line, draw};
use super::{NothingToDraw, Plot, merged_note};
use crate::chart::{Axis, Figure, Scale};
use crate::numbers::counted;
use crate::run_data::RunData;

pub(super) struct GradientNorms;

impl Plot for GradientNorms {
    fn name(&self) -> &'static str {
        "gradient_norms"
    }

    fn title(&self) -> &'static str {
        "Gradients of the gating model"
    }

    fn explain(&self) -> &'static str {
        "Euclidean norm of the gradient of each parameter of the gating model, by forward. The parameters are \
         recorded at a fixed interval of steps. With several validators, the value is the mean over them."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let line = |(parameter, series): (&String, _)| Line {
            name: parameter.clone(),
            uid: None,
            series,
        };
        let lines: Vec<Line<'_>> = data.learning.gradients.iter().map(line).collect();
        let (traces, width) = draw(&lines);
        if traces.is_empty() {
            return Err("no gradient was recorded: the gating model was not trained, or its parameters were not saved".into());
        }
        Ok(Figure {
            x: Axis::new("forward", Scale::Forward),
            y: Axis::linear("norm of the gradient"),
            alternative: format!(
                "Lines of the norm of the gradient of {}.",
                counted(traces.len() as u64, "parameter", "parameters")
            ),
            traces,
            note: merged_note(width, "forward"),
            ..Figure::default()
        })
    }
}
