//! `SimpleConnect::Transport`: the requests of one client.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use magnus::value::LazyId;
use magnus::{
    Error, Module, RArray, RHash, RModule, RString, RStruct, Ruby, TryConvert, Value, function, method,
    prelude::*,
};
use simple_connect_core::http::answer::Limits;
use simple_connect_core::http::attempt::{Attempt, Outcome};
use simple_connect_core::http::guard::Guard;
use simple_connect_core::http::headers::HeaderLines as Lines;
use simple_connect_core::http::proxy::{self, Proxy, ProxyError};
use simple_connect_core::http::request::{Method, Request};
use simple_connect_core::http::settings::{Credentials, IpVersion, Settings, Timeouts};
use simple_connect_core::http::stats::Totals;
use simple_connect_core::http::transport::Transport as Core;
use simple_connect_core::http::trust::Trust;
use simple_connect_core::http::url::{Target, Url, segment};
use simple_connect_core::process::fork::generation;
use simple_connect_core::retry::{Next, Retry, Verdict};
use simple_connect_core::signature::Scheme;
use zeroize::Zeroizing;

use crate::drive::{drive, poll, seconds, stay_in};
use crate::error::{argument_error, error, explain, guard, remedy};
use crate::headers::{HeaderLines, lines};
use crate::interceptor::{Interception, intercept};
use crate::raw::{with_bytes, with_text};
use crate::signature::signers;
use crate::wakers::collect_garbage;

static NOW: LazyId = LazyId::new("now");
static TO_I: LazyId = LazyId::new("to_i");
static ANSWERED: LazyId = LazyId::new("answered");

/// The maximum size of an answer's head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

#[magnus::wrap(class = "SimpleConnect::Transport", free_immediately, size)]
struct Transport {
    core: Arc<Core>,
    weight: Arc<Weight>,
    timeouts: Timeouts,
    total: Option<Duration>,
}

/// Reports the memory of a client's connections to Ruby's garbage collector, so that unused clients are collected
/// before there are many.
struct Weight;

impl Weight {
    /// The memory of one idle TLS connection.
    const BYTES: isize = 48 * 1024;

    fn new(ruby: &Ruby) -> Self {
        ruby.gc_adjust_memory_usage(Self::BYTES);
        Self
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        // Ruby frees objects with the GVL held.
        if let Ok(ruby) = Ruby::get() {
            ruby.gc_adjust_memory_usage(-Self::BYTES);
        }
    }
}

/// A request from Ruby.
struct Call {
    method: Method,
    target: Target,
    body: Option<RString>,
    /// Fields of this request alone.
    headers: Option<Arc<Lines>>,
    /// Notified of each attempt, unless it is nil.
    log: Value,
    /// The `Batch` that this belongs to, or nil.
    batch: Value,
    /// Called before each attempt, unless it is nil.
    interceptor: Value,
    /// The [`generation`] of the process in which the call began.
    process: u64,
}

impl Call {
    /// A client's request from a Ruby `Transport::Call`: a POST with a body, otherwise a GET.
    fn of_client(
        call: RStruct,
        target: Target,
        body: Option<RString>,
        interceptor: Value,
    ) -> Result<Self, Error> {
        let method = if body.is_some() { Method::Post } else { Method::Get };
        let (log, batch) = (call.aref(0)?, call.aref(1)?);
        let process = call.aref::<_, Option<u64>>(2)?.unwrap_or_else(generation);
        let headers = call.aref::<_, Option<&HeaderLines>>(5)?.map(|lines| lines.0.clone());
        Ok(Self { method, target, headers, body, log, batch, interceptor, process })
    }
}

