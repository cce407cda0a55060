//! The page in a real browser, Debian's chromium, that is told what to do through pipes (the Chrome
//! `DevTools` protocol, `--remote-debugging-pipe`). What it shows is left as pictures in `target/page/`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::caller::{SETTINGS, daemon};
use super::stage::{Stage, degraded, healthy, own_address, past, restarting};
use crate::support::daemon::Warden;
use crate::support::{GUARD, skip, wait_until};

const PROGRAM: &str = "/usr/bin/chromium";

/// A browser with one tab.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    last: u64,
    session: Value,
    /// What it complained of.
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// None where there is none.
    fn start() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            skip("chromium is not installed");
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            // It reads what to do from descriptor 3, and answers on 4.
            .args([
                "-c",
                "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
                "sh",
                PROGRAM,
            ])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--disable-extensions",
                "--hide-scrollbars",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).split(0);
        let (to_test, from) = channel();
        thread::spawn(move || {
            for answer in answers.map_while(Result::ok) {
                let answer = serde_json::from_slice(&answer).unwrap();
                if to_test.send(answer).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            to: child.stdin.take().unwrap(),
            child,
            from,
            last: 0,
            session: Value::Null,
            complaints: Vec::new(),
            _profile: profile,
        };
        let tab = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let tab = json!({ "targetId": tab["targetId"], "flatten": true });
        browser.session = browser.call("Target.attachToTarget", &tab)["sessionId"].clone();
        for domain in ["Page", "Log", "Runtime"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Has something done, and gives the result.
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut call = json!({ "id": self.last, "method": method, "params": params });
        if !self.session.is_null() {
            call["sessionId"] = self.session.clone();
        }
        self.to.write_all(call.to_string().as_bytes()).unwrap();
        self.to.write_all(&[0]).unwrap();
        loop {
            let answer = self.from.recv_timeout(GUARD).expect(method);
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            if ["Log.entryAdded", "Runtime.exceptionThrown"]
                .iter()
                .any(|it| answer["method"] == *it)
            {
                self.complaints.push(answer["params"].to_string());
            }
        }
    }

    /// The value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", &asked);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    fn wait(&mut self, expression: &str) {
        let is = wait_until(GUARD, || (self.value(expression) == true).then_some(()));
        let body = self.value("document.body.innerText");
        assert!(
            is.is_some(),
            "it never was so: {expression}; the page says {body}"
        );
    }

    fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
        self.wait("document.readyState === 'complete' && !!document.getElementById('verdict')");
    }

    /// As wide as that, in the light or in the dark.
    fn looks(&mut self, width: u32, scheme: &str) {
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    /// The whole page as a picture.
    fn picture(&mut self, name: &str) {
        let asked = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.call("Page.captureScreenshot", &asked);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page");
        fs::create_dir_all(&folder).unwrap();
        let base64 = folder.join(format!("{name}.base64"));
        fs::write(&base64, picture["data"].as_str().unwrap()).unwrap();
        let decoded = Command::new("base64")
            .arg("-d")
            .arg(&base64)
            .output()
            .unwrap();
        fs::write(folder.join(format!("{name}.png")), decoded.stdout).unwrap();
        fs::remove_file(base64).unwrap();
    }

    /// What assistive technology is given: `role: name` of each node.
    fn accessible(&mut self) -> Vec<String> {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().unwrap().iter();
        let nodes = nodes.filter(|node| node["ignored"] == false);
        let said = |it: &Value| it["value"].as_str().unwrap_or_default().to_owned();
        nodes
            .map(|node| format!("{}: {}", said(&node["role"]), said(&node["name"])))
            .collect()
    }

    /// The pieces of text whose contrast is below what WCAG 2 asks for at level AA, 4.5 to 1.
    fn faint(&mut self) -> Value {
        self.value(
            "(() => {
              const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
              const shine = ([r, g, b]) => [r, g, b].map((it) => it / 255)
                .map((it) => it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
                .reduce((sum, it, at) => sum + it * [0.2126, 0.7152, 0.0722][at], 0);
              const behind = (node) => {
                for (let it = node; it; it = it.parentElement) {
                  const colour = parts(getComputedStyle(it).backgroundColor);
                  if (colour[3] !== 0) return colour;
                }
                return [255, 255, 255];
              };
              const faint = [];
              const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
              while (walk.nextNode()) {
                const node = walk.currentNode.parentElement;
                if (!walk.currentNode.data.trim() || node.closest('svg')) continue;
                const both = [parts(getComputedStyle(node).color), behind(node)].map(shine);
                const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
                if (ratio < 4.5) faint.push([walk.currentNode.data, ratio]);
              }
              return faint;
            })()",
        )
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

#[test]
fn a_browser_shows_what_is_true_and_follows_it() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let mut stage = Stage::new(&healthy(), past());
    browser.looks(1000, "light");
    browser.open(&stage.url());
    browser.wait("document.querySelector('#live').textContent.includes('follows')");
    assert_eq!(
        browser.value("document.querySelector('h1').innerText"),
        "Protected"
    );
    let title = browser.value("document.title");
    assert!(
        title.as_str().unwrap().starts_with("Protected · "),
        "{title}"
    );
    assert_eq!(
        browser.value("document.querySelector('.state.lit text').textContent"),
        "healthy"
    );
    browser.picture("light");
    browser.looks(1000, "dark");
    browser.picture("dark");

    // It is told at once, and where one reads nothing is torn away.
    browser.value(
        "document.getElementById('verdict').mark = document.querySelector('table').mark = 'kept'",
    );
    browser.value("getSelection().selectAllChildren(document.querySelector('tbody th'))");
    stage.becomes(&restarting(), "fail2ban is down: its process is gone");
    browser.wait("document.querySelector('h1').innerText === 'Not protected'");
    assert_eq!(
        browser.value("document.querySelector('.state.lit text').textContent"),
        "restarting"
    );
    assert_eq!(
        browser.value("document.getElementById('verdict').mark"),
        "kept"
    );
    assert_eq!(
        browser.value("document.querySelector('table').mark"),
        "kept"
    );
    assert_eq!(browser.value("getSelection().toString()"), "mail");
    browser.wait("document.querySelector('.news').innerText.includes('its process is gone')");
    browser.value("getSelection().removeAllRanges()");
    browser.picture("incident-dark");
    browser.looks(1000, "light");
    browser.picture("incident");

    stage.becomes(&degraded(), "web is disabled");
    browser.wait("document.querySelector('h1').innerText === 'Partly protected'");
    browser.picture("partly");
    let mut hostile = degraded();
    hostile["jails"][0]["name"] = json!("<img src=x class=evil onerror=evil()>");
    hostile["findings"][0]["words"] = json!("<b class=evil>evil</b>");
    stage.becomes(&hostile, "<script class=evil>evil()</script>");
    browser.wait("document.querySelector('.news').innerText.includes('<script class=evil>')");
    browser.wait("document.querySelector('#waits').innerText.includes('<b class=evil>')");
    assert_eq!(
        browser.value("document.querySelectorAll('.evil').length"),
        0
    );
    for (width, scheme) in [
        (320, "light"),
        (360, "dark"),
        (360, "light"),
        (1000, "light"),
    ] {
        browser.looks(width, scheme);
        let overflow = "document.documentElement.scrollWidth > innerWidth";
        assert_eq!(browser.value(overflow), false, "at {width}");
        assert_eq!(browser.faint(), json!([]), "{scheme}");
        browser.picture(&format!("partly-{width}-{scheme}"));
    }

    let twice = "[...document.querySelectorAll('[id]')].map((it) => it.id).filter((it, at, all) => all.indexOf(it) !== at)";
    assert_eq!(browser.value(twice), json!([]));
    let tree = browser.accessible();
    for node in [
        "heading: Partly protected",
        "status: ",
        "main: ",
        "table: ",
        "columnheader: Jail",
        "rowheader: sshd",
        "cell: rolled back",
        "cell: none",
        "image: Last 24 hours",
        "image: The states of jailwarden, and the main ways between them",
    ] {
        assert!(tree.iter().any(|it| it == node), "no {node} in {tree:#?}");
    }
    assert_eq!(browser.complaints, [""; 0]);

    stage.falls_silent();
    browser.value(
        "dispatchEvent(new Event('x')), document.dispatchEvent(new Event('visibilitychange'))",
    );
    browser.wait("document.getElementById('lost').innerText.includes('gives no answer. What is below was true at')");
}

