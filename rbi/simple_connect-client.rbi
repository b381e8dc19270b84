# typed: true

# Generated from sig/ by `rake rbi`. Change sig/ instead.

module SimpleConnect
  VERSION = T.let(T.unsafe(nil), ::String)

  sig { params(block: T.proc.params(config: ::SimpleConnect::Configuration).void).void }
  def self.configure(&block); end

  sig { returns(::SimpleConnect::Configuration) }
  def self.configuration; end

  sig { void }
  def self.eager_load!; end

  sig do
    params(
      name: T.nilable(::String),
      block: T.proc.params(name: ::String, payload: T::Hash[::Symbol, T.untyped]).void
    ).returns(::Proc)
  end
  def self.on_event(name = T.unsafe(nil), &block); end

  sig { params(hook: ::Proc).void }
  def self.off_event(hook); end

  sig { params(name: T.nilable(T.any(::Symbol, ::String))).returns(::SimpleConnect::Client) }
  def self.client(name = T.unsafe(nil)); end

  sig { params(name: T.nilable(T.any(::Symbol, ::String))).returns(::SimpleConnect::MessagesClient) }
  def self.messages(name = T.unsafe(nil)); end

  sig { params(name: T.nilable(T.any(::Symbol, ::String))).returns(::SimpleConnect::Outbox::Writer) }
  def self.outbox(name = T.unsafe(nil)); end

  sig do
    type_parameters(:R).params(
      block: T.nilable(T.proc.params(session: ::SimpleConnect::Testing::Session).returns(T.type_parameter(:R)))
    ).returns(T.nilable(T.type_parameter(:R)))
  end
  def self.test!(&block); end
end

module SimpleConnect::ActiveJob
end

module SimpleConnect::Api
end

class SimpleConnect::Api::Events
  DEFAULT_LANGUAGE = T.let(T.unsafe(nil), ::String)

  sig do
    params(
      event_key: T.any(::String, ::Symbol, ::Integer),
      fields: T.untyped,
      recipient: T.untyped,
      event: T.untyped,
      event_id: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      language: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      occurred_at: T.untyped,
      keywords: T.untyped
    ).returns(::SimpleConnect::Result)
  end
  def deliver(event_key, fields = T.unsafe(nil), recipient: T.unsafe(nil), event: T.unsafe(nil), event_id: T.unsafe(nil), language: T.unsafe(nil), occurred_at: T.unsafe(nil), **keywords); end

  sig do
    params(
      event_key: T.any(::String, ::Symbol, ::Integer),
      fields: T.untyped,
      recipient: T.untyped,
      event: T.untyped,
      event_id: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      language: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      occurred_at: T.untyped,
      keywords: T.untyped
    ).returns(::SimpleConnect::Result)
  end
  def deliver!(event_key, fields = T.unsafe(nil), recipient: T.unsafe(nil), event: T.unsafe(nil), event_id: T.unsafe(nil), language: T.unsafe(nil), occurred_at: T.unsafe(nil), **keywords); end

  sig do
    type_parameters(:T).params(
      deliveries: T.untyped,
      concurrency: ::Integer,
      block: T.nilable(T.proc.params(result: ::SimpleConnect::Result, item: T.type_parameter(:T), index: ::Integer).void)
    ).returns(T.any(T::Array[::SimpleConnect::Result], ::Integer))
  end
  def deliver_all(deliveries, concurrency: T.unsafe(nil), &block); end

  sig do
    params(
      event_key: T.any(::String, ::Symbol, ::Integer),
      fields: T.untyped,
      recipient: T.untyped,
      event: T.untyped,
      event_id: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      language: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      occurred_at: T.untyped,
      keywords: T.untyped
    ).returns(::String)
  end
  def deliver_later(event_key, fields = T.unsafe(nil), recipient: T.unsafe(nil), event: T.unsafe(nil), event_id: T.unsafe(nil), language: T.unsafe(nil), occurred_at: T.unsafe(nil), **keywords); end

  sig do
    params(
      queue: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      wait: T.nilable(::Numeric),
      priority: T.nilable(::Integer)
    ).returns(::SimpleConnect::Api::Later)
  end
  def later(queue: T.unsafe(nil), wait: T.unsafe(nil), priority: T.unsafe(nil)); end

  sig { params(event_id: T.any(::String, ::Symbol, ::Integer)).returns(::SimpleConnect::Result) }
  def detail(event_id); end

  sig { params(event_id: T.any(::String, ::Symbol, ::Integer)).returns(::SimpleConnect::Result) }
  def detail!(event_id); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Api::Integrations
  EVENTS_PATH_SUFFIX = T.let(T.unsafe(nil), ::String)
  STATUS_PATH_SUFFIX = T.let(T.unsafe(nil), ::String)

  sig { returns(::SimpleConnect::Result) }
  def verify; end

  sig { returns(::SimpleConnect::Result) }
  def verify!; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Api::Later
  sig do
    params(
      event_key: T.any(::String, ::Symbol, ::Integer),
      fields: T.untyped,
      recipient: T.untyped,
      event: T.untyped,
      event_id: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      language: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      occurred_at: T.untyped,
      keywords: T.untyped
    ).returns(::String)
  end
  def deliver(event_key, fields = T.unsafe(nil), recipient: T.unsafe(nil), event: T.unsafe(nil), event_id: T.unsafe(nil), language: T.unsafe(nil), occurred_at: T.unsafe(nil), **keywords); end

  sig { params(deliveries: T.untyped).returns(::Integer) }
  def deliver_all(deliveries); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Api::Messages
  MESSAGES_PATH = T.let(T.unsafe(nil), ::String)
  MESSAGE_TYPE_TEMPLATE = T.let(T.unsafe(nil), ::String)

  sig do
    params(
      template_name: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      recipients: T::Array[T.untyped],
      language_code: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      sender_phone_number: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      header: T.untyped,
      body: T.untyped,
      buttons: T.untyped,
      message_group: T.nilable(T.any(::String, ::Symbol, ::Integer))
    ).returns(::SimpleConnect::Result)
  end
  def deliver(template_name:, recipients:, language_code: T.unsafe(nil), sender_phone_number: T.unsafe(nil), header: T.unsafe(nil), body: T.unsafe(nil), buttons: T.unsafe(nil), message_group: T.unsafe(nil)); end

  sig do
    params(
      template_name: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      recipients: T::Array[T.untyped],
      language_code: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      sender_phone_number: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      header: T.untyped,
      body: T.untyped,
      buttons: T.untyped,
      message_group: T.nilable(T.any(::String, ::Symbol, ::Integer))
    ).returns(::SimpleConnect::Result)
  end
  def deliver!(template_name:, recipients:, language_code: T.unsafe(nil), sender_phone_number: T.unsafe(nil), header: T.unsafe(nil), body: T.unsafe(nil), buttons: T.unsafe(nil), message_group: T.unsafe(nil)); end

  sig do
    type_parameters(:T).params(
      deliveries: T.untyped,
      concurrency: ::Integer,
      block: T.nilable(T.proc.params(result: ::SimpleConnect::Result, item: T.type_parameter(:T), index: ::Integer).void)
    ).returns(T.any(T::Array[::SimpleConnect::Result], ::Integer))
  end
  def deliver_all(deliveries, concurrency: T.unsafe(nil), &block); end

  sig { params(message_id: T.any(::String, ::Symbol, ::Integer)).returns(::SimpleConnect::Result) }
  def detail(message_id); end

  sig { params(message_id: T.any(::String, ::Symbol, ::Integer)).returns(::SimpleConnect::Result) }
  def detail!(message_id); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::AuthenticationError < ::SimpleConnect::PermanentError
end

class SimpleConnect::CLI
  OK = T.let(T.unsafe(nil), ::Integer)
  REFUSED = T.let(T.unsafe(nil), ::Integer)
  USAGE = T.let(T.unsafe(nil), ::Integer)
  MALFORMED = T.let(T.unsafe(nil), ::Integer)
  TEMPORARY = T.let(T.unsafe(nil), ::Integer)
  INTERRUPTED = T.let(T.unsafe(nil), ::Integer)

  sig do
    params(
      argv: T::Array[::String],
      out: T.untyped,
      err: T.untyped,
      env: T.untyped,
      input: T.untyped,
      configuration: T.nilable(::SimpleConnect::Configuration)
    ).void
  end
  def initialize(argv, out: T.unsafe(nil), err: T.unsafe(nil), env: T.unsafe(nil), input: T.unsafe(nil), configuration: T.unsafe(nil)); end

  sig { returns(::Integer) }
  def run; end
end

