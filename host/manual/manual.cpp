// SPDX-License-Identifier: GPL-2.0-only
#include "host/manual/manual.hpp"

#include "host/base/regular_file.hpp"
#include "host/base/suggest.hpp"
#include "host/cli/exit_status.hpp"
#include "host/config/config.hpp"
#include "host/manual/mdoc.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <set>
#include <utility>

namespace scxhost {
namespace {

constexpr std::size_t kMaxDocument = 1U << 20U;

// "November 27, 2026", as the language has dates.
Result<std::string> page_date(const std::string& date) {
    static constexpr std::array kMonths{"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};
    unsigned year = 0;
    unsigned month = 0;
    unsigned day = 0;
    const auto number = [&date](std::size_t at, std::size_t size, unsigned& value) {
        const char* end = date.data() + at + size;
        return std::from_chars(date.data() + at, end, value).ptr == end;
    };
    if (date.size() != 10 || date[4] != '-' || date[7] != '-' || !number(0, 4, year) || !number(5, 2, month) ||
        !number(8, 2, day) || month < 1 || month > 12)
        return fail(ErrorKind::kUsage, quote_text(date) + " is no date", "write it as 2026-01-31");
    return fmt::format("{} {}, {}", kMonths[month - 1], day, year);
}

std::string upper(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

// A description goes on behind the page's name: no capital.
std::string in_a_line(std::string text) {
    if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0)
        text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
    while (text.ends_with('.'))
        text.pop_back();
    return text;
}

// What stands below a command's options in --help, parted.
struct Footer {
    std::vector<std::string> paragraphs;
    std::string examples;
};

Footer read_footer(const std::string& text) {
    constexpr std::string_view kExamples = "Examples:\n";
    Footer footer;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find("\n\n", at), text.size());
        std::string block = text.substr(at, end - at);
        at = end + 2;
        block.erase(0, std::min(block.find_first_not_of('\n'), block.size()));
        if (block.starts_with(kExamples))
            for (std::size_t line = kExamples.size(); line < block.size();) {
                const std::size_t line_end = std::min(block.find('\n', line), block.size());
                const std::size_t first = std::min(block.find_first_not_of(' ', line), line_end);
                footer.examples += block.substr(first, line_end - first) + "\n";
                line = line_end + 1;
            }
        else if (!block.empty() && !block.starts_with("Exit status:"))
            footer.paragraphs.push_back(std::move(block));
    }
    return footer;
}

std::vector<const CLI::Option*> shown_options(const CLI::App& command, bool positional) {
    return command.get_options([positional](const CLI::Option* option) {
        return !option->get_group().empty() && option->get_positional() == positional;
    });
}

// "--set Ar KEY=VALUE" for a macro line, as the option is mostly written.
std::string option_words(const CLI::Option& option) {
    const std::string& name = option.get_lnames().empty() ? option.get_snames().front() : option.get_lnames().front();
    std::string words = (option.get_lnames().empty() ? "" : "\\-") + mdoc_argument(name);
    if (option.get_items_expected_max() > 0)
        words += " Ar " + mdoc_argument(option.get_type_name());
    return words;
}

class PageWriter {
public:
    PageWriter(const std::vector<const CLI::App*>& programs, std::string date)
        : date_(std::move(date)) {
        for (const CLI::App* program : programs)
            collect(*program, program->get_name());
        pages_.emplace("scxhost.toml", 5);
        pages_.emplace("scxhost-plugin", 7);
    }

    [[nodiscard]] ManualPage command_page(const CLI::App& command, const std::string& name) const;
    [[nodiscard]] ManualPage document_page(const std::string& name, int section, std::string_view title,
                                           std::string_view markdown) const;

private:
    void collect(const CLI::App& command, const std::string& name) {
        pages_.emplace(name, 1);
        for (const CLI::App* sub : command.get_subcommands({}))
            collect(*sub, name + "-" + sub->get_name());
    }
    [[nodiscard]] std::string head(const std::string& name, int section, std::string_view title) const;
    [[nodiscard]] std::string see_also(const std::string& but) const;