impl Transport {
    /// Every option is required; `lib/simple_connect/internal/transport.rb` documents them.
    fn new(ruby: &Ruby, options: RHash) -> Result<Self, Error> {
        guard(ruby, || {
            let invalid = |option: &str, cause: &dyn Display| {
                error(ruby, "ConfigurationError", format!("{option}: {cause}"))
            };
            let url_option: String = option(options, "url_option")?;
            let endpoint = Url::parse(&option::<String>(options, "url")?)
                .map_err(|cause| invalid(&url_option, &cause))?;
            let endpoint = match option::<Option<String>>(options, "path")? {
                Some(path) => endpoint.at(Target::try_from(path).map_err(|cause| invalid("path", &cause))?),
                None => endpoint,
            };
            let secrets: Option<RArray> = option(options, "secret")?;
            let api_key: Option<RString> = option(options, "api_key")?;
            let scheme = match option::<Option<String>>(options, "scheme")? {
                Some(name) => Scheme::named(&name).ok_or_else(|| invalid("scheme", &"is unknown"))?,
                None => Scheme::SimpleConnect,
            };
            let signers = secrets.map(|secrets| signers(ruby, scheme, secrets)).transpose()?;
            let credentials = match (api_key, signers) {
                (Some(api_key), _) => Credentials::Bearer(Zeroizing::new(api_key.to_string()?)),
                (None, Some(signers)) => {
                    Credentials::Signed { scheme, key_id: option(options, "key_id")?, signers }
                }
                (None, None) => Credentials::Anonymous,
            };
            let headers = option::<Option<&HeaderLines>>(options, "headers")?;
            // Only a proxy from the environment comes with a list of exceptions.
            let bypassed = option::<Option<String>>(options, "no_proxy")?.is_some_and(|no_proxy| {
                proxy::is_local(&endpoint.host) || proxy::bypasses(&no_proxy, &endpoint.host, endpoint.port)
            });
            let variable: Option<String> = option(options, "proxy_variable")?;
            // The URL may hold a password, so it is not copied.
            let proxy = option::<Option<RString>>(options, "proxy")?
                .filter(|_| !bypassed)
                .map(|url| with_text(url, |url| url.ok_or(ProxyError).and_then(Proxy::parse)))
                .transpose()
                .map_err(|cause| invalid(variable.as_deref().unwrap_or("proxy"), &cause))?
                .map(|proxy| Proxy { variable, ..proxy });
            let ca_file: Option<String> = option(options, "ca_file")?;
            let trust = || Trust::new(ca_file.as_deref().map(AsRef::as_ref));
            // Without a free descriptor for the file, collect garbage and try again.
            let trust = trust()
                .or_else(|cause| if collect_garbage(ruby) { trust() } else { Err(cause) })
                .map_err(|cause| invalid("ca_file", &cause))?;
            let settings = Settings {
                endpoint,
                credentials,
                user_agent: option(options, "user_agent")?,
                headers: headers.map(|headers| headers.0.clone()).unwrap_or_default(),
                proxy,
                guard: match option(options, "guard")? {
                    true => Some(guard_of(
                        ruby,
                        option(options, "allow_private")?,
                        option(options, "allow_http")?,
                    )?),
                    false => None,
                },
                trust,
                ip_version: match option::<Option<u8>>(options, "ip_version")? {
                    Some(4) => Some(IpVersion::V4),
                    Some(_) => Some(IpVersion::V6),
                    None => None,
                },
                limits: Limits { head: MAX_HEAD, body: option(options, "max_response_bytes")? },
                pool_size: option(options, "pool_size")?,
                idle_timeout: seconds(option(options, "idle_timeout")?),
            };
            let core =
                Core::new(settings).map_err(|cause| error(ruby, "ConfigurationError", cause.to_string()))?;
            Self::bounded(Arc::new(core), Arc::new(Weight::new(ruby)), options)
        })
    }

    /// Why a URL is invalid, or None.
    fn url_error(ruby: &Ruby, url: String) -> Result<Option<String>, Error> {
        guard(ruby, || Ok(Url::parse(&url).err().map(|cause| cause.to_string())))
    }

    /// Why a URL is refused where strangers enter it, or None: it is invalid, or the guard refuses it.
    fn guard_error(
        ruby: &Ruby,
        url: String,
        allow_private: Value,
        allow_http: bool,
    ) -> Result<Option<String>, Error> {
        guard(ruby, || {
            let guard = guard_of(ruby, allow_private, allow_http)?;
            let url = match Url::parse(&url) {
                Ok(url) => url,
                Err(cause) => return Ok(Some(cause.to_string())),
            };
            let refusal = guard.check_url(&url).err();
            Ok(refusal.map(|cause| format!("the guard refuses {}: {cause}{}", url.origin(), remedy(cause))))
        })
    }

    /// A transport with the same connections and other timeouts.
    fn with(ruby: &Ruby, this: &Self, options: RHash) -> Result<Self, Error> {
        guard(ruby, || Self::bounded(this.core.clone(), this.weight.clone(), options))
    }

    fn bounded(core: Arc<Core>, weight: Arc<Weight>, options: RHash) -> Result<Self, Error> {
        let timeouts = Timeouts {
            open: seconds(option(options, "open_timeout")?),
            write: seconds(option(options, "write_timeout")?),
            read: seconds(option(options, "read_timeout")?),
        };
        let total = option::<Option<f64>>(options, "total_timeout")?.map(seconds);
        Ok(Self { core, weight, timeouts, total })
    }

