# frozen_string_literal: true

require "resolv"
require "socket"
require_relative "namespace"

# The machine's name server, which says nothing until it is let. It takes a {Namespace} with its {ADDRESSES}.
class NameServer
  # The name it knows: this machine.
  HOST = "stuck.example"
  # Where the system asks for names.
  ADDRESS = (File.read("/etc/resolv.conf")[/^nameserver\s+([\d.]+)\s*$/, 1] if File.exist?("/etc/resolv.conf")) ||
            "127.0.0.1"
  # What the namespace needs beside what each has.
  ADDRESSES = [ADDRESS].grep_v(/\A127\./).freeze

  # @return [String, nil] why the system would not ask it
  def self.unavailable
    hosts = File.file?("/etc/nsswitch.conf") ? File.read("/etc/nsswitch.conf")[/^hosts:.*/].to_s : ""
    return "this machine asks more than a name server for names" if hosts.match?(/\bresolve\b/)

    Namespace.unavailable(mounts: false)
  end

  # @param asked [Queue] gets something for each question
  # @param answers [Array<String>] the IPv4 address that each question for one gets, the last for ever
  def initialize(asked, answers = ["127.0.0.1"])
    @answers = answers
    @socket = UDPSocket.new
    @socket.bind(ADDRESS, 53)
    @asked = asked
    @gate = Queue.new
    @thread = Thread.new { serve }
  end

  # Answers from now on, first to those who have asked already.
  def let_through = @gate.close

  def stop
    @thread.kill.join
    @socket.close
  end

  private

  def serve
    loop do
      question, (_, port, address) = @socket.recvfrom(512)
      @asked << true
      @gate.pop
      @socket.send(answer(Resolv::DNS::Message.decode(question)), 0, address, port)
    end
  end

  def answer(message)
    message.qr = message.ra = 1
    message.each_question do |name, type|
      next unless type == Resolv::DNS::Resource::IN::A

      message.add_answer(name, 0, type.new(@answers.size > 1 ? @answers.shift : @answers.first))
    end
    message.encode
  end
end
