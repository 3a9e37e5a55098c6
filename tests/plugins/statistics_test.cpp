// SPDX-License-Identifier: GPL-2.0-only
//
// Numbers of every width and fold, written into an opened object's memory and into a map that is made up here; what
// real programs count is tested in guests.
#include "host/bpf/statistics.hpp"
#include "tests/plugins/zoo.hpp"

#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// As in counts.bpf.c.
struct Counts {
    std::uint8_t byte_u{};
    std::int8_t byte_s{};
    bool truth{};
    std::uint16_t half_u{};
    std::int16_t half_s{};
    std::uint32_t word_u{};
    std::int32_t word_s{};
    std::uint64_t long_u{};
    std::int64_t long_s{};
    std::array<std::uint64_t, 3> total{};
    std::array<std::int32_t, 3> highest{};
    std::array<std::int32_t, 3> lowest{};
    std::array<std::int32_t, 3> mean{};
};
struct EachCpu {
    std::uint32_t hits;
    std::uint32_t depth;
    std::int32_t room;
};
constexpr std::size_t kEachCpuStride = 16; // rounded up to eight bytes
constexpr std::size_t kEntries = 2;

class StatisticsTest : public testing::Test {
protected:
    StatisticsTest()
        : cpus_(static_cast<std::size_t>(libbpf_num_possible_cpus()))
        , places_(cpus_ * kEntries) {
        for (EachCpu& place : places_)
            place.room = 1;
    }

    // In place of the kernel.
    Result<> copy(const bpf_map& map, std::span<std::byte> out) const {
        EXPECT_STREQ(bpf_map__name(&map), "places");
        EXPECT_EQ(out.size(), kEachCpuStride * places_.size());
        std::ranges::fill(out, std::byte{0xff}); // what lies between the values is not read
        for (std::size_t i = 0; i < places_.size() && (i + 1) * kEachCpuStride <= out.size(); ++i)
            std::memcpy(out.data() + i * kEachCpuStride, &places_[i], sizeof places_[i]);
        return {};
    }
    Result<StatisticsReader> reader() {
        return StatisticsReader::make(object_, [this](const bpf_map& map, std::span<std::byte> out) { //
            return copy(map, out);
        });
    }
    void write(const Counts& counts) {
        const std::span<std::byte> raw = object_.variable_bytes(*object_.btf().find_variable("numbers"));
        ASSERT_EQ(raw.size(), sizeof counts) << "the struct here differs from the object's";
        std::memcpy(raw.data(), &counts, sizeof counts);
    }
    std::int64_t read(const std::string& name) {
        const Result<std::vector<std::int64_t>> values = reader().value().read();
        const std::vector<StatisticDeclaration>& declared = object_.declarations().statistics;
        EXPECT_EQ(values->size(), declared.size());
        for (std::size_t i = 0; i < declared.size(); ++i)
            if (declared[i].name == name)
                return values->at(i);
        ADD_FAILURE() << "there is no statistic " << name;
        return 0;
    }

    Bytes bytes_ = zoo_bytes("counts.bpf.o");
    SchedulerObject object_ = SchedulerObject::open({.name = "counts", .bytes = bytes_, .struct_ops = {}}).value();
    std::size_t cpus_;
    std::vector<EachCpu> places_; // of the first entry for each CPU, then of the second one
};

