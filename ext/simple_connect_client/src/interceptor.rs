//! The interceptor, called before each attempt, may answer instead of the server: WebMock, in a process under test.

use magnus::block::Proc;
use magnus::{Error, RArray, RString, Ruby, Symbol, TryConvert, Value, prelude::*};
use simple_connect_core::http::answer::Answer;
use simple_connect_core::http::error::{Cause, ErrorKind, NetworkError, Phase};
use simple_connect_core::http::url::Url;

use crate::error::argument_error;
use crate::raw::with_bytes;

/// What an interceptor decides about an attempt.
pub enum Interception {
    /// Send it to the server, and call the Proc with the answer.
    Send(Option<Proc>),
    /// Send nothing; this is the outcome.
    Done(Result<Answer, NetworkError>),
}

/// Calls `interceptor` with a request to `endpoint`: its verb, URL, header lines and body.
/// `lib/simple_connect/internal/transport.rb` documents what it may return.
///
/// # Errors
/// What the interceptor raises, which ends the whole delivery.
pub fn intercept(
    ruby: &Ruby,
    interceptor: Value,
    endpoint: &Url,
    request: (&str, String, RString, Option<RString>),
) -> Result<Interception, Error> {
    let said: Value = interceptor.funcall("intercept", request)?;
    if said.is_nil() {
        return Ok(Interception::Send(None));
    }
    if let Some(witness) = Proc::from_value(said) {
        return Ok(Interception::Send(Some(witness)));
    }
    let said = RArray::try_convert(said)?;
    Ok(Interception::Done(match said.len() {
        3 => Ok(answer(said)?),
        _ => Err(network_error(ruby, endpoint, said)?),
    }))
}

fn answer(said: RArray) -> Result<Answer, Error> {
    let (status, head, body) = <(u16, RString, Option<RString>)>::try_convert(said.as_value())?;
    let bytes = |string| with_bytes(string, <[u8]>::to_vec);
    Ok(Answer { status, head: bytes(head), body: body.map(bytes), close: None, idle_limit: None })
}

fn network_error(ruby: &Ruby, endpoint: &Url, said: RArray) -> Result<NetworkError, Error> {
    let (kind, phase, class, message) = <(Symbol, Symbol, String, String)>::try_convert(said.as_value())?;
    let unknown = |name: Symbol| argument_error(ruby, format!("unknown network error {name}"));
    Ok(NetworkError {
        kind: ErrorKind::named(&kind.name()?).ok_or_else(|| unknown(kind))?,
        phase: Phase::named(&phase.name()?).ok_or_else(|| unknown(phase))?,
        host: endpoint.host.clone(),
        port: endpoint.port,
        elapsed: Default::default(),
        cause: Cause::Named(class),
        taken: false,
        message,
    })
}
