# frozen_string_literal: true

require "erb"
require_relative "databases"

# The tables of the outbox, made by the migration that the generator copies.
module OutboxTables
  TEMPLATE = File.expand_path("../../lib/generators/simple_connect/outbox/templates/migration.rb.tt", __dir__)

  module_function

  # @param base [Class] see {Databases::Database#base}
  # @param direction [:up, :down]
  def migrate(base, direction = :up)
    unless defined?(CreateSimpleConnectOutbox)
      module_eval(ERB.new(File.read(TEMPLATE), trim_mode: "-").result(binding), TEMPLATE)
    end
    base.connection_pool.with_connection do |connection|
      migration = CreateSimpleConnectOutbox.new
      migration.verbose = false
      migration.exec_migration(connection, direction)
      connection.schema_cache.clear!
    end
  end
end
