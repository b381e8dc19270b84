# frozen_string_literal: true

require_relative "transport"

module SimpleConnect
  # Posts JSON to one URL, without retries.
  # @api private
  class Sender
    # Seconds for connecting and for each pause, and for the whole request.
    TIMEOUT = 5
    TOTAL_TIMEOUT = 10
    private_constant :TIMEOUT, :TOTAL_TIMEOUT

    # @param url [String]
    # @param url_option [String] the option's name in errors
    # @param headers [HeaderLines, nil] headers to add
    # @raise [ConfigurationError] if the URL is invalid
    def initialize(url, url_option, headers: nil)
      @transport = Transport.open({ url:, url_option:, headers: }, {}, timeout: TIMEOUT, total_timeout: TOTAL_TIMEOUT,
                                                                       user_agent: nil)
    end

    # @return [Testing::Session, nil] the session of the current test-mode block. A post in another thread belongs to
    #   this session, not to the block that the thread was started in
    def self.session = Transport.testing&.scoped

    # @param body [String] JSON
    # @param headers [Hash{String => String}] headers to add, such as a signature
    # @param session [Testing::Session, nil] the value of {.session} when the post was requested
    # @return [Result] without data
    def post(body, headers = {}, session: Sender.session)
      return request(body, headers) unless (testing = Transport.testing)

      testing.within(session) { request(body, headers) }
    end

    # @return [String]
    def inspect = "#<#{self.class.name} #{@transport.origin}>"

    private

    def request(body, headers) = @transport.request("POST", @transport.target, headers:, body:)
  end
  private_constant :Sender
end
