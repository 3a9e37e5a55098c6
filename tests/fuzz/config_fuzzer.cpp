// SPDX-License-Identifier: GPL-2.0-only
//
// Any text is either a configuration or an error with a place: nothing crashes, and no exception comes out.
#include "host/config/config.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    auto config = scxhost::parse_config(text, "fuzz.toml");
    if (!config) {
        if (config.error().what.empty() || !config.error().where || config.error().where->file != "fuzz.toml")
            std::abort();
        return 0;
    }
    if (config->scheduler.plugin.empty() == config->scheduler.object.empty())
        std::abort(); // exactly one is set

    // The first line once more as a command-line setting, and each option through every accessor.
    (void)scxhost::apply_override(*config, text.substr(0, text.find('\n')));
    for (const scxhost::Setting& option : config->scheduler.options) {
        (void)option.as_bool();
        (void)option.as_integer();
        (void)option.as_duration();
        (void)option.as_size();
        (void)option.as_string();
        (void)option.as_array();
        if (scxhost::format_value(option.value).empty())
            std::abort();
    }
    return 0;
}
