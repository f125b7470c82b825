//! Controls Chromium with the DevTools protocol over a pipe: <https://chromedevtools.github.io/devtools-protocol/>.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Maximum time for a reply of the browser, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Names of the executable on Debian and other systems.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A page in a separate browser process.
pub(crate) struct Page {
    browser: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    calls: u64,
    console: Vec<String>,
    _profile: TempDir,
}

/// Returns whether there is a browser. Without one, prints that the test is skipped, but panics in CI.
pub(crate) fn is_installed() -> bool {
    let found = NAMES.iter().any(|name| has_program(name));
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "Chromium is not installed: apt-get install chromium"
        );
        eprintln!("skipped: Chromium is not installed");
    }
    found
}

fn has_program(name: &str) -> bool {
    let found = Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

/// Opens a file as a page. Without a browser, returns `None` and prints that the test is skipped, but panics in CI.
pub(crate) fn open(file: &Path) -> Option<Page> {
    if !is_installed() {
        return None;
    }
    let profile = tempfile::tempdir().expect("a folder for the browser");
    let mut browser = NAMES.iter().find_map(|name| start(name, profile.path()))?;
    let output = browser.stdout.take().expect("the output is a pipe");
    let (sender, messages) = mpsc::channel();
    thread::spawn(move || {
        for message in BufReader::new(output).split(0) {
            let Ok(message) = message else { return };
            let message = serde_json::from_slice(&message).expect("the browser sends JSON");
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    let mut page = Page {
        input: browser.stdin.take().expect("the input is a pipe"),
        browser,
        messages,
        session: None,
        calls: 0,
        console: Vec::new(),
        _profile: profile,
    };
    let target = page.call("Target.createTarget", &json!({"url": "about:blank"}));
    let attach = json!({"targetId": target["targetId"], "flatten": true});
    let session = page.call("Target.attachToTarget", &attach);
    page.session = session["sessionId"].as_str().map(str::to_owned);
    for domain in ["Page", "Runtime", "Log"] {
        page.call(&format!("{domain}.enable"), &json!({}));
    }
    let address = format!("file://{}", file.display());
    let opened = page.call("Page.navigate", &json!({"url": address}));
    assert!(opened.get("errorText").is_none(), "{opened}");
    page.receive("Page.loadEventFired", |message| {
        message["method"] == "Page.loadEventFired"
    });
    Some(page)
}

/// Starts the program named `name` if it exists. It reads commands from descriptor 3 and writes messages to descriptor
/// 4, to which the shell redirects its standard input and output.
fn start(name: &str, profile: &Path) -> Option<Child> {
    if !has_program(name) {
        return None;
    }
    let browser = Command::new("sh")
        .args([
            "-c",
            "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            "sh",
            name,
        ])
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--remote-debugging-pipe", "--window-size=1280,900"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    Some(browser.expect("a shell starts"))
}

impl Page {
    /// Returns the value of a JavaScript expression. If it is a promise, waits until it is settled.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let call = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let evaluated = self.call("Runtime.evaluate", &call);
        assert!(
            evaluated.get("exceptionDetails").is_none(),
            "{expression}: {evaluated}"
        );
        evaluated["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let waiting = format!(
            "new Promise((done) => {{ const look = () => ({expression}) ? done(true) : setTimeout(look, 20); look(); }})"
        );
        self.evaluate(&waiting);
    }

    /// Clicks with the mouse on the middle of the element that `expression` returns, as a user would.
    #[track_caller]
    pub(crate) fn click(&mut self, expression: &str) {
        let place = self.evaluate(&format!(
            "(() => {{ const element = {expression}; element.scrollIntoView({{block: 'center', behavior: 'instant'}}); \
             const box = element.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            self.call(
                "Input.dispatchMouseEvent",
                &json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}),
            );
        }
    }

    /// Sets the size of the screen in CSS pixels.
    #[track_caller]
    pub(crate) fn set_screen(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Sets the preferred colour scheme: `light` or `dark`.
    #[track_caller]
    pub(crate) fn set_color_scheme(&mut self, scheme: &str) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &media);
    }

    /// Prints the page on A4 and returns the PDF.
    #[track_caller]
    pub(crate) fn print(&mut self) -> Vec<u8> {
        let printed = self.call(
            "Page.printToPDF",
            &json!({"preferCSSPageSize": true, "printBackground": true}),
        );
        let data = printed["data"].as_str().expect("the PDF is in base64");
        base64::engine::general_purpose::STANDARD
            .decode(data)
            .expect("the PDF is in base64")
    }

    /// Returns the errors and console messages of the page so far.
    pub(crate) fn console(&mut self) -> &[String] {
        // All earlier messages have been received when this call is answered.
        self.evaluate("0");
        &self.console
    }

    /// Calls a method of the protocol and returns its result.
    #[track_caller]
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            call["sessionId"] = session.as_str().into();
        }
        let sent = self.input.write_all(format!("{call}\0").as_bytes());
        sent.and_then(|()| self.input.flush())
            .unwrap_or_else(|error| panic!("{method}: the browser has exited: {error}"));
        let mut answer = self.receive(method, |message| message["id"] == id);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Returns the next message for which `wanted` is true. Console messages that are received before it are kept.
    #[track_caller]
    fn receive(&mut self, reason: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self
                .messages
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("{reason}: the browser does not answer: {error}"));
            if let "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded" =
                message["method"].as_str().unwrap_or_default()
            {
                self.console.push(message["params"].to_string());
            }
            if wanted(&message) {
                return message;
            }
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // The browser may have exited already.
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
