// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/verifier_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

namespace scxhost {
namespace {

constexpr std::size_t kExcerptLines = 48;

struct Diagnosis {
    std::string_view pattern;
    std::string_view meaning;
};

// What the commonest refusals mean for the author of a policy. The first match from the top counts.
constexpr std::array kDiagnoses = {
    Diagnosis{"in BTF",
              "the kernel build's BTF lacks the implementation of a kfunc; `scxhost info` lists malformed kfuncs"},
    Diagnosis{"invalid mem access 'scalar'", "a number was used as a pointer: a pointer lost its type on the way"},
    Diagnosis{"addr_space_cast", "the program uses arena pointers but never references the arena map"},
    Diagnosis{"BPF program is too large", "the verifier gave up; bound the loops or split the program"},
    Diagnosis{"The sequence of", "the verifier gave up on the number of jumps; bound the loops or split the program"},
    Diagnosis{"infinite loop detected", "a loop has no bound that the verifier can see; use bpf_for() or bpf_repeat()"},
    Diagnosis{"back-edge", "a loop has no bound that the verifier can see; use bpf_for() or bpf_repeat()"},
    Diagnosis{"Unreleased reference", "something acquired (task, cpumask, lock) is not released on every path"},
    Diagnosis{"possibly NULL pointer", "a pointer that may be NULL was used without a check"},
    Diagnosis{"mem_or_null", "a pointer that may be NULL was used without a check"},
    Diagnosis{"map_value_or_null", "the result of a map lookup was used without a NULL check"},
    Diagnosis{"ptr_or_null", "a pointer that may be NULL was used without a check"},
    Diagnosis{"outside of the allowed memory range", "an index is not checked against the array's size"},
    Diagnosis{"invalid access to map value", "an index is not checked against the array's size"},
    Diagnosis{"unbounded memory access", "an index or size has no upper bound that the verifier can see"},
    Diagnosis{"math between", "the offset added to a pointer has no bounds that the verifier can see; check it first"},
    Diagnosis{"calling kernel function", "this kfunc may not be called from this kind of program or callback here"},
    Diagnosis{"sleepable", "a function that may sleep was called from a callback that may not"},
    Diagnosis{"combined stack size", "the functions' local variables exceed 512 bytes of stack"},
    Diagnosis{"stack frame", "local variables exceed 512 bytes of stack"},
};

// The verifier's own hint knows nothing of it. Seen with clang 19 and, on the same source, not with clang 22.
constexpr std::string_view kScalarArenaPointer =
    "in a program that uses an arena the known cause is the compiler: clang 19 may keep an arena pointer in its uncast "
    "form and use that; read the pointer anew before the access, keep the function small, or compile with a newer "
    "clang. "
    "The other cause is a program that never names the arena map";

constexpr std::string_view kLockedDown = "this kernel is locked down (lockdown=confidentiality): BPF programs may not "
                                         "read kernel memory by address, as most "
                                         "policies do to copy the exit message";

std::string diagnose(std::string_view reason) {
    const auto row = std::ranges::find_if(
        kDiagnoses, [&](const Diagnosis& known) { return reason.find(known.pattern) != std::string_view::npos; });
    return row == kDiagnoses.end() ? std::string() : std::string(row->meaning);
}

std::vector<std::string_view> split_lines(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        lines.push_back(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    return lines;
}

bool is_bookkeeping(std::string_view line) {
    return line.empty() || line.starts_with("processed ") || line.starts_with("verification time") ||
           line.starts_with("stack depth") || line.starts_with("peak_states");
}

// From 7.3 the verifier explains itself: after its classic verdict comes "Verification failed: ", where and why, and a
// block headed "Suggestion:".
constexpr std::string_view kExplanation = "Verification failed:";
constexpr std::string_view kSuggestion = "Suggestion:";

// The last line before the explanation or, on kernels without one, before the statistics.
std::string verdict(const std::vector<std::string_view>& lines) {
    const auto end = std::ranges::find_if(lines, [](std::string_view line) { return line.starts_with(kExplanation); });
    for (auto line = std::make_reverse_iterator(end); line != lines.rend(); ++line)
        if (!is_bookkeeping(*line))
            return std::string(*line);
    return {};
}

// The verifier's own advice, as one line; empty where it gives none.
std::string suggestion(const std::vector<std::string_view>& lines) {
    std::string result;
    auto line = std::ranges::find(lines, kSuggestion);
    if (line == lines.end())
        return result;
    for (++line; line != lines.end() && line->starts_with("  "); ++line)
        result += (result.empty() ? "" : " ") + std::string(line->substr(line->find_first_not_of(' ')));
    return result;
}

// "libbpf: map 'NAME': failed to create: -EINVAL": the map's name; empty when that is not what failed.
std::string_view uncreated_map(std::string_view log) {
    constexpr std::string_view before = "map '";
    const std::size_t end = log.find("': failed to create");
    const std::size_t start = end == std::string_view::npos ? end : log.rfind(before, end);
    return start == std::string_view::npos ? std::string_view()
                                           : log.substr(start + before.size(), end - start - before.size());
}

} // namespace

VerifierRefusal parse_load_log(std::string_view log, bool has_arena) {
    constexpr std::string_view begin_mark = "-- BEGIN PROG LOAD LOG --";
    constexpr std::string_view end_mark = "-- END PROG LOAD LOG --";
    VerifierRefusal result;
    const std::size_t begin = log.find(begin_mark);
    if (begin == std::string_view::npos)
        return result;

    // "libbpf: prog 'NAME': -- BEGIN PROG LOAD LOG --"
    const std::size_t line_start = log.rfind('\n', begin) == std::string_view::npos ? 0 : log.rfind('\n', begin) + 1;
    const std::string_view head = log.substr(line_start, begin - line_start);
    const std::size_t open = head.find('\'');
    const std::size_t close = head.rfind('\'');
    if (open != std::string_view::npos && close > open)
        result.program = head.substr(open + 1, close - open - 1);
    if (result.program.empty())
        result.program = "?";

    std::string_view body = log.substr(begin + begin_mark.size());
    if (const std::size_t end = body.find(end_mark); end != std::string_view::npos)
        body = body.substr(0, body.rfind('\n', end));
    if (body.starts_with('\n'))
        body.remove_prefix(1);
    const std::vector<std::string_view> lines = split_lines(body);

    result.reason = verdict(lines);
    // The verifier cannot know that a helper which every policy may call is refused for a reason outside the program.
    if (result.reason.find("cannot use helper bpf_probe_read") != std::string::npos)
        result.diagnosis = kLockedDown;
    else if (result.diagnosis = suggestion(lines); result.diagnosis.empty())
        result.diagnosis = diagnose(result.reason);
    if (has_arena && result.reason.find("invalid mem access 'scalar'") != std::string::npos)
        result.diagnosis += fmt::format("{}{}", result.diagnosis.ends_with('.') ? " " : "; ", kScalarArenaPointer);
    const std::size_t first = lines.size() > kExcerptLines ? lines.size() - kExcerptLines : 0;
    if (first > 0)
        result.excerpt = fmt::format("… {} earlier lines\n", first);
    for (std::size_t i = first; i < lines.size(); ++i)
        result.excerpt += fmt::format("{}\n", lines[i]);
    return result;
}

Error load_error(std::string_view object_name, int sys_errno, std::string_view log, bool has_arena) {
    VerifierRefusal refusal = parse_load_log(log, has_arena);
    if (!refusal.program.empty())
        return {.kind = ErrorKind::kVerifier,
                .what = fmt::format("the kernel's verifier refused program '{}' of '{}': {}", refusal.program,
                                    object_name, refusal.reason),
                .hint = std::move(refusal.diagnosis),
                .sys_errno = sys_errno,
                .detail = std::move(refusal.excerpt)};
    const std::string_view map = uncreated_map(log);
    Error error{.kind = ErrorKind::kAttach,
                .what = fmt::format("cannot load '{}' into the kernel{}: {}", object_name,
                                    map.empty() ? "" : fmt::format(", which refuses its map '{}'", map),
                                    error_number_text(sys_errno)),
                .sys_errno = sys_errno,
                .detail = std::string(log)};
    switch (sys_errno) {
    case EPERM:
    case EACCES:
        error.kind = ErrorKind::kPermission;
        error.hint = "run as root, or with CAP_BPF and CAP_PERFMON";
        break;
    case ENOMEM:
        error.hint = "the kernel has no memory for the maps or programs; lower the scheduler's size options";
        break;
    case E2BIG:
        error.hint = "an option asks for a map larger than the kernel allows";
        break;
    case ESRCH:
    case ENOENT:
    case EINVAL:
    case ENOTSUP:
        error.kind = ErrorKind::kUnsupported;
        error.hint =
            map.empty()
                ? "this kernel lacks or rejects something that the object needs, see above; `scxhost info` lists "
                  "what this kernel can do"
                : "this kernel lacks the type or a flag of this map, or its sizes are impossible; `scxhost info` "
                  "lists what this kernel can do";
        break;
    default:
        break;
    }
    return error;
}

} // namespace scxhost
