//! Any file of the state folder: what can be read of it is written the same, and neither a machine that remembers
//! it nor who asks for the past comes to harm.

#![no_main]

use std::fs;
use std::sync::OnceLock;

use jailwarden::machine::{Memory, fuzz};
use jailwarden::shell::kept_past;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(memory) = serde_json::from_slice::<Memory>(bytes) {
        let text = serde_json::to_vec(&memory).expect("it was read");
        assert_eq!(
            serde_json::from_slice::<Memory>(&text).ok(),
            Some(memory.clone())
        );
        fuzz::remembered(memory);
    } else if bytes.starts_with(b"{\"version\"") {
        static FOLDER: OnceLock<TempDir> = OnceLock::new();
        let folder = FOLDER
            .get_or_init(|| tempfile::tempdir().expect("a folder"))
            .path();
        fs::write(folder.join("chronicle.json"), bytes).expect("written");
        let _ = kept_past(folder);
    }
});
