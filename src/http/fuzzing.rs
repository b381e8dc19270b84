//! The property that the fuzz target `tls` checks of exchanges over TLS. The tests run its seeds.

use std::time::Instant;

use crate::http::answer::{Answer, CloseReason, Limits};
use crate::http::connection::Connection;
use crate::http::testing::{ACCEPTED, TIMEOUTS, Wire, connected, exchange_in_pieces};
use crate::http::wait::{Interest, poll_with};

const LIMITS: Limits = Limits { head: 2000, body: 20_000 };
/// Limits on the size and the number of pieces of an answer, for speed.
const LONGEST: usize = 24 * 1024;
const MOST_PARTS: usize = 500;

/// How an answer is sent.
struct Plan {
    /// The sizes of the TLS records, and of the pieces of the stream, used cyclically.
    records: Vec<usize>,
    pieces: Vec<usize>,
    harm: Harm,
    bytes: Vec<u8>,
}

/// A fault of the stream.
#[derive(Debug)]
enum Harm {
    None,
    /// It ends at this byte, modulo its length, without a close_notify alert.
    Cut(usize),
    /// These bits of this byte, modulo its length, are flipped.
    Flip(usize, u8),
}

impl Plan {
    /// Parses sizes of records, sizes of pieces, the fault, and the answer.
    fn new(input: &[u8]) -> Self {
        let mut input = input.iter().copied();
        let mut next = || input.next().unwrap_or_default();
        let mut sizes = || (0..next() % 8 + 1).map(|_| size(next())).collect();
        let (records, pieces) = (sizes(), sizes());
        let (kind, place) = (next(), (usize::from(next()) << 8) | usize::from(next()));
        let harm = match kind % 4 {
            0 | 1 => Harm::None,
            2 => Harm::Cut(place),
            _ => Harm::Flip(place, kind.max(1)),
        };
        Self { records, pieces, harm, bytes: unfold(input) }
    }
}

/// Decodes a size: up to 239 bytes, or 1 to 16 KiB.
fn size(byte: u8) -> usize {
    match byte {
        0 => 16_384,
        240.. => usize::from(byte - 239) * 1024,
        _ => byte.into(),
    }
}

/// Replaces each byte 0xFF and the byte after it, n, by n times 256 bytes. UTF-8 has no byte 0xFF.
fn unfold(mut text: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(byte) = text.next() {
        match byte {
            0xff => bytes.resize(bytes.len() + 256 * usize::from(text.next().unwrap_or_default()), b'x'),
            byte => bytes.push(byte),
        }
        bytes.truncate(LONGEST);
    }
    bytes
}

