# frozen_string_literal: true

module SimpleConnect
  # Builds and parses parts of HTTP messages.
  # @api private
  module Wire
    # Responses with these statuses have no body.
    BODILESS = [204, 304].freeze
    private_constant :BODILESS

    class << self
      # @param fields [#map] pairs of name and value
      # @return [Array(Integer, String, String)] the response, as {Transport} takes it from an interceptor; its body is
      #   nil if the status allows none
      def answer(status, reason, fields, body)
        lines = ["HTTP/1.1 #{status} #{reason}", *fields.map { |name, value| "#{name}: #{value}" }]
        [status, lines.map { |line| "#{line.tr("\r\n", " ")}\r\n" }.join, (body unless BODILESS.include?(status))]
      end

      # @return [Array<Array(String, String)>] name and value of each header line
      def fields(lines)
        lines.to_s.split(/\r?\n/).map do |line|
          name, value = line.split(/:[ \t]*/, 2)
          [name, value.to_s]
        end
      end

      # Decodes percent-encoding only: in a path, a plus is a plus.
      #
      # @return [String] tagged as UTF-8, valid or not
      def unescape(segment)
        segment.b.gsub(/%\h\h/n) { |escape| escape[1..].to_i(16).chr }.force_encoding(Encoding::UTF_8)
      end
    end
  end
  private_constant :Wire
end
