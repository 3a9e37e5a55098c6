// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/top_screen.hpp"

#include "host/cli/terminal.hpp"

#include <fmt/format.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <string_view>
#include <utility>

// The library's functions as functions, and those for characters of more than one byte.
#define NCURSES_NOMACROS 1
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <term.h>
#undef columns
#undef lines

namespace scxhost {
namespace {

constexpr int kEscapeDelay = 100; // ms in which what follows an Esc makes a key of it; a slow line takes some

enum ColourPair : short { kGreenPair = 1, kYellowPair, kRedPair };

Error no_terminal() {
    return {.kind = ErrorKind::kUnsupported,
            .what = "scxhost top needs a terminal for its input and output",
            .hint = "scxhost top --once prints one screen, scxhost status what runs"};
}

// curses would print its own word and end the process.
Result<> check_terminal() {
    if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1)
        return fail(no_terminal());
    const char* name = std::getenv("TERM");
    int problem = 0;
    if (name == nullptr || *name == '\0' || ::setupterm(name, STDOUT_FILENO, &problem) == ERR)
        return fail(ErrorKind::kUnsupported,
                    name == nullptr || *name == '\0' ? std::string("the terminal has no name: TERM is not set")
                                                     : fmt::format("the terminal {} is not known here", name),
                    "set TERM to what it is, such as xterm; or use scxhost status, or scxhost top --once");
    const char* cursor = ::tigetstr("cup");
    const bool moves = cursor != nullptr &&
                       cursor != reinterpret_cast<const char*>(-1); // NOLINT(performance-no-int-to-ptr): as it says so
    ::del_curterm(::cur_term);
    if (!moves)
        return fail(ErrorKind::kUnsupported, fmt::format("the terminal {} cannot place text on a screen", name),
                    "use scxhost status, or scxhost top --once");
    return {};
}

struct Look {
    attr_t attributes;
    short pair;
};

Look look_of(TopStyle style) {
    switch (style) {
    case TopStyle::kFaint:
        return {A_DIM, 0};
    case TopStyle::kHeading:
        return {A_BOLD, 0};
    case TopStyle::kGood:
        return {A_NORMAL, kGreenPair};
    case TopStyle::kWarning:
        return {A_NORMAL, kYellowPair};
    case TopStyle::kBad:
        return {A_BOLD, kRedPair};
    case TopStyle::kPlain:
        break;
    }
    return {A_NORMAL, 0};
}

std::optional<TopKey> special_key(wint_t code) {
    switch (code) {
    case KEY_UP:
        return TopKey{.kind = TopKey::Kind::kUp, .text = {}};
    case KEY_DOWN:
        return TopKey{.kind = TopKey::Kind::kDown, .text = {}};
    case KEY_PPAGE:
        return TopKey{.kind = TopKey::Kind::kPageUp, .text = {}};
    case KEY_NPAGE:
        return TopKey{.kind = TopKey::Kind::kPageDown, .text = {}};
    case KEY_ENTER:
        return TopKey{.kind = TopKey::Kind::kEnter, .text = {}};
    case KEY_BACKSPACE:
        return TopKey{.kind = TopKey::Kind::kBackspace, .text = {}};
    default:
        return std::nullopt;
    }
}

std::optional<TopKey> character_key(wint_t code, bool unicode) {
    switch (code) {
    case '\r':
    case '\n':
        return TopKey{.kind = TopKey::Kind::kEnter, .text = {}};
    case 0x1b:
        return TopKey{.kind = TopKey::Kind::kEscape, .text = {}};
    case 0x08:
    case 0x7f:
        return TopKey{.kind = TopKey::Kind::kBackspace, .text = {}};
    default:
        break;
    }
    if (code < 0x20 || (code >= 0x7f && !unicode))
        return std::nullopt;
    std::array<char, MB_LEN_MAX> bytes{};
    std::mbstate_t state{};
    const std::size_t count = std::wcrtomb(bytes.data(), static_cast<wchar_t>(code), &state);
    if (count == static_cast<std::size_t>(-1))
        return std::nullopt;
    return TopKey{.kind = TopKey::Kind::kText, .text = std::string(bytes.data(), count)};
}

} // namespace

