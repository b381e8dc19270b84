# frozen_string_literal: true

require "openssl"
require "tempfile"

# Certificates for servers of these specs.
module Certificates
  DAY = 86_400

  # A certificate with its key, as objects and in files.
  class Identity
    attr_reader :certificate, :key

    def initialize(certificate, key)
      @certificate = certificate
      @key = key
      @files = []
    end

    # @param versions [Hash] `min_version:` and `max_version:` of TLS
    def context(**versions)
      OpenSSL::SSL::SSLContext.new.tap do |context|
        context.cert = certificate
        context.key = key
        versions.each { |name, version| context.public_send("#{name}=", version) }
      end
    end

    # @return [String] the path of a file that clients can be told to trust
    def file = @file ||= in_file(certificate.to_pem)

    # @return [String] the path of a file for a server
    def file_with_key = @file_with_key ||= in_file(certificate.to_pem + key.to_pem)

    # @return [String] what OpenSSL calls this certificate's file in a directory
    def hashed_name = format("%08x.0", certificate.subject.hash)

    # @param host [String] a name or an address
    # @param from [Integer] seconds from now
    # @param to [Integer] seconds from now
    # @return [Identity] a certificate that this one vouches for
    def issue(host, from: -DAY, to: DAY) = Certificates.build(host, from:, to:, issuer: self)

    private

    def in_file(text)
      # It is deleted with the last reference to it.
      @files << Tempfile.new(["certificate", ".pem"])
      @files.last.write(text)
      @files.last.close
      @files.last.path
    end
  end

  # @param host [String] a name or an address
  # @return [Identity] a certificate that vouches for itself
  def self.self_signed(host) = build(host)

  # @return [Identity] a certificate that may vouch for others
  def self.authority(name = "An authority of these specs") = build(name, authority: true)

  def self.build(name, from: -DAY, to: DAY, issuer: nil, authority: false)
    now = Process.clock_gettime(Process::CLOCK_REALTIME, :second)
    key = OpenSSL::PKey::EC.generate("prime256v1")
    certificate = OpenSSL::X509::Certificate.new
    certificate.version = 2
    certificate.serial = OpenSSL::BN.rand(64)
    certificate.subject = OpenSSL::X509::Name.new([["CN", name]])
    certificate.issuer = issuer ? issuer.certificate.subject : certificate.subject
    certificate.public_key = key
    certificate.not_before = Time.at(now + from)
    certificate.not_after = Time.at(now + to)
    certificate.add_extension(extension(name, authority))
    certificate.sign(issuer ? issuer.key : key, "SHA256")
    Identity.new(certificate, key)
  end

  def self.extension(name, authority)
    extensions = OpenSSL::X509::ExtensionFactory.new
    return extensions.create_extension("basicConstraints", "CA:TRUE", true) if authority

    kind = name.match?(/\A[\d.]+\z|:/) ? "IP" : "DNS"
    extensions.create_extension("subjectAltName", "#{kind}:#{name}")
  end
  private_class_method :extension
end