    /// Sends with retries, until an attempt is final or the policy's attempts are used up. Returns the `Result`.
    fn deliver(
        ruby: &Ruby,
        this: Value,
        call: RStruct,
        target: String,
        body: Option<RString>,
        response_class: Value,
        interceptor: Value,
    ) -> Result<Value, Error> {
        guard(ruby, || {
            let transport = <&Self>::try_convert(this)?;
            let (policy, max_attempts) = (call.aref(3)?, call.aref(4)?);
            let call = Call::of_client(call, checked(ruby, target)?, body, interceptor)?;
            let deadline = transport.deadline();
            let mut retry = Retry::new(max_attempts);
            loop {
                let outcome = transport.attempt_once(ruby, &call, retry.attempt(), deadline)?;
                let attempts = retry.attempt();
                match retry.after(verdict(&outcome)) {
                    Next::Wait { failed } if transport.pause(policy, failed, deadline, call.batch)? => {}
                    _ => {
                        transport.core.count_call(succeeded(&outcome));
                        return result(this, response_class, attempts, outcome);
                    }
                }
            }
        })
    }

    /// Sends one attempt of a custom retry policy. Returns the `Result`, without data yet.
    fn attempt(
        this: Value,
        call: RStruct,
        target: String,
        body: Option<RString>,
        attempt: u32,
        seconds_left: Option<f64>,
        interceptor: Value,
    ) -> Result<Value, Error> {
        let ruby = &Ruby::get_with(this);
        guard(ruby, || {
            let transport = <&Self>::try_convert(this)?;
            let deadline = seconds_left.map(|left| Instant::now() + seconds(left));
            let call = Call::of_client(call, checked(ruby, target)?, body, interceptor)?;
            let outcome = transport.attempt_once(ruby, &call, attempt, deadline)?;
            result(this, ruby.qnil().as_value(), attempt, outcome)
        })
    }

    /// Sends any request once, with these additional fields (pairs of a name and a value). Returns the `Result`,
    /// without data.
    fn send_once(
        this: Value,
        method: String,
        target: String,
        headers: RArray,
        body: Option<RString>,
        call: RStruct,
        interceptor: Value,
    ) -> Result<Value, Error> {
        let ruby = &Ruby::get_with(this);
        guard(ruby, || {
            let transport = <&Self>::try_convert(this)?;
            let method = Method::named(&method)
                .ok_or_else(|| argument_error(ruby, format!("unsupported HTTP method {method:?}")))?;
            let (target, headers) = (checked(ruby, target)?, Some(Arc::new(lines(ruby, headers)?)));
            let nil = ruby.qnil().as_value();
            let (log, batch, process) = (call.aref(0)?, call.aref(1)?, generation());
            let call = Call { method, target, headers, body, log, batch, interceptor, process };
            let outcome = transport.attempt_once(ruby, &call, 1, transport.deadline())?;
            transport.core.count_call(succeeded(&outcome));
            result(this, nil, 1, outcome)
        })
    }

    /// Escapes a text as one segment of a target. Errors name it `name`.
    fn segment(ruby: &Ruby, name: String, text: RString) -> Result<String, Error> {
        guard(ruby, || with_id(ruby, &name, text, segment))
    }