#[test]
fn what_is_shown_is_not_taken_for_true_when_jailwarden_is_gone() {
    let (Some(mut browser), Some(f2b)) = (Browser::start(), daemon()) else {
        return;
    };
    let address = own_address();
    let settings = format!("{SETTINGS}page: {{listen: '{address}'}}\n");
    let mut warden = Warden::start(&f2b, &settings);
    warden.wait_for("supervision begins");
    warden.wait_calm();
    browser.looks(1000, "light");
    browser.open(&format!("http://{address}/"));
    browser.wait("document.querySelector('h1').innerText === 'Protected'");
    assert_eq!(warden.end(), 0);
    browser.wait("document.getElementById('lost').innerText.includes('cannot be reached. What is below was true at')");
    browser.wait("document.title.startsWith('? ')");
    assert_eq!(browser.faint(), json!([]));
    browser.picture("lost");

    let warden = Warden::start(&f2b, &settings);
    warden.wait_for("supervision begins");
    browser.wait("document.getElementById('lost').innerText === ''");
    f2b.kill();
    warden.wait_for("fail2ban protects again");
    browser.wait("document.querySelector('.news').innerText.includes('fail2ban protects again')");
    browser.wait("document.querySelector('#incidents').innerText.includes('fail2ban is down')");
}

#[test]
fn without_javascript_it_shows_the_same() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let stage = Stage::new(&degraded(), past());
    browser.looks(1000, "light");
    browser.call(
        "Emulation.setScriptExecutionDisabled",
        &json!({ "value": true }),
    );
    browser.open(&stage.url());
    let text = browser.value("document.body.innerText");
    let text = text.as_str().unwrap();
    for fact in [
        "Partly protected",
        "3 of 4 jails protect; web is rolled back",
        "unterminated character set at position 19",
        "A faulty change waits on disk",
        "nginx-botsearch",
        "a jail went unprotected in 2 hours",
        "fail2ban does not answer, and uses no processor time",
        "degraded, for ",
        "Look again",
    ] {
        assert!(text.contains(fact), "no {fact} in {text}");
    }
    browser.picture("no-script");
    // All there is to operate is reached, and seen to be.
    for kind in ["keyDown", "keyUp"] {
        browser.call(
            "Input.dispatchKeyEvent",
            &json!({ "type": kind, "key": "Tab", "code": "Tab" }),
        );
    }
    assert_eq!(
        browser.value("document.activeElement.textContent"),
        "Look again"
    );
    assert_eq!(
        browser.value("getComputedStyle(document.activeElement).outlineStyle"),
        "solid"
    );
}
