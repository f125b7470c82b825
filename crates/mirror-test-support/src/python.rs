//! Python as a reference: a test compares its results with those of pandas, SciPy or scikit-learn.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A Python interpreter with the packages of `crates/mirror-test-support/python/requirements.txt`.
#[derive(Debug, Clone)]
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// Returns the interpreter that `MIRROR_PYTHON` names. Returns `None` and prints a line to standard error if the
    /// variable is not set.
    ///
    /// # Panics
    ///
    /// Panics in CI if the variable is not set.
    pub fn find() -> Option<Self> {
        if let Some(interpreter) = std::env::var_os("MIRROR_PYTHON") {
            return Some(Self {
                interpreter: interpreter.into(),
            });
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "MIRROR_PYTHON is not set: `.ci/run` sets it to a Python with the packages that tests compare with"
        );
        eprintln!(
            "skipped: MIRROR_PYTHON is not set; create a Python environment, install \
             crates/mirror-test-support/python/requirements.txt with pip, and set MIRROR_PYTHON to its bin/python"
        );
        None
    }

    /// Runs a script and returns the value that it assigns to `result`. The script reads `input` from the variable
    /// `data`. In both, a missing number is `null` or `None`, because JSON has no NaN.
    ///
    /// # Panics
    ///
    /// Panics with the script's standard error if the script fails.
    pub fn run(&self, script: &str, input: &Value) -> Value {
        let program = format!(
            "import json, sys\ndata = json.load(sys.stdin)\n{script}\njson.dump(result, sys.stdout, allow_nan=False)\n"
        );
        let mut child = Command::new(&self.interpreter)
            .arg("-c")
            .arg(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.interpreter.display()));
        let mut stdin = child.stdin.take().expect("the input is a pipe");
        // A script that ends early breaks the pipe. Its status and standard error then give the reason.
        let written = stdin.write_all(input.to_string().as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("the output can be read");
        let numbered: Vec<String> = (1..)
            .zip(program.lines())
            .map(|(number, line)| format!("{number:4} {line}"))
            .collect();
        let context = || {
            format!(
                "{}\nthe script:\n{}",
                String::from_utf8_lossy(&output.stderr),
                numbered.join("\n")
            )
        };
        assert!(
            output.status.success(),
            "the Python script failed ({}):\n{}",
            output.status,
            context()
        );
        written
            .unwrap_or_else(|error| panic!("cannot write the input of the script: {error}\n{}", context()));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("the script printed invalid JSON: {error}\n{}", context()))
    }
}