    fn attempt_once(
        &self,
        ruby: &Ruby,
        call: &Call,
        attempt: u32,
        deadline: Option<Instant>,
    ) -> Result<Outcome, Error> {
        let Call { method, target, headers, body, log, batch, process, .. } = call;
        let verb = method.name();
        let mut headers = headers.clone();
        if !log.is_nil() {
            let more: Option<&HeaderLines> =
                log.funcall("sending", (verb, target.as_str(), *body, attempt))?;
            if let Some(HeaderLines(more)) = more {
                headers = Some(headers.map_or_else(|| more.clone(), |base| Arc::new(base.with(more))));
            }
        }
        let now: Value = ruby.class_time().funcall(*NOW, ())?;
        let timestamp: i64 = now.funcall(*TO_I, ())?;
        // A signal handler may have forked while the delivery waited for this attempt.
        stay_in(ruby, *process)?;
        let start = |body: &[u8]| {
            let request = Request { method: *method, target, body, headers: headers.as_deref() };
            self.core.attempt(request, timestamp, self.timeouts, deadline)
        };
        let mut exchange = match body {
            Some(body) => with_bytes(*body, start),
            None => start(&[]),
        };
        let outcome = match self.ask(ruby, call, &exchange)? {
            Interception::Done(answer) => self.redacted(exchange.outcome(answer)),
            Interception::Send(witness) => {
                let outcome = self.redacted(drive(ruby, &mut exchange, *process, *batch)?);
                if let (Some(witness), Ok(answer)) = (witness, &outcome.answer) {
                    let body = answer.body.as_deref().map(|body| utf8(ruby, body));
                    let _: Value = witness.call((answer.status, utf8(ruby, &answer.head), body))?;
                }
                outcome
            }
        };
        self.core.count_attempt();
        if !log.is_nil() {
            let Outcome { elapsed, reused, sent, received, .. } = outcome;
            let wire = (elapsed.as_secs_f64(), reused, sent, received);
            let _: Value = match &outcome.answer {
                Ok(answer) => {
                    let body = answer.body.as_deref().map(|body| utf8(ruby, body));
                    log.funcall("answered", (answer.status, utf8(ruby, &answer.head), body, wire))?
                }
                Err(error) => {
                    let kind = ruby.to_symbol(error.kind.name());
                    log.funcall("failed", (verb, explain(ruby, error)?, kind, wire))?
                }
            };
        }
        Ok(outcome)
    }

    /// Removes the sender's secrets from an outcome before Ruby gets it.
    fn redacted(&self, mut outcome: Outcome) -> Outcome {
        if let Ok(answer) = &mut outcome.answer {
            self.core.redact(answer);
        }
        outcome
    }

    /// Calls the interceptor, if there is one.
    fn ask(&self, ruby: &Ruby, call: &Call, attempt: &Attempt) -> Result<Interception, Error> {
        let Call { method, target, body, interceptor, .. } = call;
        if interceptor.is_nil() {
            return Ok(Interception::Send(None));
        }
        let endpoint = &self.core.settings().endpoint;
        let url = format!("{}{target}", endpoint.origin());
        let headers = utf8(ruby, attempt.headers());
        intercept(ruby, *interceptor, endpoint, (method.name(), url, headers, *body))
    }

    /// Waits before the next attempt, as the policy says. Returns false if the deadline leaves no time for it.
    fn pause(
        &self,
        policy: Value,
        failed: u32,
        deadline: Option<Instant>,
        batch: Value,
    ) -> Result<bool, Error> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs_f64());
        policy.funcall("pause", (failed, left, batch))
    }

    fn deadline(&self) -> Option<Instant> {
        self.total.and_then(|total| Instant::now().checked_add(total))
    }

    /// This process's totals, with the names of `Client#stats`.
    fn stats(ruby: &Ruby, this: &Self) -> Result<RHash, Error> {
        guard(ruby, || {
            let Totals { succeeded, failed, attempts, opened, reused, sent, received } = this.core.totals();
            let stats = ruby.hash_new();
            for (name, total) in [
                ("succeeded", succeeded),
                ("failed", failed),
                ("attempts", attempts),
                ("retries", attempts.saturating_sub(succeeded + failed)),
                ("connections_opened", opened),
                ("connections_reused", reused),
                ("bytes_sent", sent),
                ("bytes_received", received),
            ] {
                stats.aset(ruby.to_symbol(name), total)?;
            }
            Ok(stats)
        })
    }

    /// Counts a finished call of a custom retry policy.
    fn count_call(&self, success: bool) {
        self.core.count_call(success);
    }

    fn close(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        guard(ruby, || {
            this.core.close();
            Ok(())
        })
    }

    /// The target of the collection.
    fn target(&self) -> String {
        self.core.settings().endpoint.target().to_string()
    }

    /// The target of the integration's status.
    fn status_target(&self) -> String {
        self.core.settings().endpoint.status().to_string()
    }

    /// The target of the collection's member with this id. Errors name the id `name`.
    fn member_target(ruby: &Ruby, this: &Self, name: String, id: RString) -> Result<String, Error> {
        guard(ruby, || {
            with_id(ruby, &name, id, |id| {
                this.core.settings().endpoint.member(id).map(|target| target.to_string())
            })
        })
    }

    /// The limit for a whole delivery, in seconds; None without a limit.
    fn total_timeout(&self) -> Option<f64> {
        self.total.map(|total| total.as_secs_f64())
    }

    /// Scheme, host and port, such as `https://app.example:8443`.
    fn origin(&self) -> String {
        self.core.settings().endpoint.origin()
    }
}