class SimpleConnect::Client
  DEFAULT_TIMEOUT = T.let(T.unsafe(nil), ::Integer)

  sig { returns(::SimpleConnect::Api::Events) }
  attr_reader :events

  sig { returns(::SimpleConnect::Api::Integrations) }
  attr_reader :integrations

  sig do
    params(
      env: T.untyped,
      endpoint_url: T.untyped,
      key_id: ::String,
      secret: ::String,
      timeout: ::Numeric,
      logger: T.untyped,
      event_keys: T.untyped,
      max_attempts: T.nilable(T.any(::Numeric, T::Boolean)),
      retryable: T.untyped,
      user_agent: T.nilable(::String),
      envelope: T.nilable(::Symbol),
      debug: T.nilable(T::Boolean),
      headers: T.nilable(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)]),
      open_timeout: T.nilable(::Numeric),
      write_timeout: T.nilable(::Numeric),
      read_timeout: T.nilable(::Numeric),
      total_timeout: T.nilable(::Numeric),
      ip_version: T.nilable(T.any(::Symbol, T::Boolean)),
      proxy: T.untyped,
      ca_file: T.untyped,
      pool_size: ::Integer,
      idle_timeout: ::Numeric,
      max_response_bytes: ::Integer,
      guard: T.nilable(T::Boolean),
      allow_private: T.nilable(T.any(T::Boolean, T::Array[::String])),
      allow_http: T.nilable(T::Boolean)
    ).returns(::SimpleConnect::Client)
  end
  def self.from_env(env = T.unsafe(nil), endpoint_url: T.unsafe(nil), key_id: T.unsafe(nil), secret: T.unsafe(nil), timeout: T.unsafe(nil), logger: T.unsafe(nil), event_keys: T.unsafe(nil), max_attempts: T.unsafe(nil), retryable: T.unsafe(nil), user_agent: T.unsafe(nil), envelope: T.unsafe(nil), debug: T.unsafe(nil), headers: T.unsafe(nil), open_timeout: T.unsafe(nil), write_timeout: T.unsafe(nil), read_timeout: T.unsafe(nil), total_timeout: T.unsafe(nil), ip_version: T.unsafe(nil), proxy: T.unsafe(nil), ca_file: T.unsafe(nil), pool_size: T.unsafe(nil), idle_timeout: T.unsafe(nil), max_response_bytes: T.unsafe(nil), guard: T.unsafe(nil), allow_private: T.unsafe(nil), allow_http: T.unsafe(nil)); end

  sig do
    params(
      endpoint_url: T.untyped,
      key_id: ::String,
      secret: ::String,
      timeout: ::Numeric,
      logger: T.untyped,
      event_keys: T.untyped,
      max_attempts: T.nilable(T.any(::Numeric, T::Boolean)),
      retryable: T.untyped,
      user_agent: T.nilable(::String),
      envelope: T.nilable(::Symbol),
      debug: T.nilable(T::Boolean),
      headers: T.nilable(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)]),
      open_timeout: T.nilable(::Numeric),
      write_timeout: T.nilable(::Numeric),
      read_timeout: T.nilable(::Numeric),
      total_timeout: T.nilable(::Numeric),
      ip_version: T.nilable(T.any(::Symbol, T::Boolean)),
      proxy: T.untyped,
      ca_file: T.untyped,
      pool_size: ::Integer,
      idle_timeout: ::Numeric,
      max_response_bytes: ::Integer,
      guard: T.nilable(T::Boolean),
      allow_private: T.nilable(T.any(T::Boolean, T::Array[::String])),
      allow_http: T.nilable(T::Boolean)
    ).void
  end
  def initialize(endpoint_url:, key_id:, secret:, timeout: T.unsafe(nil), logger: T.unsafe(nil), event_keys: T.unsafe(nil), max_attempts: T.unsafe(nil), retryable: T.unsafe(nil), user_agent: T.unsafe(nil), envelope: T.unsafe(nil), debug: T.unsafe(nil), headers: T.unsafe(nil), open_timeout: T.unsafe(nil), write_timeout: T.unsafe(nil), read_timeout: T.unsafe(nil), total_timeout: T.unsafe(nil), ip_version: T.unsafe(nil), proxy: T.unsafe(nil), ca_file: T.unsafe(nil), pool_size: T.unsafe(nil), idle_timeout: T.unsafe(nil), max_response_bytes: T.unsafe(nil), guard: T.unsafe(nil), allow_private: T.unsafe(nil), allow_http: T.unsafe(nil)); end

  sig do
    params(
      timeout: ::Numeric,
      open_timeout: T.nilable(::Numeric),
      read_timeout: T.nilable(::Numeric),
      write_timeout: T.nilable(::Numeric),
      total_timeout: T.nilable(::Numeric),
      max_attempts: ::Numeric,
      headers: T.nilable(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)])
    ).returns(T.self_type)
  end
  def with(timeout: T.unsafe(nil), open_timeout: T.unsafe(nil), read_timeout: T.unsafe(nil), write_timeout: T.unsafe(nil), total_timeout: T.unsafe(nil), max_attempts: T.unsafe(nil), headers: T.unsafe(nil)); end

  sig { returns(T.any()) }
  def close; end

  sig { returns(T.nilable(::Symbol)) }
  def name; end

  sig { returns(T::Hash[::Symbol, ::Integer]) }
  def stats; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::ClientSettings
  VARIABLES = T.let(T.unsafe(nil), T::Hash[::Symbol, ::String])

  sig { returns(T.untyped) }
  attr_reader :endpoint_url

  sig { params(endpoint_url: T.untyped).returns(T.untyped) }
  attr_writer :endpoint_url

  sig { returns(T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))) }
  attr_reader :key_id

  sig { params(key_id: T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))).returns(T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))) }
  attr_writer :key_id

  sig { returns(T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))) }
  attr_reader :secret

  sig { params(secret: T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))).returns(T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))) }
  attr_writer :secret

  sig { returns(T.untyped) }
  attr_reader :base_url

  sig { params(base_url: T.untyped).returns(T.untyped) }
  attr_writer :base_url

  sig { returns(T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))) }
  attr_reader :api_key

  sig { params(api_key: T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))).returns(T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))) }
  attr_writer :api_key

  sig { returns(T.untyped) }
  attr_reader :logger

  sig { params(logger: T.untyped).returns(T.untyped) }
  attr_writer :logger

  sig { returns(T.untyped) }
  attr_reader :event_keys

  sig { params(event_keys: T.untyped).returns(T.untyped) }
  attr_writer :event_keys

  sig { returns(T.nilable(T.any(::Symbol, T.proc.returns(T.nilable(::Symbol))))) }
  attr_reader :envelope

  sig { params(envelope: T.nilable(T.any(::Symbol, T.proc.returns(T.nilable(::Symbol))))).returns(T.nilable(T.any(::Symbol, T.proc.returns(T.nilable(::Symbol))))) }
  attr_writer :envelope

  sig { returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_reader :timeout

  sig { params(timeout: T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))).returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_writer :timeout

  sig { returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_reader :open_timeout

  sig { params(open_timeout: T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))).returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_writer :open_timeout

  sig { returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_reader :read_timeout

  sig { params(read_timeout: T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))).returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_writer :read_timeout

  sig { returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_reader :write_timeout

  sig { params(write_timeout: T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))).returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_writer :write_timeout

  sig { returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_reader :total_timeout

  sig { params(total_timeout: T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))).returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_writer :total_timeout

  sig { returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_reader :max_attempts

  sig { params(max_attempts: T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))).returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_writer :max_attempts

  sig { returns(T.untyped) }
  attr_reader :retryable

  sig { params(retryable: T.untyped).returns(T.untyped) }
  attr_writer :retryable

  sig { returns(T.nilable(T.any(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)], T.proc.returns(T.nilable(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)]))))) }
  attr_reader :headers

  sig { params(headers: T.nilable(T.any(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)], T.proc.returns(T.nilable(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)]))))).returns(T.nilable(T.any(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)], T.proc.returns(T.nilable(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)]))))) }
  attr_writer :headers

  sig { returns(T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))) }
  attr_reader :user_agent

  sig { params(user_agent: T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))).returns(T.nilable(T.any(::String, T.proc.returns(T.nilable(::String))))) }
  attr_writer :user_agent

  sig { returns(T.nilable(T.any(T::Boolean, T.proc.returns(T.nilable(T::Boolean))))) }
  attr_reader :debug

  sig { params(debug: T.nilable(T.any(T::Boolean, T.proc.returns(T.nilable(T::Boolean))))).returns(T.nilable(T.any(T::Boolean, T.proc.returns(T.nilable(T::Boolean))))) }
  attr_writer :debug

  sig { returns(T.untyped) }
  attr_reader :proxy

  sig { params(proxy: T.untyped).returns(T.untyped) }
  attr_writer :proxy

  sig { returns(T.nilable(T.any(T::Boolean, T.proc.returns(T.nilable(T::Boolean))))) }
  attr_reader :guard

  sig { params(guard: T.nilable(T.any(T::Boolean, T.proc.returns(T.nilable(T::Boolean))))).returns(T.nilable(T.any(T::Boolean, T.proc.returns(T.nilable(T::Boolean))))) }
  attr_writer :guard

  sig { returns(T.nilable(T.any(T::Boolean, T::Array[::String], T.proc.returns(T.nilable(T.any(T::Boolean, T::Array[::String])))))) }
  attr_reader :allow_private

  sig { params(allow_private: T.nilable(T.any(T::Boolean, T::Array[::String], T.proc.returns(T.nilable(T.any(T::Boolean, T::Array[::String])))))).returns(T.nilable(T.any(T::Boolean, T::Array[::String], T.proc.returns(T.nilable(T.any(T::Boolean, T::Array[::String])))))) }
  attr_writer :allow_private

  sig { returns(T.nilable(T.any(T::Boolean, T.proc.returns(T.nilable(T::Boolean))))) }
  attr_reader :allow_http

  sig { params(allow_http: T.nilable(T.any(T::Boolean, T.proc.returns(T.nilable(T::Boolean))))).returns(T.nilable(T.any(T::Boolean, T.proc.returns(T.nilable(T::Boolean))))) }
  attr_writer :allow_http

  sig { returns(T.untyped) }
  attr_reader :ca_file

  sig { params(ca_file: T.untyped).returns(T.untyped) }
  attr_writer :ca_file

  sig { returns(T.nilable(T.any(::Symbol, T::Boolean, T.proc.returns(T.nilable(T.any(::Symbol, T::Boolean)))))) }
  attr_reader :ip_version

  sig { params(ip_version: T.nilable(T.any(::Symbol, T::Boolean, T.proc.returns(T.nilable(T.any(::Symbol, T::Boolean)))))).returns(T.nilable(T.any(::Symbol, T::Boolean, T.proc.returns(T.nilable(T.any(::Symbol, T::Boolean)))))) }
  attr_writer :ip_version

  sig { returns(T.nilable(T.any(::Integer, T.proc.returns(T.nilable(::Integer))))) }
  attr_reader :pool_size

  sig { params(pool_size: T.nilable(T.any(::Integer, T.proc.returns(T.nilable(::Integer))))).returns(T.nilable(T.any(::Integer, T.proc.returns(T.nilable(::Integer))))) }
  attr_writer :pool_size

  sig { returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_reader :idle_timeout

  sig { params(idle_timeout: T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))).returns(T.nilable(T.any(::Numeric, T.proc.returns(T.nilable(::Numeric))))) }
  attr_writer :idle_timeout

  sig { returns(T.nilable(T.any(::Integer, T.proc.returns(T.nilable(::Integer))))) }
  attr_reader :max_response_bytes

  sig { params(max_response_bytes: T.nilable(T.any(::Integer, T.proc.returns(T.nilable(::Integer))))).returns(T.nilable(T.any(::Integer, T.proc.returns(T.nilable(::Integer))))) }
  attr_writer :max_response_bytes

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::Configuration < ::SimpleConnect::ClientSettings
  sig { returns(T.nilable(T.any(::Symbol, ::String))) }
  attr_reader :job

  sig { returns(T.nilable(T.any(::String, ::Symbol, ::Integer))) }
  attr_reader :queue

  sig { returns(::Numeric) }
  attr_reader :max_wait

  sig { returns(::Numeric) }
  attr_reader :give_up_after

  sig { returns(::Symbol) }
  attr_reader :rejected

  sig { returns(T.untyped) }
  attr_reader :on_rejected

  sig { returns(T.untyped) }
  attr_reader :on_unauthorized

  sig { returns(T.untyped) }
  attr_reader :on_exhausted

  sig { returns(::SimpleConnect::Outbox::Settings) }
  def outbox; end

  sig { params(job: T.nilable(T.any(::Symbol, ::String))).void }
  def job=(job); end

  sig { params(queue: T.nilable(T.any(::String, ::Symbol, ::Integer))).void }
  def queue=(queue); end

  sig { params(seconds: ::Numeric).void }
  def max_wait=(seconds); end

  sig { params(seconds: ::Numeric).void }
  def give_up_after=(seconds); end

  sig { params(rejected: ::Symbol).void }
  def rejected=(rejected); end

  sig { params(hook: T.untyped).void }
  def on_rejected=(hook); end

  sig { params(hook: T.untyped).void }
  def on_unauthorized=(hook); end

  sig { params(hook: T.untyped).void }
  def on_exhausted=(hook); end

  sig do
    params(
      name: T.any(::Symbol, ::String),
      block: T.proc.params(client: ::SimpleConnect::ClientSettings).void
    ).void
  end
  def client(name, &block); end

  sig { params(block: T.proc.params(name: ::Symbol).returns(T.nilable(::SimpleConnect::Client))).void }
  def clients(&block); end

  sig { void }
  def reset; end

  sig { returns(::SimpleConnect::Endpoints::Settings) }
  def endpoints; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::ConfigurationError < ::SimpleConnect::Error
end

class SimpleConnect::ConflictError < ::SimpleConnect::PermanentError
end

class SimpleConnect::ConnectionError < ::SimpleConnect::TransientError
end

class SimpleConnect::DeliveryError < ::SimpleConnect::Error
  sig { returns(T.nilable(::SimpleConnect::Result)) }
  attr_reader :result

  sig { params(message: T.nilable(::String), result: T.nilable(::SimpleConnect::Result)).void }
  def initialize(message = T.unsafe(nil), result: T.unsafe(nil)); end

  sig { returns(::Integer) }
  def status_code; end

  sig { returns(T::Boolean) }
  def retryable?; end

  sig { returns(T.nilable(::Float)) }
  def retry_after; end

  sig { params(keys: T.nilable(T::Array[::Symbol])).returns(T::Hash[::Symbol, T.untyped]) }
  def deconstruct_keys(keys); end
end

module SimpleConnect::Endpoints
  sig do
    params(
      application_uid: ::String,
      event: ::SimpleConnect::Outbound::Event
    ).returns(T::Array[::SimpleConnect::Outbound::DeliveryAttempt])
  end
  def self.publish(application_uid, event); end

  sig do
    params(
      application_uid: ::String,
      event: ::SimpleConnect::Outbound::Event
    ).returns(T::Array[::SimpleConnect::Outbound::DeliveryAttempt])
  end
  def self.publish_later(application_uid, event); end

  sig { params(seconds: ::Numeric).returns(::Integer) }
  def self.deliver_due(seconds: T.unsafe(nil)); end

  sig { void }
  def self.relay; end

  sig { params(uid: ::String).returns(T.nilable(::SimpleConnect::Outbound::Application)) }
  def self.find_application(uid); end

  sig { returns(::Integer) }
  def self.clean; end

  sig { returns(::Integer) }
  def self.rotate_encryption_key; end
end

class SimpleConnect::Endpoints::Application
  sig { params(application: ::SimpleConnect::Outbound::Application).returns(::SimpleConnect::Endpoints::Application) }
  def self.import!(application); end

  sig { params(options: T.untyped).void }
  def retry_schedule=(options); end

  sig { returns(::SimpleConnect::Outbound::Application) }
  def to_application; end

  sig { returns(T.nilable(::SimpleConnect::Outbound::RetrySchedule)) }
  def schedule; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Endpoints::Attempt
  sig { returns(::SimpleConnect::Outbound::DeliveryAttempt) }
  def to_attempt; end
end

class SimpleConnect::Endpoints::Endpoint
  sig { returns(T.nilable(T.any(::String, T::Array[::String]))) }
  attr_reader :secret

  sig { params(secret: T.any(::String, T::Array[::String])).void }
  def secret=(secret); end

  sig { returns(T::Hash[::Symbol, T.any(T::Hash[::String, ::String], T::Boolean)]) }
  def headers; end

  sig { params(headers: T.untyped).void }
  def headers=(headers); end

  sig { params(active: T::Boolean).returns(::SimpleConnect::Outbound::Endpoint) }
  def to_endpoint(active: T.unsafe(nil)); end

  sig { params(overlap: ::Numeric, secret: T.nilable(::String)).returns(::String) }
  def rotate_secret!(overlap: T.unsafe(nil), secret: T.unsafe(nil)); end

  sig { returns(T::Boolean) }
  def disabled?; end

  sig { params(replay: T::Boolean).returns(::Integer) }
  def enable!(replay: T.unsafe(nil)); end

  sig { params(since: ::Time, until: T.nilable(::Time), only: ::Symbol).returns(::Integer) }
  def replay(since:, until: T.unsafe(nil), only: T.unsafe(nil)); end

  sig { returns(T::Hash[::Symbol, T.untyped]) }
  def to_h; end

  sig { params(options: T.untyped).returns(T::Hash[::String, T.untyped]) }
  def serializable_hash(options = T.unsafe(nil)); end

  sig { params(arguments: T.untyped).returns(T.self_type) }
  def reload(*arguments); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Endpoints::Settings
  sig { returns(::String) }
  attr_reader :base

  sig { returns(::Symbol) }
  attr_reader :scheme

  sig { returns(T::Hash[::Symbol, T.untyped]) }
  attr_reader :connection

  sig { returns(T.untyped) }
  attr_reader :limiter

  sig { returns(::Numeric) }
  attr_reader :retain

  sig { returns(::Integer) }
  attr_reader :disable_after_failures

  sig { returns(::Numeric) }
  attr_reader :disable_after

  sig { returns(T.untyped) }
  attr_reader :on_failing

  sig { returns(T.untyped) }
  attr_reader :on_exhausted

  sig { returns(T.nilable(T.any(::Symbol, T::Boolean))) }
  attr_reader :jobs

  sig { returns(T.nilable(T.any(::String, ::Symbol, ::Integer))) }
  attr_reader :queue

  sig { params(name: ::String).void }
  def base=(name); end

  sig do
    params(
      key: T.nilable(T.any(::String, T::Array[::String], T.proc.returns(T.any(::String, T::Array[::String]))))
    ).void
  end
  def encryption_key=(key); end

  sig { params(scheme: ::Symbol).void }
  def scheme=(scheme); end

  sig { params(options: T::Hash[::Symbol, T.untyped]).void }
  def connection=(options); end

  sig { params(limiter: T.untyped).void }
  def limiter=(limiter); end

  sig { params(seconds: ::Numeric).void }
  def retain=(seconds); end

  sig { params(count: ::Integer).void }
  def disable_after_failures=(count); end

  sig { params(seconds: ::Numeric).void }
  def disable_after=(seconds); end

  sig { params(hook: T.untyped).void }
  def on_failing=(hook); end

  sig { params(hook: T.untyped).void }
  def on_exhausted=(hook); end

  sig { params(jobs: T.nilable(T.any(::Symbol, T::Boolean))).void }
  def jobs=(jobs); end

  sig { params(queue: T.nilable(T.any(::String, ::Symbol, ::Integer))).void }
  def queue=(queue); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::EnqueueError < ::SimpleConnect::Error
