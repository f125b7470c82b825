//! The event of a line.
//!
//! The fields have upstream's names. `uids` and `rewards` belong to the successful calls, `all_uids` to all calls, and
//! `all_completions` to the list of uids that has its length. If both have it and their orders differ, it is unknown to
//! which they belong: the code of version 4 writes them in the order of `all_uids`, and some logs have that of `uids`.

use std::collections::HashMap;

use mirror_proto::mirror::v1::{AxonCall, ForwardEvent, Outcome, Purpose};

use crate::finding::Reason;
use crate::literal::Value;

/// Maximum uid. The chain stores uids in 16 bits.
const LARGEST_UID: u64 = u16::MAX as u64;

/// Maximum step. Up to it, each step is an integer of JSON in any program.
pub(crate) const LARGEST_STEP: u64 = (1 << 53) - 1;

/// Maximum forward index.
pub(crate) const LARGEST_FORWARD_INDEX: u32 = u16::MAX as u32;

/// Number of characters that a successful completion exceeds.
const SHORT: usize = 10;

/// Maximum length of the name of a validator in bytes.
const LONGEST_NAME: usize = 256;

/// Name of the validator of events that do not name it.
const VALIDATOR: &str = "validator-0";

/// The content of a line.
#[derive(Debug)]
pub(crate) struct Logged {
    /// The event. Its step and its forward index are 0.
    pub(crate) event: ForwardEvent,
    /// Step as logged.
    pub(crate) step: Option<u64>,
    /// Forward index as logged.
    pub(crate) forward_index: Option<u32>,
    /// Remarks about fields that were not read.
    pub(crate) remarks: Vec<Reason>,
}

/// Reads the event whose fields are `fields`. `logged_at` is the time of the record in seconds since 1970.
pub(crate) fn read(fields: &Value<'_>, logged_at: Option<f64>) -> Result<Logged, Reason> {
    let has = |name| fields.get(name).is_some();
    if !(has("uids") || has("all_uids")) || !(has("prompt") || has("message")) {
        return Err(Reason::NoEvent);
    }
    let mut remarks = Vec::new();
    let (prompt, message) = (text(fields, "prompt")?, text(fields, "message")?);
    if prompt.is_some() && message.is_some_and(|message| !message.is_empty()) && prompt != message {
        remarks.push(Reason::OtherMessage);
    }
    let message = prompt.or(message).ok_or(Reason::Field("prompt"))?;
    let scores = list(fields, "scores", |value| float(value).or_else(|| missing(value)))?;
    let calls = calls(fields, &mut remarks)?;
    let best = best(fields, &calls, &mut remarks)?;
    let unjudged = calls
        .iter()
        .filter(|call| call.reward.is_some_and(|reward| !reward.is_finite()))
        .count();
    let gating_loss = float_field(fields, "gating_loss")?.or(float_field(fields, "loss")?);
    let is_question = match fields.get("is_question") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Err(Reason::Field("is_question")),
    };
    let validator = text(fields, "validator")?.unwrap_or(VALIDATOR);
    if validator.len() > LONGEST_NAME {
        return Err(Reason::Field("validator"));
    }
    let event = ForwardEvent {
        validator: validator.to_owned(),
        purpose: purpose(fields)?.into(),
        block: integer_field(fields, "block", u64::MAX)?.unwrap_or_default(),
        is_question,
        message: message.to_owned(),
        scores: scores.unwrap_or_default(),
        calls,
        best,
        unjudged: unjudged as u32,
        gating_loss: gating_loss.map(|loss| loss as f32),
        started_at: logged_at.unwrap_or(f64::NAN),
        call_time: float_field(fields, "call_time")?.unwrap_or(f64::NAN),
        ..ForwardEvent::default()
    };
    let forward_index = integer_field(fields, "step_sub", LARGEST_FORWARD_INDEX.into())?;
    Ok(Logged {
        event,
        step: integer_field(fields, "step", LARGEST_STEP)?,
        forward_index: forward_index.map(|index| index as u32),
        remarks,
    })
}

