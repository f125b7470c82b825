use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use super::*;

const REVISION: &str = "3dd2d5a3bb1d2ac5eb2d5b1d5a3bb1d2ac5eb2d5";
const TRAIN: &str = "{\"question\": \"q\", \"answer\": [\"a\"]}\n";

/// Starts a server that answers each path with the given raw HTTP response until the test ends.
fn serve(responses: HashMap<String, String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let path = request.split(' ').nth(1).unwrap();
            let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let response = responses.get(path).map_or(missing, String::as_str);
            stream.write_all(response.as_bytes()).unwrap();
        }
    });
    endpoint
}

/// Downloads the training split of `owner/moons`.
fn fetch(endpoint: &str, root: &Path) -> Result<(), HubError> {
    let training_split = Choice {
        of: &train_files,
        wanted: "any files of the training split",
        bytes_max: SIZE_MAX,
    };
    mirror_hub::fetch(
        endpoint,
        Kind::Dataset,
        "owner/moons",
        root,
        &training_split,
        &|_| {},
    )
}

/// Returns the folder of `owner/moons` and the files of its training split.
fn found_in(root: &Path) -> Option<(PathBuf, Vec<PathBuf>)> {
    let folder = mirror_hub::find(root, Kind::Dataset, "owner/moons").unwrap()?;
    let files = mirror_hub::files(&folder).unwrap();
    let train = train_files(&files).unwrap();
    let train = train.iter().map(|file| folder.join(file)).collect();
    Some((folder, train))
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn moved(to: &str) -> String {
    format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    )
}

fn listing(revision: &str, files: &[&str]) -> String {
    let siblings: Vec<_> = files
        .iter()
        .map(|file| serde_json::json!({"rfilename": file}))
        .collect();
    serde_json::json!({"id": "owner/moons", "sha": revision, "siblings": siblings}).to_string()
}

fn file_path(file: &str) -> String {
    format!("/datasets/owner/moons/resolve/{REVISION}/{file}")
}

fn responses<const N: usize>(pairs: [(&str, String); N]) -> HashMap<String, String> {
    pairs.map(|(path, response)| (path.to_owned(), response)).into()
}

#[track_caller]
fn check_refused(responses: HashMap<String, String>, expected: &str) {
    let root = tempfile::tempdir().unwrap();
    let endpoint = serve(responses);
    let error = fetch(&endpoint, root.path()).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(found_in(root.path()), None);
}

/// The data set is downloaded once and then found without the hub.
#[test]
fn a_named_data_set_is_downloaded_and_cached() {
    let cache = tempfile::tempdir().unwrap();
    let files = [
        "README.md",
        "data/train 1.jsonl",
        "data/train-0.jsonl",
        "data/test-0.jsonl",
    ];
    let second = TRAIN.replace('q', "q2").replace("q2uestion", "question");
    let endpoint = serve(responses([
        ("/api/datasets/owner/moons", moved("/api/datasets/owner/moons2")),
        ("/api/datasets/owner/moons2", ok(&listing(REVISION, &files))),
        (&file_path("data/train-0.jsonl"), moved("/elsewhere")),
        ("/elsewhere", ok(&second)),
        (&file_path("data/train%201.jsonl"), ok(TRAIN)),
    ]));
    let places = |hub_endpoint: &str| Places {
        mirror_data: None,
        mirror_models: None,
        hf_home: None,
        cache: Some(cache.path().to_owned()),
        hub_endpoint: hub_endpoint.to_owned(),
    };
    let request = |offline| Request {
        path_or_name: "owner/moons".to_owned(),
        schema: Schema::default(),
        offline,
        base_dir: cache.path().to_owned(),
    };

    let error = resolve(&request(true), &places(&endpoint)).unwrap_err();
    assert!(matches!(error, ResolveError::Offline { .. }), "{error}");

    let fetched = resolve(&request(false), &places(&endpoint)).unwrap();
    let questions: Vec<&str> = fetched.rows.iter().map(|row| row.question.as_str()).collect();
    assert_eq!(questions, ["q", "q2"]);
    assert!(fetched.origin.contains(REVISION), "{}", fetched.origin);

    let kept = resolve(&request(true), &places("http://127.0.0.1:1")).unwrap();
    assert_eq!(kept, fetched);
}

#[test]
fn a_repeated_download_keeps_the_files() {
    let root = tempfile::tempdir().unwrap();
    let endpoint = serve(responses([
        (
            "/api/datasets/owner/moons",
            ok(&listing(REVISION, &["train.jsonl"])),
        ),
        (&file_path("train.jsonl"), ok(TRAIN)),
    ]));
    fetch(&endpoint, root.path()).unwrap();
    fetch(&endpoint, root.path()).unwrap();
    let (_, files) = found_in(root.path()).unwrap();
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), TRAIN);
}

#[test]
fn a_name_that_is_unknown_to_the_hub_is_refused() {
    check_refused(responses([]), "/api/datasets/owner/moons cannot be fetched");
}

#[test]
fn an_invalid_listing_is_refused() {
    let api = "/api/datasets/owner/moons";
    check_refused(
        responses([(api, ok("<html>"))]),
        "did not return a repository listing",
    );
    let evil = listing("../../../etc", &["train.csv"]);
    check_refused(responses([(api, ok(&evil))]), "which is not a hash");
    let other = listing(REVISION, &["README.md", "test.csv"]);
    check_refused(
        responses([(api, ok(&other))]),
        "does not list any files of the training split",
    );
}

#[test]
fn an_interrupted_transfer_leaves_no_files() {
    let cut = ok(TRAIN).replace(TRAIN, "{");
    check_refused(
        responses([
            (
                "/api/datasets/owner/moons",
                ok(&listing(REVISION, &["train.jsonl"])),
            ),
            (&file_path("train.jsonl"), cut),
        ]),
        "was interrupted",
    );
}

#[test]
fn a_path_in_the_listing_cannot_leave_the_cache() {
    let root = tempfile::tempdir().unwrap();
    let outside = "../../../../train.jsonl";
    let endpoint = serve(responses([
        ("/api/datasets/owner/moons", ok(&listing(REVISION, &[outside]))),
        (&file_path(outside), ok(TRAIN)),
    ]));
    fetch(&endpoint, root.path()).unwrap();
    let (folder, files) = found_in(root.path()).unwrap();
    assert!(files.iter().all(|file| file.starts_with(root.path())));
    assert_eq!(files[0].parent(), Some(folder.as_path()));
}
