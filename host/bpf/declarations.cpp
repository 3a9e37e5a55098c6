// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/declarations.hpp"

#include "host/base/suggest.hpp"

#include <bpf/btf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <map>
#include <set>
#include <span>

namespace scxhost {
namespace {

constexpr std::string_view kTagPrefix = "scx.";
constexpr std::string_view kArenaSection = ".addr_space.1";
// Bounds for hostile objects: nesting of structs, places of one statistic, declarations in all.
constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxPlaces = 16384;
constexpr std::size_t kMaxDeclarations = 4096;
// A larger array that nobody declared is a table, not a knob.
constexpr std::uint32_t kMaxPlainBytes = 8192;
// Members and elements that are looked at in one object: structs nested wide and deep multiply.
constexpr std::size_t kMaxSteps = 1U << 20U;

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

// What can stand left of '=' in a configuration; dots separate the parts.
bool is_key(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
    });
}

bool is_read_only(const VariablePlace& variable) {
    return variable.section.starts_with(".rodata");
}

std::unexpected<Error> too_many_options() {
    return fail(ErrorKind::kObject, "the object declares more options than this host reads");
}

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
    if (!is_key(option.key))
        return fail(ErrorKind::kObject, fmt::format("variable '{}' declares the option {}, which is no key: letters, "
                                                    "digits, '_', '-' and '.' only",
                                                    variable.name, quote_text(option.key)));
    if (!is_read_only(variable))
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

// Collects the options of an object that declares none: what a `const volatile` global holds, members of structs by
// their dotted path. What is const alone may have been compiled into the programs already.
class PlainOptionWalk {
public:
    PlainOptionWalk(const BtfView& btf, std::size_t& steps, std::vector<OptionDeclaration>& out)
        : btf_(btf)
        , steps_(steps)
        , out_(out) {}

    Result<> walk(const VariablePlace& place, bool is_volatile = false, int depth = 0) {
        const std::optional<ResolvedType> type = btf_.resolve(place.type_id);
        if (!type || depth > kMaxDepth)
            return {};
        if (++steps_ > kMaxSteps)
            return fail(ErrorKind::kObject, "the types of the object's variables are nested too widely to be read");
        is_volatile = is_volatile || type->is_volatile;
        if (btf_is_array(type->type)) { // there the elements are volatile, not the array
            const std::optional<ResolvedType> element = btf_.resolve(btf_array(type->type)->type);
            is_volatile = is_volatile || (element && element->is_volatile);
        }
        if (!btf_is_struct(type->type))
            return is_volatile ? add(place) : Result<>();
        for (std::uint32_t i = 0; i < btf_vlen(type->type); ++i)
            SCXHOST_TRY(walk_member(place, type->id, i, is_volatile, depth));
        return {};
    }

private:
    Result<> walk_member(const VariablePlace& place, std::uint32_t struct_id, std::uint32_t index, bool is_volatile,
                         int depth) {
        const btf_type* type = btf__type_by_id(btf_.raw(), struct_id);
        const btf_member& entry = btf_members(type)[index];
        const std::optional<std::uint32_t> size = btf_.size_of(entry.type);
        const std::uint32_t offset = btf_member_bit_offset(type, index) / 8;
        if (!size || btf_member_bitfield_size(type, index) != 0 || offset > UINT32_MAX - place.offset)
            return {};
        VariablePlace member = place;
        // Members of a struct without a name belong to the one around it.
        if (const std::string_view name = btf_.name(entry.name_off); !name.empty())
            member.name += fmt::format(".{}", name);
        member.offset += offset;
        member.size = *size;
        member.type_id = entry.type;
        return walk(member, is_volatile, depth + 1);
    }

