// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/declarations.hpp"

#include "host/base/suggest.hpp"
#include "host/bpf/plain_options.hpp"
#include "host/bpf/type_walk.hpp"
#include "host/kernel/btf_types.hpp"

#include <bpf/btf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cstring>
#include <set>
#include <span>

namespace scxhost {
namespace {

constexpr std::string_view kTagPrefix = "scx.";
constexpr std::size_t kMaxPlaces = 16384; // of one statistic; a hostile object may have any number

struct KindWord {
    OptionKind kind;
    std::string_view word;
    StorageKind needs;
};

// The kinds of options, once: their word and the storage that can hold them.
constexpr std::array kKinds = {
    KindWord{OptionKind::kBool, "bool", StorageKind::kBool},
    KindWord{OptionKind::kInteger, "int", StorageKind::kInteger},
    KindWord{OptionKind::kDuration, "duration", StorageKind::kInteger},
    KindWord{OptionKind::kSize, "size", StorageKind::kInteger},
    KindWord{OptionKind::kEnum, "enum", StorageKind::kEnum},
    KindWord{OptionKind::kString, "string", StorageKind::kText},
    KindWord{OptionKind::kPid, "pid", StorageKind::kInteger},
    KindWord{OptionKind::kCpus, "cpus", StorageKind::kIntegers},
    KindWord{OptionKind::kCgroup, "cgroup", StorageKind::kInteger},
    KindWord{OptionKind::kIntegers, "ints", StorageKind::kIntegers},
};

std::string_view storage_word(StorageKind kind) {
    switch (kind) {
    case StorageKind::kBool:
        return "a bool";
    case StorageKind::kInteger:
        return "an integer";
    case StorageKind::kEnum:
        return "an enum";
    case StorageKind::kText:
        return "an array of char";
    case StorageKind::kIntegers:
        return "an array of integers";
    }
    return "?";
}

// The "scx.<name>=<value>" tags of one declaration.
class Tags {
public:
    explicit Tags(std::span<const std::string> tags) {
        for (const std::string_view tag : tags) {
            const std::size_t equals = tag.find('=');
            if (!tag.starts_with(kTagPrefix) || equals == std::string_view::npos)
                continue;
            const std::string_view key = tag.substr(kTagPrefix.size(), equals - kTagPrefix.size());
            if (key == "needs")
                needs_.emplace_back(tag.substr(equals + 1));
            else
                entries_.emplace_back(key, tag.substr(equals + 1));
        }
    }

    [[nodiscard]] bool empty() const { return entries_.empty(); }
    // Kfuncs named by "scx.needs", the one tag that may stand on any global and more than once.
    [[nodiscard]] const std::vector<std::string>& needs() const { return needs_; }
    [[nodiscard]] std::optional<std::string> find(std::string_view name) const {
        for (const auto& [key, value] : entries_)
            if (key == name)
                return std::string(value);
        return std::nullopt;
    }
    [[nodiscard]] std::string text(std::string_view name) const { return find(name).value_or(std::string()); }

