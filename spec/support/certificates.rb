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
    # @param options [Hash] see {Certificates.build}
    # @return [Identity] a certificate that this one vouches for
    def issue(host, **options) = Certificates.build(host, issuer: self, **options)

    private

    def in_file(text)
      # It is deleted with the last reference to it.
      @files << Tempfile.new(["certificate", ".pem"])
      @files.last.write(text)
      @files.last.close
      @files.last.path
    end
  end

  AUTHORITY = ["basicConstraints", "CA:TRUE", true].freeze

  # @param host [String] a name or an address
  # @return [Identity] a certificate that vouches for itself
  def self.self_signed(host) = build(host)

  # @return [Identity] a certificate that may vouch for others
  def self.authority(name = "An authority of these specs") = build(name, extensions: [AUTHORITY])

  # @param host [String] a name or an address
  # @return [Identity] both in one, as `openssl req -x509` makes it
  def self.own(host, **options) = build(host, extensions: [AUTHORITY, names(host)], **options)

  # @param name [String] the common name
  # @param from [Integer] seconds from now
  # @param to [Integer] seconds from now
  # @param issuer [Identity, nil] who signs, if not the certificate itself
  # @param extensions [Array<Array>] a name, a value, and whether it is critical
  # @param version [Integer] that of X.509, less one
  # @return [Identity]
  def self.build(name, from: -DAY, to: DAY, issuer: nil, extensions: [names(name)], version: 2,
                 key: OpenSSL::PKey::EC.generate("prime256v1"), digest: "SHA256")
    now = Process.clock_gettime(Process::CLOCK_REALTIME, :second)
    certificate = OpenSSL::X509::Certificate.new
    certificate.version = version
    certificate.serial = OpenSSL::BN.rand(64)
    certificate.subject = OpenSSL::X509::Name.new([["CN", name]])
    certificate.issuer = issuer ? issuer.certificate.subject : certificate.subject
    certificate.public_key = key
    certificate.not_before = Time.at(now + from)
    certificate.not_after = Time.at(now + to)
    factory = OpenSSL::X509::ExtensionFactory.new
    extensions.each { |extension| certificate.add_extension(factory.create_extension(*extension)) }
    certificate.sign(issuer ? issuer.key : key, digest)
    Identity.new(certificate, key)
  end

  # @param hosts [Array<String>] names and addresses
  # @return [Array] the extension that says for whom a certificate is
  def self.names(*hosts)
    kinds = hosts.map { |host| "#{host.match?(/\A[\d.]+\z|:/) ? "IP" : "DNS"}:#{host}" }
    ["subjectAltName", kinds.join(",")]
  end
end
