// SPDX-License-Identifier: GPL-2.0-only
//
// Which text of the metrics a reader over HTTP gets: what its headers Accept and Accept-Encoding ask for (RFC 9110,
// section 12.5).
#pragma once

#include "host/control/metrics.hpp"

#include <string_view>

namespace scxhost {

// OpenMetrics for who asks for its version 1.0.0 by name and wants nothing else more; else Prometheus' text, also for
// who accepts neither: what cannot be read helps a person more than a refusal.
[[nodiscard]] MetricsFormat wanted_format(std::string_view accept);
// For the header Content-Type.
[[nodiscard]] std::string_view content_type(MetricsFormat format);
// Whether the header Accept-Encoding names gzip.
[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding);

} // namespace scxhost
