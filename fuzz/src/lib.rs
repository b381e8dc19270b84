//! The properties that the fuzz targets check. The core's tests include this file, and run it on the seeds.

use serde_json::{Map, Value};
use simple_connect_core::event::json::{MAX_NESTING, Object};
use simple_connect_core::event::reader::{Invalid, Reader, Token};
use simple_connect_core::http::answer::{Answer, AnswerError, AnswerReader, Limits};
use simple_connect_core::http::connection::Buffer;
use simple_connect_core::http::guard::{Guard, Host};
use simple_connect_core::http::proxy::Proxy;
use simple_connect_core::http::url::{Target, Url, url_host};

/// Small enough for libFuzzer's inputs to exceed them.
const LIMITS: Limits = Limits { head: 300, body: 200 };

/// Reads the same answer in one piece and in many, within the limits.
pub fn answers(input: &[u8]) {
    for new in [AnswerReader::new, AnswerReader::for_tunnel] {
        let whole = read(new(LIMITS), &[input]);
        if let Ok((Some(answer), left)) = &whole {
            assert!(answer.head.len() <= LIMITS.head);
            assert!(answer.body.as_ref().is_none_or(|body| body.len() <= LIMITS.body));
            assert!((100..1000).contains(&answer.status));
            assert!(input.ends_with(left));
        }
        for pieces in [input.chunks(1).collect(), random_pieces(input)] {
            assert_eq!(read(new(LIMITS), &pieces), whole);
        }
    }
}

/// Reads `pieces` as if from the network, and then the end of the connection. Returns the answer and the bytes after
/// it.
fn read(mut reader: AnswerReader, pieces: &[&[u8]]) -> Result<(Option<Answer>, Vec<u8>), AnswerError> {
    let mut input = Buffer::default();
    let mut complete = false;
    for piece in pieces {
        let filled = input.fill(|space| {
            space[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        });
        assert!(filled.is_ok_and(|count| count == piece.len()));
        complete = reader.feed(&mut input)?;
    }
    complete = complete || reader.end(&input)?;
    Ok((complete.then(|| reader.into_answer()), input.unread().to_vec()))
}

/// Splits `input` into pieces whose sizes depend on its bytes.
fn random_pieces(input: &[u8]) -> Vec<&[u8]> {
    let mut rest = input;
    let mut sizes = input.iter().rev();
    std::iter::from_fn(|| {
        let size = usize::from(*sizes.next()?) % 37 + 1;
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
    .collect()
}

/// A parsed URL, formatted again, leads to the same server, and its targets are valid in a request line. The guard
/// decides alike about all notations of an address.
pub fn urls(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(proxy) = Proxy::parse(text) {
        assert!(!proxy.host.is_empty());
    }
    let Ok(url) = Url::parse(text) else { return };
    assert!(!url.host.is_empty());
    if let Host::Address(address) = Host::read(&url.host) {
        let plain =
            format!("{}://{}/", if url.tls { "https" } else { "http" }, url_host(&address.to_string()));
        let verdict = Url::parse(&plain).map(|plain| Guard::default().check_url(&plain));
        assert_eq!(verdict, Ok(Guard::default().check_url(&url)));
    }
    for target in [Ok(url.target()), Ok(url.status()), url.member(text)].into_iter().flatten() {
        assert!(Target::try_from(target.as_str().to_owned()).is_ok(), "{target:?}");
        let again = Url::parse(&format!("{}{target}", url.origin()));
        let again = again.unwrap_or_else(|error| panic!("{text:?} comes back as an error: {error}"));
        assert_eq!((again.tls, &again.host, again.port), (url.tls, &url.host, url.port));
        assert_eq!(again.target(), target);
    }
}

/// Written JSON reads back as the same value, and serde_json reads the same value from JSON.
pub fn json(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut object = Object::default();
    object.text(text, text);
    let mut out = Vec::new();
    object.write(&mut out);
    let written = std::str::from_utf8(&out).unwrap_or_default();
    assert_eq!(read_json(written), Ok(serde_json::json!({ text: text })));

    let ours = read_json(text);
    let around = format!("/* {{ */{text}\n// and no more");
    assert_eq!(read_json(&around), ours);
    // serde_json accepts neither comments nor unpaired surrogates.
    if text.contains(['/']) || text.contains("\\ud") || text.contains("\\uD") {
        return;
    }
    match (ours, serde_json::from_str(text)) {
        (Ok(ours), Ok(mut theirs)) => {
            leave_out_numbers(&mut theirs);
            assert_eq!(ours, theirs);
        }
        (Ok(_), Err(error)) => assert!(error.to_string().starts_with("number out of range"), "{error}"),
        // serde_json accepts more levels.
        (Err(Invalid), Ok(_)) => assert!(text.matches(['[', '{']).count() > MAX_NESTING),
        (Err(Invalid), Err(_)) => {}
    }
}

fn read_json(text: &str) -> Result<Value, Invalid> {
    let mut reader = Reader::new(text);
    let value = value(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The next value, with null for each number. The core's tests check how numbers are rounded.
fn value(reader: &mut Reader<'_>) -> Result<Value, Invalid> {
    Ok(match reader.value()? {
        Token::Null | Token::Integer(_) | Token::BigInteger(_) | Token::Float(_) => Value::Null,
        Token::Bool(bool) => bool.into(),
        Token::Text(text) => text.into(),
        Token::Array => {
            let mut array = Vec::new();
            while reader.element()? {
                array.push(value(reader)?);
            }
            array.into()
        }
        Token::Object => {
            let mut object = Map::new();
            while let Some(name) = reader.member()?.map(str::to_owned) {
                object.insert(name, value(reader)?);
            }
            object.into()
        }
    })
}

fn leave_out_numbers(value: &mut Value) {
    match value {
        Value::Number(_) => *value = Value::Null,
        Value::Array(array) => array.iter_mut().for_each(leave_out_numbers),
        Value::Object(object) => object.values_mut().for_each(leave_out_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
