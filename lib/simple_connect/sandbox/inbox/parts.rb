# frozen_string_literal: true

require "json"
require_relative "../../internal/autoload"

module SimpleConnect
  class Sandbox
    class Inbox
      # Divides a request for template messages into one for each recipient, so that a message has only what is its own.
      # @api private
      class Parts
        # `body` is a request for this recipient alone, and `alone` says that there are no others. `response` is nil if
        # all have the same.
        Part = Struct.new(:message, :to, :outcome, :alone, :body, :response)

        # @param exchange [Recorder::Exchange]
        # @param json [Object] the request's body
        def initialize(exchange, json)
          @exchange = exchange
          @json = json
          listed = json.is_a?(Hash) && json["messages"].is_a?(Array) ? json["messages"].grep(Hash) : []
          # The ledger has an outcome also for what is no recipient.
          @pairs = listed.flat_map { |message| Array(message["recipients"]).map { |to| [message, to] } }
          @responses = responses
        end

        # @return [Enumerator::Lazy<Part>] the last recipient first
        def last_first
          indices = @pairs.each_index.reverse_each.lazy.select { |index| @pairs[index].last.is_a?(Hash) }
          indices.map do |index|
            message, to = @pairs[index]
            body = JSON.generate({ **@json, "messages" => [{ **message, "recipients" => [to] }] })
            response = @responses && JSON.generate(@responses[index])
            Part.new(message, to, @exchange.outcomes&.[](index), @pairs.one?, body, response)
          end
        end

        private

        def responses
          outcomes = @exchange.outcomes.to_a
          queued, errors = @exchange.json.to_h.values_at("queued_messages", "errors")
          return unless queued && errors && outcomes.size > 1

          queued = queued.each
          errors = errors.each
          outcomes.map do |outcome|
            refused = outcome.is_a?(Refusal)
            { **@exchange.json, "queued_messages" => refused ? [] : [queued.next],
                                "errors" => refused ? [errors.next] : [] }
          end
        end
      end
    end
  end
end