end

class SimpleConnect::Error < ::StandardError
  sig { params(keys: T.nilable(T::Array[::Symbol])).returns(T::Hash[::Symbol, T.untyped]) }
  def deconstruct_keys(keys); end
end

class SimpleConnect::EventConflictError < ::SimpleConnect::Error
  sig { returns(T.nilable(::String)) }
  attr_reader :client

  sig { returns(T.nilable(::String)) }
  attr_reader :event_id

  sig { params(message: T.nilable(::String), client: T.nilable(::String), event_id: T.nilable(::String)).void }
  def initialize(message = T.unsafe(nil), client: T.unsafe(nil), event_id: T.unsafe(nil)); end

  sig { params(keys: T.nilable(T::Array[::Symbol])).returns(T::Hash[::Symbol, T.untyped]) }
  def deconstruct_keys(keys); end
end

class SimpleConnect::InternalError < ::SimpleConnect::Error
end

class SimpleConnect::InvalidRequestError < ::SimpleConnect::PermanentError
end

class SimpleConnect::Kiket < ::SimpleConnect::Webhooks::App
  sig do
    params(
      webhook_secret: T.nilable(T.any(::String, T::Array[::String])),
      workspace_token: T.nilable(::String),
      base_url: T.nilable(::String),
      settings: T::Hash[T.any(::String, ::Symbol, ::Integer), T.untyped],
      extension_id: T.nilable(::String),
      extension_version: T.nilable(::String),
      manifest_path: T.nilable(::String),
      auto_env_secrets: T::Boolean,
      telemetry_enabled: T::Boolean,
      feedback_hook: T.untyped,
      telemetry_url: T.nilable(::String),
      extension_api_key: T.nilable(::String),
      registry: T.untyped,
      tolerance: ::Numeric,
      replay_guard: T.untyped,
      replay: ::Symbol,
      max_body_bytes: ::Integer,
      expose_errors: T::Boolean
    ).void
  end
  def initialize(webhook_secret: T.unsafe(nil), workspace_token: T.unsafe(nil), base_url: T.unsafe(nil), settings: T.unsafe(nil), extension_id: T.unsafe(nil), extension_version: T.unsafe(nil), manifest_path: T.unsafe(nil), auto_env_secrets: T.unsafe(nil), telemetry_enabled: T.unsafe(nil), feedback_hook: T.unsafe(nil), telemetry_url: T.unsafe(nil), extension_api_key: T.unsafe(nil), registry: T.unsafe(nil), tolerance: T.unsafe(nil), replay_guard: T.unsafe(nil), replay: T.unsafe(nil), max_body_bytes: T.unsafe(nil), expose_errors: T.unsafe(nil)); end

  sig do
    params(
      event: T.any(::String, ::Symbol, ::Integer),
      version: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      block: T.nilable(T.proc.params(payload: T::Hash[::String, T.untyped], context: ::SimpleConnect::Kiket::Context).returns(T.untyped))
    ).returns(::SimpleConnect::Webhooks::Registry::Registration)
  end
  def register(event, version:, &block); end

  sig do
    params(
      event: T.any(::String, ::Symbol, ::Integer),
      version: T.any(::String, ::Symbol, ::Integer),
      block: T.nilable(T.proc.params(payload: T::Hash[::String, T.untyped], context: ::SimpleConnect::Kiket::Context).returns(T.untyped))
    ).returns(::Proc)
  end
  def webhook(event, version:, &block); end
end

module SimpleConnect::Kiket::Auth
  AuthenticationError = ::SimpleConnect::SignatureVerificationError

  sig do
    params(
      secret: ::String,
      body: ::String,
      timestamp: T.untyped
    ).returns({ signature: ::String, timestamp: ::String })
  end
  def self.generate_signature(secret, body, timestamp = T.unsafe(nil)); end

  sig { params(secret: ::String, body: T.nilable(::String), headers: T.untyped).returns(T::Boolean) }
  def self.verify_signature(secret, body, headers); end
end

class SimpleConnect::Kiket::Client
  sig { params(base_url: ::String, workspace_token: T.nilable(::String), extension_api_key: T.nilable(::String)).void }
  def initialize(base_url, workspace_token: T.unsafe(nil), extension_api_key: T.unsafe(nil)); end

  sig { params(path: ::String).returns(T.untyped) }
  def get(path); end

  sig { params(path: ::String, data: T.untyped).returns(T.untyped) }
  def post(path, data); end

  sig { params(path: ::String, data: T.untyped).returns(T.untyped) }
  def put(path, data); end

  sig { params(path: ::String, data: T.untyped).returns(T.untyped) }
  def patch(path, data); end

  sig { params(path: ::String).returns(T.untyped) }
  def delete(path); end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::Kiket::Context < ::SimpleConnect::Webhooks::Context
  sig { returns(::SimpleConnect::Kiket::Settings) }
  attr_reader :settings

  sig { returns(T.nilable(::String)) }
  attr_reader :extension_id

  sig { returns(T.nilable(::String)) }
  attr_reader :extension_version

  sig { returns(::SimpleConnect::Kiket::Client) }
  attr_reader :client

  sig { returns(::SimpleConnect::Kiket::Endpoints) }
  attr_reader :endpoints

  sig { returns(T::Array[::Symbol]) }
  def keys; end

  sig { returns(T::Hash[::Symbol, T.untyped]) }
  def to_h; end

  sig { returns(T::Hash[::Symbol, T.untyped]) }
  def to_hash; end

  sig { returns(::SimpleConnect::Kiket::Secrets) }
  def secrets; end

  sig { returns(T::Hash[::String, T.untyped]) }
  def rate_limit; end
end

class SimpleConnect::Kiket::CustomData
  sig { returns(::String) }
  def inspect; end

  sig do
    params(
      module_key: T.any(::String, ::Symbol, ::Integer),
      table: T.any(::String, ::Symbol, ::Integer),
      limit: T.nilable(::Integer),
      filters: T.untyped
    ).returns(T.untyped)
  end
  def list(module_key, table, limit: T.unsafe(nil), filters: T.unsafe(nil)); end

  sig do
    params(
      module_key: T.any(::String, ::Symbol, ::Integer),
      table: T.any(::String, ::Symbol, ::Integer),
      id: T.any(::String, ::Symbol, ::Integer)
    ).returns(T.untyped)
  end
  def get(module_key, table, id); end

  sig do
    params(
      module_key: T.any(::String, ::Symbol, ::Integer),
      table: T.any(::String, ::Symbol, ::Integer),
      record: T.untyped
    ).returns(T.untyped)
  end
  def create(module_key, table, record); end

  sig do
    params(
      module_key: T.any(::String, ::Symbol, ::Integer),
      table: T.any(::String, ::Symbol, ::Integer),
      id: T.any(::String, ::Symbol, ::Integer),
      record: T.untyped
    ).returns(T.untyped)
  end
  def update(module_key, table, id, record); end

  sig do
    params(
      module_key: T.any(::String, ::Symbol, ::Integer),
      table: T.any(::String, ::Symbol, ::Integer),
      id: T.any(::String, ::Symbol, ::Integer)
    ).returns(T.untyped)
  end
  def delete(module_key, table, id); end
end

class SimpleConnect::Kiket::Endpoints
  sig do
    params(
      client: ::SimpleConnect::Kiket::Client,
      extension_id: T.nilable(::String),
      event_version: ::String
    ).void
  end
  def initialize(client, extension_id, event_version); end

  sig { params(event: ::String, data: T.untyped).returns(T.untyped) }
  def log_event(event, data); end

  sig { params(title: ::String, body: ::String, level: ::String).returns(T.untyped) }
  def notify(title, body, level); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def rate_limit; end

  sig { returns(::SimpleConnect::Kiket::Secrets) }
  def secrets; end

  sig { params(project_id: T.any(::String, ::Symbol, ::Integer)).returns(::SimpleConnect::Kiket::CustomData) }
  def custom_data(project_id); end

  sig { params(project_id: T.any(::String, ::Symbol, ::Integer)).returns(::SimpleConnect::Kiket::SlaEvents) }
  def sla_events(project_id); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Kiket::Manifest
  NAMES = T.let(T.unsafe(nil), T::Array[::String])
  PREFIX = T.let(T.unsafe(nil), ::String)

  sig { returns(T.nilable(::String)) }
  attr_reader :id

  sig { returns(T.nilable(::String)) }
  attr_reader :version

  sig { returns(T.nilable(::String)) }
  attr_reader :delivery_secret

  sig { returns(::SimpleConnect::Kiket::Settings) }
  attr_reader :settings

  sig { params(path: T.untyped, env: T.untyped, prefix: ::String).returns(T.nilable(::SimpleConnect::Kiket::Manifest)) }
  def self.load(path = T.unsafe(nil), env: T.unsafe(nil), prefix: T.unsafe(nil)); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Kiket::RequestError < ::SimpleConnect::Error
  sig { returns(::SimpleConnect::Result) }
  attr_reader :result

  sig { params(message: ::String, result: ::SimpleConnect::Result).void }
  def initialize(message, result); end
end

class SimpleConnect::Kiket::Secrets
  sig { params(store: T.untyped).void }
  def initialize(store); end

  sig { params(key: T.any(::String, ::Symbol, ::Integer)).returns(T.nilable(::String)) }
  def get(key); end

  sig do
    type_parameters(:X).params(
      key: T.any(::String, ::Symbol, ::Integer),
      default: T.type_parameter(:X),
      block: T.nilable(T.proc.params(key: T.any(::String, ::Symbol, ::Integer)).returns(T.type_parameter(:X)))
    ).returns(T.any(::String, T.type_parameter(:X)))
  end
  def fetch(key, default = T.unsafe(nil), &block); end

  sig { params(key: T.any(::String, ::Symbol, ::Integer), value: ::String).returns(T.any()) }
  def set(key, value); end

  sig { params(key: T.any(::String, ::Symbol, ::Integer)).returns(T.any()) }
  def delete(key); end

  sig { returns(T::Array[::String]) }
  def list; end

  sig { params(key: T.any(::String, ::Symbol, ::Integer), value: ::String).returns(T.nilable(::String)) }
  def rotate(key, value); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Kiket::Secrets::EnvStore
  sig { params(prefix: ::String, env: T.untyped).void }
  def initialize(prefix: T.unsafe(nil), env: T.unsafe(nil)); end

  sig { params(key: ::String).returns(T.nilable(::String)) }
  def get(key); end

  sig { params(key: ::String, value: ::String).void }
  def set(key, value); end

  sig { params(key: ::String).void }
  def delete(key); end

  sig { returns(T::Array[::String]) }
  def list; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Kiket::Secrets::MemoryStore
  sig { params(secrets: T::Hash[T.any(::String, ::Symbol), ::String]).void }
  def initialize(secrets = T.unsafe(nil)); end

  sig { params(key: ::String).returns(T.nilable(::String)) }
  def get(key); end

  sig { params(key: ::String, value: ::String).void }
  def set(key, value); end

  sig { params(key: ::String).void }
  def delete(key); end

  sig { returns(T::Array[::String]) }
  def list; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Kiket::Settings < ::Hash
  extend T::Generic
  K = type_member { { fixed: ::String } }
  V = type_member { { fixed: T.untyped } }
  Elem = type_member { { fixed: [::String, T.untyped] } }


  sig { params(settings: T::Hash[T.any(::String, ::Symbol, ::Integer), T.untyped]).void }
  def initialize(settings = T.unsafe(nil)); end

  sig { params(key: T.any(::String, ::Symbol)).returns(T.untyped) }
  def [](key); end

  sig do
    params(
      key: T.any(::String, ::Symbol),
      default: T.untyped,
      block: T.nilable(T.proc.params(key: T.any(::String, ::Symbol)).returns(T.untyped))
    ).returns(T.untyped)
  end
  def fetch(key, default = T.unsafe(nil), &block); end

  sig { params(key: T.any(::String, ::Symbol)).returns(T::Boolean) }
  def key?(key); end

  alias has_key? key?

  alias include? key?

  alias member? key?

  sig { params(key: T.any(::String, ::Symbol), path: T.untyped).returns(T.untyped) }
  def dig(key, *path); end

  sig { params(keys: T.any(::String, ::Symbol)).returns(T::Array[T.untyped]) }
  def values_at(*keys); end

  sig { params(keys: T.any(::String, ::Symbol)).returns(T::Hash[::String, T.untyped]) }
  def slice(*keys); end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::Kiket::SlaEvents
  sig { returns(::String) }
  def inspect; end

  sig do
    params(
      issue_id: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      state: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      limit: T.nilable(::Integer)
    ).returns(T.untyped)
  end
  def list(issue_id: T.unsafe(nil), state: T.unsafe(nil), limit: T.unsafe(nil)); end
