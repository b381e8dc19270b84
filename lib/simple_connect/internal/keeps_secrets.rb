# frozen_string_literal: true

module SimpleConnect
  # For classes that hold secrets: whatever reads instance variables, such as ActiveSupport's JSON, YAML and error
  # trackers, gets only what `inspect` shows.
  # @api private
  module KeepsSecrets
    # Used by ActiveSupport's JSON.
    # @return [Object]
    def as_json(*options) = shown.as_json(*options)

    # @return [String]
    def to_json(*state) = shown.to_json(*state)

    # Used by ActiveSupport.
    # @return [Hash]
    def instance_values = {}

    # @raise [TypeError] always, so that secrets are not written to files
    def marshal_dump
      raise TypeError, "a #{self.class.name} contains secrets and cannot be dumped: build a new one where you need it"
    end

    # @raise [TypeError] always, see {#marshal_dump}
    def encode_with(_coder) = marshal_dump

    private

    # The part that is safe to show.
    def shown = inspect
  end
  private_constant :KeepsSecrets
end
