// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost metrics`: what a monitoring system wants to know of the running host.
#include "host/control/metrics.hpp"

#include "host/cli/control.hpp"
#include "host/cli/standard_output.hpp"

#include <CLI/CLI.hpp>

namespace scxhost {
namespace {

struct MetricsArguments {
    ControlArguments control;
    std::string format{kMetricsFormats.front()};
};

CommandResult metrics(const MetricsArguments& arguments) {
    nlohmann::json answer = SCXHOST_TRY(ask_host(arguments.control, "metrics"));
    if (arguments.control.json) {
        answer["schema"] = kJsonSchema;
        print_json(answer);
    } else {
        print(metrics_text(answer, metrics_format(arguments.format).value_or(MetricsFormat::kOpenMetrics)));
    }
    return ExitStatus::kDone;
}

} // namespace

void add_metrics(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("metrics", "Show the running host's metrics, for monitoring systems");
    const auto arguments = std::make_shared<MetricsArguments>();
    add_control(*command, arguments->control);
    command
        ->add_option("--format", arguments->format,
                     "openmetrics, or prometheus for readers of the older text format (default: openmetrics)")
        ->type_name("FORMAT")
        ->check(
            CLI::IsMember(std::vector<std::string>(kMetricsFormats.begin(), kMetricsFormats.end())).description(""));
    command->footer(
        "\nHow the host does, the kernel's event counters, and the statistics of the scheduler that runs, in base "
        "units "
        "(seconds,\nbytes). The node exporter of Prometheus reads the older format from its folder of text files.\n\n"
        "Examples:\n  scxhost metrics\n"
        "  scxhost metrics --format prometheus | sponge /var/lib/prometheus/node-exporter/scxhost.prom");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return metrics(*arguments); }; });
}

} // namespace scxhost
