# frozen_string_literal: true

require "openssl"
require "tempfile"

# Certificates for servers of these specs.
module Certificates
  # A certificate with its key, and a file that clients can be told to trust.
  Identity = Struct.new(:certificate, :key, :file_handle) do
    def context
      OpenSSL::SSL::SSLContext.new.tap do |context|
        context.cert = certificate
        context.key = key
      end
    end

    def file = file_handle.path
  end

  # @param host [String] a name or an address
  # @return [Identity] a certificate that vouches for itself
  def self.self_signed(host)
    key = OpenSSL::PKey::EC.generate("prime256v1")
    certificate = OpenSSL::X509::Certificate.new
    certificate.version = 2
    certificate.serial = OpenSSL::BN.rand(64)
    certificate.subject = certificate.issuer = OpenSSL::X509::Name.new([["CN", host]])
    certificate.public_key = key
    certificate.not_before = Time.at(Process.clock_gettime(Process::CLOCK_REALTIME) - 3600)
    certificate.not_after = certificate.not_before + 86_400
    extensions = OpenSSL::X509::ExtensionFactory.new(certificate, certificate)
    kind = host.match?(/\A[\d.]+\z|:/) ? "IP" : "DNS"
    certificate.add_extension(extensions.create_extension("subjectAltName", "#{kind}:#{host}"))
    certificate.sign(key, "SHA256")
    file = Tempfile.new(["certificate", ".pem"])
    file.write(certificate.to_pem)
    file.close
    Identity.new(certificate, key, file)
  end
end
