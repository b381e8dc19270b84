# frozen_string_literal: true

require_relative "errors"
require_relative "internal/extension"

module SimpleConnect
  # The result of a call. Immutable; two results with the same six members are equal.
  #
  # It also has the time of the last attempt and the response's headers. These do not count for equality, and a Result
  # that you build yourself has none.
  #
  # @example
  #   result = client.events.deliver("customer_payment_received", recipient: { mobile_no: "+919812345678" })
  #   if result.success?
  #     logger.info("taken at attempt #{result.attempts}")
  #   else
  #     logger.error(result.error)
  #   end
  # @example Pattern matching
  #   case result
  #   in { success: true, data: } then data.event_id
  #   in { status_code: 422, data: } then raise data.message
  #   in { retryable: true, retry_after: } then retry_later(retry_after || 60)
  #   end
  class Result
    # The members, in order.
    MEMBERS = %i[success status_code response_body error attempts data].freeze
    # Additional readers for pattern matching.
    EXTRAS = %i[elapsed headers request_id retryable retry_after network_error network_phase].freeze
    private_constant :MEMBERS, :EXTRAS

    # The characters of a body that {#error} shows.
    ERROR_LENGTH = 300
    # The characters of a body that a {MalformedResponseError} shows.
    EXCERPT_LENGTH = 120
    # The maximum of {#retry_after}, about 31 years: anything longer means never.
    LONGEST_WAIT = 10**9
    # The first bytes of gzip data, and the text shown instead of it.
    GZIP = "\x1F\x8B".b.freeze
    COMPRESSED = "(gzip data that was not requested: the server, or a proxy before it, ignores Accept-Encoding)"
    private_constant :ERROR_LENGTH, :EXCERPT_LENGTH, :LONGEST_WAIT, :GZIP, :COMPRESSED

    # @return [Boolean] whether the response was a 2xx
    attr_reader :success
    # @return [Integer] the HTTP status; 0 if there was no response
    attr_reader :status_code
    # @return [String, nil] the raw response body; nil if there was no response
    attr_reader :response_body
    # @return [String, nil] nil for a success; otherwise `"HTTP 422: <body>"` or `"Net::ReadTimeout: <message>"`
    attr_reader :error
    # @return [Integer] the number of attempts
    attr_reader :attempts
    # @return [Responses::DeliverResponse, Responses::EventResponse, Responses::VerifyResponse,
    #   Responses::MessageDeliverResponse, Responses::MessageDetailResponse, Responses::ErrorResponse, nil] the parsed
    #   response body; nil if it is empty or not JSON
    attr_reader :data

    class << self
      # @return [Array<Symbol>] the names of the members
      def members = MEMBERS.dup

      # Also takes the members by position, in their order.
      #
      # @overload new(success, status_code = 0, response_body = nil, error = nil, attempts = 1, data = nil)
      # @overload new(success:, status_code: 0, response_body: nil, error: nil, attempts: 1, data: nil)
      # @return [Result]
      # @raise [ArgumentError] for too many values, an unknown keyword, or if `success` is missing
      # @example
      #   SimpleConnect::Result.new(false, 422, nil, "HTTP 422: unknown event")
      def new(*values, **members)
        return super(**members) if values.empty?

        refuse(values.size + 1, 0) unless members.empty?
        refuse(values.size, "0..#{MEMBERS.size}") if values.size > MEMBERS.size
        super(**MEMBERS.first(values.size).zip(values).to_h)
      end
      alias [] new

      # @api private
      def answered(response_class, attempts, elapsed, status, head, body)
        success = status.between?(200, 299)
        data = response_class && parse(success ? response_class : Responses::ErrorResponse, body)
        error = success ? nil : refusal(status, head, body)
        usable = data unless data == :invalid
        result = allocate.fill(success, status, body, error, attempts, usable, elapsed, head, nil, nil, false)
        data == :invalid && success ? raise(malformed(result)) : result
      end

      # @api private
      def failed(attempts, elapsed, error, kind, phase, taken)
        allocate.fill(false, 0, nil, error, attempts, nil, elapsed, nil, kind, phase, taken)
      end

      # @api private
      # @return [Responses::Response, Symbol, nil] nil if the body is empty or JSON's null; `:invalid` if it is not JSON
      def parse(response_class, body)
        return if body.nil? || body.empty?

        value = Codec.parse(body)
        value.nil? || value == :invalid ? value : response_class.new(value)
      end

      # @api private
      def malformed(result)
        excerpt = readable(result.response_body)[0, EXCERPT_LENGTH].scrub
        MalformedResponseError.new("Unparseable JSON body: #{excerpt}", result:)
      end

      private

      def refuse(given, expected)
        raise ArgumentError, "wrong number of arguments (given #{given}, expected #{expected})"
      end

      def refusal(status, head, body)
        text = body ? readable(body)[0, ERROR_LENGTH + 1].scrub : ""
        text = "#{text[0, ERROR_LENGTH]}…" if text.length > ERROR_LENGTH
        location = head.scrub[/^location:[ \t]*([^\r\n]+)/i, 1] if status.between?(300, 399)
        return "HTTP #{status}: #{text}" unless location

        "HTTP #{status}: #{text} (redirects are not followed; this one leads to #{location})"
      end

      def readable(body) = body.byteslice(0, 2).b == GZIP ? COMPRESSED : body
    end

    # @param success [Boolean]
    # @param status_code [Integer]
    # @param response_body [String, nil]
    # @param error [String, nil]
    # @param attempts [Integer]
    # @param data [Object, nil]
    # @raise [ArgumentError] for an unknown keyword, or if `success:` is missing
    # @example A Result for a spec of your own
    #   SimpleConnect::Result.new(success: false, status_code: 422, error: "HTTP 422: unknown event")
    def initialize(success:, status_code: 0, response_body: nil, error: nil, attempts: 1, data: nil)
      fill(success, status_code, response_body, error, attempts, data, nil, nil, nil, nil, false)
    end

    # @return [Array<Symbol>] the names of the members
    def members = self.class.members

    # @return [Boolean] whether the response was a 2xx
    def success? = success

    # @return [Boolean]
    def failed? = !success

    # @return [Float, nil] the duration of the last attempt, in seconds
    attr_reader :elapsed

    # @return [Symbol, nil] why there was no response: `:refused`, `:unreachable`, `:reset`, `:timeout`, `:dns`, `:tls`,
    #   `:eof`, `:proxy`, `:guarded`, `:too_large`, `:malformed` or `:io`; nil if there was one
    attr_reader :network_error

    # @return [Symbol, nil] the phase that failed: `:resolve`, `:connect`, `:proxy`, `:tls`, `:write` or `:read`.
    #   From `:write` on the server may have processed the request: repeat it with the same `event_id`
    attr_reader :network_phase

    # @return [Hash{String => String}] the response headers, with names in lower case; headers of the same name are
    #   joined with a comma
    # @example
    #   result.headers["content-type"] # => "application/json"
    def headers
      fields.each_with_object({}) do |(name, value), headers|
        headers[name] = [headers[name], value].compact.join(", ")
      end
    end

    # Whether the same call may succeed later: after a network error, a 5xx, a 429 (too many requests), a 408 (request
    # timeout) or a 425 (too early). Repeat it with the same `event_id`.
    #
    # False if the response was too large, or if a template message got a 2xx but the rest of the response was lost or
    # unreadable: the server has accepted the request. Also false if the guard refused the server, and if the cause is
    # unknown, as in a failed Result that you build yourself without a status.
    #
    # @return [Boolean] false for a success
    # @example
    #   retry_job(wait: result.retry_after || 60) if result.retryable?
    def retryable? = !success && DeliveryError.class_for(self).ancestors.include?(TransientError)

    # Returns how long the server asks you to wait before the next attempt (`Retry-After`).
    #
    # @return [Float, nil] seconds from the response on, 0 or more; nil if the header is missing or invalid
    # @example
    #   result.headers["retry-after"] # => "Fri, 31 Dec 1999 23:59:59 GMT"
    #   result.retry_after            # => 30.0
    def retry_after
      # The first of several counts: a proxy may add its own.
      fields = fields().reverse.to_h
      text = fields["retry-after"] or return
      return [text.to_r, LONGEST_WAIT].min.to_f if text.match?(/\A\d+(\.\d+)?\z/)

      # By the server's clock, because the local clock may be wrong.
      time(text)&.then { |time| (time - (time(fields["date"]) || Time.now)).clamp(0.0, LONGEST_WAIT.to_f) }
    end

    # @return [String, nil] the server's id of this request (`X-Request-Id`), for support requests
    def request_id = headers["x-request-id"]

    # @param new_data [Object]
    # @return [Result] a copy with other data
    def with_data(new_data) = with(data: new_data)

    # @param changes [Hash{Symbol => Object}] new values for some members
    # @return [Result] a changed copy
    # @raise [ArgumentError] for an unknown member
    # @example
    #   result.with(attempts: 2)
    def with(**changes)
      unknown = changes.keys - MEMBERS
      raise ArgumentError, "unknown keyword: #{unknown.map(&:inspect).join(", ")}" unless unknown.empty?

      self.class.allocate.fill(*to_h.merge(changes).values, @elapsed, @head, @network_error, @network_phase, @taken)
    end

    # @yield [name, value] each member, if you pass a block
    # @yieldreturn [Array(Object, Object)] the pair to use instead
    # @return [Hash{Symbol => Object}] the members
    def to_h(&block)
      hash = { success:, status_code:, response_body:, error:, attempts:, data: }
      block ? hash.to_h(&block) : hash
    end

    # @param other [Object]
    # @return [Boolean] whether `other` is a Result with equal members
    def ==(other) = other.instance_of?(self.class) && to_h == other.to_h

    # @param other [Object]
    # @return [Boolean]
    def eql?(other) = other.instance_of?(self.class) && to_h.eql?(other.to_h)

    # @return [Integer]
    def hash = [self.class, to_h].hash

    # @param keys [Array<Symbol>, nil] the keys in the pattern
    # @return [Hash{Symbol => Object}]
    def deconstruct_keys(keys)
      return to_h unless keys

      keys.intersection(MEMBERS + EXTRAS).to_h { |key| [key, key == :retryable ? retryable? : public_send(key)] }
    end

    # @return [String] without body, error and data: what a service says may hold a customer's number
    def inspect
      came = "HTTP #{status_code}" unless status_code.zero?
      "#<#{self.class.name} #{came || network_error || (success ? "success" : "failed")} attempts=#{attempts}>"
    end
    alias to_s inspect

    # What IRB and `pp` show.
    # @api private
    def pretty_print(printer) = printer.text(inspect)

    # @api private
    # @return [Boolean] whether the server accepted a request that must not be repeated, but its response is lost
    def taken? = @taken

    # @api private
    # @return [Result] self if it is a success
    # @raise [DeliveryError] if not
    def or_raise
      success? ? self : raise(DeliveryError.class_for(self).new(result: self))
    end

    # @api private
    # @return [Result] with the data of the body, if any
    # @raise [MalformedResponseError] if the body of a success is not JSON
    def decode(response_class)
      data = self.class.parse(success? ? response_class : Responses::ErrorResponse, response_body)
      return with_data(data) unless data == :invalid

      success? ? raise(self.class.malformed(self)) : self
    end

    # @api private
    def fill(success, status_code, response_body, error, attempts, data, elapsed, head, network_error, network_phase,
             taken)
      @success = success
      @status_code = status_code
      @response_body = response_body
      @error = error
      @attempts = attempts
      @data = data
      @elapsed = elapsed
      @head = head
      @network_error = network_error
      @network_phase = network_phase
      @taken = taken
      freeze
    end

    private

    # Pairs of name (in lower case) and value, in the order of the response.
    def fields
      @head.to_s.scrub.split(/\r?\n/).drop(1).map do |line|
        name, _, value = line.partition(":")
        [name.downcase, value.strip]
      end
    end

    def time(text)
      require "time"
      Time.httpdate(text.to_s)
    rescue ArgumentError
      nil
    end
  end
end
