// SPDX-License-Identifier: GPL-2.0-only
#include "host/exporter/negotiation.hpp"

#include <gtest/gtest.h>

namespace scxhost {
namespace {

TEST(Negotiation, WhatReadersAskFor) {
    const struct {
        const char* description;
        const char* accept;
        MetricsFormat format;
    } cases[] = {
        {"nothing", "", MetricsFormat::kPrometheus},
        {"anything, as curl", "*/*", MetricsFormat::kPrometheus},
        {"a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", MetricsFormat::kPrometheus},
        {"Prometheus 2.42",
         "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         MetricsFormat::kOpenMetrics},
        {"Prometheus 3",
         "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
         "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
         "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
         MetricsFormat::kOpenMetrics},
        {"Prometheus that wants its own text",
         "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,*/*;q=0.1",
         MetricsFormat::kPrometheus},
        {"by its name alone", "application/openmetrics-text", MetricsFormat::kOpenMetrics},
        {"in other letters, with blanks", " Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.9 , text/plain ; q=0.5",
         MetricsFormat::kOpenMetrics},
        {"both alike", "text/plain, application/openmetrics-text", MetricsFormat::kOpenMetrics},
        {"the more exact range counts", "application/openmetrics-text;q=0.3, */*;q=0.9", MetricsFormat::kPrometheus},
        {"an older version alone", "application/openmetrics-text;version=0.0.1", MetricsFormat::kPrometheus},
        {"all of its kind is not by name", "application/*, text/plain;q=0.1", MetricsFormat::kPrometheus},
        {"not this one", "application/openmetrics-text;q=0, text/plain", MetricsFormat::kPrometheus},
        {"neither", "application/json", MetricsFormat::kPrometheus},
        {"what makes no sense is passed over", "application/openmetrics-text;q=x, ;;,=,\",text/plain;q=0.1",
         MetricsFormat::kPrometheus},
        {"more than all", "application/openmetrics-text;q=7", MetricsFormat::kPrometheus},
    };
    for (const auto& test : cases)
        EXPECT_EQ(wanted_format(test.accept), test.format) << test.description;
}

TEST(Negotiation, WhoTakesGzip) {
    for (const char* yes : {"gzip", "deflate, GZip;q=0.5", "gzip;q=1.0, *;q=0"})
        EXPECT_TRUE(accepts_gzip(yes)) << yes;
    for (const char* no : {"", "identity", "gzip;q=0", "gzipped", "*;q=0", "br, ;;,"})
        EXPECT_FALSE(accepts_gzip(no)) << no;
}

} // namespace
} // namespace scxhost
