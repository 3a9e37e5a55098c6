// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/standard_output.hpp"

#include <cerrno>
#include <cstdio>

namespace scxhost {
namespace {

int first_error = 0; // stdio keeps only that there was one

bool note(bool done) {
    if (!done && first_error == 0)
        first_error = errno != 0 ? errno : EIO;
    return done;
}

} // namespace

void print(std::string_view text) {
    errno = 0;
    note(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

bool flush_stdout() {
    errno = 0;
    return note(std::fflush(stdout) == 0) && first_error == 0 && std::ferror(stdout) == 0;
}

Result<> finish_stdout() {
    if (!flush_stdout() && first_error != EPIPE)
        return fail_errno(ErrorKind::kIo, "the output could not be written", first_error != 0 ? first_error : EIO);
    return {};
}

} // namespace scxhost
