# frozen_string_literal: true

require "json"

# The names that the published gem's users may have in their code.
RSpec.describe SimpleConnect do
  surfaces = JSON.parse(File.read(File.expand_path("conformance/api_surface.json", __dir__)))["surfaces"]

  surfaces.each do |version, names|
    names.reject { |_, described| described["inner"] }.each do |name, described|
      it "has #{name} as #{version} had it" do
        constant = Object.const_get(name)
        expect(constant).to be_a(described["kind"] == "class" ? Class : Module)

        constants = (described["constants"] || {}).except("VERSION")
        expect(constants.to_h do |constant_name, _|
                 [constant_name, constant.const_get(constant_name)]
               end).to eq(constants)

        missing = (described["instance_methods"] || {}).keys.reject { |method| constant.method_defined?(method) }
        expect(missing).to eq([])
      end
    end
  end
end
