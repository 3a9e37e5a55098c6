// SPDX-License-Identifier: GPL-2.0-only
//
// The terminal of `scxhost top`: whole pictures out, keys in. Who owns a screen has the terminal for itself; its end
// leaves the terminal as it was. Only one at a time. It installs no handler of a signal: who owns it tells it.
#pragma once

#include "host/base/result.hpp"
#include "host/cli/top_view.hpp"

#include <memory>
#include <optional>

namespace scxhost {

class TopScreen {
public:
    // kUnsupported: this terminal cannot show a screen, or stdin and stdout are none. Takes the locale's characters
    // from the environment.
    static Result<std::unique_ptr<TopScreen>> open();
    TopScreen(const TopScreen&) = delete;
    TopScreen& operator=(const TopScreen&) = delete;
    ~TopScreen();

    [[nodiscard]] TopSize size() const;
    [[nodiscard]] bool unicode() const { return unicode_; }
    void draw(const TopPicture& picture);
    // nullopt: none has been pressed. What is no key of ours is passed over.
    std::optional<TopKey> key();
    // Whether the terminal is gone.
    [[nodiscard]] static bool hung_up();

    // The terminal has another size (SIGWINCH).
    void resize();
    // Before the process stops, and when it goes on (SIGTSTP, SIGCONT).
    void leave();
    void come_back();

private:
    struct Terminal;
    explicit TopScreen(std::unique_ptr<Terminal> terminal);
    void draw_line(int row, const TopLine& line);

    std::unique_ptr<Terminal> terminal_;
    bool unicode_ = false;
    bool colours_ = false;
};

} // namespace scxhost
