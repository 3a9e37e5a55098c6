// SPDX-License-Identifier: GPL-2.0-only
//
// What may stand in the place of an unfinished word of the command line: commands and options from the program's own
// tree of commands, and words that only the machine knows (plugins, options of the scheduler that the line names,
// branches of the running host, numbers of incident records). A shell's script (`scxhost completion SHELL`) asks for it
// at each Tab, so that every shell offers the same, and what this program takes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace scxhost {

struct Candidate {
    std::string word; // the whole word; one that ends in '=' or '.' goes on
    std::string help; // one line, may be empty
};

// Which files the shell is to offer beside the candidates; in "--object=PATH", behind the '='.
enum class OfferedFiles { kNone, kFolders, kAll, kSchedulers /* *.toml, *.o, *.so */ };

struct Completions {
    std::vector<Candidate> candidates; // those that begin as the word does
    OfferedFiles files = OfferedFiles::kNone;
};

// `words` are those behind the program's name, up to the cursor; the last one is the unfinished one, maybe empty. Reads
// files, runs no code of a plugin, and waits for a host for two seconds at most. What cannot be found out is left out:
// a Tab shows no errors.
[[nodiscard]] Completions complete(const CLI::App& root, std::span<const std::string> words);

// As the scripts read it: a line with what files are wanted ("none", "folders", "files", "schedulers"), then each
// candidate on a line, with a tab before its help.
[[nodiscard]] std::string completion_text(const Completions& completions);

// What the scripts call, with the words as arguments. No command for people: --help does not have it.
inline constexpr std::string_view kCompleteCommand = "__complete";

// The shells that there is a script for, and the script.
struct CompletionScript {
    std::string_view shell;
    std::string_view text;
};
[[nodiscard]] std::span<const CompletionScript> completion_scripts();

} // namespace scxhost