end

class SimpleConnect::Kiket::Telemetry
  OPT_OUT = T.let(T.unsafe(nil), ::String)

  sig do
    params(
      feedback_hook: T.untyped,
      url: T.nilable(::String),
      enabled: T.nilable(T::Boolean),
      extension_id: T.nilable(::String),
      extension_version: T.nilable(::String),
      extension_api_key: T.nilable(::String),
      env: T.untyped
    ).void
  end
  def initialize(feedback_hook: T.unsafe(nil), url: T.unsafe(nil), enabled: T.unsafe(nil), extension_id: T.unsafe(nil), extension_version: T.unsafe(nil), extension_api_key: T.unsafe(nil), env: T.unsafe(nil)); end

  sig { params(event: ::String, version: ::String, seconds: ::Numeric, error: T.nilable(::Exception)).returns(T.any()) }
  def record(event, version, seconds, error = T.unsafe(nil)); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::MalformedPayloadError < ::SimpleConnect::Error
end

class SimpleConnect::MalformedResponseError < ::SimpleConnect::Error
  sig { returns(T.nilable(::SimpleConnect::Result)) }
  attr_reader :result

  sig { params(message: T.nilable(::String), result: T.nilable(::SimpleConnect::Result)).void }
  def initialize(message = T.unsafe(nil), result: T.unsafe(nil)); end

  sig do
    params(
      keys: T.nilable(T::Array[::Symbol])
    ).returns({ message: ::String, result: T.nilable(::SimpleConnect::Result) })
  end
  def deconstruct_keys(keys); end
end

class SimpleConnect::MessagesClient
  DEFAULT_TIMEOUT = T.let(T.unsafe(nil), ::Integer)

  sig { returns(::SimpleConnect::Api::Messages) }
  attr_reader :messages

  sig do
    params(
      base_url: T.untyped,
      api_key: ::String,
      timeout: ::Numeric,
      logger: T.untyped,
      max_attempts: T.nilable(T.any(::Numeric, T::Boolean)),
      retryable: T.untyped,
      user_agent: T.nilable(::String),
      debug: T.nilable(T::Boolean),
      ip_version: T.nilable(T.any(::Symbol, T::Boolean)),
      headers: T.nilable(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)]),
      open_timeout: T.nilable(::Numeric),
      write_timeout: T.nilable(::Numeric),
      read_timeout: T.nilable(::Numeric),
      total_timeout: T.nilable(::Numeric),
      proxy: T.untyped,
      ca_file: T.untyped,
      pool_size: ::Integer,
      idle_timeout: ::Numeric,
      max_response_bytes: ::Integer,
      guard: T.nilable(T::Boolean),
      allow_private: T.nilable(T.any(T::Boolean, T::Array[::String])),
      allow_http: T.nilable(T::Boolean)
    ).void
  end
  def initialize(base_url:, api_key:, timeout: T.unsafe(nil), logger: T.unsafe(nil), max_attempts: T.unsafe(nil), retryable: T.unsafe(nil), user_agent: T.unsafe(nil), debug: T.unsafe(nil), ip_version: T.unsafe(nil), headers: T.unsafe(nil), open_timeout: T.unsafe(nil), write_timeout: T.unsafe(nil), read_timeout: T.unsafe(nil), total_timeout: T.unsafe(nil), proxy: T.unsafe(nil), ca_file: T.unsafe(nil), pool_size: T.unsafe(nil), idle_timeout: T.unsafe(nil), max_response_bytes: T.unsafe(nil), guard: T.unsafe(nil), allow_private: T.unsafe(nil), allow_http: T.unsafe(nil)); end

  sig do
    params(
      template_name: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      recipients: T::Array[T.untyped],
      language_code: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      sender_phone_number: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      header: T.untyped,
      body: T.untyped,
      buttons: T.untyped,
      message_group: T.nilable(T.any(::String, ::Symbol, ::Integer))
    ).returns(::SimpleConnect::Result)
  end
  def deliver(template_name:, recipients:, language_code: T.unsafe(nil), sender_phone_number: T.unsafe(nil), header: T.unsafe(nil), body: T.unsafe(nil), buttons: T.unsafe(nil), message_group: T.unsafe(nil)); end

  sig do
    params(
      template_name: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      recipients: T::Array[T.untyped],
      language_code: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      sender_phone_number: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      header: T.untyped,
      body: T.untyped,
      buttons: T.untyped,
      message_group: T.nilable(T.any(::String, ::Symbol, ::Integer))
    ).returns(::SimpleConnect::Result)
  end
  def deliver!(template_name:, recipients:, language_code: T.unsafe(nil), sender_phone_number: T.unsafe(nil), header: T.unsafe(nil), body: T.unsafe(nil), buttons: T.unsafe(nil), message_group: T.unsafe(nil)); end

  sig do
    type_parameters(:T).params(
      deliveries: T.untyped,
      concurrency: ::Integer,
      block: T.nilable(T.proc.params(result: ::SimpleConnect::Result, item: T.type_parameter(:T), index: ::Integer).void)
    ).returns(T.any(T::Array[::SimpleConnect::Result], ::Integer))
  end
  def deliver_all(deliveries, concurrency: T.unsafe(nil), &block); end

  sig { params(message_id: T.any(::String, ::Symbol, ::Integer)).returns(::SimpleConnect::Result) }
  def detail(message_id); end

  sig { params(message_id: T.any(::String, ::Symbol, ::Integer)).returns(::SimpleConnect::Result) }
  def detail!(message_id); end

  sig do
    params(
      timeout: ::Numeric,
      open_timeout: T.nilable(::Numeric),
      read_timeout: T.nilable(::Numeric),
      write_timeout: T.nilable(::Numeric),
      total_timeout: T.nilable(::Numeric),
      max_attempts: ::Numeric,
      headers: T.nilable(T::Hash[T.any(::String, ::Symbol), T.any(::String, ::Symbol, ::Numeric)])
    ).returns(T.self_type)
  end
  def with(timeout: T.unsafe(nil), open_timeout: T.unsafe(nil), read_timeout: T.unsafe(nil), write_timeout: T.unsafe(nil), total_timeout: T.unsafe(nil), max_attempts: T.unsafe(nil), headers: T.unsafe(nil)); end

  sig { returns(T.any()) }
  def close; end

  sig { returns(T.nilable(::Symbol)) }
  def name; end

  sig { returns(T::Hash[::Symbol, ::Integer]) }
  def stats; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::NoTransactionError < ::SimpleConnect::Error
end

class SimpleConnect::NotFoundError < ::SimpleConnect::PermanentError
end

module SimpleConnect::Outbound
end

class SimpleConnect::Outbound::Application
  sig { returns(::String) }
  attr_reader :name

  sig { returns(::String) }
  attr_reader :uid

  sig { returns(T::Array[::SimpleConnect::Outbound::Endpoint]) }
  attr_reader :endpoints

  sig { returns(T.nilable(::Integer)) }
  attr_reader :rate_limit

  sig { returns(T.untyped) }
  attr_reader :retry_schedule

  sig do
    params(
      name: T.any(::String, ::Symbol, ::Integer),
      uid: T.nilable(::String),
      endpoints: T::Enumerable[::SimpleConnect::Outbound::Endpoint],
      rate_limit: T.nilable(::Integer),
      retry_schedule: T.untyped
    ).void
  end
  def initialize(name:, uid: T.unsafe(nil), endpoints: T.unsafe(nil), rate_limit: T.unsafe(nil), retry_schedule: T.unsafe(nil)); end

  sig { params(uid: ::String).returns(T.nilable(::SimpleConnect::Outbound::Endpoint)) }
  def endpoint(uid); end

  sig { params(endpoint: ::SimpleConnect::Outbound::Endpoint).returns(T.nilable(::Integer)) }
  def rate_limit_of(endpoint); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Outbound::DeliveryAttempt
  MEMBERS = T.let(T.unsafe(nil), T::Array[::Symbol])

  sig { returns(T.nilable(::String)) }
  attr_reader :id

  sig { returns(::String) }
  attr_reader :event_uid

  sig { returns(::String) }
  attr_reader :endpoint_uid

  sig { returns(T.nilable(::String)) }
  attr_reader :endpoint_url

  sig { returns(::Symbol) }
  attr_reader :status

  sig { returns(T.nilable(::String)) }
  attr_reader :response

  sig { returns(T.nilable(::Integer)) }
  attr_reader :response_status_code

  sig { returns(T::Hash[::String, ::String]) }
  attr_reader :response_headers

  sig { returns(::Integer) }
  attr_reader :retry_count

  sig { returns(::Symbol) }
  attr_reader :trigger_type

  sig { returns(T.nilable(::Time)) }
  attr_reader :attempted_at

  sig { returns(T.nilable(::Time)) }
  attr_reader :scheduled_at

  sig { returns(T.nilable(::Time)) }
  attr_reader :started_at

  sig { returns(T.nilable(::String)) }
  attr_reader :error

  sig { returns(T.nilable(::Symbol)) }
  attr_reader :network_error

  sig do
    params(
      id: T.nilable(::String),
      event_uid: ::String,
      endpoint_uid: ::String,
      status: T.any(::Symbol, ::String),
      retry_count: ::Integer,
      endpoint_url: T.nilable(::String),
      response: T.nilable(::String),
      response_status_code: T.nilable(::Integer),
      response_headers: T.nilable(T::Hash[T.any(::String, ::Symbol), ::String]),
      trigger_type: T.any(::Symbol, ::String),
      attempted_at: T.nilable(T.any(::Time, ::String)),
      scheduled_at: T.nilable(T.any(::Time, ::String)),
      started_at: T.nilable(T.any(::Time, ::String)),
      error: T.nilable(::String),
      network_error: T.nilable(T.any(::Symbol, ::String))
    ).void
  end
  def initialize(id:, event_uid:, endpoint_uid:, status:, retry_count:, endpoint_url: T.unsafe(nil), response: T.unsafe(nil), response_status_code: T.unsafe(nil), response_headers: T.unsafe(nil), trigger_type: T.unsafe(nil), attempted_at: T.unsafe(nil), scheduled_at: T.unsafe(nil), started_at: T.unsafe(nil), error: T.unsafe(nil), network_error: T.unsafe(nil)); end

  sig { returns(T::Boolean) }
  def pending?; end

  sig { returns(T::Boolean) }
  def success?; end

  sig { returns(T::Boolean) }
  def failure?; end

  sig { returns(T::Boolean) }
  def canceled?; end

  sig { returns({ id: T.nilable(::String), event_uid: ::String, endpoint_uid: ::String, endpoint_url: T.nilable(::String), status: ::Symbol, response: T.nilable(::String), response_status_code: T.nilable(::Integer), response_headers: T::Hash[::String, ::String], retry_count: ::Integer, trigger_type: ::Symbol, attempted_at: T.nilable(::Time), scheduled_at: T.nilable(::Time), started_at: T.nilable(::Time), error: T.nilable(::String), network_error: T.nilable(::Symbol) }) }
  def to_h; end

  sig { params(other: T.untyped).returns(T::Boolean) }
  def ==(other); end

  alias eql? ==

  sig { returns(::Integer) }
  def hash; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Outbound::Dispatcher
  LONGEST_WAIT = T.let(T.unsafe(nil), ::Float)

  sig do
    params(
      application: T.any(::SimpleConnect::Outbound::Application, ::String),
      store: T.untyped,
      scheme: ::Symbol,
      jobs: T.nilable(T.any(::Symbol, T::Boolean)),
      queue: T.nilable(T.any(::String, ::Symbol)),
      on_attempt: T.untyped,
      on_exhausted: T.untyped,
      limiter: T.untyped,
      timeout: ::Numeric,
      open_timeout: T.nilable(::Numeric),
      write_timeout: T.nilable(::Numeric),
      read_timeout: T.nilable(::Numeric),
      total_timeout: T.nilable(::Numeric),
      user_agent: T.nilable(::String),
      ip_version: T.nilable(T.any(::Symbol, T::Boolean)),
      proxy: T.untyped,
      ca_file: T.untyped,
      pool_size: ::Integer,
      idle_timeout: ::Numeric,
      max_response_bytes: ::Integer,
      guard: T::Boolean,
      allow_private: T.nilable(T.any(T::Boolean, T::Array[::String])),
      allow_http: T.nilable(T::Boolean)
    ).void
  end
  def initialize(application, store: T.unsafe(nil), scheme: T.unsafe(nil), jobs: T.unsafe(nil), queue: T.unsafe(nil), on_attempt: T.unsafe(nil), on_exhausted: T.unsafe(nil), limiter: T.unsafe(nil), timeout: T.unsafe(nil), open_timeout: T.unsafe(nil), write_timeout: T.unsafe(nil), read_timeout: T.unsafe(nil), total_timeout: T.unsafe(nil), user_agent: T.unsafe(nil), ip_version: T.unsafe(nil), proxy: T.unsafe(nil), ca_file: T.unsafe(nil), pool_size: T.unsafe(nil), idle_timeout: T.unsafe(nil), max_response_bytes: T.unsafe(nil), guard: T.unsafe(nil), allow_private: T.unsafe(nil), allow_http: T.unsafe(nil)); end

  sig { returns(::SimpleConnect::Outbound::Application) }
  def application; end

  sig { params(event: ::SimpleConnect::Outbound::Event).returns(T::Array[::SimpleConnect::Outbound::DeliveryAttempt]) }
  def publish(event); end

  sig { params(event: ::SimpleConnect::Outbound::Event).returns(T::Array[::SimpleConnect::Outbound::DeliveryAttempt]) }
  def publish_later(event); end

  sig { params(attempt: ::SimpleConnect::Outbound::DeliveryAttempt).returns(T.nilable(::Time)) }
  def next_attempt(attempt); end

  sig do
    params(
      attempt: ::SimpleConnect::Outbound::DeliveryAttempt,
      event: ::SimpleConnect::Outbound::Event
    ).returns(::SimpleConnect::Outbound::DeliveryAttempt)
  end
  def retry(attempt, event); end

  sig { returns(T.any()) }
  def close; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Outbound::Endpoint
  LATEST = T.let(T.unsafe(nil), ::String)
  MAX_HEADERS = T.let(T.unsafe(nil), ::Integer)

  sig { returns(::String) }
  attr_reader :uid

  sig { returns(::String) }
  attr_reader :url

  sig { returns(T.nilable(::String)) }
  attr_reader :version

  sig { returns(T::Array[::String]) }
  attr_reader :filter_types

  sig { returns(T::Array[::String]) }
  attr_reader :topics

  sig { returns(T.nilable(::Integer)) }
  attr_reader :rate_limit

  sig { returns(T.any(::String, T::Array[::String])) }
  attr_reader :secret

  sig { returns(T.nilable(::SimpleConnect::Outbound::Application)) }
  attr_reader :application

  sig { returns(T::Array[::String]) }
  attr_reader :errors

  sig do
    params(
      url: T.untyped,
      uid: T.untyped,
      version: T.untyped,
      filter_types: T.untyped,
      topics: T.untyped,
      active: T.untyped,
      rate_limit: T.untyped,
      headers: T.untyped,
      secret: T.untyped,
      allow_private: T.nilable(T.any(T::Boolean, T::Array[::String])),
      allow_http: T.nilable(T::Boolean)
    ).void
  end
  def initialize(url:, uid: T.unsafe(nil), version: T.unsafe(nil), filter_types: T.unsafe(nil), topics: T.unsafe(nil), active: T.unsafe(nil), rate_limit: T.unsafe(nil), headers: T.unsafe(nil), secret: T.unsafe(nil), allow_private: T.unsafe(nil), allow_http: T.unsafe(nil)); end

  sig { returns(T::Boolean) }
  def active?; end

  sig { returns(T::Boolean) }
  def active; end

  sig { returns(T::Boolean) }
  def valid?; end

  sig { params(event: ::SimpleConnect::Outbound::Event).returns(T::Boolean) }
  def matches?(event); end

  sig { returns(T::Hash[::Symbol, T.any(T::Hash[::String, ::String], T::Boolean)]) }
  def headers; end

  sig { returns({ uid: ::String, url: ::String, version: T.nilable(::String), filter_types: T::Array[::String], topics: T::Array[::String], active: T::Boolean, rate_limit: T.nilable(::Integer), headers: T::Hash[::Symbol, T.any(T::Hash[::String, ::String], T::Boolean)] }) }
  def to_h; end

  sig { params(other: T.untyped).returns(T::Boolean) }
  def ==(other); end

  alias eql? ==

  sig { returns(::Integer) }
  def hash; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::Outbound::Event
  sig { returns(::String) }
  attr_reader :uid

  sig { returns(::String) }
  attr_reader :event_type

  sig { returns(T.nilable(::String)) }
  attr_reader :version

  sig { returns(T::Array[::String]) }
  attr_reader :topics

  sig { returns(::String) }
  attr_reader :body

  sig do
    params(
      event_type: T.any(::String, ::Symbol),
      payload: T.untyped,
      uid: T.nilable(T.any(::String, ::Symbol)),
      version: T.nilable(T.any(::String, ::Symbol)),
      topics: T.nilable(T::Array[T.any(::String, ::Symbol)])
    ).void
  end
  def initialize(event_type:, payload:, uid: T.unsafe(nil), version: T.unsafe(nil), topics: T.unsafe(nil)); end

  sig { returns({ uid: ::String, event_type: ::String, version: T.nilable(::String), topics: T::Array[::String], payload: ::String }) }
  def to_h; end

  sig { params(other: T.untyped).returns(T::Boolean) }
  def ==(other); end

  alias eql? ==

  sig { returns(::Integer) }
  def hash; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::Outbound::QueueError < ::SimpleConnect::Error
  sig { returns(T::Array[::SimpleConnect::Outbound::DeliveryAttempt]) }
  attr_reader :attempts

  sig { returns(T::Array[::SimpleConnect::Outbound::DeliveryAttempt]) }
  attr_reader :unqueued

  sig do
    params(
      attempts: T::Array[::SimpleConnect::Outbound::DeliveryAttempt],
      unqueued: T::Array[::SimpleConnect::Outbound::DeliveryAttempt],
      error: ::Exception
    ).void
  end
  def initialize(attempts, unqueued, error); end
