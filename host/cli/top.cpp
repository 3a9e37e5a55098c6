// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost top`: a running host, live, on a whole terminal.
#include "host/base/event_loop.hpp"
#include "host/base/suggest.hpp"
#include "host/base/units.hpp"
#include "host/cli/control.hpp"
#include "host/cli/program.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"
#include "host/cli/top_keys.hpp"
#include "host/cli/top_model.hpp"
#include "host/cli/top_screen.hpp"
#include "host/cli/top_view.hpp"
#include "host/config/selection.hpp"
#include "host/control/host_link.hpp"
#include "host/plugins/plugin_directory.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <string_view>
#include <utility>

namespace scxhost {
namespace {

struct TopArguments {
    std::string socket; // empty: the default
    std::string at;
    std::string interval = "1s";
    bool once = false;
};

std::filesystem::path socket_of(const TopArguments& arguments) {
    return arguments.socket.empty() ? Config::Control{}.socket : std::filesystem::path(arguments.socket);
}

std::vector<TopChoice> known_plugins() {
    std::vector<TopChoice> known;
    const auto folders = plugin_folders({});
    if (!folders)
        return known;
    for (const ListedPlugin& plugin : list_plugins(*folders))
        if (plugin.file)
            known.push_back({plugin.file->info.name, printable(plugin.file->info.summary)});
    return known;
}

std::string time_now() {
    return utc_time(std::chrono::system_clock::now()).substr(11, 8);
}

// As Ctrl-Z does to a program that does nothing about it: not at all where no shell would have it go on.
void stop_process() {
    (void)::signal(SIGTSTP, SIG_DFL);
    sigset_t stop;
    ::sigemptyset(&stop);
    ::sigaddset(&stop, SIGTSTP);
    ::pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);
    (void)::raise(SIGTSTP);
    ::pthread_sigmask(SIG_BLOCK, &stop, nullptr); // the loop's again
}

// Between the host, the terminal and the reader.
class TopSession {
public:
    TopSession(EventLoop& loop, TopScreen& screen, const TopArguments& arguments, std::chrono::nanoseconds interval);

    // Errors: there is no host, or it lets nobody in; those of the loop.
    Result<> run();

private:
    void on_connected();
    void on_lost();
    void on_event(const nlohmann::json& event);
    void on_keys();
    Result<> watch_signals();
    // Asks the host for all that it says; what is asked while an answer is awaited is asked when it is there.
    void ask(TopModel::Reading reading);
    void send(TopRequest request);
    void say(TopNote note);
    void draw();

    EventLoop& loop_;
    TopScreen& screen_;
    std::chrono::nanoseconds interval_;
    TopModel model_;
    TopState state_;
    HostLink link_;
    EventLoop::Watch keys_;
    bool lost_ = false; // and not found again
    bool asking_ = false;
    bool stale_ = false;           // something has happened since it was asked
    bool events_complete_ = false; // those that are kept have come
};

TopSession::TopSession(EventLoop& loop, TopScreen& screen, const TopArguments& arguments,
                       std::chrono::nanoseconds interval)
    : loop_(loop)
    , screen_(screen)
    , interval_(interval)
    , link_(loop, socket_of(arguments),
            {.connected = [this] { on_connected(); },
             .lost = [this] { on_lost(); },
             .event = [this](const nlohmann::json& event) { on_event(event); }}) {
    state_.seat = arguments.at;
    state_.known = known_plugins();
}

Result<> TopSession::run() {
    SCXHOST_TRY(watch_signals());
    keys_ = SCXHOST_TRY(loop_.watch(STDIN_FILENO, {}, [this] { on_keys(); }));
    SCXHOST_TRY(loop_.every(interval_, [this] { ask(TopModel::Reading::kNext); }));
    link_.start();
    if (!link_.connected())
        return fail(link_.error());
    draw();
    return loop_.run();
}

Result<> TopSession::watch_signals() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
        SCXHOST_TRY(loop_.on_signal(signal, [this] { loop_.stop(); }));
    SCXHOST_TRY(loop_.on_signal(SIGWINCH, [this] {
        screen_.resize();
        draw();
    }));
    SCXHOST_TRY(loop_.on_signal(SIGTSTP, [this] {
        screen_.leave();
        stop_process();
        screen_.come_back();
        draw();
    }));
    // Also after a stop that came unannounced: the shell has used the terminal meanwhile.
    return loop_.on_signal(SIGCONT, [this] {
        screen_.come_back();
        draw();
    });
}

void TopSession::on_connected() {
    asking_ = false;
    events_complete_ = false;
    if (std::exchange(lost_, false))
        say({"a host answers again", TopStyle::kGood});
    link_.call("subscribe", nlohmann::json::object(), [](const Result<nlohmann::json>&) {});
    // What happens between the two is among the kept ones.
    link_.call("events", nlohmann::json::object(), [this](const Result<nlohmann::json>& answer) {
        if (!answer)
            return;
        events_complete_ = true;
        model_.take_events(*answer);
        draw();
    });
    ask(TopModel::Reading::kNext);
}

void TopSession::on_lost() {
    lost_ = true;
    model_.lose(link_.error());
    say({"the host is gone: " + describe_in_a_line(link_.error()), TopStyle::kBad});
    keep_seat(state_, model_);
    draw();
}

void TopSession::on_event(const nlohmann::json& event) {
    if (!events_complete_)
        return;
    model_.take_event(event);
    if (text_in(event, "event") != "output") // which changes nothing, and comes often
        ask(TopModel::Reading::kAgain);
    draw();
}