struct TopScreen::Terminal {
    SCREEN* screen = nullptr;
};

Result<std::unique_ptr<TopScreen>> TopScreen::open() {
    SCXHOST_TRY(check_terminal());
    ::setlocale(LC_CTYPE, "");
    auto terminal = std::make_unique<Terminal>();
    terminal->screen = ::newterm(nullptr, stdout, stdin);
    if (terminal->screen == nullptr)
        return fail(ErrorKind::kUnsupported, "the terminal cannot be used",
                    "use scxhost status, or scxhost top --once");
    return std::unique_ptr<TopScreen>(new TopScreen(std::move(terminal)));
}

TopScreen::TopScreen(std::unique_ptr<Terminal> terminal)
    : terminal_(std::move(terminal))
    , unicode_(std::string_view(::nl_langinfo(CODESET)) == "UTF-8")
    , colours_(wants_colour(STDOUT_FILENO) && ::has_colors()) {
    ::set_escdelay(kEscapeDelay);
    ::cbreak();
    ::noecho();
    ::nonl();
    ::keypad(::stdscr, TRUE);
    ::nodelay(::stdscr, TRUE);
    ::curs_set(0);
    if (!colours_)
        return;
    ::start_color();
    ::use_default_colors();
    ::init_pair(kGreenPair, COLOR_GREEN, -1);
    ::init_pair(kYellowPair, COLOR_YELLOW, -1);
    ::init_pair(kRedPair, COLOR_RED, -1);
}

TopScreen::~TopScreen() {
    ::endwin();
    ::delscreen(terminal_->screen);
}

TopSize TopScreen::size() const {
    return {.columns = static_cast<std::size_t>(::getmaxx(::stdscr)),
            .lines = static_cast<std::size_t>(::getmaxy(::stdscr))};
}

void TopScreen::draw_line(int row, const TopLine& line) {
    ::move(row, 0);
    ::attr_set(line.marked ? A_REVERSE : A_NORMAL, 0, nullptr);
    if (line.marked)
        ::hline(static_cast<chtype>(' ') | A_REVERSE, ::getmaxx(::stdscr));
    for (const TopSpan& span : line.spans) {
        const auto [attributes, pair] = look_of(span.style);
        const attr_t all = attributes | (line.marked ? A_REVERSE : A_NORMAL);
        ::attr_set(all, colours_ ? pair : short{0}, nullptr);
        ::addstr(span.text.c_str());
    }
    ::attr_set(A_NORMAL, 0, nullptr);
}

void TopScreen::draw(const TopPicture& picture) {
    ::erase();
    for (std::size_t i = 0; i < picture.lines.size(); ++i)
        draw_line(static_cast<int>(i), picture.lines[i]);
    ::curs_set(picture.cursor ? 1 : 0);
    if (picture.cursor)
        ::move(static_cast<int>(picture.cursor->line), static_cast<int>(picture.cursor->column));
    ::refresh();
}

std::optional<TopKey> TopScreen::key() {
    for (;;) {
        wint_t code = 0;
        const int kind = ::get_wch(&code);
        if (kind == ERR)
            return std::nullopt;
        if (std::optional<TopKey> found = kind == KEY_CODE_YES ? special_key(code) : character_key(code, unicode_))
            return found;
    }
}

bool TopScreen::hung_up() {
    pollfd terminal = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    return ::poll(&terminal, 1, 0) > 0 && (terminal.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

void TopScreen::resize() {
    winsize now{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) == 0 && now.ws_row > 0 && now.ws_col > 0)
        ::resizeterm(now.ws_row, now.ws_col);
}

void TopScreen::leave() {
    ::endwin();
}

void TopScreen::come_back() {
    ::reset_prog_mode();
    resize();
    ::clearok(::curscr, TRUE);
    ::refresh();
}

} // namespace scxhost
