# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "internal/transport"
require_relative "retryable"

module SimpleConnect
  # Records what is delivered in test mode, and sets the responses; see {SimpleConnect.test!}. Threads may share it.
  #
  # `require "simple_connect/rspec"` and `require "simple_connect/minitest"` reset it for each example or test, and add
  # matchers and assertions.
  #
  # @example
  #   SimpleConnect.test!
  #   SimpleConnect::Testing.fail_with(:timeout).then(:accepted)
  #
  #   client.events.deliver("order_paid", recipient: { mobile_no: "+919812345678" }, event: { order: 7 })
  #
  #   delivery = SimpleConnect::Testing.deliveries.last
  #   delivery.fields   # => { "order" => 7 }
  #   delivery.attempts # => 2
  module Testing
    autoload :Answer, File.expand_path("testing/script.rb", __dir__)
    autoload :Delivery, File.expand_path("testing/delivery.rb", __dir__)
    autoload :Exchange, File.expand_path("testing/exchange.rb", __dir__)
    autoload :Expectation, File.expand_path("testing/expectation.rb", __dir__)
    autoload :Message, File.expand_path("testing/delivery.rb", __dir__)
    autoload :OtherRequest, File.expand_path("testing/delivery.rb", __dir__)
    autoload :Request, File.expand_path("testing/delivery.rb", __dir__)
    autoload :Script, File.expand_path("testing/script.rb", __dir__)
    autoload :Sent, File.expand_path("testing/delivery.rb", __dir__)
    autoload :Session, File.expand_path("testing/session.rb", __dir__)
    autoload :VcrFilters, File.expand_path("testing/vcr_filters.rb", __dir__)

    STORAGE = :simple_connect_testing
    private_constant :STORAGE

    # Makes retry policies skip their waits in test mode, except policies that sleep by themselves.
    # @api private
    module Timeless
      # Replaces a {Batch}, which would wait.
      def self.sleep(_seconds); end

      private

      def rest(delay, seconds_left, batch) = super(delay, seconds_left, Testing.enabled? ? Timeless : batch)
    end
    private_constant :Timeless
    Retryable.class_eval { prepend Timeless }

    class << self
      # @return [Array<Delivery>] the delivered events, in order, whatever the response
      # @raise [Error] if test mode is off
      def deliveries = session.deliveries

      # @return [Array<Message>] what {MessagesClient} sent, in order, whatever the response
      # @raise [Error] if test mode is off
      def messages = session.messages

      # @return [Array<OtherRequest>] all other requests: see {Session#requests}
      # @raise [Error] if test mode is off
      # @example
      #   DISPATCHER.publish(event)
      #   SimpleConnect::Testing.requests.last.url # => "https://acme.example/hooks"
      def requests = session.requests

      # Sets the responses from now on: see {Session#respond_with}.
      #
      # @param answers [Array<Symbol, Integer>]
      # @param options [Hash]
      # @yieldparam delivery [Delivery, Message]
      # @return [Script]
      # @raise [ArgumentError] for an unknown answer
      # @raise [Error] if test mode is off
      # @example
      #   SimpleConnect::Testing.respond_with(422, message: "unknown event")
      def respond_with(*answers, **options, &) = session.respond_with(*answers, **options, &)

      # Sets how deliveries fail from now on: see {Session#fail_with}.
      #
      # @param faults [Array<Symbol, Integer>]
      # @param options [Hash]
      # @return [Script]
      # @raise [ArgumentError] for an unknown failure
      # @raise [Error] if test mode is off
      # @example
      #   SimpleConnect::Testing.fail_with(:timeout).then(:accepted)
      def fail_with(*faults, **options) = session.fail_with(*faults, **options)

      # Keeps credentials of this gem's requests out of VCR's cassettes: key id, signature, API keys, Kiket's keys, and
      # the `Authorization` header of an endpoint. Other sensitive headers of an endpoint are not hidden: use
      # `config.filter_sensitive_data` for those. Requests of other libraries are not changed.
      #
      # @param config [VCR::Configuration]
      # @return [void]
      # @example
      #   VCR.configure do |config|
      #     config.cassette_library_dir = "spec/cassettes"
      #     config.hook_into :webmock
      #     SimpleConnect::Testing.vcr_filters(config)
      #   end
      def vcr_filters(config) = VcrFilters.add(config)

      # Forgets all deliveries and all responses that were set.
      #
      # @return [void]
      # @raise [Error] if test mode is off
      def reset = session.reset

      # @return [Boolean] whether test mode is on for this thread and fiber
      def enabled? = !current.nil?

      # Turns test mode off for the whole process, except in blocks of {SimpleConnect.test!}.
      #
      # @return [void]
      def disable!
        @global = nil
      end

      # @api private
      def enable
        @global ||= Session.new
        nil
      end

      # @api private
      # @return [Session] the session that deliveries are recorded in
      def session = current || raise(Error, "test mode is off: call SimpleConnect.test! first")

      # Remembers that there is something to drain.
      # @api private
      def outbox_written = session.outbox_written

      # @api private
      # @return [Exchange, nil] answers a call instead of the server; nil if it is sent
      def exchange(target, response_class) = current&.exchange(target, response_class)

      # @api private
      # @return [#intercept, nil] answers any other request; nil if it is sent
      def interceptor = current

      # @api private
      def within(session)
        before = scoped
        self.scoped = session
        yield session
      ensure
        self.scoped = before
      end

      # Starts a new session for an example.
      #
      # @api private
      # @param alone [Boolean] false if other examples run at the same time in other threads
      # @return [Array] the argument for {#finish}
      def begin(alone: true)
        before = [alone, alone ? @global : scoped]
        if @global
          alone ? @global = Session.new : self.scoped = Session.new
        end
        before
      end

      # Restores the state before {#begin}.
      #
      # @api private
      def finish(before)
        alone, session = before
        alone ? @global = session : self.scoped = session
      end

      # @api private
      # @return [Session, nil] that of the block that this runs in
      def scoped = Fiber.respond_to?(:[]) ? Fiber[STORAGE] : Thread.current.thread_variable_get(STORAGE)

      private

      def current = scoped || @global

      if Fiber.respond_to?(:[])
        def scoped=(session)
          Fiber[STORAGE] = session
        end
      else
        def scoped=(session)
          Thread.current.thread_variable_set(STORAGE, session)
        end
      end
    end

    Transport.testing = self
  end
end