    // A tag given twice or one that nobody knows is a mistake in the object, not something to guess about. Texts are
    // one line each: they end up in tables and as comments in configurations.
    [[nodiscard]] Result<> check(std::string_view owner, std::initializer_list<std::string_view> known) const {
        std::set<std::string_view> seen;
        for (const auto& [key, value] : entries_) {
            if (std::ranges::find(known, key) == known.end())
                return fail(ErrorKind::kObject,
                            fmt::format("'{}' carries the unknown tag {}{}", owner, kTagPrefix, key),
                            "the object may have been built with a newer SDK than this host's");
            if (!seen.insert(key).second)
                return fail(ErrorKind::kObject, fmt::format("'{}' carries the tag {}{} twice", owner, kTagPrefix, key));
            if (std::ranges::any_of(value, [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
                return fail(ErrorKind::kObject,
                            fmt::format("'{}' carries the tag {}{} with a control character", owner, kTagPrefix, key));
        }
        return {};
    }

private:
    std::vector<std::pair<std::string_view, std::string_view>> entries_;
    std::vector<std::string> needs_;
};

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

Result<> set_enum_words(OptionDeclaration& option, std::string_view prefix) {
    for (const auto& [name, value] : option.storage.enumerators) {
        if (!name.starts_with(prefix) || name.size() == prefix.size())
            return fail(ErrorKind::kObject, fmt::format("option '{}': enumerator {} does not start with the prefix {}",
                                                        option.key, name, prefix));
        option.words.push_back(lower(std::string_view(name).substr(prefix.size())));
    }
    if (option.words.empty())
        return fail(ErrorKind::kObject, fmt::format("option '{}': its enum has no enumerators", option.key));
    return {};
}

Result<OptionDeclaration> tagged_option(const BtfView& btf, const VariablePlace& variable, const Tags& tags) {
    SCXHOST_TRY(tags.check(variable.name, {"option", "kind", "help", "unit", "min", "max", "default", "ops", "ops_flag",
                                           "fault", "prefix"}));
    OptionDeclaration option;
    option.key = tags.text("option");
    option.help = tags.text("help");
    option.unit = tags.text("unit");
    option.min = tags.text("min");
    option.max = tags.text("max");
    option.default_enumerator = tags.text("default");
    option.ops_member = tags.text("ops");
    option.ops_flag = tags.text("ops_flag");
    option.fault = tags.find("fault").has_value();
    option.tagged = true;
    option.variable = variable;
    if (option.key.empty())
        return fail(ErrorKind::kObject,
                    fmt::format("variable '{}' is declared as an option without a key", variable.name));
    if (!is_option_key(option.key))
        return fail(ErrorKind::kObject, fmt::format("variable '{}' declares the option {}, which is no key: letters, "
                                                    "digits, '_', '-' and '.' only",
                                                    variable.name, quote_text(option.key)));
    if (!variable.is_read_only())
        return fail(ErrorKind::kObject,
                    fmt::format("option '{}': its variable '{}' is in {}, but only read-only data can be an option",
                                option.key, variable.name, variable.section),
                    "declare it 'const volatile'");

    const std::string kind = tags.text("kind");
    const auto row = std::ranges::find(kKinds, kind, &KindWord::word);
    if (row == kKinds.end())
        return fail(ErrorKind::kObject, fmt::format("option '{}' is of the unknown kind '{}'", option.key, kind));
    option.kind = row->kind;
    const std::optional<Storage> storage = btf.storage(variable.type_id);
    // A bool may be kept in an integer, where C programmers like it there.
    const bool fits = storage && (storage->kind == row->needs ||
                                  (row->kind == OptionKind::kBool && storage->kind == StorageKind::kInteger));
    if (!fits)
        return fail(ErrorKind::kObject,
                    fmt::format("option '{}' is of kind {}, which needs {}, but variable '{}' is {}", option.key, kind,
                                storage_word(row->needs), variable.name, btf.describe(variable.type_id)));
    option.storage = *storage;
    const bool is_number = storage->kind != StorageKind::kText && storage->kind != StorageKind::kIntegers;
    for (const auto& [tag, value] : {std::pair("default", &option.default_enumerator),
                                     std::pair("ops", &option.ops_member), std::pair("ops_flag", &option.ops_flag)})
        if (!value->empty() && !is_number)
            return fail(ErrorKind::kObject,
                        fmt::format("option '{}' carries the tag {}{}, which needs a number, but "
                                    "variable '{}' is {}",
                                    option.key, kTagPrefix, tag, variable.name, btf.describe(variable.type_id)));
    if (option.kind == OptionKind::kCgroup && storage->width != 8)
        return fail(ErrorKind::kObject, fmt::format("option '{}': a cgroup id needs 64 bits, variable '{}' has {}",
                                                    option.key, variable.name, storage->width * 8));
    if (option.kind == OptionKind::kDuration && option.unit.empty())
        option.unit = "ns";
    if (option.kind == OptionKind::kEnum)
        SCXHOST_TRY(set_enum_words(option, tags.text("prefix")));
    return option;
}

Result<FeatureDeclaration> feature(const BtfView& btf, const VariablePlace& variable, const Tags& tags) {
    SCXHOST_TRY(tags.check(variable.name, {"feature", "missing", "form"}));
    constexpr std::array<std::pair<std::string_view, FeatureDeclaration::What>, 3> kinds = {{
        {"kfunc:", FeatureDeclaration::What::kKfunc},
        {"enum:", FeatureDeclaration::What::kEnumerator},
        {"member:", FeatureDeclaration::What::kMember},
    }};
    const std::string text = tags.text("feature");
    const auto kind = std::ranges::find_if(kinds, [&](const auto& row) { return text.starts_with(row.first); });
    if (kind == kinds.end())
        return fail(ErrorKind::kObject,
                    fmt::format("variable '{}': '{}' names no kfunc:, enum: or member:", variable.name, text));
    const std::optional<Storage> storage = btf.storage(variable.type_id);
    if (!storage || storage->kind != StorageKind::kBool || !variable.is_read_only())
        return fail(ErrorKind::kObject, fmt::format("variable '{}' stands for a kernel feature and must be a "
                                                    "'const volatile bool'",
                                                    variable.name));
    const std::optional<std::string> form = tags.find("form");
    if (form && *form != "cid")
        return fail(ErrorKind::kObject,
                    fmt::format("variable '{}': '{}' is no form of a scheduler", variable.name, *form));
    FeatureDeclaration result{kind->second, text.substr(kind->first.size()), tags.text("missing"), variable,
                              form.has_value()};
    if (result.what == FeatureDeclaration::What::kMember && result.name.find('.') == std::string::npos)
        return fail(ErrorKind::kObject,
                    fmt::format("variable '{}': '{}' is no struct.member", variable.name, result.name));
    return result;
}

// Collects the tagged statistics of one container.
class StatisticCollector {
public:
    StatisticCollector(const BtfView& btf, TypeWalk& walk, StatisticDeclaration::Home home, std::string container,
                       std::vector<StatisticDeclaration>& out)
        : btf_(btf)
        , walk_(walk)
        , home_(home)
        , container_(std::move(container))
        , out_(out) {}

    Result<> collect(std::uint32_t type_id, std::uint32_t offset) {
        return walk_.walk({.path = {}, .type_id = type_id, .offset = offset},
                          [this](const TypePlace& place, const ResolvedType& type) -> Result<WalkOn> {
                              if (place.member >= 0) {
                                  const Tags tags(btf_.tags(place.struct_id, place.member));
                                  if (tags.find("stat")) {
                                      SCXHOST_TRY(add(place, tags));
                                      return WalkOn::kNowhere;
                                  }
                              }
                              if (!btf_is_array(type.type))
                                  return WalkOn::kIntoParts;
                              if (!SCXHOST_TRY(contains_statistics(place.type_id)))
                                  return WalkOn::kNowhere;
                              if (btf_array(type.type)->nelems > kMaxPlaces)
                                  return too_many();
                              return WalkOn::kIntoParts;
                          });
    }

private:
    static std::unexpected<Error> too_many() {
        return fail(ErrorKind::kObject, "the object declares more statistics than this host reads");
    }

    // Keeps large arrays of plain data from being walked element by element.
    Result<bool> contains_statistics(std::uint32_t type_id) {
        bool found = false;
        SCXHOST_TRY(walk_.walk({.path = {}, .type_id = type_id},
                               [&](const TypePlace&, const ResolvedType& type) -> Result<WalkOn> {
                                   found = found || (btf_is_struct(type.type) && btf_.has_member_tags(type.id));
                                   return found ? WalkOn::kNowhere : WalkOn::kIntoFirstElement;
                               }));
        return found;
    }

    Result<> add(const TypePlace& place, const Tags& tags) {
        const std::string member(btf_member_at(btf_.raw(), btf__type_by_id(btf_.raw(), place.struct_id),
                                               static_cast<std::uint32_t>(place.member))
                                     .name);
        SCXHOST_TRY(tags.check(member, {"stat", "help", "unit", "name", "fold", "group", "key"}));
        const std::optional<Storage> storage = btf_.storage(place.type_id);
        const bool is_number = storage && !place.is_bit_field &&
                               (storage->kind == StorageKind::kInteger || storage->kind == StorageKind::kIntegers ||
                                storage->kind == StorageKind::kBool);
        const std::string name = tags.find("name").value_or(member);
        if (!is_number)
            return fail(ErrorKind::kObject,
                        fmt::format("statistic '{}' must be an integer, but it is {}", name,
                                    place.is_bit_field ? "a bit field" : btf_.describe(place.type_id)));

        StatisticDeclaration statistic{.name = name,
                                       .kind = StatisticKind::kCounter,
                                       .help = tags.text("help"),
                                       .unit = tags.text("unit"),
                                       .group = tags.text("group"),
                                       .fold = Fold::kSum,
                                       .home = home_,
                                       .container = container_,
                                       .offsets = {},
                                       .width = storage->width,
                                       .is_signed = storage->is_signed};
        const std::string kind = tags.text("stat");
        if (kind == "gauge")
            statistic.kind = StatisticKind::kGauge;
        else if (kind != "counter")
            return fail(ErrorKind::kObject, fmt::format("statistic '{}' is of the unknown kind '{}'", name, kind));
        constexpr std::array<std::pair<std::string_view, Fold>, 4> folds = {
            {{"sum", Fold::kSum}, {"max", Fold::kMax}, {"min", Fold::kMin}, {"avg", Fold::kAverage}}};
        const std::string fold = tags.find("fold").value_or("sum");
        const auto row = std::ranges::find_if(folds, [&](const auto& r) { return r.first == fold; });
        if (row == folds.end())
            return fail(ErrorKind::kObject, fmt::format("statistic '{}' has the unknown fold '{}'", name, fold));
        statistic.fold = row->second;
        statistic.key = tags.find("key").has_value();

        auto found = std::ranges::find_if(
            out_, [&](const StatisticDeclaration& s) { return s.name == name && s.container == container_; });
        if (found == out_.end()) {
            if (out_.size() >= kMaxDeclarations)
                return too_many();
            out_.push_back(std::move(statistic));
            found = std::prev(out_.end());
        } else if (found->kind != statistic.kind || found->fold != statistic.fold || found->width != statistic.width ||
                   found->is_signed != statistic.is_signed) {
            // The places of one statistic are read and folded alike.
            return fail(ErrorKind::kObject,
                        fmt::format("statistic '{}' is declared twice in {}, in different ways", name, container_));
        }
        const std::uint32_t count = storage->kind == StorageKind::kIntegers ? storage->count : 1;
        if (count > kMaxPlaces - std::min(found->offsets.size(), kMaxPlaces))
            return too_many();
        for (std::uint32_t i = 0; i < count; ++i)
            found->offsets.push_back(place.offset + i * storage->width);
        return {};
    }

    const BtfView& btf_;
    TypeWalk& walk_;
    StatisticDeclaration::Home home_;
    std::string container_;
    std::vector<StatisticDeclaration>& out_;
};

// The exit record, recognised by its members, as schedulers by convention have it.
std::optional<ExitRecordPlace> exit_record(const BtfView& btf, const VariablePlace& variable) {
    const std::optional<ResolvedType> type = btf.resolve(variable.type_id);
    if (!type || !btf_is_struct(type->type) || variable.is_read_only())
        return std::nullopt;
    ExitRecordPlace record;
    int found = 0;
    for (std::uint32_t i = 0; i < btf_vlen(type->type); ++i) {
        const BtfMember member = btf_member_at(btf.raw(), type->type, i);
        const std::string_view name = member.name;
        const std::uint32_t offset = variable.offset + member.offset;
        const std::optional<Storage> storage = btf.storage(member.type_id);
        if (!storage)
            continue;
        const bool is_text = storage->kind == StorageKind::kText;
        const bool is_integer = storage->kind == StorageKind::kInteger;
        if (name == "kind" && (is_integer || storage->kind == StorageKind::kEnum) && storage->width == 4) {
            record.kind_offset = offset;
            ++found;
        } else if (name == "exit_code" && is_integer && storage->width == 8) {
            record.exit_code_offset = offset;
            ++found;
        } else if (name == "reason" && is_text) {
            record.reason_offset = offset;
            record.reason_size = storage->bytes();
            ++found;
        } else if (name == "msg" && is_text) {
            record.message_offset = offset;
            record.message_size = storage->bytes();
            ++found;
        }
    }
    if (found != 4)
        return std::nullopt;
    record.variable = variable;
    for (const VariablePlace& other : btf.variables()) {
        const std::optional<Storage> storage = btf.storage(other.type_id);
        if (other.name == variable.name + "_dump" && storage && storage->kind == StorageKind::kText &&
            other.section.starts_with(".data.") && other.offset == 0)
            record.dump = other;
        else if (other.name == variable.name + "_dump_len" && storage && storage->bytes() == 4 && other.is_read_only())
            record.dump_length = other;
    }
    return record;
}

} // namespace

bool is_option_key(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
    });
}

OptionKind plain_kind(StorageKind storage) {
    // The first kind of a storage in the table is its plain form; arrays of integers have none before kCpus.
    return storage == StorageKind::kIntegers ? OptionKind::kIntegers
                                             : std::ranges::find(kKinds, storage, &KindWord::needs)->kind;
}

Error too_many_options() {
    return {.kind = ErrorKind::kObject, .what = "the object declares more options than this host reads"};
}

std::string_view to_string(OptionKind kind) {
    return std::ranges::find(kKinds, kind, &KindWord::kind)->word;
}

std::string_view to_string(StatisticKind kind) {
    return kind == StatisticKind::kCounter ? "counter" : "gauge";
}

std::string_view kernel_enumerator(const VariablePlace& variable) {
    constexpr std::string_view prefix = "__SCX_";
    if (!variable.name.starts_with(prefix) || !variable.is_read_only() || variable.size != sizeof(std::uint64_t))
        return {};
    return std::string_view(variable.name).substr(2);
}

const FeatureDeclaration* Declarations::form_feature() const {
    const auto found = std::ranges::find(features, true, &FeatureDeclaration::chooses_cid_form);
    return found == features.end() ? nullptr : &*found;
}

const OptionDeclaration* Declarations::find_option(std::string_view key) const {
    const auto found = std::ranges::find(options, key, &OptionDeclaration::key);
    return found == options.end() ? nullptr : &*found;
}

Result<Declarations> read_declarations(const BtfView& btf, const std::vector<PerCpuMapType>& per_cpu_maps) {
    Declarations result;
    std::vector<OptionDeclaration> plain;
    TypeWalk walk(
        btf, kMaxTypeSteps,
        {.kind = ErrorKind::kObject, .what = "the types of the object's variables are nested too widely to be read"});
    for (const VariablePlace& variable : btf.variables()) {
        const Tags tags(btf.tags(variable.var_id));
        result.needed_kfuncs.insert(result.needed_kfuncs.end(), tags.needs().begin(), tags.needs().end());
        if (tags.find("option")) {
            OptionDeclaration option = SCXHOST_TRY(tagged_option(btf, variable, tags));
            if (result.find_option(option.key) != nullptr)
                return fail(ErrorKind::kObject, fmt::format("option '{}' is declared twice", option.key));
            result.options.push_back(std::move(option));
        } else if (tags.find("feature")) {
            result.features.push_back(SCXHOST_TRY(feature(btf, variable, tags)));
        } else if (!tags.empty()) {
            return fail(ErrorKind::kObject,
                        fmt::format("variable '{}' carries scx tags but is no option and no feature", variable.name));
        } else if (variable.is_read_only() && kernel_enumerator(variable).empty()) {
            SCXHOST_TRY(add_plain_options(btf, walk, variable, plain));
        }

        const bool in_arena = variable.section == kArenaSection;
        if (in_arena || variable.section.starts_with(".bss") || variable.section.starts_with(".data")) {
            const auto home = in_arena ? StatisticDeclaration::Home::kArena : StatisticDeclaration::Home::kGlobal;
            SCXHOST_TRY(StatisticCollector(btf, walk, home, variable.section, result.statistics)
                            .collect(variable.type_id, variable.offset));
        }
        if (!result.exit_record)
            result.exit_record = exit_record(btf, variable);
        if (result.options.size() > kMaxDeclarations)
            return fail(too_many_options());
    }
    for (const PerCpuMapType& map : per_cpu_maps)
        if (map.value_type_id != 0)
            SCXHOST_TRY(
                StatisticCollector(btf, walk, StatisticDeclaration::Home::kPerCpuMap, map.name, result.statistics)
                    .collect(map.value_type_id, 0));
    // Plain variables are options only of an object that declares none: a policy's author decides what is offered.
    if (result.options.empty()) {
        drop_ambiguous_options(plain);
        result.options = std::move(plain);
    }
    if (result.exit_record && result.exit_record->dump_length)
        std::erase_if(result.options, [&](const OptionDeclaration& option) {
            return option.variable.var_id == result.exit_record->dump_length->var_id;
        });
    return result;
}

std::optional<ExitRecordPlace> find_exit_record(const BtfView& btf) {
    for (const VariablePlace& variable : btf.variables())
        if (std::optional<ExitRecordPlace> record = exit_record(btf, variable))
            return record;
    return std::nullopt;
}

std::optional<ExitReport> read_exit_report(const ExitRecordPlace& place, std::span<const std::byte> section,
                                           std::span<const std::byte> dump) {
    const std::size_t size = section.size();
    const auto until_zero = [](std::span<const std::byte> bytes, std::size_t limit) {
        const char* begin = reinterpret_cast<const char*>(bytes.data());
        return std::string(begin, ::strnlen(begin, std::min(bytes.size(), limit)));
    };
    const auto text = [&](std::uint32_t offset, std::uint32_t bytes) {
        return offset > size || bytes > size - offset ? std::string()
                                                      : until_zero(section.subspan(offset, bytes), kMaxExitText);
    };
    if (place.kind_offset + sizeof(std::uint32_t) > size || place.exit_code_offset + sizeof(std::int64_t) > size)
        return std::nullopt;

    ExitReport report;
    // The BPF side writes the kind last; what is read after it belongs to it.
    std::memcpy(&report.kind, section.data() + place.kind_offset, sizeof report.kind);
    std::atomic_thread_fence(std::memory_order_acquire);
    std::memcpy(&report.exit_code, section.data() + place.exit_code_offset, sizeof report.exit_code);
    report.reason = text(place.reason_offset, place.reason_size);
    report.message = text(place.message_offset, place.message_size);
    if (report.left() && !dump.empty())
        report.dump = until_zero(dump, kMaxExitDump);
    return report;
}

} // namespace scxhost
