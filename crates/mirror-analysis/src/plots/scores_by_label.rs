//! Plot of the scores over time by label.

use std::collections::BTreeMap;

use mirror_runs::NeuronKind;

use super::lines::{Line, draw};
use super::{NO_SCORE, NothingToDraw, Plot, merged_note, scored};
use crate::chart::{Axis, Figure, Scale};
use crate::collect::calls::COLUMNS;
use crate::moments::Mean;
use crate::numbers::counted;
use crate::run_data::RunData;
use crate::series::Series;

pub(super) struct ScoresByLabel;

impl Plot for ScoresByLabel {
    fn name(&self) -> &'static str {
        "scores_by_label"
    }

    fn title(&self) -> &'static str {
        "Scores over time by label"
    }

    fn explain(&self) -> &'static str {
        "Mean score of the miners with the label by the gating model, whether they were called or not, by \
         forward."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let mut labels: BTreeMap<&str, Series<Mean>> = BTreeMap::new();
        for (uid, tally) in scored(data) {
            let (kind, label) = data.label(uid);
            if kind == NeuronKind::Miner {
                let series = labels.entry(label).or_insert_with(|| Series::new(COLUMNS));
                series.absorb(&tally.over_time);
            }
        }
        let line = |(label, series): (&&str, _)| Line {
            name: (*label).to_owned(),
            uid: None,
            series,
        };
        let lines: Vec<Line<'_>> = labels.iter().map(line).collect();
        let (traces, width) = draw(&lines);
        if traces.is_empty() {
            return Err(NO_SCORE.into());
        }
        let names: Vec<&str> = labels.keys().copied().collect();
        Ok(Figure {
            x: Axis::new("forward", Scale::Forward),
            y: Axis::linear("mean score"),
            alternative: format!(
                "Lines of the mean score for {}: {}.",
                counted(traces.len() as u64, "label", "labels"),
                names.join(", ")
            ),
            traces,
            note: merged_note(width, "forward"),
            ..Figure::default()
        })
    }
}
