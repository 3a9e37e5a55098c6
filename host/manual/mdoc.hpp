// SPDX-License-Identifier: GPL-2.0-only
//
// Manual pages in mdoc(7), the language that man(1) of every system reads: texts made safe for it, and the project's
// own Markdown turned into it.
#pragma once

#include <string>
#include <string_view>

namespace scxhost {

// A text for a line of running text, or for an argument of a macro: no character of it means anything to the formatter.
[[nodiscard]] std::string mdoc_text(std::string_view text);
[[nodiscard]] std::string mdoc_argument(std::string_view text); // as one, quoted where it is needed

// Running text in lines of its own, a sentence each at least, as the language wants it. `in_markdown`: `code`, **bold**
// and [links](…) of Markdown become fonts. Ends with a newline; empty for an empty text.
[[nodiscard]] std::string mdoc_paragraph(std::string_view text, bool in_markdown = false);

// Lines as they are, such as examples.
[[nodiscard]] std::string mdoc_literal(std::string_view lines);

// A document in the Markdown of docs/, for the inside of a section: headings from the second level on become
// subsections, tables lists with the first column as their tags. The title and comments are left out.
[[nodiscard]] std::string mdoc_from_markdown(std::string_view document);

} // namespace scxhost
