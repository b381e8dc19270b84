# frozen_string_literal: true

module SimpleConnect
  # What holds secrets: it shows no more than `inspect` does to whatever goes by an object's instance variables, such as
  # ActiveSupport's JSON, YAML and error trackers.
  # @api private
  module KeepsSecrets
    # What ActiveSupport makes JSON of.
    # @return [Object]
    def as_json(*options) = shown.as_json(*options)

    # @return [String]
    def to_json(*state) = shown.to_json(*state)

    # What ActiveSupport knows the instance variables by.
    # @return [Hash]
    def instance_values = {}

    # @raise [TypeError] always: secrets must not end up in a file
    def marshal_dump
      raise TypeError, "a #{self.class.name} holds secrets and cannot be dumped: build one where it is needed"
    end

    # @raise [TypeError] always, see {#marshal_dump}
    def encode_with(_coder) = marshal_dump

    private

    # What may be shown of it.
    def shown = inspect
  end
  private_constant :KeepsSecrets
end
