# frozen_string_literal: true

require "json"
require "monitor"
require "securerandom"
require_relative "../../internal/autoload"
require_relative "../../internal/clock"

module SimpleConnect
  class Sandbox
    class Inbox
      # The messages, the planned faults and what else an inbox keeps, in memory. A journal shares it with other
      # processes, or keeps it over restarts: it stores each operation, and the others repeat it.
      # @api private
      class Store
        # The bytes of messages that are kept, at most.
        MAX_BYTES = 64 * 1024 * 1024
        # How often to look for what other processes have done, in seconds.
        POLL = 0.1
        # The sessions of which is known when they were cleared, at most. Older cursors are too old.
        CLEARED = 1_000
        private_constant :MAX_BYTES, :POLL, :CLEARED

        # A journal that stores nothing.
        # @api private
        class Memory
          # @return [Boolean] whether other processes write, too
          def shared? = false
          # Runs the block while no other process writes.
          def exclusive = yield
          # Applies what other processes have done.
          def catch_up(_store) = nil
          # Stores operations.
          def write(_operations, _store) = nil
        end

        # @return [Integer] the number of messages that are kept, at most
        attr_reader :bound
        # @return [Integer] the number of the last operation
        attr_reader :seq
        # @return [Hash{String, nil => Ledger}] by session
        attr_reader :ledgers

        # @param bound [Integer]
        # @param journal [Memory, FileJournal, SqliteJournal]
        # @yieldreturn [Ledger] a new one
        def initialize(bound, journal, &new_ledger)
          @bound = bound
          @journal = journal
          @new_ledger = new_ledger
          @monitor = Monitor.new
          @changed = @monitor.new_cond
          @stopped = false
          forget_all
          read { nil }
        end

        # Runs the block with all that other processes have done until now.
        def read
          @monitor.synchronize do
            @journal.catch_up(self)
            yield
          end
        end

        # Runs the block, which may call {#put}, {#clear} and {#set}, while no other thread or process does.
        def write(&block)
          @monitor.synchronize do
            break yield if @operations

            @journal.exclusive { transact(&block) }
          end
        end

        # @param message [Hash{String => Object}] JSON with an `"id"`
        # @return [Hash{String => Object}] the message as it is kept
        def put(message)
          operate("put", message)
          @messages[message["id"]]
        end

        # Forgets the messages of a session; of all, for nil.
        def clear(session) = operate("clear", { "session" => session })

        # Sets a member of the state.
        def set(name, value) = operate("set", { "name" => name, "value" => value })

        # @return [Object, nil] a member of the state
        def get(name) = @state[name]

        # @return [String] an id that no message has had
        def next_id = "m#{@seq + 1}"

        # @return [Hash, nil]
        def [](id) = @messages[id]

        # @return [Array<Hash>] the newest first
        def messages = @messages.values.reverse

        # Keeps a short text with a version of a message.
        #
        # @yieldreturn [String] the text, if there is none yet
        def line(message)
          id = message["id"]
          return yield unless @messages[id].equal?(message)

          # A copy, because the text may be a piece of a long one.
          @lines[id] ||= String.new(yield, capacity: 0).freeze
        end

        # @return [Hash, nil] the last message with this key
        def keyed(key) = @messages[@keys[key]]

        # @return [Ledger] of a session
        def ledger(session) = @ledgers[session] ||= @new_ledger.call

        # @return [String] what is known now, for {#changed_since}
        def cursor = "#{@generation}.#{@seq}"

        # @param session [String, nil] nil for who sees all
        # @return [Integer, nil] the number of the operation that the cursor was made after; nil if messages of the
        #   session have been forgotten since, or if it is none of this store's
        def position(cursor, session)
          # Who has seen an empty store has nothing to forget.
          return 0 if cursor == "0.0"

          generation, seq = cursor.to_s.match(/\A(\d{1,18})\.(\d{1,18})\z/)&.captures&.map(&:to_i)
          return if generation != @generation || seq > @seq

          seq if seq >= [@all_cleared, session ? @cleared[session] : @cleared.values.last].compact.max
        end

        # Waits until there is something new, but not for longer.
        #
        # @return [Boolean] false when the store is stopped
        def wait(seq, seconds)
          deadline = Clock.now + seconds
          @monitor.synchronize do
            loop do
              @journal.catch_up(self)
              left = deadline - Clock.now
              break if @stopped || @seq != seq || left <= 0

              @changed.wait(@journal.shared? ? [left, POLL].min : left)
            end
            !@stopped
          end
        end

        # Wakes all that wait.
        def stop
          @monitor.synchronize do
            @stopped = true
            @changed.broadcast
          end
        end

        # Undoes {#stop}.
        def resume = @monitor.synchronize { @stopped = false }

        # For journals: forgets everything that is in memory.
        def forget_all
          @messages = {}
          @keys = {}
          @lines = {}
          @bytes = {}
          @total = 0
          @state = {}
          @ledgers = {}
          @seq = 0
          # Until the first operation.
          @generation = 0
          @all_cleared = 0
          @cleared = {}
        end

        # For journals: repeats an operation.
        def apply(name, value)
          @seq = value["seq"]
          case name
          when "put" then add(value)
          when "clear" then forget(value["session"])
          when "set" then @state[value["name"]] = value["value"]
          when "start" then start(value)
          end
        end

        # For journals: operations that lead from nothing to here.
        def snapshot
          [*@state.map { |name, value| ["set", { "name" => name, "value" => value, "seq" => 0 }] },
           *@messages.values.map { |message| ["put", message] },
           ["start", origin]]
        end

        # For journals: where operations go on.
        def origin = { "seq" => @seq, "generation" => @generation, "cleared" => [@all_cleared, @cleared.to_a] }

        # For journals: the bytes of what is kept, roughly.
        attr_reader :total
        # For journals: the ids of messages that were forgotten by operations that are not written yet.
        attr_reader :dropped

        private

        def transact
          @journal.catch_up(self)
          @operations = []
          @dropped = []
          yield
        ensure
          operations = @operations
          @operations = nil
          unless operations.empty?
            @changed.broadcast
            @journal.write(operations, self)
          end
        end

        # An earlier run's cursors are none of this store's, so each has a number of its own.
        def begin_generation
          @generation = SecureRandom.random_number(1..(10**15))
          @operations << ["start", origin]
        end

        def operate(name, value)
          begin_generation if @generation.zero?
          value = { **value, "seq" => @seq + 1 }.freeze
          apply(name, value)
          @operations << [name, value]
        end

        def add(message)
          id = message["id"]
          @total -= @bytes[id].to_i
          @messages[id] = message
          @lines.delete(id)
          @total += @bytes[id] = bytes(message)
          @keys[message["key"]] = id if message["key"]
          restore(message)
          drop(@messages.each_key.first) while @messages.size > 1 && (@messages.size > @bound || @total > MAX_BYTES)
        end

        def bytes(message) = 2048 + message["body"].to_s.bytesize + message["attempts"].to_a.sum do |each|
                                                                      each["bytes"]
                                                                    end

        def restore(message)
          row = message["row"] or return
          ledger = ledger(message["session"])
          ledger.restore(row)
          ledger.mark(message["message_id"], message["tick"]) if message["tick"]
        end

        def drop(id)
          message = @messages.delete(id)
          @lines.delete(id)
          @total -= @bytes.delete(id)
          @keys.delete(message["key"]) if @keys[message["key"]] == id
          ledger(message["session"]).forget(message["row"]) if message["row"]
          @dropped&.push(id)
        end

        def start(value)
          @generation = value["generation"]
          @all_cleared, cleared = value["cleared"] || [0, []]
          @cleared = cleared.to_h
        end

        def forget(session)
          remember_clearing(session)
          @messages.each_value.select { |message| session.nil? || message["session"] == session }
                   .each { |message| drop(message["id"]) }
          session ? @ledgers.delete(session) : @ledgers.clear
        end

        # The order is that of the clearings.
        def remember_clearing(session)
          if session
            @cleared.delete(session)
            @cleared[session] = @seq
            _, @all_cleared = @cleared.shift if @cleared.size > CLEARED
          else
            @all_cleared = @seq
            @cleared.clear
          end
        end
      end
    end
  end
end
