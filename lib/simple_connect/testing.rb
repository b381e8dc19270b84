# frozen_string_literal: true

require_relative "../simple_connect"
require_relative "testing/session"
require_relative "testing/vcr"

# Delivers a business's domain events to SimpleConnect, which turns them into WhatsApp messages.
module SimpleConnect
  # Turns test mode on: nothing is sent any more, by no client. What would be is encoded and signed, recorded, and
  # answered as by the service; see {Testing}. Waits between attempts take no time. Nor does anything else of this gem
  # send: see {Testing.requests}.
  #
  # With a block only while it runs, with records and answers of its own, and for the block's own thread and fiber. From
  # Ruby 3.2 on also for the threads and fibers that it starts; before, for all fibers of its thread.
  #
  # `require "simple_connect/testing"` loads it, and nothing else does.
  #
  # @yieldparam session [Testing::Session] its records and answers
  # @return [Object] what the block gives; nil without one
  # @example For the whole process
  #   SimpleConnect.test!
  # @example For a block
  #   SimpleConnect.test! do |session|
  #     session.respond_with(422)
  #     client.events.deliver("order_paid", order: 7).status_code # => 422
  #     session.deliveries.size                                   # => 1
  #   end
  def self.test!(&block)
    block ? Testing.within(Testing::Session.new, &block) : Testing.enable
  end

  # What was delivered in test mode, and what is answered there; see {SimpleConnect.test!}. Threads may share it.
  #
  # `require "simple_connect/rspec"` and `require "simple_connect/minitest"` begin each example anew and bring matchers
  # and assertions.
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
    STORAGE = :simple_connect_testing
    private_constant :STORAGE

    # Has policies wait no time in test mode, but for those that sleep by themselves.
    # @api private
    module Timeless
      # In the place of a {Batch}, which others may go on with meanwhile.
      def self.sleep(_seconds); end

      private

      def rest(delay, seconds_left, batch) = super(delay, seconds_left, Testing.enabled? ? Timeless : batch)
    end
    private_constant :Timeless
    Retryable.class_eval { prepend Timeless }

    class << self
      # @return [Array<Delivery>] the events that were delivered, in order, whatever was answered
      # @raise [Error] where test mode is off
      def deliveries = session.deliveries

      # @return [Array<Message>] what was sent by {MessagesClient}, in order, whatever was answered
      # @raise [Error] where test mode is off
      def messages = session.messages

      # @return [Array<OtherRequest>] what else would have gone out: see {Session#requests}
      # @raise [Error] where test mode is off
      # @example
      #   DISPATCHER.publish(event)
      #   SimpleConnect::Testing.requests.last.url # => "https://acme.example/hooks"
      def requests = session.requests

      # Sets what is answered from now on: see {Session#respond_with}.
      #
      # @param answers [Array<Symbol, Integer>]
      # @param options [Hash]
      # @yieldparam delivery [Delivery, Message]
      # @return [Script]
      # @raise [ArgumentError] for an answer that there is none
      # @raise [Error] where test mode is off
      # @example
      #   SimpleConnect::Testing.respond_with(422, message: "unknown event")
      def respond_with(*answers, **options, &) = session.respond_with(*answers, **options, &)

      # Sets how deliveries fail from now on: see {Session#fail_with}.
      #
      # @param faults [Array<Symbol, Integer>]
      # @param options [Hash]
      # @return [Script]
      # @raise [ArgumentError] for a fault that there is none
      # @raise [Error] where test mode is off
      # @example
      #   SimpleConnect::Testing.fail_with(:timeout).then(:accepted)
      def fail_with(*faults, **options) = session.fail_with(*faults, **options)

      # Forgets all deliveries, and what was set to be answered.
      #
      # @return [void]
      # @raise [Error] where test mode is off
      def reset = session.reset

      # @return [Boolean] whether test mode is on, here
      def enabled? = !current.nil?

      # Turns test mode off for the whole process; a block of {SimpleConnect.test!} goes on.
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
      # @return [Session] the one that deliveries made here belong to
      def session = current || raise(Error, "test mode is off: call SimpleConnect.test! first")

      # @api private
      # @return [Exchange, nil] what answers a call in the server's place; nil where it is to be sent
      def exchange(target, response_class) = current&.exchange(target, response_class)

      # @api private
      # @return [#intercept, nil] what answers any other request; nil where it is to be sent
      def interceptor = current

      # @api private
      def within(session)
        before = scoped
        self.scoped = session
        yield session
      ensure
        self.scoped = before
      end

      # Begins an example anew.
      #
      # @api private
      # @param alone [Boolean] whether others run at the same time, on other threads
      # @return [Array] what {#finish} is to get
      def begin(alone: true)
        before = [alone, alone ? @global : scoped]
        if @global
          alone ? @global = Session.new : self.scoped = Session.new
        end
        before
      end

      # Leaves all as it was before {#begin}.
      #
      # @api private
      def finish(before)
        alone, session = before
        alone ? @global = session : self.scoped = session
      end

      private

      def current = scoped || @global

      if Fiber.respond_to?(:[])
        def scoped = Fiber[STORAGE]

        def scoped=(session)
          Fiber[STORAGE] = session
        end
      else
        def scoped = Thread.current.thread_variable_get(STORAGE)

        def scoped=(session)
          Thread.current.thread_variable_set(STORAGE, session)
        end
      end
    end
  end
end
