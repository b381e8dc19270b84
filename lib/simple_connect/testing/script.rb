# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  module Testing
    # The answer to one attempt: :accepted, :duplicate, :skipped, a status, or a kind of network error.
    # @api private
    class Answer
      TAKEN = %i[accepted duplicate skipped].freeze
      STATUSES = (200..599)
      # The phase of each, and the exception class in Net::HTTP.
      FAULTS = {
        timeout: [:read, "Net::ReadTimeout"], refused: [:connect, "Errno::ECONNREFUSED"],
        unreachable: [:connect, "Errno::EHOSTUNREACH"], reset: [:read, "Errno::ECONNRESET"],
        dns: [:resolve, "SocketError"], tls: [:tls, "OpenSSL::SSL::SSLError"], eof: [:read, "EOFError"]
      }.freeze
      private_constant :STATUSES

      # @return [Symbol, Integer]
      attr_reader :kind
      # @return [String, nil] the message of the ErrorResponse
      attr_reader :message
      # @return [Hash{String, Symbol => Object}] additional headers
      attr_reader :headers
      # @return [String, Hash, nil] the body to use instead of the service's
      attr_reader :body

      # @raise [ArgumentError] for an unknown answer
      def initialize(kind, message: nil, headers: {}, body: nil)
        unless TAKEN.include?(kind) || FAULTS.key?(kind) || (kind.is_a?(Integer) && STATUSES.cover?(kind))
          raise ArgumentError, "an answer must be #{TAKEN.map(&:inspect).join(", ")}, a status from 200 to 599, " \
                               "or #{FAULTS.keys.map(&:inspect).join(", ")}, not #{kind.inspect}"
        end

        @kind = kind
        @message = message
        @headers = headers
        @body = body
      end

      def fault? = FAULTS.key?(kind)

      # @return [Boolean] whether the service accepts the delivery
      def taken? = TAKEN.include?(kind) || (kind.is_a?(Integer) && kind < 300)

      # @return [Array(Symbol, Symbol, String, String)] as the transport takes a network error
      def network_error
        phase, name = FAULTS.fetch(kind)
        [kind, phase, name, "set by fail_with(#{kind.inspect}) in SimpleConnect's test mode"]
      end
    end

    # The answers to the next attempts, in order; the last one repeats. {Session#respond_with} and {Session#fail_with}
    # return it.
    class Script
      # @api private
      def initialize(lock, event_key, answers)
        @lock = lock
        @event_key = event_key&.to_s
        @answers = answers
      end

      # Adds answers after those that are already set.
      #
      # @param answers [Array<Symbol, Integer>] as for {Session#respond_with} and {Session#fail_with}
      # @param options [Hash] `message:`, `headers:` and `body:`, as there
      # @yieldparam delivery [Delivery, Message]
      # @return [Script] self
      # @raise [ArgumentError] for an unknown answer
      # @example
      #   SimpleConnect::Testing.fail_with(:timeout, 503).then(:accepted)
      def then(*answers, **options, &block)
        added = Script.answers(answers, options, block)
        @lock.synchronize { @answers.concat(added) }
        self
      end

      # @api private
      def for?(delivery) = @event_key.nil? || @event_key == delivery.event_key

      # @api private
      # @return [Answer, Proc] the next one; call this with the lock held
      def next = @answers.size > 1 ? @answers.shift : @answers.first

      # @api private
      # @return [Array<Answer, Proc>]
      def self.answers(answers, options, block)
        unless block || answers.any?
          raise ArgumentError, "pass answers, such as :accepted or 422, or a block that gives one"
        end

        list = answers.map { |answer| Answer.new(answer, **options) }
        block ? list << ->(delivery) { Answer.new(block.call(delivery), **options) } : list
      end
    end
  end
end