end

class SimpleConnect::Outbound::RedisLimiter
  sig { params(redis: T.untyped, prefix: ::String).void }
  def initialize(redis, prefix: T.unsafe(nil)); end

  sig { params(key: ::String, limit: ::Integer, waited: T::Boolean).returns(::Float) }
  def take(key, limit, waited: T.unsafe(nil)); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Outbound::RetrySchedule
  TABLE = T.let(T.unsafe(nil), T::Array[::Integer])
  STRATEGIES = T.let(T.unsafe(nil), T::Array[::Symbol])

  sig { returns(::Symbol) }
  attr_reader :strategy

  sig { returns(T.nilable(::Integer)) }
  attr_reader :max_retries

  sig { returns(T.nilable(::Numeric)) }
  attr_reader :deadline

  sig do
    params(
      strategy: ::Symbol,
      wait: T.nilable(::Numeric),
      max_retries: T.nilable(::Integer),
      deadline: T.nilable(::Numeric)
    ).void
  end
  def initialize(strategy = T.unsafe(nil), wait: T.unsafe(nil), max_retries: T.unsafe(nil), deadline: T.unsafe(nil)); end

  sig { params(number: ::Integer).returns(T.nilable(::Numeric)) }
  def delay(number); end

  sig { params(number: ::Integer).returns(::Numeric) }
  def call(number); end

  sig { params(started_at: ::Time, number: ::Integer).returns(T.nilable(::Time)) }
  def next_at(started_at, number); end

  sig { returns({ strategy: ::Symbol, wait: T.nilable(::Numeric), max_retries: T.nilable(::Integer), deadline: T.nilable(::Numeric) }) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Outbound::Router
  sig { returns(T::Array[::SimpleConnect::Outbound::Endpoint]) }
  attr_reader :endpoints

  sig { params(endpoints: T::Enumerable[::SimpleConnect::Outbound::Endpoint]).void }
  def initialize(endpoints); end

  sig { params(event: ::SimpleConnect::Outbound::Event).returns(T::Array[::SimpleConnect::Outbound::Endpoint]) }
  def route(event); end

  sig { returns(::String) }
  def inspect; end
end

module SimpleConnect::Outbox
  sig { returns(T::Hash[::Symbol, T.untyped]) }
  def self.stats; end

  sig do
    params(
      client: T.nilable(T.any(::Symbol, ::String))
    ).returns(T::Enumerator[::SimpleConnect::Outbox::ParkedEvent, T.untyped])
  end
  def self.parked(client: T.unsafe(nil)); end

  sig { params(events: T.untyped, old: T::Boolean).returns(::Integer) }
  def self.retry_parked(events, old: T.unsafe(nil)); end

  sig { params(events: T.untyped).returns(::Integer) }
  def self.purge_parked(events); end

  sig { params(client: T.any(::Symbol, ::String)).returns(T::Boolean) }
  def self.resume(client = T.unsafe(nil)); end

  sig do
    params(
      mobile_no: T.nilable(::String),
      lane: T.nilable(T.any(::String, ::Symbol, ::Integer))
    ).returns(::Integer)
  end
  def self.erase(mobile_no: T.unsafe(nil), lane: T.unsafe(nil)); end

  sig { returns(::Integer) }
  def self.clean; end

  sig { params(seconds: T.nilable(::Numeric)).returns(T::Boolean) }
  def self.relay(seconds: T.unsafe(nil)); end
end

class SimpleConnect::Outbox::ParkedEvent < ::Struct
  extend T::Generic
  Elem = type_member { { fixed: T.untyped } }


  sig { returns(::Integer) }
  attr_reader :id

  sig { returns(::String) }
  attr_reader :client

  sig { returns(::String) }
  attr_reader :event_id

  sig { returns(T.nilable(::String)) }
  attr_reader :event_key

  sig { returns(::Integer) }
  attr_reader :attempts

  sig { returns(T.nilable(::Integer)) }
  attr_reader :status

  sig { returns(T.nilable(::String)) }
  attr_reader :error

  sig { returns(::Time) }
  attr_reader :created_at

  sig { returns(::Float) }
  def age; end
end

class SimpleConnect::Outbox::Settings
  sig { returns(::String) }
  attr_reader :base

  sig { returns(T::Boolean) }
  attr_reader :allow_no_transaction

  sig { returns(T::Boolean) }
  attr_reader :encrypt

  sig { returns(::Numeric) }
  attr_reader :park_after

  sig { returns(T.nilable(::Numeric)) }
  attr_reader :keep_parked

  sig { returns(::Integer) }
  attr_reader :concurrency

  sig { returns(T.nilable(T.any(::Symbol, ::String, T::Boolean))) }
  attr_reader :job

  sig { returns(T.nilable(T.any(::String, ::Symbol, ::Integer))) }
  attr_reader :queue

  sig { params(name: ::String).void }
  def base=(name); end

  sig { params(allow: T::Boolean).void }
  def allow_no_transaction=(allow); end

  sig { params(encrypt: T::Boolean).void }
  def encrypt=(encrypt); end

  sig { params(key: T.any(::String, T.proc.returns(::String))).void }
  def encryption_key=(key); end

  sig { params(keys: T::Array[T.any(::String, T.proc.returns(::String))]).void }
  def previous_encryption_keys=(keys); end

  sig { params(seconds: ::Numeric).void }
  def park_after=(seconds); end

  sig { params(seconds: T.nilable(::Numeric)).void }
  def keep_parked=(seconds); end

  sig { params(number: ::Integer).void }
  def concurrency=(number); end

  sig { params(job: T.nilable(T.any(::Symbol, ::String, T::Boolean))).void }
  def job=(job); end

  sig { params(queue: T.nilable(T.any(::String, ::Symbol, ::Integer))).void }
  def queue=(queue); end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

module SimpleConnect::Outbox::Testing
  sig { returns(T.any()) }
  def self.drain; end
end

class SimpleConnect::Outbox::Writer
  sig do
    params(
      event_key: T.any(::String, ::Symbol, ::Integer),
      fields: T.untyped,
      recipient: T.untyped,
      event: T.untyped,
      event_id: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      language: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      occurred_at: T.untyped,
      expires_at: T.untyped,
      ordered: T::Boolean,
      lane: T.nilable(T.any(::String, ::Symbol, ::Integer))
    ).returns(::String)
  end
  def deliver(event_key, fields = T.unsafe(nil), recipient: T.unsafe(nil), event: T.unsafe(nil), event_id: T.unsafe(nil), language: T.unsafe(nil), occurred_at: T.unsafe(nil), expires_at: T.unsafe(nil), ordered: T.unsafe(nil), lane: T.unsafe(nil)); end

  sig { params(deliveries: T.untyped).returns(::Integer) }
  def deliver_all(deliveries); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::PermanentError < ::SimpleConnect::DeliveryError
end

class SimpleConnect::RateLimitedError < ::SimpleConnect::TransientError
end

class SimpleConnect::RateLimiter
  sig { returns(::Integer) }
  attr_reader :limit

  sig { returns(::Float) }
  attr_reader :interval

  sig { params(limit: ::Integer, interval: ::Numeric).void }
  def initialize(limit, interval: T.unsafe(nil)); end

  sig { returns(T::Boolean) }
  def try_acquire; end

  sig { params(timeout: T.nilable(::Numeric)).returns(T::Boolean) }
  def acquire(timeout: T.unsafe(nil)); end

  sig { returns(::Float) }
  def reserve; end

  sig { returns(::Float) }
  def delay; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::RedirectError < ::SimpleConnect::PermanentError
end

class SimpleConnect::ReplayError < ::SimpleConnect::Error
  sig { returns(T::Boolean) }
  def under_way?; end

  sig { returns(T::Boolean) }
  def elsewhere?; end
end

module SimpleConnect::Responses
end

class SimpleConnect::Responses::DeliverResponse
  sig { params(json: T.untyped).void }
  def initialize(json); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(T.nilable(::String)) }
  def status; end

  sig { returns(T.nilable(::Integer)) }
  def log_id; end

  sig { returns(T.nilable(::String)) }
  def event_id; end

  sig { returns(T::Boolean) }
  def duplicate?; end

  sig { returns(T::Boolean) }
  def used_previous_secret?; end

  sig { returns(T.nilable(::SimpleConnect::Responses::EventResponse)) }
  def event; end
