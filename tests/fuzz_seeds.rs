//! Runs the checks of the fuzz targets on their seeds: the tables of the specs, and the files in fuzz/seeds/.

#![expect(clippy::unwrap_used, reason = "tests may state what they take for granted")]

#[path = "../fuzz/src/lib.rs"]
mod checks;

use std::path::Path;

use serde_json::Value;

/// The texts under `key` in the lists `names` of a table of spec/conformance/own/.
fn table(file: &str, names: &[&str], key: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/conformance/own").join(file);
    let table: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = names.iter().flat_map(|name| table[name].as_array().unwrap());
    cases.map(|case| case[key].as_str().unwrap().as_bytes().to_vec()).collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| std::fs::read(file).unwrap()).collect()
}

fn run(check: fn(&[u8]), inputs: &[Vec<u8>]) {
    assert!(!inputs.is_empty());
    for input in inputs {
        if let Err(panic) = std::panic::catch_unwind(|| check(input)) {
            eprintln!("failed for the seed {:?}", String::from_utf8_lossy(input));
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn answers() {
    run(checks::answers, &table("answers.json", &["answers", "failures"], "bytes"));
    run(checks::answers, &seeds("answers"));
}

#[test]
fn urls() {
    run(checks::urls, &table("endpoints.json", &["good", "bad"], "url"));
    run(checks::urls, &seeds("urls"));
    let hosts = table("guard.json", &["hosts"], "host").into_iter();
    run(checks::urls, &hosts.map(|host| [b"https://", host.as_slice()].concat()).collect::<Vec<_>>());
}

#[test]
fn json() {
    run(checks::json, &table("decoding.json", &["texts"], "text"));
    run(checks::json, &seeds("json"));
}
