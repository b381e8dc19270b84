# frozen_string_literal: true

module SimpleConnect
  # A client that is built on first use. Threads may share it.
  # @api private
  module LazyClient
    # @param source [String] where the options come from, for `inspect`
    # @yieldreturn [Client, MessagesClient]
    def initialize(source, &build)
      @source = source
      @build = build
      # An Array, because this object may be frozen before the client is built.
      @built = []
      @lock = Mutex.new
    end

    # See {Connected#with}.
    def with(**changes)
      return client.with(**changes) if @built.any?

      refuse_unknown(changes)
      self.class.new(@source) { client.with(**changes) }
    end

    # See {Connected#close}.
    def close = @built.first&.close

    # See {Connected#stats}.
    def stats = client.stats

    # See {Connected#name}.
    def name = client.name

    # See {Connected#named}.
    def named(...) = client.named(...)

    # See {Connected#inspect}.
    def inspect = @built.any? ? client.inspect : "#<#{self.class.superclass.name} of #{@source}>"
    alias to_s inspect

    private

    def client = @built.first || @lock.synchronize { @built.first || @built.push(@build.call).first }
  end
  private_constant :LazyClient
end
