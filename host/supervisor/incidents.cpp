// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/incidents.hpp"

#include "host/base/file_trust.hpp"
#include "host/base/regular_file.hpp"
#include "host/base/unique_fd.hpp"
#include "host/base/units.hpp"
#include "host/base/write_all.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <system_error>
#include <tuple>
#include <utility>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Starts with a point, so that nothing that looks for records takes an unfinished one for one.
constexpr std::string_view kUnfinished = ".unfinished-";
constexpr std::size_t kMaxNameBytes = 48;
constexpr std::size_t kMaxRecordBytes = 16U << 20U;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Whether `text` has the shape of `pattern`, in which 0 stands for any digit.
bool has_shape(std::string_view text, std::string_view pattern) {
    return text.size() == pattern.size() && std::ranges::equal(text, pattern, [](char c, char shape) {
               return shape == '0' ? is_digit(c) : c == shape;
           });
}

template <typename Number>
std::optional<Number> to_number(std::string_view digits) {
    Number value{};
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || !is_digit(digits.front()) || status != std::errc{} || end != digits.data() + digits.size())
        return std::nullopt;
    return value;
}

std::string text_in(const json& record, const char* key) {
    const auto found = record.find(key);
    return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// "2026-01-31T23:59:59.123Z" as "20260131T235959Z": names then sort by time as well.
std::string compact_time(std::string_view time) {
    std::string result(time.substr(0, std::string_view("2026-01-31T23:59:59").size()));
    std::erase_if(result, [](char c) { return c == '-' || c == ':'; });
    return result + "Z";
}

std::string expanded_time(std::string_view t) {
    return fmt::format("{}-{}-{}T{}:{}:{}Z", t.substr(0, 4), t.substr(4, 2), t.substr(6, 2), t.substr(9, 2),
                       t.substr(11, 2), t.substr(13, 2));
}

bool is_name_char(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
}

// A scheduler's name comes from a plugin; a file's name is ours.
std::string fit_for_name(std::string text) {
    if (text.empty())
        return "unknown";
    text.resize(std::min(text.size(), kMaxNameBytes));
    std::ranges::replace_if(text, [](char c) { return !is_name_char(c); }, '_');
    return text;
}

// "000123-20261124T101500Z-qmap.json"
std::optional<IncidentSummary> parse_name(std::string_view name) {
    constexpr std::string_view kTime = "00000000T000000Z";
    const std::size_t dash = name.find('-');
    if (dash == std::string_view::npos || !name.ends_with(".json"))
        return std::nullopt;
    const std::optional<std::uint32_t> number = to_number<std::uint32_t>(name.substr(0, dash));
    const std::string_view rest = name.substr(dash + 1, name.size() - dash - 1 - std::string_view(".json").size());
    if (!number || *number == 0 || !has_shape(rest.substr(0, kTime.size()), kTime) || rest.size() < kTime.size() + 2 ||
        rest[kTime.size()] != '-')
        return std::nullopt;
    const std::string_view scheduler = rest.substr(kTime.size() + 1);
    if (!std::ranges::all_of(scheduler, is_name_char))
        return std::nullopt;
    return IncidentSummary{
        .number = *number, .time = expanded_time(rest), .scheduler = std::string(scheduler), .bytes = 0, .path = {}};
}

std::unexpected<Error> io_failure(const std::string& what, int sys_errno) {
    return fail_errno(sys_errno == EACCES || sys_errno == EPERM ? ErrorKind::kPermission : ErrorKind::kIo, what,
                      sys_errno);
}

// A file that goes again unless it was finished.
class UnfinishedFile {
public:
    static Result<UnfinishedFile> create(const fs::path& folder) {
        std::string path = (folder / kUnfinished).string() + "XXXXXX";
        UniqueFd fd(::mkostemp(path.data(), O_CLOEXEC));
        if (!fd)
            return io_failure("cannot make a file in " + folder.string(), errno);
        return UnfinishedFile(std::move(path), std::move(fd));
    }
    UnfinishedFile(UnfinishedFile&& other) noexcept
        : path_(std::exchange(other.path_, {}))
        , fd_(std::move(other.fd_)) {}
    UnfinishedFile& operator=(UnfinishedFile&&) = delete;
    ~UnfinishedFile() {
        if (!path_.empty())
            ::unlink(path_.c_str());
    }

    Result<> write(std::string_view text) {
        if (const int error = write_all(fd_.get(), text); error != 0)
            return io_failure("cannot write " + path_, error);
        return {};
    }

    // The content is on the disk before the name is.
    Result<> finish(const fs::path& final_path, unsigned rename_flags) {
        if (::fchmod(fd_.get(), 0640) != 0 || ::fsync(fd_.get()) != 0)
            return io_failure("cannot write " + path_, errno);
        if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, final_path.c_str(), rename_flags) != 0)
            return io_failure("cannot name the incident record " + final_path.string(), errno);
        path_.clear();
        // Best effort: without it the record is safe from a crash of the host, if not of the machine.
        const UniqueFd folder(::open(final_path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (folder)
            (void)::fsync(folder.get());
        return {};
    }

private:
    UnfinishedFile(std::string path, UniqueFd fd)
        : path_(std::move(path))
        , fd_(std::move(fd)) {}

    std::string path_;
    UniqueFd fd_;
};

Result<json> read_record(const fs::path& path) {
    Result<std::vector<std::byte>> bytes = read_binary_file(path, kMaxRecordBytes, "the incident record");
    if (!bytes && (bytes.error().sys_errno == EACCES || bytes.error().sys_errno == EPERM))
        bytes.error().kind = ErrorKind::kPermission;
    if (!bytes)
        return fail(std::move(bytes).error());
    const char* text = reinterpret_cast<const char*>(bytes->data());
    json record = json::parse(text, text + bytes->size(), nullptr, /*allow_exceptions=*/false);
    if (!record.is_object())
        return fail(ErrorKind::kIo, fmt::format("{} is damaged: it is no JSON object", path.string()));
    return record;
}

// What a host that died while it wrote has left.
void remove_unfinished(const fs::path& folder) {
    std::error_code error;
    // A range-for would throw when the disk fails between two entries.
    for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
         entry.increment(error))
        if (entry->path().filename().native().starts_with(kUnfinished))
            ::unlink(entry->path().c_str());
}

} // namespace