void TopSession::ask(TopModel::Reading reading) {
    if (!link_.connected())
        return;
    if (asking_) {
        stale_ = true;
        return;
    }
    asking_ = true;
    link_.call("metrics", nlohmann::json::object(), [this, reading](const Result<nlohmann::json>& answer) {
        asking_ = false;
        if (answer)
            model_.take(*answer, reading);
        else
            model_.trouble(answer.error());
        keep_seat(state_, model_);
        draw();
        if (std::exchange(stale_, false))
            ask(TopModel::Reading::kAgain);
    });
}

void TopSession::on_keys() {
    bool any = false;
    while (const std::optional<TopKey> key = screen_.key()) {
        any = true;
        if (!fits_top(screen_.size()) && key->text != "q")
            continue; // nobody sees what it would ask
        TopAction action = press(state_, model_, *key);
        if (action.quit)
            return loop_.stop();
        if (action.request)
            send(*std::move(action.request));
    }
    if (!any && TopScreen::hung_up())
        return loop_.stop();
    draw();
}

void TopSession::send(TopRequest request) {
    link_.call(request.method, std::move(request.params),
               [this, title = request.title](const Result<nlohmann::json>& answer) {
                   if (!answer)
                       return say({fmt::format("{}: {}", title, describe_in_a_line(answer.error())), TopStyle::kBad});
                   const TopNote outcome = request_note(*answer);
                   say({fmt::format("{}: {}", title, outcome.text), outcome.style});
                   ask(TopModel::Reading::kAgain);
               });
}

// Until something else is said; and among the events, where it stays.
void TopSession::say(TopNote note) {
    model_.tell(time_now(), note);
    state_.message = std::move(note);
    draw();
}

void TopSession::draw() {
    const TopPicture picture = draw_top(model_, state_, screen_.size(), screen_.unicode());
    state_.scroll = picture.scroll;
    screen_.draw(picture);
}

Result<> watch_host(const TopArguments& arguments, std::chrono::nanoseconds interval) {
    EventLoop loop = SCXHOST_TRY(EventLoop::make());
    SCXHOST_TRY(connect_to_host({.socket = arguments.socket})); // no screen for an error that is the end
    const std::unique_ptr<TopScreen> screen = SCXHOST_TRY(TopScreen::open());
    TopSession session(loop, *screen, arguments, interval);
    return session.run();
}

// One picture, in the colours of nothing.
Result<> print_once(const TopArguments& arguments) {
    ControlClient client = SCXHOST_TRY(connect_to_host({.socket = arguments.socket}));
    const auto soon = ControlClient::Clock::now() + std::chrono::seconds(10);
    TopModel model;
    model.take_events(SCXHOST_TRY(client.call("events", nlohmann::json::object(), soon)));
    model.take(SCXHOST_TRY(client.call("metrics", nlohmann::json::object(), soon)), TopModel::Reading::kNext);
    TopState state;
    state.seat = arguments.at;
    keep_seat(state, model);
    if (!arguments.at.empty() && state.seat != arguments.at) {
        std::vector<std::string> names;
        for (const TopSeat& seat : model.seats())
            names.push_back(seat.name);
        return fail(ErrorKind::kUsage, fmt::format("there is no branch {} now", quote_text(arguments.at)),
                    suggest_word(arguments.at, names, "seats"));
    }
    TopSize size{.columns = 80, .lines = std::nullopt};
    winsize terminal{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &terminal) == 0 && terminal.ws_col >= kTopColumns)
        size.columns = terminal.ws_col;
    ::setlocale(LC_CTYPE, "");
    const bool unicode = std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
    for (const TopLine& line : draw_top(model, state, size, unicode).lines) {
        std::string text = text_of(line);
        text.erase(text.find_last_not_of(' ') + 1);
        print(text + "\n");
    }
    return {};
}

CommandResult top(const TopArguments& arguments) {
    constexpr auto kShortest = std::chrono::milliseconds(100); // more often would be in the host's way
    const auto interval = SCXHOST_TRY(duration_option("--interval", arguments.interval, kShortest));
    SCXHOST_TRY(arguments.once ? print_once(arguments) : watch_host(arguments, interval));
    return ExitStatus::kDone;
}

} // namespace

void add_top(CommandLine line) {
    CLI::App* command =
        line.app.add_subcommand("top", "Watch the running host on the whole terminal, and change what runs");
    const auto arguments = std::make_shared<TopArguments>();
    add_socket(*command, arguments->socket);
    command->add_option("--at", arguments->at, "The branch to look at first; without it the scheduler above all")
        ->type_name("BRANCH");
    command->add_option("--interval", arguments->interval, "Pause between two readings, 100ms or more (default: 1s)")
        ->type_name("TIME");
    command->add_flag("--once", arguments->once, "Print one screen as plain text, and end; needs no terminal");
    command->footer(
        "\nShows the tree of schedulers, the kernel's word, swaps with their gaps, statistics with their last "
        "minutes, the kernel's\nevent counters that move, and what happens. Keys: j and k choose a seat, s "
        "swaps, p stops, r resumes (each asks first),\ne enlarges the events, ? lists all, q quits. When the "
        "host ends, it waits for the next one.\n\nExamples:\n  scxhost top\n  scxhost top --at games "
        "--interval 250ms\n  scxhost top --once | mail -s schedulers root");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return top(*arguments); }; });
}

} // namespace scxhost
