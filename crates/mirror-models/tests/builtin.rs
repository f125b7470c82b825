//! Tests of the builtin tokenizer and the builtin reward model.

use std::iter;

use mirror_models::builtin::held_out::{self, HeldOutResult, Share};
use mirror_models::builtin::training::Table;
use mirror_models::builtin::{self, tokenizer};
use mirror_models::reward::{self, Candidate, RewardModel};
use mirror_models::tokenizer::Tokenizer;
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_spec::{NoArgs, RewardModel as Spec};
use proptest::prelude::*;
use tch::Device;

const CALL: CallId = CallId {
    caller: [0; 32],
    step: 0,
    forward_index: 1,
    uid: 0,
    call: CallNumber::QUERY,
};

fn tables() -> Vec<Table> {
    let tables = mirror_dataset::builtin::tables().iter().map(|table| Table {
        topic: table.topic.to_owned(),
        name: table.name.to_owned(),
        questions: table
            .rows
            .iter()
            .map(|row| (row.question.clone(), row.answers.clone()))
            .collect(),
    });
    tables.collect()
}

fn model() -> Box<dyn RewardModel> {
    let context = reward::BuildContext {
        seed: Seed::root(1),
        device: Device::Cpu,
    };
    reward::build(&Spec::BuiltinRewardModel(NoArgs {}), &context)
        .expect("the model is compiled into the program")
}

/// Returns the rewards of answers, stripped as the validator passes them to the reward model.
fn rewards(model: &mut dyn RewardModel, question: &str, answers: &[&str]) -> Vec<f32> {
    let prompt = format!("{}\n\n", question.trim());
    let candidates: Vec<Candidate<'_>> = answers
        .iter()
        .map(|answer| Candidate {
            call: CALL,
            prompt: &prompt,
            completion: answer.trim(),
        })
        .collect();
    model.rewards(&candidates)
}

#[test]
fn retraining_reproduces_the_builtin_tokenizer() {
    let tables = tables();
    let texts = tables
        .iter()
        .flat_map(|table| &table.questions)
        .flat_map(|(question, answers)| iter::once(question).chain(answers));
    let texts: Vec<&str> = texts.map(String::as_str).collect();
    let again = tokenizer::train(texts.into_iter()).expect("texts");
    assert!(
        again.as_bytes() == builtin::TOKENIZER,
        "the data set has changed: train the tokenizer again with the example train_builtin"
    );
    let tokenizer = Tokenizer::builtin().expect("a tokenizer");
    assert_eq!(tokenizer.vocabulary(), tokenizer::VOCABULARY as i64);
    assert!(tokenizer.end().is_some());
}

proptest! {
    #[test]
    fn any_text_is_restored_from_its_tokens(text in "\\PC*") {
        let tokenizer = tokenizers::Tokenizer::from_bytes(builtin::TOKENIZER).expect("a tokenizer");
        let encoding = tokenizer.encode(text.as_str(), false).expect("tokens for every byte");
        prop_assert_eq!(tokenizer.decode(encoding.get_ids(), false).expect("a text"), text);
    }

    #[test]
    fn any_completion_has_a_finite_reward(question in "\\PC*", answers in prop::collection::vec("\\PC*", 0..4)) {
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let rewards = rewards(&mut *model(), &question, &answers);
        prop_assert_eq!(rewards.len(), answers.len());
        prop_assert!(rewards.iter().all(|reward| reward.is_finite()));
    }
}

#[test]
fn an_answer_of_the_kind_asked_for_is_preferred() {
    let mut model = model();
    for (question, right, wrong) in [
        (
            "In which year was the telephone patented by Bell?",
            "1876",
            "Canberra",
        ),
        ("What is the capital of Australia?", "Canberra", "1876"),
        ("What is the chemical symbol of gold?", "Au", "Johannes Kepler"),
        ("What is the plural of \"gorilla\"?", "gorillas", "giraffes"),
    ] {
        let rewards = rewards(&mut *model, question, &[right, wrong]);
        assert!(rewards[0] > rewards[1], "{question} {rewards:?}");
    }
}

/// The wrong answers are those of a miner that returns any answer of the data set.
#[test]
fn right_answers_are_preferred_to_random_ones() {
    let mut model = model();
    let tables = tables();
    let rows: Vec<&(String, Vec<String>)> = tables.iter().flat_map(|table| &table.questions).collect();
    let mut found = 0;
    let mut asked = 0;
    // 1009 is prime and does not divide the number of rows, so the other row is nearly always from another table.
    for (number, (question, right)) in rows.iter().enumerate().step_by(7) {
        let (_, others) = rows[(number + 1009) % rows.len()];
        if right.contains(&others[0]) {
            continue;
        }
        let rewards = rewards(&mut *model, question, &[&right[0], &others[0]]);
        asked += 1;
        found += u32::from(rewards[0] > rewards[1]);
    }
    assert!(f64::from(found) > 0.9 * f64::from(asked), "{found} of {asked}");
}

/// Every topic is held out once. Wrong answers are of the same table and of similar length.
#[test]
fn the_reward_model_generalises_to_held_out_tables() {
    mirror_models::torch::prepare("cpu", 1).expect("a CPU");
    let tables = tables();
    let tokenizer = Tokenizer::builtin().expect("a tokenizer");
    let seed = Seed::root(0);
    let judged: Vec<HeldOutResult> = held_out::folds(&tables, 5, seed)
        .iter()
        .flat_map(|topics| held_out::hold_out(topics, &tables, &tokenizer, seed).expect("training succeeds"))
        .collect();
    let share =
        |of: fn(&HeldOutResult) -> Share| judged.iter().map(of).fold(Share::default(), Share::and).value();
    let (alike, longer) = (share(|judged| judged.alike), share(|judged| judged.longer));
    assert!(alike > 0.8, "{alike}");
    assert!((longer - 0.5).abs() < 0.05, "{longer}");
}
