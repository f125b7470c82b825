//! Tests of the images of the containers, which are built from the programs next to the test.

mod engine;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use mirror_tests::{TestEnv, eventually};
use serde_json::Value;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::engine::Engine;

/// The user and the group of the images.
const USER: u32 = 65532;

/// An image and the properties that it must have.
struct Expected {
    name: &'static str,
    /// The limit of the size in millions of bytes.
    megabytes: u64,
    entrypoint: &'static str,
    programs: &'static [&'static str],
    /// Components that it must list, as the beginning of a package URL.
    components: &'static [&'static str],
}

const IMAGES: [Expected; 3] = [
    Expected {
        name: "node",
        megabytes: 80,
        entrypoint: "/usr/bin/mirror-agent",
        programs: &["mirror-agent", "mirror-miner", "mirror-proxy", "mirror-subtensor"],
        components: &["pkg:cargo/mirror-miner@", "pkg:cargo/tonic@"],
    },
    Expected {
        name: "coordinator",
        megabytes: 200,
        entrypoint: "/usr/bin/mirror",
        programs: &["duckdb", "mirror"],
        components: &["pkg:cargo/mirror@", "pkg:cargo/parquet@"],
    },
    Expected {
        name: "validator",
        megabytes: 700,
        entrypoint: "/usr/bin/mirror-agent",
        programs: &["mirror-agent", "mirror-validator"],
        components: &["pkg:cargo/mirror-validator@", "pkg:cargo/tch@"],
    },
];

/// Arguments with which a container has as few rights as possible.
const RESTRICTED: [&str; 7] = [
    "--rm",
    "--network=none",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--pull=never",
    "--entrypoint",
];

/// All in one test, because the images are built once for one engine.
#[tokio::test]
async fn the_images_hold_only_their_programs_and_run_an_experiment() {
    let Some(engine) = Engine::find() else {
        return;
    };
    let env = TestEnv::new();
    build(&engine, &env);
    for image in &IMAGES {
        has_the_properties(&engine, &env, image);
    }
    the_quick_start_has_the_same_events(&engine, &env).await;
}

/// Builds the images from the programs next to the test.
fn build(engine: &Engine, env: &TestEnv) {
    let xtask = env.programs().join("xtask");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("xtask");
    let built = engine
        .client(&xtask)
        .arg("images")
        .env("CARGO_MANIFEST_DIR", manifest)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: build it with `cargo xtask test`", xtask.display()));
    assert!(built.status.success(), "{built:?}");
    let printed = String::from_utf8_lossy(&built.stdout);
    for image in &IMAGES {
        assert!(printed.contains(&tag(image)), "{printed}");
    }
}

fn tag(image: &Expected) -> String {
    format!("mirror-neuron/{}", image.name)
}

fn has_the_properties(engine: &Engine, env: &TestEnv, image: &Expected) {
    let tag = tag(image);
    let inspected = engine.docker(&["image", "inspect", "--format", "{{json .}}", &tag]);
    let inspected: Value = serde_json::from_str(&inspected).expect("`docker` prints JSON");
    let size = inspected["Size"].as_u64().expect("a size");
    assert!(size < image.megabytes * 1_000_000, "{tag} has {size} bytes");
    let config = &inspected["Config"];
    assert_eq!(config["User"], format!("{USER}:{USER}"), "{tag}");
    assert_eq!(
        config["Entrypoint"],
        serde_json::json!([image.entrypoint]),
        "{tag}"
    );
    has_labels(&tag, &config["Labels"]);

    for program in image
        .programs
        .iter()
        .filter(|program| program.starts_with("mirror"))
    {
        runs_without_rights(engine, &tag, &format!("/usr/bin/{program}"));
    }
    let files = files(engine, env, image);
    let programs: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| file.rsplit_once("bin/"))
        .map(|(_, program)| program)
        .filter(|program| !program.is_empty())
        .collect();
    assert_eq!(programs, image.programs.iter().copied().collect(), "{tag}");
    lists_its_components(env, image);
}

fn has_labels(tag: &str, labels: &Value) {
    let label = |name: &str| {
        let label = &labels[format!("org.opencontainers.image.{name}")];
        label
            .as_str()
            .unwrap_or_else(|| panic!("{tag} has no label {name}"))
            .to_owned()
    };
    assert!(label("title").starts_with("Mirror Neuron"), "{}", label("title"));
    assert!(!label("description").is_empty(), "{tag}");
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(label("source"), env!("CARGO_PKG_REPOSITORY"));
    let revision = label("revision");
    let commit = revision.trim_end_matches("-modified");
    let is_hexadecimal = commit.chars().all(|digit| digit.is_ascii_hexdigit());
    assert!(commit.len() == 40 && is_hexadecimal, "{revision}");
}

/// Checks that a program of an image starts with a read-only file system and without capabilities: it finds its
/// libraries.
fn runs_without_rights(engine: &Engine, tag: &str, program: &str) {
    let words = [&["run"], &RESTRICTED[..], &[program, tag, "--version"]].concat();
    let output = engine.try_docker(&words);
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    // A node takes no arguments: it reports that it has no launch config.
    let is_known = text.contains(env!("CARGO_PKG_VERSION")) || text.contains("launch config");
    assert!(is_known, "{tag} {program}: {text}");
}

