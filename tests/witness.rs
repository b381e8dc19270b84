//! Compares `AnswerReader` with ureq's reader of answers, an independent witness. spec/conformance/own/witness.json
//! lists the differences, with reasons.

#![expect(clippy::unwrap_used, reason = "tests may state what they take for granted")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use serde::Deserialize;
use simple_connect_core::http::answer::{AnswerReader, Limits};
use simple_connect_core::http::connection::Buffer;
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::http::Request;

const LIMITS: Limits = Limits { head: 2000, body: 1000 };

/// What is read of an answer to a GET, before the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Reading {
    status: u16,
    body: String,
    /// Whether the connection may be reused.
    reusable: bool,
    /// The bytes after the answer.
    left: String,
}

impl Reading {
    fn new(status: u16, body: &[u8], reusable: bool, left: &[u8]) -> Option<Self> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Some(Self { status, body: text(body), reusable, left: text(left) })
    }
}

#[derive(Deserialize)]
struct Table {
    differences: BTreeMap<String, Difference>,
}

#[derive(Deserialize)]
struct Difference {
    why: String,
    bytes: String,
    ours: Option<Reading>,
    witness: Option<Reading>,
    /// The names of cases in answers.json that have this difference.
    #[serde(default)]
    cases: Vec<String>,
}

fn table() -> Table {
    serde_json::from_str(include_str!("../spec/conformance/own/witness.json")).unwrap()
}

/// Reads with `AnswerReader`; None if the answer is invalid or incomplete.
fn ours(bytes: &[u8]) -> Option<Reading> {
    let mut reader = AnswerReader::new(LIMITS);
    let mut input = Buffer::default();
    input
        .fill(|space| {
            space[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        })
        .unwrap();
    let complete = reader.feed(&mut input).ok()? || reader.end(&input).ok()?;
    assert!(complete);
    let answer = reader.into_answer();
    Reading::new(answer.status, &answer.body.unwrap_or_default(), answer.close.is_none(), input.unread())
}

/// Reads with ureq; None if the answer is invalid or incomplete.
fn witness(bytes: &[u8]) -> Option<Reading> {
    let mut call = Call::new(Request::get("http://app.example/").body(()).unwrap()).unwrap().proceed();
    call.write(&mut [0; 1000]).unwrap();
    let Ok(Some(SendRequestResult::RecvResponse(mut call))) = call.proceed() else { panic!("nothing sent") };

    let mut rest = bytes;
    let status = loop {
        let (used, response) = call.try_response(rest, false).ok()?;
        rest = &rest[used..];
        match response {
            Some(response) => break response.status().as_u16(),
            None if used == 0 => return None,
            None => {}
        }
    };
    let mut body = vec![0; bytes.len()];
    let mut length = 0;
    let close = match call.proceed()? {
        RecvResponseResult::Redirect(call) => call.must_close_connection(),
        RecvResponseResult::Cleanup(call) => call.must_close_connection(),
        RecvResponseResult::RecvBody(mut call) => {
            loop {
                let (used, written) = call.read(rest, &mut body[length..]).ok()?;
                rest = &rest[used..];
                length += written;
                if used == 0 {
                    break;
                }
            }
            match call.proceed()? {
                RecvBodyResult::Redirect(call) => call.must_close_connection(),
                RecvBodyResult::Cleanup(call) => call.must_close_connection(),
            }
        }
    };
    Reading::new(status, &body[..length], !close, rest)
}

#[test]
fn the_two_differ_as_the_table_says() {
    for (name, difference) in table().differences {
        let bytes = difference.bytes.as_bytes();
        assert_eq!(ours(bytes), difference.ours, "{name}, ours");
        assert_eq!(witness(bytes), difference.witness, "{name}, the witness");
        assert_ne!(difference.ours, difference.witness, "{name} is not a difference any more");
        assert!(!difference.why.is_empty(), "{name}");
    }
}

#[test]
fn they_agree_on_our_own_table_except_for_the_differences() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        bytes: String,
    }
    let cases: BTreeMap<String, Vec<Case>> =
        serde_json::from_str(include_str!("../spec/conformance/own/answers.json")).unwrap();
    let differing: BTreeSet<String> = cases
        .into_values()
        .flatten()
        .filter(|case| ours(case.bytes.as_bytes()) != witness(case.bytes.as_bytes()))
        .map(|case| case.name)
        .collect();
    let known: BTreeSet<String> =
        table().differences.into_values().flat_map(|difference| difference.cases).collect();
    assert_eq!(differing, known);
}

/// A part of an answer, and the difference in the table that it may cause.
type Part = (&'static str, Option<&'static str>);

const ANNOUNCED: [Part; 5] = [
    ("", None),
    ("\r\n", None),
    ("HTTP/1.1 100 Continue\r\n\r\n", None),
    ("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", None),
    ("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n", Some("100 with fields")),
];

const FIELDS: [Part; 15] = [
    ("", None),
    ("X:\r\n", None),
    ("x-Y:   z\t\r\n", None),
    ("X: \u{e9}\r\n", None),
    ("Location: /x\n", None),
    ("Keep-Alive: timeout=5\r\n", None),
    ("Connection: close\r\n", None),
    ("Connection: x,Keep-ALIVE\r\n", None),
    ("Connection: x\r\nconnection: y, Close\r\n", None),
    ("X: a\r\n b\r\n", Some("unreadable fields")),
    ("X : y\r\n", Some("unreadable fields")),
    ("X Y: z\r\n", Some("unreadable fields")),
    ("no colon\r\n", Some("unreadable fields")),
    ("X: a\x01b\r\n", Some("unreadable fields")),
    ("Connection: \u{e9}, close\r\n", Some("connection options in other letters")),
];

