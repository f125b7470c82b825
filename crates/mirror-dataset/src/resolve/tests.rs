use std::error::Error;
use std::fs;

use tempfile::TempDir;

use super::*;

/// Folders for the three places and for the experiment file.
struct Folders {
    folder: TempDir,
    places: Places,
}

impl Folders {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name));
        let places = Places {
            mirror_data: path("mirror"),
            mirror_models: None,
            hf_home: path("hf"),
            cache: path("cache"),
            // No server listens on port 1.
            hub_endpoint: "http://127.0.0.1:1".to_owned(),
        };
        Self { folder, places }
    }

    /// Writes a file with one row, whose answer is `answer`.
    fn put(&self, path: &str, answer: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(
            path,
            format!("{{\"question\": \"q\", \"answer\": \"{answer}\"}}\n"),
        )
        .unwrap();
    }

    fn offline(&self, path_or_name: &str) -> Result<Resolved, ResolveError> {
        self.resolve(path_or_name, true)
    }

    fn resolve(&self, path_or_name: &str, offline: bool) -> Result<Resolved, ResolveError> {
        let request = Request {
            path_or_name: path_or_name.to_owned(),
            schema: Schema::default(),
            offline,
            base_dir: self.folder.path().join("experiments"),
        };
        resolve(&request, &self.places)
    }

    #[track_caller]
    fn check(&self, path_or_name: &str, answer: &str) {
        let resolved = self.offline(path_or_name).unwrap();
        assert_eq!(resolved.rows.len(), 1);
        assert_eq!(resolved.rows[0].answers, [answer]);
    }
}

#[test]
fn builtin_is_found_without_a_place() {
    let resolved = Folders::new().offline("builtin").unwrap();
    assert_eq!(resolved.origin, "builtin");
    assert!(resolved.rows.iter().eq(builtin::rows()));
}

#[test]
fn a_path_is_relative_to_the_experiment_file_and_precedes_a_name() {
    let world = Folders::new();
    world.put("experiments/data/a.jsonl", "path");
    world.put("experiments/moons/a.jsonl", "path");
    world.put("mirror/moons/a.jsonl", "name");
    world.check("data/a.jsonl", "path");
    world.check("data", "path");
    world.check("moons", "path");
    let absolute = world.folder.path().join("mirror/moons");
    world.check(absolute.to_str().unwrap(), "name");
}

#[test]
fn places_are_searched_in_order() {
    let world = Folders::new();
    let hub = "hub/datasets--owner--moons";
    world.put(&format!("cache/{hub}/snapshots/abc1234/train.jsonl"), "own cache");
    world.check("owner/moons", "own cache");
    world.put(
        &format!("hf/{hub}/snapshots/abc1234/data/train-0.jsonl"),
        "hf cache",
    );
    world.check("owner/moons", "hf cache");
    world.check("moons", "hf cache");
    world.put("mirror/owner/moons.jsonl", "mirror data");
    world.check("owner/moons", "mirror data");
    world.put("mirror/moons/anything.jsonl", "mirror data");
    world.check("moons", "mirror data");
}

#[test]
fn the_revision_of_main_is_used() {
    let world = Folders::new();
    let hub = "hf/hub/datasets--moons";
    world.put(&format!("{hub}/snapshots/aaaaaaa/train.jsonl"), "old");
    world.put(&format!("{hub}/snapshots/bbbbbbb/train.jsonl"), "new");
    let message = world.offline("moons").unwrap_err().to_string();
    assert!(
        message.contains("aaaaaaa") && message.contains("bbbbbbb"),
        "{message}"
    );

    let references = world.folder.path().join(hub).join("refs");
    fs::create_dir(&references).unwrap();
    fs::write(references.join("main"), "bbbbbbb\n").unwrap();
    world.check("moons", "new");
    fs::write(references.join("main"), "../../../../../mirror").unwrap();
    assert!(matches!(
        world.offline("moons"),
        Err(ResolveError::Cache(SnapshotError::Ambiguous { .. }))
    ));
}

#[test]
fn a_snapshot_without_a_training_split_is_named() {
    let world = Folders::new();
    world.put("hf/hub/datasets--moons/snapshots/aaaaaaa/test.jsonl", "test");
    let message = world.offline("moons").unwrap_err().to_string();
    assert!(message.contains("snapshots/aaaaaaa has no files"), "{message}");
}

#[test]
fn an_ambiguous_name_lists_both_owners() {
    let world = Folders::new();
    world.put("hf/hub/datasets--a--moons/snapshots/aaaaaaa/train.jsonl", "a");
    world.put("hf/hub/datasets--b--moons/snapshots/aaaaaaa/train.jsonl", "b");
    let message = world.offline("moons").unwrap_err().to_string();
    assert!(
        message.contains("--a--moons") && message.contains("--b--moons"),
        "{message}"
    );
    world.check("b/moons", "b");
}

#[test]
fn a_missing_data_set_lists_all_three_remedies() {
    let mut world = Folders::new();
    let offline = world.offline("nq_open").unwrap_err().to_string();
    let online = world.resolve("nq_open", false).unwrap_err();
    for message in [&offline, &online.to_string()] {
        for way in [
            "$MIRROR_DATA/nq_open/",
            "the Hugging Face cache",
            "without --offline",
        ] {
            assert!(message.contains(way), "{message}");
        }
        assert!(message.contains(world.places.mirror_data.as_ref().unwrap().to_str().unwrap()));
    }
    let cause = online.source().expect("a request to the hub failed").to_string();
    assert!(
        cause.contains("http://127.0.0.1:1/api/datasets/nq_open"),
        "{cause}"
    );

    world.places.mirror_data = None;
    let message = world.offline("nq_open").unwrap_err().to_string();
    assert!(message.contains("$MIRROR_DATA (not set)"), "{message}");
}

#[test]
fn an_invalid_name_is_reported_as_a_missing_path() {
    let world = Folders::new();
    world.put("mirror/secret/a.jsonl", "x");
    let inside = "../mirror/other";
    for text in [
        "data/missing.jsonl",
        "a/b/c",
        "",
        "..",
        inside,
        "/nowhere",
        "a b",
        "a--b",
    ] {
        let error = world.resolve(text, false).unwrap_err();
        assert!(
            matches!(error, ResolveError::NoSuchPath { .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn an_empty_folder_in_a_place_is_reported() {
    let world = Folders::new();
    fs::create_dir_all(world.folder.path().join("mirror/moons")).unwrap();
    let message = world.offline("moons").unwrap_err().to_string();
    assert!(
        message.contains("mirror/moons: no file name ends in"),
        "{message}"
    );
}
