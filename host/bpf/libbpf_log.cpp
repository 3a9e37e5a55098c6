// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/libbpf_log.hpp"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <string_view>
#include <vector>

namespace scxhost {
namespace {

// A verifier log can reach megabytes; the cause stands at its end, the program's name at the start.
constexpr std::size_t kHeadBytes = 16U << 10U;
constexpr std::size_t kTailBytes = 256U << 10U;

thread_local LibbpfLog* current = nullptr;

__attribute__((format(printf, 2, 0))) int print(libbpf_print_level level, const char* format, va_list arguments) {
    if (current == nullptr || level == LIBBPF_DEBUG || level == LIBBPF_INFO)
        return 0;
    va_list copy;
    va_copy(copy, arguments);
    const int needed = std::vsnprintf(nullptr, 0, format, copy);
    va_end(copy);
    if (needed <= 0)
        return needed;
    std::vector<char> buffer(static_cast<std::size_t>(needed) + 1);
    std::vsnprintf(buffer.data(), buffer.size(), format, arguments);
    current->append({buffer.data(), static_cast<std::size_t>(needed)});
    return needed;
}

} // namespace

LibbpfLog::LibbpfLog()
    : outer_(current) {
    // Once for the process, whichever thread comes first.
    [[maybe_unused]] static const bool installed = (libbpf_set_print(print), true);
    current = this;
}

LibbpfLog::~LibbpfLog() {
    current = outer_;
}

void LibbpfLog::append(std::string_view text) {
    const std::size_t room = kHeadBytes - std::min(head_.size(), kHeadBytes);
    head_ += text.substr(0, room);
    text.remove_prefix(std::min(room, text.size()));
    tail_ += text;
    if (tail_.size() > 2 * kTailBytes)
        tail_.erase(0, tail_.size() - kTailBytes);
}

std::string LibbpfLog::text() const {
    return head_ + tail_;
}

std::string LibbpfLog::last_line() const {
    std::string all = text();
    while (!all.empty() && all.back() == '\n')
        all.pop_back();
    const std::size_t newline = all.rfind('\n');
    std::string line = newline == std::string::npos ? all : all.substr(newline + 1);
    constexpr std::string_view prefix = "libbpf: ";
    if (line.starts_with(prefix))
        line.erase(0, prefix.size());
    return line;
}

} // namespace scxhost
