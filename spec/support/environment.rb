# frozen_string_literal: true

# Variables of the environment, for the time of a block.
module Environment
  # @param variables [Hash{String => String, nil}] nil for those that are not to be there
  def with_environment(variables)
    before = variables.to_h { |name, _| [name, ENV.fetch(name, nil)] }
    ENV.update(variables)
    yield
  ensure
    ENV.update(before)
  end
end
