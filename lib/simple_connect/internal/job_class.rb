# frozen_string_literal: true

require_relative "../errors"

module SimpleConnect
  # Finds the class of a job by a setting: the gem's own for a library, or an application's that inherits from it.
  # @api private
  module JobClass
    # Their names, and whether they are loaded. ActiveJob::Base must not load here, because a later initializer may
    # still configure it.
    LIBRARIES = { active_job: ["ActiveJob", -> { defined?(::ActiveJob::Base) }],
                  sidekiq: ["Sidekiq", -> { defined?(::Sidekiq::Job) }] }.freeze
    private_constant :LIBRARIES

    class << self
      # @param setting [String] its name
      # @param job [Symbol, String, nil] its value: a library, the name of a class, or nil for any library
      # @param own [Hash{Symbol => String}] the names of the gem's classes, by library, the preferred one first
      # @param method [Symbol] what each has
      # @return [Class, nil] nil if there is no library
      # @raise [ConfigurationError] if what is set cannot be used
      def find(setting, job, own, method)
        return named(setting, job, own, method) if job.is_a?(String)

        library = job || own.keys.find { |key| loaded?(key) }
        return unless library
        return Object.const_get(own.fetch(library)) if loaded?(library)

        raise ConfigurationError, "#{setting} is #{job.inspect}, but #{LIBRARIES.fetch(library).first} is not " \
                                  "loaded: require it first"
      end

      private

      def loaded?(library) = LIBRARIES.fetch(library).last.call

      def named(setting, name, own, method)
        job = Object.const_get(name)
        return job if job.respond_to?(method)

        raise ConfigurationError, "#{setting} is #{name.inspect}, which must be a class that inherits from " \
                                  "#{own.values.join(" or ")}"
      rescue NameError => e
        raise ConfigurationError, "#{setting} is #{name.inspect}, which cannot be loaded: " \
                                  "#{e.message.lines.first&.chomp}"
      end
    end
  end
  private_constant :JobClass
end
