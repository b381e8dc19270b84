# frozen_string_literal: true

require_relative "transport"

module SimpleConnect
  # Posts JSON to one URL, once each, whatever comes back.
  # @api private
  class Sender
    # Seconds for connecting and for each silence, and for all together.
    TIMEOUT = 5
    TOTAL_TIMEOUT = 10
    private_constant :TIMEOUT, :TOTAL_TIMEOUT

    # @param url [String]
    # @param url_option [String] what errors call it
    # @param headers [HeaderLines, nil] to send along
    # @raise [ConfigurationError] where the URL is invalid
    def initialize(url, url_option, headers: nil)
      @transport = Transport.open({ url:, url_option:, headers: }, {}, timeout: TIMEOUT, total_timeout: TOTAL_TIMEOUT,
                                                                       user_agent: nil)
    end

    # @return [Testing::Session, nil] the block of test mode that this runs in: what another thread posts for it belongs
    #   to that, and not to the block that the thread was started in
    def self.session = Transport.testing&.scoped

    # @param body [String] JSON
    # @param headers [Hash{String => String}] more of them, such as a signature
    # @param session [Testing::Session, nil] what {.session} was where it was decided to post
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
