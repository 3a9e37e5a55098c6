// SPDX-License-Identifier: GPL-2.0-only
#include "host/exporter/negotiation.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

namespace scxhost {
namespace {

struct Offer {
    MetricsFormat format;
    std::string_view type;
    std::string_view version;
    std::string_view content_type;
};

constexpr std::array kOffers{
    Offer{MetricsFormat::kOpenMetrics, "application/openmetrics-text", "1.0.0",
          "application/openmetrics-text; version=1.0.0; charset=utf-8"},
    Offer{MetricsFormat::kPrometheus, "text/plain", "0.0.4", "text/plain; version=0.0.4; charset=utf-8"},
};

constexpr const Offer& offer_of(MetricsFormat format) {
    return *std::ranges::find(kOffers, format, &Offer::format);
}

// The part before `separator`, without blanks around it and in small letters; `text` goes on behind it.
std::string take_part(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    constexpr std::string_view kBlanks = " \t";
    part.remove_prefix(std::min(part.find_first_not_of(kBlanks), part.size()));
    part.remove_suffix(part.size() - std::min(part.find_last_not_of(kBlanks) + 1, part.size()));
    std::string lower(part);
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    return lower;
}

// One of the kinds of content, or of codings, that the reader accepts.
struct Range {
    std::string type;
    std::string version; // empty: any
    double quality = 1;
};

// nullopt: it makes no sense, and is passed over.
std::optional<Range> read_range(std::string_view text) {
    Range range{.type = take_part(text, ';'), .version = {}};
    while (!text.empty()) {
        const std::string parameter = take_part(text, ';');
        std::string_view value = parameter;
        const std::string name = take_part(value, '=');
        if (name == "version")
            range.version = value;
        if (name != "q")
            continue;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), range.quality);
        if (error != std::errc() || end != value.data() + value.size() || !(range.quality >= 0 && range.quality <= 1))
            return std::nullopt;
    }
    return range;
}

// The more exactly a range names the offer, the more it counts; 0: it does not name it.
int exactness(const Range& range, const Offer& offer) {
    if (range.type == offer.type)
        return range.version.empty() || range.version == offer.version ? 3 : 0;
    if (range.type == std::string(offer.type.substr(0, offer.type.find('/'))) + "/*")
        return 2;
    return range.type == "*/*" ? 1 : 0;
}

// How exactly the offer is asked for, and how much.
std::pair<int, double> wish_for(const Offer& offer, std::string_view accept) {
    std::pair<int, double> wish(0, 0);
    while (!accept.empty())
        if (const auto range = read_range(take_part(accept, ',')))
            if (const int exact = exactness(*range, offer); exact > 0)
                wish = std::max(wish, std::pair(exact, range->quality));
    return wish;
}

} // namespace

MetricsFormat wanted_format(std::string_view accept) {
    const auto [open_exact, open_quality] = wish_for(offer_of(MetricsFormat::kOpenMetrics), accept);
    const auto [text_exact, text_quality] = wish_for(offer_of(MetricsFormat::kPrometheus), accept);
    const bool by_name = open_exact == 3 && open_quality > 0;
    return by_name && open_quality >= text_quality ? MetricsFormat::kOpenMetrics : MetricsFormat::kPrometheus;
}

std::string_view content_type(MetricsFormat format) {
    return offer_of(format).content_type;
}

bool accepts_gzip(std::string_view accept_encoding) {
    while (!accept_encoding.empty())
        if (const auto coding = read_range(take_part(accept_encoding, ',')); coding && coding->type == "gzip")
            return coding->quality > 0;
    return false;
}

} // namespace scxhost