    std::string date_;
    std::set<std::pair<std::string, int>> pages_;
};

std::string PageWriter::head(const std::string& name, int section, std::string_view title) const {
    return fmt::format(".\\\" SPDX-License-Identifier: GPL-2.0-only\n"
                       ".\\\" Written by scxhost's build, from what the program knows about itself.\n"
                       ".Dd {}\n.Dt {} {}\n.Os\n.Sh NAME\n.Nm {}\n.Nd {}\n",
                       date_, upper(name), section, name, mdoc_text(title));
}

// In the order that the language wants: by section, then by name.
std::string PageWriter::see_also(const std::string& but) const {
    std::vector<std::pair<int, std::string>> others;
    for (const auto& [name, section] : pages_)
        if (name != but)
            others.emplace_back(section, name);
    std::ranges::sort(others);
    std::string out = ".Sh SEE ALSO\n";
    for (const auto& [section, name] : others)
        out += fmt::format(".Xr {} {}{}\n", name, section, name == others.back().second ? "" : " ,");
    return out;
}

std::string synopsis(const CLI::App& command) {
    std::string name;
    const CLI::App* program = &command;
    for (; program->get_parent() != nullptr; program = program->get_parent())
        name = program->get_name() + (name.empty() ? "" : " ") + name;
    std::string out = ".Sh SYNOPSIS\n.Nm " + program->get_name() + "\n";
    if (!name.empty())
        out += ".Cm " + name + "\n";
    for (const CLI::Option* option : shown_options(command, false))
        out += ".Op Fl " + option_words(*option) + "\n";
    for (const CLI::Option* option : shown_options(command, true))
        out += fmt::format("{} {}\n", option->get_required() ? ".Ar" : ".Op Ar", option->get_name(true));
    if (!command.get_subcommands({}).empty())
        out += command.get_require_subcommand_min() > 0 ? ".Ar COMMAND\n" : ".Op Ar COMMAND\n";
    return out;
}

std::string argument_list(const CLI::App& command) {
    std::string out;
    for (const CLI::Option* option : shown_options(command, true))
        out += fmt::format(".It Ar {}\n{}", option->get_name(true), mdoc_paragraph(option->get_description() + "."));
    for (const CLI::Option* option : shown_options(command, false)) {
        out += ".It ";
        for (const std::string& letter : option->get_snames())
            out += "Fl " + letter + (option->get_lnames().empty() ? "" : " , ");
        if (!option->get_lnames().empty())
            out += "Fl " + option_words(*option);
        out += "\n" + mdoc_paragraph(option->get_description() + ".");
    }
    return out.empty() ? out : ".Bl -tag -width Ds\n" + out + ".El\n";
}

std::string exit_statuses() {
    std::string out = ".Sh EXIT STATUS\n.Bl -tag -width Ds\n";
    for (const ExitStatusMeaning& one : kExitStatusMeanings)
        out += fmt::format(".It {}\n{}", static_cast<int>(one.status), mdoc_paragraph(std::string(one.meaning)));
    return out + ".El\n";
}

std::string files() {
    const Config defaults;
    const std::array<std::pair<std::string, std::string_view>, 3> places{
        std::pair("/etc/scxhost/scxhost.toml", "what the service runs"),
        std::pair(defaults.control.socket.string(), "where the running host takes commands"),
        std::pair(defaults.incidents.dir.string(), "records of schedulers that failed"),
    };
    std::string out = ".Sh FILES\n.Bl -tag -width Ds\n";
    for (const auto& [path, meaning] : places)
        out += fmt::format(".It Pa {}\n{}", mdoc_argument(path), mdoc_paragraph(meaning));
    return out + ".El\n";
}

ManualPage PageWriter::command_page(const CLI::App& command, const std::string& name) const {
    const bool is_host = command.get_parent() == nullptr && !command.get_subcommands({}).empty();
    const Footer footer = read_footer(command.get_footer());
    std::string title = command.get_description();
    if (is_host)
        title = title.substr(0, title.find(':'));
    std::string text = head(name, 1, in_a_line(title)) + synopsis(command) + ".Sh DESCRIPTION\n";
    text += mdoc_paragraph(command.get_description() + (command.get_description().ends_with('.') ? "" : "."));
    for (const std::string& paragraph : footer.paragraphs)
        text += ".Pp\n" + mdoc_paragraph(paragraph);
    text += ".Pp\nThe arguments are as follows:\n" + argument_list(command);
    if (const auto subs = command.get_subcommands({}); !subs.empty()) {
        text += ".Pp\nThe commands are as follows:\n.Bl -tag -width Ds\n";
        for (const CLI::App* sub : subs)
            text += fmt::format(".It Cm {}\n{}See\n.Xr {}-{} 1 .\n", sub->get_name(),
                                mdoc_paragraph(sub->get_description() + "."), name, sub->get_name());
        text += ".El\n";
    }
    if (is_host)
        text += files();
    text += exit_statuses();
    if (!footer.examples.empty())
        text += ".Sh EXAMPLES\n" + mdoc_literal(footer.examples);
    return {.name = name, .section = 1, .text = text + see_also(name)};
}

ManualPage PageWriter::document_page(const std::string& name, int section, std::string_view title,
                                     std::string_view markdown) const {
    std::string body = ".Sh DESCRIPTION\n" + mdoc_from_markdown(markdown);
    return {.name = name, .section = section, .text = head(name, section, title) + body + see_also(name)};
}

Result<std::string> read_document(const std::filesystem::path& path) {
    const std::vector<std::byte> bytes = SCXHOST_TRY(read_binary_file(path, kMaxDocument, "document"));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void add_command_pages(const PageWriter& writer, const CLI::App& command, const std::string& name,
                       std::vector<ManualPage>& pages) {
    pages.push_back(writer.command_page(command, name));
    for (const CLI::App* sub : command.get_subcommands({}))
        add_command_pages(writer, *sub, name + "-" + sub->get_name(), pages);
}

} // namespace

Result<std::vector<ManualPage>> manual_pages(const std::vector<const CLI::App*>& programs,
                                             const ManualSources& sources) {
    const PageWriter writer(programs, SCXHOST_TRY(page_date(sources.date)));
    std::vector<ManualPage> pages;
    for (const CLI::App* program : programs)
        add_command_pages(writer, *program, program->get_name(), pages);
    // The document's own part; the tables below it are written anew.
    const std::string configuration = SCXHOST_TRY(read_document(sources.docs / "configuration.md"));
    constexpr std::string_view kReference = "## Reference\n";
    const std::size_t reference = configuration.find(kReference);
    if (reference == std::string::npos)
        return fail(ErrorKind::kIo, "configuration.md has no line \"## Reference\"");
    pages.push_back(writer.document_page("scxhost.toml", 5, "configuration of the host of sched_ext schedulers",
                                         configuration.substr(0, reference + kReference.size()) + "\n" +
                                             config_reference_markdown()));
    pages.push_back(writer.document_page("scxhost-plugin", 7, "the contract between scxhost and its plugins",
                                         SCXHOST_TRY(read_document(sources.docs / "contract.md"))));
    return pages;
}

} // namespace scxhost