/// `bytes` in pieces of these sizes, used cyclically; in larger pieces if there would be too many.
pub(crate) fn pieces<'a>(mut bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let least = bytes.len() / MOST_PARTS;
    sizes.iter().cycle().map_while(move |size| {
        let (piece, rest) = bytes.split_at(bytes.len().min(least.max(*size)));
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Checks that an exchange over TLS, in any records and pieces, reads the same as without TLS. With a stream that is
/// cut or changed, it reads the same or fails. Bytes after the answer must not answer another request.
pub fn tls(input: &[u8]) {
    let Plan { records, pieces: sizes, harm, bytes } = Plan::new(input);
    let (mut plain, mut wire) = connected("http");
    let whole = exchange_in_pieces(
        &mut plain,
        &mut wire,
        LIMITS,
        true,
        &mut [&bytes[..]].into_iter().filter(|bytes| !bytes.is_empty()),
    );

    let (mut connection, mut server) = connected("https");
    let mut sealed: Vec<u8> = pieces(&bytes, &records).flat_map(|record| server.seal(record)).collect();
    let length = sealed.len().max(1);
    match harm {
        Harm::Cut(place) => sealed.truncate(place % length),
        Harm::Flip(place, bits) => {
            if let Some(byte) = sealed.get_mut(place % length) {
                *byte ^= bits;
            }
        }
        Harm::None => {}
    }
    let announced = !matches!(harm, Harm::Cut(_));
    let mut left = pieces(&sealed, &sizes);
    let made = exchange_in_pieces(&mut connection, &mut server, LIMITS, announced, &mut left);
    match (harm, made) {
        (Harm::None, made) => {
            assert_eq!(made, whole);
            if made.is_ok() {
                left.for_each(|piece| server.send_sealed(piece));
                assert_nothing_else_is_answered(&mut connection, &mut server, plain.usable(Instant::now()));
            }
        }
        // The answer was complete before the fault.
        (_, Ok(answer)) if Ok(&answer) == whole.as_ref() => {}
        // An error status is reported even if its body is truncated.
        (_, Ok(answer)) if answer.status >= 400 && answer.close == Some(CloseReason::End) => {
            assert!(whole.map_or_else(|_| holds(&bytes, &answer), |whole| begins(&whole, &answer)));
        }
        (harm, Ok(answer)) => panic!("{harm:?} makes another answer: {answer:?}, not {whole:?}"),
        (_, Err(_)) => {}
    }
}

/// Whether `bytes`, which exceed the limits, contain the answer's body.
fn holds(bytes: &[u8], answer: &Answer) -> bool {
    let body = answer.body.as_deref().unwrap_or_default();
    body.is_empty() || bytes.windows(body.len()).any(|part| part == body)
}

/// Whether `part` equals `whole`, except for a truncated body.
fn begins(whole: &Answer, part: &Answer) -> bool {
    let body = |answer: &Answer| answer.body.clone().unwrap_or_default();
    whole.head == part.head && body(whole).starts_with(&body(part))
}

/// Asserts that the next request gets its own answer, or is not sent on this connection.
fn assert_nothing_else_is_answered(connection: &mut Connection, server: &mut Wire, nothing_left: bool) {
    let until = Instant::now() + TIMEOUTS.read;
    while connection.usable(Instant::now()) {
        if nothing_left {
            let accepted = server.seal(ACCEPTED);
            let mut pieces = [&accepted[..]].into_iter();
            let next = exchange_in_pieces(connection, server, LIMITS, true, &mut pieces);
            assert_eq!(next.map(|answer| answer.status), Ok(202));
            return;
        }
        // The rest has not arrived yet.
        assert!(Instant::now() < until, "the data after the answer was ignored");
        poll_with(connection.fd(), Interest::Read, until, None);
    }
    assert!(!nothing_left, "a connection with nothing left on it is usable");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, panic, path::Path};

    #[test]
    fn the_seeds_of_the_fuzz_target_hold() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/tls");
        let mut kinds = Vec::new();
        for file in fs::read_dir(folder).unwrap() {
            let file = file.unwrap().path();
            let input = fs::read(&file).unwrap();
            let plan = Plan::new(&input);
            kinds.push(std::mem::discriminant(&plan.harm));
            if let Err(cause) = panic::catch_unwind(|| tls(&input)) {
                eprintln!("failed for the seed {}: {:?}", file.display(), plan.harm);
                panic::resume_unwind(cause);
            }
        }
        assert!(kinds.len() > 3);
        assert!(kinds.iter().any(|kind| *kind != kinds[0]), "some do harm, others none");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_answer_over_tls_is_the_same_or_an_error(
            sizes in proptest::collection::vec(any::<u8>(), 8), kind in 0u8..8, place in any::<u16>(),
            body in 0usize..3, behind in prop_oneof![Just(""), Just("H"), Just("HTTP/1.1 500 Stale\r\n\r\n")],
        ) {
            let head = ["Content-Length: 512\r\n", "", "Transfer-Encoding: chunked\r\n"][body];
            let body: [&[u8]; 2] = [b"\xff\x02", b"200\r\n\xff\x02\r\n0\r\n\r\n"];
            let mut input = [&[3], &sizes[..4], &[3], &sizes[4..], &[kind], &place.to_be_bytes()[..]].concat();
            input.extend_from_slice(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes());
            input.extend_from_slice(body[usize::from(head.starts_with("Transfer"))]);
            input.extend_from_slice(behind.as_bytes());
            tls(&input);
        }
    }
}
