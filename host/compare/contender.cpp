// SPDX-License-Identifier: GPL-2.0-only
#include "host/compare/contender.hpp"

#include "host/base/suggest.hpp"
#include "host/config/selection.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <system_error>

namespace scxhost {
namespace {

std::string absolute(const std::string& path) {
    std::error_code error;
    const std::filesystem::path result = std::filesystem::absolute(path, error);
    return error ? path : result.lexically_normal().string();
}

bool is_config(std::string_view what) {
    return what.ends_with(".toml");
}

Result<Contender> parse_contender(const std::string& word) {
    Contender contender{.label = word, .what = word};
    if (word == kKernelsOwn) {
        contender.what.clear();
        return contender;
    }
    if (const std::size_t at = word.rfind('@'); at != std::string::npos && is_config(word)) {
        contender.expected = word.substr(0, at);
        contender.what = word.substr(at + 1);
        if (contender.expected.empty() || contender.expected.find('/') != std::string::npos)
            return fail(ErrorKind::kUsage, fmt::format("{} has no scheduler's name before the @", quote_text(word)),
                        "name it as in simple@fast.toml; a configuration alone is named by its path");
    }
    if (contender.what.empty())
        return fail(ErrorKind::kUsage, "a scheduler's name is empty");
    if (names_a_file(contender.what) || is_config(contender.what)) {
        contender.what = absolute(contender.what);
        contender.is_program =
            !is_config(contender.what) && !contender.what.ends_with(".o") && !contender.what.ends_with(".so");
    }
    return contender;
}

} // namespace

Result<std::vector<Contender>> parse_contenders(std::span<const std::string> words) {
    std::vector<Contender> contenders;
    for (const std::string& word : words) {
        Contender contender = SCXHOST_TRY(parse_contender(word));
        if (std::ranges::find(contenders, contender.label, &Contender::label) != contenders.end())
            return fail(ErrorKind::kUsage, fmt::format("{} is named twice", quote_text(word)));
        contenders.push_back(std::move(contender));
    }
    if (contenders.size() < 2)
        return fail(ErrorKind::kUsage, "a comparison needs two schedulers at least",
                    "\"kernel\" is the kernel's own: scxhost compare kernel simple …");
    if (std::ranges::all_of(contenders, [](const Contender& one) { return one.what.empty(); }))
        return fail(ErrorKind::kUsage, "a comparison needs another scheduler besides the kernel's own");
    return contenders;
}

nlohmann::json selection_params(const Contender& contender, std::span<const std::string> plugin_dirs) {
    if (contender.is_program)
        return {{"program", contender.what}};
    nlohmann::json params = {{"what", contender.what}};
    for (const std::string& folder : plugin_dirs)
        params["plugin_dirs"].push_back(absolute(folder));
    return params;
}

std::vector<std::size_t> order_of_round(std::size_t round, std::size_t contenders) {
    std::vector<std::size_t> order(contenders);
    for (std::size_t place = 0; place < contenders; ++place)
        order[(place + round) % contenders] = place;
    return order;
}

} // namespace scxhost