/// A guard that allows internal addresses or these networks.
fn guard_of(ruby: &Ruby, allow_private: Value, http: bool) -> Result<Guard, Error> {
    let mut networks = Vec::new();
    if let Some(list) = RArray::from_value(allow_private) {
        for text in list.to_vec::<String>()? {
            networks.push(Guard::network(&text).map_err(|cause| {
                error(ruby, "ConfigurationError", format!("allow_private: {text:?} {cause}"))
            })?);
        }
        return Ok(Guard { internal: false, networks, http });
    }
    Ok(Guard { internal: allow_private.to_bool(), networks, http })
}

/// Calls `target` with `id`, a text from Ruby. Errors name it `name`.
fn with_id<E: Display>(
    ruby: &Ruby,
    name: &str,
    id: RString,
    target: impl FnOnce(&str) -> Result<String, E>,
) -> Result<String, Error> {
    let refusal = |cause: &dyn Display| argument_error(ruby, format!("{name} {cause}"));
    let id = id.to_string().map_err(|_| refusal(&"must be valid UTF-8"))?;
    target(&id).map_err(|cause| refusal(&cause))
}

/// Checks a target from Ruby: callers of private methods may pass anything.
fn checked(ruby: &Ruby, target: String) -> Result<Target, Error> {
    Target::try_from(target).map_err(|cause| argument_error(ruby, cause.to_string()))
}

fn succeeded(outcome: &Outcome) -> bool {
    outcome.answer.as_ref().is_ok_and(|answer| (200..300).contains(&answer.status))
}

fn verdict(outcome: &Outcome) -> Verdict {
    match &outcome.answer {
        Ok(answer) => Verdict::on_status(answer.status),
        Err(error) if error.transient() => Verdict::Transient,
        Err(_) => Verdict::Final,
    }
}

/// Calls the Ruby half of the class to create a `Result`.
fn result(transport: Value, response_class: Value, attempts: u32, outcome: Outcome) -> Result<Value, Error> {
    let ruby = Ruby::get_with(transport);
    let elapsed = outcome.elapsed.as_secs_f64();
    match outcome.answer {
        Ok(answer) => {
            let body = answer.body.map(|body| utf8(&ruby, &body));
            let head = utf8(&ruby, &answer.head);
            transport.funcall(*ANSWERED, (response_class, attempts, elapsed, answer.status, head, body))
        }
        Err(error) => {
            let text = explain(&ruby, &error)?;
            let kind = ruby.to_symbol(error.kind.name());
            let phase = ruby.to_symbol(error.phase.name());
            transport.funcall("failed", (attempts, elapsed, text, kind, phase, error.taken))
        }
    }
}

/// `bytes` as a String marked as UTF-8, which may be invalid.
fn utf8(ruby: &Ruby, bytes: &[u8]) -> RString {
    ruby.enc_str_new(bytes, ruby.utf8_encoding())
}

fn option<T: TryConvert>(options: RHash, name: &str) -> Result<T, Error> {
    let ruby = Ruby::get_with(options);
    let value: Value = options.fetch(ruby.to_symbol(name))?;
    // `lib/` checks the options with better messages; this only names an option that it missed.
    T::try_convert(value).map_err(|cause| error(&ruby, "ConfigurationError", format!("{name}: {cause}")))
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = crate::define_class::<Transport>(ruby, module, "Transport")?;
    class.define_singleton_method("new", function!(Transport::new, 1))?;
    class.define_singleton_method("url_error", function!(Transport::url_error, 1))?;
    class.define_singleton_method("guard_error", function!(Transport::guard_error, 3))?;
    class.define_singleton_method("poll", function!(poll, 2))?;
    class.define_singleton_method("generation", function!(generation, 0))?;
    class.define_singleton_method("segment", function!(Transport::segment, 2))?;
    class.define_method("with", method!(Transport::with, 1))?;
    class.define_method("deliver", method!(Transport::deliver, 5))?;
    class.define_method("attempt", method!(Transport::attempt, 6))?;
    class.define_private_method("send_once", method!(Transport::send_once, 6))?;
    class.define_method("stats", method!(Transport::stats, 0))?;
    class.define_method("count_call", method!(Transport::count_call, 1))?;
    class.define_method("close", method!(Transport::close, 0))?;
    class.define_method("target", method!(Transport::target, 0))?;
    class.define_method("status_target", method!(Transport::status_target, 0))?;
    class.define_method("member_target", method!(Transport::member_target, 2))?;
    class.define_method("origin", method!(Transport::origin, 0))?;
    class.define_method("total_timeout", method!(Transport::total_timeout, 0))?;
    Ok(())
}