    Result<> add(const VariablePlace& place) {
        const std::optional<Storage> storage = btf_.storage(place.type_id);
        if (!storage || storage->bytes() > kMaxPlainBytes || !is_key(place.name))
            return {};
        OptionDeclaration option;
        option.key = place.name;
        option.variable = place;
        option.storage = *storage;
        // The first kind of a storage in the table is its plain form; arrays of integers have none before kCpus.
        option.kind = storage->kind == StorageKind::kIntegers
                          ? OptionKind::kIntegers
                          : std::ranges::find(kKinds, storage->kind, &KindWord::needs)->kind;
        // No prefix is declared that could be left out: the words are the names as the source has them.
        for (const auto& [name, value] : storage->enumerators)
            option.words.push_back(name);
        if (option.kind == OptionKind::kEnum && option.words.empty())
            return {};
        if (out_.size() >= kMaxDeclarations)
            return too_many_options();
        out_.push_back(std::move(option));
        return {};
    }

    const BtfView& btf_;
    std::size_t& steps_; // taken so far, in the whole object
    std::vector<OptionDeclaration>& out_;
};

// Objects linked from several may have two variables of one name, which a setting cannot tell apart.
void drop_ambiguous(std::vector<OptionDeclaration>& options) {
    std::map<std::string, int, std::less<>> times;
    for (const OptionDeclaration& option : options)
        ++times[option.key];
    std::erase_if(options, [&](const OptionDeclaration& option) { return times[option.key] > 1; });
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
    if (!storage || storage->kind != StorageKind::kBool || !is_read_only(variable))
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

// Collects the statistics of one container by walking its type.
class StatisticWalk {
public:
    StatisticWalk(const BtfView& btf, StatisticDeclaration::Home home, std::string container, std::size_t& steps,
                  std::vector<StatisticDeclaration>& out)
        : btf_(btf)
        , home_(home)
        , container_(std::move(container))
        , steps_(steps)
        , out_(out) {}

    Result<> walk(std::uint32_t type_id, std::uint32_t offset, int depth = 0) {
        const std::optional<ResolvedType> resolved = btf_.resolve(type_id);
        if (!resolved || depth > kMaxDepth)
            return {};
        if (++steps_ > kMaxSteps)
            return fail(ErrorKind::kObject, "the types of the object's variables are nested too widely to be read");
        if (btf_is_array(resolved->type)) {
            const struct btf_array* array = btf_array(resolved->type);
            const std::optional<std::uint32_t> step = btf_.size_of(array->type);
            if (!step || !contains_statistics(array->type, depth))
                return {};
            if (array->nelems > kMaxPlaces)
                return too_many();
            for (std::uint32_t i = 0; i < array->nelems; ++i)
                SCXHOST_TRY(walk(array->type, offset + i * *step, depth + 1));
            return {};
        }
        if (!btf_is_struct(resolved->type))
            return {};
        const btf_member* members = btf_members(resolved->type);
        for (std::uint32_t i = 0; i < btf_vlen(resolved->type); ++i) {
            const std::uint32_t member_offset = offset + btf_member_bit_offset(resolved->type, i) / 8;
            const Tags tags(btf_.tags(resolved->id, static_cast<int>(i)));
            const std::string name(btf_.name(members[i].name_off));
            if (tags.find("stat"))
                SCXHOST_TRY(add(name, members[i].type, member_offset, tags));
            else
                SCXHOST_TRY(walk(members[i].type, member_offset, depth + 1));
        }
        return {};
    }

private:
    static std::unexpected<Error> too_many() {
        return fail(ErrorKind::kObject, "the object declares more statistics than this host reads");
    }

    // Keeps large arrays of plain data from being walked element by element.
    bool contains_statistics(std::uint32_t type_id, int depth) const {
        const std::optional<ResolvedType> resolved = btf_.resolve(type_id);
        if (!resolved || depth > kMaxDepth)
            return false;
        if (++steps_ > kMaxSteps)
            return true; // the walk that follows fails
        if (btf_is_array(resolved->type))
            return contains_statistics(btf_array(resolved->type)->type, depth + 1);
        if (!btf_is_struct(resolved->type))
            return false;
        if (btf_.has_member_tags(resolved->id))
            return true;
        const btf_member* members = btf_members(resolved->type);
        for (std::uint32_t i = 0; i < btf_vlen(resolved->type); ++i)
            if (contains_statistics(members[i].type, depth + 1))
                return true;
        return false;
    }

    Result<> add(const std::string& member, std::uint32_t type_id, std::uint32_t offset, const Tags& tags) {
        SCXHOST_TRY(tags.check(member, {"stat", "help", "unit", "name", "fold", "group"}));
        const std::optional<Storage> storage = btf_.storage(type_id);
        const bool is_number =
            storage && (storage->kind == StorageKind::kInteger || storage->kind == StorageKind::kIntegers ||
                        storage->kind == StorageKind::kBool);
        const std::string name = tags.find("name").value_or(member);
        if (!is_number)
            return fail(ErrorKind::kObject,
                        fmt::format("statistic '{}' must be an integer, but it is {}", name, btf_.describe(type_id)));

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
            found->offsets.push_back(offset + i * storage->width);
        return {};
    }

    const BtfView& btf_;
    StatisticDeclaration::Home home_;
    std::string container_;
    std::size_t& steps_; // taken so far, in the whole object
    std::vector<StatisticDeclaration>& out_;
};

// The numbers of something that nobody declared, for add_variable_statistics().
class NumberWalk {
public:
    // `home` and `container` are `model`'s.
    NumberWalk(const BtfView& btf, StatisticDeclaration model, std::vector<StatisticDeclaration>& out)
        : btf_(btf)
        , model_(std::move(model))
        , out_(out) {}

    // The numbers of one variable, element or entry; `path` is the way that is still to go to the member meant.
    Result<> walk(std::string name, std::uint32_t type_id, std::uint32_t offset, std::string_view path, int depth = 0) {
        const std::optional<ResolvedType> type = btf_.resolve(type_id);
        if (!type || depth > kMaxDepth)
            return {};
        if (++steps_ > kMaxNumberSteps)
            return too_many();
        if (btf_is_struct(type->type))
            return walk_members(name, type->id, offset, path, depth);
        if (const std::optional<Storage> storage = btf_.storage(type_id))
            return path.empty() ? add(name, *storage, offset) : Result<>();
        if (!btf_is_array(type->type))
            return {};
        const struct btf_array array = *btf_array(type->type);
        const std::optional<std::uint32_t> step = btf_.size_of(array.type);
        for (std::uint32_t i = 0; step && i < array.nelems && fits(offset, std::uint64_t{i} * *step); ++i)
            SCXHOST_TRY(walk(name, array.type, offset + i * *step, path, depth + 1));
        return {};
    }

    // The entry of a map that the numbers which follow are of.
    void at_entry(std::optional<std::uint32_t> entry) { model_.entry = entry; }

private:
    static std::unexpected<Error> too_many() {
        return fail(ErrorKind::kConfig, "more numbers than this host shows",
                    "name a part of it: members are written a.b");
    }
    static bool fits(std::uint32_t offset, std::uint64_t more) { return more <= UINT32_MAX - offset; }

    Result<> walk_members(const std::string& name, std::uint32_t struct_id, std::uint32_t offset, std::string_view path,
                          int depth) {
        const btf_type* type = btf__type_by_id(btf_.raw(), struct_id);
        const std::string_view wanted = path.substr(0, path.find('.'));
        const std::string_view rest = path.substr(std::min(path.size(), wanted.size() + 1));
        for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
            const btf_member& member = btf_members(type)[i];
            const std::string_view member_name = btf_.name(member.name_off);
            const std::uint32_t at = btf_member_bit_offset(type, i) / 8;
            if (btf_member_bitfield_size(type, i) != 0 || !fits(offset, at))
                continue;
            if (member_name.empty()) // its members belong to this struct
                SCXHOST_TRY(walk(name, member.type, offset + at, path, depth + 1));
            else if (path.empty() || member_name == wanted)
                SCXHOST_TRY(walk(fmt::format("{}.{}", name, member_name), member.type, offset + at, rest, depth + 1));
        }
        return {};
    }

    Result<> add(const std::string& name, const Storage& storage, std::uint32_t offset) {
        if (storage.kind == StorageKind::kText || storage.kind == StorageKind::kEnum)
            return {};
        if (storage.kind != StorageKind::kIntegers)
            return add_number(name, storage, offset);
        for (std::uint32_t i = 0; i < storage.count && fits(offset, std::uint64_t{i} * storage.width); ++i)
            SCXHOST_TRY(add_number(fmt::format("{}[{}]", name, i), storage, offset + i * storage.width));
        return {};
    }

    Result<> add_number(const std::string& name, const Storage& storage, std::uint32_t offset) {
        if (++steps_ > kMaxNumberSteps)
            return too_many();
        if (offset % storage.width != 0)
            return {}; // of a packed struct: no single access reads it
        const auto known = places_.find(name);
        if (known != places_.end()) {
            StatisticDeclaration& statistic = out_[known->second];
            if (statistic.width == storage.width)
                statistic.offsets.push_back(offset);
            return {};
        }
        if (out_.size() >= kMaxDeclarations)
            return too_many();
        StatisticDeclaration statistic = model_;
        statistic.name = name;
        statistic.kind =
            storage.is_signed || storage.kind == StorageKind::kBool ? StatisticKind::kGauge : StatisticKind::kCounter;
        statistic.offsets = {offset};
        statistic.width = storage.width;
        statistic.is_signed = storage.is_signed;
        places_.emplace(name, out_.size());
        out_.push_back(std::move(statistic));
        return {};
    }

    static constexpr std::size_t kMaxNumberSteps = 1U << 16U;

    const BtfView& btf_;
    StatisticDeclaration model_;
    std::vector<StatisticDeclaration>& out_;
    std::size_t steps_ = 0;
    std::map<std::string, std::size_t, std::less<>> places_; // of the names in `out_`
};

