// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/kernel_config.hpp"

#include "host/base/file_trust.hpp"
#include "host/base/regular_file.hpp"
#include "host/base/suggest.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <system_error>

namespace scxhost {
namespace {

// A full distribution's has 300 KiB of text.
constexpr std::size_t kMaxBytes = 4U << 20U;

bool is_gzip(std::span<const std::byte> bytes) {
    return bytes.size() > 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

Result<std::string> decompress(std::span<const std::byte> bytes, const std::filesystem::path& path) {
    const auto damaged = [&](std::string_view why) {
        return fail(ErrorKind::kIo, fmt::format("cannot decompress {}: {}", path.string(), why));
    };
    z_stream stream{};
    if (::inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) // 16: gzip's header
        return damaged("no memory");
    const std::unique_ptr<z_stream, decltype(&::inflateEnd)> end(&stream, &::inflateEnd);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    std::string text;
    std::array<char, 1U << 16U> buffer;
    int status = Z_OK;
    while (status == Z_OK) {
        stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
        stream.avail_out = buffer.size();
        status = ::inflate(&stream, Z_NO_FLUSH);
        text.append(buffer.data(), buffer.size() - stream.avail_out);
        if (text.size() > kMaxBytes)
            return damaged(fmt::format("it has more than {} bytes", kMaxBytes));
    }
    if (status != Z_STREAM_END)
        return damaged("it is truncated or damaged");
    return text;
}

} // namespace

std::optional<std::string_view> KernelConfig::value(std::string_view name) const {
    for (std::string_view rest = text; !rest.empty();) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == '=')
            return line.substr(name.size() + 1);
    }
    return std::nullopt;
}

std::vector<std::filesystem::path> kernel_config_places(std::string_view release) {
    return {fmt::format("/boot/config-{}", release), fmt::format("/usr/lib/modules/{}/config", release),
            fmt::format("/lib/modules/{}/config", release), "/proc/config.gz"};
}

Result<KernelConfig> find_kernel_config(const std::vector<std::filesystem::path>& places) {
    std::vector<std::string> names;
    for (const std::filesystem::path& place : places) {
        names.push_back(place.string());
        std::error_code ignored;
        if (!std::filesystem::exists(place, ignored))
            continue;
        const std::filesystem::path trusted = SCXHOST_TRY(check_trusted(place));
        const std::vector<std::byte> bytes = SCXHOST_TRY(read_binary_file(trusted, kMaxBytes, "kernel configuration"));
        std::string text = is_gzip(bytes) ? SCXHOST_TRY(decompress(bytes, place))
                                          : std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return KernelConfig{.path = place, .text = std::move(text)};
    }
    return fail(ErrorKind::kUnsupported,
                fmt::format("there is no file with this kernel's configuration: neither {}", list_words(names, "nor")),
                "install it: it is part of the distribution's kernel package; or put the one that the kernel was built "
                "with in the first of these places");
}

} // namespace scxhost
