// SPDX-License-Identifier: GPL-2.0-only
//
// write_manual DOCS DATE FOLDER: a tool of the build, which writes the manual's pages into FOLDER/man1, man5 and man7.
#include "host/cli/command.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/exporter/command.hpp"
#include "host/manual/manual.hpp"

#include <CLI/CLI.hpp>

#include <fstream>

namespace scxhost {
namespace {

Result<> write_manual(const ManualSources& sources, const std::filesystem::path& folder) {
    CLI::App app;
    std::function<CommandResult()> chosen;
    add_commands({app, chosen});
    CLI::App exporter;
    const auto arguments = add_exporter(exporter);
    std::error_code error;
    // Pages of commands that are gone.
    for (const char* section : {"man1", "man5", "man7"})
        std::filesystem::remove_all(folder / section, error);
    for (const ManualPage& page : SCXHOST_TRY(manual_pages({&app, &exporter}, sources))) {
        const std::filesystem::path section = folder / ("man" + std::to_string(page.section));
        std::filesystem::create_directories(section, error);
        std::ofstream file(section / page.file(), std::ios::binary);
        file << page.text << std::flush;
        if (!file)
            return fail(ErrorKind::kIo, "cannot write " + (section / page.file()).string());
    }
    return {};
}

} // namespace
} // namespace scxhost

int main(int argc, char** argv) {
    using namespace scxhost;
    const Result<> written = argc == 4 ? write_manual({.docs = argv[1], .date = argv[2]}, argv[3])
                                       : Result<>(fail(ErrorKind::kUsage, "usage: write_manual DOCS DATE FOLDER"));
    if (!written)
        print_diagnostic(Severity::kError, written.error());
    return written ? 0 : 1;
}