bool can_hold_statistics(const VariablePlace& variable) {
    return variable.section == kArenaSection || variable.section.starts_with(".bss") ||
           variable.section.starts_with(".data") || is_read_only(variable);
}

Result<> walk_map(NumberWalk& walk, const BtfView& btf, const PerCpuMapType& map, std::string_view path) {
    const std::optional<Storage> number = btf.storage(map.value_type_id);
    if (!number || map.entries == 1)
        return walk.walk(map.name, map.value_type_id, 0, path);
    for (std::uint32_t i = 0; i < map.entries; ++i) {
        walk.at_entry(i);
        SCXHOST_TRY(walk.walk(fmt::format("{}[{}]", map.name, i), map.value_type_id, 0, path));
    }
    return {};
}

// The exit record, recognised by its members, as schedulers by convention have it.
std::optional<ExitRecordPlace> exit_record(const BtfView& btf, const VariablePlace& variable) {
    const std::optional<ResolvedType> type = btf.resolve(variable.type_id);
    if (!type || !btf_is_struct(type->type) || is_read_only(variable))
        return std::nullopt;
    ExitRecordPlace record;
    int found = 0;
    const btf_member* members = btf_members(type->type);
    for (std::uint32_t i = 0; i < btf_vlen(type->type); ++i) {
        const std::string_view name = btf.name(members[i].name_off);
        const std::uint32_t offset = variable.offset + btf_member_bit_offset(type->type, i) / 8;
        const std::optional<Storage> storage = btf.storage(members[i].type);
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
        else if (other.name == variable.name + "_dump_len" && storage && storage->bytes() == 4 && is_read_only(other))
            record.dump_length = other;
    }
    return record;
}

} // namespace