TEST_F(StatisticsTest, EveryWidthWithAndWithoutASign) {
    std::array<std::byte, sizeof(Counts)> bytes;
    bytes.fill(std::byte{0xff});
    auto ones = std::bit_cast<Counts>(bytes);
    ones.truth = true;
    write(ones);
    EXPECT_EQ(read("byte_u"), 0xff);
    EXPECT_EQ(read("byte_s"), -1);
    EXPECT_EQ(read("truth"), 1);
    EXPECT_EQ(read("half_u"), 0xffff);
    EXPECT_EQ(read("half_s"), -1);
    EXPECT_EQ(read("word_u"), 0xffffffff);
    EXPECT_EQ(read("word_s"), -1);
    EXPECT_EQ(read("long_s"), -1);

    // Neighbours are left out.
    write({.byte_u = 200, .half_u = 40'000, .word_u = 3'000'000'000, .long_u = 1ULL << 62U});
    EXPECT_EQ(read("byte_u"), 200);
    EXPECT_EQ(read("byte_s"), 0);
    EXPECT_EQ(read("truth"), 0);
    EXPECT_EQ(read("half_u"), 40'000);
    EXPECT_EQ(read("half_s"), 0);
    EXPECT_EQ(read("word_u"), 3'000'000'000);
    EXPECT_EQ(read("word_s"), 0);
    EXPECT_EQ(read("long_u"), 1LL << 62U);

    write({.byte_s = -128,
           .half_s = -32'768,
           .word_s = std::numeric_limits<std::int32_t>::min(),
           .long_s = std::numeric_limits<std::int64_t>::min()});
    EXPECT_EQ(read("byte_s"), -128);
    EXPECT_EQ(read("half_s"), -32'768);
    EXPECT_EQ(read("word_s"), std::numeric_limits<std::int32_t>::min());
    EXPECT_EQ(read("long_s"), std::numeric_limits<std::int64_t>::min());
}

TEST_F(StatisticsTest, ReadingSeesWhatIsWrittenLater) {
    StatisticsReader reader = this->reader().value();
    const auto long_u = [&] { return reader.read().value().at(7); };
    ASSERT_EQ(object_.declarations().statistics.at(7).name, "long_u");
    write({.long_u = 1});
    EXPECT_EQ(long_u(), 1);
    write({.long_u = 5});
    EXPECT_EQ(long_u(), 5);
}

TEST_F(StatisticsTest, Folds) {
    write({.total = {1, 20, 300}, .highest = {-5, -3, -4}, .lowest = {5, -3, 4}, .mean = {10, 20, 33}});
    EXPECT_EQ(read("total"), 321);
    EXPECT_EQ(read("highest"), -3);
    EXPECT_EQ(read("lowest"), -3);
    EXPECT_EQ(read("mean"), 21);
    write({.mean = {-10, -20, 3}});
    EXPECT_EQ(read("mean"), -9);
}

TEST_F(StatisticsTest, SumsWrapAround) {
    constexpr std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
    write({.total = {all, 3, 0}});
    EXPECT_EQ(read("total"), 2);
    write({.total = {1ULL << 63U, 1ULL << 63U, 7}});
    EXPECT_EQ(read("total"), 7);
    write({.total = {std::numeric_limits<std::int64_t>::max(), 1, 0}});
    EXPECT_EQ(read("total"), std::numeric_limits<std::int64_t>::min()) << "the bits of the counter";
}

TEST_F(StatisticsTest, MapsAreFoldedOverCpusAndEntries) {
    std::int64_t hits = 0;
    for (std::size_t i = 0; i < places_.size(); ++i) {
        places_[i] = {.hits = 4'000'000'000, .depth = static_cast<std::uint32_t>(i), .room = static_cast<int>(i)};
        hits += 4'000'000'000;
    }
    places_.front().depth = 3'000'000'000;
    places_.back().room = -7;
    EXPECT_EQ(read("hits"), hits) << "32 bits each, 64 in all";
    EXPECT_EQ(read("depth"), 3'000'000'000);
    EXPECT_EQ(read("room"), -7) << "of the last CPU in the last entry";
}

TEST_F(StatisticsTest, MapThatCannotBeReadIsAnError) {
    StatisticsReader broken = StatisticsReader::make(object_, [](const bpf_map&, std::span<std::byte>) {
                                  return fail(ErrorKind::kIo, "no map today");
                              }).value();
    EXPECT_EQ(broken.read().error().what, "no map today");

    StatisticsReader unloaded = StatisticsReader::make(object_).value();
    const auto values = unloaded.read();
    ASSERT_FALSE(values) << "the object is not loaded: there is no map";
    EXPECT_EQ(values.error().kind, ErrorKind::kIo);
    EXPECT_THAT(values.error().what, HasSubstr("cannot read the statistics map"));
}

// A hostile object's map may be called as one of its sections is.
TEST(StatisticsReaderTest, AMapAndASectionOfOneNameAreTwoPlaces) {
    using Home = StatisticDeclaration::Home;
    const std::vector<StatisticDeclaration> declared = {
        {.name = "of_map", .home = Home::kPerCpuMap, .container = ".bss", .offsets = {0}, .width = 8},
        {.name = "of_section", .home = Home::kGlobal, .container = ".bss", .offsets = {4096 - 8}, .width = 8}};
    alignas(8) std::array<std::byte, 4096> section{};
    section[4096 - 8] = std::byte{42};
    StatisticsReader reader =
        StatisticsReader::make(declared, [&](const StatisticDeclaration& statistic) -> std::optional<StatisticsPlace> {
            if (statistic.home == Home::kGlobal)
                return StatisticsPlace{.mapped = section};
            return StatisticsPlace{.value_size = 8, .copy = [](std::span<std::byte> out) -> Result<> {
                                       std::ranges::fill(out, std::byte{0});
                                       return {};
                                   }};
        }).value();
    EXPECT_THAT(reader.read().value(), testing::ElementsAre(0, 42));
}

TEST_F(StatisticsTest, WhatLiesOutsideOfItsMapIsRefused) {
    bpf_map* places = object_.find_map("places");
    ASSERT_NE(places, nullptr);
    ASSERT_EQ(bpf_map__set_max_entries(places, 1025), 0);
    const Result<StatisticsReader> huge = reader();
    ASSERT_FALSE(huge) << "a hostile map would be copied each second";
    EXPECT_EQ(huge.error().kind, ErrorKind::kObject);
    EXPECT_EQ(huge.error().what, "statistic 'hits' lies outside 'places'");

    ASSERT_EQ(bpf_map__set_max_entries(places, 1024), 0);
    EXPECT_TRUE(reader());
    ASSERT_EQ(bpf_map__set_value_size(places, 6), 0); // ends within `depth`
    EXPECT_EQ(reader().error().what, "statistic 'depth' lies outside 'places'");
}

TEST_F(StatisticsTest, DeclaredAsTheyAreRead) {
    std::vector<std::string> names;
    for (const StatisticDeclaration& statistic : object_.declarations().statistics)
        names.push_back(statistic.name);
    EXPECT_THAT(names, ElementsAre("byte_u", "byte_s", "truth", "half_u", "half_s", "word_u", "word_s", "long_u",
                                   "long_s", "total", "highest", "lowest", "mean", "hits", "depth", "room"));
}

} // namespace
} // namespace scxhost