Result<std::string> IncidentStore::write(json record) const {
    const fs::path folder = SCXHOST_TRY(make_trusted_folder(folder_, 0750));
    remove_unfinished(folder);
    const std::vector<IncidentSummary> others = SCXHOST_TRY(list());

    std::string time = text_in(record, "time");
    if (!has_shape(std::string_view(time).substr(0, 19), "0000-00-00T00:00:00"))
        time = utc_time(std::chrono::system_clock::now());
    const std::uint32_t number = others.empty() ? 1 : others.back().number + 1;
    record["schema"] = kIncidentSchema;
    record["number"] = number;
    record["time"] = time;
    const fs::path path = folder / fmt::format("{:06}-{}-{}.json", number, compact_time(time),
                                               fit_for_name(text_in(record, "scheduler")));
    SCXHOST_TRY(put(record, path, RENAME_NOREPLACE));
    return path.string();
}

Result<> IncidentStore::amend(const fs::path& record, const json& fields) const {
    json amended = SCXHOST_TRY(read_record(record));
    amended.update(fields, /*merge_objects=*/true);
    return put(amended, record, 0);
}

Result<> IncidentStore::put(const json& record, const fs::path& path, unsigned rename_flags) const {
    // Texts of the kernel and of plugins need not be UTF-8.
    const std::string text = record.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
    if (text.size() > std::min<std::uint64_t>(limit_, kMaxRecordBytes))
        return fail(ErrorKind::kIo, fmt::format("an incident record of {} bytes is more than may be kept", text.size()),
                    "raise incidents.limit");
    UnfinishedFile file = SCXHOST_TRY(UnfinishedFile::create(path.parent_path()));
    SCXHOST_TRY(file.write(text));
    SCXHOST_TRY(file.finish(path, rename_flags));
    drop_oldest(path);
    return {};
}

// A record that cannot be removed is passed over: the new one counts more than the limit.
void IncidentStore::drop_oldest(const fs::path& newest) const {
    const Result<std::vector<IncidentSummary>> all = list();
    if (!all)
        return;
    std::uint64_t total = 0;
    for (const IncidentSummary& record : *all)
        total += record.bytes;
    for (const IncidentSummary& record : *all) {
        if (total <= limit_)
            return;
        if (record.path.filename() != newest.filename() && ::unlink(record.path.c_str()) == 0)
            total -= record.bytes;
    }
}

Result<std::vector<IncidentSummary>> IncidentStore::list() const {
    std::vector<IncidentSummary> result;
    std::error_code error;
    fs::directory_iterator entry(folder_, error);
    if (error == std::errc::no_such_file_or_directory)
        return result;
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
        std::optional<IncidentSummary> record = parse_name(entry->path().filename().native());
        struct stat status{};
        if (!record || ::lstat(entry->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        record->bytes = static_cast<std::uint64_t>(status.st_size);
        record->path = entry->path();
        result.push_back(*std::move(record));
    }
    if (error)
        return io_failure("cannot read the folder " + folder_.string(), error.value());
    std::ranges::sort(result, {}, [](const IncidentSummary& record) { return std::tie(record.number, record.time); });
    return result;
}

Result<json> IncidentStore::read(std::uint32_t number) const {
    const std::vector<IncidentSummary> all = SCXHOST_TRY(list());
    const auto found = std::ranges::find(all, number, &IncidentSummary::number);
    if (found == all.end())
        return fail(ErrorKind::kUsage, fmt::format("there is no incident {} in {}", number, folder_.string()),
                    all.empty() ? "there are none"
                                : fmt::format("there are {} to {}", all.front().number, all.back().number));
    return read_record(found->path);
}

} // namespace scxhost