std::string_view to_string(OptionKind kind) {
    return std::ranges::find(kKinds, kind, &KindWord::kind)->word;
}

std::string_view to_string(StatisticKind kind) {
    return kind == StatisticKind::kCounter ? "counter" : "gauge";
}

std::string_view kernel_enumerator(const VariablePlace& variable) {
    constexpr std::string_view prefix = "__SCX_";
    if (!variable.name.starts_with(prefix) || !is_read_only(variable) || variable.size != sizeof(std::uint64_t))
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
    std::size_t steps = 0;
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
        } else if (is_read_only(variable) && kernel_enumerator(variable).empty()) {
            SCXHOST_TRY(PlainOptionWalk(btf, steps, plain).walk(variable));
        }

        const bool in_arena = variable.section == kArenaSection;
        if (in_arena || variable.section.starts_with(".bss") || variable.section.starts_with(".data")) {
            StatisticWalk walk(btf, in_arena ? StatisticDeclaration::Home::kArena : StatisticDeclaration::Home::kGlobal,
                               variable.section, steps, result.statistics);
            SCXHOST_TRY(walk.walk(variable.type_id, variable.offset));
        }
        if (!result.exit_record)
            result.exit_record = exit_record(btf, variable);
        if (result.options.size() > kMaxDeclarations)
            return too_many_options();
    }
    for (const PerCpuMapType& map : per_cpu_maps) {
        StatisticWalk walk(btf, StatisticDeclaration::Home::kPerCpuMap, map.name, steps, result.statistics);
        SCXHOST_TRY(walk.walk(map.value_type_id, 0));
    }
    // Plain variables are options only of an object that declares none: a policy's author decides what is offered.
    if (result.options.empty()) {
        drop_ambiguous(plain);
        result.options = std::move(plain);
    }
    if (result.exit_record && result.exit_record->dump_length)
        std::erase_if(result.options, [&](const OptionDeclaration& option) {
            return option.variable.var_id == result.exit_record->dump_length->var_id;
        });
    return result;
}