end

class SimpleConnect::Responses::ErrorResponse
  sig { params(json: T.untyped).void }
  def initialize(json); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def message; end
end

class SimpleConnect::Responses::EventResponse
  sig { params(json: T.untyped).void }
  def initialize(json); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(T.nilable(::String)) }
  def event_id; end

  sig { returns(T.nilable(::String)) }
  def event_key; end

  sig { returns(T.nilable(::String)) }
  def status; end

  sig { returns(T.nilable(::Time)) }
  def occurred_at; end

  sig { returns(T.nilable(::Time)) }
  def created_at; end

  sig { returns(T.nilable(::Time)) }
  def updated_at; end

  sig { returns(T.nilable(::String)) }
  def error_text; end

  sig { returns(T::Hash[::String, T.untyped]) }
  def payload; end

  sig { returns(T.nilable(::SimpleConnect::Responses::MessageResponse)) }
  def message; end

  sig { returns(T::Boolean) }
  def message?; end

  sig { returns(T::Boolean) }
  def dispatched?; end

  sig { returns(T::Boolean) }
  def failed?; end

  sig { returns(T::Boolean) }
  def skipped?; end

  sig { returns(T::Boolean) }
  def used_previous_secret?; end
end

class SimpleConnect::Responses::MessageDeliverResponse
  sig { params(json: T.untyped).void }
  def initialize(json); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(T::Array[T::Hash[::String, T.untyped]]) }
  def queued_messages; end

  sig { returns(T::Array[T::Hash[::String, T.untyped]]) }
  def errors; end

  sig { returns(T::Boolean) }
  def any_queued?; end
end

class SimpleConnect::Responses::MessageDetailResponse
  sig { params(json: T.untyped).void }
  def initialize(json); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(T.nilable(::String)) }
  def message_id; end

  sig { returns(T.nilable(::String)) }
  def status; end

  sig { returns(T.nilable(T::Hash[::String, T.untyped])) }
  def recipient; end

  sig { returns(T.nilable(::String)) }
  def message_group; end

  sig { returns(T.untyped) }
  def error; end

  sig { returns(T::Boolean) }
  def failed?; end
end

class SimpleConnect::Responses::MessageResponse
  EVENT_STATUS = T.let(T.unsafe(nil), ::String)
  EVENT_INCOMING = T.let(T.unsafe(nil), ::String)

  sig { params(json: T.untyped).void }
  def initialize(json); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(T.nilable(::String)) }
  def event; end

  sig { returns(T::Hash[::String, T.untyped]) }
  def data; end

  sig { returns(T.nilable(::String)) }
  def message_id; end

  sig { returns(T.nilable(::String)) }
  def status; end

  sig { returns(T.nilable(::Time)) }
  def timestamp; end

  sig { returns(T.nilable(T::Hash[::String, T.untyped])) }
  def recipient; end

  sig { returns(T::Boolean) }
  def status_callback?; end

  sig { returns(T::Boolean) }
  def incoming?; end
end

class SimpleConnect::Responses::VerifyResponse
  sig { params(json: T.untyped).void }
  def initialize(json); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(T.nilable(::String)) }
  def provider; end

  sig { returns(T.nilable(::String)) }
  def status; end

  sig { returns(T::Array[::SimpleConnect::Responses::VerifyResponse::EventFlow]) }
  def event_flows; end

  sig { returns(T::Boolean) }
  def connected?; end

  sig do
    params(
      event_key: T.any(::String, ::Symbol)
    ).returns(T.nilable(::SimpleConnect::Responses::VerifyResponse::EventFlow))
  end
  def event_flow(event_key); end
end

class SimpleConnect::Responses::VerifyResponse::EventFlow
  sig { params(json: T.untyped).void }
  def initialize(json); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(T.nilable(::String)) }
  def event_key; end

  sig { returns(T.nilable(::String)) }
  def state; end

  sig { returns(T.nilable(::SimpleConnect::Responses::VerifyResponse::EventFlow::Template)) }
  def template; end

  sig { returns(T::Boolean) }
  def enabled?; end

  sig { returns(T::Boolean) }
  def needs_attention?; end

  sig { returns(T::Boolean) }
  def configured?; end
end

class SimpleConnect::Responses::VerifyResponse::EventFlow::Template
  sig { params(json: T.untyped).void }
  def initialize(json); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { returns(::String) }
  def inspect; end

  sig { returns(T.nilable(::String)) }
  def name; end

  sig { returns(T.nilable(::String)) }
  def language; end

  sig { returns(T.nilable(::String)) }
  def status; end

  sig { returns(T::Boolean) }
  def approved?; end
end

class SimpleConnect::Result
  sig { returns(T::Boolean) }
  attr_reader :success

  sig { returns(::Integer) }
  attr_reader :status_code

  sig { returns(T.nilable(::String)) }
  attr_reader :response_body

  sig { returns(T.nilable(::String)) }
  attr_reader :error

  sig { returns(::Integer) }
  attr_reader :attempts

  sig { returns(T.nilable(T.any(::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse))) }
  attr_reader :data

  sig { returns(T::Array[::Symbol]) }
  def self.members; end

  sig do
    params(
      arg0: T::Boolean,
      arg1: ::Integer,
      arg2: T.nilable(::String),
      arg3: T.nilable(::String),
      arg4: ::Integer,
      arg5: T.nilable(T.any(::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse)),
      success: T::Boolean,
      status_code: ::Integer,
      response_body: T.nilable(::String),
      error: T.nilable(::String),
      attempts: ::Integer,
      data: T.nilable(T.any(::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse))
    ).returns(::SimpleConnect::Result)
  end
  def self.new(arg0 = T.unsafe(nil), arg1 = T.unsafe(nil), arg2 = T.unsafe(nil), arg3 = T.unsafe(nil), arg4 = T.unsafe(nil), arg5 = T.unsafe(nil), success: T.unsafe(nil), status_code: T.unsafe(nil), response_body: T.unsafe(nil), error: T.unsafe(nil), attempts: T.unsafe(nil), data: T.unsafe(nil)); end

  sig do
    params(
      arg0: T::Boolean,
      arg1: ::Integer,
      arg2: T.nilable(::String),
      arg3: T.nilable(::String),
      arg4: ::Integer,
      arg5: T.nilable(T.any(::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse)),
      success: T::Boolean,
      status_code: ::Integer,
      response_body: T.nilable(::String),
      error: T.nilable(::String),
      attempts: ::Integer,
      data: T.nilable(T.any(::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse))
    ).returns(::SimpleConnect::Result)
  end
  def self.[](arg0 = T.unsafe(nil), arg1 = T.unsafe(nil), arg2 = T.unsafe(nil), arg3 = T.unsafe(nil), arg4 = T.unsafe(nil), arg5 = T.unsafe(nil), success: T.unsafe(nil), status_code: T.unsafe(nil), response_body: T.unsafe(nil), error: T.unsafe(nil), attempts: T.unsafe(nil), data: T.unsafe(nil)); end

  sig do
    params(
      success: T::Boolean,
      status_code: ::Integer,
      response_body: T.nilable(::String),
      error: T.nilable(::String),
      attempts: ::Integer,
      data: T.nilable(T.any(::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse))
    ).void
  end
  def initialize(success:, status_code: T.unsafe(nil), response_body: T.unsafe(nil), error: T.unsafe(nil), attempts: T.unsafe(nil), data: T.unsafe(nil)); end

  sig { returns(T::Array[::Symbol]) }
  def members; end

  sig { returns(T::Boolean) }
  def success?; end

  sig { returns(T::Boolean) }
  def failed?; end

  sig { returns(T::Boolean) }
  def retryable?; end

  sig { returns(T.nilable(::Float)) }
  def retry_after; end

  sig { returns(T.nilable(::Float)) }
  def elapsed; end

  sig { returns(T::Hash[::String, ::String]) }
  def headers; end

  sig { returns(T.nilable(::String)) }
  def request_id; end

  sig { returns(T.nilable(::Symbol)) }
  def network_error; end

  sig { returns(T.nilable(::Symbol)) }
  def network_phase; end

  sig do
    params(
      new_data: T.nilable(T.any(::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse))
    ).returns(::SimpleConnect::Result)
  end
  def with_data(new_data); end

  sig do
    params(
      success: T::Boolean,
      status_code: ::Integer,
      response_body: T.nilable(::String),
      error: T.nilable(::String),
      attempts: ::Integer,
      data: T.nilable(T.any(::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse))
    ).returns(::SimpleConnect::Result)
  end
  def with(success: T.unsafe(nil), status_code: T.unsafe(nil), response_body: T.unsafe(nil), error: T.unsafe(nil), attempts: T.unsafe(nil), data: T.unsafe(nil)); end

  sig do
    type_parameters(:K, :V).params(
      block: T.nilable(T.proc.params(name: ::Symbol, value: T.nilable(T.any(T::Boolean, ::Integer, ::String, ::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse))).returns([T.type_parameter(:K), T.type_parameter(:V)]))
    ).returns(T.any(T::Hash[::Symbol, T.nilable(T.any(T::Boolean, ::Integer, ::String, ::SimpleConnect::Responses::DeliverResponse, ::SimpleConnect::Responses::EventResponse, ::SimpleConnect::Responses::VerifyResponse, ::SimpleConnect::Responses::MessageDeliverResponse, ::SimpleConnect::Responses::MessageDetailResponse, ::SimpleConnect::Responses::ErrorResponse))], T::Hash[T.type_parameter(:K), T.type_parameter(:V)]))
  end
  def to_h(&block); end

  sig { params(other: T.untyped).returns(T::Boolean) }
  def ==(other); end

  sig { params(other: T.untyped).returns(T::Boolean) }
  def eql?(other); end

  sig { returns(::Integer) }
  def hash; end

  sig { params(keys: T.nilable(T::Array[::Symbol])).returns(T::Hash[::Symbol, T.untyped]) }
  def deconstruct_keys(keys); end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::Retryable
  DEFAULT_MAX_ATTEMPTS = T.let(T.unsafe(nil), ::Integer)

  sig { returns(::Numeric) }
  attr_reader :max_attempts

  sig do
    params(
      max_attempts: ::Numeric,
      base: ::Numeric,
      max: ::Numeric,
      jitter: T.nilable(::Symbol),
      statuses: T::Array[T.any(::Integer, T::Range[T.nilable(::Integer)])],
      max_elapsed: T.nilable(::Numeric),
      random: T.untyped,
      sleep: T.untyped
    ).returns(::SimpleConnect::Retryable)
  end
  def self.exponential(max_attempts: T.unsafe(nil), base: T.unsafe(nil), max: T.unsafe(nil), jitter: T.unsafe(nil), statuses: T.unsafe(nil), max_elapsed: T.unsafe(nil), random: T.unsafe(nil), sleep: T.unsafe(nil)); end

  sig { params(max_attempts: ::Numeric, delay: T.untyped, sleep: T.untyped).void }
  def initialize(max_attempts: T.unsafe(nil), delay: T.unsafe(nil), sleep: T.unsafe(nil)); end

  sig do
    type_parameters(:R).params(
      retriable_if: T.proc.params(arg0: T.type_parameter(:R)).returns(T.untyped),
      block: T.proc.params(attempt: ::Integer).returns(T.type_parameter(:R))
    ).returns(T.type_parameter(:R))
  end
  def call(retriable_if:, &block); end
end

