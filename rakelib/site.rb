# frozen_string_literal: true

require "uri"

# The documentation as YARD renders it.
module Site
  ENTITIES = { "&amp;" => "&", "&lt;" => "<", "&gt;" => ">", "&quot;" => '"', "&#39;" => "'" }.freeze
  private_constant :ENTITIES

  module_function

  # @return [Array<String>] the links between the pages in `folder` that lead nowhere
  def dead_links(folder)
    pages = Dir.glob("**/*.html", base: folder).to_h { |page| [page, File.read(File.join(folder, page))] }
    anchors = pages.transform_values { |html| html.scan(/\b(?:id|name)="([^"]+)"/).flatten.map { |id| unescape(id) } }
    links(pages).filter_map do |page, target, anchor|
      found = anchors[target] || File.exist?(File.join(folder, target))
      "#{page}: #{[target, *anchor].join("#")}" unless found && (anchor.nil? || found == true || found.include?(anchor))
    end
  end

  # @return [Array<Array(String, String, String)>] the pages, where each link leads, and the anchor, if there is one
  def links(pages)
    pages.flat_map do |page, html|
      html.scan(/\b(?:href|src)="(?!\w+:|#")([^"#?]*)(?:\?[^"#]*)?(?:#([^"]+))?"/).uniq.map do |path, anchor|
        target = path.empty? ? page : File.expand_path(plain(path), "/#{File.dirname(page)}")[1..]
        [page, target, anchor && plain(anchor)]
      end
    end
  end

  # The path or anchor that a link names. A plus stands for itself.
  def plain(link) = URI.decode_www_form_component(unescape(link).gsub("+", "%2B"))

  def unescape(html) = html.gsub(/&(?:amp|lt|gt|quot|#39);/, ENTITIES)
end
