use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;

use tempfile::TempDir;

use super::*;

const REVISION: &str = "3dd2d5a3bb1d2ac5eb2d5b1d5a3bb1d2ac5eb2d5";
const ALL: [Part; 3] = [Part::Config, Part::Parameters, Part::Tokenizer];

/// Folders for the places and for the experiment file.
struct Folders {
    folder: TempDir,
    places: Places,
}

impl Folders {
    fn new(hub_endpoint: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name));
        let places = Places {
            mirror_data: None,
            mirror_models: path("models"),
            hf_home: path("hf"),
            cache: path("cache"),
            hub_endpoint: hub_endpoint.to_owned(),
        };
        Self { folder, places }
    }

    fn put(&self, path: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{}").unwrap();
    }

    fn locate(&self, path_or_name: &str, parts: &[Part], offline: bool) -> Result<PathBuf, ModelError> {
        let request = Request {
            path_or_name,
            parts,
            base_dir: &self.folder.path().join("experiments"),
            offline,
        };
        locate(&request, &self.places, &|_| {})
    }

    #[track_caller]
    fn finds(&self, expected: &str) {
        let found = self.locate("tiny", &[Part::Tokenizer], true).unwrap();
        assert_eq!(found, self.folder.path().join(expected));
    }
}

/// Starts a server that answers each path with the given body until the test ends.
fn serve(bodies: HashMap<String, String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let path = request.split(' ').nth(1).unwrap();
            let (status, body) = match bodies.get(path) {
                Some(body) => ("200 OK", body.as_str()),
                None => ("404 Not Found", ""),
            };
            let length = body.len();
            let response =
                format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(response.as_bytes()).unwrap();
        }
    });
    endpoint
}

/// Starts a hub with the model `owner/tiny` of these files. The content of each file is its name.
fn hub(files: &[&str]) -> String {
    let siblings: Vec<_> = files
        .iter()
        .map(|file| serde_json::json!({"rfilename": file}))
        .collect();
    let listing = serde_json::json!({"sha": REVISION, "siblings": siblings}).to_string();
    let addresses = files.iter().map(|file| {
        (
            format!("/owner/tiny/resolve/{REVISION}/{file}"),
            (*file).to_owned(),
        )
    });
    serve(
        addresses
            .chain([("/api/models/owner/tiny".to_owned(), listing)])
            .collect(),
    )
}

/// An endpoint without a server: no server listens on port 1.
const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn places_are_searched_in_order() {
    let world = Folders::new(NOWHERE);
    world.put(&format!(
        "cache/hub/models--owner--tiny/snapshots/{REVISION}/tokenizer.json"
    ));
    world.finds(&format!("cache/hub/models--owner--tiny/snapshots/{REVISION}"));
    world.put("hf/hub/models--tiny/snapshots/aaaaaaa/tokenizer.json");
    world.finds("hf/hub/models--tiny/snapshots/aaaaaaa");
    world.put("models/tiny/tokenizer.json");
    world.finds("models/tiny");
    world.put("experiments/tiny/tokenizer.json");
    world.finds("experiments/tiny");
}

#[test]
fn a_missing_model_lists_all_three_remedies() {
    let world = Folders::new(NOWHERE);
    for offline in [true, false] {
        let message = world.locate("owner/tiny", &ALL, offline).unwrap_err().to_string();
        for way in ["$MIRROR_MODELS/owner/tiny/", "Hugging Face cache", "--offline"] {
            assert!(message.contains(way), "{message}");
        }
    }
}

#[test]
fn a_folder_without_a_required_part_is_named() {
    let world = Folders::new(NOWHERE);
    world.put("models/tiny/config.json");
    world.put("models/tiny/tokenizer.json");
    let message = world.locate("tiny", &ALL, true).unwrap_err().to_string();
    assert!(
        message.contains("models/tiny has no model.safetensors"),
        "{message}"
    );
}

#[test]
fn an_invalid_name_is_reported_as_a_missing_folder() {
    let world = Folders::new(NOWHERE);
    for path in ["../tiny", "/nowhere/tiny", "a/b/c"] {
        let error = world.locate(path, &ALL, false).unwrap_err();
        assert!(matches!(error, ModelError::NoSuchFolder { .. }), "{error}");
    }
}

#[test]
fn the_required_parts_of_a_name_are_downloaded_and_cached() {
    let files = [
        "README.md",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    let world = Folders::new(&hub(&files));
    let tokenizer = world.locate("owner/tiny", &[Part::Tokenizer], false).unwrap();
    let names = |folder: &Path| {
        let mut names = crate::files(folder).unwrap();
        names.sort();
        names
    };
    assert_eq!(names(&tokenizer), ["tokenizer.json", "tokenizer_config.json"]);
    // The remaining parts are added to the existing snapshot.
    let model = world.locate("owner/tiny", &ALL, false).unwrap();
    assert_eq!(model, tokenizer);
    let wanted: Vec<&str> = files
        .into_iter()
        .filter(|file| !["README.md", "pytorch_model.bin"].contains(file))
        .collect();
    assert_eq!(names(&model), wanted);
    let config = fs::read_to_string(model.join("config.json")).unwrap();
    assert_eq!(config, "config.json");
    assert_eq!(world.locate("owner/tiny", &ALL, true).unwrap(), model);
}

#[test]
fn a_repository_without_the_required_parts_is_reported() {
    let world = Folders::new(&hub(&["config.json", "tf_model.h5"]));
    let error = world
        .locate("owner/tiny", &[Part::Config, Part::Parameters], false)
        .unwrap_err();
    let ModelError::NotFound { source, .. } = error else {
        panic!("{error}")
    };
    assert!(matches!(*source, HubError::NothingWanted { .. }), "{source}");
}

#[test]
fn reported_progress_adds_up_to_the_announced_size() {
    let world = Folders::new(&hub(&["tokenizer.json"]));
    let reported = Mutex::new((None, 0, 0));
    let progress = |progress: Progress<'_>| {
        let mut reported = reported.lock().unwrap();
        match progress {
            Progress::Begins { bytes, .. } => reported.0 = bytes,
            Progress::Read(bytes) => reported.1 += bytes,
            Progress::Ends => reported.2 += 1,
        }
    };
    let request = Request {
        path_or_name: "owner/tiny",
        parts: &[Part::Tokenizer],
        base_dir: world.folder.path(),
        offline: false,
    };
    locate(&request, &world.places, &progress).unwrap();
    assert_eq!(reported.into_inner().unwrap(), (Some(14), 14, 1));
}