Result<> add_variable_statistics(Declarations& declarations, const BtfView& btf,
                                 const std::vector<PerCpuMapType>& per_cpu_maps, std::string_view variable) {
    std::vector<StatisticDeclaration> found;
    std::vector<std::string> known;
    const auto path_in = [&](const std::string& name) -> std::optional<std::string_view> {
        known.push_back(name);
        if (variable == name)
            return std::string_view();
        if (variable.starts_with(name) && variable[name.size()] == '.')
            return variable.substr(name.size() + 1);
        return std::nullopt;
    };
    for (const VariablePlace& place : btf.variables()) {
        if (!can_hold_statistics(place))
            continue;
        const std::optional<std::string_view> path = path_in(place.name);
        if (!path)
            continue;
        StatisticDeclaration model;
        model.home =
            place.section == kArenaSection ? StatisticDeclaration::Home::kArena : StatisticDeclaration::Home::kGlobal;
        model.container = place.section;
        SCXHOST_TRY(NumberWalk(btf, std::move(model), found).walk(place.name, place.type_id, place.offset, *path));
    }
    for (const PerCpuMapType& map : per_cpu_maps) {
        const std::optional<std::string_view> path = path_in(map.name);
        if (!path)
            continue;
        StatisticDeclaration model;
        model.home = StatisticDeclaration::Home::kPerCpuMap;
        model.container = map.name;
        NumberWalk walk(btf, std::move(model), found);
        SCXHOST_TRY(walk_map(walk, btf, map, *path));
    }
    if (found.empty()) {
        const std::string_view name = variable.substr(0, variable.find('.'));
        const bool exists = std::ranges::find(known, name) != known.end();
        return fail(ErrorKind::kConfig,
                    exists ? fmt::format("there is no number in '{}'", variable)
                           : fmt::format("there is no global and no per-CPU array map '{}'", name),
                    exists ? "`scxhost inspect` shows what it holds"
                           : suggest_word(std::string(name), known, "variables"));
    }
    for (StatisticDeclaration& statistic : found) {
        // The same variable may be named twice, as a whole and a part.
        if (std::ranges::find(declarations.statistics, statistic.name, &StatisticDeclaration::name) ==
            declarations.statistics.end())
            declarations.statistics.push_back(std::move(statistic));
    }
    return {};
}

} // namespace scxhost