class SimpleConnect::Sandbox
  sig { returns(::String) }
  attr_reader :key_id

  sig { returns(::String) }
  attr_reader :secret

  sig { returns(::String) }
  attr_reader :api_key

  sig { returns(::String) }
  attr_reader :webhook_secret

  sig do
    type_parameters(:R).params(
      host: ::String,
      port: ::Integer,
      key_id: ::String,
      secret: ::String,
      previous_secret: T.nilable(::String),
      api_key: ::String,
      event_keys: T.untyped,
      tolerance: ::Numeric,
      status_callback_url: T.nilable(::String),
      webhook_secret: ::String,
      block: T.nilable(T.proc.params(sandbox: ::SimpleConnect::Sandbox).returns(T.type_parameter(:R)))
    ).returns(T.any(::SimpleConnect::Sandbox, T.type_parameter(:R)))
  end
  def self.start(host: T.unsafe(nil), port: T.unsafe(nil), key_id: T.unsafe(nil), secret: T.unsafe(nil), previous_secret: T.unsafe(nil), api_key: T.unsafe(nil), event_keys: T.unsafe(nil), tolerance: T.unsafe(nil), status_callback_url: T.unsafe(nil), webhook_secret: T.unsafe(nil), &block); end

  sig do
    params(
      key_id: ::String,
      secret: ::String,
      previous_secret: T.nilable(::String),
      api_key: ::String,
      event_keys: T.untyped,
      tolerance: ::Numeric,
      status_callback_url: T.nilable(::String),
      webhook_secret: ::String
    ).void
  end
  def initialize(key_id: T.unsafe(nil), secret: T.unsafe(nil), previous_secret: T.unsafe(nil), api_key: T.unsafe(nil), event_keys: T.unsafe(nil), tolerance: T.unsafe(nil), status_callback_url: T.unsafe(nil), webhook_secret: T.unsafe(nil)); end

  sig { params(host: ::String, port: ::Integer).returns(T.self_type) }
  def start(host: T.unsafe(nil), port: T.unsafe(nil)); end

  sig { returns(T.any()) }
  def stop; end

  sig { returns(::String) }
  def url; end

  sig { returns(::String) }
  def endpoint_url; end

  sig do
    params(
      env: T::Hash[::String, T.untyped]
    ).returns([::Integer, T::Hash[::String, ::String], T::Array[::String]])
  end
  def call(env); end

  sig { params(fault: T.nilable(T.any(::Integer, ::Symbol)), times: ::Integer, delay: ::Numeric).returns(T.any()) }
  def fail_next(fault = T.unsafe(nil), times: T.unsafe(nil), delay: T.unsafe(nil)); end

  sig { returns(T::Array[T::Hash[::String, T.untyped]]) }
  def events; end

  sig { returns(T::Array[T::Hash[::String, T.untyped]]) }
  def messages; end

  sig { returns(T::Array[::SimpleConnect::Sandbox::Request]) }
  def requests; end

  sig { returns(T.any()) }
  def reset; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Sandbox::Inbox
  sig do
    params(
      sandbox: ::SimpleConnect::Sandbox,
      auth: T.nilable(T.proc.params(env: T.untyped).returns(T.untyped)),
      store: T.untyped,
      templates: T.untyped
    ).void
  end
  def initialize(sandbox, auth: T.unsafe(nil), store: T.unsafe(nil), templates: T.unsafe(nil)); end

  sig do
    params(
      env: T::Hash[::String, T.untyped]
    ).returns([::Integer, T::Hash[::String, ::String], T::Array[::String]])
  end
  def call(env); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Sandbox::Request < ::Struct
  extend T::Generic
  Elem = type_member { { fixed: T.nilable(T.any(::String, T::Hash[::String, ::String], ::Integer)) } }


  sig { returns(::String) }
  attr_reader :verb

  sig { returns(::String) }
  attr_reader :path

  sig { returns(T::Hash[::String, ::String]) }
  attr_reader :headers

  sig { returns(::String) }
  attr_reader :body

  sig { returns(T.nilable(::Integer)) }
  attr_reader :status
end

class SimpleConnect::ServerError < ::SimpleConnect::TransientError
end

module SimpleConnect::Sidekiq
end

module SimpleConnect::Signature
  sig do
    params(
      body: ::String,
      secret: T.any(::String, T::Array[::String]),
      scheme: T.any(::Symbol, ::String),
      timestamp: T.untyped,
      id: T.nilable(::String)
    ).returns(T::Hash[::String, ::String])
  end
  def self.sign(body, secret:, scheme: T.unsafe(nil), timestamp: T.unsafe(nil), id: T.unsafe(nil)); end

  sig do
    params(
      body: T.nilable(::String),
      headers: T.untyped,
      secret: T.nilable(T.any(::String, T::Array[::String])),
      scheme: T.any(::Symbol, ::String),
      tolerance: ::Numeric,
      now: T.untyped
    ).returns(::Integer)
  end
  def self.verify!(body, headers, secret:, scheme: T.unsafe(nil), tolerance: T.unsafe(nil), now: T.unsafe(nil)); end

  sig do
    params(
      body: T.nilable(::String),
      headers: T.untyped,
      secret: T.nilable(T.any(::String, T::Array[::String])),
      scheme: T.any(::Symbol, ::String),
      tolerance: ::Numeric,
      now: T.untyped
    ).returns(T::Boolean)
  end
  def self.valid?(body, headers, secret:, scheme: T.unsafe(nil), tolerance: T.unsafe(nil), now: T.unsafe(nil)); end
end

class SimpleConnect::SignatureVerificationError < ::SimpleConnect::Error
  sig { returns(::Symbol) }
  attr_reader :reason

  sig { params(reason: ::Symbol, message: ::String).void }
  def initialize(reason, message); end

  sig { returns({ error: ::String, reason: ::Symbol }) }
  def to_h; end

  sig { params(keys: T.nilable(T::Array[::Symbol])).returns({ message: ::String, reason: ::Symbol }) }
  def deconstruct_keys(keys); end
end

module SimpleConnect::Simplyq
  SignatureVerificationError = ::SimpleConnect::SignatureVerificationError
end

module SimpleConnect::Simplyq::Webhook
  DEFAULT_TOLERANCE = T.let(T.unsafe(nil), ::Integer)

  sig do
    params(
      body: T.nilable(::String),
      signatures: T.nilable(T.any(::String, T::Array[::String])),
      timestamp: T.nilable(T.any(::String, ::Integer)),
      secret: T.any(::String, T::Array[::String]),
      tolerance: ::Numeric
    ).returns(T::Boolean)
  end
  def self.verify_signature(body, signatures:, timestamp:, secret:, tolerance: T.unsafe(nil)); end

  sig do
    params(
      body: T.nilable(::String),
      signatures: T.nilable(T.any(::String, T::Array[::String])),
      timestamp: T.nilable(T.any(::String, ::Integer)),
      secret: T.any(::String, T::Array[::String]),
      tolerance: ::Numeric
    ).returns(::SimpleConnect::Webhooks::InboundEvent)
  end
  def self.construct_event(body, signatures:, timestamp:, secret:, tolerance: T.unsafe(nil)); end
end

module SimpleConnect::Testing
  sig { returns(T::Array[::SimpleConnect::Testing::Delivery]) }
  def self.deliveries; end

  sig { returns(T::Array[::SimpleConnect::Testing::Message]) }
  def self.messages; end

  sig { returns(T::Array[::SimpleConnect::Testing::OtherRequest]) }
  def self.requests; end

  sig do
    params(
      answers: T.any(::Symbol, ::Integer),
      event_key: T.nilable(T.any(::String, ::Symbol)),
      message: T.nilable(::String),
      headers: T::Hash[T.any(::String, ::Symbol), T.untyped],
      body: T.nilable(T.any(::String, T::Hash[T.untyped, T.untyped])),
      block: T.nilable(T.proc.params(delivery: T.any(::SimpleConnect::Testing::Delivery, ::SimpleConnect::Testing::Message)).returns(T.any(::Symbol, ::Integer)))
    ).returns(::SimpleConnect::Testing::Script)
  end
  def self.respond_with(*answers, event_key: T.unsafe(nil), message: T.unsafe(nil), headers: T.unsafe(nil), body: T.unsafe(nil), &block); end

  sig do
    params(
      faults: T.any(::Symbol, ::Integer),
      event_key: T.nilable(T.any(::String, ::Symbol)),
      message: T.nilable(::String),
      headers: T::Hash[T.any(::String, ::Symbol), T.untyped],
      body: T.nilable(T.any(::String, T::Hash[T.untyped, T.untyped]))
    ).returns(::SimpleConnect::Testing::Script)
  end
  def self.fail_with(*faults, event_key: T.unsafe(nil), message: T.unsafe(nil), headers: T.unsafe(nil), body: T.unsafe(nil)); end

  sig { returns(T.any()) }
  def self.reset; end

  sig { params(config: T.untyped).returns(T.any()) }
  def self.vcr_filters(config); end

  sig { returns(T::Boolean) }
  def self.enabled?; end

  sig { returns(T.any()) }
  def self.disable!; end
end

module SimpleConnect::Testing::Assertions
  sig do
    params(
      event_key: T.untyped,
      to: T.untyped,
      with: T::Hash[T.any(::String, ::Symbol), T.untyped],
      times: T.nilable(T.any(::Integer, T::Range[T.nilable(::Integer)])),
      block: T.nilable(T.proc.void)
    ).returns(T.nilable(::SimpleConnect::Testing::Delivery))
  end
  def assert_event_delivered(event_key = T.unsafe(nil), to: T.unsafe(nil), with: T.unsafe(nil), times: T.unsafe(nil), &block); end

  sig do
    params(
      event_key: T.untyped,
      to: T.untyped,
      with: T::Hash[T.any(::String, ::Symbol), T.untyped],
      block: T.nilable(T.proc.void)
    ).void
  end
  def refute_event_delivered(event_key = T.unsafe(nil), to: T.unsafe(nil), with: T.unsafe(nil), &block); end
end

class SimpleConnect::Testing::DeliverEvent
  sig { params(recipient: T.untyped).returns(T.self_type) }
  def to_recipient(recipient); end

  sig { params(fields: T::Hash[T.any(::String, ::Symbol), T.untyped]).returns(T.self_type) }
  def with(fields); end

  sig { returns(T.self_type) }
  def once; end

  sig { returns(T.self_type) }
  def twice; end

  sig { params(number: ::Integer).returns(T.self_type) }
  def exactly(number); end

  sig { params(number: ::Integer).returns(T.self_type) }
  def at_least(number); end

  sig { params(number: ::Integer).returns(T.self_type) }
  def at_most(number); end

  sig { returns(T.self_type) }
  def times; end

  sig { returns(::String) }
  def description; end

  sig { returns(::String) }
  def failure_message; end

  sig { returns(::String) }
  def failure_message_when_negated; end
end

class SimpleConnect::Testing::Delivery
  sig { returns(::String) }
  attr_reader :body

  sig { returns(T::Array[::SimpleConnect::Testing::Request]) }
  attr_reader :requests

  sig { returns(::String) }
  attr_reader :event_key

  sig { returns(::String) }
  attr_reader :event_id

  sig { returns(T.nilable(T::Hash[::String, T.untyped])) }
  attr_reader :recipient

  sig { returns(T::Hash[::String, T.untyped]) }
  attr_reader :fields

  sig { returns(::String) }
  attr_reader :language

  sig { returns(::String) }
  attr_reader :occurred_at

  sig { params(body: ::String).void }
  def initialize(body); end

  sig { returns(::Integer) }
  def attempts; end

  sig { returns(T::Boolean) }
  def accepted?; end

  sig { params(keys: T.nilable(T::Array[::Symbol])).returns(T::Hash[::Symbol, T.untyped]) }
  def deconstruct_keys(keys); end

  sig { returns(::String) }
  def inspect; end
end

module SimpleConnect::Testing::Matchers
  sig { params(event_key: T.untyped).returns(::SimpleConnect::Testing::DeliverEvent) }
  def deliver_event(event_key = T.unsafe(nil)); end
end

class SimpleConnect::Testing::Message
  sig { returns(::String) }
  attr_reader :body

  sig { returns(T::Array[::SimpleConnect::Testing::Request]) }
  attr_reader :requests

  sig { returns(::String) }
  attr_reader :template_name

  sig { returns(T::Array[T::Hash[::String, T.untyped]]) }
  attr_reader :recipients

  sig { returns(T.nilable(::String)) }
  attr_reader :language_code

  sig { returns(T::Hash[::String, T.untyped]) }
  attr_reader :fields

  sig { params(body: ::String).void }
  def initialize(body); end

  sig { returns(T.any()) }
  def event_key; end

  sig { returns(::Integer) }
  def attempts; end

  sig { returns(T::Boolean) }
  def accepted?; end

  sig { params(keys: T.nilable(T::Array[::Symbol])).returns(T::Hash[::Symbol, T.untyped]) }
  def deconstruct_keys(keys); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Testing::OtherRequest < ::Struct
  extend T::Generic
  Elem = type_member { { fixed: T.nilable(T.any(::String, T::Hash[::String, ::String])) } }


  sig { returns(::String) }
  attr_reader :verb

  sig { returns(::String) }
  attr_reader :url

  sig { returns(T::Hash[::String, ::String]) }
  attr_reader :headers

  sig { returns(T.nilable(::String)) }
  attr_reader :body
end

class SimpleConnect::Testing::Request < ::Struct
  extend T::Generic
  Elem = type_member { { fixed: T.any(::String, T::Hash[::String, ::String], ::Integer, ::Symbol) } }


  sig { returns(::String) }
  attr_reader :url

  sig { returns(T::Hash[::String, ::String]) }
  attr_reader :headers

  sig { returns(T.any(::Integer, ::Symbol)) }
  attr_reader :answer
end

class SimpleConnect::Testing::Script
  sig do
    params(
      answers: T.any(::Symbol, ::Integer),
      message: T.nilable(::String),
      headers: T::Hash[T.any(::String, ::Symbol), T.untyped],
      body: T.nilable(T.any(::String, T::Hash[T.untyped, T.untyped])),
      block: T.nilable(T.proc.params(delivery: T.any(::SimpleConnect::Testing::Delivery, ::SimpleConnect::Testing::Message)).returns(T.any(::Symbol, ::Integer)))
    ).returns(T.self_type)
  end
  def then(*answers, message: T.unsafe(nil), headers: T.unsafe(nil), body: T.unsafe(nil), &block); end
end

