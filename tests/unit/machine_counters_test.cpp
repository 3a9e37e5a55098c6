// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/machine_counters.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace scxhost {
namespace {

class MachineCountersTest : public testing::Test {
protected:
    void write(const std::string& path, const std::string& text) {
        const std::filesystem::path file = dir_.path() / path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    MachineCounters read() { return MachineCounters::read(dir_.path()); }

    TempDir dir_;
};

TEST_F(MachineCountersTest, WhatIsNotThereIsLeftOut) {
    const MachineCounters none = read();
    EXPECT_TRUE(none.pressure_us.empty());
    EXPECT_TRUE(none.energy.empty());
    EXPECT_TRUE(figures_between(none, none, std::chrono::seconds(1)).empty());
}

TEST_F(MachineCountersTest, PressureIsAShareOfTheTime) {
    write("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n"
                               "full avg10=0.00 avg60=0.00 avg300=0.00 total=77\n");
    const MachineCounters before = read();
    write("proc/pressure/cpu", "some avg10=9.00 avg60=0.00 avg300=0.00 total=501000\n");
    const std::vector<Figure> figures = figures_between(before, read(), std::chrono::seconds(2));
    ASSERT_EQ(figures.size(), 1U);
    EXPECT_EQ(figures[0].name, "CPU pressure");
    EXPECT_DOUBLE_EQ(figures[0].value, 25);
}

TEST_F(MachineCountersTest, EnergyIsOfThePackagesAndItsCountersGoRound) {
    const std::string rapl = "sys/class/powercap/";
    for (const char* zone : {"intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl-mmio:0", "intel-rapl"}) {
        write(rapl + zone + "/energy_uj", "9000000\n");
        write(rapl + zone + "/max_energy_range_uj", "10000000\n");
    }
    const MachineCounters before = read();
    EXPECT_EQ(before.energy.size(), 2U);
    write(rapl + "intel-rapl:0/energy_uj", "9500000\n"); // 0.5 J
    write(rapl + "intel-rapl:1/energy_uj", "2000000\n"); // past its end: 3 J
    const std::vector<Figure> figures = figures_between(before, read(), std::chrono::seconds(1));
    ASSERT_EQ(figures.size(), 1U);
    EXPECT_EQ(figures[0].name, "energy");
    EXPECT_DOUBLE_EQ(figures[0].value, 3.5);
}

} // namespace
} // namespace scxhost