/// Returns the calls of the event. They are in the order of `all_uids` if `uids` has the same order. Otherwise, the
/// successful calls are first, in the order of `uids`.
fn calls(fields: &Value<'_>, remarks: &mut Vec<Reason>) -> Result<Vec<AxonCall>, Reason> {
    let uids = list(fields, "uids", |value| integer(value, LARGEST_UID))?;
    let all_uids = list(fields, "all_uids", |value| integer(value, LARGEST_UID))?;
    let rewards = list(fields, "rewards", |value| match value {
        Value::Null => Some(None),
        value => float(value).map(Some),
    })?;
    let mut completions = list(fields, "all_completions", |value| match value {
        Value::Text(text) => Some(text.as_ref()),
        Value::Null => Some(""),
        _ => None,
    })?;
    let is_complete = all_uids.is_some();
    let all_uids = match (all_uids, &uids) {
        (Some(all_uids), _) => all_uids,
        (None, Some(uids)) => uids.clone(),
        (None, None) => return Err(Reason::NoEvent),
    };
    let uids = uids.unwrap_or_default();
    if rewards
        .as_ref()
        .is_some_and(|rewards| rewards.len() != uids.len())
    {
        return Err(Reason::RewardsLength);
    }
    let positions: HashMap<u64, usize> = (0..)
        .zip(&all_uids)
        .map(|(position, uid)| (*uid, position))
        .collect();
    let successes: HashMap<u64, usize> = (0..).zip(&uids).map(|(index, uid)| (*uid, index)).collect();
    if positions.len() < all_uids.len() || successes.len() < uids.len() {
        return Err(Reason::RepeatedUid);
    }
    let order: Option<Vec<usize>> = uids.iter().map(|uid| positions.get(uid).copied()).collect();
    let order = order.ok_or(Reason::ForeignUid)?;
    let of_all = |completions: &Vec<&str>| completions.len() == all_uids.len();
    let of_successes = |completions: &Vec<&str>| completions.len() == uids.len();
    let unreadable =
        completions.as_ref().and_then(
            |completions| match (of_all(completions), of_successes(completions)) {
                (false, false) => Some(Reason::CompletionsLength),
                (true, true) if uids != all_uids => Some(Reason::CompletionsOrder),
                _ => None,
            },
        );
    if let Some(reason) = unreadable {
        completions = None;
        remarks.push(reason);
    }
    let call = |uid: u64| {
        let success = successes.get(&uid).copied();
        let completion = completions.as_ref().and_then(|completions| {
            if of_all(completions) {
                completions.get(positions[&uid])
            } else if of_successes(completions) {
                completions.get(success?)
            } else {
                None
            }
        });
        let outcome = match (success, completion) {
            (Some(_), _) => Outcome::Success,
            (None, Some(&"")) => Outcome::Empty,
            (None, Some(text)) if text.chars().count() <= SHORT => Outcome::TooShort,
            (None, _) => Outcome::Unspecified,
        };
        let completion = completion.copied().unwrap_or_default();
        AxonCall {
            uid: uid as u32,
            outcome: outcome.into(),
            latency: f32::NAN,
            size: completion.len() as u64,
            completion: completion.to_owned(),
            reward: success.and_then(|index| *rewards.as_ref()?.get(index)?),
            ..AxonCall::default()
        }
    };
    if !is_complete || order.is_sorted() {
        return Ok(all_uids.iter().map(|uid| call(*uid)).collect());
    }
    let failures = all_uids.iter().filter(|uid| !successes.contains_key(uid));
    Ok(uids.iter().chain(failures).map(|uid| call(*uid)).collect())
}

/// Returns the position of the best call: the successful call with the completion `completion` and, if there are
/// several, with the highest reward.
fn best(fields: &Value<'_>, calls: &[AxonCall], remarks: &mut Vec<Reason>) -> Result<Option<u32>, Reason> {
    let Some(completion) = text(fields, "completion")?.filter(|completion| !completion.is_empty()) else {
        return Ok(None);
    };
    let mut best: Option<(u32, f32)> = None;
    for (position, call) in (0..).zip(calls) {
        let reward = call
            .reward
            .filter(|reward| !reward.is_nan())
            .unwrap_or(f32::NEG_INFINITY);
        if call.outcome == i32::from(Outcome::Success)
            && call.completion == completion
            && best.is_none_or(|(_, highest)| reward > highest)
        {
            best = Some((position, reward));
        }
    }
    if best.is_none() {
        remarks.push(Reason::NoBest);
    }
    Ok(best.map(|(position, _)| position))
}

fn purpose(fields: &Value<'_>) -> Result<Purpose, Reason> {
    match text(fields, "purpose")? {
        None | Some("query") => Ok(Purpose::Query),
        Some("manual") => Ok(Purpose::Manual),
        Some(_) => Err(Reason::Field("purpose")),
    }
}

fn text<'v>(fields: &'v Value<'_>, name: &'static str) -> Result<Option<&'v str>, Reason> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(Reason::Field(name)),
    }
}

/// Returns the values of a list. `None` if the field is absent or null.
fn list<'v, T>(
    fields: &'v Value<'v>,
    name: &'static str,
    item: impl Fn(&'v Value<'v>) -> Option<T>,
) -> Result<Option<Vec<T>>, Reason> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::List(values)) => {
            let items: Option<Vec<T>> = values.iter().map(item).collect();
            items.map(Some).ok_or(Reason::Field(name))
        }
        Some(_) => Err(Reason::Field(name)),
    }
}

fn float(value: &Value<'_>) -> Option<f32> {
    match value {
        Value::Number(text) => text.parse().ok(),
        _ => None,
    }
}

/// Returns NaN for a missing number.
fn missing(value: &Value<'_>) -> Option<f32> {
    matches!(value, Value::Null).then_some(f32::NAN)
}

fn float_field(fields: &Value<'_>, name: &'static str) -> Result<Option<f64>, Reason> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(text)) => text.parse().map(Some).map_err(|_| Reason::Field(name)),
        Some(_) => Err(Reason::Field(name)),
    }
}

fn integer_field(fields: &Value<'_>, name: &'static str, largest: u64) -> Result<Option<u64>, Reason> {
    match fields.get(name) {
        // A missing integer of pandas is NaN.
        None | Some(Value::Null | Value::Number("NaN" | "nan")) => Ok(None),
        Some(value) => integer(value, largest).map(Some).ok_or(Reason::Field(name)),
    }
}

/// Returns an integer, which may be written as a float without a fraction, as pandas writes a column of integers with
/// missing values.
fn integer(value: &Value<'_>, largest: u64) -> Option<u64> {
    let Value::Number(text) = value else {
        return None;
    };
    let integer = text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        let is_exact = float >= 0.0 && float.fract() == 0.0 && float <= LARGEST_STEP as f64;
        is_exact.then_some(float as u64)
    });
    integer.filter(|integer| *integer <= largest)
}
