# frozen_string_literal: true

require "English"

# YARD loads the file again for a `--load` on its command line.
return if defined?(GuideLinks)

# Loaded by .yardopts: makes the links between our Markdown files, and to their headings, work in the pages that YARD
# renders, too. YARD knows neither the paths of files nor the names that GitHub gives to headings.
module GuideLinks
  LINK = %r{\]\((?!\w+:)(?:[\w./-]*/)?(?<name>[\w.-]+)\.(?:md|txt)(?<anchor>#[^)]*)?\)}
  # Pictures are copied next to the pages: see .yardopts.
  PICTURE = %r{\]\((?:docs/)?(?=images/[\w.-]+\.png\))}
  HEADING = %r{<h([1-6])[^>]*>(.*?)</h\1>}m

  # @param heading [String] HTML
  # @return [String] the anchor that GitHub gives to it
  def self.anchor(heading)
    heading.gsub(/<[^>]+>|&\w+;/, "").downcase.gsub(/[^\p{Word}\- ]/, "").tr(" ", "-")
  end

  # @param text [String] Markdown
  # @return [String] HTML
  def html_markup_markdown(text)
    linked = text.gsub(LINK) { "](file.#{$LAST_MATCH_INFO[:name]}.html#{$LAST_MATCH_INFO[:anchor]})" }
    super(linked.gsub(PICTURE, "](")).gsub(HEADING) do
      level, heading = $LAST_MATCH_INFO.captures
      # Newer versions of RDoc link a heading to the name that they give to it.
      heading = heading.gsub(%r{</?(?:a|span)\b[^>]*>|&para;|&uarr;}, "").strip
      %(<h#{level} id="#{GuideLinks.anchor(heading)}">#{heading}</h#{level}>)
    end
  end
end
YARD::Templates::Template.extra_includes << GuideLinks
