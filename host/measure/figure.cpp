// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/figure.hpp"

#include "host/base/json_fields.hpp"

#include <nlohmann/json.hpp>

namespace scxhost {

std::string_view to_string(Better better) {
    switch (better) {
    case Better::kLower:
        return "lower";
    case Better::kHigher:
        return "higher";
    case Better::kUnknown:
        break;
    }
    return "";
}

std::string format_figures(const std::vector<Figure>& figures) {
    nlohmann::json list = nlohmann::json::array();
    for (const Figure& figure : figures)
        list.push_back({{"name", figure.name},
                        {"unit", figure.unit},
                        {"better", to_string(figure.better)},
                        {"value", figure.value}});
    return list.dump() + "\n";
}

Result<std::vector<Figure>> parse_figures(std::string_view line) {
    const nlohmann::json list = nlohmann::json::parse(line, nullptr, false);
    std::vector<Figure> figures;
    if (list.is_array())
        for (const nlohmann::json& entry : list) {
            const nlohmann::json& value = json_member(entry, "value");
            const std::string better = json_text(entry, "better");
            if (!value.is_number())
                break;
            figures.push_back({.name = json_text(entry, "name"),
                               .unit = json_text(entry, "unit"),
                               .better = better == "lower"    ? Better::kLower
                                         : better == "higher" ? Better::kHigher
                                                              : Better::kUnknown,
                               .value = value.get<double>()});
        }
    if (figures.empty() || figures.size() != list.size())
        return fail(ErrorKind::kInternal, "a built-in workload printed something else than its figures");
    return figures;
}

} // namespace scxhost