const LENGTHS: [&str; 11] = [
    "",
    "0",
    "1",
    "2",
    "3",
    "30",
    "2, 2",
    "2\r\nContent-Length: 2",
    "2\r\nContent-Length: 3",
    "+2",
    "2 bytes",
];

const CODINGS: [Part; 7] = [
    ("chunked", None),
    ("\tCHUNKED ", None),
    ("identity", Some("codings")),
    ("gzip", Some("codings")),
    ("gzip, chunked", Some("codings")),
    ("chunked, gzip", Some("codings")),
    ("chunked\r\nTransfer-Encoding: chunked", Some("codings")),
];

/// What comes before and after a chunk's size.
const SIZES: [(&str, Part); 8] = [
    ("", ("\r\n", None)),
    ("00", ("\r\n", None)),
    ("", (" \r\n", None)),
    ("", (";a=b\r\n", None)),
    ("", (";name=a long extension\r\n", Some("extensions"))),
    ("", ("\n", None)),
    ("+", ("\r\n", Some("chunk sizes"))),
    (" ", ("\r\n", Some("chunk sizes"))),
];

const TRAILERS: [Part; 6] = [
    ("\r\n", None),
    ("X: y\r\nZ:\r\n\r\n", None),
    ("X: y\r\n", None),
    ("X: y\n\r\n", Some("trailers")),
    ("X: a\rb\r\n\r\n", None),
    ("X: a\0b\r\n\r\n", Some("trailers")),
];

const BEHIND: [&str; 3] = ["", "HTTP/1.1 200 OK\r\n", "{}"];

/// An answer of these parts, and the differences that they may cause.
fn answer() -> impl Strategy<Value = (String, BTreeSet<&'static str>)> {
    let chunk = ("[{a-f}]{1,20}", select(&SIZES[..]));
    let head = (
        select(&ANNOUNCED[..]),
        select(vec!["HTTP/1.1", "HTTP/1.0"]),
        select(vec![101u16, 200, 202, 204, 301, 304, 404, 500, 799]),
        select(vec!["", " ", " OK", " Not \u{e9}"]),
        proptest::collection::vec(select(&FIELDS[..]), 0..3),
    );
    let lengths = proptest::option::of(select(&LENGTHS[..]));
    let body = (
        proptest::option::weighted(0.4, select(&CODINGS[..])),
        proptest::collection::vec(chunk, 0..3),
        select(&SIZES[..]),
        select(&TRAILERS[..]),
        select(&BEHIND[..]),
    );
    (head, lengths, body).prop_map(|(head, length, (coding, chunks, last, trailers, behind))| {
        let (announced, version, status, reason, fields) = head;
        let mut odd = BTreeSet::new();
        let mut bytes = String::new();
        let mut add = |bytes: &mut String, part: Part| {
            bytes.push_str(part.0);
            odd.extend(part.1);
        };
        add(&mut bytes, announced);
        bytes.push_str(&format!("{version} {status}{reason}\r\n"));
        fields.into_iter().for_each(|field| add(&mut bytes, field));
        if let Some(length) = length {
            bytes.push_str(&format!("Content-Length: {length}\r\n"));
        }
        if let Some((coding, difference)) = coding {
            add(&mut bytes, ("Transfer-Encoding: ", difference));
            bytes.push_str(&format!("{coding}\r\n"));
        }
        bytes.push_str("\r\n");
        let mut size = |bytes: &mut String, length: usize, (before, behind): (&str, Part)| {
            bytes.push_str(&format!("{before}{length:x}"));
            if coding.is_some() {
                add(bytes, behind);
            } else {
                bytes.push_str(behind.0);
            }
        };
        for (data, line) in chunks {
            size(&mut bytes, data.len(), line);
            bytes.push_str(&format!("{data}\r\n"));
        }
        size(&mut bytes, 0, last);
        add(&mut bytes, if coding.is_some() { trailers } else { (trailers.0, None) });
        bytes.push_str(behind);

        let unreadable =
            length.is_some_and(|length| ["", "2\r\nContent-Length: 3", "+2", "2 bytes"].contains(&length));
        odd.extend((status == 101).then_some("another protocol"));
        odd.extend((coding.is_some() && version == "HTTP/1.0").then_some("chunks in HTTP/1.0"));
        odd.extend((coding.is_some() && length.is_some()).then_some("a coding beside a length"));
        odd.extend((status == 204 && (coding.is_some() || length.is_some())).then_some("an end of no body"));
        odd.extend((status == 304 && unreadable).then_some("an end of no body"));
        (bytes, odd)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn they_agree_on_random_answers_except_for_the_differences((bytes, odd) in answer()) {
        let differences = table().differences;
        for name in &odd {
            prop_assert!(differences.contains_key(*name), "{name} is not in the table");
        }
        if odd.is_empty() {
            prop_assert_eq!(ours(bytes.as_bytes()), witness(bytes.as_bytes()));
        }
    }

    /// With bytes removed or inserted.
    #[test]
    fn a_valid_answer_is_the_same_or_invalid_for_the_witness(
        (bytes, odd) in answer(), at in any::<prop::sample::Index>(), cut in 0usize..3, put in "[\0-~]{0,3}",
    ) {
        let mut bytes = bytes.into_bytes();
        let at = at.index(bytes.len());
        bytes.splice(at..(at + cut).min(bytes.len()), put.into_bytes());
        if let (Some(ours), Some(witness)) = (ours(&bytes), witness(&bytes)) {
            prop_assert_eq!(ours.status, witness.status);
            if ours.reusable && odd.is_empty() {
                prop_assert_eq!(ours, witness);
            }
        }
    }
}
