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
  ROW = /^\|.*/
  CODE = /`([^`]+)`/
  MARK = /\u{E000}(\d+)\u{E001}/

  # @param heading [String] HTML
  # @return [String] the anchor that GitHub gives to it
  def self.anchor(heading)
    heading.gsub(/<[^>]+>|&\w+;/, "").downcase.gsub(/[^\p{Word}\- ]/, "").tr(" ", "-")
  end

  # @param text [String] Markdown
  # @return [String] HTML
  def html_markup_markdown(text)
    linked = text.gsub(LINK) { "](file.#{$LAST_MATCH_INFO[:name]}.html#{$LAST_MATCH_INFO[:anchor]})" }
    with_code_in_tables(linked.gsub(PICTURE, "](")) { |marked| super(marked) }.gsub(HEADING) do
      level, heading = $LAST_MATCH_INFO.captures
      # Newer versions of RDoc link a heading to the name that they give to it.
      heading = heading.gsub(%r{</?(?:a|span)\b[^>]*>|&para;|&uarr;}, "").strip
      %(<h#{level} id="#{GuideLinks.anchor(heading)}">#{heading}</h#{level}>)
    end
  end

  private

  # RDoc does not render code in the cells of tables: it gets marks, which become code afterwards.
  def with_code_in_tables(text)
    codes = []
    marked = text.gsub(ROW) do |row|
      row.gsub(CODE) do
        codes << $LAST_MATCH_INFO[1].gsub("\\|", "|")
        "\u{E000}#{codes.size - 1}\u{E001}"
      end
    end
    yield(marked).gsub(MARK) { "<code>#{h(codes[$LAST_MATCH_INFO[1].to_i])}</code>" }
  end
end
YARD::Templates::Template.extra_includes << GuideLinks