class SimpleConnect::Testing::Session
  sig { returns(T::Array[::SimpleConnect::Testing::Delivery]) }
  def deliveries; end

  sig { returns(T::Array[::SimpleConnect::Testing::Message]) }
  def messages; end

  sig { returns(T::Array[::SimpleConnect::Testing::OtherRequest]) }
  def requests; end

  sig do
    params(
      answers: T.any(::Symbol, ::Integer),
      event_key: T.nilable(T.any(::String, ::Symbol)),
      message: T.nilable(::String),
      headers: T::Hash[T.any(::String, ::Symbol), T.untyped],
      body: T.nilable(T.any(::String, T::Hash[T.untyped, T.untyped])),
      block: T.nilable(T.proc.params(delivery: T.any(::SimpleConnect::Testing::Delivery, ::SimpleConnect::Testing::Message)).returns(T.any(::Symbol, ::Integer)))
    ).returns(::SimpleConnect::Testing::Script)
  end
  def respond_with(*answers, event_key: T.unsafe(nil), message: T.unsafe(nil), headers: T.unsafe(nil), body: T.unsafe(nil), &block); end

  sig do
    params(
      faults: T.any(::Symbol, ::Integer),
      event_key: T.nilable(T.any(::String, ::Symbol)),
      message: T.nilable(::String),
      headers: T::Hash[T.any(::String, ::Symbol), T.untyped],
      body: T.nilable(T.any(::String, T::Hash[T.untyped, T.untyped]))
    ).returns(::SimpleConnect::Testing::Script)
  end
  def fail_with(*faults, event_key: T.unsafe(nil), message: T.unsafe(nil), headers: T.unsafe(nil), body: T.unsafe(nil)); end

  sig { returns(T.any()) }
  def reset; end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::TimeoutError < ::SimpleConnect::TransientError
end

class SimpleConnect::TransientError < ::SimpleConnect::DeliveryError
end

class SimpleConnect::UnknownEventError < ::SimpleConnect::Error
  sig { returns(T.nilable(::String)) }
  attr_reader :event_key

  sig { params(message: T.nilable(::String), event_key: T.nilable(::String)).void }
  def initialize(message = T.unsafe(nil), event_key: T.unsafe(nil)); end

  sig { params(keys: T.nilable(T::Array[::Symbol])).returns({ message: ::String, event_key: T.nilable(::String) }) }
  def deconstruct_keys(keys); end
end

module SimpleConnect::Webhooks
  sig do
    type_parameters(:T).params(
      body: T.nilable(::String),
      headers: T.untyped,
      secret: T.any(::String, T::Array[::String]),
      replay_guard: T.untyped,
      scheme: T.any(::Symbol, ::String),
      tolerance: ::Numeric,
      now: T.untyped,
      block: T.nilable(T.proc.params(event: ::SimpleConnect::Webhooks::InboundEvent).returns(T.type_parameter(:T)))
    ).returns(T.any(::SimpleConnect::Webhooks::InboundEvent, T.type_parameter(:T)))
  end
  def self.construct_event(body, headers, secret:, replay_guard: T.unsafe(nil), scheme: T.unsafe(nil), tolerance: T.unsafe(nil), now: T.unsafe(nil), &block); end
end

class SimpleConnect::Webhooks::App
  sig { returns(T.untyped) }
  attr_reader :registry

  sig do
    params(
      secret: T.nilable(T.any(::String, T::Array[::String])),
      scheme: T.any(::Symbol, ::String),
      registry: T.untyped,
      tolerance: ::Numeric,
      replay_guard: T.untyped,
      replay: ::Symbol,
      max_body_bytes: ::Integer,
      expose_errors: T::Boolean
    ).void
  end
  def initialize(secret: T.unsafe(nil), scheme: T.unsafe(nil), registry: T.unsafe(nil), tolerance: T.unsafe(nil), replay_guard: T.unsafe(nil), replay: T.unsafe(nil), max_body_bytes: T.unsafe(nil), expose_errors: T.unsafe(nil)); end

  sig do
    params(
      event: T.any(::String, ::Symbol, ::Integer),
      version: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      block: T.nilable(T.proc.params(payload: T::Hash[::String, T.untyped], context: ::SimpleConnect::Webhooks::Context).returns(T.untyped))
    ).returns(::SimpleConnect::Webhooks::Registry::Registration)
  end
  def register(event, version:, &block); end

  sig do
    params(
      event: T.any(::String, ::Symbol, ::Integer),
      version: T.any(::String, ::Symbol, ::Integer),
      block: T.nilable(T.proc.params(payload: T::Hash[::String, T.untyped], context: ::SimpleConnect::Webhooks::Context).returns(T.untyped))
    ).returns(::Proc)
  end
  def webhook(event, version:, &block); end

  sig do
    params(
      env: T::Hash[::String, T.untyped]
    ).returns([::Integer, T::Hash[::String, ::String], T::Array[::String]])
  end
  def call(env); end

  sig { params(host: ::String, port: ::Integer).void }
  def run!(host: T.unsafe(nil), port: T.unsafe(nil)); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Webhooks::CacheReplayGuard
  sig { params(cache: T.untyped, window: ::Numeric, prefix: ::String).void }
  def initialize(cache, window: T.unsafe(nil), prefix: T.unsafe(nil)); end

  sig { params(key: ::String, lease: ::Numeric).returns(::Symbol) }
  def begin(key, lease: T.unsafe(nil)); end

  sig { params(key: ::String).returns(T.any()) }
  def finish(key); end

  sig { params(key: ::String).returns(T::Boolean) }
  def first_time?(key); end

  sig { params(key: ::String).returns(T.any()) }
  def forget(key); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Webhooks::Context
  sig { returns(::String) }
  attr_reader :event

  sig { returns(::String) }
  attr_reader :event_version

  sig { returns(::SimpleConnect::Webhooks::Context::Headers) }
  attr_reader :headers

  sig { returns(T::Array[::Symbol]) }
  def keys; end

  sig { params(name: T.untyped).returns(T::Boolean) }
  def key?(name); end

  sig { params(name: T.any(::Symbol, ::String)).returns(T.untyped) }
  def [](name); end

  sig do
    params(
      name: T.any(::Symbol, ::String),
      default: T.untyped,
      block: T.nilable(T.proc.params(name: T.any(::Symbol, ::String)).returns(T.untyped))
    ).returns(T.untyped)
  end
  def fetch(name, default = T.unsafe(nil), &block); end

  sig { params(name: T.any(::Symbol, ::String), path: T.any(::String, ::Symbol, ::Integer)).returns(T.untyped) }
  def dig(name, *path); end

  sig { params(names: T.any(::Symbol, ::String)).returns(T::Array[T.untyped]) }
  def values_at(*names); end

  sig { params(names: ::Symbol).returns(T::Hash[::Symbol, T.untyped]) }
  def slice(*names); end

  sig { params(others: T::Hash[::Symbol, T.untyped]).returns(T::Hash[::Symbol, T.untyped]) }
  def merge(*others); end

  sig { returns(T::Hash[::Symbol, T.untyped]) }
  def to_h; end

  sig { returns(T::Hash[::Symbol, T.untyped]) }
  def to_hash; end

  sig { params(names: T.nilable(T::Array[::Symbol])).returns(T::Hash[::Symbol, T.untyped]) }
  def deconstruct_keys(names); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Webhooks::Context::Headers < ::Hash
  extend T::Generic
  K = type_member { { fixed: ::String } }
  V = type_member { { fixed: ::String } }
  Elem = type_member { { fixed: [::String, ::String] } }


  sig { params(name: T.any(::String, ::Symbol, ::Integer)).returns(T.nilable(::String)) }
  def [](name); end

  sig do
    type_parameters(:X).params(
      name: T.any(::String, ::Symbol, ::Integer),
      default: T.type_parameter(:X),
      block: T.nilable(T.proc.params(name: ::String).returns(T.type_parameter(:X)))
    ).returns(T.any(::String, T.type_parameter(:X)))
  end
  def fetch(name, default = T.unsafe(nil), &block); end

  sig { params(name: T.any(::String, ::Symbol, ::Integer)).returns(T::Boolean) }
  def key?(name); end

  alias has_key? key?

  alias include? key?

  alias member? key?

  sig do
    params(
      name: T.any(::String, ::Symbol, ::Integer),
      path: T.any(::String, ::Symbol, ::Integer)
    ).returns(T.nilable(::String))
  end
  def dig(name, *path); end

  sig { params(names: T.any(::String, ::Symbol, ::Integer)).returns(T::Array[T.nilable(::String)]) }
  def values_at(*names); end

  sig { params(names: T.any(::String, ::Symbol, ::Integer)).returns(T::Hash[::String, ::String]) }
  def slice(*names); end
end

module SimpleConnect::Webhooks::Controller
  private

  sig do
    params(
      secret: T.nilable(T.any(::String, T::Array[::String])),
      replay_guard: T.untyped,
      scheme: T.any(::Symbol, ::String),
      tolerance: ::Numeric,
      now: T.untyped
    ).returns(::Integer)
  end
  def verify_simple_connect_signature!(secret: T.unsafe(nil), replay_guard: T.unsafe(nil), scheme: T.unsafe(nil), tolerance: T.unsafe(nil), now: T.unsafe(nil)); end

  sig { returns(::SimpleConnect::Webhooks::InboundEvent) }
  def simple_connect_event; end
end

class SimpleConnect::Webhooks::InboundEvent
  sig { returns(T::Hash[::String, T.untyped]) }
  attr_reader :data

  sig { params(data: T::Hash[::String, T.untyped]).void }
  def initialize(data); end

  sig { params(key: T.any(::String, ::Symbol)).returns(T.untyped) }
  def [](key); end

  sig { params(keys: T.any(::String, ::Symbol, ::Integer)).returns(T.untyped) }
  def dig(*keys); end

  sig { returns(T::Hash[::String, T.untyped]) }
  def to_h; end

  sig { params(other: T.untyped).returns(T::Boolean) }
  def ==(other); end

  sig { returns(::String) }
  def inspect; end

  sig { returns(::String) }
  def to_s; end
end

class SimpleConnect::Webhooks::RedisReplayGuard
  sig { params(redis: T.untyped, window: ::Integer, prefix: ::String).void }
  def initialize(redis, window: T.unsafe(nil), prefix: T.unsafe(nil)); end

  sig { params(key: ::String, lease: ::Numeric).returns(::Symbol) }
  def begin(key, lease: T.unsafe(nil)); end

  sig { params(key: ::String).returns(T.any()) }
  def finish(key); end

  sig { params(key: ::String).returns(T::Boolean) }
  def first_time?(key); end

  sig { params(key: ::String).returns(T.any()) }
  def forget(key); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Webhooks::Registry
  sig { void }
  def initialize; end

  sig do
    params(
      event: T.any(::String, ::Symbol, ::Integer),
      version: T.nilable(T.any(::String, ::Symbol, ::Integer)),
      handler: T.untyped
    ).returns(::SimpleConnect::Webhooks::Registry::Registration)
  end
  def register(event, version, handler); end

  sig do
    params(
      event: ::String,
      version: ::String
    ).returns(T.nilable(::SimpleConnect::Webhooks::Registry::Registration))
  end
  def find(event, version); end

  sig { returns(::String) }
  def inspect; end
end

class SimpleConnect::Webhooks::Registry::Registration < ::Struct
  extend T::Generic
  Elem = type_member { { fixed: T.untyped } }


  sig { returns(::String) }
  attr_reader :event

  sig { returns(::String) }
  attr_reader :version

  sig { returns(T.untyped) }
  attr_reader :handler
end

class SimpleConnect::Webhooks::ReplayGuard
  LEASE = T.let(T.unsafe(nil), ::Integer)

  sig { params(window: ::Numeric, capacity: ::Integer).void }
  def initialize(window: T.unsafe(nil), capacity: T.unsafe(nil)); end

  sig { params(key: ::String, lease: ::Numeric).returns(::Symbol) }
  def begin(key, lease: T.unsafe(nil)); end

  sig { params(key: ::String).returns(T.any()) }
  def finish(key); end

  sig { params(key: ::String).returns(T::Boolean) }
  def first_time?(key); end

  sig { params(key: ::String).returns(T.any()) }
  def forget(key); end

  sig { returns(::Integer) }
  def size; end

  sig { returns(::String) }
  def inspect; end
end

module SimpleConnect::Webhooks::TestHelpers
  sig do
    params(
      body: ::String,
      secret: T.any(::String, T::Array[::String]),
      scheme: T.any(::Symbol, ::String),
      timestamp: T.untyped,
      id: T.nilable(::String)
    ).returns(T::Hash[::String, ::String])
  end
  def self.signed_headers(body, secret:, scheme: T.unsafe(nil), timestamp: T.unsafe(nil), id: T.unsafe(nil)); end

  sig do
    params(
      body: ::String,
      secret: T.any(::String, T::Array[::String]),
      scheme: T.any(::Symbol, ::String),
      timestamp: T.untyped,
      id: T.nilable(::String)
    ).returns(T::Hash[::String, ::String])
  end
  def self.signed_env(body, secret:, scheme: T.unsafe(nil), timestamp: T.unsafe(nil), id: T.unsafe(nil)); end

  sig do
    params(
      event: T.any(::String, ::Symbol, ::Integer),
      payload: T.untyped,
      version: T.any(::String, ::Symbol, ::Integer),
      secret: T.any(::String, T::Array[::String]),
      scheme: T.any(::Symbol, ::String),
      timestamp: T.untyped,
      id: T.nilable(::String)
    ).returns(T.untyped)
  end
  def post_webhook(event, payload, version:, secret:, scheme: T.unsafe(nil), timestamp: T.unsafe(nil), id: T.unsafe(nil)); end
end
