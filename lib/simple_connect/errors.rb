# frozen_string_literal: true

module SimpleConnect
  # What all errors of this gem inherit from.
  #
  # A failed delivery raises none of them: it gives a failed {Result}. A mistake in a call raises ArgumentError.
  class Error < StandardError; end

  # A client, or a sandbox, cannot be built with these options. The message says what to write instead.
  class ConfigurationError < Error; end

  # An event key that is not among the client's `event_keys:`.
  class UnknownEventError < Error; end

  # The server accepted the request, but its answer is not JSON. The request has been taken; it is not sent again.
  class MalformedResponseError < Error; end

  # A bug in this gem. Please report it.
  class InternalError < Error; end
end
