//! Key files that are written, read, damaged, and exchanged with other programs' ones.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mirror_identity::MiniSecret;
use mirror_keyfile::{KeyFile, KeyFileError, Password};
use tempfile::TempDir;

/// The seed and the address of Substrate's development key //Alice, which its documentation publishes.
const ALICE_SEED: &str = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";
const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

fn alice() -> KeyFile {
    let mut seed = [0; 32];
    for (byte, digits) in seed.iter_mut().zip(ALICE_SEED.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).expect("ASCII");
        *byte = u8::from_str_radix(digits, 16).expect("hexadecimal");
    }
    KeyFile::new(MiniSecret::from_bytes(seed))
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("key");
    (folder, path)
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).expect("the file is written");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("the mode is set");
}

#[test]
fn a_key_file_is_read_as_it_was_written() {
    for password in [None, Some(Password::new("correct horse"))] {
        let (_folder, path) = folder();
        alice()
            .create(&path, password.as_ref())
            .expect("the file is created");
        let mode = fs::metadata(&path).expect("the file exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(KeyFile::is_encrypted(&path).ok(), Some(password.is_some()));
        let read = KeyFile::read(&path, password.as_ref()).expect("the file is valid");
        assert_eq!(read.public().to_string(), ALICE);
        let bytes = fs::read(&path).expect("the file is read");
        let shows_seed = String::from_utf8_lossy(&bytes).contains(ALICE_SEED);
        assert_eq!(shows_seed, password.is_none());
        // An existing key is never overwritten.
        assert!(matches!(alice().create(&path, None), Err(KeyFileError::Io(_))));
        assert_eq!(fs::read(&path).ok(), Some(bytes));
    }
}

#[test]
fn a_wrong_or_missing_password_and_any_changed_digit_are_refused() {
    let (_folder, path) = folder();
    let password = Password::new("correct horse");
    alice()
        .create(&path, Some(&password))
        .expect("the file is created");
    assert!(matches!(KeyFile::read(&path, None), Err(KeyFileError::Encrypted)));
    let wrong = KeyFile::read(&path, Some(&Password::new("correct house")));
    assert!(matches!(wrong, Err(KeyFileError::Password)));
    let vault = fs::read(&path).expect("the file is read");
    for at in (26..vault.len()).step_by(97) {
        let mut changed = vault.clone();
        changed[at] = if changed[at] == b'3' { b'4' } else { b'3' };
        write(&path, &changed);
        let read = KeyFile::read(&path, Some(&password));
        assert!(
            matches!(read, Err(KeyFileError::Password | KeyFileError::Vault)),
            "byte {at}: {read:?}"
        );
    }
    for length in (0..vault.len()).step_by(61) {
        write(&path, &vault[..length]);
        assert!(KeyFile::read(&path, Some(&password)).is_err(), "{length} bytes");
    }
}

#[test]
fn invalid_files_are_refused_without_showing_their_content() {
    let (_folder, path) = folder();
    let with =
        |seed: &str, address: &str| format!(r#"{{"secretSeed": "{seed}", "ss58Address": "{address}"}}"#);
    let seed = format!("0x{ALICE_SEED}");
    let other = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";
    for content in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        with(ALICE_SEED, ALICE),
        with(&seed[..65], ALICE),
        with(&format!("{seed}00"), ALICE),
        with(&seed, other),
        format!("{{\"secretSeed\": \"{seed}\""),
        format!("\"{seed}\""),
        "gAAAAABkX2".to_owned(),
        "$ANSIBLE_VAULT;1.2;AES256;dev\n3132".to_owned(),
        "x".repeat(70_000),
    ] {
        write(&path, &content);
        let error = KeyFile::read(&path, Some(&Password::new("any"))).expect_err("the file is invalid");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&ALICE_SEED[..16]), "{shown}");
    }
    write(&path, with(&seed, ALICE));
    KeyFile::read(&path, None).expect("the file is valid");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("the mode is set");
    let error = KeyFile::read(&path, None)
        .expect_err("its group may read it")
        .to_string();
    assert!(error.contains("640") && error.contains("chmod 600"), "{error}");
}

#[test]
fn no_output_for_people_contains_a_secret() {
    let shown = format!("{:?} {:?}", alice(), Password::new("correct horse"));
    assert!(
        !shown.contains("horse") && !shown.contains(&ALICE_SEED[..8]),
        "{shown}"
    );
    assert_eq!(format!("{:?}", MiniSecret::from_bytes([7; 32])), "MiniSecret");
}
