//! Plot of the uids with common frequent completions, as a graph.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::spring::layout;
use super::{NothingToDraw, Plot};
use crate::chart::{Color, Data, Figure, Height, Trace, Values};
use crate::numbers::counted;
use crate::run_data::RunData;

/// Numbers of most frequent completions that are compared, in the order in which they are tried.
const NUMBERS: [usize; 6] = [1, 5, 10, 50, 100, 500];

/// Maximum number of uids.
const MAX_UIDS: usize = 128;

/// Random seed of the positions.
const SEED: u64 = 1;

pub(super) struct SharedCompletions;

impl Plot for SharedCompletions {
    fn name(&self) -> &'static str {
        "shared_completions"
    }

    fn title(&self) -> &'static str {
        "Uids with common completions"
    }

    fn explain(&self) -> &'static str {
        "Each point is a uid. Two uids are connected if one of the most frequent completions of the first is \
         also among those of the second. The positions have no meaning except that connected uids are near \
         each other."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let tops = tops(data);
        if tops.len() < 2 {
            return Err("fewer than two uids have a successful call".into());
        }
        let pairs = tops.len() * (tops.len() - 1) / 2;
        let mut graph = None;
        let mut connected = 0;
        for n in NUMBERS {
            let edges = overlapping(&tops, n);
            connected = edges.len();
            if connected > 0 && connected < pairs {
                graph = Some((n, edges));
                break;
            }
        }
        let Some((n, edges)) = graph else {
            return Err(if connected == 0 {
                "no two uids have a frequent completion in common".into()
            } else {
                "all uids have a frequent completion in common".into()
            });
        };
        let places = layout(tops.len(), &edges, SEED);
        let uids: Vec<u32> = tops.iter().map(|top| top.uid).collect();
        let (x, y) = places.iter().copied().unzip();
        let lines = Data::Edges {
            ends: edges
                .iter()
                .map(|(one, other)| [places[*one], places[*other]])
                .collect(),
        };
        let points = Data::Points {
            x: Values::Numbers(x),
            y: Values::Numbers(y),
            text: uids.iter().map(|uid| format!("uid {uid}")).collect(),
            uids,
            shade: Vec::new(),
        };
        let all = data
            .uids
            .values()
            .filter(|tally| tally.outcomes.successes() > 0)
            .count();
        let omitted = if tops.len() < all {
            format!(
                " Only the {} uids with the most answers of {all} are shown.",
                tops.len()
            )
        } else {
            String::new()
        };
        let most = match n {
            1 => "the most frequent completion".to_owned(),
            n => format!("the {n} most frequent completions"),
        };
        Ok(Figure {
            traces: vec![
                Trace::new("common completions", Color::Behind, lines),
                Trace::new("uids", Color::Main, points),
            ],
            height: Height(480),
            alternative: format!(
                "Graph of {} in which {} connected by common completions.",
                counted(tops.len() as u64, "uid", "uids"),
                counted(edges.len() as u64, "pair is", "pairs are")
            ),
            note: format!(
                "Compares {most} of each uid, which is the smallest of the numbers 1, 5, 10, 50, 100 and 500 for which \
                 some pairs but not all are connected.{omitted}"
            ),
            ..Figure::default()
        })
    }
}

/// The most frequent completions of a uid.
struct Top {
    uid: u32,
    /// Keys of the completions, the most frequent first.
    keys: Vec<u64>,
}

/// Returns the most frequent completions of the uids with the most successful calls, in the order of uids.
fn tops(data: &RunData) -> Vec<Top> {
    let mut uids: Vec<(u32, u64)> = data
        .uids
        .iter()
        .map(|(uid, tally)| (*uid, tally.outcomes.successes()))
        .filter(|(_, successes)| *successes > 0)
        .collect();
    uids.sort_by_key(|(uid, successes)| (Reverse(*successes), *uid));
    uids.truncate(MAX_UIDS);
    uids.sort_by_key(|(uid, _)| *uid);
    let top = |(uid, _): (u32, u64)| {
        let texts = data.texts.by_uid.get(uid as usize)?;
        let top = texts.top(NUMBERS[NUMBERS.len() - 1]);
        Some(Top {
            uid,
            keys: top.iter().map(|(key, _)| *key).collect(),
        })
    };
    uids.into_iter().filter_map(top).collect()
}

/// Returns the pairs that have at least one of their `n` most frequent completions in common, as indices in `tops` with
/// the smaller first.
fn overlapping(tops: &[Top], n: usize) -> Vec<(usize, usize)> {
    let mut owners: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, top) in tops.iter().enumerate() {
        for key in top.keys.iter().take(n) {
            owners.entry(*key).or_default().push(index);
        }
    }
    // Many completions may have the same owners.
    let owners: BTreeSet<Vec<usize>> = owners.into_values().collect();
    let mut pairs = BTreeSet::new();
    for owners in owners {
        for (place, one) in owners.iter().enumerate() {
            pairs.extend(owners[place + 1..].iter().map(|other| (*one, *other)));
        }
    }
    pairs.into_iter().collect()
}
