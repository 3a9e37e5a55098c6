// SPDX-License-Identifier: GPL-2.0-only
//
// The host's metrics as monitoring systems read them, made of the answer to the control socket's method `metrics`.
// docs/control.md has the list of them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace scxhost {

enum class MetricsFormat {
    kOpenMetrics, // version 1.0.0: https://prometheus.io/docs/specs/om/open_metrics_spec/
    kPrometheus,  // the text format 0.0.4 of Prometheus, which has fewer types
};
inline constexpr std::array<std::string_view, 2> kMetricsFormats = {"openmetrics", "prometheus"};
[[nodiscard]] std::optional<MetricsFormat> metrics_format(std::string_view word);

// What another version of the host does not say is left out.
[[nodiscard]] std::string metrics_text(const nlohmann::json& answer, MetricsFormat format);

} // namespace scxhost
