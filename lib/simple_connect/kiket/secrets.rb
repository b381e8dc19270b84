# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  class Kiket < Webhooks::App
    # Secrets for handlers, in any store with `get(key)`, `set(key, value)`, `delete(key)` and `list`, such as
    # {MemoryStore} and {EnvStore}.
    #
    # @example
    #   secrets = SimpleConnect::Kiket::Secrets.new(SimpleConnect::Kiket::Secrets::MemoryStore.new)
    #   secrets.set("DEPOT_TOKEN", "gate-7")
    #   secrets.rotate("DEPOT_TOKEN", "gate-8") # => "gate-7"
    #   secrets.list # => ["DEPOT_TOKEN"]
    class Secrets
      include KeepsSecrets

      # @param store [#get, #set, #delete, #list]
      # @raise [ConfigurationError] if one of these methods is missing
      # @example
      #   SimpleConnect::Kiket::Secrets.new(SimpleConnect::Kiket::Secrets::EnvStore.new)
      def initialize(store)
        missing = %i[get set delete list].reject { |name| store.respond_to?(name) }
        unless missing.empty?
          raise ConfigurationError, "a store of secrets must have get, set, delete and list; #{store.class} has no " \
                                    "#{missing.join(", ")}"
        end

        @store = store
        @rotating = Mutex.new
      end

      # @param key [String, Symbol]
      # @return [String, nil] nil if there is none
      # @raise [ArgumentError] for a blank key
      # @example
      #   context[:secrets].get("DEPOT_TOKEN")
      def get(key) = @store.get(name(key))

      # @param key [String, Symbol]
      # @param default [Array(Object)] returned if there is none
      # @yieldparam key [String, Symbol] called if there is none
      # @return [String, Object]
      # @raise [KeyError] if there is none, and neither default nor block
      # @raise [ArgumentError] for a blank key
      # @example
      #   context[:secrets].fetch("DEPOT_TOKEN")
      def fetch(key, *default)
        value = get(key)
        return value unless value.nil?
        return yield(key) if block_given?

        default.fetch(0) { raise KeyError.new("there is no secret #{key.inspect}", receiver: self, key:) }
      end

      # @param key [String, Symbol]
      # @param value [String]
      # @return [void]
      # @raise [ArgumentError] for a blank key, or a value that is empty or not a String
      # @example
      #   context[:secrets].set("DEPOT_TOKEN", "gate-7")
      def set(key, value)
        @store.set(name(key), checked(value))
        nil
      end

      # @param key [String, Symbol]
      # @return [void]
      # @raise [ArgumentError] for a blank key
      # @example
      #   context[:secrets].delete("DEPOT_TOKEN")
      def delete(key)
        @store.delete(name(key))
        nil
      end

      # @return [Array<String>] the keys
      # @example
      #   context[:secrets].list # => ["DEPOT_TOKEN"]
      def list = @store.list

      # Replaces a secret.
      #
      # @param key [String, Symbol]
      # @param value [String]
      # @return [String, nil] the previous value, in case you must accept both for a while
      # @raise [ArgumentError] for a blank key, or a value that is empty or not a String
      # @example
      #   previous = context[:secrets].rotate("DEPOT_TOKEN", SecureRandom.hex)
      def rotate(key, value)
        key = name(key)
        value = checked(value)
        @rotating.synchronize do
          @store.get(key).tap { @store.set(key, value) }
        end
      end

      # @return [String] without secrets
      def inspect = "#<#{self.class.name} #{@store.class.name}>"

      private

      def name(key)
        key = key.to_s
        raise ArgumentError, "key is required, such as \"DEPOT_TOKEN\"" if key.strip.empty?

        key
      end

      def checked(value)
        return value if value.is_a?(String) && !value.empty?

        raise ArgumentError, "value must be a String, and not empty; `delete` removes a secret"
      end

      # Keeps secrets in the memory of this process.
      class MemoryStore
        include KeepsSecrets

        # @param secrets [Hash{String => String}] the initial secrets
        # @example
        #   SimpleConnect::Kiket::Secrets::MemoryStore.new("DEPOT_TOKEN" => "gate-7")
        def initialize(secrets = {})
          @lock = Mutex.new
          @secrets = secrets.transform_keys(&:to_s)
        end

        # @param key [String]
        # @return [String, nil]
        def get(key) = @lock.synchronize { @secrets[key] }

        # @param key [String]
        # @param value [String]
        # @return [void]
        def set(key, value) = @lock.synchronize { @secrets[key] = value }

        # @param key [String]
        # @return [void]
        def delete(key) = @lock.synchronize { @secrets.delete(key) }

        # @return [Array<String>]
        def list = @lock.synchronize { @secrets.keys }

        # @return [String] without secrets
        def inspect = "#<#{self.class.name} #{list.join(", ")}>"
      end

      # Reads secrets from the environment: `api-key` from `KIKET_SECRET_API_KEY`. `set` and `delete` affect only this
      # object, not the environment.
      class EnvStore
        include KeepsSecrets

        # @param prefix [String] the prefix of the variables' names
        # @param env [Hash{String => String}, ENV]
        # @example
        #   SimpleConnect::Kiket::Secrets::EnvStore.new(prefix: "DEPOT")
        def initialize(prefix: Manifest::PREFIX, env: ENV)
          @prefix = "#{prefix}_"
          @env = env
          @lock = Mutex.new
          # By variable; nil for a deleted secret.
          @changes = {}
        end

        # @param key [String]
        # @return [String, nil]
        def get(key)
          variable = variable(key)
          @lock.synchronize { @changes.fetch(variable) { @env[variable] } }
        end

        # @param key [String]
        # @param value [String]
        # @return [void]
        def set(key, value) = @lock.synchronize { @changes[variable(key)] = value }

        # @param key [String]
        # @return [void]
        def delete(key) = @lock.synchronize { @changes[variable(key)] = nil }

        # @return [Array<String>] the names as in the variables, such as `API_KEY`
        def list
          secrets = @lock.synchronize { @env.to_h.merge(@changes) }.compact
          secrets.keys.filter_map { |name| name.delete_prefix(@prefix) if name.start_with?(@prefix) && name != @prefix }
        end

        # @return [String] without secrets
        def inspect = "#<#{self.class.name} #{@prefix}*>"

        private

        def variable(key) = @prefix + Manifest.variable(key)
      end
    end
  end
end
