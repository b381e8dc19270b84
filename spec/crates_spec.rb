# frozen_string_literal: true

require "json"
require_relative "../rakelib/crates"

# What the native gem says about the crates in it.
RSpec.describe Crates, unchecked: true do
  target = "x86_64-unknown-linux-gnu"

  around do |example|
    before = ENV.fetch("SOURCE_DATE_EPOCH", nil)
    ENV["SOURCE_DATE_EPOCH"] = "1700000000"
    Dir.chdir(File.expand_path("..", __dir__)) { example.run }
    ENV["SOURCE_DATE_EPOCH"] = before
  end

  it "lists each crate that is linked with its checksum from Cargo.lock, and no crate that only builds or tests take" do
    bill = JSON.parse(described_class.sbom(target, "x86_64-linux"))
    names = bill["components"].map { |component| component["name"] }
    expect(names).to include("ring", "rustls", "magnus", "serde_json")
    expect(names & %w[bindgen cc syn proptest windows-sys simple_connect_core]).to be_empty
    expect(bill["components"]).to all(include("licenses", "hashes", "purl"))
    lock = File.read("Cargo.lock")
    expect(bill["components"].flat_map { |component| component["hashes"] })
      .to all(satisfy { |hash| lock.include?(hash["content"]) })
    expect(bill.dig("metadata", "timestamp")).to eq("2023-11-14T22:13:20Z")
  end

  it "says in the bill of materials what depends on what, and names nothing that is not in it" do
    bill = JSON.parse(described_class.sbom(target, "x86_64-linux"))
    known = [bill.dig("metadata", "component"), *bill["components"]].map { |component| component["bom-ref"] }
    expect(bill["dependencies"].map { |entry| entry["ref"] }).to match_array(known)
    expect(bill["dependencies"].flat_map { |entry| entry["dependsOn"] } - known).to be_empty
    rustls = bill["dependencies"].find { |entry| entry["ref"].start_with?("pkg:cargo/rustls@") }
    expect(rustls["dependsOn"].grep(%r{cargo/ring@})).not_to be_empty
  end

  it "gives the licences of each, every text once" do
    notices = described_class.notices(target)
    JSON.parse(described_class.sbom(target, "x86_64-linux"))["components"].each do |crate|
      expect(notices).to include("\n- #{crate["name"]} #{crate["version"]}: ")
    end
    expect(notices).to include("BoringSSL", "Permission is hereby granted")
    sections = notices.split("#{"=" * 80}\n").drop(1).map { |section| section.split("#{"-" * 80}\n", 2).last }
    expect(sections).to eq(sections.uniq)
    expect(notices).not_to include(Dir.home)
  end

  it "refuses to say that no crate is linked" do
    allow(described_class).to receive(:tree).and_return({})
    expect { described_class.notices(target) }
      .to raise_error(SystemExit).and output(/lists no crate for #{target}/).to_stderr
    expect { described_class.sbom(target, "x86_64-linux") }.to raise_error(SystemExit).and output.to_stderr
  end
end