/// Returns the paths of the files of an image, and copies its list of components to the test's folder.
fn files(engine: &Engine, env: &TestEnv, image: &Expected) -> Vec<String> {
    let container = engine.docker(&["create", "--network=none", "--pull=never", &tag(image)]);
    let archive = env.path().join("files.tar");
    let archive = archive.to_str().expect("a temporary path is text");
    engine.docker(&["export", "--output", archive, &container]);
    let folder = env.path().join(image.name);
    let folder = folder.to_str().expect("a temporary path is text");
    engine.docker(&["cp", &format!("{container}:/usr/share/sbom"), folder]);
    engine.docker(&["rm", &container]);
    let listed = Command::new("tar")
        .args(["--list", "--file", archive])
        .output()
        .expect("`tar` starts");
    assert!(listed.status.success(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout).expect("paths are text");
    listed.lines().map(str::to_owned).collect()
}

fn lists_its_components(env: &TestEnv, image: &Expected) {
    let file = format!("{}/mirror-neuron-{}.cdx.json", image.name, image.name);
    let text = fs::read_to_string(env.path().join(file)).expect("the image lists its components");
    let list: Value = serde_json::from_str(&text).expect("the list is JSON");
    assert_eq!(list["bomFormat"], "CycloneDX");
    assert_eq!(list["metadata"]["component"]["name"], tag(image));
    let components = list["components"].as_array().expect("an array");
    for wanted in image.components {
        let found = components
            .iter()
            .find(|component| {
                component["purl"]
                    .as_str()
                    .is_some_and(|url| url.starts_with(wanted))
            })
            .unwrap_or_else(|| panic!("{} does not list {wanted}", image.name));
        assert!(found["licenses"][0]["expression"].is_string(), "{found}");
    }
    // Every component can be identified, and its version is known or its content.
    for component in components {
        let is_known = component["purl"].is_string() || component["hashes"][0]["content"].is_string();
        assert!(component["name"].is_string() && is_known, "{component}");
    }
}

async fn the_quick_start_has_the_same_events(engine: &Engine, env: &TestEnv) {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("");
    let files = [
        "deploy/compose.yml",
        "deploy/compose-agents.yml",
        "configs/quickstart.yml",
    ];
    for file in files {
        env.file(
            file,
            fs::read(checkout.join(file)).expect("the checkout has the file"),
        );
    }
    let runs = env.path().join("deploy/runs");
    fs::create_dir(&runs).expect("a folder for the runs");
    fs::set_permissions(&runs, Permissions::from_mode(0o777)).expect("it was created above");

    let compose = |words: &[&str]| {
        let mut compose = engine.compose();
        compose
            .args(["--file", "deploy/compose.yml"])
            .args(words)
            .current_dir(env.path());
        compose.output().expect("Docker's compose is installed")
    };
    let agents = compose(&["up", "--detach", "nodes", "validators"]);
    assert!(agents.status.success(), "{agents:?}");
    for (address, service) in [("127.0.1.1:7071", "nodes"), ("127.0.1.2:7071", "validators")] {
        let listed = compose(&["ps", "--quiet", service]);
        let container = String::from_utf8(listed.stdout).expect("an id is text");
        let container = container.trim_end();
        eventually(&format!("the agent {service} listens"), || {
            let is_running = engine.docker(&["inspect", "--format", "{{.State.Running}}", container]);
            assert_eq!(is_running, "true", "{service} ended: {:?}", compose(&["logs"]));
            TcpStream::connect(address).ok()
        });
        is_healthy(&format!("http://{address}")).await;
        has_no_rights(engine, container);
    }
    let ran = compose(&["run", "--rm", "-T", "coordinator"]);
    assert!(ran.status.success(), "{ran:?}\n{:?}", compose(&["logs"]));
    let removed = compose(&["down", "--volumes"]);
    assert!(removed.status.success(), "{removed:?}");

    let mut folders = fs::read_dir(&runs).expect("the folder of the runs").flatten();
    let folder = folders
        .find(|entry| entry.path().join("manifest.json").exists())
        .expect("the coordinator has written a run")
        .path();
    assert_eq!(folder.metadata().expect("it exists").uid(), USER);
    let local = env.done("configs/quickstart.yml", &[]);
    let folder = folder.to_str().expect("a temporary path is text");
    let same = env.mirror(&["runs", "diff", &local.manifest().id, folder]);
    assert_eq!(same.status, Some(0), "{same:?}");
    assert!(same.out.contains("the same events"), "{same:?}");
}

/// Checks that the agent at an address answers that it serves.
async fn is_healthy(address: &str) {
    let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
    let channel = endpoint.connect().await.expect("the agent listens");
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await
        .expect("an agent answers health checks");
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
}

/// Checks the process of a running container: its user, its capabilities, and its root file system.
fn has_no_rights(engine: &Engine, container: &str) {
    let pid = engine.docker(&["inspect", "--format", "{{.State.Pid}}", container]);
    let of_process = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it runs");
    let status = of_process("status");
    let value = |key: &str| {
        let mut lines = status.lines();
        lines
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"))
            .expect("the kernel's format")
    };
    assert_eq!(value("Uid"), [USER; 4].map(|id| id.to_string()).join("\t"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(set), "0000000000000000", "{set}");
    }
    assert_eq!(value("NoNewPrivs"), "1");
    let mounts = of_process("mounts");
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(1) == Some("/"))
        .expect("a root");
    assert!(root.contains(" ro,"), "{root}");
}
